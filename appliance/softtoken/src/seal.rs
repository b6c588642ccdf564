//! Encryption at rest: PIN → argon2id → key-encryption key → XChaCha20-Poly1305 over the master key, and the master
//! key over each private object. The associated data ties every seal to its token, role or object id, so files cannot trade places.

use argon2::{Algorithm, Argon2, Params, Version};
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use sm3::{Digest, Sm3};
use zeroize::Zeroizing;

use crate::attribute::Attributes;
use crate::format::{Body, Content, FORMAT, KdfCost, ObjectFile, ObjectId, Secret, TokenId, Wrap};
use crate::object::Object;
use crate::store::StoreError;

/// argon2id cost of new wraps: 64 MiB, 3 passes, 1 lane (RFC 9106 §4, second recommendation, on one lane).
const COST: KdfCost = KdfCost { memory: 64 * 1024, passes: 3, lanes: 1 };
/// What a damaged file may make us spend at most.
const MAX_COST: KdfCost = KdfCost { memory: 1024 * 1024, passes: 16, lanes: 16 };

/// The key over all private objects of a token. Random, made by `C_InitToken`, never written in the clear.
pub(crate) struct MasterKey(Zeroizing<[u8; 32]>);

/// Whose PIN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// The security officer.
    So,
    /// The user.
    User,
}

/// Fresh random octets.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], StoreError> {
    let mut octets = [0; N];
    getrandom::fill(&mut octets).map_err(|_| StoreError::Random)?;
    Ok(octets)
}

impl MasterKey {
    /// A fresh master key.
    pub(crate) fn generate() -> Result<Self, StoreError> {
        Ok(Self(Zeroizing::new(random()?)))
    }

    /// Seals this key under a PIN.
    pub(crate) fn wrap(&self, token: &TokenId, role: Role, pin: &[u8]) -> Result<Wrap, StoreError> {
        let (salt, nonce) = (random()?, random()?);
        let kek = derive(pin, &salt, COST).ok_or(StoreError::Seal)?;
        let sealed = cipher(&kek)
            .encrypt(&XNonce::from(nonce), Payload { msg: self.0.as_slice(), aad: &wrap_context(token, role, COST) })
            .map_err(|_| StoreError::Seal)?;
        Ok(Wrap { cost: COST, salt, nonce, sealed })
    }

    /// Opens a wrap; `None` for a wrong PIN (or a forged wrap: the two look alike).
    pub(crate) fn unwrap(wrap: &Wrap, token: &TokenId, role: Role, pin: &[u8]) -> Option<Self> {
        let kek = derive(pin, &wrap.salt, wrap.cost)?;
        let aad = wrap_context(token, role, wrap.cost);
        let opened = Zeroizing::new(
            cipher(&kek).decrypt(&XNonce::from(wrap.nonce), Payload { msg: &wrap.sealed, aad: &aad }).ok()?,
        );
        let key: [u8; 32] = opened.as_slice().try_into().ok()?;
        Some(Self(Zeroizing::new(key)))
    }

    /// The file form of an object: sealed if it is private.
    pub(crate) fn close(&self, token: &TokenId, id: &ObjectId, object: &Object) -> Result<ObjectFile, StoreError> {
        let content = encode(object).ok_or(StoreError::Seal)?;
        let nonce = random()?;
        let sealed = cipher(&self.0)
            .encrypt(&XNonce::from(nonce), Payload { msg: &content, aad: &object_context(token, id) })
            .map_err(|_| StoreError::Seal)?;
        Ok(ObjectFile { format: FORMAT, token: *token, object: *id, body: Body::Private { nonce, sealed } })
    }

    /// Opens a private body.
    pub(crate) fn open(&self, file: &ObjectFile) -> Option<Object> {
        let Body::Private { nonce, sealed } = &file.body else { return None };
        let aad = object_context(&file.token, &file.object);
        let content =
            Zeroizing::new(cipher(&self.0).decrypt(&XNonce::from(*nonce), Payload { msg: sealed, aad: &aad }).ok()?);
        let object = decode(&content)?;
        object.private().then_some(object)
    }
}

/// The file form of a public object.
pub(crate) fn close_public(token: &TokenId, id: &ObjectId, object: &Object) -> Result<ObjectFile, StoreError> {
    let content = encode(object).ok_or(StoreError::Seal)?.to_vec();
    let digest = public_digest(token, id, &content);
    Ok(ObjectFile { format: FORMAT, token: *token, object: *id, body: Body::Public { content, digest } })
}

/// Reads a public body.
pub(crate) fn open_public(file: &ObjectFile) -> Option<Object> {
    let Body::Public { content, digest } = &file.body else { return None };
    if public_digest(&file.token, &file.object, content) != *digest {
        return None;
    }
    let object = decode(content)?;
    (!object.private() && object.secret().is_none()).then_some(object)
}

fn encode(object: &Object) -> Option<Zeroizing<Vec<u8>>> {
    let content = Content {
        attributes: object.attributes.clone(),
        secret: object.secret().map(|secret| Secret(secret.to_vec())),
    };
    // Room for everything at once: growing would leave copies of the secret behind.
    let values: usize = content.attributes.values().map(|value| value.to_native().len() + 32).sum();
    let secret = content.secret.as_ref().map_or(0, |secret| secret.0.len());
    let mut octets = Zeroizing::new(Vec::with_capacity(values + secret + 64));
    minicbor::encode(&content, &mut *octets).ok()?;
    Some(octets)
}

fn decode(octets: &[u8]) -> Option<Object> {
    let content: Content = minicbor::decode(octets).ok()?;
    let attributes: Attributes = content.attributes;
    let object = Object::assemble(attributes, content.secret.as_ref().map(|secret| secret.0.as_slice()))?;
    object.on_token().then_some(object)
}

fn derive(pin: &[u8], salt: &[u8; 16], cost: KdfCost) -> Option<Zeroizing<[u8; 32]>> {
    if cost.memory > MAX_COST.memory || cost.passes > MAX_COST.passes || cost.lanes > MAX_COST.lanes {
        return None;
    }
    let params = Params::new(cost.memory, cost.passes, cost.lanes, Some(32)).ok()?;
    let mut key = Zeroizing::new([0; 32]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params).hash_password_into(pin, salt, key.as_mut_slice()).ok()?;
    Some(key)
}

fn cipher(key: &[u8; 32]) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(&Key::from(*key))
}

fn wrap_context(token: &TokenId, role: Role, cost: KdfCost) -> Vec<u8> {
    let role = match role {
        Role::So => 0,
        Role::User => 1,
    };
    let mut context = b"yanqian-softtoken 1 pin".to_vec();
    context.extend_from_slice(token);
    context.push(role);
    for number in [cost.memory, cost.passes, cost.lanes] {
        context.extend_from_slice(&number.to_be_bytes());
    }
    context
}

fn object_context(token: &TokenId, id: &ObjectId) -> Vec<u8> {
    [b"yanqian-softtoken 1 object".as_slice(), token, id].concat()
}

fn public_digest(token: &TokenId, id: &ObjectId, content: &[u8]) -> [u8; 32] {
    Sm3::new().chain_update(token).chain_update(id).chain_update(content).finalize().into()
}
