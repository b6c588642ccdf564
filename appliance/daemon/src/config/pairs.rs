//! The entity's key pairs in the configuration file: one pair of each kind in `[hsm]` itself, or lists over time.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;
use yanqian_vocabulary::{KeyLine, Timestamp};

use super::ConfigError;

/// A signing pair and from when on it signs; in the place of `signing_key` and `signing_certificate`. Pairs stand in the order in
/// which they begin. Read again on reload.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSigning {
    /// Label (`CKA_LABEL`) of the key pair in the token; 1 to 64 octets.
    key: String,
    /// Its certificate, PEM or DER; valid at `from`.
    certificate: PathBuf,
    /// RFC 3339 with offset, such as `"2027-01-01T00:00:00+08:00"`: checks whose intent is made from then on are signed with this
    /// pair. May be left out in the first.
    from: Option<String>,
}

/// An encryption pair and when it serves; in the place of `encryption_key` and `encryption_certificate`. Pairs stand in the order
/// in which they begin. Read again on reload.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawEncryption {
    /// Label of the key pair in the token; 1 to 64 octets.
    key: String,
    /// Its certificate, PEM or DER; valid at `from`. What the platform seals to it is opened as soon as the pair is loaded.
    certificate: PathBuf,
    /// RFC 3339 with offset: from then on records name this pair as the entity's. May be left out in the first.
    from: Option<String>,
    /// RFC 3339 with offset, not before the next pair's `from`: what is sealed to this pair is opened for checks whose intent was
    /// made before. Not in the last.
    until: Option<String>,
}

/// Where a value stands in the file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    key: &'static str,
    line: KeyLine,
}

impl Place {
    pub(crate) fn problem(self, file: &Path, problem: impl Into<String>) -> ConfigError {
        ConfigError::Value { file: file.to_owned(), line: self.line, key: self.key, problem: problem.into() }
    }
}

/// One pair as configured.
#[derive(Debug)]
pub(crate) struct PairEntry {
    pub(crate) label: String,
    pub(crate) label_at: Place,
    pub(crate) certificate: PathBuf,
    pub(crate) certificate_at: Place,
    pub(crate) from: Option<Timestamp>,
    pub(crate) from_at: Place,
    pub(crate) until: Option<Timestamp>,
}

/// Both lists, the one for encryption perhaps empty.
#[derive(Debug)]
pub(crate) struct PairEntries {
    pub(crate) signing: Vec<PairEntry>,
    pub(crate) encryption: Vec<PairEntry>,
}

/// A pair of either kind in either form.
struct Raw {
    key: String,
    certificate: PathBuf,
    from: Option<String>,
    until: Option<String>,
}

impl From<RawSigning> for Raw {
    fn from(RawSigning { key, certificate, from }: RawSigning) -> Self {
        Self { key, certificate, from, until: None }
    }
}

impl From<RawEncryption> for Raw {
    fn from(RawEncryption { key, certificate, from, until }: RawEncryption) -> Self {
        Self { key, certificate, from, until }
    }
}

/// What `[hsm]` says of pairs.
pub(super) struct RawPairs {
    pub(super) signing_key: Option<String>,
    pub(super) signing_certificate: Option<PathBuf>,
    pub(super) encryption_key: Option<String>,
    pub(super) encryption_certificate: Option<PathBuf>,
    pub(super) signing: Vec<RawSigning>,
    pub(super) encryption: Vec<RawEncryption>,
}

/// Names of the keys of one kind of pair, in the short form and in the list.
struct Names {
    key: &'static str,
    certificate: &'static str,
    table: &'static str,
    list: [&'static str; 4],
}

const SIGNING: Names = Names {
    key: "hsm.signing_key",
    certificate: "hsm.signing_certificate",
    table: "hsm.signing",
    list: ["hsm.signing.key", "hsm.signing.certificate", "hsm.signing.from", "hsm.signing.until"],
};
const ENCRYPTION: Names = Names {
    key: "hsm.encryption_key",
    certificate: "hsm.encryption_certificate",
    table: "hsm.encryption",
    list: ["hsm.encryption.key", "hsm.encryption.certificate", "hsm.encryption.from", "hsm.encryption.until"],
};

/// Reads pairs of the file `file` with the text `text`.
pub(super) struct Reader<'a> {
    pub(super) text: &'a str,
    pub(super) file: &'a Path,
}

impl Reader<'_> {
    pub(super) fn read(&self, raw: RawPairs) -> Result<PairEntries, ConfigError> {
        let list = raw.signing.into_iter().map(Raw::from).collect();
        let signing = self.kind(&SIGNING, raw.signing_key, raw.signing_certificate, list)?;
        if signing.is_empty() {
            return Err(self.top(SIGNING.key).problem(self.file, "is missing, and there is no `[[hsm.signing]]`"));
        }
        let list = raw.encryption.into_iter().map(Raw::from).collect();
        let encryption = self.kind(&ENCRYPTION, raw.encryption_key, raw.encryption_certificate, list)?;
        for pair in &encryption {
            if signing.iter().any(|other| other.label == pair.label) {
                let problem = "is the label of a signing key; the pairs for the two uses are separate";
                return Err(pair.label_at.problem(self.file, problem));
            }
        }
        Ok(PairEntries { signing, encryption })
    }

    fn top(&self, key: &'static str) -> Place {
        Place { key, line: KeyLine::find(self.text, key) }
    }

    fn kind(
        &self,
        names: &Names,
        key: Option<String>,
        certificate: Option<PathBuf>,
        list: Vec<Raw>,
    ) -> Result<Vec<PairEntry>, ConfigError> {
        let short = key.is_some() || certificate.is_some();
        if short && !list.is_empty() {
            let problem = format!("stands beside `[[{}]]`: pairs have one form or the other", names.table);
            return Err(self
                .top(if key.is_some() { names.key } else { names.certificate })
                .problem(self.file, problem));
        }
        let entries = match (key, certificate) {
            (Some(key), Some(certificate)) => {
                let at = |name| self.top(name);
                let raw = Raw { key, certificate, from: None, until: None };
                vec![self.entry(raw, [at(names.key), at(names.certificate), at(names.key), at(names.key)])?]
            }
            (None, None) => {
                let entry = |(index, raw)| {
                    let at = |key: &'static str| {
                        let name = key.rsplit('.').next().unwrap_or(key);
                        Place { key, line: KeyLine::find_in(self.text, names.table, index, name) }
                    };
                    self.entry(raw, names.list.map(at))
                };
                list.into_iter().enumerate().map(entry).collect::<Result<_, _>>()?
            }
            _ => {
                let problem = "key and certificate stand together, or not at all";
                return Err(self.top(names.key).problem(self.file, problem));
            }
        };
        self.check_order(&entries)?;
        Ok(entries)
    }

    fn entry(&self, raw: Raw, at: [Place; 4]) -> Result<PairEntry, ConfigError> {
        let [label_at, certificate_at, from_at, until_at] = at;
        if raw.key.is_empty() || raw.key.len() > 64 || raw.key.chars().any(char::is_control) {
            return Err(label_at.problem(self.file, "1 to 64 octets without control characters"));
        }
        let instant = |text: Option<String>, at: Place| {
            let read = text.map(|text| Timestamp::from_rfc3339(&text)).transpose();
            read.map_err(|error| at.problem(self.file, error.to_string()))
        };
        let (from, until) = (instant(raw.from, from_at)?, instant(raw.until, until_at)?);
        if until.is_some_and(|until| from.is_some_and(|from| until <= from)) {
            return Err(until_at.problem(self.file, "is not after `from`"));
        }
        let base = self.file.parent().unwrap_or(Path::new(""));
        let certificate = base.join(raw.certificate);
        Ok(PairEntry { label: raw.key, label_at, certificate, certificate_at, from, from_at, until })
    }

    /// The pairs begin one after the other, and none ends before the next has begun.
    fn check_order(&self, entries: &[PairEntry]) -> Result<(), ConfigError> {
        for (place, pair) in entries.iter().enumerate() {
            if entries[..place].iter().any(|other| other.certificate == pair.certificate) {
                return Err(pair.certificate_at.problem(self.file, "stands in an earlier pair too"));
            }
        }
        for pair in entries.windows(2) {
            let (one, next) = (&pair[0], &pair[1]);
            let Some(from) = next.from else {
                return Err(next.from_at.problem(self.file, "is missing: only the first pair may leave it out"));
            };
            if one.from.is_some_and(|earlier| from <= earlier) {
                return Err(next.from_at.problem(self.file, "is not after the pair's above"));
            }
            if one.until.is_some_and(|until| until < from) {
                let problem = format!("is after the `until` of `{}`: no pair would be in use between", one.label);
                return Err(next.from_at.problem(self.file, problem));
            }
        }
        match entries.last() {
            Some(last) if last.until.is_some() => {
                Err(last.label_at.problem(self.file, "is the last pair's, which has no `until`: nothing follows it"))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    use super::*;

    const SAMPLE: &str = include_str!("../../../../samples/yanqian.toml");
    const SHORT: &str = "signing_key = \"yanqian-sign\"              # label of the key pair in the token
signing_certificate = \"entity-signing.pem\"
encryption_key = \"yanqian-encrypt\"        # its pair for chip readings: both lines, or neither
encryption_certificate = \"entity-encryption.pem\"
";

    fn parsed(text: &str) -> Result<Config, String> {
        crate::config::parse(text, Path::new("/etc/yanqian/yanqian.toml")).map_err(|error| error.to_string())
    }

    /// The sample with these lists in the place of the short form, the line of the first among them.
    fn with_lists(lists: &str) -> (String, usize) {
        assert!(SAMPLE.contains(SHORT), "the sample's short form");
        let text = SAMPLE.replace(SHORT, lists);
        let line = text[..text.find(lists).unwrap_or_default()].lines().count() + 1;
        (text, line)
    }

    const SIGNING: &str = "[[hsm.signing]]\nkey = \"one\"\ncertificate = \"one.pem\"\n[[hsm.signing]]\nkey = \"two\"\n\
                           certificate = \"two.pem\"\nfrom = \"2027-01-01T00:00:00+08:00\"\n";

    #[test]
    fn the_samples_longer_form_is_what_it_says() {
        let begin = SAMPLE.find("# [[hsm.signing]]").expect("the sample shows the lists");
        let end = begin + SAMPLE[begin..].find("\n\n").expect("an empty line after them");
        let lists: String =
            SAMPLE[begin..end].lines().map(|line| line.strip_prefix("# ").unwrap_or(line).to_owned() + "\n").collect();
        let config = parsed(&with_lists(&lists).0).expect("the sample's lists are valid");
        assert_eq!((config.hsm.pairs.signing.len(), config.hsm.pairs.encryption.len()), (2, 2));
        let next = &config.hsm.pairs.signing[1];
        assert_eq!(next.from.map(|from| from.to_string()).as_deref(), Some("2026-12-31T16:00:00.000Z"));
        assert_eq!(next.certificate.parent(), Some(Path::new("/etc/yanqian")));
        assert!(config.hsm.pairs.encryption[0].until.is_some());
    }

    #[test]
    fn one_pair_in_the_short_form_is_a_list_of_one() {
        let config = parsed(SAMPLE).expect("the sample is valid");
        let PairEntries { signing, encryption } = &config.hsm.pairs;
        assert_eq!((signing.len(), encryption.len()), (1, 1));
        assert_eq!((signing[0].label.as_str(), signing[0].from), ("yanqian-sign", None));
    }

    #[test]
    fn what_is_wrong_with_a_list_is_told_with_line_and_key() {
        let again = SIGNING.replace("two.pem", "one.pem");
        let undated = SIGNING.replace("from = \"2027-01-01T00:00:00+08:00\"\n", "");
        let without_offset = SIGNING.replace("+08:00", "");
        let backwards = SIGNING.replacen("one.pem\"\n", "one.pem\"\nfrom = \"2027-06-01T00:00:00+08:00\"\n", 1);
        let unlabelled = SIGNING.replace("\"two\"", "\"\"");
        let encryption = SIGNING.replace("hsm.signing", "hsm.encryption").replace("one", "e1").replace("two", "e2");
        let gap = encryption.replacen("e1.pem\"\n", "e1.pem\"\nuntil = \"2026-12-01T00:00:00+08:00\"\n", 1);
        let ended = encryption.clone() + "until = \"2028-01-01T00:00:00+08:00\"\n";
        let inverted = encryption.clone() + "until = \"2026-01-01T00:00:00+08:00\"\n";
        let shared = encryption.replace("\"e2\"", "\"two\"");
        let mixed = SHORT.to_owned() + SIGNING;
        let half = "signing_key = \"yanqian-sign\"\n".to_owned();
        let both = |second: &str| SIGNING.to_owned() + second;
        for (lists, offset, key, problem) in [
            (again, 5, "hsm.signing.certificate", "an earlier pair"),
            (undated, 3, "hsm.signing.from", "is missing"),
            (without_offset, 6, "hsm.signing.from", "RFC 3339"),
            (backwards, 7, "hsm.signing.from", "not after the pair's above"),
            (unlabelled, 4, "hsm.signing.key", "1 to 64 octets"),
            (both(&gap), 7 + 7, "hsm.encryption.from", "no pair would be in use"),
            (both(&ended), 7 + 4, "hsm.encryption.key", "nothing follows it"),
            (both(&inverted), 7 + 7, "hsm.encryption.until", "is not after `from`"),
            (both(&shared), 7 + 4, "hsm.encryption.key", "the label of a signing key"),
            (mixed, 0, "hsm.signing_key", "one form or the other"),
            (half, 0, "hsm.signing_key", "stand together"),
        ] {
            let (text, line) = with_lists(&lists);
            let error = parsed(&text).err().unwrap_or_default();
            let expected = format!("yanqian.toml:{}: key `{key}`: ", line + offset);
            assert!(error.contains(&expected) && error.contains(problem), "{error}\nnot {expected}…{problem}\n{lists}");
        }
        let error = parsed(&with_lists("").0).err().unwrap_or_default();
        assert!(error.contains("key `hsm.signing_key`: is missing"), "{error}");
        let error = parsed(&with_lists(&(SIGNING.to_owned() + "until = \"2028-01-01T00:00:00Z\"\n")).0).err();
        assert!(error.unwrap_or_default().contains("until"), "signing pairs have no end of their own");
    }
}
