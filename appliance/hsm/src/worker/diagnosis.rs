//! What a module really signed, when its signature is not the one that the profile promises.
//!
//! The same mechanism number means different things to different vendors, and what a wrong one gives looks like a signature. So
//! every way that has been seen in the field is tried: what was hashed, how the result is written, by which key, and whether it
//! is SM2 at all.

use std::fmt::Write as _;

use yanqian_sm::{DistinguishingId, E, PublicKey, Signature, sm3, verify};

use super::ecdsa::is_ecdsa;
use crate::profile::{SignEncoding, SignForm, SignInput};

/// One signature and how it came about.
pub(crate) struct Case<'a> {
    /// The key that should have signed.
    pub(crate) key: &'a PublicKey,
    /// Other keys of the token, by label.
    pub(crate) others: &'a [(String, PublicKey)],
    /// What the module was handed.
    pub(crate) handed: &'a [u8],
    /// What it gave.
    pub(crate) given: &'a [u8],
}

/// What the mechanism does with what it is handed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Digest {
    /// Nothing: it takes e.
    AsIs,
    /// It takes 32 octets of it as e and forgets the rest.
    Cut,
    /// It hashes it alone.
    Alone,
    /// It hashes Z with the default distinguishing id before it.
    WithZ,
    /// It hashes Z with an empty distinguishing id before it.
    WithEmptyZ,
}

/// How the signature is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Encoding(SignEncoding),
    /// `s ‖ r`.
    Swapped,
    /// r and s with their octets in the reverse order.
    LittleEndian,
    /// r and s at the ends of 64 octets each, as GM/T 0018 has them.
    Wide,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) is_sm2: bool,
    pub(crate) digest: Digest,
    pub(crate) form: Form,
    /// The label of another key that signed.
    pub(crate) other: Option<String>,
}

impl Case<'_> {
    /// The way in which the signature is one; none when it is none in any known way.
    pub(crate) fn find(&self) -> Option<Finding> {
        let forms = self.forms();
        let keys = std::iter::once((None, self.key)).chain(self.others.iter().map(|(label, key)| (Some(label), key)));
        for (label, key) in keys {
            for (digest, e) in self.digests(key) {
                for (form, signature) in &forms {
                    let is_sm2 = verify(key, &E::from_digest(e), signature).is_ok();
                    if is_sm2 || is_ecdsa(key, &e, signature) {
                        return Some(Finding { is_sm2, digest, form: *form, other: label.cloned() });
                    }
                }
            }
        }
        None
    }

    fn digests(&self, key: &PublicKey) -> Vec<(Digest, [u8; 32])> {
        let with_z = |id: &DistinguishingId| *E::of_message(key, id, &[self.handed]).as_bytes();
        let mut digests = Vec::with_capacity(4);
        if let Some(start) = self.handed.first_chunk() {
            digests.push((if self.handed.len() == 32 { Digest::AsIs } else { Digest::Cut }, *start));
        }
        digests.push((Digest::WithZ, with_z(&DistinguishingId::default())));
        digests.push((Digest::Alone, sm3(&[self.handed])));
        if let Ok(empty) = DistinguishingId::new([]) {
            digests.push((Digest::WithEmptyZ, with_z(&empty)));
        }
        digests
    }

    fn forms(&self) -> Vec<(Form, Signature)> {
        let mut forms = Vec::new();
        let mut raw = |form, octets: Option<[u8; 64]>| {
            forms.extend(octets.and_then(|octets| Signature::from_raw(&octets).ok()).map(|read| (form, read)));
        };
        if let Ok(octets) = <[u8; 64]>::try_from(self.given) {
            let (mut swapped, mut reversed) = (octets, octets);
            swapped.rotate_left(32);
            reversed.chunks_exact_mut(32).for_each(<[u8]>::reverse);
            raw(Form::Encoding(SignEncoding::Raw), Some(octets));
            raw(Form::Swapped, Some(swapped));
            raw(Form::LittleEndian, Some(reversed));
        }
        if let Ok(octets) = <[u8; 128]>::try_from(self.given) {
            let mut narrow = [0; 64];
            narrow[..32].copy_from_slice(&octets[32..64]);
            narrow[32..].copy_from_slice(&octets[96..]);
            raw(Form::Wide, Some(narrow));
        }
        if let Ok(signature) = Signature::from_der(self.given) {
            forms.push((Form::Encoding(SignEncoding::Der), signature));
        } else if let Ok(signature) = Signature::from_der_lax(self.given) {
            forms.push((Form::Encoding(SignEncoding::DerLax), signature));
        }
        forms
    }
}

impl Finding {
    /// What `sign.input` would have to be for this mechanism, where one of its values fits.
    pub(crate) const fn input(&self) -> Option<SignInput> {
        match self.digest {
            Digest::AsIs | Digest::Cut => Some(SignInput::E),
            Digest::Alone => Some(SignInput::MessageWithoutZ),
            Digest::WithZ => Some(SignInput::MessageWithZ),
            Digest::WithEmptyZ => None,
        }
    }

    /// What `sign.encoding` would have to be, where one of its values fits.
    pub(crate) const fn encoding(&self) -> Option<SignEncoding> {
        match self.form {
            Form::Encoding(encoding) => Some(encoding),
            Form::Swapped | Form::LittleEndian | Form::Wide => None,
        }
    }

    /// What the module did, and which key of the profile to change.
    pub(crate) fn advice(&self, form: &SignForm) -> String {
        let mut advice = String::new();
        if let Some(other) = &self.other {
            let _ = write!(advice, "another key signed, the one with the label {other:?}; the token mixes its keys up");
            return advice;
        }
        if !self.is_sm2 {
            return format!(
                "the module made an ECDSA signature, which is no SM2 signature, though the key is on the SM2 curve (as stock \
                 SoftHSM does); sign.mechanism = {:#x} must be one for SM2, and where the token has none it cannot sign",
                form.mechanism
            );
        }
        let did = match self.digest {
            Digest::AsIs => "took its input as the digest e",
            Digest::Cut => "took the first 32 octets of its input as the digest e",
            Digest::Alone => "hashed its input without Z",
            Digest::WithZ => "hashed its input with Z before it",
            Digest::WithEmptyZ => "hashed its input with the Z of an empty distinguishing id before it",
        };
        let _ = write!(advice, "the module {did}");
        match self.input() {
            Some(input) if input == form.input => {}
            Some(input) => {
                let _ =
                    write!(advice, ": sign.input should be {:?} instead of {:?}", input.as_str(), form.input.as_str());
            }
            None => {
                advice.push_str(": sign.parameter = \"user-id\" may give it the id, else another sign.mechanism must");
            }
        }
        match (self.form, self.encoding()) {
            (_, Some(encoding)) if tolerates(form.encoding, encoding) => {}
            (_, Some(encoding)) => {
                let _ = write!(
                    advice,
                    "; the signature is written otherwise: sign.encoding should be {:?} instead of {:?}",
                    encoding.as_str(),
                    form.encoding.as_str()
                );
            }
            (Form::Swapped, None) => advice.push_str("; r and s are exchanged, which no sign.encoding can say"),
            (Form::LittleEndian, None) => {
                advice.push_str("; r and s have their octets in the reverse order, which no sign.encoding can say");
            }
            (_, None) => advice.push_str("; r and s stand in 64 octets each, which no sign.encoding can say"),
        }
        advice
    }
}

/// Whether a reader of one encoding reads the other.
fn tolerates(reader: SignEncoding, written: SignEncoding) -> bool {
    reader == written || (reader == SignEncoding::DerLax && written == SignEncoding::Der)
}

#[cfg(test)]
mod tests;
