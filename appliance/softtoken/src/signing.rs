//! Signing, verification and digests. A call that fails ends its operation, save for a buffer that is too small.

use std::sync::Arc;

use cryptoki_sys::{
    CK_ATTRIBUTE_TYPE, CK_OBJECT_HANDLE, CK_SESSION_HANDLE, CKA_SIGN, CKA_VERIFY, CKR_ARGUMENTS_BAD,
    CKR_DATA_LEN_RANGE, CKR_FUNCTION_NOT_SUPPORTED, CKR_KEY_FUNCTION_NOT_PERMITTED, CKR_KEY_HANDLE_INVALID,
    CKR_KEY_TYPE_INCONSISTENT, CKR_OPERATION_ACTIVE, CKR_OPERATION_NOT_INITIALIZED, CKR_SIGNATURE_INVALID,
    CKR_SIGNATURE_LEN_RANGE,
};
use sm3::{Digest, Sm3};
use zeroize::Zeroizing;

use crate::dialect::{Asked, Defect, Dialect, Input as Form, Sign};
use crate::encoding::{raw_signature, signature, signature_room};
use crate::key::{DEFAULT_ID, PrivateKey, PublicKey};
use crate::module::{Module, State};
use crate::object::{Material, Object};
use crate::rv::{Outcome, Reply, Room, Rv};
use crate::session::{Digesting, Input, Signing, Verifying};

/// An SM3 digest.
const DIGEST: usize = 32;

impl State {
    /// A key object that may be used for `use_attribute`.
    pub(crate) fn key(&self, handle: CK_OBJECT_HANDLE, use_attribute: CK_ATTRIBUTE_TYPE) -> Outcome<&Object> {
        let object = &self.object(handle).map_err(|_| Rv(CKR_KEY_HANDLE_INVALID))?.object;
        if matches!(object.material, Material::Certificate) {
            return Err(Rv(CKR_KEY_HANDLE_INVALID));
        }
        if !object.is(use_attribute) {
            return Err(Rv(CKR_KEY_FUNCTION_NOT_PERMITTED));
        }
        Ok(object)
    }

    /// A private key that may be used for `use_attribute`.
    pub(crate) fn private_key(
        &self,
        handle: CK_OBJECT_HANDLE,
        use_attribute: CK_ATTRIBUTE_TYPE,
    ) -> Outcome<Arc<PrivateKey>> {
        match &self.key(handle, use_attribute)?.material {
            Material::Private(key) => Ok(Arc::clone(key)),
            _ => Err(Rv(CKR_KEY_TYPE_INCONSISTENT)),
        }
    }

    fn public_key(&self, handle: CK_OBJECT_HANDLE) -> Outcome<Arc<PublicKey>> {
        match &self.key(handle, CKA_VERIFY)?.material {
            Material::Public(key) => Ok(Arc::clone(key)),
            _ => Err(Rv(CKR_KEY_TYPE_INCONSISTENT)),
        }
    }
}

impl Input {
    fn new(sign: Sign, id: Option<&[u8]>, key: &PublicKey) -> Self {
        let id = match sign.defect {
            Some(Defect::EmptyId) => &[],
            _ => id.unwrap_or(DEFAULT_ID.as_bytes()),
        };
        match sign.input {
            Form::E => Self::Digest,
            Form::MessageWithZ => Self::Message(Digesting::new(key.message_hash(id))),
            Form::MessageWithoutZ => Self::Message(Digesting::new(Sm3::new())),
        }
    }

    /// e of a single-part call.
    fn finish(self, data: &[u8]) -> Outcome<[u8; 32]> {
        match self {
            Self::Digest => data.try_into().map_err(|_| Rv(CKR_DATA_LEN_RANGE)),
            Self::Message(digest) if digest.in_parts => Err(Rv(CKR_OPERATION_ACTIVE)),
            Self::Message(digest) => Ok(digest.state.chain_update(data).finalize().into()),
        }
    }

    /// A length query or a short buffer must not end the operation, but bad data must not survive it either.
    fn check(&self, dialect: &Dialect, data: &[u8]) -> Outcome<()> {
        if dialect.behaviour.max_input.is_some_and(|most| data.len() > most) {
            return Err(Rv(CKR_DATA_LEN_RANGE));
        }
        match self {
            Self::Digest if data.len() != DIGEST => Err(Rv(CKR_DATA_LEN_RANGE)),
            Self::Message(digest) if digest.in_parts => Err(Rv(CKR_OPERATION_ACTIVE)),
            _ => Ok(()),
        }
    }

    fn update(&mut self, part: &[u8]) -> Outcome<()> {
        match self {
            // e is one value; there is nothing to feed in parts.
            Self::Digest => Err(Rv(CKR_FUNCTION_NOT_SUPPORTED)),
            Self::Message(digest) => {
                digest.update(part);
                Ok(())
            }
        }
    }

    /// e after update calls.
    fn finish_parts(self) -> Outcome<[u8; 32]> {
        match self {
            Self::Digest => Err(Rv(CKR_FUNCTION_NOT_SUPPORTED)),
            Self::Message(digest) => Ok(digest.state.finalize().into()),
        }
    }
}

impl Digesting {
    fn update(&mut self, part: &[u8]) {
        self.in_parts = true;
        Digest::update(&mut self.state, part);
    }
}

fn octets(value: &[u8]) -> Reply {
    Reply::Octets(Zeroizing::new(value.to_vec()))
}

/// Takes the active operation out: an early return ends it, only putting it back keeps it.
macro_rules! take {
    ($slot:expr) => {
        $slot.take().ok_or(Rv(CKR_OPERATION_NOT_INITIALIZED))?
    };
}

impl Module {
    /// `C_SignInit`.
    pub(crate) fn sign_init(
        &self,
        session: CK_SESSION_HANDLE,
        mechanism: &Asked,
        handle: CK_OBJECT_HANDLE,
    ) -> Outcome<()> {
        let (form, id) = self.dialect.signing(mechanism)?;
        // State stays locked until the operation is in place, so that no logout slips in between.
        let state = self.read()?;
        let key = || -> Outcome<_> {
            let key = state.private_key(handle, CKA_SIGN)?;
            let input = Input::new(form, id.as_deref(), &key.public());
            Ok(Signing { key, form, input })
        };
        state.session(session)?.start(|operations| &mut operations.sign, key)
    }

    /// `C_Sign`.
    pub(crate) fn sign(&self, session: CK_SESSION_HANDLE, arguments: Outcome<(&[u8], Room)>) -> Outcome<Reply> {
        self.within(session, |operations| {
            let signing = take!(operations.sign);
            let (data, room) = arguments?;
            signing.input.check(&self.dialect, data)?;
            if let Some(length) = self.too_little(&signing, room)? {
                operations.sign = Some(signing);
                return Ok(Reply::Length(length));
            }
            let Signing { key, form, input } = signing;
            make(&key, form, &input.finish(data)?)
        })
    }

    /// The length to tell instead of a signature, when there is too little room for one.
    fn too_little(&self, signing: &Signing, room: Room) -> Outcome<Option<usize>> {
        if room == Room::Query && !self.dialect.behaviour.length_query {
            return Err(Rv(CKR_ARGUMENTS_BAD));
        }
        let length = signature_room(signing.form.encoding);
        Ok((!room.holds(length)).then_some(length))
    }

    /// `C_SignUpdate`.
    pub(crate) fn sign_update(&self, session: CK_SESSION_HANDLE, part: Outcome<&[u8]>) -> Outcome<()> {
        self.within(session, |operations| {
            let mut signing = take!(operations.sign);
            signing.input.update(part?)?;
            operations.sign = Some(signing);
            Ok(())
        })
    }

    /// `C_SignFinal`.
    pub(crate) fn sign_final(&self, session: CK_SESSION_HANDLE, room: Outcome<Room>) -> Outcome<Reply> {
        self.within(session, |operations| {
            let signing = take!(operations.sign);
            if let Some(length) = self.too_little(&signing, room?)? {
                operations.sign = Some(signing);
                return Ok(Reply::Length(length));
            }
            let Signing { key, form, input } = signing;
            make(&key, form, &input.finish_parts()?)
        })
    }

    /// `C_VerifyInit`.
    pub(crate) fn verify_init(
        &self,
        session: CK_SESSION_HANDLE,
        mechanism: &Asked,
        handle: CK_OBJECT_HANDLE,
    ) -> Outcome<()> {
        let (form, id) = self.dialect.signing(mechanism)?;
        let state = self.read()?;
        let key = || -> Outcome<_> {
            let key = state.public_key(handle)?;
            let input = Input::new(form, id.as_deref(), &key);
            Ok(Verifying { key, form, input })
        };
        state.session(session)?.start(|operations| &mut operations.verify, key)
    }

    /// `C_Verify`.
    pub(crate) fn verify(&self, session: CK_SESSION_HANDLE, arguments: Outcome<(&[u8], &[u8])>) -> Outcome<()> {
        self.within(session, |operations| {
            let Verifying { key, form, input } = take!(operations.verify);
            let (data, signature) = arguments?;
            judge(&key, form, &input.finish(data)?, signature)
        })
    }

    /// `C_VerifyUpdate`.
    pub(crate) fn verify_update(&self, session: CK_SESSION_HANDLE, part: Outcome<&[u8]>) -> Outcome<()> {
        self.within(session, |operations| {
            let mut verifying = take!(operations.verify);
            verifying.input.update(part?)?;
            operations.verify = Some(verifying);
            Ok(())
        })
    }

    /// `C_VerifyFinal`.
    pub(crate) fn verify_final(&self, session: CK_SESSION_HANDLE, signature: Outcome<&[u8]>) -> Outcome<()> {
        self.within(session, |operations| {
            let Verifying { key, form, input } = take!(operations.verify);
            judge(&key, form, &input.finish_parts()?, signature?)
        })
    }

    /// `C_DigestInit`.
    pub(crate) fn digest_init(&self, session: CK_SESSION_HANDLE, mechanism: &Asked) -> Outcome<()> {
        self.dialect.must_be_digest(mechanism)?;
        let digest = || Ok(Digesting::new(Sm3::new()));
        self.read()?.session(session)?.start(|operations| &mut operations.digest, digest)
    }

    /// `C_Digest`.
    pub(crate) fn digest(&self, session: CK_SESSION_HANDLE, arguments: Outcome<(&[u8], Room)>) -> Outcome<Reply> {
        self.within(session, |operations| {
            let digest = take!(operations.digest);
            let (data, room) = arguments?;
            if digest.in_parts {
                return Err(Rv(CKR_OPERATION_ACTIVE));
            }
            if !room.holds(DIGEST) {
                operations.digest = Some(digest);
                return Ok(Reply::Length(DIGEST));
            }
            Ok(octets(&digest.state.chain_update(data).finalize()))
        })
    }

    /// `C_DigestUpdate`.
    pub(crate) fn digest_update(&self, session: CK_SESSION_HANDLE, part: Outcome<&[u8]>) -> Outcome<()> {
        self.within(session, |operations| {
            let mut digest = take!(operations.digest);
            digest.update(part?);
            operations.digest = Some(digest);
            Ok(())
        })
    }

    /// `C_DigestFinal`.
    pub(crate) fn digest_final(&self, session: CK_SESSION_HANDLE, room: Outcome<Room>) -> Outcome<Reply> {
        self.within(session, |operations| {
            let digest = take!(operations.digest);
            if !room?.holds(DIGEST) {
                operations.digest = Some(digest);
                return Ok(Reply::Length(DIGEST));
            }
            Ok(octets(&digest.state.finalize()))
        })
    }
}

fn make(key: &PrivateKey, form: Sign, e: &[u8; 32]) -> Outcome<Reply> {
    let raw = if form.defect == Some(Defect::Ecdsa) { key.sign_ecdsa(e)? } else { key.sign(e)? };
    Ok(octets(&signature(form, raw)))
}

/// A mechanism that makes no SM2 signatures verifies none either.
fn judge(key: &PublicKey, form: Sign, e: &[u8; 32], signature: &[u8]) -> Outcome<()> {
    let raw = raw_signature(form, signature).ok_or(Rv(CKR_SIGNATURE_LEN_RANGE))?;
    if key.verify(e, &raw) { Ok(()) } else { Err(Rv(CKR_SIGNATURE_INVALID)) }
}
