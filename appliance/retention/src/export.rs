//! Sealed segments on their way into the archive, and the last look before the local file goes.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use yanqian_evidence::{LeafHash, SegmentHash};
use yanqian_ledger::tree::TreePlaces;
use yanqian_ledger::{Archive as Kept, Archived, Exported, exported, sealed_segment};

use crate::archive::{Archive, blocking};
use crate::error::ArchiveError;
use crate::evidence::named;
use crate::header::Kind;
use crate::name::Name;
use crate::proof::Proof;

/// Where a node has what is exported.
#[derive(Debug, Clone)]
pub struct Places {
    pub ledger: PathBuf,
    /// Certificates, lists and responses by their SM3.
    pub evidence: PathBuf,
    /// None on a node that makes no checkpoints.
    pub tree: Option<TreePlaces>,
}

/// Exports segments one after the other.
#[derive(Debug)]
pub struct Exporter {
    places: Places,
    /// Certificates and so on that this process put or found there: the same few come with every segment.
    known: HashSet<Name>,
}

impl Exporter {
    pub fn new(places: Places) -> Self {
        Self { places, known: HashSet::new() }
    }

    /// The archive lost something: whether the rest is there is asked anew.
    pub fn ask_anew(&mut self) {
        self.known.clear();
    }

    /// Puts what proves a segment, then the segment, and reads all of it back. Doing it again changes nothing.
    pub async fn export(&mut self, archive: &Archive, segment: u64) -> Result<Exported, ArchiveError> {
        let (ledger, location) = (self.places.ledger.clone(), archive.location().to_owned());
        let read = blocking(move || {
            let octets = sealed_segment(&ledger, segment)?;
            let (line, entries) = exported(&octets, &location)?;
            Ok::<_, ArchiveError>((octets, line, entries))
        });
        let (octets, line, entries) = read.await?;
        for name in named(&entries) {
            self.put_evidence(archive, segment, name).await?;
        }
        let records = (line.first, line.last);
        let leaves: Vec<LeafHash> = entries.iter().map(|entry| entry.leaf).collect();
        self.put_proof(archive, segment, records, leaves).await?;
        archive.put(Name::Segment(segment), records, Arc::new(octets)).await?;
        still_there(archive, &line).await?;
        Ok(line)
    }

    async fn put_evidence(&mut self, archive: &Archive, segment: u64, name: Name) -> Result<(), ArchiveError> {
        if self.known.contains(&name) {
            return Ok(());
        }
        let (Some(hash), Some(kind)) = (name.hash(), archived(name.kind())) else { return Ok(()) };
        let kept = Kept::read_only(&self.places.evidence);
        let octets = blocking(move || kept.get(kind, &hash)).await;
        let octets = octets.map_err(|error| ArchiveError::Evidence { segment, name, problem: error.to_string() })?;
        archive.put(name, (0, 0), Arc::new(octets)).await?;
        self.known.insert(name);
        Ok(())
    }

    /// A proof that is there already may have been made when fewer witnesses had cosigned; its leaves decide.
    async fn put_proof(
        &self,
        archive: &Archive,
        segment: u64,
        records: (u64, u64),
        leaves: Vec<LeafHash>,
    ) -> Result<(), ArchiveError> {
        let name = Name::Proof(segment);
        if let Some(there) = archive.read(name).await? {
            let proof = Proof::decode(segment, &there.content)?;
            return if proof.leaves().eq(leaves) { Ok(()) } else { Err(ArchiveError::Differs(name)) };
        }
        let tree = self.places.tree.clone();
        let made = blocking(move || Proof::make(segment, records.1, &leaves, tree.as_ref())).await?;
        archive.put(name, records, Arc::new(made.encode())).await
    }
}

const fn archived(kind: Kind) -> Option<Archived> {
    match kind {
        Kind::Certificate => Some(Archived::Certificate),
        Kind::Crl => Some(Archived::Crl),
        Kind::Ocsp => Some(Archived::Ocsp),
        _ => None,
    }
}

/// Reads an exported segment's object back: it must open and hash to the sealed segment's hash. For right before the file goes.
pub async fn still_there(archive: &Archive, line: &Exported) -> Result<(), ArchiveError> {
    let name = Name::Segment(line.segment);
    let object = archive.must(name).await?;
    let same = SegmentHash::of_file(&object.content) == line.hash && object.header.first == line.first;
    if !same || object.header.last != line.last {
        return Err(ArchiveError::Differs(name));
    }
    archive.must(Name::Proof(line.segment)).await.map(|_| ())
}
