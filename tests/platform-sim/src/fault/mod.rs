//! Faults of an answer by name, each of one stage: what the answer says, how it is written, how it is signed, by whom, how it is
//! packed, and how it travels. A fault of an early stage is signed as it stands, so that only the check that looks for it can see it.

mod certificate;
mod connection;
mod envelope;
mod gzip;
mod issue;
mod json;
mod message;
mod reading;
mod script;
mod signature;
mod statement;
mod tls;
mod wire;

use std::fmt;
use std::str::FromStr;

pub(crate) use self::certificate::{Cast, Desk};
pub(crate) use self::connection::Connection;
pub(crate) use self::envelope::Outer;
pub(crate) use self::json::Written;
pub(crate) use self::reading::Sealing;
pub(crate) use self::script::Script;
pub(crate) use self::signature::Pen;
pub(crate) use self::statement::Statement;
pub(crate) use self::tls::{close_in_the_request, refuse};
pub(crate) use self::wire::Ready;
use crate::signed_data::Message;
use crate::{Misbehaviour, SimError};

/// What a fault does, at its stage.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Change {
    /// The answer says something else.
    Statement(fn(&mut Statement<'_>)),
    /// The package is written in another way.
    Json(fn(&str) -> Written),
    /// The signature is another number, or the same number in another encoding.
    Signature(fn(&Pen<'_>) -> Result<Vec<u8>, SimError>),
    /// The attributes are others, and signed.
    Attributes(fn(&mut Vec<Vec<u8>>)),
    /// The message around the signature is another.
    Message(fn(&mut Message, &Desk<'_>) -> Result<(), SimError>),
    /// The message's octets are changed.
    Octets(fn(&mut Vec<u8>)),
    /// The signer shows another certificate.
    Certificate(fn(&Desk<'_>) -> Result<Cast, SimError>),
    /// Package and signature are packed in another way, in forms that have both.
    Envelope(fn(&Outer<'_>) -> Vec<u8>),
    /// The sealed reading is another, and named by its digest.
    Reading(fn(&Sealing<'_>) -> Result<Vec<u8>, SimError>),
    /// The header fields are others, in the form that signs in the header.
    Headers(fn(&mut Vec<(&'static str, String)>)),
    /// The answer travels in another way.
    Wire(fn(&Ready) -> Script),
    /// The connection is not what it should be: no request comes over it.
    Connection(Connection),
}

/// A fault: its name, as `family/what`, and what it does.
#[derive(Debug)]
pub struct Fault {
    name: &'static str,
    pub(crate) change: Change,
}

impl Fault {
    const fn new(name: &'static str, change: Change) -> Self {
        Self { name, change }
    }

    /// All of them, stage by stage.
    pub fn all() -> impl Iterator<Item = &'static Self> {
        let stages = [
            statement::ALL,
            json::ALL,
            signature::ALL,
            message::ALL,
            certificate::ALL,
            envelope::ALL,
            reading::ALL,
            wire::ALL,
            connection::ALL,
        ];
        stages.into_iter().flatten()
    }

    /// Name on the control listener.
    pub fn name(&self) -> &'static str {
        self.name
    }
}

/// What the platform is told to do in an answer: a misbehaviour or a fault, which share one space of names.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Order {
    /// One of the misbehaviours.
    Misbehaviour(Misbehaviour),
    /// One of the faults.
    Fault(&'static Fault),
}

impl Order {
    /// Name on the control listener.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Misbehaviour(misbehaviour) => misbehaviour.name(),
            Self::Fault(fault) => fault.name(),
        }
    }

    pub(crate) fn misbehaviour(self) -> Option<Misbehaviour> {
        match self {
            Self::Misbehaviour(misbehaviour) => Some(misbehaviour),
            Self::Fault(_) => None,
        }
    }

    pub(crate) fn change(self) -> Option<Change> {
        match self {
            Self::Misbehaviour(_) => None,
            Self::Fault(fault) => Some(fault.change),
        }
    }

    /// Whether it is about a connection and not about an answer.
    pub(crate) fn connection(self) -> Option<Connection> {
        match self.change()? {
            Change::Connection(connection) => Some(connection),
            _ => None,
        }
    }
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Order {
    type Err = SimError;

    fn from_str(name: &str) -> Result<Self, SimError> {
        match Fault::all().find(|fault| fault.name == name) {
            Some(fault) => Ok(Self::Fault(fault)),
            None => name.parse().map(Self::Misbehaviour),
        }
    }
}
