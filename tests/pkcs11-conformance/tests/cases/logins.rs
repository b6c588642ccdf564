use cryptoki_sys::*;

use crate::support::{Module, PIN, RW, SO_PIN, call};

crate::cases! {
    a_login_is_one_at_a_time
    a_wrong_pin_is_refused_and_the_right_one_still_taken
    a_user_type_that_there_is_not_is_refused
    logging_out_needs_a_login
    a_pin_is_set_by_who_may
}

fn set_pin(module: &Module, session: CK_SESSION_HANDLE, old: &[u8], new: &[u8]) -> CK_RV {
    let (old_length, new_length) = (old.len() as CK_ULONG, new.len() as CK_ULONG);
    call!(module, C_SetPIN(session, old.as_ptr().cast_mut(), old_length, new.as_ptr().cast_mut(), new_length))
}

fn init_pin(module: &Module, session: CK_SESSION_HANDLE, pin: &[u8]) -> CK_RV {
    call!(module, C_InitPIN(session, pin.as_ptr().cast_mut(), pin.len() as CK_ULONG))
}

fn a_login_is_one_at_a_time(module: &Module) {
    let (slot, session) = module.user();
    assert_eq!(module.login(session, CKU_USER, PIN), CKR_USER_ALREADY_LOGGED_IN);
    let other = module.open(slot, RW).unwrap();
    assert_eq!(module.login(other, CKU_USER, PIN), CKR_USER_ALREADY_LOGGED_IN);
    assert_eq!(module.login(other, CKU_SO, SO_PIN), CKR_USER_ANOTHER_ALREADY_LOGGED_IN);
    assert_eq!(call!(module, C_Logout(session)), CKR_OK);
    assert_eq!(module.login(other, CKU_SO, SO_PIN), CKR_OK);
    assert_eq!(module.login(session, CKU_USER, PIN), CKR_USER_ANOTHER_ALREADY_LOGGED_IN);
}

fn a_wrong_pin_is_refused_and_the_right_one_still_taken(module: &Module) {
    let slot = module.ready();
    let session = module.open(slot, RW).unwrap();
    assert_eq!(module.login(session, CKU_USER, b"wrong-pin"), CKR_PIN_INCORRECT);
    assert_eq!(module.state(session), Ok(CKS_RW_PUBLIC_SESSION));
    let mut info = CK_TOKEN_INFO::default();
    assert_eq!(call!(module, C_GetTokenInfo(slot, &raw mut info)), CKR_OK);
    assert_ne!(info.flags & CKF_USER_PIN_COUNT_LOW, 0);
    assert_eq!(module.login(session, CKU_SO, b"wrong-pin"), CKR_PIN_INCORRECT);
    assert_eq!(module.login(session, CKU_USER, PIN), CKR_OK);
    assert_eq!(call!(module, C_GetTokenInfo(slot, &raw mut info)), CKR_OK);
    assert_eq!(info.flags & CKF_USER_PIN_COUNT_LOW, 0);
}

fn a_user_type_that_there_is_not_is_refused(module: &Module) {
    let slot = module.ready();
    let session = module.open(slot, RW).unwrap();
    assert_eq!(module.login(session, 77, PIN), CKR_USER_TYPE_INVALID);
    assert_eq!(module.login(session, CKU_CONTEXT_SPECIFIC, PIN), CKR_OPERATION_NOT_INITIALIZED);
    assert_eq!(module.state(session), Ok(CKS_RW_PUBLIC_SESSION));
}

fn logging_out_needs_a_login(module: &Module) {
    let slot = module.ready();
    let session = module.open(slot, RW).unwrap();
    let nobody = call!(module, C_Logout(session));
    // SoftHSM logs nobody out and says that this is done; the standard has a code for it.
    assert!(matches!(nobody, CKR_OK | CKR_USER_NOT_LOGGED_IN), "{nobody:#x}");
    assert_eq!(module.login(session, CKU_USER, PIN), CKR_OK);
    assert_eq!(call!(module, C_Logout(session)), CKR_OK);
    assert_eq!(module.state(session), Ok(CKS_RW_PUBLIC_SESSION));
}

fn a_pin_is_set_by_who_may(module: &Module) {
    let (slot, session) = module.user();
    assert_eq!(init_pin(module, session, b"another-1"), CKR_USER_NOT_LOGGED_IN, "only the officer");
    assert_eq!(set_pin(module, session, b"not-it-at-all", b"another-1"), CKR_PIN_INCORRECT);
    assert_eq!(set_pin(module, session, PIN, b"another-1"), CKR_OK);
    assert_eq!(set_pin(module, session, b"another-1", b"1"), CKR_PIN_LEN_RANGE);
    assert_eq!(call!(module, C_Logout(session)), CKR_OK);
    assert_eq!(module.login(session, CKU_USER, PIN), CKR_PIN_INCORRECT);
    assert_eq!(module.login(session, CKU_USER, b"another-1"), CKR_OK);
    assert_eq!(call!(module, C_CloseAllSessions(slot)), CKR_OK);
    let session = module.open(slot, RW).unwrap();
    assert_eq!(module.login(session, CKU_SO, SO_PIN), CKR_OK);
    assert_eq!(init_pin(module, session, b"by-officer"), CKR_OK);
    assert_eq!(set_pin(module, session, SO_PIN, b"officers-new"), CKR_OK);
    assert_eq!(call!(module, C_Logout(session)), CKR_OK);
    assert_eq!(module.login(session, CKU_USER, b"by-officer"), CKR_OK);
    assert_eq!(call!(module, C_Logout(session)), CKR_OK);
    assert_eq!(module.login(session, CKU_SO, b"officers-new"), CKR_OK);
}
