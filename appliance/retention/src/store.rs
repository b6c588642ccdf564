//! Where objects lie: a directory, or a bucket of S3-compatible storage. Every operation has an end.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use http::Uri;
use object_store::aws::{AmazonS3Builder, S3ConditionalPut};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt as _, PutMode, PutOptions, PutPayload, RetryConfig};
use zeroize::Zeroizing;

use crate::archive::blocking;
use crate::error::ArchiveError;
use crate::http::{Connector, tls};

/// An S3 bucket.
pub struct S3 {
    pub bucket: String,
    /// Before every name in it; empty for none.
    pub prefix: String,
    /// `https://host[:port]`; `http://` only to this machine.
    pub endpoint: String,
    pub region: String,
    /// `ACCESS-KEY-ID:SECRET`.
    pub credentials: Zeroizing<String>,
    /// Certificates to which the server's must lead, PEM; needed for `https`.
    pub ca_file: Option<PathBuf>,
}

impl fmt::Debug for S3 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "S3({}/{} at {})", self.bucket, self.prefix, self.endpoint)
    }
}

/// An archive's place.
#[derive(Debug)]
pub enum Site {
    /// Must be there: it is most often a mounted file system.
    Directory(PathBuf),
    S3(S3),
}

/// Whether an object is new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Created {
    New,
    /// It was there, and is as it was.
    Exists,
}

/// Objects of one ledger.
pub struct Store {
    inner: Inner,
    base: String,
    patience: Duration,
    /// As an operator would call it; no secrets.
    pub location: String,
}

enum Inner {
    /// Opened anew for each operation: what is mounted there may come and go.
    Directory(PathBuf),
    Bucket(Arc<dyn ObjectStore>),
}

impl Inner {
    async fn open(&self) -> Result<Arc<dyn ObjectStore>, Error> {
        let directory = match self {
            Self::Bucket(bucket) => return Ok(Arc::clone(bucket)),
            Self::Directory(directory) => directory.clone(),
        };
        let files = blocking(move || LocalFileSystem::new_with_prefix(directory)).await?;
        // What is read back must lie on the disk, not only in memory.
        Ok(Arc::new(files.with_fsync(true)))
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Store({})", self.location)
    }
}

fn setting(key: &'static str, problem: impl fmt::Display) -> ArchiveError {
    ArchiveError::Setting { key, problem: problem.to_string() }
}

impl Store {
    /// Objects below the ledger's origin. No operation takes longer than `patience`. Nothing is asked of the storage here.
    pub fn open(site: &Site, origin: &str, patience: Duration) -> Result<Self, ArchiveError> {
        let (inner, prefix, location) = match site {
            Site::Directory(directory) => {
                (Inner::Directory(directory.clone()), String::new(), directory.display().to_string())
            }
            Site::S3(s3) => {
                let location = format!("s3://{}/{}", s3.bucket, s3.prefix);
                (Inner::Bucket(Arc::new(bucket(s3, patience)?)), s3.prefix.clone(), location)
            }
        };
        let base =
            [prefix.trim_matches('/'), origin].iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>();
        Ok(Self { inner, base: base.join("/"), patience, location })
    }

    async fn limited<T>(
        &self,
        doing: &'static str,
        name: &str,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<Result<T, Error>, ArchiveError> {
        let slow = |_| ArchiveError::Slow { doing, name: name.to_owned() };
        tokio::time::timeout(self.patience, work).await.map_err(slow)
    }

    fn failed(doing: &'static str, name: &str, error: &Error) -> ArchiveError {
        ArchiveError::Store { doing, name: name.to_owned(), problem: error.to_string() }
    }

    fn path(&self, name: &str) -> Path {
        Path::from(format!("{}/{name}", self.base))
    }

    /// Puts an object where there is none.
    pub(crate) async fn create(&self, name: &str, octets: Vec<u8>) -> Result<Created, ArchiveError> {
        const DOING: &str = "putting";
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        let path = self.path(name);
        let put = async { self.inner.open().await?.put_opts(&path, PutPayload::from(octets), options).await };
        match self.limited(DOING, name, put).await? {
            Ok(_) => Ok(Created::New),
            Err(Error::AlreadyExists { .. }) => Ok(Created::Exists),
            Err(error) => Err(Self::failed(DOING, name, &error)),
        }
    }

    /// Refuses what is larger than `most` octets.
    pub(crate) async fn get(&self, name: &str, most: u64) -> Result<Option<Bytes>, ArchiveError> {
        const DOING: &str = "reading";
        let path = self.path(name);
        let get = async {
            let found = self.inner.open().await?.get(&path).await?;
            if found.meta.size > most {
                return Ok(None);
            }
            found.bytes().await.map(Some)
        };
        match self.limited(DOING, name, get).await? {
            Ok(None) => {
                let problem = "is larger than any object of its kind".to_owned();
                Err(ArchiveError::Store { doing: DOING, name: name.to_owned(), problem })
            }
            Ok(octets) => Ok(octets),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(Self::failed(DOING, name, &error)),
        }
    }

    /// File names of a folder's objects, sorted.
    pub(crate) async fn list(&self, folder: &str) -> Result<Vec<String>, ArchiveError> {
        const DOING: &str = "listing";
        let prefix = self.path(folder);
        let mut names = Vec::new();
        let opened = self.limited(DOING, folder, self.inner.open()).await?;
        let opened = opened.map_err(|error| Self::failed(DOING, folder, &error))?;
        let mut found = opened.list(Some(&prefix));
        while let Some(object) =
            self.limited(DOING, folder, async { found.next().await.transpose() }).await?.transpose()
        {
            let object = object.map_err(|error| Self::failed(DOING, folder, &error))?;
            names.extend(object.location.filename().map(str::to_owned));
        }
        names.sort_unstable();
        Ok(names)
    }

    pub(crate) async fn delete(&self, name: &str) -> Result<(), ArchiveError> {
        const DOING: &str = "deleting";
        let path = self.path(name);
        let delete = async { self.inner.open().await?.delete(&path).await };
        match self.limited(DOING, name, delete).await? {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(Self::failed(DOING, name, &error)),
        }
    }
}

fn bucket(s3: &S3, patience: Duration) -> Result<object_store::aws::AmazonS3, ArchiveError> {
    let endpoint: Uri = s3.endpoint.parse().map_err(|error| setting("endpoint", error))?;
    let host = endpoint.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let local = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    let tls = match endpoint.scheme_str() {
        Some("https") => {
            let file =
                s3.ca_file.as_ref().ok_or_else(|| setting("ca_file", "is missing: the server has to be known"))?;
            Some(tls(file).map_err(|error| setting("ca_file", format_args!("{}: {error}", file.display())))?)
        }
        Some("http") if local => None,
        _ => return Err(setting("endpoint", "https://host[:port]; http:// only to a loopback address")),
    };
    let (id, secret) = s3.credentials.trim().split_once(':').unwrap_or_default();
    if id.is_empty() || secret.is_empty() {
        return Err(setting("credentials_file", "expected one line, ACCESS-KEY-ID:SECRET"));
    }
    let retry = RetryConfig { max_retries: 2, retry_timeout: patience, ..RetryConfig::default() };
    AmazonS3Builder::new()
        .with_bucket_name(&s3.bucket)
        .with_endpoint(s3.endpoint.trim_end_matches('/'))
        .with_region(&s3.region)
        .with_access_key_id(id)
        .with_secret_access_key(secret)
        .with_allow_http(tls.is_none())
        .with_virtual_hosted_style_request(false)
        .with_conditional_put(S3ConditionalPut::ETagMatch)
        .with_retry(retry)
        .with_http_connector(Connector { tls })
        .build()
        .map_err(|error| setting("archive", error))
}
