use yanqian_vocabulary::{DocumentType, Field, Mode, PurposeCode, Reason, RuleId, Timestamp};

use crate::model::{Agreement, Caller, Purpose};

/// What a caller wants to ask.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    pub mode: Mode,
    pub document_type: DocumentType,
    pub purpose: &'a PurposeCode,
    /// The fields that the platform would compare.
    pub fields: &'a [Field],
}

/// The agreement's answer, with the rule that gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision<'a> {
    Allow {
        /// `purpose.` and the purpose's code.
        rule: RuleId,
        purpose: &'a Purpose,
    },
    Refuse {
        rule: RuleId,
        reason: Reason,
        /// The purpose, when the agreement has it: then and only then its code is more than the caller's own text.
        purpose: Option<&'a Purpose>,
    },
}

/// Decides in a fixed order: effect, mode, document type, purpose, the caller's purposes, then what the purpose may ask.
/// The first rule that does not allow refuses; a request that passes all is allowed.
pub fn decide<'a>(agreement: &'a Agreement, caller: &Caller, request: &Request<'_>, now: Timestamp) -> Decision<'a> {
    let refuse = |rule: &'static str, reason, purpose| Decision::Refuse { rule: named(rule), reason, purpose };
    if now < agreement.effective_from || now >= agreement.effective_until {
        return refuse("agreement.effective", Reason::AgreementNotInForce, None);
    }
    if !agreement.modes.contains(&request.mode) {
        return refuse("agreement.modes", Reason::AgreementMode, None);
    }
    if !agreement.document_types.contains(&request.document_type) {
        return refuse("agreement.document_types", Reason::AgreementDocumentType, None);
    }
    let Some(purpose) = agreement.purposes.get(request.purpose) else {
        return refuse("agreement.purposes", Reason::AgreementPurpose, None);
    };
    if !caller.purposes.contains(request.purpose) {
        return refuse("caller.purposes", Reason::AgreementCallerPurpose, Some(purpose));
    }
    if !purpose.modes.contains(&request.mode) {
        return refuse("purpose.modes", Reason::AgreementMode, Some(purpose));
    }
    if !purpose.document_types.contains(&request.document_type) {
        return refuse("purpose.document_types", Reason::AgreementDocumentType, Some(purpose));
    }
    if !request.fields.iter().all(|field| purpose.fields.contains(field)) {
        return refuse("purpose.fields", Reason::AgreementField, Some(purpose));
    }
    Decision::Allow { rule: purpose_rule(purpose), purpose }
}

fn named(rule: &'static str) -> RuleId {
    RuleId::new(rule).expect("rule names are constants of lower-case letters, '.' and '_'")
}

/// `purpose.CODE`; purpose codes are limited to 48 characters when the agreement is read, so the rule fits.
fn purpose_rule(purpose: &Purpose) -> RuleId {
    RuleId::new(format!("purpose.{}", purpose.code)).unwrap_or_else(|_| named("purpose"))
}
