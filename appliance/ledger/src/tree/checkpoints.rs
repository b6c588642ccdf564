//! Every checkpoint of a node, one file for each size.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use yanqian_evidence::checkpoint::MAX_CHECKPOINT;
use yanqian_evidence::tile::number_path;
use yanqian_evidence::{CheckpointKey, Der, SignedCheckpoint};

use super::TreeError;
use super::files::{at, read, write};
use super::keys::KnownKeys;

/// Octets of a time-stamp token at most.
const MAX_TOKEN: usize = 1 << 20;
/// Groups of three digits in the largest size.
const GROUPS: u32 = 7;

/// The directory that keeps them.
#[derive(Debug, Clone)]
pub struct Checkpoints {
    directory: PathBuf,
}

impl Checkpoints {
    pub fn new(directory: &Path) -> Self {
        Self { directory: directory.to_owned() }
    }

    pub(super) fn file(&self, size: u64, ending: &str) -> PathBuf {
        self.directory.join(number_path(size) + ending)
    }

    /// The checkpoint of exactly that size, with witnesses' lines where there are some.
    pub fn read(&self, size: u64) -> Result<Option<SignedCheckpoint>, TreeError> {
        for ending in [".cosigned", ""] {
            let file = self.file(size, ending);
            let Some(octets) = read(&file, MAX_CHECKPOINT)? else { continue };
            let signed = SignedCheckpoint::from_octets(&octets)
                .map_err(|error| TreeError::Checkpoint { file: file.clone(), error })?;
            if signed.checkpoint.size != size {
                return Err(TreeError::OtherCheckpoint(file));
            }
            return Ok(Some(signed));
        }
        Ok(None)
    }

    /// The time-stamp token that lies beside the checkpoint.
    pub fn timestamp(&self, size: u64) -> Result<Option<Der>, TreeError> {
        let file = self.file(size, ".tst");
        let token = read(&file, MAX_TOKEN)?.map(Der::new).transpose();
        token.map_err(|error| at::<()>(&file, Err(io::Error::other(error))).err().unwrap_or(TreeError::Tile(file)))
    }

    /// Keeps public keys beside the checkpoints, so that `ledger verify` can prove their signatures; durable when this returns.
    pub fn keep_keys(&self, keys: &[CheckpointKey]) -> Result<(), TreeError> {
        KnownKeys::keep(&self.directory, keys)
    }

    /// Keeps a checkpoint with the ledger's signature alone; when this returns it is durable.
    pub fn keep(&self, signed: &SignedCheckpoint) -> Result<(), TreeError> {
        let file = self.file(signed.checkpoint.size, "");
        write(&self.directory, &file, signed.without_witnesses().to_string().as_bytes())
    }

    /// Keeps the lines of witnesses beside it.
    pub fn keep_cosigned(&self, signed: &SignedCheckpoint) -> Result<(), TreeError> {
        write(&self.directory, &self.file(signed.checkpoint.size, ".cosigned"), signed.to_string().as_bytes())
    }

    /// The smallest size of a checkpoint that covers the record with that sequence.
    pub fn first_covering(&self, sequence: u64) -> Result<Option<u64>, TreeError> {
        let groups = sequence.max(1).ilog10() / 3;
        let found = (groups..GROUPS).find_map(|below| search(&self.directory, 0, below, sequence, false).transpose());
        found.transpose()
    }

    /// Every size, from the smallest on.
    pub fn sizes(&self) -> Result<Vec<u64>, TreeError> {
        let mut sizes = Vec::new();
        for below in 0..GROUPS {
            collect(&self.directory, 0, below, &mut sizes)?;
        }
        Ok(sizes)
    }

    /// The largest size.
    pub fn latest(&self) -> Result<Option<u64>, TreeError> {
        let found = (0..GROUPS).rev().find_map(|below| search(&self.directory, 0, below, 1, true).transpose());
        found.transpose()
    }
}

/// The smallest size from `least` on, or the largest, of those whose name has `below` more groups after `value`.
fn search(directory: &Path, value: u64, below: u32, least: u64, largest: bool) -> Result<Option<u64>, TreeError> {
    let mut numbers = numbers(directory, value, below)?;
    if largest {
        numbers.reverse();
    }
    for (next, deeper) in numbers {
        // The largest that can lie there; what is smaller than asked for is not looked at.
        let most = 1000u64.checked_pow(below).and_then(|span| next.checked_mul(span)?.checked_add(span - 1));
        if most.is_some_and(|most| most < least) {
            continue;
        }
        let found = if below == 0 { Some(next) } else { search(&deeper, next, below - 1, least, largest)? };
        if let Some(found) = found.filter(|found| *found >= least) {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// All sizes whose name has `below` more groups after `value`, in order.
fn collect(directory: &Path, value: u64, below: u32, sizes: &mut Vec<u64>) -> Result<(), TreeError> {
    for (next, deeper) in numbers(directory, value, below)? {
        if below == 0 {
            sizes.push(next);
        } else {
            collect(&deeper, next, below - 1, sizes)?;
        }
    }
    Ok(())
}

/// `value` with each group of digits that a directory has a name for, in order, and where the next group lies.
fn numbers(directory: &Path, value: u64, below: u32) -> Result<Vec<(u64, PathBuf)>, TreeError> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => at(directory, entries)?,
    };
    let mut numbers = Vec::new();
    for entry in entries {
        let entry = at(directory, entry)?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        let digits = if below == 0 { Some(name) } else { name.strip_prefix('x') };
        let digits = digits.filter(|digits| digits.len() == 3 && digits.bytes().all(|octet| octet.is_ascii_digit()));
        let Some(number) = digits.and_then(|digits| digits.parse::<u64>().ok()) else { continue };
        let next = value.checked_mul(1000).and_then(|value| value.checked_add(number));
        numbers.extend(next.map(|next| (next, entry.path())));
    }
    numbers.sort_unstable();
    Ok(numbers)
}
