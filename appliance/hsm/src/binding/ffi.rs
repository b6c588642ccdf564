//! The one place with unsafe calls into the module: what the crate `cryptoki` cannot do, through `cryptoki-sys`.
//!
//! `cryptoki` 0.12 hides vendor mechanisms from lists, asks `C_Sign` for the length first, and rejects numbers below the
//! vendor range. The module is loaded a second time; the loader gives the same image, so handles mean the same.

use std::ffi::{CStr, c_void};
use std::os::fd::{BorrowedFd, RawFd};
use std::path::Path;
use std::ptr;

use cryptoki_sys::{
    CK_ATTRIBUTE, CK_ATTRIBUTE_TYPE, CK_BBOOL, CK_C_INITIALIZE_ARGS, CK_FALSE, CK_FLAGS, CK_FUNCTION_LIST,
    CK_MECHANISM, CK_MECHANISM_INFO, CK_OBJECT_HANDLE, CK_RV, CK_SESSION_HANDLE, CK_SLOT_ID, CK_TRUE, CK_ULONG,
    CKF_OS_LOCKING_OK, CKR_ATTRIBUTE_SENSITIVE, CKR_ATTRIBUTE_TYPE_INVALID, CKR_BUFFER_TOO_SMALL, CKR_OK,
};

/// A value of a template, kept where a C pointer to it is aligned as the module expects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Bool(CK_BBOOL),
    Ulong(CK_ULONG),
    Octets(Vec<u8>),
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(if value { CK_TRUE } else { CK_FALSE })
    }
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Self::Ulong(value)
    }
}

impl From<Vec<u8>> for Value {
    fn from(value: Vec<u8>) -> Self {
        Self::Octets(value)
    }
}

/// `CK_RSA_PKCS_PSS_PARAMS`: SHA-256, MGF1 over SHA-256, a salt of 32 octets. Aligned as the module expects.
#[repr(C, align(8))]
pub(crate) struct PssParameter(pub(crate) [u8; 3 * size_of::<CK_ULONG>()]);

pub(crate) const PSS_SHA256: PssParameter = {
    let members = [cryptoki_sys::CKM_SHA256, cryptoki_sys::CKG_MGF1_SHA256, 32];
    let mut octets = [0; 3 * size_of::<CK_ULONG>()];
    let mut at = 0;
    while at < octets.len() {
        octets[at] = members[at / size_of::<CK_ULONG>()].to_ne_bytes()[at % size_of::<CK_ULONG>()];
        at += 1;
    }
    PssParameter(octets)
};

/// Attributes for a new object.
pub(crate) type Template = Vec<(CK_ATTRIBUTE_TYPE, Value)>;

/// Why a raw call failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RawError {
    Rv(&'static str, CK_RV),
    Missing(&'static str),
    /// A length beyond what was offered.
    Length(&'static str, u64),
}

/// The module's function list.
pub(crate) struct RawModule {
    /// Keeps the image mapped, and with it every pointer of the list.
    _library: cryptoki_sys::Pkcs11,
    list: CK_FUNCTION_LIST,
}

macro_rules! function {
    ($self:ident, $name:ident) => {
        $self.list.$name.ok_or(RawError::Missing(stringify!($name)))?
    };
}

fn check(function: &'static str, rv: CK_RV) -> Result<(), RawError> {
    if rv == CKR_OK { Ok(()) } else { Err(RawError::Rv(function, rv)) }
}

impl RawModule {
    /// Loads the module.
    pub(crate) fn load(path: &Path) -> Result<Self, String> {
        // SAFETY: loading runs the library's initialisers. The operator named this file as the token's module, and it runs
        // in a process of its own for that reason.
        let library = unsafe { cryptoki_sys::Pkcs11::new(path) }.map_err(|error| error.to_string())?;
        let get = *library.C_GetFunctionList.as_ref().map_err(ToString::to_string)?;
        let mut list: *mut CK_FUNCTION_LIST = ptr::null_mut();
        // SAFETY: the symbol has the type that PKCS#11 gives it, and the argument is a valid place for a pointer.
        let rv = unsafe { get(&raw mut list) };
        if rv != CKR_OK || list.is_null() {
            return Err(format!("C_GetFunctionList gave {rv:#x}"));
        }
        // SAFETY: not null, and PKCS#11 v2.40 §5.2 promises a constant list as long as the library is mapped, which
        // `library` beside it ensures. A list of a newer version starts with the same members.
        let list = unsafe { *list };
        Ok(Self { _library: library, list })
    }

    /// `C_Initialize`; `reserved` is what `pReserved` points to, which PKCS#11 leaves to the vendor.
    pub(crate) fn initialise(&self, os_locking: bool, reserved: Option<&CStr>) -> Result<(), RawError> {
        /// With one pointer more than the standard has, null: modules of the NSS kind look there.
        #[repr(C)]
        struct Arguments {
            standard: CK_C_INITIALIZE_ARGS,
            behind: *mut c_void,
        }
        let call = function!(self, C_Initialize);
        let mut arguments = Arguments {
            standard: CK_C_INITIALIZE_ARGS {
                flags: if os_locking { CKF_OS_LOCKING_OK } else { 0 },
                pReserved: reserved.map_or(ptr::null_mut(), |text| text.as_ptr().cast_mut().cast()),
                ..CK_C_INITIALIZE_ARGS::default()
            },
            behind: ptr::null_mut(),
        };
        // SAFETY: the structure begins with what the function expects and lives through the call; the text, an input, ends with a NUL
        // and lives as long as the module's rules.
        check("C_Initialize", unsafe { call((&raw mut arguments).cast()) })
    }

    /// All mechanisms of a slot, vendors' included.
    pub(crate) fn mechanisms(&self, slot: CK_SLOT_ID) -> Result<Vec<u64>, RawError> {
        const NAME: &str = "C_GetMechanismList";
        let call = function!(self, C_GetMechanismList);
        let mut count: CK_ULONG = 0;
        // SAFETY: a null list asks for the count only.
        check(NAME, unsafe { call(slot, ptr::null_mut(), &raw mut count) })?;
        let room = usize::try_from(count).ok().filter(|count| *count <= 65_536).ok_or(RawError::Length(NAME, count))?;
        let mut list = vec![0; room];
        // SAFETY: the list has room for `count` numbers, and the module is told so.
        check(NAME, unsafe { call(slot, list.as_mut_ptr(), &raw mut count) })?;
        list.truncate(usize::try_from(count).unwrap_or(room));
        Ok(list)
    }

    /// Flags of a mechanism.
    pub(crate) fn mechanism_flags(&self, slot: CK_SLOT_ID, mechanism: u64) -> Result<CK_FLAGS, RawError> {
        let call = function!(self, C_GetMechanismInfo);
        let mut info = CK_MECHANISM_INFO::default();
        // SAFETY: the structure is a valid place for what the function writes.
        check("C_GetMechanismInfo", unsafe { call(slot, mechanism, &raw mut info) })?;
        Ok(info.flags)
    }

    /// `C_SignInit` and `C_Sign`. Without `ask_length`, exactly these two calls; `out` bounds the signature either way.
    /// Gives the signature's length.
    pub(crate) fn sign(
        &self,
        session: CK_SESSION_HANDLE,
        key: CK_OBJECT_HANDLE,
        (mechanism, parameter): (u64, &[u8]),
        data: &[u8],
        out: &mut [u8],
        ask_length: bool,
    ) -> Result<usize, RawError> {
        const NAME: &str = "C_Sign";
        let init = function!(self, C_SignInit);
        let sign = function!(self, C_Sign);
        let pointer = if parameter.is_empty() { ptr::null() } else { parameter.as_ptr() };
        let mut mechanism = CK_MECHANISM {
            mechanism,
            pParameter: pointer.cast_mut().cast(),
            ulParameterLen: parameter.len() as CK_ULONG,
        };
        // SAFETY: the mechanism lives through the call, and its parameter, an input, is null or valid for its length.
        check("C_SignInit", unsafe { init(session, &raw mut mechanism, key) })?;
        // The data is an input; PKCS#11 declares every pointer mutable.
        let (pointer, length) = (data.as_ptr().cast_mut(), data.len() as CK_ULONG);
        let mut written: CK_ULONG = 0;
        if ask_length {
            // SAFETY: `data` is valid for `length` octets; a null output asks for the length.
            check(NAME, unsafe { sign(session, pointer, length, ptr::null_mut(), &raw mut written) })?;
            if written > out.len() as CK_ULONG {
                return Err(RawError::Length(NAME, written));
            }
        }
        written = out.len() as CK_ULONG;
        // SAFETY: `data` is valid for `length` octets and `out` for `written`, which is what the module is told.
        check(NAME, unsafe { sign(session, pointer, length, out.as_mut_ptr(), &raw mut written) })?;
        usize::try_from(written).ok().filter(|written| *written <= out.len()).ok_or(RawError::Length(NAME, written))
    }

    /// One attribute of any number, up to `out.len()` octets; none when the object does not have or show it.
    pub(crate) fn attribute(
        &self,
        session: CK_SESSION_HANDLE,
        object: CK_OBJECT_HANDLE,
        kind: CK_ATTRIBUTE_TYPE,
        out: &mut [u8],
    ) -> Result<Option<usize>, RawError> {
        const NAME: &str = "C_GetAttributeValue";
        let call = function!(self, C_GetAttributeValue);
        let room = out.len() as CK_ULONG;
        let mut attribute = CK_ATTRIBUTE { type_: kind, pValue: out.as_mut_ptr().cast(), ulValueLen: room };
        // SAFETY: `out` is valid for the length that the module is told.
        match unsafe { call(session, object, &raw mut attribute, 1) } {
            CKR_OK => usize::try_from(attribute.ulValueLen)
                .ok()
                .filter(|length| *length <= out.len())
                .map(Some)
                .ok_or(RawError::Length(NAME, attribute.ulValueLen)),
            CKR_ATTRIBUTE_TYPE_INVALID | CKR_ATTRIBUTE_SENSITIVE | CKR_BUFFER_TOO_SMALL => Ok(None),
            rv => Err(RawError::Rv(NAME, rv)),
        }
    }

    /// `C_GenerateKeyPair` with any mechanism number and any attributes.
    pub(crate) fn generate_key_pair(
        &self,
        session: CK_SESSION_HANDLE,
        mechanism: u64,
        public: &Template,
        private: &Template,
    ) -> Result<(), RawError> {
        let call = function!(self, C_GenerateKeyPair);
        let mut mechanism = CK_MECHANISM { mechanism, pParameter: ptr::null_mut(), ulParameterLen: 0 };
        let (mut public, mut private) = (attributes(public), attributes(private));
        let (mut public_handle, mut private_handle) = (0, 0);
        // SAFETY: both attribute lists point into templates that outlive the call, with their true lengths.
        check("C_GenerateKeyPair", unsafe {
            call(
                session,
                &raw mut mechanism,
                public.as_mut_ptr(),
                public.len() as CK_ULONG,
                private.as_mut_ptr(),
                private.len() as CK_ULONG,
                &raw mut public_handle,
                &raw mut private_handle,
            )
        })
    }

    /// `C_DecryptInit` and `C_Decrypt`. Gives the length of what stands in `out`.
    pub(crate) fn decrypt(
        &self,
        session: CK_SESSION_HANDLE,
        key: CK_OBJECT_HANDLE,
        mechanism: u64,
        data: &[u8],
        out: &mut [u8],
    ) -> Result<usize, RawError> {
        const NAME: &str = "C_Decrypt";
        let init = function!(self, C_DecryptInit);
        let decrypt = function!(self, C_Decrypt);
        let mut mechanism = CK_MECHANISM { mechanism, pParameter: ptr::null_mut(), ulParameterLen: 0 };
        // SAFETY: the mechanism lives through the call and has no parameter.
        check("C_DecryptInit", unsafe { init(session, &raw mut mechanism, key) })?;
        let mut written = out.len() as CK_ULONG;
        // SAFETY: `data`, an input that PKCS#11 declares mutable, is valid for its length and `out` for `written`, which is
        // what the module is told.
        check(NAME, unsafe {
            decrypt(session, data.as_ptr().cast_mut(), data.len() as CK_ULONG, out.as_mut_ptr(), &raw mut written)
        })?;
        usize::try_from(written).ok().filter(|written| *written <= out.len()).ok_or(RawError::Length(NAME, written))
    }

    /// `C_UnwrapKey` with any mechanism number and any attributes. Gives the new object.
    pub(crate) fn unwrap_key(
        &self,
        session: CK_SESSION_HANDLE,
        mechanism: u64,
        key: CK_OBJECT_HANDLE,
        wrapped: &[u8],
        template: &Template,
    ) -> Result<CK_OBJECT_HANDLE, RawError> {
        let call = function!(self, C_UnwrapKey);
        let mut mechanism = CK_MECHANISM { mechanism, pParameter: ptr::null_mut(), ulParameterLen: 0 };
        let mut template = attributes(template);
        let mut handle = 0;
        // SAFETY: the attribute list points into a template that outlives the call, with true lengths; `wrapped`, an input
        // that PKCS#11 declares mutable, is valid for its length.
        check("C_UnwrapKey", unsafe {
            call(
                session,
                &raw mut mechanism,
                key,
                wrapped.as_ptr().cast_mut(),
                wrapped.len() as CK_ULONG,
                template.as_mut_ptr(),
                template.len() as CK_ULONG,
                &raw mut handle,
            )
        })?;
        Ok(handle)
    }
}

/// C attributes that point into `template`.
fn attributes(template: &Template) -> Vec<CK_ATTRIBUTE> {
    template
        .iter()
        .map(|(kind, value)| {
            let (pointer, length) = match value {
                Value::Bool(value) => (ptr::from_ref(value).cast(), size_of::<CK_BBOOL>()),
                Value::Ulong(value) => (ptr::from_ref(value).cast(), size_of::<CK_ULONG>()),
                Value::Octets(octets) => (octets.as_ptr().cast(), octets.len()),
            };
            let pointer: *const std::ffi::c_void = pointer;
            CK_ATTRIBUTE { type_: *kind, pValue: pointer.cast_mut(), ulValueLen: length as CK_ULONG }
        })
        .collect()
}

/// Sets environment variables for the module. Refuses when another thread could be reading the environment.
pub(crate) fn set_environment<'a>(variables: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<(), String> {
    let mut variables = variables.into_iter().peekable();
    if variables.peek().is_none() {
        return Ok(());
    }
    let threads = std::fs::read_dir("/proc/self/task").map_err(|error| format!("/proc/self/task: {error}"))?.count();
    if threads != 1 {
        return Err(format!("the module's environment must be set before threads start; there are {threads}"));
    }
    for (name, value) in variables {
        if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
            return Err(format!("{name:?} is not an environment variable"));
        }
        // SAFETY: this is the only thread, as was just looked up, so nobody reads the environment meanwhile.
        unsafe { std::env::set_var(name, value) };
    }
    Ok(())
}

/// Has every descriptor but standard input, output and error closed in programs that this process starts: modules open some without
/// saying so.
pub(crate) fn keep_descriptors() -> std::io::Result<()> {
    for entry in std::fs::read_dir("/proc/self/fd")? {
        let Some(number) = entry?.file_name().to_str().and_then(|name| name.parse::<RawFd>().ok()) else { continue };
        if number > 2 {
            // SAFETY: only a flag of the number is set, whatever it belongs to by now; nothing is read, written or closed.
            let descriptor = unsafe { BorrowedFd::borrow_raw(number) };
            // One that was closed meanwhile needs nothing.
            let _ = rustix::io::fcntl_setfd(descriptor, rustix::io::FdFlags::CLOEXEC);
        }
    }
    Ok(())
}

unsafe extern "C" {
    /// Ends the process without running exit handlers, which a module that hangs may have registered.
    safe fn _exit(status: i32) -> !;
}

/// Ends the process at once.
pub(crate) fn exit_now(status: u8) -> ! {
    _exit(i32::from(status))
}
