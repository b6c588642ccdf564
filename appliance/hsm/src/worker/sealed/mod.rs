//! Sealed keys: for tokens that know no SM2. The token keeps the scalar behind its login; this process signs and opens with it, in
//! locked memory, and forgets it with the login that it was read under. The token must show the key's object for every use, so
//! that a token that was pulled, logged out or emptied serves no more.
//!
//! A sealed scalar is a `CKK_GENERIC_SECRET`: of 32 octets, or of 40 where the token's own AES key wraps it. What it is for stands in
//! `CKA_SIGN` and `CKA_DECRYPT`, as for every key.

mod scalar;

use cryptoki::object::{Attribute, KeyType, ObjectClass, ObjectHandle};
use cryptoki_sys as ck;
use yanqian_messages::Sm2EnvelopedKey;
use yanqian_sm::{E, PublicKey, Signature, Sm2Ciphertext, Sm4Key, sm4_decrypt_blocks};
use zeroize::Zeroizing;

pub(super) use self::scalar::SealedScalar;
use super::engine::KnownKey;
use super::lane::{Lane, Problem};
use super::management::SM2_CURVE;
use super::unseal::{Blame, not_opened};
use crate::binding::{Locked, TokenSession};
use crate::profile::{EcParams, KeyForm, PublicObject, SealedForm, Wrapping};
use crate::protocol::{KeyUsage, Refusal, codes};

/// Label of the AES key that wraps scalars.
const WRAPPING_KEY: &str = "yanqian-sealing-key";
/// `CKA_APPLICATION` of the data object that holds a public key, `04 ‖ x ‖ y`.
const PUBLIC_KEY: &str = "yanqian sm2 public key";
/// Octets of a scalar under RFC 3394.
const WRAPPED: usize = scalar::OCTETS + 8;
/// Scalars drawn at most: one is out of range once in 2³² times.
const DRAWS: usize = 4;

/// What tells sealed scalars from a token's other objects.
pub(super) fn scalars() -> Vec<Attribute> {
    vec![Attribute::Class(ObjectClass::SECRET_KEY), Attribute::KeyType(KeyType::GENERIC_SECRET)]
}

fn data_object(label: &str) -> Vec<Attribute> {
    vec![
        Attribute::Class(ObjectClass::DATA),
        Attribute::Application(PUBLIC_KEY.into()),
        Attribute::Label(label.as_bytes().to_vec()),
    ]
}

/// What belongs to a key beside the scalar and has no `CKA_ID` to be found by.
pub(super) fn companions(session: &TokenSession, label: &str) -> Result<Vec<ObjectHandle>, Problem> {
    Ok(session.find(&data_object(label))?)
}

/// The public key in a data object, `04 ‖ x ‖ y`.
pub(super) fn public_in_data(session: &TokenSession, label: &str) -> Result<Option<Vec<u8>>, Problem> {
    match session.find(&data_object(label))?.as_slice() {
        [object] => Ok(session.attribute(*object, ck::CKA_VALUE)?),
        _ => Ok(None),
    }
}

fn refuse(why: impl Into<String>) -> Problem {
    Refusal::new(codes::SEALED, why).into()
}

fn random(octets: &mut [u8]) -> Result<(), Refusal> {
    getrandom::fill(octets).map_err(|error| Refusal::new(codes::TOKEN, format!("the system's random numbers: {error}")))
}

/// Memory for a scalar.
fn memory() -> Result<Locked<64>, Problem> {
    Locked::new().map_err(|error| {
        refuse(format!("memory for a sealed key cannot be locked: {error}; raise LimitMEMLOCK of the worker's unit"))
    })
}

/// What the octets that this process reads back may not be: sensitive, or not extractable.
fn readable(on_token: bool) -> Vec<Attribute> {
    let mut template = scalars();
    template.extend([
        Attribute::Token(on_token),
        Attribute::Private(true),
        Attribute::Sensitive(false),
        Attribute::Extractable(true),
    ]);
    template
}

impl Lane {
    /// An SM2 signature over e by a sealed key.
    pub(super) fn sign_sealed(&mut self, handle: ObjectHandle, key: &KnownKey, e: &E) -> Result<Signature, Problem> {
        let mut fresh = Zeroizing::new([0; 32]);
        random(fresh.as_mut_slice())?;
        let signature = self.sealed_scalar(handle, key)?.sign(e, &fresh);
        signature.ok_or_else(|| Problem::NoSignature("no nonce gave a signature".into()))
    }

    /// Opens a ciphertext with a sealed key.
    pub(super) fn open_sealed(
        &mut self,
        handle: ObjectHandle,
        key: &KnownKey,
        cipher: &Sm2Ciphertext,
    ) -> Result<Zeroizing<Vec<u8>>, Problem> {
        let opened = self.sealed_scalar(handle, key)?.open(cipher);
        opened.map_err(|error| not_opened(format!("cipher: {error}")))
    }

    /// The key's scalar, read from the token unless it is in memory; the token has just shown that it still has the key.
    fn sealed_scalar<'a>(&mut self, handle: ObjectHandle, key: &'a KnownKey) -> Result<&'a SealedScalar, Problem> {
        let shown = self.session()?.attribute(handle, ck::CKA_ID)?.unwrap_or_default();
        if shown != key.id {
            return Err(refuse(format!("key {:?}: another object has taken its place", key.label)));
        }
        if let Some(scalar) = key.sealed.get() {
            return Ok(scalar);
        }
        let scalar = self.read_scalar(handle, &key.label)?;
        if scalar.public().as_ref() != key.public.sm2() {
            return Err(refuse(format!("key {:?}: its scalar is not that of the public key beside it", key.label)));
        }
        Ok(key.sealed.get_or_init(|| scalar))
    }

    fn read_scalar(&mut self, handle: ObjectHandle, label: &str) -> Result<SealedScalar, Problem> {
        let form = self.sealed_form()?;
        let session = self.session()?;
        let mut memory = memory()?;
        let out = memory.expose_mut();
        let length = match form.wrapping {
            Wrapping::None => session.secret_attribute(handle, ck::CKA_VALUE, out)?,
            Wrapping::AesKeyWrap => {
                let length = session.secret_attribute(handle, ck::CKA_VALUE, out)?;
                if length != Some(WRAPPED) {
                    return Err(wrong_length(label, length, form));
                }
                let Some(wrapping) = wrapping_key(session)? else {
                    return Err(refuse(format!("the token has no key {WRAPPING_KEY:?}, which wraps {label:?}")));
                };
                let opened = match session.unwrap_secret(wrapping, &out[..WRAPPED], &readable(false)) {
                    // The session has just read from the token: it is the octets that are wrong.
                    Err(error) if !matches!(Blame::of(&error, "C_UnwrapKey"), Blame::Elsewhere) => {
                        self.replace(&error);
                        return Err(refuse(format!("key {label:?} does not unwrap under {WRAPPING_KEY:?}: {error}")));
                    }
                    other => other?,
                };
                let length = session.secret_attribute(opened, ck::CKA_VALUE, out);
                session.destroy(opened)?;
                length?
            }
        };
        if length != Some(scalar::OCTETS) {
            return Err(wrong_length(label, length, form));
        }
        SealedScalar::new(memory).ok_or_else(|| refuse(format!("key {label:?}: what is sealed is no SM2 private key")))
    }

    fn sealed_form(&self) -> Result<SealedForm, Problem> {
        self.engine.profile.key.sealed.ok_or_else(|| refuse("the profile has no [sealed]"))
    }

    /// A new key: the token's random numbers and the system's, neither of which can predict their sum.
    pub(super) fn make_sealed(&mut self, label: &str) -> Result<(), Problem> {
        for _ in 0..DRAWS {
            let mut memory = memory()?;
            let drawn = &mut memory.expose_mut()[..scalar::OCTETS];
            self.session()?.random(drawn)?;
            let mut own = Zeroizing::new([0; scalar::OCTETS]);
            random(own.as_mut_slice())?;
            drawn.iter_mut().zip(own.iter()).for_each(|(octet, own)| *octet ^= own);
            if let Some(scalar) = SealedScalar::new(memory) {
                let id = self.engine.new_id(label)?;
                return self.store_scalar(label, &id, &scalar, KeyUsage::Sign);
            }
        }
        Err(refuse("the random numbers give no private key"))
    }

    /// Stores a scalar and its public key under one label and id. What is not whole is taken away again.
    fn store_scalar(&mut self, label: &str, id: &[u8], scalar: &SealedScalar, usage: KeyUsage) -> Result<(), Problem> {
        let form = self.sealed_form()?;
        let profile = self.engine.profile.clone();
        let session = self.session()?;
        let public = scalar.public().ok_or_else(|| refuse("no public key"))?;
        let stored = match form.wrapping {
            Wrapping::None => Zeroizing::new(scalar.expose().to_vec()),
            Wrapping::AesKeyWrap => Zeroizing::new(wrap(session, scalar)?),
        };
        // Last, because a scalar without its public key would be found as a key that does not serve.
        let beside = store_public(session, &profile.key, form, label, id, &public)?;
        let mut template = readable(true);
        template.extend([
            Attribute::Label(label.as_bytes().to_vec()),
            Attribute::Id(id.to_vec()),
            Attribute::Sign(usage == KeyUsage::Sign),
            Attribute::Decrypt(usage == KeyUsage::Encrypt),
            Attribute::Value(stored.to_vec()),
        ]);
        if let Err(error) = session.create_secret(template) {
            session.destroy(beside)?;
            return Err(error.into());
        }
        Ok(())
    }

    /// Opens an authority's envelope with the sealed signing key and seals the pair under the label.
    pub(super) fn import_sealed(
        &mut self,
        (label, id): (&str, &[u8]),
        wrapping_label: &str,
        envelope: &[u8],
        expected: &PublicKey,
    ) -> Result<(), Problem> {
        let envelope =
            Sm2EnvelopedKey::from_der(envelope).map_err(|error| not_opened(format!("enveloped_key: {error}")))?;
        if envelope.public_key != *expected {
            return Err(
                Refusal::new(codes::CERTIFICATE, "the certificate is for another key than the envelope's").into()
            );
        }
        let wrapping = self.proven_key(wrapping_label)?;
        wrapping.must_be_for(KeyUsage::Sign)?;
        let (handle, _) = self.key(wrapping_label)?;
        let session_key = self.open_sealed(handle, &wrapping, &envelope.session_key)?;
        let octets = Zeroizing::new(
            <[u8; 16]>::try_from(session_key.as_slice())
                .map_err(|_| not_opened(format!("enveloped_key: an SM4 key of {} octets", session_key.len())))?,
        );
        let mut memory = memory()?;
        let scalar = &mut memory.expose_mut()[..scalar::OCTETS];
        scalar.copy_from_slice(&envelope.private_key);
        sm4_decrypt_blocks(&Sm4Key::new(*octets), scalar).map_err(|error| not_opened(error.to_string()))?;
        let scalar = SealedScalar::new(memory).filter(|scalar| scalar.public() == Some(*expected));
        let scalar = scalar
            .ok_or_else(|| not_opened("enveloped_key: what it holds is not the private key of its public key"))?;
        self.store_scalar(label, id, &scalar, KeyUsage::Encrypt)
    }
}

fn wrong_length(label: &str, length: Option<usize>, form: SealedForm) -> Problem {
    let found = length.map_or("nothing that can be read".to_owned(), |length| format!("{length} octets"));
    refuse(format!(
        "key {label:?}: {found} are sealed, which is not what sealed.wrapping = {:?} leaves",
        form.wrapping.as_str()
    ))
}

/// The AES key of the token's own.
fn wrapping_key(session: &TokenSession) -> Result<Option<ObjectHandle>, Problem> {
    let template = [
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::AES),
        Attribute::Label(WRAPPING_KEY.into()),
    ];
    match session.find(&template)?.as_slice() {
        [] => Ok(None),
        [key] => Ok(Some(*key)),
        several => Err(refuse(format!("{} keys have the label {WRAPPING_KEY:?}", several.len()))),
    }
}

/// Wraps a scalar under the token's own AES key, which is made when it is first needed.
fn wrap(session: &TokenSession, scalar: &SealedScalar) -> Result<Vec<u8>, Problem> {
    let wrapping = if let Some(key) = wrapping_key(session)? {
        key
    } else {
        tracing::info!(label = WRAPPING_KEY, "makes the key that wraps sealed keys");
        session.generate_aes_key(&[
            Attribute::Token(true),
            Attribute::Private(true),
            Attribute::Label(WRAPPING_KEY.into()),
            Attribute::ValueLen(32.into()),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::Encrypt(false),
            Attribute::Decrypt(false),
            Attribute::Wrap(true),
            Attribute::Unwrap(true),
        ])?
    };
    let mut template = readable(false);
    template.push(Attribute::Value(scalar.expose().to_vec()));
    let plain = session.create_secret(template)?;
    let wrapped = session.wrap_key(wrapping, plain);
    session.destroy(plain)?;
    let wrapped = wrapped?;
    if wrapped.len() == WRAPPED { Ok(wrapped) } else { Err(refuse(format!("C_WrapKey gave {} octets", wrapped.len()))) }
}

/// The public key, as an object of whichever kind the profile says.
fn store_public(
    session: &TokenSession,
    key: &KeyForm,
    form: SealedForm,
    label: &str,
    id: &[u8],
    public: &PublicKey,
) -> Result<ObjectHandle, Problem> {
    let sec1 = public.to_sec1();
    let template = match form.public_key {
        PublicObject::Data => {
            let mut template = data_object(label);
            template.extend([Attribute::Token(true), Attribute::Private(false), Attribute::Value(sec1.to_vec())]);
            template
        }
        PublicObject::Key => {
            let mut template = vec![
                Attribute::Class(ObjectClass::PUBLIC_KEY),
                Attribute::KeyType(KeyType::EC),
                Attribute::Token(true),
                Attribute::Private(false),
                Attribute::Label(label.as_bytes().to_vec()),
                Attribute::Id(id.to_vec()),
                Attribute::Verify(false),
                Attribute::EcPoint([&[0x04, 0x41][..], &sec1].concat()),
            ];
            if key.ec_params == EcParams::Oid {
                template.push(Attribute::EcParams(SM2_CURVE.to_vec()));
            }
            template
        }
    };
    Ok(session.create(&template)?)
}
