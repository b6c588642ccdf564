//! PINs: what they may look like, and the counter that stops guessing.
//!
//! A try is counted and flushed to disk before the PIN is looked at. Killing the process in between costs a try
//! instead of giving one.

use cryptoki_sys::{
    CK_FLAGS, CKF_SO_PIN_COUNT_LOW, CKF_SO_PIN_FINAL_TRY, CKF_SO_PIN_LOCKED, CKF_USER_PIN_COUNT_LOW,
    CKF_USER_PIN_FINAL_TRY, CKF_USER_PIN_LOCKED, CKR_PIN_INCORRECT, CKR_PIN_INVALID, CKR_PIN_LEN_RANGE, CKR_PIN_LOCKED,
    CKR_USER_PIN_NOT_INITIALIZED,
};

use crate::format::{RetryFile, TokenFile};
use crate::rv::{Outcome, Rv};
use crate::seal::{MasterKey, Role};
use crate::store::Exclusive;

/// Shortest PIN in bytes.
pub(crate) const MIN_PIN: usize = 4;
/// Longest PIN in bytes.
pub(crate) const MAX_PIN: usize = 255;
/// Wrong tries in a row before a PIN locks.
pub(crate) const MAX_TRIES: u8 = 5;

/// Whether this may become a PIN: UTF-8 of allowed length.
pub(crate) fn acceptable(pin: &[u8]) -> Outcome<()> {
    if !(MIN_PIN..=MAX_PIN).contains(&pin.len()) {
        return Err(Rv(CKR_PIN_LEN_RANGE));
    }
    if std::str::from_utf8(pin).is_err() {
        return Err(Rv(CKR_PIN_INVALID));
    }
    Ok(())
}

fn tries(retries: &mut RetryFile, role: Role) -> &mut u8 {
    match role {
        Role::So => &mut retries.so,
        Role::User => &mut retries.user,
    }
}

/// Checks a PIN and gives the master key.
///
/// Holding the exclusive lock through the whole check keeps parallel processes from guessing on one count.
pub(crate) fn check(store: &Exclusive<'_>, token: &TokenFile, role: Role, pin: &[u8]) -> Outcome<MasterKey> {
    let wrap = match role {
        Role::So => Some(&token.so),
        Role::User => token.user.as_ref(),
    };
    let wrap = wrap.ok_or(Rv(CKR_USER_PIN_NOT_INITIALIZED))?;
    let mut retries = store.retries(&token.token)?;
    let count = tries(&mut retries, role);
    if *count >= MAX_TRIES {
        return Err(Rv(CKR_PIN_LOCKED));
    }
    *count += 1;
    store.put_retries(&token.token, retries)?;
    let Some(master) = MasterKey::unwrap(wrap, &token.token, role, pin) else {
        return Err(Rv(CKR_PIN_INCORRECT));
    };
    forgive(store, token, role)?;
    Ok(master)
}

/// Sets a role's count back to zero: after a success, or when the SO sets a new user PIN.
pub(crate) fn forgive(store: &Exclusive<'_>, token: &TokenFile, role: Role) -> Outcome<()> {
    let mut retries = store.retries(&token.token)?;
    *tries(&mut retries, role) = 0;
    Ok(store.put_retries(&token.token, retries)?)
}

/// The PIN flags of `CK_TOKEN_INFO`.
pub(crate) fn flags(retries: RetryFile) -> CK_FLAGS {
    let of = |count: u8, low, last, locked| match count {
        0 => 0,
        count if count >= MAX_TRIES => locked,
        count if count + 1 == MAX_TRIES => low | last,
        _ => low,
    };
    of(retries.user, CKF_USER_PIN_COUNT_LOW, CKF_USER_PIN_FINAL_TRY, CKF_USER_PIN_LOCKED)
        | of(retries.so, CKF_SO_PIN_COUNT_LOW, CKF_SO_PIN_FINAL_TRY, CKF_SO_PIN_LOCKED)
}
