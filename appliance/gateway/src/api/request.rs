//! The requests of `POST /v1/verifications/…` as read: shape checked, content not yet judged.

use yanqian_vocabulary::{CallerReference, DocumentType, Mode, PurposeCode, Reason};

use super::json::{BodyFault, Members, Text, read_object};

/// Octets of the caller's reference at most.
const MAX_REFERENCE: usize = 128;

/// A request whose members have the right names and types. What it asks about is judged by the documents room, the purpose
/// by the agreement.
pub(crate) struct CheckRequest<'a> {
    pub(crate) purpose: PurposeCode,
    pub(crate) reference: CallerReference,
    pub(crate) document_type: DocumentType,
    pub(crate) subject: Subject<'a>,
}

/// What a request asks about, by mode.
pub(crate) enum Subject<'a> {
    RealName(Printed<'a>),
    RealPerson { printed: Printed<'a>, portrait: Text<'a> },
    ChipReading { stated: StatedFields<'a>, chip: Chip<'a> },
}

/// The printed fields of a document.
pub(crate) struct Printed<'a> {
    pub(crate) number: Text<'a>,
    pub(crate) name: Text<'a>,
    pub(crate) birth_date: Text<'a>,
    pub(crate) nationality: Option<Text<'a>>,
    pub(crate) expiry: Option<Text<'a>>,
}

/// Printed fields that may be stated beside a chip.
pub(crate) struct StatedFields<'a> {
    pub(crate) number: Option<Text<'a>>,
    pub(crate) name: Option<Text<'a>>,
    pub(crate) birth_date: Option<Text<'a>>,
    pub(crate) nationality: Option<Text<'a>>,
    pub(crate) expiry: Option<Text<'a>>,
}

/// The files of a chip, in base64.
pub(crate) struct Chip<'a> {
    pub(crate) com: Text<'a>,
    pub(crate) dg1: Text<'a>,
    pub(crate) dg2: Text<'a>,
    pub(crate) sod: Text<'a>,
}

const PURPOSE: (&str, &str) = ("purpose", "purpose");
const REFERENCE: (&str, &str) = ("reference", "reference");
const DOCUMENT: (&str, &str) = ("document", "document");

impl<'a> CheckRequest<'a> {
    pub(crate) fn read(mode: Mode, octets: &'a [u8]) -> Result<Self, BodyFault> {
        let mut body = read_object(octets)?;
        match mode {
            Mode::RealName => body.check(None, &[PURPOSE, REFERENCE, DOCUMENT])?,
            Mode::RealPerson => body.check(None, &[PURPOSE, REFERENCE, DOCUMENT, ("portrait", "portrait")])?,
            Mode::ChipReading => body.check(None, &[PURPOSE, REFERENCE, DOCUMENT, ("chip", "chip")])?,
        }
        let purpose = body.text("purpose", "purpose")?;
        let purpose = PurposeCode::new(&*purpose).map_err(|_| BodyFault::new(Reason::PurposeMalformed, "purpose"))?;
        let reference = check_reference(&body.text("reference", "reference")?)?;
        let mut document = body.object("document", "document")?;
        let known = [
            ("type", "document.type"),
            ("number", "document.number"),
            ("name", "document.name"),
            ("birth_date", "document.birth_date"),
            ("nationality", "document.nationality"),
            ("expiry", "document.expiry"),
        ];
        document.check(Some("document"), &known)?;
        let document_type = document
            .text("type", "document.type")?
            .parse()
            .map_err(|_| BodyFault::new(Reason::DocumentTypeUnknown, "document.type"))?;
        let subject = match mode {
            Mode::RealName => Subject::RealName(read_printed(&mut document)?),
            Mode::RealPerson => Subject::RealPerson {
                printed: read_printed(&mut document)?,
                portrait: body.text("portrait", "portrait")?,
            },
            Mode::ChipReading => Subject::ChipReading {
                stated: read_stated(&mut document)?,
                chip: read_chip(body.object("chip", "chip")?)?,
            },
        };
        Ok(Self { purpose, reference, document_type, subject })
    }
}

fn read_printed<'a>(document: &mut Members<'a>) -> Result<Printed<'a>, BodyFault> {
    Ok(Printed {
        number: document.text("number", "document.number")?,
        name: document.text("name", "document.name")?,
        birth_date: document.text("birth_date", "document.birth_date")?,
        nationality: document.optional_text("nationality", "document.nationality")?,
        expiry: document.optional_text("expiry", "document.expiry")?,
    })
}

fn read_stated<'a>(document: &mut Members<'a>) -> Result<StatedFields<'a>, BodyFault> {
    Ok(StatedFields {
        number: document.optional_text("number", "document.number")?,
        name: document.optional_text("name", "document.name")?,
        birth_date: document.optional_text("birth_date", "document.birth_date")?,
        nationality: document.optional_text("nationality", "document.nationality")?,
        expiry: document.optional_text("expiry", "document.expiry")?,
    })
}

fn read_chip(mut chip: Members<'_>) -> Result<Chip<'_>, BodyFault> {
    let known = [("com", "chip.com"), ("dg1", "chip.dg1"), ("dg2", "chip.dg2"), ("sod", "chip.sod")];
    chip.check(Some("chip"), &known)?;
    Ok(Chip {
        com: chip.text("com", "chip.com")?,
        dg1: chip.text("dg1", "chip.dg1")?,
        dg2: chip.text("dg2", "chip.dg2")?,
        sod: chip.text("sod", "chip.sod")?,
    })
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
    const CHIP: &str = r#"{"purpose":"account-opening","reference":"r-1","document":{"type":"prc-passport"},
        "chip":{"com":"YA==","dg1":"YQ==","dg2":"dQ==","sod":"dw=="}}"#;

    fn fault(mode: Mode, text: &str) -> (Reason, Option<&'static str>) {
        let fault = CheckRequest::read(mode, text.as_bytes()).err().expect("must be refused");
        (fault.reason, fault.field)
    }

    fn portrait(value: &str) -> String {
        GOOD.replace("\"reference\"", &format!("\"portrait\":{value},\"reference\""))
    }

    #[test]
    fn a_well_formed_request_of_each_service_is_read() {
        assert!(CheckRequest::read(Mode::RealName, GOOD.as_bytes()).is_ok());
        assert!(CheckRequest::read(Mode::RealPerson, portrait("\"/9j/\"").as_bytes()).is_ok());
        assert!(CheckRequest::read(Mode::ChipReading, CHIP.as_bytes()).is_ok());
    }

    #[test]
    fn a_portrait_is_borrowed_from_the_body_unless_it_holds_escapes() {
        let read = |text: &str| match CheckRequest::read(Mode::RealPerson, text.as_bytes()).ok()?.subject {
            Subject::RealPerson { portrait, .. } => Some((matches!(portrait, Text::Borrowed(_)), portrait.to_owned())),
            _ => None,
        };
        assert_eq!(read(&portrait("\"/9j/\"")), Some((true, "/9j/".to_owned())));
        assert_eq!(read(&portrait("\"\\/9j\\/\"")), Some((false, "/9j/".to_owned())));
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
            (portrait("\"/9j/\""), Reason::FieldUnknown, None),
        ];
        for (text, reason, field) in cases {
            assert_eq!(fault(Mode::RealName, &text), (reason, field), "{text}");
        }
        assert_eq!(fault(Mode::RealPerson, GOOD), (Reason::FieldMissing, Some("portrait")));
        assert_eq!(fault(Mode::RealPerson, &portrait("{}")), (Reason::FieldType, Some("portrait")));
        let cases = [
            (GOOD.to_owned(), Reason::FieldMissing, Some("chip")),
            (
                CHIP.replace("\"prc-passport\"", "\"prc-passport\",\"sex\":\"F\""),
                Reason::FieldUnknown,
                Some("document"),
            ),
            (CHIP.replace("\"prc-passport\"", "\"prc-passport\",\"name\":7"), Reason::FieldType, Some("document.name")),
            (CHIP.replace("\"dg1\":\"YQ==\",", ""), Reason::FieldMissing, Some("chip.dg1")),
            (CHIP.replace("\"sod\"", "\"dg3\""), Reason::FieldUnknown, Some("chip")),
            (CHIP.replace("\"YA==\"", "[]"), Reason::FieldType, Some("chip.com")),
            (CHIP.replace("{\"com", "1,\"x\":{\"com"), Reason::FieldUnknown, None),
        ];
        for (text, reason, field) in cases {
            assert_eq!(fault(Mode::ChipReading, &text), (reason, field), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn reading_arbitrary_octets_never_panics(octets: Vec<u8>) {
            for mode in Mode::ALL {
                let _ = CheckRequest::read(*mode, &octets);
            }
        }
    }
}
