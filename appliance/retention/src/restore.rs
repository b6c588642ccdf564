//! Segments back from the archive: beside a ledger that goes on, or as a ledger of their own.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use yanqian_evidence::SegmentHash;
use yanqian_evidence::segment::file_name;
use yanqian_ledger::storage::RESTORED;
use yanqian_ledger::{Archive as Kept, Archived, Exported, exported};

use crate::archive::{Archive, blocking};
use crate::error::ArchiveError;
use crate::evidence::named;
use crate::header::Kind;
use crate::name::Name;

/// Puts a segment where readers of the ledger look for what is not there any more: `restored/` in its directory. The daemon never
/// writes there, and whoever does not need it any more may remove it.
///
/// # Errors
/// An object that is not the segment which was exported from this ledger.
pub async fn restore(archive: &Archive, ledger: &Path, line: &Exported) -> Result<(), ArchiveError> {
    let name = Name::Segment(line.segment);
    let content = archive.must(name).await?.content;
    if SegmentHash::of_file(&content) != line.hash {
        return Err(ArchiveError::Differs(name));
    }
    let (directory, segment) = (ledger.join(RESTORED), line.segment);
    blocking(move || write(&directory, &file_name(segment), &content)).await
}

/// Makes a ledger of all segments in the archive, `ledger/` and `archive/` in `out`, for a node that lost its own or for somebody who
/// only reads. Ends before the first segment that was expired, unless that is where it begins; gives the numbers of the first and last.
pub async fn restore_whole(archive: &Archive, out: &Path, from: u64) -> Result<(u64, u64), ArchiveError> {
    let segments = archive.numbers(Kind::Segment).await?;
    let last = segments.iter().skip_while(|segment| **segment < from).zip(from..);
    let last = last.take_while(|(found, expected)| **found == *expected).last().map(|(found, _)| *found);
    let last = last.ok_or(ArchiveError::Absent(Name::Segment(from)))?;
    let kept = out.join("archive");
    let opening = kept.clone();
    make(out)?;
    let kept = blocking(move || Kept::open(&opening))
        .await
        .map_err(|error| ArchiveError::Io { file: kept.display().to_string(), source: io::Error::other(error) })?;
    for segment in from..=last {
        let content = archive.must(Name::Segment(segment)).await?.content;
        let (line, entries) = exported(&content, archive.location())?;
        debug_assert_eq!(line.segment, segment);
        for name in named(&entries) {
            let kind = match name.kind() {
                Kind::Crl => Archived::Crl,
                Kind::Ocsp => Archived::Ocsp,
                _ => Archived::Certificate,
            };
            let octets = archive.must(name).await?.content;
            kept.put(kind, &octets).map_err(|error| ArchiveError::Evidence {
                segment,
                name,
                problem: error.to_string(),
            })?;
        }
        let directory = out.join("ledger");
        blocking(move || write(&directory, &file_name(segment), &content)).await?;
    }
    Ok((from, last))
}

fn at(file: &Path) -> impl FnOnce(io::Error) -> ArchiveError + '_ {
    move |source| ArchiveError::Io { file: file.display().to_string(), source }
}

fn make(directory: &Path) -> Result<(), ArchiveError> {
    DirBuilder::new().recursive(true).mode(0o750).create(directory).map_err(at(directory))
}

/// Whole or not at all.
fn write(directory: &Path, name: &str, octets: &[u8]) -> Result<(), ArchiveError> {
    make(directory)?;
    let (file, unfinished) = (directory.join(name), directory.join(format!("{name}.new")));
    let written = (|| {
        let mut out = OpenOptions::new().write(true).create(true).truncate(true).mode(0o640).open(&unfinished)?;
        out.write_all(octets)?;
        out.sync_all()?;
        fs::rename(&unfinished, &file)?;
        File::open(directory)?.sync_all()
    })();
    written.map_err(at(&file))
}
