//! What a node says of its whole ledger at one moment, in the form of C2SP tlog-checkpoint: a signed note of four lines of text,
//! an empty line, and signatures, the ledger's first and then those of witnesses. `docs/ledger-format.md` has every octet.
//!
//! There is one spelling of a checkpoint; the reader writes it again and compares.

mod key;

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use yanqian_vocabulary::Timestamp;

use crate::hash::RootHash;
use crate::word::Origin;
pub use key::CheckpointKey;

/// Octets of a checkpoint at most.
pub const MAX_CHECKPOINT: usize = 32_768;
/// Signature lines of one checkpoint at most.
pub const MAX_SIGNATURES: usize = 16;

/// Why a text is not a checkpoint, or one is not signed as it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    #[error("more than {MAX_CHECKPOINT} octets")]
    TooLarge,
    #[error("not UTF-8")]
    Encoding,
    #[error("not four lines of text, an empty line, and signature lines")]
    Lines,
    #[error("line 1: not the name of a ledger")]
    Origin,
    #[error("line 2: not the size of a tree, from 1 on")]
    Size,
    #[error("line 3: not a hash in base64")]
    Root,
    #[error("line 4: not `time` and milliseconds")]
    Time,
    #[error("signature line {0}: not a dash, a name and base64 of 68 octets")]
    Signature(usize),
    #[error("not 1 to {MAX_SIGNATURES} signatures, each of another key")]
    Signatures,
    #[error("not the one spelling of what it says")]
    Spelling,
    #[error("the first signature is not of key `{0}`")]
    OtherKey(Origin),
    #[error("no key is known that has the name `{0}` and the id of its signature")]
    UnknownKey(Origin),
    #[error("the signature of `{0}` does not verify")]
    Unverified(Origin),
}

/// The text that is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The ledger's name.
    pub origin: Origin,
    /// Leaves of the tree: the sequence of the last record that it covers, at least 1.
    pub size: u64,
    pub root: RootHash,
    /// Not before the time of any record that it covers.
    pub time: Timestamp,
}

impl fmt::Display for Checkpoint {
    /// The octets that are signed: four lines, each with its line feed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { origin, size, root, time } = self;
        write!(f, "{origin}\n{size}\n{}\ntime {}\n", STANDARD.encode(root.as_bytes()), time.unix_millis())
    }
}

impl Checkpoint {
    /// Reads the text of a note.
    fn read(text: &str) -> Result<Self, CheckpointError> {
        let mut lines = text.split_terminator('\n');
        let mut line = || lines.next().ok_or(CheckpointError::Lines);
        let (origin, size, root, time) = (line()?, line()?, line()?, line()?);
        if lines.next().is_some() || !text.ends_with('\n') {
            return Err(CheckpointError::Lines);
        }
        let root = STANDARD.decode(root).ok().and_then(|root| root.try_into().ok());
        let millis = time.strip_prefix("time ").and_then(|millis| millis.parse().ok());
        let checkpoint = Self {
            origin: Origin::new(origin).map_err(|_| CheckpointError::Origin)?,
            size: size.parse().ok().filter(|size| *size > 0).ok_or(CheckpointError::Size)?,
            root: RootHash::new(root.ok_or(CheckpointError::Root)?),
            time: millis
                .and_then(|millis| Timestamp::try_from_unix_millis(millis).ok())
                .ok_or(CheckpointError::Time)?,
        };
        if checkpoint.to_string() == text { Ok(checkpoint) } else { Err(CheckpointError::Spelling) }
    }
}

/// One signature of a note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignatureLine {
    /// The key's name.
    pub name: Origin,
    /// See [`CheckpointKey::id`].
    pub key_id: [u8; 4],
    /// r ‖ s.
    pub signature: [u8; 64],
}

impl fmt::Display for SignatureLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let octets = [&self.key_id[..], &self.signature].concat();
        writeln!(f, "— {} {}", self.name, STANDARD.encode(octets))
    }
}

impl SignatureLine {
    /// Reads a line without its line feed.
    fn read(line: &str) -> Option<Self> {
        let (name, base64) = line.strip_prefix("— ")?.split_once(' ')?;
        let octets: [u8; 68] = STANDARD.decode(base64).ok()?.try_into().ok()?;
        let (key_id, signature) = octets.split_first_chunk()?;
        Some(Self { name: Origin::new(name).ok()?, key_id: *key_id, signature: signature.try_into().ok()? })
    }

    fn is_of_key(&self, other: &Self) -> bool {
        self.name == other.name && self.key_id == other.key_id
    }
}

/// A checkpoint as it is published. Reading one proves its form only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedCheckpoint {
    pub checkpoint: Checkpoint,
    signatures: Vec<SignatureLine>,
}

impl SignedCheckpoint {
    /// With the ledger's own signature.
    pub fn new(checkpoint: Checkpoint, signature: SignatureLine) -> Self {
        Self { checkpoint, signatures: vec![signature] }
    }

    /// Reads one checkpoint and nothing after it.
    pub fn from_octets(octets: &[u8]) -> Result<Self, CheckpointError> {
        if octets.len() > MAX_CHECKPOINT {
            return Err(CheckpointError::TooLarge);
        }
        let note = std::str::from_utf8(octets).map_err(|_| CheckpointError::Encoding)?;
        let end = note.find("\n\n").ok_or(CheckpointError::Lines)?;
        let (text, rest) = note.split_at(end + 1);
        let checkpoint = Checkpoint::read(text)?;
        let lines = rest.strip_prefix('\n').and_then(|rest| rest.strip_suffix('\n')).ok_or(CheckpointError::Lines)?;
        let mut signed = Self { checkpoint, signatures: Vec::new() };
        for (line, number) in lines.split('\n').zip(1..) {
            signed.add(SignatureLine::read(line).ok_or(CheckpointError::Signature(number))?)?;
        }
        if signed.to_string() == note { Ok(signed) } else { Err(CheckpointError::Spelling) }
    }

    /// Puts a witness's signature after the others.
    pub fn add(&mut self, line: SignatureLine) -> Result<(), CheckpointError> {
        let new = !self.signatures.iter().any(|present| present.is_of_key(&line));
        if !new || self.signatures.len() == MAX_SIGNATURES {
            return Err(CheckpointError::Signatures);
        }
        self.signatures.push(line);
        Ok(())
    }

    /// At least one; the first is the ledger's.
    pub fn signatures(&self) -> &[SignatureLine] {
        &self.signatures
    }

    /// The same with the ledger's signature alone: what a time-stamp token is about.
    #[must_use]
    pub fn without_witnesses(&self) -> Self {
        Self { checkpoint: self.checkpoint.clone(), signatures: self.signatures.iter().take(1).cloned().collect() }
    }
}

impl fmt::Display for SignedCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.checkpoint)?;
        self.signatures.iter().try_for_each(|line| write!(f, "{line}"))
    }
}

impl FromStr for SignedCheckpoint {
    type Err = CheckpointError;

    fn from_str(text: &str) -> Result<Self, CheckpointError> {
        Self::from_octets(text.as_bytes())
    }
}
