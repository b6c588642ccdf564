use std::collections::{BTreeMap, BTreeSet};

use yanqian_vocabulary::{CallerId, DocumentType, EntityId, Field, Mode, PlatformId, PurposeCode, Timestamp};

use crate::hours::Hours;
use crate::network::Network;
use crate::rate::Rate;

/// A validated agreement: every reference inside it resolves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreement {
    /// The parties' own name for this version of the agreement.
    pub version: String,
    pub entity: EntityId,
    pub platform: PlatformId,
    pub parties: Parties,
    /// Start of the first day of effect, Asia/Shanghai.
    pub effective_from: Timestamp,
    /// Start of the day after the last day of effect, Asia/Shanghai.
    pub effective_until: Timestamp,
    pub modes: BTreeSet<Mode>,
    pub document_types: BTreeSet<DocumentType>,
    /// Of all checks together.
    pub quota: Quota,
    pub(crate) purposes: BTreeMap<PurposeCode, Purpose>,
    pub(crate) callers: BTreeMap<CallerId, Caller>,
}

/// The parties to the agreement, as it names them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parties {
    pub using_entity: String,
    pub service_provider: String,
}

/// A purpose within the agreed scope of business (Measures art. 9(1)), with what it may ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Purpose {
    pub code: PurposeCode,
    /// The purpose's code at the platform.
    pub platform_code: String,
    pub business_field: String,
    /// Why the entity must check identity here (Measures arts. 5(2), 6(3)).
    pub legal_basis: String,
    pub retention_days: u32,
    pub modes: BTreeSet<Mode>,
    pub document_types: BTreeSet<DocumentType>,
    pub fields: BTreeSet<Field>,
    /// Of all checks for this purpose.
    pub quota: Quota,
}

/// An internal system that may ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    pub id: CallerId,
    /// The DNS name, or else the common name, of its client certificate.
    pub certificate_name: String,
    /// Whom to call when this caller misbehaves.
    pub contact: String,
    pub purposes: BTreeSet<PurposeCode>,
    /// Where it connects from; none: the agreement does not say.
    pub networks: Vec<Network>,
    /// When it may ask; none: at any time.
    pub hours: Vec<Hours>,
    /// Of all its checks.
    pub quota: Quota,
}

/// How much may be asked. What is absent is not limited here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Quota {
    /// Checks in a day of Asia/Shanghai.
    pub per_day: Option<u64>,
    pub rate: Option<Rate>,
}

/// The names of a client certificate do not stand for exactly one caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CallerError {
    #[error("the client certificate names no caller of the agreement")]
    Unknown,
    #[error("the client certificate names several callers of the agreement")]
    Ambiguous,
}

impl Agreement {
    /// The one caller that the names of a client certificate stand for. A certificate that names two callers is nobody:
    /// no caller can stand for another (Measures arts. 9(1), 14(4)).
    pub fn caller_by_certificate_name(&self, names: &[String]) -> Result<&Caller, CallerError> {
        let mut found = self.callers.values().filter(|caller| names.contains(&caller.certificate_name));
        match (found.next(), found.next()) {
            (Some(caller), None) => Ok(caller),
            (None, _) => Err(CallerError::Unknown),
            (Some(_), Some(_)) => Err(CallerError::Ambiguous),
        }
    }

    pub fn caller(&self, id: &CallerId) -> Option<&Caller> {
        self.callers.get(id)
    }

    pub fn purposes(&self) -> impl Iterator<Item = &Purpose> {
        self.purposes.values()
    }

    pub fn callers(&self) -> impl Iterator<Item = &Caller> {
        self.callers.values()
    }
}
