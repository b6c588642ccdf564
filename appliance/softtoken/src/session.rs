//! Sessions and what is going on in them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use cryptoki_sys::{
    CK_OBJECT_HANDLE, CK_STATE, CKR_GENERAL_ERROR, CKR_OPERATION_ACTIVE, CKS_RO_PUBLIC_SESSION, CKS_RO_USER_FUNCTIONS,
    CKS_RW_PUBLIC_SESSION, CKS_RW_SO_FUNCTIONS, CKS_RW_USER_FUNCTIONS,
};
use sm3::Sm3;

use crate::dialect::Sign;
use crate::key::{PrivateKey, PublicKey};
use crate::rv::{Outcome, Rv};
use crate::seal::Role;

/// An open session. The operations have their own lock, so arithmetic in one session holds up no other.
pub(crate) struct Session {
    /// Read/write.
    pub(crate) writable: bool,
    pub(crate) operations: Arc<Mutex<Operations>>,
}

/// What is active in one session: at most one of each.
#[derive(Default)]
pub(crate) struct Operations {
    pub(crate) find: Option<VecDeque<CK_OBJECT_HANDLE>>,
    pub(crate) sign: Option<Signing>,
    pub(crate) verify: Option<Verifying>,
    pub(crate) decrypt: Option<Arc<PrivateKey>>,
    pub(crate) digest: Option<Digesting>,
}

impl Operations {
    /// Ends whatever depends on a login.
    pub(crate) fn log_out(&mut self) {
        *self = Self { digest: self.digest.take(), verify: self.verify.take(), ..Self::default() };
    }
}

/// What a signature is computed over.
pub(crate) enum Input {
    /// The 32-byte e as given.
    Digest,
    /// A message; the state has absorbed the Z value already, if the mechanism has one.
    Message(Digesting),
}

/// A digest under way.
pub(crate) struct Digesting {
    pub(crate) state: Sm3,
    /// Parts have been fed by an update call: only the final call may follow.
    pub(crate) in_parts: bool,
}

impl Digesting {
    pub(crate) fn new(state: Sm3) -> Self {
        Self { state, in_parts: false }
    }
}

/// A signature under way.
pub(crate) struct Signing {
    pub(crate) key: Arc<PrivateKey>,
    pub(crate) form: Sign,
    pub(crate) input: Input,
}

/// A verification under way.
pub(crate) struct Verifying {
    pub(crate) key: Arc<PublicKey>,
    pub(crate) form: Sign,
    pub(crate) input: Input,
}

/// `CK_STATE` of a session, given who is logged in.
pub(crate) fn state(writable: bool, login: Option<Role>) -> CK_STATE {
    match (login, writable) {
        (None, false) => CKS_RO_PUBLIC_SESSION,
        (None, true) => CKS_RW_PUBLIC_SESSION,
        (Some(Role::User), false) => CKS_RO_USER_FUNCTIONS,
        (Some(Role::User), true) => CKS_RW_USER_FUNCTIONS,
        (Some(Role::So), _) => CKS_RW_SO_FUNCTIONS,
    }
}

impl Session {
    /// Puts a new operation in its place, which must be free.
    pub(crate) fn start<T>(
        &self,
        place: impl FnOnce(&mut Operations) -> &mut Option<T>,
        make: impl FnOnce() -> Outcome<T>,
    ) -> Outcome<()> {
        let mut operations = self.operations.lock().map_err(|_| Rv(CKR_GENERAL_ERROR))?;
        let place = place(&mut operations);
        if place.is_some() {
            return Err(Rv(CKR_OPERATION_ACTIVE));
        }
        *place = Some(make()?);
        Ok(())
    }
}
