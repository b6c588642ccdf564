//! Loads a module on a directory of its own, and spares the cases the pointer work.

use std::path::{Path, PathBuf};
use std::ptr::null_mut;
use std::sync::{Mutex, MutexGuard, PoisonError};

use cryptoki_sys::*;
use libloading::Library;
use tempfile::TempDir;

pub(crate) const SO_PIN: &[u8] = b"so-12345678";
pub(crate) const PIN: &[u8] = b"user-1234";
pub(crate) const RO: CK_FLAGS = CKF_SERIAL_SESSION;
pub(crate) const RW: CK_FLAGS = CKF_SERIAL_SESSION | CKF_RW_SESSION;

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

/// A loaded module that is not initialised.
pub(crate) struct Module {
    pub(crate) list: *mut CK_FUNCTION_LIST,
    /// Makes pairs on the SM2 curve, which both have.
    pub(crate) keygen: CK_MECHANISM_TYPE,
    /// Signs 32 octets with them; 64 octets come out.
    pub(crate) sign: CK_MECHANISM_TYPE,
    _library: Library,
    _directory: TempDir,
    _turn: MutexGuard<'static, ()>,
}

impl Module {
    pub(crate) fn soft_token() -> Self {
        let path = std::env::current_exe().unwrap().parent().unwrap().join("libyanqian_softtoken.so");
        Self::load(&path, 0x8000_8001, 0x8000_8105)
    }

    /// Where it is installed. It signs with ECDSA over the SM2 curve, which is as good for cases about calls.
    pub(crate) fn soft_hsm() -> Option<Self> {
        let known = ["/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so"];
        let Some(path) = known.iter().map(PathBuf::from).find(|path| path.exists()) else {
            eprintln!("SKIPPED: softhsm2 is not installed");
            return None;
        };
        Some(Self::load(&path, CKM_EC_KEY_PAIR_GEN, CKM_ECDSA))
    }

    fn load(path: &Path, keygen: CK_MECHANISM_TYPE, sign: CK_MECHANISM_TYPE) -> Self {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let directory = tempfile::tempdir().unwrap();
        let conf = directory.path().join("softhsm2.conf");
        let tokens = directory.path().join("token");
        std::fs::create_dir(&tokens).unwrap();
        std::fs::write(&conf, format!("directories.tokendir = {}\nlog.level = ERROR\n", tokens.display())).unwrap();
        // SAFETY: no other thread of this test process touches the environment: tests take turns. The library is a PKCS#11
        // module, and its one symbol has the type that the standard gives it.
        unsafe {
            std::env::set_var("YANQIAN_SOFTTOKEN_DIR", &tokens);
            std::env::set_var("SOFTHSM2_CONF", &conf);
            let library = Library::new(path).unwrap();
            let get = library.get::<unsafe extern "C" fn(*mut *mut CK_FUNCTION_LIST) -> CK_RV>(b"C_GetFunctionList");
            let mut list = null_mut();
            let get = get.unwrap();
            assert_eq!(get(null_mut()), CKR_ARGUMENTS_BAD);
            assert_eq!(get(&raw mut list), CKR_OK);
            Self { list, keygen, sign, _library: library, _directory: directory, _turn: turn }
        }
    }

    pub(crate) fn initialize(&self) -> CK_RV {
        let mut arguments = CK_C_INITIALIZE_ARGS { flags: CKF_OS_LOCKING_OK, ..Default::default() };
        call!(self, C_Initialize((&raw mut arguments).cast()))
    }

    pub(crate) fn finalize(&self) -> CK_RV {
        call!(self, C_Finalize(null_mut()))
    }

    /// Initialised, with a token that has both PINs; gives its slot.
    pub(crate) fn ready(&self) -> CK_SLOT_ID {
        assert_eq!(self.initialize(), CKR_OK);
        assert_eq!(self.init_token(self.slots(true)[0], SO_PIN, "cases"), CKR_OK);
        let slot = self.slot();
        let session = self.open(slot, RW).unwrap();
        assert_eq!(self.login(session, CKU_SO, SO_PIN), CKR_OK);
        assert_eq!(call!(self, C_InitPIN(session, PIN.as_ptr().cast_mut(), PIN.len() as CK_ULONG)), CKR_OK);
        assert_eq!(call!(self, C_CloseAllSessions(slot)), CKR_OK);
        slot
    }

    /// The slot of the token that [`Self::ready`] made: `SoftHSM` gives it another one than the blank token had.
    pub(crate) fn slot(&self) -> CK_SLOT_ID {
        let named = |slot: &CK_SLOT_ID| {
            let mut info = CK_TOKEN_INFO::default();
            call!(self, C_GetTokenInfo(*slot, &raw mut info)) == CKR_OK && info.label.starts_with(b"cases ")
        };
        self.slots(true).into_iter().find(named).unwrap()
    }

    /// As [`Self::ready`], with the user logged in.
    pub(crate) fn user(&self) -> (CK_SLOT_ID, CK_SESSION_HANDLE) {
        let slot = self.ready();
        let session = self.open(slot, RW).unwrap();
        assert_eq!(self.login(session, CKU_USER, PIN), CKR_OK);
        (slot, session)
    }

    pub(crate) fn slots(&self, present: bool) -> Vec<CK_SLOT_ID> {
        let mut list = [0; 16];
        let mut count = 16;
        assert_eq!(call!(self, C_GetSlotList(present.into(), list.as_mut_ptr(), &raw mut count)), CKR_OK);
        list[..count as usize].to_vec()
    }

    pub(crate) fn init_token(&self, slot: CK_SLOT_ID, pin: &[u8], label: &str) -> CK_RV {
        let mut padded = [b' '; 32];
        padded[..label.len()].copy_from_slice(label.as_bytes());
        call!(self, C_InitToken(slot, pin.as_ptr().cast_mut(), pin.len() as CK_ULONG, padded.as_mut_ptr()))
    }

    pub(crate) fn open(&self, slot: CK_SLOT_ID, flags: CK_FLAGS) -> Result<CK_SESSION_HANDLE, CK_RV> {
        let mut handle = 0;
        match call!(self, C_OpenSession(slot, flags, null_mut(), None, &raw mut handle)) {
            CKR_OK => Ok(handle),
            error => Err(error),
        }
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

    /// A pair on the SM2 curve: public and private.
    pub(crate) fn pair(
        &self,
        session: CK_SESSION_HANDLE,
        on_token: bool,
        label: &[u8],
    ) -> Result<(CK_OBJECT_HANDLE, CK_OBJECT_HANDLE), CK_RV> {
        let token = [u8::from(on_token)];
        let curve = [0x06, 0x08, 0x2A, 0x81, 0x1C, 0xCF, 0x55, 0x01, 0x82, 0x2D];
        let mut public = [attribute(CKA_TOKEN, &token), attribute(CKA_LABEL, label), attribute(CKA_EC_PARAMS, &curve)];
        let mut private =
            [attribute(CKA_TOKEN, &token), attribute(CKA_LABEL, label), attribute(CKA_SENSITIVE, &[CK_TRUE])];
        let mut mechanism = mechanism(self.keygen);
        let (mut one, mut other) = (0, 0);
        let made = call!(
            self,
            C_GenerateKeyPair(
                session,
                &raw mut mechanism,
                public.as_mut_ptr(),
                3,
                private.as_mut_ptr(),
                3,
                &raw mut one,
                &raw mut other
            )
        );
        if made == CKR_OK { Ok((one, other)) } else { Err(made) }
    }

    /// Objects of this class, all when it is none.
    pub(crate) fn find(&self, session: CK_SESSION_HANDLE, class: Option<CK_OBJECT_CLASS>) -> Vec<CK_OBJECT_HANDLE> {
        let octets = class.unwrap_or_default().to_ne_bytes();
        let mut template = [attribute(CKA_CLASS, &octets)];
        let count = class.map_or(0, |_| 1);
        assert_eq!(call!(self, C_FindObjectsInit(session, template.as_mut_ptr(), count)), CKR_OK);
        let mut found = Vec::new();
        loop {
            let (mut handle, mut count) = (0, 0);
            assert_eq!(call!(self, C_FindObjects(session, &raw mut handle, 1, &raw mut count)), CKR_OK);
            if count == 0 {
                break;
            }
            found.push(handle);
        }
        assert_eq!(call!(self, C_FindObjectsFinal(session)), CKR_OK);
        found
    }

    pub(crate) fn sign_init(&self, session: CK_SESSION_HANDLE, key: CK_OBJECT_HANDLE) -> CK_RV {
        let mut mechanism = mechanism(self.sign);
        call!(self, C_SignInit(session, &raw mut mechanism, key))
    }
}

impl Drop for Module {
    fn drop(&mut self) {
        self.finalize();
    }
}

pub(crate) fn attribute(kind: CK_ATTRIBUTE_TYPE, value: &[u8]) -> CK_ATTRIBUTE {
    CK_ATTRIBUTE { type_: kind, pValue: value.as_ptr().cast_mut().cast(), ulValueLen: value.len() as CK_ULONG }
}

pub(crate) fn mechanism(number: CK_MECHANISM_TYPE) -> CK_MECHANISM {
    CK_MECHANISM { mechanism: number, pParameter: null_mut(), ulParameterLen: 0 }
}

/// A text of the standard: padded with blanks, not ended with zero.
#[track_caller]
pub(crate) fn assert_padded(field: &[u8]) {
    assert!(!field.contains(&0), "{field:?}");
    assert!(std::str::from_utf8(field).is_ok());
}
