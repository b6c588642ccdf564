//! The request of `POST /v1/verifications/real-name` as read: shape checked, content not yet judged.

use yanqian_vocabulary::{CallerReference, DocumentType, PurposeCode, Reason};
use zeroize::Zeroizing;

use super::json::{BodyFault, read_object};

/// Octets of the caller's reference at most.
const MAX_REFERENCE: usize = 128;

/// A real-name request whose members have the right names and types. The document's fields are judged by the documents
/// room, the purpose by the agreement.
pub(crate) struct RealNameRequest {
    pub(crate) purpose: PurposeCode,
    pub(crate) reference: CallerReference,
    pub(crate) document_type: DocumentType,
    pub(crate) number: Zeroizing<String>,
    pub(crate) name: Zeroizing<String>,
    pub(crate) birth_date: Zeroizing<String>,
    pub(crate) nationality: Option<Zeroizing<String>>,
    pub(crate) expiry: Option<Zeroizing<String>>,
}

impl RealNameRequest {
    pub(crate) fn read(octets: &[u8]) -> Result<Self, BodyFault> {
        let mut body = read_object(octets)?;
        body.check(None, &[("purpose", "purpose"), ("reference", "reference"), ("document", "document")])?;
        let purpose = body.text("purpose", "purpose")?;
        let reference = body.text("reference", "reference")?;
        let mut document = body.object("document", "document")?;
        document.check(
            Some("document"),
            &[
                ("type", "document.type"),
                ("number", "document.number"),
                ("name", "document.name"),
                ("birth_date", "document.birth_date"),
                ("nationality", "document.nationality"),
                ("expiry", "document.expiry"),
            ],
        )?;
        let document_type = document.text("type", "document.type")?;
        Ok(Self {
            purpose: PurposeCode::new(purpose.as_str())
                .map_err(|_| BodyFault::new(Reason::PurposeMalformed, "purpose"))?,
            reference: check_reference(&reference)?,
            document_type: document_type
                .parse()
                .map_err(|_| BodyFault::new(Reason::DocumentTypeUnknown, "document.type"))?,
            number: document.text("number", "document.number")?,
            name: document.text("name", "document.name")?,
            birth_date: document.text("birth_date", "document.birth_date")?,
            nationality: document.optional_text("nationality", "document.nationality")?,
            expiry: document.optional_text("expiry", "document.expiry")?,
        })
    }
}

fn check_reference(text: &str) -> Result<CallerReference, BodyFault> {
    let well_formed = (1..=MAX_REFERENCE).contains(&text.len()) && !text.chars().any(char::is_control);
    if well_formed { Ok(CallerReference::new(text)) } else { Err(BodyFault::new(Reason::FieldInvalid, "reference")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"purpose":"account-opening","reference":"r-1","document":{"type":"prc-passport",
        "number":"E12345678","name":"张伟","birth_date":"1990-01-02"}}"#;

    fn fault(text: &str) -> (Reason, Option<&'static str>) {
        let fault = RealNameRequest::read(text.as_bytes()).err().expect("must be refused");
        (fault.reason, fault.field)
    }

    #[test]
    fn a_well_formed_request_is_read() {
        assert!(RealNameRequest::read(GOOD.as_bytes()).is_ok());
    }

    #[test]
    fn every_shape_fault_names_its_field() {
        let cases = [
            (GOOD.replace("\"name\":\"张伟\",", ""), Reason::FieldMissing, Some("document.name")),
            (GOOD.replace("\"张伟\"", "7"), Reason::FieldType, Some("document.name")),
            (GOOD.replace("\"number\"", "\"no\""), Reason::FieldUnknown, Some("document")),
            (GOOD.replace("\"purpose\"", "\"why\""), Reason::FieldUnknown, None),
            (GOOD.replace("\"name\":", "\"name\":\"x\",\"name\":"), Reason::FieldDuplicate, Some("document.name")),
            (GOOD.replace("account-opening", "Account Opening"), Reason::PurposeMalformed, Some("purpose")),
            (GOOD.replace("prc-passport", "library-card"), Reason::DocumentTypeUnknown, Some("document.type")),
            (GOOD.replace("r-1", ""), Reason::FieldInvalid, Some("reference")),
            (GOOD.replace("r-1", &"r".repeat(129)), Reason::FieldInvalid, Some("reference")),
            (GOOD.replace("r-1", "a\\u0000b"), Reason::FieldInvalid, Some("reference")),
        ];
        for (text, reason, field) in cases {
            assert_eq!(fault(&text), (reason, field), "{text}");
        }
    }
}
