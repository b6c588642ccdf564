//! The function list.

use cryptoki_sys::{CK_FUNCTION_LIST, CK_FUNCTION_LIST_PTR_PTR, CK_RV, CK_VERSION, CKR_ARGUMENTS_BAD, CKR_OK};

#[allow(clippy::wildcard_imports)] // 68 names
use super::{forward::*, special::*};
use crate::function::{Function, every_function};

macro_rules! list {
    ($($name:ident)*) => {
        static LIST: CK_FUNCTION_LIST =
            CK_FUNCTION_LIST { version: CK_VERSION { major: 2, minor: 40 }, $($name: Some($name)),* };
    };
}

every_function!(list);

/// The one exported symbol. Its table is this module's own, with an entry at each place whatever the module behind has.
///
/// # Safety
/// A non-NULL `ppFunctionList` is writable for one pointer. The list behind it lives as long as the library.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn C_GetFunctionList(ppFunctionList: CK_FUNCTION_LIST_PTR_PTR) -> CK_RV {
    super::entry(|shim| {
        shim.plan(Function::C_GetFunctionList, None)?;
        if ppFunctionList.is_null() {
            return Err(CKR_ARGUMENTS_BAD);
        }
        // SAFETY: not NULL, writable by contract. Callers only read the list; the pointer is mutable by C's habit.
        unsafe { ppFunctionList.write_unaligned((&raw const LIST).cast_mut()) };
        Ok(CKR_OK)
    })
}
