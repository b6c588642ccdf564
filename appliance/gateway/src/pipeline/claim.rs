//! From a body's octets to a claim that the documents room has accepted.

use std::sync::Arc;

use yanqian_documents::{RawDocument, read_chip, read_portrait, validate};
use yanqian_vocabulary::{
    CallerId, CallerReference, Claim, DocumentClaim, DocumentType, Mode, PurposeCode, Reason, Timestamp,
};
use zeroize::Zeroizing;

use crate::api::request::{CheckRequest, Printed, Subject};
use crate::core::Core;

/// A request whose content has been read and judged.
pub(super) struct ReadCheck {
    pub(super) purpose: PurposeCode,
    pub(super) reference: CallerReference,
    pub(super) claim: Claim,
}

/// Why there is none.
pub(super) struct Fault {
    pub(super) reason: Reason,
    pub(super) field: Option<&'static str>,
    /// Where the request got so far as to name one.
    pub(super) document_type: Option<DocumentType>,
}

/// Reads and judges a body. Its octets are wiped before this returns: what the claim needs of them has been decoded.
pub(super) async fn read(
    core: &Arc<Core>,
    caller: &CallerId,
    mode: Mode,
    octets: Zeroizing<Vec<u8>>,
    now: Timestamp,
) -> Result<ReadCheck, Fault> {
    if mode == Mode::RealName {
        return judge(mode, &octets, now);
    }
    // A picture takes milliseconds of a core and the memory of its pixels, so there are only as many at once as cores.
    let _turn = core.decoding.take(caller).await;
    let judged = tokio::task::spawn_blocking(move || judge(mode, &octets, now)).await;
    judged.unwrap_or_else(|_| {
        // The decoder panicked; that is a defect, and nothing is known of the picture.
        let (reason, field) = match mode {
            Mode::ChipReading => (Reason::ChipFile, "chip"),
            Mode::RealName | Mode::RealPerson => (Reason::PortraitEncoding, "portrait"),
        };
        Err(Fault { reason, field: Some(field), document_type: None })
    })
}

pub(super) fn judge(mode: Mode, octets: &[u8], now: Timestamp) -> Result<ReadCheck, Fault> {
    let request = CheckRequest::read(mode, octets).map_err(|fault| Fault {
        reason: fault.reason,
        field: fault.field,
        document_type: None,
    })?;
    let document_type = request.document_type;
    let fault = |reason, field| Fault { reason, field: Some(field), document_type: Some(document_type) };
    let document =
        |printed: &Printed<'_>| claim_of(document_type, printed, now).map_err(|(reason, field)| fault(reason, field));
    let claim = match &request.subject {
        Subject::RealName(printed) => Claim::RealName(document(printed)?),
        Subject::RealPerson { printed, portrait } => Claim::RealPerson {
            document: document(printed)?,
            portrait: read_portrait(portrait).map_err(|error| fault(error.reason, error.field))?,
        },
        Subject::ChipReading(chip) => Claim::ChipReading(
            read_chip(document_type, &chip.com, &chip.dg1, &chip.dg2, &chip.sod)
                .map_err(|error| fault(error.reason, error.field))?,
        ),
    };
    Ok(ReadCheck { purpose: request.purpose, reference: request.reference, claim })
}

fn claim_of(
    document_type: DocumentType,
    printed: &Printed<'_>,
    now: Timestamp,
) -> Result<DocumentClaim, (Reason, &'static str)> {
    let raw = RawDocument {
        document_type,
        number: &printed.number,
        name: &printed.name,
        birth_date: &printed.birth_date,
        nationality: printed.nationality.as_deref(),
        expiry: printed.expiry.as_deref(),
    };
    validate(&raw, now).map_err(|error| (error.reason, path_of(error.field)))
}

/// The API's path of a document field.
fn path_of(field: yanqian_vocabulary::Field) -> &'static str {
    use yanqian_vocabulary::Field;
    match field {
        Field::Number => "document.number",
        Field::Name => "document.name",
        Field::BirthDate => "document.birth_date",
        Field::Nationality => "document.nationality",
        Field::Expiry => "document.expiry",
        Field::Portrait => "portrait",
        Field::Chip => "chip",
    }
}
