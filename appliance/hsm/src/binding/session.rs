use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, ObjectHandle};
use cryptoki::session::{Session, SessionState, UserType};
use cryptoki::types::{AuthPin, RawAuthPin};
use cryptoki_sys::CKU_USER;
use yanqian_sm::DistinguishingId;
use zeroize::{Zeroize, Zeroizing};

use super::ffi::Template;
use super::{BindingError, Caller};
use crate::profile::{LengthQuery, SignForm, SignParameter};

/// Longest signature or attribute taken from a module: RSA's of 4096 bits. SM2's are 64 octets raw and at most 72 in DER.
const SIGNATURE_ROOM: usize = 512;

/// Longest plaintext taken from a module; a session key has 16 octets.
const OPENED_ROOM: usize = 256;

/// One session. Dropping it does nothing; [`Self::close`] closes it, and only while its handle is its own.
pub(crate) struct TokenSession {
    caller: Caller,
    session: Session,
}

impl TokenSession {
    pub(super) fn new(caller: Caller, session: Session) -> Self {
        Self { caller, session }
    }

    pub(crate) fn close(self) -> Result<(), BindingError> {
        let Self { caller, session } = self;
        caller.call("C_CloseSession", |_| session.close())
    }

    /// Whether the user is logged in, as far as this session can see.
    pub(crate) fn logged_in(&self) -> Result<bool, BindingError> {
        let info = self.caller.call("C_GetSessionInfo", |_| self.session.get_session_info())?;
        Ok(matches!(info.session_state(), SessionState::RoUser | SessionState::RwUser))
    }

    /// `C_Login` as this user (`CKU_…`). Only the login guard calls this.
    pub(crate) fn login_user(&self, user: u64, pin: &RawAuthPin) -> Result<(), BindingError> {
        let user = match u32::try_from(user) {
            Ok(number) if user != CKU_USER => UserType::VendorExtension(number),
            _ => UserType::User,
        };
        self.caller.call("C_Login", |_| self.session.login_with_raw(user, pin))
    }

    /// `C_Login` as security officer, for initialising a token.
    pub(crate) fn login_officer(&self, pin: &AuthPin) -> Result<(), BindingError> {
        self.caller.call("C_Login", |_| self.session.login(UserType::So, Some(pin)))
    }

    pub(crate) fn init_user_pin(&self, pin: &AuthPin) -> Result<(), BindingError> {
        self.caller.call("C_InitPIN", |_| self.session.init_pin(pin))
    }

    pub(crate) fn logout(&self) -> Result<(), BindingError> {
        self.caller.call("C_Logout", |_| self.session.logout())
    }

    pub(crate) fn find(&self, template: &[Attribute]) -> Result<Vec<ObjectHandle>, BindingError> {
        self.caller.call("C_FindObjects", |_| self.session.find_objects(template))
    }

    /// The attributes that the object has and shows.
    pub(crate) fn attributes(
        &self,
        object: ObjectHandle,
        kinds: &[AttributeType],
    ) -> Result<Vec<Attribute>, BindingError> {
        self.caller.call("C_GetAttributeValue", |_| self.session.get_attributes(object, kinds))
    }

    pub(crate) fn create(&self, template: &[Attribute]) -> Result<ObjectHandle, BindingError> {
        self.caller.call("C_CreateObject", |_| self.session.create_object(template))
    }

    /// As [`Self::create`], and wipes a secret value afterwards.
    pub(crate) fn create_secret(&self, mut template: Vec<Attribute>) -> Result<ObjectHandle, BindingError> {
        let created = self.create(&template);
        for attribute in &mut template {
            if let Attribute::Value(secret) = attribute {
                secret.zeroize();
            }
        }
        created
    }

    /// An AES key of 256 bits, made in the token.
    pub(crate) fn generate_aes_key(&self, template: &[Attribute]) -> Result<ObjectHandle, BindingError> {
        self.caller.call("C_GenerateKey", |_| self.session.generate_key(&Mechanism::AesKeyGen, template))
    }

    /// The key's octets, wrapped as RFC 3394 says.
    pub(crate) fn wrap_key(&self, wrapping: ObjectHandle, key: ObjectHandle) -> Result<Vec<u8>, BindingError> {
        self.caller.call("C_WrapKey", |_| self.session.wrap_key(&Mechanism::AesKeyWrap, wrapping, key))
    }

    /// The secret key under octets that [`Self::wrap_key`] gave.
    pub(crate) fn unwrap_secret(
        &self,
        wrapping: ObjectHandle,
        wrapped: &[u8],
        template: &[Attribute],
    ) -> Result<ObjectHandle, BindingError> {
        self.caller
            .call("C_UnwrapKey", |_| self.session.unwrap_key(&Mechanism::AesKeyWrap, wrapping, wrapped, template))
    }

    /// Reads a secret attribute to where it is to stay. Gives its length; none when the object does not have or show it, or it is
    /// longer than `out`.
    pub(crate) fn secret_attribute(
        &self,
        object: ObjectHandle,
        kind: u64,
        out: &mut [u8],
    ) -> Result<Option<usize>, BindingError> {
        let session = self.session.handle();
        self.caller.raw("C_GetAttributeValue", |raw| raw.attribute(session, object.handle(), kind, out))
    }

    pub(crate) fn destroy(&self, object: ObjectHandle) -> Result<(), BindingError> {
        self.caller.call("C_DestroyObject", |_| self.session.destroy_object(object))
    }

    pub(crate) fn random(&self, octets: &mut [u8]) -> Result<(), BindingError> {
        self.caller.call("C_GenerateRandom", |_| self.session.generate_random_slice(octets))
    }

    pub(crate) fn generate_key_pair(
        &self,
        mechanism: u64,
        public: &Template,
        private: &Template,
    ) -> Result<(), BindingError> {
        let session = self.session.handle();
        self.caller.raw("C_GenerateKeyPair", |raw| raw.generate_key_pair(session, mechanism, public, private))
    }

    /// One attribute of any number, at most 512 octets; none when the object does not have or show it.
    pub(crate) fn attribute(&self, object: ObjectHandle, kind: u64) -> Result<Option<Vec<u8>>, BindingError> {
        let mut value = vec![0; SIGNATURE_ROOM];
        let session = self.session.handle();
        let length =
            self.caller.raw("C_GetAttributeValue", |raw| raw.attribute(session, object.handle(), kind, &mut value))?;
        Ok(length.map(|length| {
            value.truncate(length);
            value
        }))
    }

    /// What the module gives for `data`, in whatever encoding it has.
    pub(crate) fn sign(&self, key: ObjectHandle, form: &SignForm, data: &[u8]) -> Result<Vec<u8>, BindingError> {
        let ask_length = form.length_query == LengthQuery::Allowed;
        let id = DistinguishingId::default();
        let parameter = match form.parameter {
            SignParameter::None => &[],
            SignParameter::UserId => id.as_bytes(),
        };
        self.sign_with(key, (form.mechanism, parameter), data, ask_length)
    }

    /// As [`Self::sign`], by a mechanism and its parameter.
    pub(crate) fn sign_by(
        &self,
        key: ObjectHandle,
        mechanism: (u64, &[u8]),
        data: &[u8],
    ) -> Result<Vec<u8>, BindingError> {
        self.sign_with(key, mechanism, data, false)
    }

    fn sign_with(
        &self,
        key: ObjectHandle,
        mechanism: (u64, &[u8]),
        data: &[u8],
        ask_length: bool,
    ) -> Result<Vec<u8>, BindingError> {
        let mut signature = vec![0; SIGNATURE_ROOM];
        let session = self.session.handle();
        let length = self
            .caller
            .raw("C_Sign", |raw| raw.sign(session, key.handle(), mechanism, data, &mut signature, ask_length))?;
        signature.truncate(length);
        Ok(signature)
    }

    /// What the module opens `ciphertext` to.
    pub(crate) fn decrypt(
        &self,
        key: ObjectHandle,
        mechanism: u64,
        ciphertext: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, BindingError> {
        let mut opened = Zeroizing::new(vec![0; OPENED_ROOM]);
        let session = self.session.handle();
        let length = self
            .caller
            .raw("C_Decrypt", |raw| raw.decrypt(session, key.handle(), mechanism, ciphertext, &mut opened))?;
        opened.truncate(length);
        Ok(opened)
    }

    /// The private key that the module unwraps.
    pub(crate) fn unwrap_key(
        &self,
        mechanism: u64,
        key: ObjectHandle,
        wrapped: &[u8],
        template: &Template,
    ) -> Result<(), BindingError> {
        let session = self.session.handle();
        self.caller
            .raw("C_UnwrapKey", |raw| raw.unwrap_key(session, mechanism, key.handle(), wrapped, template))
            .map(drop)
    }
}
