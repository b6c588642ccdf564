//! The entity's encryption pair: taken from the authority's envelope, and used to open session keys, nothing else.

use cryptoki_sys as ck;
use yanqian_messages::{Certificate, sm2_cipher_from_der};
use yanqian_sm::{Sm2Ciphertext, sm2_encrypt, sm3};
use zeroize::Zeroizing;

use super::engine::{KnownKey, Proof, count};
use super::keys;
use super::lane::{Lane, Problem};
use crate::binding::BindingError;
use crate::binding::ffi::{Template, Value};
use crate::profile::{CipherForm, ImportForm, KeyForm, Profile};
use crate::protocol::{Answer, KeyUsage, MAX_OPENED, Refusal, Secret, codes};

/// Codes by which a module says that what it was given cannot be opened with this key. The session is good all the same.
const NOT_OPENED: [u64; 7] = [
    ck::CKR_ENCRYPTED_DATA_INVALID,
    ck::CKR_ENCRYPTED_DATA_LEN_RANGE,
    ck::CKR_DATA_INVALID,
    ck::CKR_DATA_LEN_RANGE,
    ck::CKR_WRAPPED_KEY_INVALID,
    ck::CKR_WRAPPED_KEY_LEN_RANGE,
    ck::CKR_ARGUMENTS_BAD,
];

fn no_table(profile: &Profile, table: &str) -> Problem {
    let why = format!("profile {:?} ({}) has no [{table}]", profile.name, profile.file().display());
    Refusal::new(codes::PROFILE, why).into()
}

impl Lane {
    /// A module's refusal of the octets themselves is an answer, though it costs the session as every error does; everything
    /// else goes the way of all token errors.
    fn judge(&mut self, what: &str, error: BindingError) -> Problem {
        if error.rv().is_some_and(|rv| NOT_OPENED.contains(&rv)) {
            self.replace(&error);
            Refusal::new(codes::NOT_OPENED, format!("{what} cannot be opened with this key: {error}")).into()
        } else {
            Problem::Token(error)
        }
    }

    /// Opens a session key. Only an encryption key that has proven itself does.
    pub(super) fn unseal(&mut self, label: &str, cipher: &[u8]) -> Result<Answer, Problem> {
        let cipher =
            sm2_cipher_from_der(cipher).map_err(|error| Refusal::new(codes::NOT_OPENED, format!("cipher: {error}")))?;
        let key = self.proven_key(label)?;
        key.must_be_for(KeyUsage::Encrypt)?;
        let opened = self.open(&key.label, &cipher)?;
        if opened.is_empty() || opened.len() > MAX_OPENED {
            let why = format!("cipher: opens to {} octets, where a session key has 1 to {MAX_OPENED}", opened.len());
            return Err(Refusal::new(codes::NOT_OPENED, why).into());
        }
        Ok(Answer::Opened(Secret::new(opened.to_vec())))
    }

    fn open(&mut self, label: &str, cipher: &Sm2Ciphertext) -> Result<Zeroizing<Vec<u8>>, Problem> {
        let profile = self.engine.profile.clone();
        let form = profile.unseal.as_ref().ok_or_else(|| no_table(&profile, "unseal"))?;
        let octets = match form.ciphertext {
            CipherForm::Der => yanqian_messages::sm2_cipher_to_der(cipher),
            CipherForm::C1c3c2 => cipher.to_c1c3c2(),
            CipherForm::C1c2c3 => [&[4], cipher.x.as_slice(), &cipher.y, &cipher.ciphertext, &cipher.hash].concat(),
        };
        let (handle, _) = self.key(label)?;
        let opened = self.session()?.decrypt(handle, form.mechanism, &octets);
        let counters = &self.engine.counters;
        count(if opened.is_ok() { &counters.unseals } else { &counters.unseal_failures });
        opened.map_err(|error| self.judge("the ciphertext", error))
    }

    /// Seals fresh octets to the key's public half in software, and has the token open them.
    pub(super) fn prove_opening(&mut self, key: &KnownKey) -> Result<(), Problem> {
        let system =
            |error: &dyn std::fmt::Display| Refusal::new(codes::TOKEN, format!("the system's random numbers: {error}"));
        let mut secret = Zeroizing::new([0; 32]);
        getrandom::fill(secret.as_mut_slice()).map_err(|error| system(&error))?;
        let cipher =
            sm2_encrypt(&key.public, secret.as_slice(), &mut getrandom::SysRng).map_err(|error| system(&error))?;
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
            "encryption key {:?} failed its proof and does not serve: {what}; {place} may not fit this module",
            key.label
        );
        tracing::error!(label = key.label, "{why}");
        key.set_proof(Proof::Failed(std::time::Instant::now(), why.clone()));
        Err(Refusal::new(codes::SELF_PROOF, why).into())
    }

    /// Unwraps the pair, stores its certificate beside it, and has it prove itself.
    pub(super) fn import_encryption_key(
        &mut self,
        label: &str,
        wrapping_label: &str,
        enveloped_key: &[u8],
        certificate: &[u8],
    ) -> Result<Answer, Problem> {
        let refuse = |why: String| Problem::Refused(Refusal::new(codes::CERTIFICATE, why));
        let read = Certificate::from_der(certificate).map_err(|error| refuse(format!("certificate: {error}")))?;
        let encrypts = read
            .key_usage()
            .is_some_and(|usage| usage.key_encipherment || usage.data_encipherment || usage.key_agreement);
        let Some(public) = read.public_key().copied().filter(|_| encrypts && !read.is_ca()) else {
            return Err(refuse(format!("{:?} is not an SM2 encryption certificate", read.subject())));
        };
        let profile = self.engine.profile.clone();
        let form = profile.import.as_ref().ok_or_else(|| no_table(&profile, "import"))?;
        let ImportForm::Sm2EnvelopedKey = form.form;
        let wrapping = self.proven_key(wrapping_label)?;
        wrapping.must_be_for(KeyUsage::Sign)?;
        let (handle, _) = self.key(wrapping_label)?;
        let session = self.session()?;
        if !keys::private_keys(session, Some(label))?.is_empty() {
            return Err(Refusal::new(codes::LABEL_IN_USE, format!("a key {label:?} is there already")).into());
        }
        let mut id = vec![0; 16];
        getrandom::fill(&mut id)
            .map_err(|error| Refusal::new(codes::TOKEN, format!("the system's random numbers: {error}")))?;
        let template = template(&profile.key, label, &id);
        let unwrapped = session.unwrap_key(form.mechanism, handle, enveloped_key, &template);
        unwrapped.map_err(|error| self.judge("the enveloped key", error))?;
        let imported =
            self.run(|lane| Ok(lane.key(label)?.1)).map_err(|outcome| Problem::Answered(Box::new(outcome)))?;
        if imported.public != public {
            self.discard(label)?;
            return Err(refuse(format!("{:?} is for another key than the one in the envelope", read.subject())));
        }
        self.import_certificate(label, certificate)?;
        tracing::info!(label, "imported an encryption key");
        self.proven_entry(label, Some(sm3(&[certificate])))
    }

    /// Takes back what was just unwrapped and does not belong here.
    fn discard(&mut self, label: &str) -> Result<(), Problem> {
        let session = self.session()?;
        for handle in keys::private_keys(session, Some(label))? {
            session.destroy(handle)?;
        }
        self.forget(label);
        Ok(())
    }
}

/// The imported private key: sensitive, not extractable, for decryption only.
fn template(form: &KeyForm, label: &str, id: &[u8]) -> Template {
    let mut template: Template = vec![
        (ck::CKA_CLASS, Value::from(ck::CKO_PRIVATE_KEY)),
        (ck::CKA_TOKEN, Value::from(true)),
        (ck::CKA_LABEL, Value::from(label.as_bytes().to_vec())),
        (ck::CKA_ID, Value::from(id.to_vec())),
        (ck::CKA_DECRYPT, Value::from(true)),
    ];
    let optional = [
        ("CKA_KEY_TYPE", ck::CKA_KEY_TYPE, Value::from(form.key_type)),
        ("CKA_PRIVATE", ck::CKA_PRIVATE, Value::from(true)),
        ("CKA_SENSITIVE", ck::CKA_SENSITIVE, Value::from(true)),
        ("CKA_EXTRACTABLE", ck::CKA_EXTRACTABLE, Value::from(false)),
        ("CKA_SIGN", ck::CKA_SIGN, Value::from(false)),
    ];
    template.extend(
        optional
            .into_iter()
            .filter(|(name, ..)| !form.never_send.contains(*name))
            .map(|(_, kind, value)| (kind, value)),
    );
    template
}
