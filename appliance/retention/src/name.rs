use std::fmt;

use yanqian_ledger::Archived;

use crate::header::Kind;

/// What an object is called; the archive's own folder and the ledger's origin stand before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Name {
    Segment(u64),
    /// Of the segment with that number.
    Proof(u64),
    /// By its SM3.
    Certificate([u8; 32]),
    Crl([u8; 32]),
    Ocsp([u8; 32]),
    /// What is left of the segment with that number.
    Expired(u64),
    Hold(u64),
    /// Of the hold with that number.
    Release(u64),
}

impl Name {
    pub const fn kind(self) -> Kind {
        match self {
            Self::Segment(_) => Kind::Segment,
            Self::Proof(_) => Kind::Proof,
            Self::Certificate(_) => Kind::Certificate,
            Self::Crl(_) => Kind::Crl,
            Self::Ocsp(_) => Kind::Ocsp,
            Self::Expired(_) => Kind::Expired,
            Self::Hold(_) => Kind::Hold,
            Self::Release(_) => Kind::Release,
        }
    }

    /// 0 for what is named by its hash.
    pub const fn number(self) -> u64 {
        match self {
            Self::Segment(n) | Self::Proof(n) | Self::Expired(n) | Self::Hold(n) | Self::Release(n) => n,
            Self::Certificate(_) | Self::Crl(_) | Self::Ocsp(_) => 0,
        }
    }

    pub(crate) const fn hash(self) -> Option<[u8; 32]> {
        match self {
            Self::Certificate(hash) | Self::Crl(hash) | Self::Ocsp(hash) => Some(hash),
            _ => None,
        }
    }

    pub(crate) const fn of_evidence(kind: Archived, hash: [u8; 32]) -> Self {
        match kind {
            Archived::Certificate => Self::Certificate(hash),
            Archived::Crl => Self::Crl(hash),
            Archived::Ocsp => Self::Ocsp(hash),
        }
    }

    /// The number in a numbered object's file name.
    pub(crate) fn number_of(file: &str) -> Option<u64> {
        let number = file.strip_suffix(".yqa")?.parse().ok()?;
        // Nothing is numbered higher; whoever has the storage could put anything there.
        (1..=MOST).contains(&number).then_some(number).filter(|number| file == format!("{number:08}.yqa"))
    }
}

/// Eight digits.
const MOST: u64 = 99_999_999;

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let folder = self.kind().folder();
        match self.hash() {
            Some(hash) => write!(f, "{folder}/{}.yqa", hex::encode(hash)),
            None => write!(f, "{folder}/{:08}.yqa", self.number()),
        }
    }
}
