//! Objects put once, read back, and opened only as what they were asked for.

use std::sync::Arc;

use yanqian_evidence::Origin;
use yanqian_vocabulary::NodeId;

use crate::error::ArchiveError;
use crate::header::{Header, Kind};
use crate::key::ArchiveKeys;
use crate::name::Name;
use crate::seal::{self, MAX_CONTENT, ObjectError};
use crate::store::{Created, Store};

/// An object that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    pub header: Header,
    pub content: Vec<u8>,
}

/// The archive of one ledger.
#[derive(Debug)]
pub struct Archive {
    pub(crate) store: Store,
    keys: Arc<ArchiveKeys>,
    origin: Origin,
    node: NodeId,
}

impl Archive {
    /// `store` must have been opened for the same origin.
    pub fn new(store: Store, keys: ArchiveKeys, origin: Origin, node: NodeId) -> Self {
        Self { store, keys: Arc::new(keys), origin, node }
    }

    /// Where it is, in words for operators.
    pub fn location(&self) -> &str {
        &self.store.location
    }

    /// Puts content under its name, reads the object back and opens it. One that is there already must hold the same.
    pub async fn put(&self, name: Name, records: (u64, u64), content: Arc<Vec<u8>>) -> Result<(), ArchiveError> {
        if self.read(name).await?.is_none() {
            let header = Header {
                kind: name.kind() as u64,
                origin: self.origin.as_str().to_owned(),
                node: self.node.to_string(),
                number: name.number(),
                first: records.0,
                last: records.1,
                hash: [0; 32],
                octets: 0,
                key: [0; 16],
                prefix: [0; 19],
            };
            let (keys, sealing) = (Arc::clone(&self.keys), Arc::clone(&content));
            let sealed = blocking(move || seal::seal(header, &sealing, &keys.current)).await;
            let sealed = sealed.map_err(|error| ArchiveError::Object { name, error })?;
            match self.store.create(&name.to_string(), sealed).await? {
                Created::New => {}
                // Another hand was quicker, or this one's answer was lost: what lies there decides.
                Created::Exists => tracing::info!(%name, "an object was there already"),
            }
        }
        let found = self.read(name).await?.ok_or(ArchiveError::Absent(name))?;
        let same = found.content == *content && (found.header.first, found.header.last) == records;
        if same { Ok(()) } else { Err(ArchiveError::Differs(name)) }
    }

    /// The object of that name; `None` where there is none.
    pub async fn read(&self, name: Name) -> Result<Option<Object>, ArchiveError> {
        let Some(object) = self.store.get(&name.to_string(), most(name.kind())).await? else { return Ok(None) };
        let keys = Arc::clone(&self.keys);
        let opened = blocking(move || seal::open(&object, &keys)).await;
        let (header, content) = opened.map_err(|error| ArchiveError::Object { name, error })?;
        let refused = |error| Err(ArchiveError::Object { name, error });
        if header.origin != self.origin.as_str() || header.node != self.node.as_str() {
            return refused(ObjectError::OtherOrigin(format!("{} of node {}", header.origin, header.node)));
        }
        let same = header.kind() == Some(name.kind()) && header.number == name.number();
        if !same || name.hash().is_some_and(|hash| hash != header.hash) {
            let folder = header.kind().map_or("", Kind::folder);
            return refused(ObjectError::OtherObject(format!("{folder}/{}", header.number)));
        }
        Ok(Some(Object { header, content }))
    }

    pub(crate) async fn must(&self, name: Name) -> Result<Object, ArchiveError> {
        self.read(name).await?.ok_or(ArchiveError::Absent(name))
    }

    /// Numbers of a folder's objects, ascending; other names are not counted.
    pub async fn numbers(&self, kind: Kind) -> Result<Vec<u64>, ArchiveError> {
        let names = self.store.list(kind.folder()).await?;
        let mut numbers: Vec<u64> = names.iter().filter_map(|name| Name::number_of(name)).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }
}

/// Whoever has the storage may have put anything under a name; what is larger than the kind can be is not read.
const fn most(kind: Kind) -> u64 {
    match kind {
        Kind::Segment | Kind::Proof => MAX_CONTENT + (MAX_CONTENT >> 8),
        Kind::Certificate | Kind::Crl | Kind::Ocsp => 64 << 20,
        Kind::Expired | Kind::Hold | Kind::Release => 1 << 20,
    }
}

/// Off the threads that carry checks.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // Only a runtime that ends cancels such a task, and then nobody waits for it.
            Err(_) => std::future::pending().await,
        },
    }
}
