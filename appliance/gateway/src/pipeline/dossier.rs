use std::sync::Arc;
use std::time::Instant;

use yanqian_agreement::{Limited, Source, Spent};
use yanqian_evidence::{
    Answer, Der, Label, LeafHash, Octets, PlatformSerial, RequestSignature, Revocation, Signer, Step, Times,
};
use yanqian_ledger::Appended;
use yanqian_vocabulary::{
    CallerId, CallerReference, CertificateHash, ContentDigest, DocumentType, Field, Mode, PurposeCode, Reason, RuleId,
    Timestamp, TrustHash, VerificationId,
};

use super::departure::Departure;
use crate::core::Core;
use crate::keys::InForce;
use crate::reply::Shed;

/// What is known of a check so far; it travels along the way and becomes the outcome record, whatever the end.
pub(crate) struct Dossier {
    pub(super) id: VerificationId,
    pub(super) caller: CallerId,
    pub(super) mode: Mode,
    /// Where it comes from, which the agreement may have a say in. Not recorded.
    pub(super) source: Source,
    pub(super) received_at: Timestamp,
    /// By when the platform must have answered; it bounds every step of the exchange with it.
    pub(super) deadline: Instant,
    /// The entity's pairs: of the intent once there is one, and then to the end.
    pub(super) in_force: Arc<InForce>,
    /// Only a purpose that the agreement lists; anything else is the caller's own text and may be personal data.
    pub(super) purpose: Option<PurposeCode>,
    pub(super) document_type: Option<DocumentType>,
    /// What a refusal says in place of its reason's own words: the rule of the documents room that does not hold.
    pub(super) detail: Option<&'static str>,
    pub(super) rule: Option<RuleId>,
    pub(super) fields: Vec<Field>,
    /// What it took of the agreement's quotas.
    pub(super) spent: Option<Spent>,
    /// The quota for which it was refused.
    pub(super) limited: Option<Limited>,
    /// The caller's own reference, echoed in the reply and kept nowhere else.
    pub(super) reference: Option<CallerReference>,
    /// The idempotency tag that this check holds, if its caller sent a key.
    pub(super) key: Option<[u8; 32]>,
    pub(super) intent_sequence: Option<u64>,
    /// Of the record of the first step's answer, in a two-step exchange.
    pub(super) exchange_sequence: Option<u64>,
    /// Where this check's records stand, for its receipt.
    pub(super) places: Vec<Place>,
    /// The salt of the intent's commitment; kept for the receipt, apart from the ledger.
    pub(super) salt: Option<[u8; 32]>,
    pub(super) signed_at: Option<Timestamp>,
    /// Set before the first octet may go out, taken back only when it is proven that none did.
    pub(super) sent_at: Option<Timestamp>,
    pub(super) answered_at: Option<Timestamp>,
    /// DER `SM2Signature` over the request.
    pub(super) signature: Option<Der>,
    /// The signed attributes, where the profile has them.
    pub(super) attributes: Option<Der>,
    pub(super) proof: Option<Proof>,
    /// SM3 of the sealed reading that the reply carries opened.
    pub(super) reading: Option<ContentDigest>,
    /// How its requests depart from what the platform may expect. Only a trial has one.
    pub(super) departure: Option<Departure>,
}

/// Where a record stands in the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub segment: u64,
    /// Octets from the start of the segment's file.
    pub offset: u64,
    pub leaf: LeafHash,
}

impl From<&Appended> for Place {
    fn from(appended: &Appended) -> Self {
        Self { segment: appended.segment, offset: appended.offset, leaf: appended.leaf }
    }
}

/// What the checks of the platform's answer found, in the form of the record.
pub(crate) struct Proof {
    pub(super) status: u16,
    pub(super) octets: Octets,
    pub(super) signature: Option<Der>,
    pub(super) attributes: Option<Der>,
    pub(super) signer: Option<Signer>,
    pub(super) chain: Vec<CertificateHash>,
    pub(super) revocation: Vec<Revocation>,
    pub(super) platform_time: Option<Timestamp>,
    pub(super) platform_serial: Option<PlatformSerial>,
    pub(super) steps: Vec<Step>,
    pub(super) trust: TrustHash,
    /// The platform's result code. It is not recorded: the answer itself is.
    pub(super) code: Option<String>,
}

impl Proof {
    pub(super) fn answer(&self) -> Answer {
        Answer { octets: self.octets.clone(), signature: self.signature.clone(), attributes: self.attributes.clone() }
    }
}

/// A check that left the way, with what was gathered until then.
pub(crate) struct Refused {
    pub(super) dossier: Dossier,
    pub(super) reason: Reason,
    pub(super) field: Option<&'static str>,
    /// Set when the ledger itself cannot take the end: then nothing is decided, and the reply says only that.
    pub(super) shed: Option<Shed>,
}

impl Dossier {
    pub(super) fn new(
        id: VerificationId,
        caller: CallerId,
        mode: Mode,
        source: Source,
        received_at: Timestamp,
        deadline: Instant,
        in_force: Arc<InForce>,
    ) -> Self {
        Self {
            id,
            caller,
            mode,
            source,
            received_at,
            deadline,
            in_force,
            purpose: None,
            document_type: None,
            detail: None,
            rule: None,
            fields: Vec::new(),
            spent: None,
            limited: None,
            reference: None,
            key: None,
            intent_sequence: None,
            exchange_sequence: None,
            places: Vec::new(),
            salt: None,
            signed_at: None,
            sent_at: None,
            answered_at: None,
            signature: None,
            attributes: None,
            proof: None,
            reading: None,
            departure: None,
        }
    }

    /// Whether anything of this check may have reached the platform, its application included. Then its idempotency key
    /// is used up: there are never two platform calls for one key (I4).
    pub(super) const fn reached_platform(&self) -> bool {
        self.sent_at.is_some() || self.exchange_sequence.is_some()
    }

    /// The platform's route must be open for anything to be signed or sent. Where it was stopped after a first step, the reason is not
    /// one that says that nothing was sent.
    pub(super) fn check_route(&self, core: &Core) -> Result<(), Reason> {
        match core.platform.route.is_open() {
            true => Ok(()),
            false if self.reached_platform() => Err(Reason::PlatformSignatureDisputed),
            false => Err(Reason::PlatformStopped),
        }
    }

    /// The first step's end is recorded; from here on the dossier is about the next one.
    pub(super) fn begin_next_step(&mut self) {
        (self.signature, self.attributes, self.proof) = (None, None, None);
        (self.signed_at, self.sent_at, self.answered_at) = (None, None, None);
    }

    pub(super) fn request_signature(&self) -> Option<RequestSignature> {
        let signature = self.signature.clone()?;
        Some(RequestSignature { signature, attributes: self.attributes.clone() })
    }

    pub(super) fn times(&self) -> Times {
        Times { received: self.received_at, signed: self.signed_at, sent: self.sent_at, answered: self.answered_at }
    }

    /// Adds the opening of a reading to the steps of the answer's proof.
    pub(super) fn unseal_step(&mut self, refused: Option<Reason>) {
        if let Some(proof) = &mut self.proof {
            proof.steps.push(Step { name: Label::new("unseal"), refused });
        }
    }

    pub(super) fn refused(self, reason: Reason, field: Option<&'static str>) -> Box<Refused> {
        Box::new(Refused { dossier: self, reason, field, shed: None })
    }

    /// Leaves the way without a decision, because the ledger did not take the intent. If the disk takes it after all, the
    /// ledger itself gives it an outcome that says that nothing was signed.
    pub(super) fn shed(self, shed: Shed) -> Box<Refused> {
        Box::new(Refused { dossier: self, reason: shed.reason(), field: None, shed: Some(shed) })
    }
}
