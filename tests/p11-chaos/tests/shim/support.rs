//! A soft token with a key pair behind the module under test, and the few calls that the tests make.

use std::ffi::c_void;
use std::path::PathBuf;
use std::ptr::null_mut;
use std::sync::{Mutex, MutexGuard, PoisonError};

use cryptoki_sys::*;
use libloading::Library;
use yanqian_p11_chaos::{Chaos, DIRECTORY, MODULE};

const SO_PIN: &[u8] = b"so-12345678";
pub(crate) const PIN: &[u8] = b"user-1234";
pub(crate) const RW: CK_FLAGS = CKF_SERIAL_SESSION | CKF_RW_SESSION;
const KEYGEN: CK_ULONG = 0x8000_8001;
pub(crate) const SIGN: CK_ULONG = 0x8000_8105;
pub(crate) const DIGEST: [u8; 32] = [0xE1; 32];

/// Environment and modules belong to the process: tests that share one (plain `cargo test`) take turns.
static TURN: Mutex<()> = Mutex::new(());

/// Calls one function of the list.
macro_rules! call {
    ($bench:expr, $name:ident($($argument:expr),* $(,)?)) => {{
        // SAFETY: the list is the module's own, and every argument is valid for its function (or NULL on purpose).
        unsafe { ((*$bench.list).$name.expect("a slot of the function list is NULL"))($($argument),*) }
    }};
}
pub(crate) use call;

pub(crate) fn built(name: &str) -> PathBuf {
    let path = std::env::current_exe().unwrap().parent().unwrap().join(name);
    assert!(path.exists(), "cargo has not built {}", path.display());
    path
}

/// The module under test before a token that is ready: both PINs set, a pair `one` and a pair `two`, nobody logged in.
pub(crate) struct Bench {
    pub(crate) list: *mut CK_FUNCTION_LIST,
    pub(crate) chaos: Chaos,
    pub(crate) directory: PathBuf,
    _library: Library,
    _turn: MutexGuard<'static, ()>,
}

// SAFETY: the function list is constant, and both modules are thread-safe.
unsafe impl Sync for Bench {}

impl Bench {
    pub(crate) fn new() -> Self {
        let bench = Self::uninitialised();
        assert_eq!(bench.initialize(), CKR_OK);
        let mut label = [b' '; 32];
        label[..5].copy_from_slice(b"chaos");
        assert_eq!(call!(bench, C_InitToken(0, SO_PIN.as_ptr().cast_mut(), 11, label.as_mut_ptr())), CKR_OK);
        let session = bench.open().unwrap();
        assert_eq!(bench.login(session, CKU_SO, SO_PIN), CKR_OK);
        assert_eq!(call!(bench, C_InitPIN(session, PIN.as_ptr().cast_mut(), PIN.len() as CK_ULONG)), CKR_OK);
        assert_eq!(call!(bench, C_Logout(session)), CKR_OK);
        assert_eq!(bench.login(session, CKU_USER, PIN), CKR_OK);
        bench.key_pair(session, b"one");
        bench.key_pair(session, b"two");
        assert_eq!(call!(bench, C_CloseSession(session)), CKR_OK);
        bench
    }

    /// Before `C_Initialize`.
    pub(crate) fn uninitialised() -> Self {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        // The same in every test of a process, which reads its environment once.
        let directory = std::env::temp_dir().join(format!("p11-chaos-{}", std::process::id()));
        let (orders, token) = (directory.join("chaos"), directory.join("token"));
        let _ = std::fs::remove_dir_all(&directory);
        std::fs::create_dir_all(&orders).unwrap();
        std::fs::create_dir(&token).unwrap();
        // SAFETY: no other thread of this test process touches the environment: tests take turns.
        unsafe {
            std::env::set_var(MODULE, built("libyanqian_softtoken.so"));
            std::env::set_var(DIRECTORY, &orders);
            std::env::set_var("YANQIAN_SOFTTOKEN_DIR", &token);
        }
        let chaos = Chaos::at(orders).unwrap();
        let mut list = null_mut();
        // SAFETY: our own library; loading it runs no code.
        let library = unsafe {
            let library = Library::new(built("libyanqian_p11_chaos.so")).unwrap();
            let get = library.get::<unsafe extern "C" fn(*mut *mut CK_FUNCTION_LIST) -> CK_RV>(b"C_GetFunctionList");
            assert_eq!(get.unwrap()(&raw mut list), CKR_OK);
            library
        };
        Self { list, chaos, directory, _library: library, _turn: turn }
    }

    pub(crate) fn initialize(&self) -> CK_RV {
        let mut arguments = CK_C_INITIALIZE_ARGS { flags: CKF_OS_LOCKING_OK, ..Default::default() };
        call!(self, C_Initialize((&raw mut arguments).cast::<c_void>()))
    }

    pub(crate) fn open_at(&self, slot: CK_SLOT_ID) -> Result<CK_SESSION_HANDLE, CK_RV> {
        let mut handle = 0;
        match call!(self, C_OpenSession(slot, RW, null_mut(), None, &raw mut handle)) {
            CKR_OK => Ok(handle),
            error => Err(error),
        }
    }

    pub(crate) fn open(&self) -> Result<CK_SESSION_HANDLE, CK_RV> {
        self.open_at(0)
    }

    /// A session with the user logged in.
    pub(crate) fn user(&self) -> CK_SESSION_HANDLE {
        let session = self.open().unwrap();
        assert_eq!(self.login(session, CKU_USER, PIN), CKR_OK);
        session
    }

    pub(crate) fn login(&self, session: CK_SESSION_HANDLE, user: CK_USER_TYPE, pin: &[u8]) -> CK_RV {
        call!(self, C_Login(session, user, pin.as_ptr().cast_mut(), pin.len() as CK_ULONG))
    }

    pub(crate) fn state(&self, session: CK_SESSION_HANDLE) -> Result<CK_STATE, CK_RV> {
        let mut info = CK_SESSION_INFO::default();
        match call!(self, C_GetSessionInfo(session, &raw mut info)) {
            CKR_OK => Ok(info.state),
            error => Err(error),
        }
    }

    pub(crate) fn slots(&self, present: bool) -> Vec<CK_SLOT_ID> {
        let mut list = [0; 8];
        let mut count = 8;
        assert_eq!(call!(self, C_GetSlotList(present.into(), list.as_mut_ptr(), &raw mut count)), CKR_OK);
        list[..count as usize].to_vec()
    }

    fn key_pair(&self, session: CK_SESSION_HANDLE, label: &[u8]) {
        let (on, curve) = ([CK_TRUE], [0x06, 0x08, 0x2A, 0x81, 0x1C, 0xCF, 0x55, 0x01, 0x82, 0x2D]);
        let mut public = [attribute(CKA_TOKEN, &on), attribute(CKA_EC_PARAMS, &curve), attribute(CKA_LABEL, label)];
        let mut private = [attribute(CKA_TOKEN, &on), attribute(CKA_LABEL, label)];
        let mut mechanism = mechanism(KEYGEN);
        let (mut one, mut other) = (0, 0);
        let made = call!(
            self,
            C_GenerateKeyPair(
                session,
                &raw mut mechanism,
                public.as_mut_ptr(),
                3,
                private.as_mut_ptr(),
                2,
                &raw mut one,
                &raw mut other
            )
        );
        assert_eq!(made, CKR_OK);
    }

    pub(crate) fn key(&self, session: CK_SESSION_HANDLE, class: CK_OBJECT_CLASS, label: &[u8]) -> CK_OBJECT_HANDLE {
        let class = class.to_ne_bytes();
        let mut template = [attribute(CKA_CLASS, &class), attribute(CKA_LABEL, label)];
        assert_eq!(call!(self, C_FindObjectsInit(session, template.as_mut_ptr(), 2)), CKR_OK);
        let (mut handle, mut count) = (0, 0);
        assert_eq!(call!(self, C_FindObjects(session, &raw mut handle, 1, &raw mut count)), CKR_OK);
        assert_eq!(call!(self, C_FindObjectsFinal(session)), CKR_OK);
        assert_eq!(count, 1);
        handle
    }

    /// Signs [`DIGEST`] with the pair `one`.
    pub(crate) fn sign(&self, session: CK_SESSION_HANDLE) -> Result<Vec<u8>, CK_RV> {
        let key = self.key(session, CKO_PRIVATE_KEY, b"one");
        self.sign_with(session, key)
    }

    pub(crate) fn sign_with(&self, session: CK_SESSION_HANDLE, key: CK_OBJECT_HANDLE) -> Result<Vec<u8>, CK_RV> {
        let mut mechanism = mechanism(SIGN);
        match call!(self, C_SignInit(session, &raw mut mechanism, key)) {
            CKR_OK => self.sign_again(session),
            error => Err(error),
        }
    }

    /// `C_Sign` alone, with the operation that is active.
    pub(crate) fn sign_again(&self, session: CK_SESSION_HANDLE) -> Result<Vec<u8>, CK_RV> {
        let (mut digest, mut signature, mut length) = (DIGEST, vec![0; 64], 64);
        match call!(self, C_Sign(session, digest.as_mut_ptr(), 32, signature.as_mut_ptr(), &raw mut length)) {
            CKR_OK => {
                signature.truncate(length as usize);
                Ok(signature)
            }
            error => Err(error),
        }
    }

    /// Whether the token itself finds a signature over [`DIGEST`] to be by this pair.
    pub(crate) fn verifies(&self, session: CK_SESSION_HANDLE, label: &[u8], signature: &[u8]) -> bool {
        let key = self.key(session, CKO_PUBLIC_KEY, label);
        let (mut mechanism, mut digest, mut signature) = (mechanism(SIGN), DIGEST, signature.to_vec());
        assert_eq!(call!(self, C_VerifyInit(session, &raw mut mechanism, key)), CKR_OK);
        let length = signature.len() as CK_ULONG;
        call!(self, C_Verify(session, digest.as_mut_ptr(), 32, signature.as_mut_ptr(), length)) == CKR_OK
    }

    /// Asserts that signing works and gives a signature that the token finds good.
    #[track_caller]
    pub(crate) fn signs(&self, session: CK_SESSION_HANDLE) {
        let signature = self.sign(session).unwrap();
        assert!(self.verifies(session, b"one", &signature));
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = self.chaos.end_all();
        call!(self, C_Finalize(null_mut()));
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn attribute(kind: CK_ATTRIBUTE_TYPE, value: &[u8]) -> CK_ATTRIBUTE {
    CK_ATTRIBUTE { type_: kind, pValue: value.as_ptr().cast_mut().cast(), ulValueLen: value.len() as CK_ULONG }
}

pub(crate) fn mechanism(number: CK_ULONG) -> CK_MECHANISM {
    CK_MECHANISM { mechanism: number, pParameter: null_mut(), ulParameterLen: 0 }
}
