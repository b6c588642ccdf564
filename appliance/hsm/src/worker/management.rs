//! Operations of administrators: making keys, certification requests, certificates.

use std::sync::Arc;

use cryptoki::object::{Attribute, CertificateType, ObjectClass};
use cryptoki_sys as ck;
use yanqian_messages::{Certificate, CertificationRequestInfo, Subject};
use yanqian_sm::{DistinguishingId, E, sm3};

use super::algorithm::Public;
use super::keys;
use super::lane::{Lane, Problem};
use super::sealed;
use crate::binding::ffi::{Template, Value};
use crate::profile::{EcParams, KeyForm};
use crate::protocol::{Answer, KeyAlgorithm, KeyEntry, KeyUsage, Refusal, codes};

/// Keys in one answer; more would not fit a frame.
const MAX_KEYS: usize = 128;

/// DER of the object identifier 1.2.156.10197.1.301, the SM2 curve (GB/T 35276-2017 §7.1).
pub(super) const SM2_CURVE: [u8; 10] = [0x06, 0x08, 0x2a, 0x81, 0x1c, 0xcf, 0x55, 0x01, 0x82, 0x2d];

/// Octets of a new key's `CKA_ID`: random, so that it is unlike any other's.
pub(super) const ID_LENGTH: usize = 16;

impl Lane {
    pub(super) fn list_keys(&mut self) -> Result<Answer, Problem> {
        let engine = Arc::clone(&self.engine);
        let form = &engine.profile.key;
        let session = self.session()?;
        let mut entries: Vec<KeyEntry> = Vec::new();
        // Labels by which requests can name keys.
        let mut labels = Vec::new();
        for handle in keys::private_keys(session, form, None)?.into_iter().take(MAX_KEYS) {
            let found = keys::describe(session, handle, form)?;
            let certificate = keys::certificates(session, &found.id)?.into_iter().next();
            let named = engine.name_of(&found.label, &found.id);
            labels.extend(named.clone().ok());
            let usable = found.public.clone().and_then(|public| engine.admits(&found.label, public.algorithm()));
            let unusable = usable.err().map(|refusal| refusal.message);
            entries.push(KeyEntry {
                label: named.clone().unwrap_or(found.label),
                id: found.id,
                public_key: found.public.as_ref().ok().and_then(Public::sm2).map(yanqian_sm::PublicKey::to_sec1),
                algorithm: found.public.as_ref().ok().map(Public::algorithm),
                key_id: found.public.as_ref().ok().map(Public::key_id),
                certificate_hash: certificate.map(|(_, der)| sm3(&[&der])),
                proven: false,
                problem: named.err().or(unusable),
                usage: found.usage,
                signatures: None,
                signature_limit: None,
            });
        }
        for entry in &mut entries {
            if engine.name_of(&entry.label, &entry.id).is_err() {
                // Told already, and no request can name it.
            } else if labels.iter().filter(|label| **label == entry.label).count() > 1 {
                entry.problem = Some("another key has the same label".to_owned());
            } else if let Some(known) = engine.known_key(&entry.label)
                && entry.key_id == Some(known.public.key_id())
            {
                entry.proven = known.is_proven();
                let problem = entry.problem.take().or_else(|| known.account.exhausted());
                entry.problem = problem.or_else(|| known.problem());
                let (signatures, limit) = known.account.signatures();
                (entry.signatures, entry.signature_limit) = (Some(signatures), limit);
            }
        }
        entries.sort_by(|one, other| one.label.cmp(&other.label));
        Ok(Answer::Keys(entries))
    }

    pub(super) fn generate_key(&mut self, label: &str, algorithm: KeyAlgorithm) -> Result<Answer, Problem> {
        let profile = self.engine.profile.clone();
        self.engine.admits(label, algorithm)?;
        if algorithm != KeyAlgorithm::Sm2 {
            self.must_be_unused(label)?;
            let id = self.engine.new_id(label)?;
            self.make_other(algorithm, label, &id)?;
            tracing::info!(label, %algorithm, "made a key pair");
            return self.proven_entry(label, None);
        }
        if profile.key.sealed.is_some() {
            self.must_be_unused(label)?;
            self.make_sealed(label)?;
            tracing::info!(label, "made a sealed key");
            return self.proven_entry(label, None);
        }
        let Some(mechanism) = profile.key.keygen_mechanism else {
            let why = format!("profile {:?} has no key.keygen_mechanism: make keys by the vendor's tool", profile.name);
            return Err(Refusal::new(codes::PROFILE, why).into());
        };
        self.must_be_unused(label)?;
        let id = self.engine.new_id(label)?;
        let session = self.session()?;
        let (public, private) =
            templates(&profile.key, KeyKind { on_token: true, unwraps: profile.import.is_some() }, label, &id);
        session.generate_key_pair(mechanism, &public, &private)?;
        tracing::info!(label, "made a key pair");
        // A recovery of its own: trying the whole again would find the label in use.
        self.proven_entry(label, None)
    }

    fn must_be_unused(&mut self, label: &str) -> Result<(), Problem> {
        let located = self.engine.locate(label)?;
        if self.session()?.find(&located)?.is_empty() {
            return Ok(());
        }
        Err(Refusal::new(codes::LABEL_IN_USE, format!("a key {label:?} is there already")).into())
    }

    /// What is told of a key that was just made or imported, once it has proven itself.
    pub(super) fn proven_entry(&mut self, label: &str, certificate_hash: Option<[u8; 32]>) -> Result<Answer, Problem> {
        let key = self.run(|lane| lane.proven_key(label)).map_err(|outcome| Problem::Answered(Box::new(outcome)))?;
        Ok(Answer::Key(Box::new(KeyEntry {
            label: label.to_owned(),
            id: key.id.clone(),
            public_key: key.public.sm2().map(yanqian_sm::PublicKey::to_sec1),
            algorithm: Some(key.public.algorithm()),
            key_id: Some(key.public.key_id()),
            certificate_hash,
            proven: true,
            problem: None,
            usage: key.usage,
            signatures: Some(key.account.signatures().0),
            signature_limit: key.account.signatures().1,
        })))
    }

    pub(super) fn csr(&mut self, label: &str, subject: &str) -> Result<Answer, Problem> {
        let subject =
            Subject::parse(subject).map_err(|error| Refusal::new(codes::BAD_REQUEST, format!("subject: {error}")))?;
        let key = self.proven_key(label)?;
        key.must_be_for(KeyUsage::Sign)?;
        let Some(public) = key.public.sm2() else {
            let request = self.request_other(&key, &subject)?;
            tracing::info!(label, "signed a certification request");
            return Ok(Answer::Csr(request));
        };
        let info = CertificationRequestInfo::new(&subject, public);
        let e = E::of_message(public, &DistinguishingId::default(), &[info.to_be_signed()]);
        let signature = self.sign_verified(&key, &e, Some(info.to_be_signed()))?;
        tracing::info!(label, "signed a certification request");
        Ok(Answer::Csr(info.finish(&signature)))
    }

    pub(super) fn import_certificate(&mut self, label: &str, der: &[u8]) -> Result<Answer, Problem> {
        let refuse = |why: String| Err(Problem::Refused(Refusal::new(codes::CERTIFICATE, why)));
        let certificate = match Certificate::from_der(der) {
            Ok(certificate) => certificate,
            Err(error) => return refuse(error.to_string()),
        };
        let (_, key) = self.key(label)?;
        if !key.public.is_of(&certificate) {
            return refuse(format!("the certificate of {:?} is for another key than {label:?}", certificate.subject()));
        }
        if key.id.is_empty() {
            return refuse(format!("key {label:?} has no CKA_ID, so nothing could link the certificate to it"));
        }
        self.store_certificate(label, &key.id, &certificate)?;
        Ok(Answer::Imported)
    }

    /// Destroys the pair and its certificates. The private key goes first: whatever fails then, it signs no more.
    pub(super) fn destroy_key(&mut self, label: &str, key_id: &[u8; 32]) -> Result<Answer, Problem> {
        // Of any algorithm: what may not be used may be removed.
        let (handle, key) = self.look_up(label)?;
        if key.public.key_id() != *key_id {
            let why = format!(
                "key {label:?} has the id {}, another than the one to be destroyed",
                hex::encode(key.public.key_id())
            );
            return Err(Refusal::new(codes::OTHER_KEY, why).into());
        }
        let sealed = self.engine.profile.key.sealed.is_some();
        // Forgotten before it is gone: what is in memory of it goes first.
        self.forget(label);
        let session = self.session()?;
        session.destroy(handle)?;
        tracing::warn!(label, key_id = hex::encode(key_id), "destroyed a private key");
        if !key.id.is_empty() {
            for class in [ObjectClass::PUBLIC_KEY, ObjectClass::CERTIFICATE] {
                for left in session.find(&[Attribute::Class(class), Attribute::Id(key.id.clone())])? {
                    session.destroy(left)?;
                }
            }
        }
        if sealed {
            for left in sealed::companions(session, label)? {
                session.destroy(left)?;
            }
        }
        Ok(Answer::Destroyed)
    }

    /// Stores a certificate under a key's `CKA_ID`, replacing the ones that are there.
    pub(super) fn store_certificate(
        &mut self,
        label: &str,
        id: &[u8],
        certificate: &Certificate,
    ) -> Result<(), Problem> {
        let der = certificate.as_der();
        let never_send = self.engine.profile.key.never_send.clone();
        let session = self.session()?;
        let stored = keys::certificates(session, id)?;
        if !stored.iter().any(|(_, there)| there == der) {
            let mut template = vec![
                Attribute::Class(ObjectClass::CERTIFICATE),
                Attribute::CertificateType(CertificateType::X_509),
                Attribute::Token(true),
                Attribute::Label(label.as_bytes().to_vec()),
                Attribute::Id(id.to_vec()),
                Attribute::Value(der.to_vec()),
            ];
            for (name, attribute) in [
                ("CKA_PRIVATE", Attribute::Private(false)),
                ("CKA_SUBJECT", Attribute::Subject(certificate.subject_der().to_vec())),
                ("CKA_ISSUER", Attribute::Issuer(certificate.issuer_der().to_vec())),
                ("CKA_SERIAL_NUMBER", Attribute::SerialNumber(integer(certificate.serial()))),
            ] {
                if !never_send.contains(name) {
                    template.push(attribute);
                }
            }
            session.create(&template)?;
            tracing::info!(label, "imported a certificate");
        }
        // The new one is there before the old ones go.
        for (handle, there) in stored {
            if there != der {
                session.destroy(handle)?;
            }
        }
        Ok(())
    }
}

/// DER INTEGER around value octets of at most 127 octets, as `CKA_SERIAL_NUMBER` wants it.
fn integer(value: &[u8]) -> Vec<u8> {
    let length = u8::try_from(value.len()).unwrap_or(u8::MAX).min(127);
    [&[0x02, length], &value[..usize::from(length)]].concat()
}

/// What a new signing pair is to be beside that.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KeyKind {
    /// Else it is gone with its session.
    pub(crate) on_token: bool,
    pub(crate) unwraps: bool,
}

/// Templates of a new signing pair: private key sensitive, not extractable, for signing, and, where the family imports
/// encryption keys, for unwrapping them. No `CKA_DECRYPT`, which would open anything sealed to it, and no `CKA_DERIVE`: with it
/// the token would multiply any point by the key.
pub(crate) fn templates(form: &KeyForm, kind: KeyKind, label: &str, id: &[u8]) -> (Template, Template) {
    let class = |class: u64| (ck::CKA_CLASS, Value::from(class));
    let common = [
        (ck::CKA_TOKEN, Value::from(kind.on_token)),
        (ck::CKA_LABEL, Value::from(label.as_bytes().to_vec())),
        (ck::CKA_ID, Value::from(id.to_vec())),
    ];
    let optional = |name: &str, kind, value: Value| (!form.never_send.contains(name)).then_some((kind, value));
    let key_type = || optional("CKA_KEY_TYPE", ck::CKA_KEY_TYPE, Value::from(form.key_type));
    let mut public = vec![class(ck::CKO_PUBLIC_KEY)];
    public.extend(common.clone());
    public.extend(key_type());
    public.extend(optional("CKA_PRIVATE", ck::CKA_PRIVATE, Value::from(false)));
    public.extend(optional("CKA_VERIFY", ck::CKA_VERIFY, Value::from(true)));
    if form.ec_params == EcParams::Oid {
        public.push((ck::CKA_EC_PARAMS, Value::from(SM2_CURVE.to_vec())));
    }
    let mut private = vec![class(ck::CKO_PRIVATE_KEY)];
    private.extend(common);
    private.extend(key_type());
    private.extend(optional("CKA_PRIVATE", ck::CKA_PRIVATE, Value::from(true)));
    private.extend(optional("CKA_SENSITIVE", ck::CKA_SENSITIVE, Value::from(true)));
    private.extend(optional("CKA_EXTRACTABLE", ck::CKA_EXTRACTABLE, Value::from(false)));
    private.extend(optional("CKA_SIGN", ck::CKA_SIGN, Value::from(true)));
    if kind.unwraps {
        private.extend(optional("CKA_UNWRAP", ck::CKA_UNWRAP, Value::from(true)));
    }
    (public, private)
}
