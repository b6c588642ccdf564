//! What is sealed to the platform: the JSON that holds the personal data of one check.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use yanqian_messages::{MessageError, Sealer};
use yanqian_vocabulary::{ChipFiles, Claim, DocumentClaim, DocumentType, Field};
use zeroize::Zeroizing;

use crate::json::quote;
use crate::profile::PayloadForm;

/// Octets that are written as base64 at once; a multiple of three, so that no padding stands inside.
const CHUNK: usize = 3 * 512;

/// A part of the JSON text. Large parts are written only on their way into the envelope.
pub(crate) enum Piece<'a> {
    Text(Zeroizing<String>),
    /// Octets that stand as base64 in the text.
    Base64(&'a [u8]),
}

impl Piece<'_> {
    /// Octets that the piece has in the text.
    pub(crate) fn length(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Base64(octets) => octets.len().div_ceil(3) * 4,
        }
    }

    /// Writes the piece into an envelope.
    pub(crate) fn push<S: FnMut(&[u8])>(&self, sealer: &mut Sealer<S>) -> Result<(), MessageError> {
        match self {
            Self::Text(text) => sealer.push(text.as_bytes()),
            Self::Base64(octets) => {
                let mut text = Zeroizing::new([0; CHUNK / 3 * 4]);
                for chunk in octets.chunks(CHUNK) {
                    let written = STANDARD.encode_slice(chunk, text.as_mut_slice()).map_err(|_| MessageError::Seal)?;
                    sealer.push(&text[..written])?;
                }
                Ok(())
            }
        }
    }
}

/// The parts of the JSON for a claim; none when the profile has no form for its mode.
pub(crate) fn payload<'a>(form: &PayloadForm, claim: &'a Claim) -> Option<Vec<Piece<'a>>> {
    match claim {
        Claim::RealName(document) => {
            let mut json = Json::for_document(form, document);
            json.close();
            Some(vec![Piece::Text(json.0)])
        }
        Claim::RealPerson { document, portrait } => {
            let mut json = Json::for_document(form, document);
            json.begin(form.portrait.as_ref()?);
            Some(vec![Piece::Text(json.0), Piece::Base64(portrait.expose()), text("\"}")])
        }
        Claim::ChipReading(chip) => {
            let names = form.chip.as_ref()?;
            let ChipFiles { com, dg1, dg2, sod } = &chip.files;
            let mut pieces = vec![Piece::Text(Json::new(form, chip.document_type).0)];
            for (name, file) in [(&names.com, com), (&names.dg1, dg1), (&names.dg2, dg2), (&names.sod, sod)] {
                pieces.extend([text(&format!(",{}:\"", quote(name))), Piece::Base64(file.expose()), text("\"")]);
            }
            pieces.push(text("}"));
            Some(pieces)
        }
    }
}

/// Punctuation and names.
fn text<'a>(text: &str) -> Piece<'a> {
    Piece::Text(Zeroizing::new(text.to_owned()))
}

/// An object being written. Its capacity is set at once, so that growing leaves no unwiped copy behind.
struct Json(Zeroizing<String>);

impl Json {
    fn new(form: &PayloadForm, document_type: DocumentType) -> Self {
        let mut json = Self(Zeroizing::new(String::with_capacity(4096)));
        let word = form.document_types.get(&document_type).map_or("", String::as_str);
        json.0.push('{');
        json.member(&form.document_type, word);
        json
    }

    fn for_document(form: &PayloadForm, claim: &DocumentClaim) -> Self {
        let mut json = Self::new(form, claim.document_type);
        for field in claim.fields() {
            let value = match field {
                Field::Number => Zeroizing::new(claim.number.expose().to_owned()),
                Field::Name => Zeroizing::new(claim.name.expose().to_owned()),
                Field::BirthDate => Zeroizing::new(form.days.write(claim.birth_date.0)),
                Field::Nationality => match &claim.nationality {
                    Some(nationality) => Zeroizing::new(nationality.expose().to_owned()),
                    None => continue,
                },
                Field::Expiry => match claim.expiry {
                    Some(expiry) => Zeroizing::new(form.days.write(expiry.0)),
                    None => continue,
                },
                // Not printed on the document; they stand beside its fields.
                Field::Portrait | Field::Chip => continue,
            };
            json.0.push(',');
            json.member(form.fields.get(&field).map_or("", String::as_str), &value);
        }
        json
    }

    fn member(&mut self, name: &str, value: &str) {
        self.0.push_str(&quote(name));
        self.0.push(':');
        self.0.push_str(&Zeroizing::new(quote(value)));
    }

    /// The next member's name and the opening quote of its text.
    fn begin(&mut self, name: &str) {
        self.0.push(',');
        self.0.push_str(&quote(name));
        self.0.push_str(":\"");
    }

    fn close(&mut self) {
        self.0.push('}');
    }
}
