//! What a caller says it asked: the body that it posted, judged by the same room that judged it then, so that the canonical
//! form is the one that was committed to.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use yanqian_documents::{RawDocument, Stated, read_chip, read_portrait, validate};
use yanqian_vocabulary::{Claim, DocumentType, Mode, PurposeCode, Timestamp};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// A file of what was asked cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AskedError {
    /// The text names members and places, never values.
    #[error("not the JSON of a request at line {0}, column {1}")]
    Json(usize, usize),
    #[error("`document.type`: unknown document type")]
    DocumentType,
    #[error("`purpose`: not a purpose code")]
    Purpose,
}

/// A request's body as the caller posted it. Personal data: unprintable, wiped when dropped.
pub struct Asked {
    /// Compared with the intent's where the file has it.
    pub(crate) purpose: Option<PurposeCode>,
    document_type: DocumentType,
    texts: Texts,
}

#[derive(Zeroize, ZeroizeOnDrop)]
struct Texts {
    number: Option<String>,
    name: Option<String>,
    birth_date: Option<String>,
    nationality: Option<String>,
    expiry: Option<String>,
    portrait: Option<String>,
    /// EF.COM, EF.DG1, EF.DG2, EF.SOD.
    chip: Option<[String; 4]>,
}

impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Asked({}, ..)", self.document_type)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAsked {
    purpose: Option<String>,
    #[serde(rename = "reference")]
    _reference: Option<serde::de::IgnoredAny>,
    document: RawAskedDocument,
    portrait: Option<String>,
    chip: Option<RawChip>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAskedDocument {
    r#type: String,
    number: Option<String>,
    name: Option<String>,
    birth_date: Option<String>,
    nationality: Option<String>,
    expiry: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawChip {
    com: String,
    dg1: String,
    dg2: String,
    sod: String,
}

impl Asked {
    /// Reads the body of any of the three requests; `purpose` and `reference` may be left out.
    pub fn from_json(json: &[u8]) -> Result<Self, AskedError> {
        let raw: RawAsked =
            serde_json::from_slice(json).map_err(|error| AskedError::Json(error.line(), error.column()))?;
        let RawAskedDocument { r#type, number, name, birth_date, nationality, expiry } = raw.document;
        let purpose = raw.purpose.map(PurposeCode::new).transpose().map_err(|_| AskedError::Purpose)?;
        let chip = raw.chip.map(|chip| [chip.com, chip.dg1, chip.dg2, chip.sod]);
        let texts = Texts { number, name, birth_date, nationality, expiry, portrait: raw.portrait, chip };
        Ok(Self { purpose, document_type: r#type.parse().map_err(|_| AskedError::DocumentType)?, texts })
    }

    /// Takes the portrait from a file of its own: a JPEG as the caller sent it.
    pub fn set_portrait(&mut self, jpeg: &[u8]) {
        self.texts.portrait = Some(STANDARD.encode(jpeg));
    }

    /// Takes the chip's files from files of their own.
    pub fn set_chip(&mut self, com: &[u8], dg1: &[u8], dg2: &[u8], sod: &[u8]) {
        self.texts.chip = Some([com, dg1, dg2, sod].map(|file| STANDARD.encode(file)));
    }

    /// The claim that this was in that mode at that time. What does not hold is said without any value.
    pub(crate) fn claim(&self, mode: Mode, received: Timestamp) -> Result<Claim, String> {
        let texts = &self.texts;
        let claim = match (mode, &texts.portrait, &texts.chip) {
            (Mode::RealName, None, None) => Claim::RealName(self.document(received)?),
            (Mode::RealPerson, Some(portrait), None) => Claim::RealPerson {
                document: self.document(received)?,
                portrait: read_portrait(portrait).map_err(|error| format!("`{}`: {}", error.field, error.reason))?,
            },
            (Mode::ChipReading, None, Some([com, dg1, dg2, sod])) => {
                let raw = yanqian_documents::RawChip { com, dg1, dg2, sod };
                // What was stated beside a chip is in no record.
                let read = read_chip(self.document_type, &raw, &Stated::default(), received);
                Claim::ChipReading(read.map_err(|error| format!("`{}`: {}", error.field, error.reason))?)
            }
            _ => return Err(format!("what was given is not what a {mode} check asks")),
        };
        Ok(claim)
    }

    fn document(&self, received: Timestamp) -> Result<yanqian_vocabulary::DocumentClaim, String> {
        fn needed<'a>(text: Option<&'a String>, name: &str) -> Result<&'a str, String> {
            text.map(String::as_str).ok_or_else(|| format!("`document.{name}` was not given"))
        }
        let texts = &self.texts;
        let number = needed(texts.number.as_ref(), "number")?;
        let name = needed(texts.name.as_ref(), "name")?;
        let birth_date = needed(texts.birth_date.as_ref(), "birth_date")?;
        let raw = RawDocument {
            document_type: self.document_type,
            number,
            name,
            birth_date,
            nationality: texts.nationality.as_deref(),
            expiry: texts.expiry.as_deref(),
        };
        validate(&raw, received).map_err(|error| error.to_string())
    }
}
