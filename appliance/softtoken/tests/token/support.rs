//! Loads the module and spares the tests the pointer work.

use std::ffi::c_void;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use cryptoki_sys::*;
use libloading::Library;
use tempfile::TempDir;

pub(crate) const SO_PIN: &[u8] = b"so-12345678";
pub(crate) const USER_PIN: &[u8] = b"user-1234";
pub(crate) const DIRECTORY: &str = "YANQIAN_SOFTTOKEN_DIR";

pub(crate) const CKK_SM2: CK_ULONG = 0x8000_0004;
pub(crate) const KEYGEN: CK_ULONG = 0x8000_8001;
pub(crate) const SIGN_MESSAGE: CK_ULONG = 0x8000_8102;
pub(crate) const SIGN_DIGEST: CK_ULONG = 0x8000_8105;
pub(crate) const CIPHER: CK_ULONG = 0x8000_8200;
pub(crate) const SM3: CK_ULONG = 0x8000_9001;
pub(crate) const CURVE: [u8; 10] = [0x06, 0x08, 0x2A, 0x81, 0x1C, 0xCF, 0x55, 0x01, 0x82, 0x2D];

/// Environment and module state belong to the process: tests that share one (plain `cargo test`) take turns.
static TURN: Mutex<()> = Mutex::new(());

/// Calls one function of the list.
macro_rules! call {
    ($module:expr, $name:ident($($argument:expr),* $(,)?)) => {{
        // SAFETY: the list is the module's own, and every argument is valid for its function (or NULL on purpose).
        unsafe { ((*$module.list).$name.expect("a slot of the function list is NULL"))($($argument),*) }
    }};
}
pub(crate) use call;

/// The shared object beside the test executable.
pub(crate) fn library_path() -> PathBuf {
    let path = std::env::current_exe().unwrap().parent().unwrap().join("libyanqian_softtoken.so");
    assert!(path.exists(), "cargo has not built {}", path.display());
    path
}

pub(crate) struct Module {
    library: Library,
    pub(crate) list: *mut CK_FUNCTION_LIST,
}

// SAFETY: the function list is constant, and the module says it is thread-safe; that is what the tests check.
unsafe impl Send for Module {}
// SAFETY: as above.
unsafe impl Sync for Module {}

impl Module {
    pub(crate) fn load() -> Self {
        // SAFETY: our own library; loading it runs no code.
        unsafe {
            let library = Library::new(library_path()).unwrap();
            let get = library.get::<unsafe extern "C" fn(*mut *mut CK_FUNCTION_LIST) -> CK_RV>(b"C_GetFunctionList");
            let mut list = std::ptr::null_mut();
            assert_eq!(get.unwrap()(&raw mut list), CKR_OK);
            Self { library, list }
        }
    }

    pub(crate) fn exports(&self, name: &[u8]) -> bool {
        // SAFETY: the symbol is looked up and not used.
        unsafe { self.library.get::<*const c_void>(name).is_ok() }
    }

    pub(crate) fn initialize(&self) -> CK_RV {
        let mut arguments = CK_C_INITIALIZE_ARGS {
            CreateMutex: None,
            DestroyMutex: None,
            LockMutex: None,
            UnlockMutex: None,
            flags: CKF_OS_LOCKING_OK,
            pReserved: std::ptr::null_mut(),
        };
        call!(self, C_Initialize((&raw mut arguments).cast::<c_void>()))
    }

    pub(crate) fn open(&self, flags: CK_FLAGS) -> Result<CK_SESSION_HANDLE, CK_RV> {
        let mut handle = 0;
        match call!(self, C_OpenSession(0, flags, std::ptr::null_mut(), None, &raw mut handle)) {
            CKR_OK => Ok(handle),
            error => Err(error),
        }
    }

    pub(crate) fn open_rw(&self) -> CK_SESSION_HANDLE {
        self.open(CKF_SERIAL_SESSION | CKF_RW_SESSION).unwrap()
    }

    pub(crate) fn login(&self, session: CK_SESSION_HANDLE, user: CK_USER_TYPE, pin: &[u8]) -> CK_RV {
        call!(self, C_Login(session, user, pin.as_ptr().cast_mut(), pin.len() as CK_ULONG))
    }

    pub(crate) fn init_token(&self, pin: &[u8], label: &str) -> CK_RV {
        let mut padded = [b' '; 32];
        padded[..label.len()].copy_from_slice(label.as_bytes());
        call!(self, C_InitToken(0, pin.as_ptr().cast_mut(), pin.len() as CK_ULONG, padded.as_mut_ptr()))
    }

    pub(crate) fn init_pin(&self, session: CK_SESSION_HANDLE, pin: &[u8]) -> CK_RV {
        call!(self, C_InitPIN(session, pin.as_ptr().cast_mut(), pin.len() as CK_ULONG))
    }

    pub(crate) fn token_info(&self) -> CK_TOKEN_INFO {
        let mut info = CK_TOKEN_INFO::default();
        assert_eq!(call!(self, C_GetTokenInfo(0, &raw mut info)), CKR_OK);
        info
    }

    pub(crate) fn state(&self, session: CK_SESSION_HANDLE) -> Result<CK_STATE, CK_RV> {
        let mut info = CK_SESSION_INFO::default();
        match call!(self, C_GetSessionInfo(session, &raw mut info)) {
            CKR_OK => Ok(info.state),
            error => Err(error),
        }
    }

    pub(crate) fn generate(
        &self,
        session: CK_SESSION_HANDLE,
        public: &Template,
        private: &Template,
    ) -> Result<(CK_OBJECT_HANDLE, CK_OBJECT_HANDLE), CK_RV> {
        let (mut public_list, mut private_list) = (public.raw(), private.raw());
        let mut mechanism = mechanism(KEYGEN);
        let (mut public, mut private) = (0, 0);
        match call!(
            self,
            C_GenerateKeyPair(
                session,
                &raw mut mechanism,
                public_list.as_mut_ptr(),
                public_list.len() as CK_ULONG,
                private_list.as_mut_ptr(),
                private_list.len() as CK_ULONG,
                &raw mut public,
                &raw mut private
            )
        ) {
            CKR_OK => Ok((public, private)),
            error => Err(error),
        }
    }

    /// A signing pair on the token.
    pub(crate) fn key_pair(&self, session: CK_SESSION_HANDLE, label: &str) -> (CK_OBJECT_HANDLE, CK_OBJECT_HANDLE) {
        let public =
            Template::new().bool(CKA_TOKEN, true).octets(CKA_EC_PARAMS, &CURVE).octets(CKA_LABEL, label.as_bytes());
        let private = Template::new().bool(CKA_TOKEN, true).octets(CKA_LABEL, label.as_bytes());
        self.generate(session, &public, &private).unwrap()
    }

    pub(crate) fn create(&self, session: CK_SESSION_HANDLE, template: &Template) -> Result<CK_OBJECT_HANDLE, CK_RV> {
        let mut list = template.raw();
        let mut handle = 0;
        match call!(self, C_CreateObject(session, list.as_mut_ptr(), list.len() as CK_ULONG, &raw mut handle)) {
            CKR_OK => Ok(handle),
            error => Err(error),
        }
    }

    pub(crate) fn set(&self, session: CK_SESSION_HANDLE, object: CK_OBJECT_HANDLE, template: &Template) -> CK_RV {
        let mut list = template.raw();
        call!(self, C_SetAttributeValue(session, object, list.as_mut_ptr(), list.len() as CK_ULONG))
    }

    pub(crate) fn try_find(
        &self,
        session: CK_SESSION_HANDLE,
        template: &Template,
    ) -> Result<Vec<CK_OBJECT_HANDLE>, CK_RV> {
        let mut list = template.raw();
        match call!(self, C_FindObjectsInit(session, list.as_mut_ptr(), list.len() as CK_ULONG)) {
            CKR_OK => {}
            error => return Err(error),
        }
        let mut found = Vec::new();
        loop {
            let mut part = [0; 3];
            let mut count = 0;
            assert_eq!(call!(self, C_FindObjects(session, part.as_mut_ptr(), 3, &raw mut count)), CKR_OK);
            found.extend(&part[..count as usize]);
            if count == 0 {
                break;
            }
        }
        assert_eq!(call!(self, C_FindObjectsFinal(session)), CKR_OK);
        Ok(found)
    }

    pub(crate) fn find(&self, session: CK_SESSION_HANDLE, template: &Template) -> Vec<CK_OBJECT_HANDLE> {
        self.try_find(session, template).unwrap()
    }

    pub(crate) fn attribute(
        &self,
        session: CK_SESSION_HANDLE,
        object: CK_OBJECT_HANDLE,
        kind: CK_ATTRIBUTE_TYPE,
    ) -> Result<Vec<u8>, CK_RV> {
        let mut value = vec![0; 8192];
        let mut attribute = CK_ATTRIBUTE { type_: kind, pValue: value.as_mut_ptr().cast(), ulValueLen: 8192 };
        match call!(self, C_GetAttributeValue(session, object, &raw mut attribute, 1)) {
            CKR_OK => {
                value.truncate(attribute.ulValueLen as usize);
                Ok(value)
            }
            error => {
                assert_eq!(attribute.ulValueLen, CK_UNAVAILABLE_INFORMATION);
                Err(error)
            }
        }
    }

    /// The point of a key: 65 octets, after a check of the OCTET STRING around it.
    pub(crate) fn point(&self, session: CK_SESSION_HANDLE, object: CK_OBJECT_HANDLE) -> Vec<u8> {
        let value = self.attribute(session, object, CKA_EC_POINT).unwrap();
        assert_eq!((value.len(), &value[..3]), (67, &[0x04, 0x41, 0x04][..]));
        value[2..].to_vec()
    }

    pub(crate) fn sign_init(&self, session: CK_SESSION_HANDLE, number: CK_ULONG, key: CK_OBJECT_HANDLE) -> CK_RV {
        let mut mechanism = mechanism(number);
        call!(self, C_SignInit(session, &raw mut mechanism, key))
    }

    pub(crate) fn sign_into(&self, session: CK_SESSION_HANDLE, data: &[u8], room: usize) -> Result<Vec<u8>, CK_RV> {
        let mut signature = vec![0; room];
        let mut length = room as CK_ULONG;
        match call!(
            self,
            C_Sign(session, data.as_ptr().cast_mut(), data.len() as CK_ULONG, signature.as_mut_ptr(), &raw mut length)
        ) {
            CKR_OK => {
                signature.truncate(length as usize);
                Ok(signature)
            }
            error => Err(error),
        }
    }

    pub(crate) fn sign(
        &self,
        session: CK_SESSION_HANDLE,
        number: CK_ULONG,
        key: CK_OBJECT_HANDLE,
        data: &[u8],
    ) -> Result<Vec<u8>, CK_RV> {
        match self.sign_init(session, number, key) {
            CKR_OK => self.sign_into(session, data, 64),
            error => Err(error),
        }
    }

    pub(crate) fn verify(
        &self,
        session: CK_SESSION_HANDLE,
        number: CK_ULONG,
        key: CK_OBJECT_HANDLE,
        data: &[u8],
        signature: &[u8],
    ) -> CK_RV {
        let mut mechanism = mechanism(number);
        match call!(self, C_VerifyInit(session, &raw mut mechanism, key)) {
            CKR_OK => call!(
                self,
                C_Verify(
                    session,
                    data.as_ptr().cast_mut(),
                    data.len() as CK_ULONG,
                    signature.as_ptr().cast_mut(),
                    signature.len() as CK_ULONG
                )
            ),
            error => error,
        }
    }
}

/// A module on a fresh directory, initialised; gone with its directory at the end of the test.
pub(crate) struct Token {
    pub(crate) module: Module,
    pub(crate) directory: TempDir,
    _turn: MutexGuard<'static, ()>,
}

impl std::ops::Deref for Token {
    type Target = Module;
    fn deref(&self) -> &Module {
        &self.module
    }
}

impl Token {
    /// Before `C_InitToken`.
    pub(crate) fn blank() -> Self {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let directory = tempfile::tempdir().unwrap();
        // SAFETY: no other thread of this test process touches the environment: tests take turns.
        unsafe { std::env::set_var(DIRECTORY, directory.path()) };
        let module = Module::load();
        assert_eq!(module.initialize(), CKR_OK);
        Self { module, directory, _turn: turn }
    }

    /// With both PINs set and nobody logged in.
    pub(crate) fn ready() -> Self {
        let token = Self::blank();
        assert_eq!(token.init_token(SO_PIN, "test token"), CKR_OK);
        let session = token.open_rw();
        assert_eq!(token.login(session, CKU_SO, SO_PIN), CKR_OK);
        assert_eq!(token.init_pin(session, USER_PIN), CKR_OK);
        assert_eq!(call!(token, C_CloseSession(session)), CKR_OK);
        token
    }

    /// With the user logged in.
    pub(crate) fn user() -> (Self, CK_SESSION_HANDLE) {
        let token = Self::ready();
        let session = token.open_rw();
        assert_eq!(token.login(session, CKU_USER, USER_PIN), CKR_OK);
        (token, session)
    }

    /// Ends and begins the application again, on the same directory.
    pub(crate) fn restart(&self) {
        assert_eq!(call!(self, C_Finalize(std::ptr::null_mut())), CKR_OK);
        assert_eq!(self.initialize(), CKR_OK);
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Files of objects, sorted.
    pub(crate) fn object_files(&self) -> Vec<PathBuf> {
        let mut files: Vec<_> =
            std::fs::read_dir(self.path().join("objects")).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        call!(self, C_Finalize(std::ptr::null_mut()));
    }
}

#[derive(Clone, Default)]
pub(crate) struct Template(Vec<(CK_ATTRIBUTE_TYPE, Vec<u8>)>);

impl Template {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn bool(self, kind: CK_ATTRIBUTE_TYPE, value: bool) -> Self {
        self.octets(kind, &[value.into()])
    }

    pub(crate) fn ulong(self, kind: CK_ATTRIBUTE_TYPE, value: CK_ULONG) -> Self {
        self.octets(kind, &value.to_ne_bytes())
    }

    pub(crate) fn octets(mut self, kind: CK_ATTRIBUTE_TYPE, value: &[u8]) -> Self {
        self.0.push((kind, value.to_vec()));
        self
    }

    pub(crate) fn class(class: CK_OBJECT_CLASS) -> Self {
        Self::new().ulong(CKA_CLASS, class)
    }

    pub(crate) fn raw(&self) -> Vec<CK_ATTRIBUTE> {
        self.0
            .iter()
            .map(|(kind, value)| CK_ATTRIBUTE {
                type_: *kind,
                pValue: value.as_ptr().cast_mut().cast(),
                ulValueLen: value.len() as CK_ULONG,
            })
            .collect()
    }
}

pub(crate) fn mechanism(number: CK_ULONG) -> CK_MECHANISM {
    CK_MECHANISM { mechanism: number, pParameter: std::ptr::null_mut(), ulParameterLen: 0 }
}

/// Environment variable that turns a test into the child process of itself.
const ROLE: &str = "SOFTTOKEN_TEST_CHILD";

/// Whether this process is the child of the test that calls.
pub(crate) fn is_child() -> bool {
    std::env::var_os(ROLE).is_some()
}

/// Runs the named test again as a child process on `directory`, where `is_child` will hold.
pub(crate) fn spawn_child(test: &str, directory: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture"])
        .env(ROLE, "1")
        .env(DIRECTORY, directory)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// Verifies by a second SM2 implementation. `hash`: over the message with the default id, else over e itself.
pub(crate) fn independent_verify(point: &[u8], data: &[u8], signature: &[u8], hash: bool) -> bool {
    let integer = |octets: &[u8]| {
        let stripped: Vec<u8> = octets.iter().copied().skip_while(|octet| *octet == 0).collect();
        let pad = stripped.first().is_none_or(|octet| *octet >= 0x80);
        let mut der = vec![0x02, stripped.len() as u8 + u8::from(pad)];
        der.extend(pad.then_some(0));
        der.extend(stripped);
        der
    };
    let body = [integer(&signature[..32]), integer(&signature[32..])].concat();
    let der = [&[0x30, body.len() as u8], body.as_slice()].concat();
    let public = hex::encode(&point[1..]);
    sm_crypto::sm2::Verify::new(&public).verify_der(data, &der, hash)
}

impl Module {
    /// What asking for a label answers, where the object should be out of reach.
    pub(crate) fn attribute_error(&self, session: CK_SESSION_HANDLE, object: CK_OBJECT_HANDLE) -> CK_RV {
        let mut attribute = CK_ATTRIBUTE { type_: CKA_LABEL, pValue: std::ptr::null_mut(), ulValueLen: 0 };
        call!(self, C_GetAttributeValue(session, object, &raw mut attribute, 1))
    }
}
