use std::ptr::null_mut;

use cryptoki_sys::*;

use crate::support::{Module, assert_padded, call};

crate::cases! {
    nothing_works_before_initialising_and_after_finalising
    initialising_and_finalising_are_once_each
    arguments_of_initialising_are_looked_at
    the_library_describes_itself
    no_place_of_the_function_list_is_null
    random_octets_come_in_any_number
}

fn nothing_works_before_initialising_and_after_finalising(module: &Module) {
    let refused = || {
        let (mut info, mut count, mut byte) = (CK_INFO::default(), 0, 0);
        let mut token = CK_TOKEN_INFO::default();
        for rv in [
            call!(module, C_GetInfo(&raw mut info)),
            call!(module, C_GetSlotList(CK_FALSE, null_mut(), &raw mut count)),
            call!(module, C_GetTokenInfo(0, &raw mut token)),
            call!(module, C_GetMechanismList(0, null_mut(), &raw mut count)),
            call!(module, C_CloseSession(1)),
            call!(module, C_CloseAllSessions(0)),
            call!(module, C_Logout(1)),
            call!(module, C_FindObjectsInit(1, null_mut(), 0)),
            call!(module, C_FindObjectsFinal(1)),
            call!(module, C_GenerateRandom(1, &raw mut byte, 1)),
            call!(module, C_Finalize(null_mut())),
        ] {
            assert_eq!(rv, CKR_CRYPTOKI_NOT_INITIALIZED);
        }
        assert_eq!(module.open(0, CKF_SERIAL_SESSION), Err(CKR_CRYPTOKI_NOT_INITIALIZED));
        assert_eq!(module.login(1, CKU_USER, b"1234"), CKR_CRYPTOKI_NOT_INITIALIZED);
        assert_eq!(module.state(1), Err(CKR_CRYPTOKI_NOT_INITIALIZED));
        assert_eq!(module.sign_init(1, 1), CKR_CRYPTOKI_NOT_INITIALIZED);
    };
    refused();
    assert_eq!(module.initialize(), CKR_OK);
    assert_eq!(module.finalize(), CKR_OK);
    refused();
}

fn initialising_and_finalising_are_once_each(module: &Module) {
    assert_eq!(module.initialize(), CKR_OK);
    assert_eq!(module.initialize(), CKR_CRYPTOKI_ALREADY_INITIALIZED);
    let mut reserved = 0_u8;
    assert_eq!(call!(module, C_Finalize((&raw mut reserved).cast())), CKR_ARGUMENTS_BAD);
    assert_eq!(module.finalize(), CKR_OK);
    assert_eq!(module.finalize(), CKR_CRYPTOKI_NOT_INITIALIZED);
    assert_eq!(call!(module, C_Initialize(null_mut())), CKR_OK, "an application without threads gives no arguments");
}

unsafe extern "C" fn create(_: *mut *mut std::ffi::c_void) -> CK_RV {
    CKR_OK
}

fn arguments_of_initialising_are_looked_at(module: &Module) {
    let mut reserved = 0_u8;
    let mut arguments =
        CK_C_INITIALIZE_ARGS { flags: CKF_OS_LOCKING_OK, pReserved: (&raw mut reserved).cast(), ..Default::default() };
    assert_eq!(call!(module, C_Initialize((&raw mut arguments).cast())), CKR_ARGUMENTS_BAD);
    // Some functions for mutexes and not the others.
    let mut arguments =
        CK_C_INITIALIZE_ARGS { flags: CKF_OS_LOCKING_OK, CreateMutex: Some(create), ..Default::default() };
    assert_eq!(call!(module, C_Initialize((&raw mut arguments).cast())), CKR_ARGUMENTS_BAD);
    assert_eq!(module.initialize(), CKR_OK);
}

fn the_library_describes_itself(module: &Module) {
    assert_eq!(module.initialize(), CKR_OK);
    assert_eq!(call!(module, C_GetInfo(null_mut())), CKR_ARGUMENTS_BAD);
    let mut info = CK_INFO::default();
    assert_eq!(call!(module, C_GetInfo(&raw mut info)), CKR_OK);
    assert_eq!((info.cryptokiVersion.major, info.flags), (2, 0));
    assert_padded(&info.manufacturerID);
    assert_padded(&info.libraryDescription);
}

fn no_place_of_the_function_list_is_null(module: &Module) {
    // SAFETY: the list lives as long as the library; behind its version stand 68 pointers.
    let places = unsafe { std::slice::from_raw_parts(module.list.cast::<usize>().add(1), 68) };
    assert!(places.iter().all(|place| *place != 0));
}

fn random_octets_come_in_any_number(module: &Module) {
    let slot = module.ready();
    let session = module.open(slot, crate::support::RO).unwrap();
    let mut octets = [0; 1000];
    for count in [1, 16, 17, 1000] {
        assert_eq!(call!(module, C_GenerateRandom(session, octets.as_mut_ptr(), count)), CKR_OK);
    }
    assert!(octets.iter().any(|octet| *octet != octets[0]));
    assert_eq!(call!(module, C_GenerateRandom(session, null_mut(), 16)), CKR_ARGUMENTS_BAD);
    assert_eq!(call!(module, C_GenerateRandom(session + 77, octets.as_mut_ptr(), 1)), CKR_SESSION_HANDLE_INVALID);
    let seeded = call!(module, C_SeedRandom(session, octets.as_mut_ptr(), 16));
    assert!(matches!(seeded, CKR_OK | CKR_RANDOM_SEED_NOT_SUPPORTED), "{seeded:#x}");
}
