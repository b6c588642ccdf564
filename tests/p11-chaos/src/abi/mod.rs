//! The C ABI: 68 entries that forward what they get. The safety contract of each is that of the function behind it, to which
//! pointers go as they came; an entry looks into what they point to only where the standard says what it is.

// PKCS#11 names its functions and their parameters.
#![allow(non_snake_case)]

mod forward;
mod list;
mod special;

use std::panic::{AssertUnwindSafe, catch_unwind};

use cryptoki_sys::{CK_FUNCTION_LIST, CK_RV, CK_SESSION_HANDLE, CKR_FUNCTION_NOT_SUPPORTED, CKR_GENERAL_ERROR};

use crate::function::Function;
use crate::shim::{Plan, Shim, complain};

pub use list::C_GetFunctionList;

/// Runs one entry: no panic gets out, and an error is its return code.
fn entry(work: impl FnOnce(&'static Shim) -> Result<CK_RV, CK_RV>) -> CK_RV {
    let shim = match Shim::of_process() {
        Ok(shim) => shim,
        Err(why) => return complain(&why),
    };
    // What a panic leaves half-done is behind locks, whose users expect that.
    match catch_unwind(AssertUnwindSafe(|| work(shim))) {
        Ok(Ok(rv) | Err(rv)) => rv,
        Err(_) => CKR_GENERAL_ERROR,
    }
}

/// Plans a call and forwards it; a function that the module behind does not have is not supported.
fn forward(
    function: Function,
    session: Option<CK_SESSION_HANDLE>,
    call: impl FnOnce(&CK_FUNCTION_LIST, &Plan) -> Option<CK_RV>,
) -> CK_RV {
    entry(|shim| {
        let plan = shim.plan(function, session)?;
        call(shim.list(), &plan).ok_or(CKR_FUNCTION_NOT_SUPPORTED)
    })
}
