use crate::reply::Shed;
use yanqian_evidence::{Der, Octets, PlatformSerial, Revocation, Signer, Step};
use yanqian_vocabulary::{
    CallerId, CallerReference, CertificateHash, DocumentType, Field, Mode, PurposeCode, Reason, RuleId, Timestamp,
    TrustHash, VerificationId,
};

/// What is known of a check so far; it travels along the way and becomes the outcome record, whatever the end.
pub(crate) struct Dossier {
    pub(super) id: VerificationId,
    pub(super) caller: CallerId,
    pub(super) mode: Mode,
    pub(super) received_at: Timestamp,
    /// Only a purpose that the agreement lists; anything else is the caller's own text and may be personal data.
    pub(super) purpose: Option<PurposeCode>,
    pub(super) document_type: Option<DocumentType>,
    pub(super) rule: Option<RuleId>,
    pub(super) fields: Vec<Field>,
    /// The caller's own reference, echoed in the reply and kept nowhere else.
    pub(super) reference: Option<CallerReference>,
    /// The idempotency tag that this check holds, if its caller sent a key.
    pub(super) key: Option<[u8; 32]>,
    pub(super) intent_sequence: Option<u64>,
    pub(super) signed_at: Option<Timestamp>,
    /// Set before the first octet may go out, taken back only when it is proven that none did.
    pub(super) sent_at: Option<Timestamp>,
    pub(super) answered_at: Option<Timestamp>,
    /// DER `SM2Signature` over the request.
    pub(super) signature: Option<Der>,
    /// The signed attributes, where the profile has them.
    pub(super) attributes: Option<Der>,
    pub(super) proof: Option<Proof>,
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
    pub(super) fn new(id: VerificationId, caller: CallerId, mode: Mode, received_at: Timestamp) -> Self {
        Self {
            id,
            caller,
            mode,
            received_at,
            purpose: None,
            document_type: None,
            rule: None,
            fields: Vec::new(),
            reference: None,
            key: None,
            intent_sequence: None,
            signed_at: None,
            sent_at: None,
            answered_at: None,
            signature: None,
            attributes: None,
            proof: None,
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
