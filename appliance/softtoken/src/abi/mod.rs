//! The C ABI: 68 functions, each a pointer check, a call into safe code and a return value.
//!
//! Every entry runs inside `entry`, which turns a panic into `CKR_GENERAL_ERROR`: unwinding into C is undefined.
//! The safety contract of all entries is PKCS#11's own: a non-NULL pointer points to what the standard says, for the
//! length given beside it. NULL pointers and impossible lengths are refused.

// PKCS#11 names its functions and their parameters.
#![allow(non_snake_case)]
#![allow(clippy::similar_names)]

mod crypto;
mod general;
mod list;
mod objects;
mod pointers;
mod sessions;
mod token;

use std::panic::{AssertUnwindSafe, catch_unwind};

use cryptoki_sys::{CK_RV, CKR_GENERAL_ERROR, CKR_OK};

use crate::module::Turn;
use crate::rv::Outcome;

pub use list::C_GetFunctionList;

/// Runs one entry point.
pub(crate) fn entry(work: impl FnOnce() -> Outcome<()>) -> CK_RV {
    // Whatever a panic leaves half-done is behind a lock that it poisons, so nobody sees it afterwards.
    let call = || {
        let _turn = Turn::take()?;
        work()
    };
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(())) => CKR_OK,
        Ok(Err(error)) => error.0,
        Err(_) => CKR_GENERAL_ERROR,
    }
}
