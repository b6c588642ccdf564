//! An archive proven from its objects alone: every segment, the chain from one to the next, the tree under the checkpoints, and
//! everything that records name.

use std::collections::HashSet;

use yanqian_evidence::verify::Place;
use yanqian_evidence::{ChainValue, CheckpointKey, LeafHash, SegmentHash, SegmentHeader, Tree, Verifier};
use yanqian_ledger::Entry;

use crate::archive::{Archive, blocking};
use crate::error::ArchiveError;
use crate::evidence::named;
use crate::expire::Tombstone;
use crate::header::Kind;
use crate::name::Name;
use crate::proof::Proof;

/// An archive that holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verified {
    /// Of each segment from 1 on: its hash, and the chain's value and the sequence after it.
    pub ends: Vec<(SegmentHash, ChainValue, u64)>,
    /// Segments of which only hashes are left.
    pub expired: u64,
    /// Segments that a checkpoint was proven over.
    pub checkpoints: u64,
    /// Certificates, lists and responses that were read.
    pub evidence: u64,
    /// Octets of the segments.
    pub octets: u64,
}

/// Proves the whole archive; with `key`, that of the ledger's checkpoints, their signatures too. `tell` hears of each segment.
pub async fn verify(
    archive: &Archive,
    key: Option<&CheckpointKey>,
    tell: &mut (dyn FnMut(u64) + Send),
) -> Result<Verified, ArchiveError> {
    let segments: HashSet<u64> = archive.numbers(Kind::Segment).await?.into_iter().collect();
    let expired: HashSet<u64> = archive.numbers(Kind::Expired).await?.into_iter().collect();
    let last = segments.iter().chain(&expired).copied().max().unwrap_or(0);
    let (mut verified, mut tree, mut named_before) = (Verified::default(), Tree::default(), HashSet::new());
    let mut reader = Some(Verifier::new(None));
    for segment in 1..=last {
        let proof = Proof::decode(segment, &archive.must(Name::Proof(segment)).await?.content)?;
        let before = verified.ends.last().copied();
        let (end, leaves) = if segments.contains(&segment) {
            let content = archive.must(Name::Segment(segment)).await?.content;
            verified.octets += u64::try_from(content.len()).unwrap_or(u64::MAX);
            let next = reader.take();
            let (next, end, entries) = blocking(move || read(segment, next, &content)).await?;
            goes_on(segment, before, &end.1)?;
            reader = Some(next);
            for name in named(&entries) {
                if named_before.insert(name) {
                    archive.must(name).await?;
                    verified.evidence += 1;
                }
            }
            (end.0, entries.iter().map(|entry| entry.leaf).collect())
        } else {
            let tombstone = Tombstone::decode(&archive.must(Name::Expired(segment)).await?)?;
            if tombstone.first != before.map_or(1, |(_, _, last)| last + 1) {
                return Err(ArchiveError::Chain(segment));
            }
            verified.expired += 1;
            reader = None;
            (tombstone.end(), proof.leaves().collect::<Vec<LeafHash>>())
        };
        let first = before.map_or(1, |(_, _, last)| last + 1);
        let count = u64::try_from(leaves.len()).unwrap_or(u64::MAX);
        if !proof.leaves().eq(leaves.iter().copied()) || first + count != end.2 + 1 {
            return Err(ArchiveError::proof(segment, "its leaves are not the segment's"));
        }
        for leaf in leaves {
            tree.push(leaf);
        }
        let signed = proof.checkpoint(segment, end.2, tree.root(), key)?;
        verified.checkpoints += u64::from(signed.is_some());
        verified.ends.push(end);
        tell(segment);
    }
    Ok(verified)
}

type End = (SegmentHash, ChainValue, u64);
/// The reader for the next segment, where this one ends and what its header says, and its records.
type Read = (Verifier, (End, SegmentHeader), Vec<Entry>);

fn read(segment: u64, verifier: Option<Verifier>, content: &[u8]) -> Result<Read, ArchiveError> {
    let header = SegmentHeader::decode(content)
        .map(|(header, _)| header)
        .map_err(|error| ArchiveError::Proof { segment, problem: error.to_string() })?;
    if header.segment != segment {
        return Err(ArchiveError::Chain(segment));
    }
    let mut verifier = verifier.unwrap_or_else(|| Verifier::starting_at(&header, None));
    let mut entries = Vec::new();
    let taken = verifier.segment(content, Place::Sealed, |found| {
        let record = found.record.clone();
        entries.push(Entry { segment, offset: found.offset, leaf: found.frame.leaf, record });
    });
    taken.map_err(|error| ArchiveError::Segment { segment, error })?;
    let summary = verifier.summary();
    let end = (SegmentHash::of_file(content), summary.chain, summary.last_sequence);
    Ok((verifier, (end, header), entries))
}

/// Also across segments of which only hashes are left.
fn goes_on(segment: u64, before: Option<End>, header: &SegmentHeader) -> Result<(), ArchiveError> {
    let (hash, chain, last) = before.unwrap_or((SegmentHash::ORIGIN, ChainValue::ORIGIN, 0));
    let same = header.previous_segment == hash && header.previous_chain == chain && header.first_sequence == last + 1;
    if same { Ok(()) } else { Err(ArchiveError::Chain(segment)) }
}
