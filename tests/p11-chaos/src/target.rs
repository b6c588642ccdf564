//! The module behind, and what is asked of it on this module's own account.

use std::path::Path;
use std::ptr;

use cryptoki_sys::{
    CK_ATTRIBUTE, CK_FALSE, CK_FUNCTION_LIST, CK_OBJECT_HANDLE, CK_RV, CK_SESSION_HANDLE, CK_SLOT_ID, CK_ULONG,
    CKA_CLASS, CKA_LABEL, CKO_PRIVATE_KEY, CKR_FUNCTION_NOT_SUPPORTED, CKR_OK, Pkcs11,
};

/// Most slots that are looked at.
const SLOTS: usize = 64;

pub(crate) struct Target {
    /// Keeps the image mapped, and with it every pointer of the list.
    _library: Pkcs11,
    list: CK_FUNCTION_LIST,
}

impl Target {
    pub(crate) fn load(path: &Path) -> Result<Self, String> {
        let failed = |what: &dyn std::fmt::Display| format!("{}: {what}", path.display());
        // SAFETY: loading runs the library's initialisers; whoever set the variable named this file as a PKCS#11 module.
        let library = unsafe { Pkcs11::new(path) }.map_err(|error| failed(&error))?;
        let get = *library.C_GetFunctionList.as_ref().map_err(|error| failed(error))?;
        let mut list: *mut CK_FUNCTION_LIST = ptr::null_mut();
        // SAFETY: the symbol has the type that PKCS#11 gives it, and the argument is a valid place for a pointer.
        let rv = unsafe { get(&raw mut list) };
        if rv != CKR_OK || list.is_null() {
            return Err(failed(&format_args!("C_GetFunctionList gave {rv:#x}")));
        }
        // SAFETY: not null, and constant as long as the library is mapped (PKCS#11 v2.40 §5.2). A list of a newer version
        // starts with the same members.
        let list = unsafe { *list };
        Ok(Self { _library: library, list })
    }

    pub(crate) fn list(&self) -> &CK_FUNCTION_LIST {
        &self.list
    }

    pub(crate) fn close_session(&self, session: CK_SESSION_HANDLE) -> CK_RV {
        // SAFETY: takes a number only.
        self.list.C_CloseSession.map_or(CKR_FUNCTION_NOT_SUPPORTED, |close| unsafe { close(session) })
    }

    pub(crate) fn log_out(&self, session: CK_SESSION_HANDLE) -> CK_RV {
        // SAFETY: takes a number only.
        self.list.C_Logout.map_or(CKR_FUNCTION_NOT_SUPPORTED, |log_out| unsafe { log_out(session) })
    }

    /// Closes the sessions of every slot.
    pub(crate) fn close_all_sessions(&self) {
        let (Some(slots), Some(close)) = (self.list.C_GetSlotList, self.list.C_CloseAllSessions) else { return };
        let mut list = [0; SLOTS];
        let mut count = SLOTS as CK_ULONG;
        // SAFETY: the list has room for `count` numbers, and the module is told so.
        if unsafe { slots(CK_FALSE, list.as_mut_ptr(), &raw mut count) } != CKR_OK {
            return;
        }
        for slot in list.iter().take(usize::try_from(count).unwrap_or(0)) {
            // SAFETY: takes a number only.
            let _: CK_RV = unsafe { close(*slot as CK_SLOT_ID) };
        }
    }

    /// The private key with this label, as this session finds it.
    pub(crate) fn private_key(&self, session: CK_SESSION_HANDLE, label: &str) -> Option<CK_OBJECT_HANDLE> {
        let (init, find, end) = (self.list.C_FindObjectsInit?, self.list.C_FindObjects?, self.list.C_FindObjectsFinal?);
        let mut class = CKO_PRIVATE_KEY;
        let class_length = size_of_val(&class) as CK_ULONG;
        let mut template = [
            CK_ATTRIBUTE { type_: CKA_CLASS, pValue: (&raw mut class).cast(), ulValueLen: class_length },
            CK_ATTRIBUTE {
                type_: CKA_LABEL,
                pValue: label.as_ptr().cast_mut().cast(),
                ulValueLen: label.len() as CK_ULONG,
            },
        ];
        // SAFETY: template and values live through the call; a search only reads them.
        if unsafe { init(session, template.as_mut_ptr(), template.len() as CK_ULONG) } != CKR_OK {
            return None;
        }
        let (mut handle, mut count) = (0, 0);
        // SAFETY: room for one handle, as the module is told, and for the count.
        let rv = unsafe { find(session, &raw mut handle, 1, &raw mut count) };
        // SAFETY: takes a number only.
        let _: CK_RV = unsafe { end(session) };
        (rv == CKR_OK && count == 1).then_some(handle)
    }
}
