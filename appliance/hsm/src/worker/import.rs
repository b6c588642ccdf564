//! Importing the encryption pair that an authority made: unwrapped inside the token, its certificate stored beside it, proven;
//! or nothing of it stays.

use std::sync::Arc;

use cryptoki::object::{Attribute, AttributeType, ObjectClass, ObjectHandle};
use cryptoki_sys as ck;
use yanqian_messages::Certificate;
use yanqian_sm::{PublicKey, sm3};

use super::keys;
use super::lane::{Lane, Problem};
use super::sealed;
use super::unseal::{Blame, no_table, not_opened};
use crate::binding::ffi::{Template, Value};
use crate::profile::{ImportForm, KeyForm};
use crate::protocol::{Answer, KeyUsage, Outcome, Refusal, codes};

/// The certificate, and the key that it is for.
struct Pair {
    certificate: Certificate,
    public: PublicKey,
}

fn refuse(why: String) -> Problem {
    Refusal::new(codes::CERTIFICATE, why).into()
}

impl Pair {
    fn read(der: &[u8]) -> Result<Self, Problem> {
        let certificate = Certificate::from_der(der).map_err(|error| refuse(format!("certificate: {error}")))?;
        let encrypts = certificate
            .key_usage()
            .is_some_and(|usage| usage.key_encipherment || usage.data_encipherment || usage.key_agreement);
        match certificate.public_key().copied() {
            Some(public) if encrypts && !certificate.is_ca() => Ok(Self { certificate, public }),
            _ => Err(refuse(format!("{:?} is not an SM2 encryption certificate", certificate.subject()))),
        }
    }
}

impl Lane {
    /// Unwraps the pair, stores its certificate beside it, and has it prove itself.
    pub(super) fn import_encryption_key(
        &mut self,
        label: &str,
        wrapping_label: &str,
        enveloped_key: &[u8],
        certificate: &[u8],
    ) -> Result<Answer, Problem> {
        let pair = Pair::read(certificate)?;
        let profile = self.engine.profile.clone();
        if profile.key.sealed.is_some() {
            self.must_be_new(label, &pair.public)?;
            let id = self.engine.new_id(label)?;
            self.import_sealed((label, &id), wrapping_label, enveloped_key, &pair.public)?;
            return self.complete(label, wrapping_label, &id, &pair);
        }
        let form = profile.import.as_ref().ok_or_else(|| no_table(&profile, "import"))?;
        // The one way that there is: the envelope goes to the module as it came.
        let ImportForm::Sm2EnvelopedKey = form.form;
        self.must_be_new(label, &pair.public)?;
        let wrapping = self.wrapping_key(wrapping_label)?;
        let id = self.engine.new_id(label)?;
        let template = template(&profile.key, label, &id);
        let unwrapped = self.session()?.unwrap_key(form.mechanism, wrapping, enveloped_key, &template);
        if let Err(error) = unwrapped {
            let blame = Blame::of(&error, "C_UnwrapKey");
            if matches!(blame, Blame::Elsewhere) {
                return Err(error.into());
            }
            self.replace(&error);
            if matches!(blame, Blame::Unclear) {
                // The envelope or the device: a device that signs is there.
                let key = self.key(wrapping_label)?.1;
                self.prove(&key)?;
            }
            return Err(not_opened(format!("the enveloped key cannot be opened with {wrapping_label:?}: {error}")));
        }
        self.complete(label, wrapping_label, &id, &pair)
    }

    /// From here on a recovery of its own: trying the whole again would find the label in use.
    fn complete(&mut self, label: &str, wrapping_label: &str, id: &[u8], pair: &Pair) -> Result<Answer, Problem> {
        match self.run(|lane| lane.finish_import(label, id, pair)) {
            Ok(answer) => {
                tracing::info!(label, wrapping_label, "imported an encryption key");
                Ok(answer)
            }
            Err(outcome) => {
                self.take_back(label, id);
                Err(Problem::Answered(Box::new(outcome)))
            }
        }
    }

    /// Refuses a label in use, and a key that is there under any label: one key under two names would outlive its removal.
    fn must_be_new(&mut self, label: &str, public: &PublicKey) -> Result<(), Problem> {
        let engine = Arc::clone(&self.engine);
        let form = &engine.profile.key;
        let session = self.session()?;
        for handle in keys::private_keys(session, form, None)? {
            let found = keys::describe(session, handle, form)?;
            if engine.name_of(&found.label, &found.id).as_deref() == Ok(label) {
                return Err(Refusal::new(codes::LABEL_IN_USE, format!("a key {label:?} is there already")).into());
            }
            if found.public.is_ok_and(|there| there.sm2() == Some(public)) {
                let why = format!("the certificate's key is there already, with the label {:?}", found.label);
                return Err(Refusal::new(codes::KEY_PRESENT, why).into());
            }
        }
        Ok(())
    }

    /// The signing key to which the pair was wrapped, able to unwrap.
    fn wrapping_key(&mut self, label: &str) -> Result<ObjectHandle, Problem> {
        self.key(label)?.1.must_be_for(KeyUsage::Sign)?;
        self.proven_key(label)?;
        let (handle, _) = self.key(label)?;
        if self.session()?.attributes(handle, &[AttributeType::Unwrap])?.contains(&Attribute::Unwrap(false)) {
            let why = format!(
                "key {label:?} was made without CKA_UNWRAP, before the profile had [import] or by another tool: it unwraps \
                 nothing. Make a new signing key with `yanqian hsm keygen` and have it certified"
            );
            return Err(Refusal::new(codes::KEY_USAGE, why).into());
        }
        Ok(handle)
    }

    /// All that follows once the token has the key. Can be done again from its beginning.
    fn finish_import(&mut self, label: &str, id: &[u8], pair: &Pair) -> Result<Answer, Problem> {
        // First, because with some modules only the certificate tells which public key belongs to an unwrapped private one.
        self.store_certificate(label, id, &pair.certificate)?;
        let (_, key) = self.key(label)?;
        if key.id != id {
            let why = "the module gave the key another CKA_ID than asked for, so nothing links the certificate to it";
            return Err(Refusal::new(codes::PROFILE, why).into());
        }
        key.must_be_for(KeyUsage::Encrypt)?;
        if key.sm2()? != &pair.public {
            let subject = pair.certificate.subject();
            return Err(refuse(format!("{subject:?} is for another key than the one in the envelope")));
        }
        self.proven_entry(label, Some(sm3(&[pair.certificate.as_der()])))
    }

    /// Removes what an import that failed has left, so that it can be tried again.
    fn take_back(&mut self, label: &str, id: &[u8]) {
        tracing::warn!(label, "an import failed; what it has left is removed");
        let removed = self.run(|lane| {
            let engine = Arc::clone(&lane.engine);
            let form = &engine.profile.key;
            let session = lane.session()?;
            let mut left = keys::private_keys(session, form, Some(label))?;
            for class in [ObjectClass::PUBLIC_KEY, ObjectClass::CERTIFICATE] {
                left.extend(session.find(&[Attribute::Class(class), Attribute::Id(id.to_vec())])?);
            }
            if form.sealed.is_some() {
                left.extend(sealed::companions(session, label)?);
            }
            for handle in left {
                session.destroy(handle)?;
            }
            lane.forget(label);
            Ok(())
        });
        if let Err(Outcome::Refused(Refusal { message, .. }) | Outcome::Unavailable(message)) = removed {
            tracing::error!(label, message, "an import failed and its key could not be removed");
        }
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
