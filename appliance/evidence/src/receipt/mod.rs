//! A receipt: everything that an auditor needs to prove one check again, in one file. `docs/receipt-format.md` describes
//! it member by member.
//!
//! A receipt is made of records, certificates, revocation lists, the salt of the commitment, and hashes and signatures of the
//! ledger's tree. None of these can hold a portrait or a reading, and the receipt has no member for anything else.
//!
//! Reading a receipt proves its form only; `yanqian-verifier` proves what it says.

mod anchor;
mod json;

use std::fmt;

use yanqian_vocabulary::VerificationId;

pub use anchor::Anchor;

use crate::checkpoint::CheckpointError;
use crate::hash::LeafHash;
use crate::record::{Body, MAX_RECORD, Record, RecordError};
use crate::word::Der;

/// Octets of a receipt file at most.
pub const MAX_RECEIPT: usize = 16 << 20;
/// Records of one receipt at most: an intent, the exchanges that follow it, and the end.
pub const MAX_RECORDS: usize = 8;
/// Certificates, and revocation lists, of one receipt at most.
pub const MAX_EVIDENCE: usize = 64;

/// Why a receipt could not be made or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptError {
    #[error("more than {MAX_RECEIPT} octets")]
    TooLarge,
    #[error("not the JSON of a receipt: {0}")]
    Json(String),
    #[error("format version {0} is newer than this reader")]
    Version(u64),
    #[error("state {0:?} is unknown to this reader")]
    State(String),
    #[error("a pending receipt has no anchor, and an anchored one has one")]
    Anchor,
    #[error("`anchor.checkpoint`: {0}")]
    Checkpoint(CheckpointError),
    #[error("`{0}`: not in its canonical form")]
    Value(&'static str),
    #[error("`{0}`: too many entries, none, or one twice")]
    Count(&'static str),
    #[error("record {0}: {1}")]
    Record(usize, RecordError),
    #[error("the records are not those of one check, whole and in order")]
    Records,
}

/// One record as it stands in the ledger, and its name there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The record's octets, 1 to 1 048 576.
    pub octets: Vec<u8>,
    /// The leaf hash that the receipt states; [`Self::decode`] compares it.
    pub leaf: LeafHash,
}

impl Entry {
    /// The record, if the octets are one; whether `leaf` is its hash is another question.
    pub fn decode(&self) -> Result<Record, RecordError> {
        Record::decode(&self.octets)
    }
}

/// How far a receipt's records are proven to be in the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// The records are durable; no checkpoint covers them yet.
    Pending,
    /// A checkpoint covers them.
    Anchored,
}

impl State {
    pub const ALL: [Self; 2] = [Self::Pending, Self::Anchored];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Anchored => "anchored",
        }
    }
}

/// A receipt's members. See the module's documentation for what it can hold.
#[derive(Clone, PartialEq, Eq)]
pub struct Receipt {
    pub verification: VerificationId,
    pub records: Vec<Entry>,
    pub certificates: Vec<Der>,
    pub revocation: Vec<Der>,
    /// Opens the intent's commitment; absent when there is no intent, or when the salt was destroyed.
    pub salt: Option<[u8; 32]>,
    /// Absent as long as no checkpoint covers the records.
    pub anchor: Option<Anchor>,
}

impl fmt::Debug for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Receipt({}, {} records)", self.verification, self.records.len())
    }
}

impl Receipt {
    /// Makes the receipt of one check from its records' octets in the order of the ledger: an intent, the exchanges that
    /// follow it, and an outcome or outcome-unknown; or a refusal alone; or an outcome-unknown alone. Certificates and
    /// lists are DER; one that is given twice is kept once. A salt without an intent opens nothing and is left out.
    pub fn new(
        records: Vec<Vec<u8>>,
        certificates: Vec<Vec<u8>>,
        revocation: Vec<Vec<u8>>,
        salt: Option<[u8; 32]>,
    ) -> Result<Self, ReceiptError> {
        let decoded = (records.iter().zip(1..))
            .map(|(octets, number)| Record::decode(octets).map_err(|error| ReceiptError::Record(number, error)))
            .collect::<Result<Vec<_>, _>>()?;
        let verification = check_of(&decoded).ok_or(ReceiptError::Records)?;
        let opens = matches!(decoded.first().map(|record| &record.body), Some(Body::Intent(_)));
        let entry = |octets: Vec<u8>| Entry { leaf: LeafHash::of_record(&octets), octets };
        let receipt = Self {
            verification,
            records: records.into_iter().map(entry).collect(),
            certificates: each_once(ders(certificates, "certificates")?),
            revocation: each_once(ders(revocation, "revocation")?),
            salt: salt.filter(|_| opens),
            anchor: None,
        };
        receipt.check_size()
    }

    /// The same receipt under a checkpoint that covers its records; the proofs are for its records in their order.
    pub fn anchored(self, anchor: Anchor) -> Result<Self, ReceiptError> {
        Self { anchor: Some(anchor), ..self }.check_size()
    }

    pub fn state(&self) -> State {
        if self.anchor.is_some() { State::Anchored } else { State::Pending }
    }

    fn check_size(self) -> Result<Self, ReceiptError> {
        self.check_counts()?;
        if self.to_json().len() > MAX_RECEIPT {
            return Err(ReceiptError::TooLarge);
        }
        Ok(self)
    }

    fn check_counts(&self) -> Result<(), ReceiptError> {
        let records = (1..=MAX_RECORDS).contains(&self.records.len())
            && self.records.iter().all(|entry| (1..=MAX_RECORD).contains(&entry.octets.len()));
        if !records {
            return Err(ReceiptError::Count("records"));
        }
        for (name, list) in [("certificates", &self.certificates), ("revocation", &self.revocation)] {
            if list.len() > MAX_EVIDENCE || list.iter().enumerate().any(|(at, der)| list[..at].contains(der)) {
                return Err(ReceiptError::Count(name));
            }
        }
        if self.anchor.as_ref().is_some_and(|anchor| anchor.proofs.len() != self.records.len()) {
            return Err(ReceiptError::Count("anchor.proofs"));
        }
        Ok(())
    }
}

fn ders(values: Vec<Vec<u8>>, name: &'static str) -> Result<Vec<Der>, ReceiptError> {
    values.into_iter().map(|octets| Der::new(octets).map_err(|_| ReceiptError::Value(name))).collect()
}

fn each_once(values: Vec<Der>) -> Vec<Der> {
    let mut kept: Vec<Der> = Vec::new();
    for value in values {
        if !kept.contains(&value) {
            kept.push(value);
        }
    }
    kept
}

/// The check whose whole story these records tell, in the ledger's order; `None` when they tell no such story.
pub fn check_of(records: &[Record]) -> Option<VerificationId> {
    let (last, before) = records.split_last()?;
    if records.windows(2).any(|pair| pair[0].sequence >= pair[1].sequence || pair[0].time > pair[1].time) {
        return None;
    }
    let Some((first, exchanges)) = before.split_first() else {
        return match &last.body {
            Body::Refusal(refusal) => Some(refusal.verification),
            Body::OutcomeUnknown(unknown) => Some(unknown.verification),
            _ => None,
        };
    };
    let Body::Intent(intent) = &first.body else { return None };
    let belongs = |verification, sequence| verification == intent.verification && sequence == first.sequence;
    for record in exchanges {
        let Body::Exchange(exchange) = &record.body else { return None };
        if !belongs(exchange.verification, exchange.intent) {
            return None;
        }
    }
    let ends = match &last.body {
        Body::Outcome(outcome) => {
            let named = outcome.exchange == exchanges.last().map(|record| record.sequence);
            named && belongs(outcome.verification, outcome.intent)
        }
        Body::OutcomeUnknown(unknown) => belongs(unknown.verification, unknown.intent),
        _ => false,
    };
    ends.then_some(intent.verification)
}
