//! `[retention]` of the configuration file: where sealed segments go, and how long records are kept.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use yanqian_retention::Keep;

use super::limits::n32;

/// Days that the Measures (art. 14) ask for at least.
const LEAST_ACCESS_DAYS: u32 = 1095;

/// The archive of sealed segments (docs/archive-format.md), and how long records are kept there. Without `archive` everything stays
/// on the node.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawRetention {
    /// `s3://BUCKET` or `s3://BUCKET/PREFIX`, or a directory that is there, most often a mounted file system.
    archive: Option<String>,
    /// `https://host[:port]` of the S3-compatible storage; `http://` only to a loopback address.
    endpoint: Option<String>,
    /// Of the S3-compatible storage.
    region: String,
    /// `ACCESS-KEY-ID:SECRET` for the storage, one line, readable by the daemon only.
    credentials_file: Option<PathBuf>,
    /// Certificates to which the storage's own must lead, PEM.
    ca_file: Option<PathBuf>,
    /// 32 random octets as 64 hexadecimal digits, readable by the daemon only, with which objects are sealed. Whoever loses all keys has
    /// lost the archive.
    key_file: Option<PathBuf>,
    /// Keys of before, with which objects are still opened.
    former_key_files: Vec<PathBuf>,
    /// Days for which intents, exchanges, outcomes, refusals and their aggregates are kept, at least 1095 (Measures art. 14).
    access_days: NonZeroU32,
    /// Days for which management records are kept; not less than `access_days`.
    management_days: NonZeroU32,
    /// Days after which a segment's file is removed from the node, once the archive's copy was read back. Not less than
    /// `limits.receipt_retention_days`, because receipts are made from the node's own files. Nothing is removed when it is not set.
    keep_local_days: Option<NonZeroU32>,
    /// Minutes between looks for sealed segments.
    interval_minutes: NonZeroU32,
    /// Seconds that one request to the archive may take.
    patience_seconds: NonZeroU32,
}

impl Default for RawRetention {
    fn default() -> Self {
        Self {
            archive: None,
            endpoint: None,
            region: "us-east-1".to_owned(),
            credentials_file: None,
            ca_file: None,
            key_file: None,
            former_key_files: Vec::new(),
            access_days: n32(LEAST_ACCESS_DAYS),
            management_days: n32(3650),
            keep_local_days: None,
            interval_minutes: n32(10),
            patience_seconds: n32(60),
        }
    }
}

/// Where an archive is, and how it is reached.
#[derive(Debug)]
pub(crate) enum ArchiveSite {
    Directory(PathBuf),
    S3 { bucket: String, prefix: String, endpoint: String, region: String, credentials: PathBuf, ca: Option<PathBuf> },
}

/// What becomes of sealed segments.
#[derive(Debug)]
pub(crate) struct RetentionConfig {
    /// The archive and the file of its key.
    pub(crate) archive: Option<(ArchiveSite, PathBuf)>,
    pub(crate) former_keys: Vec<PathBuf>,
    pub(crate) keep: Keep,
    /// None: files stay on the node.
    pub(crate) keep_local: Option<Duration>,
    pub(crate) interval: Duration,
    pub(crate) patience: Duration,
}

fn days(days: NonZeroU32) -> Duration {
    Duration::from_secs(u64::from(days.get()) * 86_400)
}

impl RawRetention {
    /// The key and what is wrong with it, when something is. `receipts` is how long receipts can be asked for.
    pub(super) fn read(
        self,
        base: &Path,
        has_checkpoints: bool,
        receipts: Duration,
    ) -> Result<RetentionConfig, (&'static str, String)> {
        let wrong = |key, problem: &str| Err((key, problem.to_owned()));
        if self.access_days.get() < LEAST_ACCESS_DAYS {
            return wrong("retention.access_days", "at least 1095: three years (Measures art. 14)");
        }
        if self.management_days < self.access_days {
            return wrong("retention.management_days", "not less than `retention.access_days`");
        }
        let keep_local = self.keep_local_days.map(days);
        if keep_local.is_some_and(|keep| keep < receipts) {
            let problem = "not less than `limits.receipt_retention_days`: receipts are made from the node's own files";
            return wrong("retention.keep_local_days", problem);
        }
        let archive = match (&self.archive, &self.key_file) {
            (Some(_), Some(key)) => Some((self.site(base)?, base.join(key))),
            (Some(_), None) => return wrong("retention.key_file", "is missing: objects are sealed with it"),
            (None, None) if keep_local.is_none() => None,
            (None, _) => return wrong("retention.archive", "is missing: where sealed segments go"),
        };
        if keep_local.is_some() && !has_checkpoints {
            let problem = "needs `checkpoints.key`: without tiles nothing here would prove what was removed";
            return wrong("retention.keep_local_days", problem);
        }
        Ok(RetentionConfig {
            archive,
            former_keys: self.former_key_files.iter().map(|file| base.join(file)).collect(),
            keep: Keep { access_days: self.access_days.get(), management_days: self.management_days.get() },
            keep_local,
            interval: Duration::from_mins(self.interval_minutes.get().into()),
            patience: Duration::from_secs(self.patience_seconds.get().into()),
        })
    }

    fn site(&self, base: &Path) -> Result<ArchiveSite, (&'static str, String)> {
        let archive = self.archive.as_deref().unwrap_or_default();
        let Some(bucket) = archive.strip_prefix("s3://") else {
            for (key, set) in [
                ("retention.endpoint", self.endpoint.is_some()),
                ("retention.credentials_file", self.credentials_file.is_some()),
                ("retention.ca_file", self.ca_file.is_some()),
            ] {
                if set {
                    return Err((key, "is for an archive at `s3://`".to_owned()));
                }
            }
            return Ok(ArchiveSite::Directory(base.join(archive)));
        };
        let (bucket, prefix) = bucket.split_once('/').unwrap_or((bucket, ""));
        if bucket.is_empty() {
            return Err(("retention.archive", "expected s3://BUCKET or s3://BUCKET/PREFIX".to_owned()));
        }
        let missing = |key, what: &str| (key, format!("is missing: {what}"));
        Ok(ArchiveSite::S3 {
            bucket: bucket.to_owned(),
            prefix: prefix.trim_matches('/').to_owned(),
            endpoint: self.endpoint.clone().ok_or_else(|| missing("retention.endpoint", "https://host[:port]"))?,
            region: self.region.clone(),
            credentials: self
                .credentials_file
                .as_ref()
                .map(|file| base.join(file))
                .ok_or_else(|| missing("retention.credentials_file", "a file with ACCESS-KEY-ID:SECRET"))?,
            ca: self.ca_file.as_ref().map(|file| base.join(file)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    const SAMPLE: &str = include_str!("../../../../samples/yanqian.toml");
    const S3: &str =
        "archive = \"s3://b/p/\"\nendpoint = \"https://s3.bank.example\"\ncredentials_file = \"c\"\nkey_file = \"k\"";

    fn with(retention: &str) -> Result<RetentionConfig, String> {
        let (before, rest) = SAMPLE.split_once("[retention]").expect("the sample has the table");
        let (_, after) = rest.split_once("\n[limits]").expect("and the next");
        let text = format!("{before}[retention]\n{retention}\n[limits]{after}");
        let parsed = parse(&text, Path::new("/etc/yanqian/yanqian.toml"));
        parsed.map(|config| config.retention).map_err(|error| error.to_string())
    }

    #[test]
    fn an_archive_is_a_directory_or_a_bucket_and_has_a_key() {
        assert!(with("").expect("no archive is fine").archive.is_none());
        let (site, key) = with("archive = \"arc\"\nkey_file = \"k\"").expect("a directory").archive.expect("is there");
        assert!(matches!(site, ArchiveSite::Directory(path) if path == Path::new("/etc/yanqian/arc")));
        assert_eq!(key, Path::new("/etc/yanqian/k"));
        let (site, _) = with(S3).expect("a bucket").archive.expect("is there");
        assert!(matches!(site, ArchiveSite::S3 { bucket, prefix, .. } if bucket == "b" && prefix == "p"));
    }

    #[test]
    fn what_would_lose_records_too_early_is_refused_by_name() {
        let directory = "archive = \"arc\"\nkey_file = \"k\"\n";
        for (retention, problem) in [
            ("access_days = 1094".to_owned(), "key `retention.access_days`: at least 1095"),
            ("management_days = 1094".to_owned(), "key `retention.management_days`: not less"),
            (
                format!("{directory}keep_local_days = 1094"),
                "key `retention.keep_local_days`: not less than `limits.receipt",
            ),
            ("keep_local_days = 2000".to_owned(), "key `retention.archive`: is missing"),
            (format!("{directory}keep_local_days = 2000"), "key `retention.keep_local_days`: needs `checkpoints.key`"),
            ("archive = \"arc\"".to_owned(), "key `retention.key_file`: is missing"),
            (format!("{directory}endpoint = \"https://x\""), "key `retention.endpoint`: is for"),
            (S3.replace("endpoint", "# endpoint"), "key `retention.endpoint`: is missing"),
            (S3.replace("credentials_file", "# c"), "key `retention.credentials_file`: is missing"),
            (S3.replace("s3://b/p/", "s3:///p"), "key `retention.archive`: expected s3://"),
        ] {
            let error = with(&retention).expect_err(&retention);
            assert!(error.contains(problem), "{error}");
        }
    }
}
