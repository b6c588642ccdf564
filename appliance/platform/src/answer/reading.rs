use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use yanqian_messages::{Encodings, EnvelopedData, Members};
use yanqian_vocabulary::{
    BirthDate, ContentDigest, DocumentNumber, DocumentType, ExpiryDate, Nationality, PersonalName, Reading, Reason,
    Verdict,
};
use zeroize::Zeroizing;

use super::envelope::Opened;
use super::{AnswerChecker, Expected, SealedReading, StepName, Walk};
use crate::profile::{Profile, ReadingForm};

/// Octets of an opened reading at most.
const MAX_READING: usize = 16 * 1024;
/// Characters of a name in a reading at most.
const MAX_NAME: usize = 128;

impl AnswerChecker<'_> {
    /// A matched chip reading comes with the document's fields, sealed to the entity and named in the signed object by
    /// their envelope's digest. No other answer does.
    pub(super) fn check_reading(
        &self,
        walk: &mut Walk,
        package: &Members<'_>,
        envelope: &Opened<'_>,
        overall: Verdict,
        expected: &Expected<'_>,
    ) -> Result<Option<SealedReading>, Reason> {
        let form = self.profile.answer.reading.as_ref().filter(|_| !expected.recipients.is_empty());
        let Some(form) = form else { return Ok(None) };
        let named = package.raw(&form.digest).is_some();
        let read = match (overall, envelope.reading) {
            (Verdict::Match, Some(sealed)) => (|| {
                let octets = STANDARD.decode(serde_json::from_str::<String>(sealed).ok()?).ok()?;
                let digest = yanqian_sm::sm3(&[&octets]);
                if package.text(&form.digest)? != self.profile.forms.digest.write(&digest) {
                    return None;
                }
                let encodings = Encodings { cipher: form.encrypted_key, ..Encodings::default() };
                let envelope = EnvelopedData::parse_with(&octets, encodings).ok()?;
                let ours = expected.recipients.iter().any(|recipient| envelope.encrypted_key_for(recipient).is_ok());
                ours.then_some(SealedReading { envelope, digest: ContentDigest::new(digest) })
            })(),
            (Verdict::Match, None) => None,
            (_, None) if !named => return Ok(None),
            _ => None,
        };
        walk.step(StepName::Reading, read.ok_or(Reason::PlatformReading)).map(Some)
    }
}

impl Profile {
    /// Reads an opened reading; none when it does not have the profile's members, each well formed.
    pub fn read_reading(&self, plain: &[u8]) -> Option<Reading> {
        let form = self.answer.reading.as_ref()?;
        if plain.len() > MAX_READING {
            return None;
        }
        let members = Members::parse(plain).ok()?;
        let names = names(form);
        if members.len() != names.len() {
            return None;
        }
        let text = |name: &str| members.text(name).map(Zeroizing::new);
        let day = |name: &str| text(name).and_then(|text| self.request.payload.days.read(&text));
        let known = |text: &str, longest: usize, allowed: fn(char) -> bool| {
            (1..=longest).contains(&text.chars().count()) && text.chars().all(allowed)
        };
        let document_type = text(&form.document_type)?;
        let number = text(&form.number)?;
        let name = text(&form.name)?;
        let sex = text(&form.sex)?;
        let nationality = text(&form.nationality)?;
        let well_formed = known(&number, 32, |c| c.is_ascii_uppercase() || c.is_ascii_digit())
            && known(&name, MAX_NAME, |c| !c.is_control())
            && nationality.len() == 3
            && known(&nationality, 3, |c| c.is_ascii_uppercase());
        if !well_formed {
            return None;
        }
        Some(Reading {
            document_type: document_type_of(self, &document_type)?,
            number: DocumentNumber::new(number.as_str()),
            name: PersonalName::new(name.as_str()),
            sex: form.sexes.iter().find(|(_, word)| **word == *sex).map(|(sex, _)| *sex)?,
            birth_date: BirthDate(day(&form.birth_date)?),
            nationality: Nationality::new(nationality.as_str()),
            expiry: ExpiryDate(day(&form.expiry)?),
        })
    }
}

fn names(form: &ReadingForm) -> [&str; 7] {
    [&form.document_type, &form.number, &form.name, &form.sex, &form.birth_date, &form.nationality, &form.expiry]
        .map(String::as_str)
}

fn document_type_of(profile: &Profile, word: &str) -> Option<DocumentType> {
    profile.request.payload.document_types.iter().find(|(_, known)| *known == word).map(|(kind, _)| *kind)
}
