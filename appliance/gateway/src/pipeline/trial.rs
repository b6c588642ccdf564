//! Checks that an operator makes for joint debugging (Measures art. 7(3)), in the place of callers and over the same way.

use std::sync::Arc;
use std::time::Instant;

use yanqian_agreement::{Agreement, Counters, Decision, Moment, Request, Source};
use yanqian_evidence::Record;
use yanqian_ledger::{Archived, read_record_at};
use yanqian_vocabulary::{CallerId, DocumentType, Mode, Reason, Timestamp, VerificationId};
use zeroize::Zeroizing;

use super::departure::Departure;
use super::dossier::{Dossier, Place};
use super::{claim, scope, way};
use crate::core::Core;

/// A check to be made.
pub struct Trial {
    /// A caller of the agreement, which decides what may be asked.
    pub caller: CallerId,
    pub mode: Mode,
    /// As a caller would send it.
    pub body: Zeroizing<Vec<u8>>,
    pub departure: Option<Departure>,
}

impl std::fmt::Debug for Trial {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Trial({}, {})", self.caller, self.mode)
    }
}

impl Trial {
    /// What the check is about; or the reason for which it would be refused before anything is signed, and the field of the API.
    /// Decodes pictures.
    pub fn examine(
        &self,
        agreement: &Agreement,
        now: Timestamp,
    ) -> Result<DocumentType, (Reason, Option<&'static str>)> {
        let caller = agreement.caller(&self.caller).ok_or((Reason::AgreementCallerPurpose, None))?;
        let read = claim::judge(self.mode, &self.body, now).map_err(|fault| (fault.reason, fault.field))?;
        let (document_type, fields) = (read.claim.document_type(), read.claim.fields());
        let asked = Request {
            mode: self.mode,
            document_type,
            purpose: &read.purpose,
            fields: &fields,
            source: Source::Operator,
        };
        // Rates and quotas are asked when the check is made.
        let moment = Moment { time: now, uptime: std::time::Duration::ZERO };
        match yanqian_agreement::decide(agreement, caller, &asked, &Counters::UNUSED, moment) {
            Decision::Allow { .. } => Ok(document_type),
            Decision::Refuse { reason, .. } => Err((reason, scope::field_of(reason))),
        }
    }
}

/// What became of a check: what the ledger holds of it, and nothing that it does not hold but the platform's code.
#[derive(Debug)]
pub struct Tried {
    pub verification: VerificationId,
    /// In their order; the last is the end.
    pub records: Vec<Record>,
    pub places: Vec<Place>,
    /// The result code of the platform's last answer, once its signature was verified.
    pub code: Option<String>,
}

/// Why nothing can be said of a check.
#[derive(Debug, thiserror::Error)]
pub enum TrialError {
    #[error("the agreement has no such caller")]
    Caller,
    /// The ledger did not take its end, so nothing is decided.
    #[error("{}", .0.code())]
    Undecided(Reason),
    #[error("its records cannot be read back: {0}")]
    Records(String),
}

impl Core {
    /// Makes a check as for its caller; the reply is kept as for any other. Nothing is told of it before its end is durable (I1).
    pub async fn try_out(self: &Arc<Self>, trial: Trial) -> Result<Tried, TrialError> {
        let Trial { caller, mode, body, departure } = trial;
        let in_force = self.in_force();
        in_force.agreement.caller(&caller).ok_or(TrialError::Caller)?;
        let received = self.clock.now();
        let id = self.new_id(received);
        let deadline = Instant::now() + self.check_limit;
        let mut dossier = Dossier::new(id, caller, mode, Source::Operator, received, deadline, in_force);
        if let Some(stranger) = departure.as_ref().and_then(Departure::stranger) {
            let kept = self.archive.put(Archived::Certificate, stranger.certificate().as_der());
            kept.map_err(|error| TrialError::Records(error.to_string()))?;
        }
        dossier.departure = departure;
        let ended = match scope::judge(self, dossier, body).await {
            Ok((scoped, reference)) => way(self, scoped.with_reference(reference)).await,
            Err(refused) => Err(refused),
        };
        let recorded = match ended {
            Ok(unsealed) => unsealed.record(self).await,
            Err(refused) => refused.record(self).await,
        };
        let recorded = recorded.map_err(|shed| TrialError::Undecided(shed.reason()))?;
        let places = recorded.dossier.places.clone();
        let code = recorded.dossier.proof.as_ref().and_then(|proof| proof.code.clone());
        drop(recorded.into_reply(self).await);
        let (directory, wanted) = (self.ledger_directory.clone(), places.clone());
        let reading = tokio::task::spawn_blocking(move || {
            let read = |place: &Place| -> Result<Record, String> {
                let octets = read_record_at(&directory, place.segment, place.offset, place.leaf);
                Record::decode(&octets.map_err(|error| error.to_string())?).map_err(|error| error.to_string())
            };
            wanted.iter().map(read).collect::<Result<_, _>>()
        });
        let records = match reading.await {
            Ok(read) => read.map_err(TrialError::Records)?,
            Err(error) => return Err(TrialError::Records(error.to_string())),
        };
        Ok(Tried { verification: id, records, places, code })
    }
}
