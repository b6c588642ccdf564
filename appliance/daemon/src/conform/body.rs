//! A check's body as the internal API takes it, made of a case's fields. Nothing of them is left in memory behind it.

use serde::Serialize;
use zeroize::{Zeroize as _, Zeroizing};

use super::file::RawDocument;

/// The API's body.
#[derive(Serialize)]
struct Body<'a> {
    purpose: &'a str,
    reference: &'a str,
    document: Document<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    portrait: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    chip: Option<&'a Chip>,
}

#[derive(Serialize)]
struct Document<'a> {
    r#type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    number: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    birth_date: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nationality: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expiry: Option<&'a str>,
}

#[derive(Serialize)]
pub(super) struct Chip {
    #[serde(serialize_with = "wiped_text")]
    pub(super) com: Zeroizing<String>,
    #[serde(serialize_with = "wiped_text")]
    pub(super) dg1: Zeroizing<String>,
    #[serde(serialize_with = "wiped_text")]
    pub(super) dg2: Zeroizing<String>,
    #[serde(serialize_with = "wiped_text")]
    pub(super) sod: Zeroizing<String>,
}

fn wiped_text<S: serde::Serializer>(text: &Zeroizing<String>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text)
}

pub(super) fn write(
    purpose: &str,
    reference: &str,
    document: RawDocument,
    portrait: Option<&str>,
    chip: Option<&Chip>,
) -> Zeroizing<Vec<u8>> {
    let document = Wiped(document);
    let body = Body { purpose, reference, document: document.as_body(), portrait, chip };
    let mut octets = Zeroizing::new(Vec::with_capacity(capacity(&body)));
    // Writing texts into memory does not fail.
    drop(serde_json::to_writer(&mut *octets, &body));
    octets
}

/// A document's fields, wiped when they are done with.
struct Wiped(RawDocument);

impl Wiped {
    fn as_body(&self) -> Document<'_> {
        let RawDocument { r#type, number, name, birth_date, nationality, expiry } = &self.0;
        Document {
            r#type: r#type.as_str(),
            number: number.as_deref(),
            name: name.as_deref(),
            birth_date: birth_date.as_deref(),
            nationality: nationality.as_deref(),
            expiry: expiry.as_deref(),
        }
    }
}

impl Drop for Wiped {
    fn drop(&mut self) {
        let RawDocument { number, name, birth_date, nationality, expiry, .. } = &mut self.0;
        for text in [number, name, birth_date, nationality, expiry].into_iter().flatten() {
            text.zeroize();
        }
    }
}

/// Enough for the whole body at once: a growing vector would leave unwiped copies behind.
fn capacity(body: &Body<'_>) -> usize {
    let files = body.chip.map_or(0, |chip| chip.com.len() + chip.dg1.len() + chip.dg2.len() + chip.sod.len());
    let Document { number, name, birth_date, nationality, expiry, .. } = &body.document;
    // A control character takes six octets in JSON.
    let texts: usize =
        [number, name, birth_date, nationality, expiry].into_iter().flatten().map(|text| 6 * text.len()).sum();
    1024 + body.portrait.map_or(0, str::len) + files + texts
}
