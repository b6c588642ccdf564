//! From a body's octets to a claim that the documents room has accepted.

use std::sync::Arc;

use yanqian_documents::{PartError, RawChip, RawDocument, Stated, read_chip, read_portrait, validate};
use yanqian_vocabulary::{
    CallerId, CallerReference, Claim, DocumentClaim, DocumentType, Mode, PurposeCode, Reason, Timestamp,
};
use zeroize::Zeroizing;

use crate::api::request::{CheckRequest, Printed, StatedFields, Subject};
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
    /// The rule of the documents room that does not hold.
    pub(super) rule: Option<&'static str>,
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
    let anchors = core.chip_anchors.clone();
    let judged = tokio::task::spawn_blocking(move || {
        let read = judge(mode, &octets, now)?;
        authenticate(&read.claim, anchors.as_deref(), now)?;
        Ok(read)
    });
    let judged = judged.await;
    judged.unwrap_or_else(|_| {
        // The decoder panicked; that is a defect, and nothing is known of the picture.
        let (reason, field) = match mode {
            Mode::ChipReading => (Reason::ChipFile, "chip"),
            Mode::RealName | Mode::RealPerson => (Reason::PortraitEncoding, "portrait"),
        };
        Err(Fault { reason, field: Some(field), rule: None, document_type: None })
    })
}

/// A chip must be genuine as far as passive authentication can tell, where anchors are configured.
fn authenticate(claim: &Claim, anchors: Option<&yanqian_chip::Anchors>, now: Timestamp) -> Result<(), Fault> {
    let (Claim::ChipReading(chip), Some(anchors)) = (claim, anchors) else { return Ok(()) };
    yanqian_chip::authenticate(&chip.files, anchors, now).map(drop).map_err(|error| Fault {
        reason: error.reason(),
        field: Some(error.field()),
        rule: Some(error.rule()),
        document_type: Some(chip.document_type),
    })
}

pub(super) fn judge(mode: Mode, octets: &[u8], now: Timestamp) -> Result<ReadCheck, Fault> {
    let request = CheckRequest::read(mode, octets).map_err(|fault| Fault {
        reason: fault.reason,
        field: fault.field,
        rule: None,
        document_type: None,
    })?;
    let document_type = request.document_type;
    let fault = |error: PartError| Fault {
        reason: error.reason,
        field: Some(error.field),
        rule: error.rule,
        document_type: Some(document_type),
    };
    let document = |printed: &Printed<'_>| claim_of(document_type, printed, now).map_err(fault);
    let claim = match &request.subject {
        Subject::RealName(printed) => Claim::RealName(document(printed)?),
        Subject::RealPerson { printed, portrait } => {
            Claim::RealPerson { document: document(printed)?, portrait: read_portrait(portrait).map_err(fault)? }
        }
        Subject::ChipReading { stated, chip } => {
            let raw = RawChip { com: &chip.com, dg1: &chip.dg1, dg2: &chip.dg2, sod: &chip.sod };
            Claim::ChipReading(read_chip(document_type, &raw, &stated.as_documents(), now).map_err(fault)?)
        }
    };
    Ok(ReadCheck { purpose: request.purpose, reference: request.reference, claim })
}

impl StatedFields<'_> {
    fn as_documents(&self) -> Stated<'_> {
        Stated {
            number: self.number.as_deref(),
            name: self.name.as_deref(),
            birth_date: self.birth_date.as_deref(),
            nationality: self.nationality.as_deref(),
            expiry: self.expiry.as_deref(),
        }
    }
}

fn claim_of(document_type: DocumentType, printed: &Printed<'_>, now: Timestamp) -> Result<DocumentClaim, PartError> {
    let raw = RawDocument {
        document_type,
        number: &printed.number,
        name: &printed.name,
        birth_date: &printed.birth_date,
        nationality: printed.nationality.as_deref(),
        expiry: printed.expiry.as_deref(),
    };
    validate(&raw, now).map_err(|error| PartError {
        field: path_of(error.field),
        reason: error.reason,
        rule: Some(error.rule),
    })
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
