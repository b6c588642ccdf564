//! A PKCS#11 module that forwards to a real one and fails on demand, for this room's tests.
//!
//! Environment: `FAULTY_TARGET` is the real module, `FAULTY_ORDERS` a file of orders, `FAULTY_CALLS` a file that gets one
//! line for each call. An order is `FUNCTION WHAT [TIMES]`, where WHAT is a return code (`0x32`), `hang`, `abort`,
//! `sleep` (a second, then forward), `corrupt` (change the signature or the plaintext), `shorten` (it), `vague` (turn the
//! real module's errors into `CKR_FUNCTION_FAILED`), or `close-all` (close every session first). Each order line counts its
//! own uses; without TIMES it holds as long as it stands in the file.
#![allow(unsafe_code)]

use std::collections::HashMap;
use std::io::Write;
use std::sync::{Mutex, OnceLock};

use cryptoki_sys::{
    CK_ATTRIBUTE_PTR, CK_BYTE_PTR, CK_C_INITIALIZE_ARGS, CK_FLAGS, CK_FUNCTION_LIST, CK_FUNCTION_LIST_PTR_PTR,
    CK_MECHANISM_PTR, CK_NOTIFY, CK_OBJECT_HANDLE, CK_OBJECT_HANDLE_PTR, CK_RV, CK_SESSION_HANDLE,
    CK_SESSION_HANDLE_PTR, CK_SLOT_ID, CK_ULONG, CK_ULONG_PTR, CK_USER_TYPE, CK_VOID_PTR, CKR_FUNCTION_FAILED,
    CKR_GENERAL_ERROR, CKR_OK,
};

struct Shim {
    _library: cryptoki_sys::Pkcs11,
    real: CK_FUNCTION_LIST,
    own: CK_FUNCTION_LIST,
    used: Mutex<HashMap<String, u32>>,
}

// SAFETY: function pointers and a mapped library; nothing in them changes.
unsafe impl Send for Shim {}
// SAFETY: as above.
unsafe impl Sync for Shim {}

static SHIM: OnceLock<Option<Shim>> = OnceLock::new();

fn shim() -> Option<&'static Shim> {
    SHIM.get_or_init(load).as_ref()
}

fn load() -> Option<Shim> {
    let path = std::env::var_os("FAULTY_TARGET")?;
    // SAFETY: the test names a PKCS#11 module.
    let library = unsafe { cryptoki_sys::Pkcs11::new(path) }.ok()?;
    let mut list = std::ptr::null_mut();
    // SAFETY: the symbol's own type, and a valid place for the pointer.
    if unsafe { (library.C_GetFunctionList.as_ref().ok()?)(&raw mut list) } != CKR_OK {
        return None;
    }
    // SAFETY: the module gave a constant list that lives as long as the library.
    let real = unsafe { *list };
    let mut own = real;
    own.C_GetFunctionList = Some(C_GetFunctionList);
    own.C_Initialize = Some(initialise);
    own.C_InitToken = Some(init_token);
    own.C_Login = Some(login);
    own.C_Sign = Some(sign);
    own.C_Decrypt = Some(decrypt);
    own.C_UnwrapKey = Some(unwrap_key);
    own.C_OpenSession = Some(open_session);
    own.C_CloseSession = Some(close_session);
    Some(Shim { _library: library, real, own, used: Mutex::new(HashMap::new()) })
}

/// What an order says about this call.
#[derive(PartialEq)]
enum Order {
    Forward,
    Answer(CK_RV),
    Corrupt,
    Shorten,
    Vague,
}

impl Order {
    /// What becomes of an answer that the real module gave, and of what it wrote.
    ///
    /// # Safety
    ///
    /// With `CKR_OK`, `octets` is null or valid for one octet, and `length` is valid.
    unsafe fn spoil(&self, rv: CK_RV, octets: CK_BYTE_PTR, length: CK_ULONG_PTR) -> CK_RV {
        match self {
            Self::Vague if rv != CKR_OK => CKR_FUNCTION_FAILED,
            // SAFETY: promised by the caller.
            Self::Corrupt if rv == CKR_OK && !octets.is_null() => unsafe {
                *octets ^= 1;
                rv
            },
            // SAFETY: promised by the caller.
            Self::Shorten if rv == CKR_OK && !octets.is_null() => unsafe {
                *length -= 1;
                rv
            },
            _ => rv,
        }
    }
}

impl Shim {
    fn order(&self, function: &str) -> Order {
        if let Some(path) = std::env::var_os("FAULTY_CALLS")
            && let Ok(mut file) = std::fs::OpenOptions::new().create(true).append(true).open(path)
        {
            let _ = file.write_all(format!("{function}\n").as_bytes());
        }
        let Some(path) = std::env::var_os("FAULTY_ORDERS") else { return Order::Forward };
        let orders = std::fs::read_to_string(path).unwrap_or_default();
        for line in orders.lines() {
            let mut words = line.split_whitespace();
            if words.next() != Some(function) {
                continue;
            }
            let Some(what) = words.next() else { continue };
            if let Some(times) = words.next().and_then(|times| times.parse::<u32>().ok()) {
                let mut used = self.used.lock().expect("no thread panics here");
                let used = used.entry(line.to_owned()).or_default();
                if *used >= times {
                    continue;
                }
                *used += 1;
            }
            match what {
                "hang" => loop {
                    std::thread::sleep(std::time::Duration::from_secs(1));
                },
                "abort" => std::process::abort(),
                "sleep" => std::thread::sleep(std::time::Duration::from_secs(1)),
                "corrupt" => return Order::Corrupt,
                "shorten" => return Order::Shorten,
                "vague" => return Order::Vague,
                "close-all" => {
                    // SAFETY: the function takes a slot number only.
                    let _ = self.real.C_CloseAllSessions.map(|close| unsafe { close(0) });
                    return Order::Forward;
                }
                code => {
                    let digits = code.trim_start_matches("0x");
                    return Order::Answer(CK_RV::from_str_radix(digits, 16).unwrap_or(CKR_GENERAL_ERROR));
                }
            }
        }
        Order::Forward
    }
}

/// The module's entry.
///
/// # Safety
///
/// `list` must be valid for writing a pointer, as PKCS#11 says.
#[unsafe(no_mangle)]
#[allow(non_snake_case)]
pub unsafe extern "C" fn C_GetFunctionList(list: CK_FUNCTION_LIST_PTR_PTR) -> CK_RV {
    let Some(shim) = shim() else { return CKR_GENERAL_ERROR };
    // SAFETY: promised by the caller; the list is never written.
    unsafe { *list = std::ptr::from_ref(&shim.own).cast_mut() };
    CKR_OK
}

/// Notes `pReserved` and the flags where `FAULTY_INIT` names a file, and keeps the former from the real module.
unsafe extern "C" fn initialise(arguments: CK_VOID_PTR) -> CK_RV {
    let Some(shim) = shim() else { return CKR_GENERAL_ERROR };
    let Some(real) = shim.real.C_Initialize else { return CKR_GENERAL_ERROR };
    let (Some(file), false) = (std::env::var_os("FAULTY_INIT"), arguments.is_null()) else {
        // SAFETY: forwarded as it came.
        return unsafe { real(arguments) };
    };
    // SAFETY: not null, so PKCS#11 says that it is this structure.
    let mut given = unsafe { *arguments.cast::<CK_C_INITIALIZE_ARGS>() };
    let reserved = std::mem::replace(&mut given.pReserved, std::ptr::null_mut());
    // SAFETY: the test gives null or text that ends with a NUL.
    let text = (!reserved.is_null()).then(|| unsafe { std::ffi::CStr::from_ptr(reserved.cast()) });
    let _ = std::fs::write(file, format!("{text:?} {}", given.flags));
    // SAFETY: a structure as it came, without what is the vendor's.
    unsafe { real((&raw mut given).cast()) }
}

unsafe extern "C" fn init_token(slot: CK_SLOT_ID, pin: CK_BYTE_PTR, length: CK_ULONG, label: CK_BYTE_PTR) -> CK_RV {
    let Some(shim) = shim() else { return CKR_GENERAL_ERROR };
    match (shim.order("C_InitToken"), shim.real.C_InitToken) {
        (Order::Answer(rv), _) => rv,
        // SAFETY: forwarded as it came.
        (_, Some(real)) => unsafe { real(slot, pin, length, label) },
        (_, None) => CKR_GENERAL_ERROR,
    }
}

unsafe extern "C" fn login(
    session: CK_SESSION_HANDLE,
    user: CK_USER_TYPE,
    pin: CK_BYTE_PTR,
    length: CK_ULONG,
) -> CK_RV {
    let Some(shim) = shim() else { return CKR_GENERAL_ERROR };
    match (shim.order("C_Login"), shim.real.C_Login) {
        (Order::Answer(rv), _) => rv,
        // SAFETY: forwarded as it came.
        (_, Some(real)) => unsafe { real(session, user, pin, length) },
        (_, None) => CKR_GENERAL_ERROR,
    }
}

unsafe extern "C" fn sign(
    session: CK_SESSION_HANDLE,
    data: CK_BYTE_PTR,
    length: CK_ULONG,
    signature: CK_BYTE_PTR,
    signature_length: CK_ULONG_PTR,
) -> CK_RV {
    let Some(shim) = shim() else { return CKR_GENERAL_ERROR };
    let order = shim.order("C_Sign");
    if let Order::Answer(rv) = order {
        return rv;
    }
    let Some(real) = shim.real.C_Sign else { return CKR_GENERAL_ERROR };
    // SAFETY: forwarded as it came; with CKR_OK the module has written a signature and its length.
    unsafe {
        let rv = real(session, data, length, signature, signature_length);
        order.spoil(rv, signature, signature_length)
    }
}

unsafe extern "C" fn decrypt(
    session: CK_SESSION_HANDLE,
    data: CK_BYTE_PTR,
    length: CK_ULONG,
    opened: CK_BYTE_PTR,
    opened_length: CK_ULONG_PTR,
) -> CK_RV {
    let Some(shim) = shim() else { return CKR_GENERAL_ERROR };
    let order = shim.order("C_Decrypt");
    if let Order::Answer(rv) = order {
        return rv;
    }
    let Some(real) = shim.real.C_Decrypt else { return CKR_GENERAL_ERROR };
    // SAFETY: forwarded as it came; with CKR_OK the module has written a plaintext and its length.
    unsafe {
        let rv = real(session, data, length, opened, opened_length);
        order.spoil(rv, opened, opened_length)
    }
}

#[allow(clippy::too_many_arguments)]
unsafe extern "C" fn unwrap_key(
    session: CK_SESSION_HANDLE,
    mechanism: CK_MECHANISM_PTR,
    key: CK_OBJECT_HANDLE,
    wrapped: CK_BYTE_PTR,
    length: CK_ULONG,
    template: CK_ATTRIBUTE_PTR,
    count: CK_ULONG,
    made: CK_OBJECT_HANDLE_PTR,
) -> CK_RV {
    let Some(shim) = shim() else { return CKR_GENERAL_ERROR };
    let order = shim.order("C_UnwrapKey");
    if let Order::Answer(rv) = order {
        return rv;
    }
    let Some(real) = shim.real.C_UnwrapKey else { return CKR_GENERAL_ERROR };
    // SAFETY: forwarded as it came; nothing is written but a handle.
    unsafe {
        let rv = real(session, mechanism, key, wrapped, length, template, count, made);
        order.spoil(rv, std::ptr::null_mut(), std::ptr::null_mut())
    }
}

unsafe extern "C" fn open_session(
    slot: CK_SLOT_ID,
    flags: CK_FLAGS,
    application: CK_VOID_PTR,
    notify: CK_NOTIFY,
    handle: CK_SESSION_HANDLE_PTR,
) -> CK_RV {
    let Some(shim) = shim() else { return CKR_GENERAL_ERROR };
    match (shim.order("C_OpenSession"), shim.real.C_OpenSession) {
        (Order::Answer(rv), _) => rv,
        // SAFETY: forwarded as it came.
        (_, Some(real)) => unsafe { real(slot, flags, application, notify, handle) },
        (_, None) => CKR_GENERAL_ERROR,
    }
}

unsafe extern "C" fn close_session(session: CK_OBJECT_HANDLE) -> CK_RV {
    let Some(shim) = shim() else { return CKR_GENERAL_ERROR };
    match (shim.order("C_CloseSession"), shim.real.C_CloseSession) {
        (Order::Answer(rv), _) => rv,
        // SAFETY: forwarded as it came.
        (_, Some(real)) => unsafe { real(session) },
        (_, None) => CKR_GENERAL_ERROR,
    }
}
