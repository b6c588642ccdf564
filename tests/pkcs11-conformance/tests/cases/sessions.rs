use std::ptr::null_mut;

use cryptoki_sys::*;

use crate::support::{Module, PIN, RO, RW, SO_PIN, call};

crate::cases! {
    a_session_is_serial_and_says_what_it_may
    a_closed_session_names_nothing
    closing_all_closes_all
    the_login_decides_about_every_session
    an_officer_and_read_only_sessions_exclude_each_other
    handles_are_not_given_twice_at_a_time
}

fn a_session_is_serial_and_says_what_it_may(module: &Module) {
    let slot = module.ready();
    assert_eq!(module.open(slot, 0), Err(CKR_SESSION_PARALLEL_NOT_SUPPORTED));
    assert_eq!(call!(module, C_OpenSession(slot, RO, null_mut(), None, null_mut())), CKR_ARGUMENTS_BAD);
    let session = module.open(slot, RO).unwrap();
    assert_eq!(call!(module, C_GetSessionInfo(session, null_mut())), CKR_ARGUMENTS_BAD);
    let mut info = CK_SESSION_INFO::default();
    assert_eq!(call!(module, C_GetSessionInfo(session, &raw mut info)), CKR_OK);
    assert_eq!((info.slotID, info.state, info.flags), (slot, CKS_RO_PUBLIC_SESSION, RO));
    let session = module.open(slot, RW).unwrap();
    assert_eq!(call!(module, C_GetSessionInfo(session, &raw mut info)), CKR_OK);
    assert_eq!((info.slotID, info.state, info.flags), (slot, CKS_RW_PUBLIC_SESSION, RW));
}

fn a_closed_session_names_nothing(module: &Module) {
    let (slot, _) = module.user();
    let session = module.open(slot, RW).unwrap();
    assert_eq!(call!(module, C_CloseSession(session)), CKR_OK);
    let mut octet = 0;
    for rv in [
        call!(module, C_CloseSession(session)),
        call!(module, C_Logout(session)),
        call!(module, C_FindObjectsInit(session, null_mut(), 0)),
        call!(module, C_GenerateRandom(session, &raw mut octet, 1)),
        module.login(session, CKU_USER, PIN),
        module.state(session).unwrap_err(),
        module.sign_init(session, 1),
        module.pair(session, false, b"k").unwrap_err(),
    ] {
        assert_eq!(rv, CKR_SESSION_HANDLE_INVALID);
    }
    assert_eq!(call!(module, C_CloseSession(CK_INVALID_HANDLE)), CKR_SESSION_HANDLE_INVALID);
}

fn closing_all_closes_all(module: &Module) {
    let (slot, session) = module.user();
    let other = module.open(slot, RO).unwrap();
    assert_eq!(call!(module, C_CloseAllSessions(slot)), CKR_OK);
    for session in [session, other] {
        assert_eq!(module.state(session), Err(CKR_SESSION_HANDLE_INVALID));
    }
    let session = module.open(slot, RW).unwrap();
    assert_eq!(module.state(session), Ok(CKS_RW_PUBLIC_SESSION), "the login went with the last session");
    assert_eq!(call!(module, C_CloseAllSessions(slot)), CKR_OK);
    assert_eq!(call!(module, C_CloseAllSessions(slot)), CKR_OK, "of none, too");
}

fn the_login_decides_about_every_session(module: &Module) {
    let (slot, session) = module.user();
    let other = module.open(slot, RO).unwrap();
    assert_eq!(module.state(session), Ok(CKS_RW_USER_FUNCTIONS));
    assert_eq!(module.state(other), Ok(CKS_RO_USER_FUNCTIONS));
    assert_eq!(call!(module, C_Logout(other)), CKR_OK);
    assert_eq!(module.state(session), Ok(CKS_RW_PUBLIC_SESSION));
    assert_eq!(module.state(other), Ok(CKS_RO_PUBLIC_SESSION));
}

fn an_officer_and_read_only_sessions_exclude_each_other(module: &Module) {
    let slot = module.ready();
    let (writing, reading) = (module.open(slot, RW).unwrap(), module.open(slot, RO).unwrap());
    assert_eq!(module.login(writing, CKU_SO, SO_PIN), CKR_SESSION_READ_ONLY_EXISTS);
    assert_eq!(call!(module, C_CloseSession(reading)), CKR_OK);
    assert_eq!(module.login(writing, CKU_SO, SO_PIN), CKR_OK);
    assert_eq!(module.state(writing), Ok(CKS_RW_SO_FUNCTIONS));
    assert_eq!(module.open(slot, RO), Err(CKR_SESSION_READ_WRITE_SO_EXISTS));
}

fn handles_are_not_given_twice_at_a_time(module: &Module) {
    let slot = module.ready();
    let mut handles: Vec<_> = (0..40).map(|_| module.open(slot, RO).unwrap()).collect();
    handles.sort_unstable();
    handles.dedup();
    assert_eq!(handles.len(), 40);
    assert!(!handles.contains(&CK_INVALID_HANDLE));
}
