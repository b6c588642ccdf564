//! Which sealed segments an archive holds, and which of them are held there only: the file `exported` in the ledger's directory.
//! Lines are added and never changed. The writer adds them; without this list no segment may be missing.

use std::fmt::Write as _;
use std::io;

use yanqian_evidence::segment::SegmentHeader;
use yanqian_evidence::{ChainValue, Defect, SegmentHash, VerifyError};
use yanqian_sm::sm3;
use yanqian_vocabulary::{ContentDigest, Timestamp};

use crate::error::{Doing as _, OpenError};
use crate::storage::{Storage, read_all, wide, write_all};

pub(crate) const FILE_NAME: &str = "exported";

/// A sealed segment that was read back whole from an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    pub segment: u64,
    /// Sequences of its first and last record.
    pub first: u64,
    pub last: u64,
    /// Octets of its file.
    pub octets: u64,
    /// Of its last record.
    pub last_time: Timestamp,
    /// Of its file.
    pub hash: SegmentHash,
    /// The chain's value after its last record.
    pub chain: ChainValue,
    /// The archive, as the configuration calls it.
    pub archive: String,
}

/// The list as far as it was written whole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExportedList {
    /// Without a gap from segment 1 on.
    pub segments: Vec<Exported>,
    /// Segments up to this one may be missing here; 0 for none.
    pub removed: u64,
    /// Octets of the whole lines.
    length: u64,
}

impl ExportedList {
    pub(crate) fn read(storage: &dyn Storage) -> Result<Self, OpenError> {
        let octets = match storage.open(FILE_NAME, false) {
            Ok(file) => read_all(&*file).doing("reading the list of exported segments")?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(error).doing("opening the list of exported segments"),
        };
        Self::parse(&octets)
    }

    /// What a crash left unfinished at the end is no line; anything else that is no line is damage.
    fn parse(octets: &[u8]) -> Result<Self, OpenError> {
        let mut list = Self::default();
        let whole = octets.iter().rposition(|octet| *octet == b'\n').map_or(0, |end| end + 1);
        for (line, number) in octets[..whole].split_inclusive(|octet| *octet == b'\n').zip(1..) {
            let text = std::str::from_utf8(line).ok().and_then(|line| line.strip_suffix('\n'));
            text.and_then(|text| list.take(text)).ok_or(OpenError::ExportedDamaged(number))?;
        }
        list.length = wide(whole);
        Ok(list)
    }

    fn take(&mut self, line: &str) -> Option<()> {
        let (said, check) = line.rsplit_once(' ')?;
        if check_of(said) != check {
            return None;
        }
        let fields: Vec<&str> = said.split(' ').collect();
        let number = |text: &str| text.parse::<u64>().ok().filter(|number| number.to_string() == text);
        match fields.as_slice() {
            ["exported", segment, first, last, octets, time, hash, chain, archive] => {
                let digest = |text: &str| text.parse::<ContentDigest>().ok().map(|digest| *digest.as_bytes());
                let exported = Exported {
                    segment: number(segment)?,
                    first: number(first)?,
                    last: number(last)?,
                    octets: number(octets)?,
                    last_time: Timestamp::try_from_unix_millis(i64::try_from(number(time)?).ok()?).ok()?,
                    hash: SegmentHash::new(digest(hash)?),
                    chain: ChainValue::new(digest(chain)?),
                    archive: (*archive).to_owned(),
                };
                self.follows(&exported).then(|| self.segments.push(exported))
            }
            ["removed", segment] => {
                let segment = number(segment)?;
                let follows = segment == self.removed + 1 && segment <= wide(self.segments.len());
                follows.then(|| self.removed = segment)
            }
            _ => None,
        }
    }

    fn follows(&self, next: &Exported) -> bool {
        let first = self.segments.last().map_or(1, |before| before.last + 1);
        next.segment == wide(self.segments.len()) + 1 && next.first == first && next.last >= first
    }

    /// The segment's line, where it was exported.
    pub fn of(&self, segment: u64) -> Option<&Exported> {
        self.segments.get(usize::try_from(segment.checked_sub(1)?).ok()?)
    }

    /// Whether the segment with this header goes on after what is only in the archive.
    pub(crate) fn goes_on_with(&self, header: &SegmentHeader) -> Result<(), OpenError> {
        let before = header.segment.saturating_sub(1);
        let absent = OpenError::SegmentMissing(before);
        if before > self.removed {
            return Err(absent);
        }
        let known = self.of(before).ok_or(absent)?;
        let defect = match () {
            () if header.previous_segment != known.hash => Defect::PreviousSegment,
            () if header.previous_chain != known.chain => Defect::PreviousChain,
            () if header.first_sequence != known.last + 1 => {
                Defect::FirstSequence { expected: known.last + 1, found: header.first_sequence }
            }
            () => return Ok(()),
        };
        Err(VerifyError { segment: header.segment, offset: 0, sequence: None, defect }.into())
    }

    /// Adds a line for a segment that is sealed here; when this returns it is durable.
    pub(crate) fn export(&mut self, storage: &dyn Storage, exported: &Exported) -> io::Result<()> {
        let archive: String = exported.archive.chars().map(|c| if c.is_ascii_graphic() { c } else { '_' }).collect();
        let Exported { segment, first, last, octets, last_time, hash, chain, .. } = exported;
        let time = last_time.unix_millis();
        self.add(storage, &format!("exported {segment} {first} {last} {octets} {time} {hash} {chain} {archive}"))
    }

    /// Adds the line without which no file may be missing; when this returns it is durable.
    pub(crate) fn remove(&mut self, storage: &dyn Storage, segment: u64) -> io::Result<()> {
        if self.removed >= segment { Ok(()) } else { self.add(storage, &format!("removed {segment}")) }
    }

    fn add(&mut self, storage: &dyn Storage, said: &str) -> io::Result<()> {
        let mut line = said.to_owned();
        let _ = write!(line, " {}", check_of(said)); // a string takes all
        let mut after = self.clone();
        after
            .take(&line)
            .ok_or_else(|| io::Error::other("a line that does not follow in the list of exported segments"))?;
        line.push('\n');
        let (file, made) = match storage.open(FILE_NAME, true) {
            Ok(file) => (file, false),
            Err(error) if error.kind() == io::ErrorKind::NotFound => (storage.create(FILE_NAME)?, true),
            Err(error) => return Err(error),
        };
        file.set_length(self.length)?;
        write_all(&*file, line.as_bytes(), self.length)?;
        file.sync()?;
        if made {
            storage.sync_names()?;
        }
        after.length = self.length + wide(line.len());
        *self = after;
        Ok(())
    }
}

/// The first four octets of SM3 over what a line says.
fn check_of(said: &str) -> String {
    ContentDigest::new(sm3(&[said.as_bytes()])).to_string()[..8].to_owned()
}

/// The line of a sealed segment, from its own octets.
///
/// # Errors
/// Octets that are no sealed segment which goes on as its header says.
pub fn exported(octets: &[u8], archive: &str) -> Result<(Exported, Vec<crate::Entry>), OpenError> {
    let (header, _) = SegmentHeader::decode(octets).map_err(|error| crate::recovery::header_error(0, error))?;
    let segment = header.segment;
    let mut verifier = match segment {
        1 => yanqian_evidence::Verifier::new(None),
        _ => yanqian_evidence::Verifier::starting_at(&header, None),
    };
    let mut entries = Vec::new();
    verifier.segment(octets, yanqian_evidence::verify::Place::Sealed, |found| {
        let record = found.record.clone();
        entries.push(crate::Entry { segment, offset: found.offset, leaf: found.frame.leaf, record });
    })?;
    let summary = verifier.summary();
    let last_time = summary.last_time.ok_or(OpenError::SegmentMissing(segment))?;
    let line = Exported {
        segment,
        first: header.first_sequence,
        last: summary.last_sequence,
        octets: wide(octets.len()),
        last_time,
        hash: SegmentHash::of_file(octets),
        chain: summary.chain,
        archive: archive.to_owned(),
    };
    Ok((line, entries))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::storage::Directory;

    fn line(segment: u64) -> Exported {
        Exported {
            segment,
            first: segment * 10 - 9,
            last: segment * 10,
            octets: 4096,
            last_time: Timestamp::from_unix_millis(1_764_000_000_000),
            hash: SegmentHash::new([1; 32]),
            chain: ChainValue::new([2; 32]),
            archive: "s3://bucket/a b".to_owned(),
        }
    }

    #[test]
    fn lines_are_read_as_written_and_a_torn_one_is_written_over() {
        let directory = tempfile::tempdir().unwrap();
        let storage = Directory::exclusive(directory.path()).unwrap();
        let mut list = ExportedList::read(&storage).unwrap();
        assert_eq!(list, ExportedList::default());
        list.export(&storage, &line(1)).unwrap();
        list.export(&storage, &line(2)).unwrap();
        list.remove(&storage, 1).unwrap();
        list.remove(&storage, 1).unwrap();
        assert_eq!(ExportedList::read(&storage).unwrap(), list);
        assert_eq!((list.removed, list.of(2).unwrap().archive.as_str()), (1, "s3://bucket/a_b"));
        assert!(list.export(&storage, &line(2)).is_err() && list.remove(&storage, 3).is_err());

        let file = directory.path().join(FILE_NAME);
        let whole = std::fs::read(&file).unwrap();
        std::fs::write(&file, [&whole[..], b"removed 2 0"].concat()).unwrap();
        let mut list = ExportedList::read(&storage).unwrap();
        assert_eq!(list.removed, 1, "what is not whole was never said");
        list.remove(&storage, 2).unwrap();
        assert_eq!(ExportedList::read(&storage).unwrap().removed, 2);
    }

    #[test]
    fn a_changed_octet_in_the_list_is_damage() {
        let directory = tempfile::tempdir().unwrap();
        let storage = Directory::exclusive(directory.path()).unwrap();
        let mut list = ExportedList::default();
        list.export(&storage, &line(1)).unwrap();
        list.remove(&storage, 1).unwrap();
        let file = directory.path().join(FILE_NAME);
        let whole = std::fs::read(&file).unwrap();
        for at in 0..whole.len() - 1 {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            std::fs::write(&file, changed).unwrap();
            let error = ExportedList::read(&storage).unwrap_err();
            assert_eq!(error.code(), "exported-damaged", "octet {at}");
        }
    }
}
