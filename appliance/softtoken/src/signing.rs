//! Signing, verification and digests. A call that fails ends its operation, save for a buffer that is too small.

use std::sync::Arc;

use cryptoki_sys::{
    CK_ATTRIBUTE_TYPE, CK_OBJECT_HANDLE, CK_SESSION_HANDLE, CKA_SIGN, CKA_VERIFY, CKR_DATA_LEN_RANGE,
    CKR_FUNCTION_NOT_SUPPORTED, CKR_KEY_FUNCTION_NOT_PERMITTED, CKR_KEY_HANDLE_INVALID, CKR_KEY_TYPE_INCONSISTENT,
    CKR_MECHANISM_INVALID, CKR_OPERATION_ACTIVE, CKR_OPERATION_NOT_INITIALIZED, CKR_SIGNATURE_INVALID,
    CKR_SIGNATURE_LEN_RANGE,
};
use sm3::{Digest, Sm3};
use zeroize::Zeroizing;

use crate::key::{PrivateKey, PublicKey};
use crate::module::{Module, State};
use crate::numbers::Mechanism;
use crate::object::{Material, Object};
use crate::rv::{Outcome, Reply, Room, Rv};
use crate::session::{Digesting, Input, Signing, Verifying};

/// Raw `r‖s`.
const SIGNATURE: usize = 64;
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
    fn new(mechanism: Mechanism, key: &PublicKey) -> Outcome<Self> {
        match mechanism {
            Mechanism::SignDigest => Ok(Self::Digest),
            Mechanism::SignMessage => Ok(Self::Message(Digesting::new(key.message_hash()))),
            _ => Err(Rv(CKR_MECHANISM_INVALID)),
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
    fn check(&self, data: &[u8]) -> Outcome<()> {
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
        mechanism: Mechanism,
        handle: CK_OBJECT_HANDLE,
    ) -> Outcome<()> {
        // State stays locked until the operation is in place, so that no logout slips in between.
        let state = self.read()?;
        let key = || -> Outcome<_> {
            let key = state.private_key(handle, CKA_SIGN)?;
            let input = Input::new(mechanism, &key.public())?;
            Ok(Signing { key, input })
        };
        state.session(session)?.start(|operations| &mut operations.sign, key)
    }

    /// `C_Sign`.
    pub(crate) fn sign(&self, session: CK_SESSION_HANDLE, arguments: Outcome<(&[u8], Room)>) -> Outcome<Reply> {
        self.within(session, |operations| {
            let signing = take!(operations.sign);
            let (data, room) = arguments?;
            signing.input.check(data)?;
            if !room.holds(SIGNATURE) {
                operations.sign = Some(signing);
                return Ok(Reply::Length(SIGNATURE));
            }
            let Signing { key, input } = signing;
            Ok(octets(&key.sign(&input.finish(data)?)?))
        })
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
            if !room?.holds(SIGNATURE) {
                operations.sign = Some(signing);
                return Ok(Reply::Length(SIGNATURE));
            }
            let Signing { key, input } = signing;
            Ok(octets(&key.sign(&input.finish_parts()?)?))
        })
    }

    /// `C_VerifyInit`.
    pub(crate) fn verify_init(
        &self,
        session: CK_SESSION_HANDLE,
        mechanism: Mechanism,
        handle: CK_OBJECT_HANDLE,
    ) -> Outcome<()> {
        let state = self.read()?;
        let key = || -> Outcome<_> {
            let key = state.public_key(handle)?;
            let input = Input::new(mechanism, &key)?;
            Ok(Verifying { key, input })
        };
        state.session(session)?.start(|operations| &mut operations.verify, key)
    }

    /// `C_Verify`.
    pub(crate) fn verify(&self, session: CK_SESSION_HANDLE, arguments: Outcome<(&[u8], &[u8])>) -> Outcome<()> {
        self.within(session, |operations| {
            let Verifying { key, input } = take!(operations.verify);
            let (data, signature) = arguments?;
            judge(&key, &input.finish(data)?, signature)
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
            let Verifying { key, input } = take!(operations.verify);
            judge(&key, &input.finish_parts()?, signature?)
        })
    }

    /// `C_DigestInit`.
    pub(crate) fn digest_init(&self, session: CK_SESSION_HANDLE, mechanism: Mechanism) -> Outcome<()> {
        let digest = || match mechanism {
            Mechanism::Sm3 => Ok(Digesting::new(Sm3::new())),
            _ => Err(Rv(CKR_MECHANISM_INVALID)),
        };
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

fn judge(key: &PublicKey, e: &[u8; 32], signature: &[u8]) -> Outcome<()> {
    let signature: &[u8; SIGNATURE] = signature.try_into().map_err(|_| Rv(CKR_SIGNATURE_LEN_RANGE))?;
    if key.verify(e, signature) { Ok(()) } else { Err(Rv(CKR_SIGNATURE_INVALID)) }
}
