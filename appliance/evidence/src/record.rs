//! One record: deterministic CBOR (RFC 8949 §4.2.1), a map of six integer keys in this order.
//!
//! | key | value |
//! |---|---|
//! | 0 | schema, unsigned: 1 to 4, see [`Schema`] |
//! | 1 | kind, unsigned: see [`Kind`] |
//! | 2 | sequence, unsigned: 1 for a node's first record, then one more for each |
//! | 3 | time, unsigned: UTC milliseconds since 1970, never less than the record before |
//! | 4 | context, map: see [`Context`] |
//! | 5 | body: a map, or for management records an array of event number and map |
//!
//! There is exactly one encoding of a record. The decoder proves that by encoding again and comparing, so unknown keys,
//! long integers, indefinite lengths and unsorted keys are all refused. A schema is closed once records are written in
//! it: a change that adds a key makes the next one, and every later reader still reads those before (the fixtures of
//! this crate hold it to that).

use std::fmt;

use minicbor::{Decoder, Encoder};
use yanqian_vocabulary::{Timestamp, VerificationId};

use crate::cbor::Item;
use crate::context::Context;
use crate::exchange::Exchange;
use crate::intent::Intent;
use crate::operation::{Aggregate, Management};
use crate::outcome::{Outcome, OutcomeUnknown, Refusal};

/// Which keys a record may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Schema {
    /// Real-name checks in one request.
    One = 1,
    /// Adds the encryption key and certificate to the context, exchanges of more than one step, and readings.
    Two = 2,
    /// Adds changes of the key in use.
    Three = 3,
    /// Adds what becomes of search keys and salts, what administrators do in tokens, and what becomes of archived segments.
    Four = 4,
}

impl Schema {
    /// The schema that this version writes.
    pub const CURRENT: Self = Self::Four;

    fn of(number: u64) -> Option<Self> {
        [Self::One, Self::Two, Self::Three, Self::Four].into_iter().find(|schema| *schema as u64 == number)
    }

    /// The first schema that has every part of a record.
    fn least(context: &Context, body: &Body) -> Self {
        let newer_context = context.encryption_key.is_some() || context.encryption_certificate.is_some();
        let newer_body = match body {
            Body::Exchange(_) => true,
            Body::Outcome(outcome) => outcome.exchange.is_some() || outcome.reading.is_some(),
            Body::Management(Management::KeyChanged { .. }) => return Self::Three,
            Body::Management(
                Management::SearchEpochBegun { .. }
                | Management::SearchEpochDestroyed { .. }
                | Management::SaltDestroyed { .. }
                | Management::TokenAdministered { .. }
                | Management::SegmentRemoved { .. }
                | Management::SegmentExpired { .. }
                | Management::HoldPlaced { .. }
                | Management::HoldReleased { .. },
            ) => return Self::Four,
            _ => false,
        };
        if newer_context || newer_body { Self::Two } else { Self::One }
    }
}

/// Octets of one record at most.
pub const MAX_RECORD: usize = 1 << 20;

/// Why octets are not a record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// A later format than this reader knows; nothing says that it is damaged.
    #[error("schema {0} is newer than this reader")]
    UnknownSchema(u64),
    #[error("record kind {0} does not exist")]
    UnknownKind(u64),
    /// A record says that it is of a schema which lacks some of its parts.
    #[error("the record has parts that its schema {} does not have", *.0 as u64)]
    NotInSchema(Schema),
    #[error("not the CBOR of a record: {0}")]
    Malformed(String),
    /// The octets decode, but they are not the one deterministic encoding of what they say.
    #[error("not the deterministic encoding of its content")]
    NotCanonical,
    #[error("record of more than {MAX_RECORD} octets")]
    TooLarge,
}

impl RecordError {
    /// Stable code for labels and reports.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::UnknownSchema(_) => "unknown-schema",
            Self::UnknownKind(_) => "unknown-kind",
            Self::NotInSchema(_) => "not-in-schema",
            Self::Malformed(_) => "malformed",
            Self::NotCanonical => "not-canonical",
            Self::TooLarge => "too-large",
        }
    }
}

macro_rules! bodies {
    ($($(#[$doc:meta])* $name:ident($body:ty) = $code:literal, $text:literal;)*) => {
        /// What a record says.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum Body { $($(#[$doc])* $name($body),)* }

        /// The kind of a record, and its number in key 1.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Kind { $($(#[$doc])* $name = $code,)* }

        impl Kind {
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }

        impl Body {
            pub const fn kind(&self) -> Kind {
                match self { $(Self::$name(_) => Kind::$name,)* }
            }

            fn put(&self, e: &mut Encoder<&mut Vec<u8>>) -> Result<(), minicbor::encode::Error<std::convert::Infallible>> {
                match self { $(Self::$name(body) => e.encode(body)?.ok(),)* }
            }

            fn take(kind: u64, d: &mut Decoder<'_>) -> Result<Self, RecordError> {
                match kind {
                    $($code => d.decode().map(Self::$name).map_err(malformed),)*
                    _ => Err(RecordError::UnknownKind(kind)),
                }
            }
        }

        $(impl From<$body> for Body {
            fn from(body: $body) -> Self {
                Self::$name(body)
            }
        })*
    };
}

bodies! {
    /// A check that the agreement allowed, before the token is asked.
    Intent(Intent) = 1, "intent";
    /// The end of a check that had an intent.
    Outcome(Outcome) = 2, "outcome";
    /// The end of a check that was refused before an intent.
    Refusal(Refusal) = 3, "refusal";
    /// The end of a check that a crash left open.
    OutcomeUnknown(OutcomeUnknown) = 4, "outcome-unknown";
    /// Counts of what was turned away before any decision.
    Aggregate(Aggregate) = 5, "aggregate";
    /// An event in the life of the appliance.
    Management(Management) = 6, "management";
    /// A step of a check that takes more than one request, and what is signed next. From schema 2.
    Exchange(Exchange) = 7, "exchange";
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Body {
    /// The check that the record is about; none for aggregates and management records.
    pub const fn verification(&self) -> Option<VerificationId> {
        match self {
            Self::Intent(intent) => Some(intent.verification),
            Self::Exchange(exchange) => Some(exchange.verification),
            Self::Outcome(outcome) => Some(outcome.verification),
            Self::Refusal(refusal) => Some(refusal.verification),
            Self::OutcomeUnknown(unknown) => Some(unknown.verification),
            Self::Aggregate(_) | Self::Management(_) => None,
        }
    }
}

/// One entry of the ledger. Sequence and time are the ledger's own, given when the record is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// [`Schema::CURRENT`] in every new record.
    pub schema: Schema,
    pub sequence: u64,
    pub time: Timestamp,
    pub context: Context,
    pub body: Body,
}

fn malformed(error: impl fmt::Display) -> RecordError {
    RecordError::Malformed(error.to_string())
}

impl Record {
    /// The one encoding of this record.
    pub fn encode(&self) -> Vec<u8> {
        encode_as(self.schema, self.sequence, self.time, &self.context, &self.body)
    }

    /// Reads exactly one record, no octet more.
    pub fn decode(octets: &[u8]) -> Result<Self, RecordError> {
        if octets.len() > MAX_RECORD {
            return Err(RecordError::TooLarge);
        }
        let mut d = Decoder::new(octets);
        let members = d.map().map_err(malformed)?;
        key(&mut d, 0)?;
        // The schema is looked at before anything else: a later format may differ in all the rest.
        let schema = d.u64().map_err(malformed)?;
        let schema = Schema::of(schema).ok_or(RecordError::UnknownSchema(schema))?;
        if members != Some(6) {
            return Err(malformed("expected a map of 6"));
        }
        key(&mut d, 1)?;
        let kind = d.u64().map_err(malformed)?;
        key(&mut d, 2)?;
        let sequence = d.u64().map_err(malformed)?;
        key(&mut d, 3)?;
        let time = Timestamp::take(&mut d).map_err(malformed)?;
        key(&mut d, 4)?;
        let context = d.decode().map_err(malformed)?;
        key(&mut d, 5)?;
        let body = Body::take(kind, &mut d)?;
        if Schema::least(&context, &body) > schema {
            return Err(RecordError::NotInSchema(schema));
        }
        let record = Self { schema, sequence, time, context, body };
        if record.encode() == octets { Ok(record) } else { Err(RecordError::NotCanonical) }
    }
}

/// As [`Record::encode`] of a new record, without taking the parts.
pub fn encode(sequence: u64, time: Timestamp, context: &Context, body: &Body) -> Vec<u8> {
    encode_as(Schema::CURRENT, sequence, time, context, body)
}

fn encode_as(schema: Schema, sequence: u64, time: Timestamp, context: &Context, body: &Body) -> Vec<u8> {
    let mut octets = Vec::with_capacity(1024);
    let mut e = Encoder::new(&mut octets);
    let written = (|| {
        e.map(6)?;
        e.u8(0)?.u64(schema as u64)?;
        e.u8(1)?.u64(body.kind() as u64)?;
        e.u8(2)?.u64(sequence)?;
        e.u8(3)?;
        time.put(&mut e)?;
        e.u8(4)?.encode(context)?;
        e.u8(5)?;
        body.put(&mut e)
    })();
    debug_assert!(written.is_ok(), "writing into memory does not fail");
    octets
}

fn key(d: &mut Decoder<'_>, expected: u64) -> Result<(), RecordError> {
    let found = d.u64().map_err(malformed)?;
    if found == expected { Ok(()) } else { Err(malformed(format_args!("key {found} where {expected} belongs"))) }
}
