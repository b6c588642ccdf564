//! A PKCS#11 module that forwards to a real one and fails on demand, for this room's tests.
//!
//! Environment: `FAULTY_TARGET` is the real module, `FAULTY_ORDERS` a file of orders, `FAULTY_CALLS` a file that gets one
//! line for each call. An order is `FUNCTION WHAT [TIMES]`, where WHAT is a return code (`0x32`), `hang`, `abort`,
//! `sleep` (a second, then forward), `corrupt` (change the signature), `shorten` (it), or `close-all` (close every session
//! first). Each order line counts its own uses; without TIMES it holds as long as it stands in the file.
#![allow(unsafe_code)]

use std::collections::HashMap;
use std::io::Write;
use std::sync::{Mutex, OnceLock};

use cryptoki_sys::{
    CK_BYTE_PTR, CK_FLAGS, CK_FUNCTION_LIST, CK_FUNCTION_LIST_PTR_PTR, CK_NOTIFY, CK_OBJECT_HANDLE, CK_RV,
    CK_SESSION_HANDLE, CK_SESSION_HANDLE_PTR, CK_SLOT_ID, CK_ULONG, CK_ULONG_PTR, CK_USER_TYPE, CK_VOID_PTR,
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
    own.C_Login = Some(login);
    own.C_Sign = Some(sign);
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
    // SAFETY: forwarded as it came.
    let rv = unsafe { real(session, data, length, signature, signature_length) };
    if rv == CKR_OK && !signature.is_null() {
        // SAFETY: the real module has just written a signature and its length there.
        unsafe {
            match order {
                Order::Corrupt => *signature ^= 1,
                Order::Shorten => *signature_length -= 1,
                Order::Forward | Order::Answer(_) => {}
            }
        }
    }
    rv
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
