//! Opening session keys with the entity's encryption key, and the proof that it can. Nothing else opens anything.

use std::time::Instant;

use yanqian_messages::{sm2_cipher_from_der, sm2_cipher_to_der};
use yanqian_sm::{PublicKey, Sm2Ciphertext, sm2_encrypt};
use zeroize::Zeroizing;

use super::engine::{KnownKey, PROOF_PAUSE, Proof, count};
use super::lane::{Lane, Problem};
use crate::binding::{BindingError, Mark, Remedy};
use crate::profile::{CipherForm, Profile};
use crate::protocol::{Answer, KeyUsage, MAX_OPENED, Refusal, Secret, codes};

/// What a module's error says about the octets that it was given.
pub(super) enum Blame {
    /// They are at fault.
    Octets,
    /// They or the device: many modules have one code, often a vendor's own, for both.
    Unclear,
    /// They are not what failed.
    Elsewhere,
}

impl Blame {
    pub(super) fn of(error: &BindingError, function: &str) -> Self {
        let BindingError::Pkcs11(failed) = error else { return Self::Elsewhere };
        match failed.remedy {
            // What opened the operation says nothing of the octets: it had not seen them.
            _ if failed.function != function => Self::Elsewhere,
            _ if error.is(Mark::OctetsBad) => Self::Octets,
            Remedy::Reinitialise | Remedy::Fail => Self::Unclear,
            _ => Self::Elsewhere,
        }
    }
}

/// The refusal of octets that cannot be opened.
pub(super) fn not_opened(why: impl Into<String>) -> Problem {
    Refusal::new(codes::NOT_OPENED, why).into()
}

/// The refusal of an operation that the profile does not describe.
pub(super) fn no_table(profile: &Profile, table: &str) -> Problem {
    let why = format!("profile {:?} ({}) has no [{table}]", profile.name, profile.file().display());
    Refusal::new(codes::PROFILE, why).into()
}

/// The octets that the module is handed.
fn in_form(form: CipherForm, cipher: &Sm2Ciphertext) -> Vec<u8> {
    match form {
        CipherForm::Der => sm2_cipher_to_der(cipher),
        CipherForm::C1c3c2 => cipher.to_c1c3c2(),
        CipherForm::C1c2c3 => [&[4], cipher.x.as_slice(), &cipher.y, &cipher.ciphertext, &cipher.hash].concat(),
    }
}

/// What may go to a token: a session key's length, sealed to a point of the curve. A module that multiplies a point of another
/// curve by its key gives the key away, so this does not wait for the module to look.
fn read_cipher(der: &[u8]) -> Result<Sm2Ciphertext, String> {
    let cipher = sm2_cipher_from_der(der).map_err(|error| error.to_string())?;
    let length = cipher.ciphertext.len();
    if !(1..=MAX_OPENED).contains(&length) {
        return Err(format!("{length} octets are sealed, where a session key has 1 to {MAX_OPENED}"));
    }
    let mut point = [0; 64];
    point[..32].copy_from_slice(&cipher.x);
    point[32..].copy_from_slice(&cipher.y);
    PublicKey::from_raw(&point).map_err(|_| "C1 is no point of the SM2 curve")?;
    Ok(cipher)
}

impl Lane {
    /// Opens a session key. Only an encryption key that has proven itself does.
    pub(super) fn unseal(&mut self, label: &str, cipher: &[u8]) -> Result<Answer, Problem> {
        self.key(label)?.1.must_be_for(KeyUsage::Encrypt)?;
        let cipher = read_cipher(cipher).map_err(|why| {
            count(&self.engine.counters.unseal_failures);
            not_opened(format!("cipher: {why}"))
        })?;
        let key = self.proven_key(label)?;
        let opened = match self.open(label, &cipher) {
            Err(Problem::Token(error)) if matches!(Blame::of(&error, "C_Decrypt"), Blame::Unclear) => {
                // The device or the ciphertext: a good one tells which, and a device that was away gets its second chance.
                self.replace(&error);
                self.prove_opening(&key)?;
                self.open(label, &cipher).map_err(|problem| match problem {
                    Problem::Token(again) if matches!(Blame::of(&again, "C_Decrypt"), Blame::Unclear) => {
                        self.replace(&again);
                        not_opened(format!("the ciphertext cannot be opened, though the key opens others: {again}"))
                    }
                    other => other,
                })
            }
            other => other,
        }?;
        if opened.len() != cipher.ciphertext.len() {
            let why = format!("the ciphertext opened to {} octets of {}", opened.len(), cipher.ciphertext.len());
            return Err(not_opened(why));
        }
        Ok(Answer::Opened(Secret::new(opened)))
    }

    fn open(&mut self, label: &str, cipher: &Sm2Ciphertext) -> Result<Zeroizing<Vec<u8>>, Problem> {
        let (handle, key) = self.key(label)?;
        if self.engine.profile.key.sealed.is_some() {
            let opened = self.open_sealed(handle, &key, cipher);
            let counters = &self.engine.counters;
            count(if opened.is_ok() { &counters.unseals } else { &counters.unseal_failures });
            if opened.is_ok() {
                counters.succeeded();
            }
            return opened;
        }
        let profile = &self.engine.profile;
        let form = profile.unseal.ok_or_else(|| no_table(profile, "unseal"))?;
        let octets = in_form(form.ciphertext, cipher);
        let session = self.session()?;
        let began = Instant::now();
        let opened = session.decrypt(handle, form.mechanism, &octets);
        let counters = &self.engine.counters;
        counters.unseal_latency.took(began.elapsed());
        count(if opened.is_ok() { &counters.unseals } else { &counters.unseal_failures });
        if opened.is_ok() {
            counters.succeeded();
        }
        opened.map_err(|error| match Blame::of(&error, "C_Decrypt") {
            Blame::Octets => {
                // As every error, this one costs the session.
                self.replace(&error);
                not_opened(format!("the ciphertext cannot be opened with this key: {error}"))
            }
            Blame::Unclear | Blame::Elsewhere => Problem::Token(error),
        })
    }

    /// Seals fresh octets to the key's public half in software, and has the token open them.
    pub(super) fn prove_opening(&mut self, key: &KnownKey) -> Result<(), Problem> {
        let system =
            |error: &dyn std::fmt::Display| Refusal::new(codes::TOKEN, format!("the system's random numbers: {error}"));
        let mut secret = Zeroizing::new([0; 32]);
        getrandom::fill(secret.as_mut_slice()).map_err(|error| system(&error))?;
        let cipher =
            sm2_encrypt(key.sm2()?, secret.as_slice(), &mut getrandom::SysRng).map_err(|error| system(&error))?;
        let profile = &self.engine.profile;
        let place = format!("profile {:?} ({})", profile.name, profile.file().display());
        let what = match self.open(&key.label, &cipher) {
            Ok(opened) if opened.as_slice() == secret.as_slice() => {
                key.set_proof(Proof::Proven);
                return Ok(());
            }
            Ok(_) => "it opens to something else than was sealed".to_owned(),
            Err(Problem::Refused(refusal)) if refusal.code == codes::NOT_OPENED => refusal.message,
            Err(other) => return Err(other),
        };
        let why = format!(
            "encryption key {:?} failed its proof and does not serve: {what}; unseal.mechanism or unseal.ciphertext of {place} \
             does not fit this module, or the token's public key is not this key's",
            key.label
        );
        tracing::error!(label = key.label, "{why}");
        key.set_proof(Proof::Failed(Instant::now() + PROOF_PAUSE, why.clone()));
        Err(Refusal::new(codes::SELF_PROOF, why).into())
    }
}

#[cfg(test)]
mod tests {
    use cryptoki_sys as ck;

    use super::*;

    fn sealed(octets: &[u8]) -> Sm2Ciphertext {
        // The generator is as good a recipient as any point.
        let point = "32c4ae2c1f1981195f9904466a39c9948fe30bbff2660be1715a4589334c74c7\
                     bc3736a2f4f6779c59bdcee36b692153d0a9877cc62a474002df32e52139f0a0";
        let key = PublicKey::from_raw(&hex::decode(point).expect("hexadecimal").try_into().expect("64 octets"));
        sm2_encrypt(&key.expect("on the curve"), octets, &mut getrandom::SysRng).expect("random numbers")
    }

    #[test]
    fn each_form_has_its_parts_in_its_own_order() {
        let cipher = Sm2Ciphertext { x: [1; 32], y: [2; 32], hash: [3; 32], ciphertext: vec![5; 16] };
        let parts = |order: &[&[u8]]| [&[4], &[1; 32][..], &[2; 32], &order.concat()].concat();
        assert_eq!(in_form(CipherForm::C1c3c2, &cipher), parts(&[&[3; 32], &[5; 16]]));
        assert_eq!(in_form(CipherForm::C1c2c3, &cipher), parts(&[&[5; 16], &[3; 32]]));
        assert_eq!(sm2_cipher_from_der(&in_form(CipherForm::Der, &cipher)), Ok(cipher));
    }

    #[test]
    fn only_a_session_key_sealed_to_a_point_of_the_curve_goes_to_the_token() {
        for length in [1, 16, MAX_OPENED] {
            assert!(read_cipher(&sm2_cipher_to_der(&sealed(&vec![7; length]))).is_ok());
        }
        let too_long = read_cipher(&sm2_cipher_to_der(&sealed(&[7; MAX_OPENED + 1])));
        assert!(too_long.is_err_and(|why| why.starts_with("65 octets")));
        let empty = Sm2Ciphertext { ciphertext: Vec::new(), ..sealed(&[7; 16]) };
        assert!(read_cipher(&sm2_cipher_to_der(&empty)).is_err());
        let mut elsewhere = sealed(&[7; 16]);
        elsewhere.y[31] ^= 1;
        assert!(read_cipher(&sm2_cipher_to_der(&elsewhere)).is_err_and(|why| why.contains("curve")));
    }

    #[test]
    fn only_what_has_seen_the_octets_blames_them() {
        let error = |function: &'static str, rv| {
            let remedy = crate::binding::default_remedy(rv);
            BindingError::from(crate::binding::Pkcs11Error { function: function.into(), rv, remedy })
        };
        let init = error("C_DecryptInit", ck::CKR_FUNCTION_FAILED);
        assert!(matches!(Blame::of(&init, "C_Decrypt"), Blame::Elsewhere));
        let plain = error("C_Decrypt", ck::CKR_ENCRYPTED_DATA_INVALID);
        assert!(matches!(Blame::of(&plain, "C_Decrypt"), Blame::Octets));
        let vague = error("C_Decrypt", 0x8000_0384);
        assert!(matches!(Blame::of(&vague, "C_Decrypt"), Blame::Unclear));
        let session = error("C_Decrypt", ck::CKR_SESSION_HANDLE_INVALID);
        assert!(matches!(Blame::of(&session, "C_Decrypt"), Blame::Elsewhere));
    }
}
