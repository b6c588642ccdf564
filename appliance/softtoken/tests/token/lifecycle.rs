//! Initialising, sessions, logging in and out, and what that does to objects.

use cryptoki_sys::*;

use crate::support::*;

fn text(field: &[u8]) -> &str {
    std::str::from_utf8(field).unwrap().trim_end()
}

#[test]
fn the_module_says_that_it_is_soft_and_for_development() {
    let token = Token::blank();
    let mut slot = CK_SLOT_INFO::default();
    assert_eq!(call!(token, C_GetSlotInfo(0, &raw mut slot)), CKR_OK);
    assert_eq!(text(&slot.slotDescription), "SOFT token, development grade, not an HSM");
    assert_eq!(slot.flags & CKF_HW_SLOT, 0);
    let info = token.token_info();
    assert_eq!((text(&info.manufacturerID), text(&info.model)), ("Yanqian project", "SOFT development"));
    assert_eq!(info.flags & CKF_TOKEN_INITIALIZED, 0);
    let mut library = CK_INFO::default();
    assert_eq!(call!(token, C_GetInfo(&raw mut library)), CKR_OK);
    assert_eq!((library.cryptokiVersion.major, library.cryptokiVersion.minor), (2, 40));
}

#[test]
fn a_blank_token_takes_a_label_and_pins() {
    let token = Token::blank();
    assert_eq!(token.open(CKF_SERIAL_SESSION), Err(CKR_TOKEN_NOT_RECOGNIZED));
    assert_eq!(token.init_token(b"123", "short"), CKR_PIN_LEN_RANGE);
    assert_eq!(token.init_token(SO_PIN, "my token"), CKR_OK);
    let info = token.token_info();
    assert_eq!(text(&info.label), "my token");
    assert_eq!(text(&info.serialNumber).len(), 16);
    assert_eq!(info.flags & (CKF_TOKEN_INITIALIZED | CKF_USER_PIN_INITIALIZED), CKF_TOKEN_INITIALIZED);

    let session = token.open_rw();
    assert_eq!(token.login(session, CKU_USER, USER_PIN), CKR_USER_PIN_NOT_INITIALIZED);
    assert_eq!(token.init_pin(session, USER_PIN), CKR_USER_NOT_LOGGED_IN);
    assert_eq!(token.login(session, CKU_SO, SO_PIN), CKR_OK);
    assert_eq!(token.init_pin(session, b"abc"), CKR_PIN_LEN_RANGE);
    assert_eq!(token.init_pin(session, b"\xFF\xFE\xFD\xFC"), CKR_PIN_INVALID);
    assert_eq!(token.init_pin(session, USER_PIN), CKR_OK);
    assert_ne!(token.token_info().flags & CKF_USER_PIN_INITIALIZED, 0);
}

#[test]
fn initialising_again_needs_the_so_pin_and_no_session_and_removes_every_object() {
    let (token, session) = Token::user();
    token.key_pair(session, "old");
    let serial = token.token_info().serialNumber;
    assert_eq!(token.object_files().len(), 2);
    assert_eq!(token.init_token(SO_PIN, "again"), CKR_SESSION_EXISTS);
    assert_eq!(call!(token, C_CloseAllSessions(0)), CKR_OK);
    assert_eq!(token.init_token(b"not the SO PIN", "again"), CKR_PIN_INCORRECT);
    assert_eq!(token.object_files().len(), 2);
    assert_eq!(token.init_token(SO_PIN, "again"), CKR_OK);
    assert_eq!(token.object_files().len(), 0);
    let info = token.token_info();
    assert_eq!(info.flags & CKF_USER_PIN_INITIALIZED, 0);
    assert_ne!(info.serialNumber, serial);
    let session = token.open_rw();
    assert!(token.find(session, &Template::new()).is_empty());
}

#[test]
fn login_is_per_application_and_ends_with_the_last_session() {
    let token = Token::ready();
    let (one, two) = (token.open_rw(), token.open(CKF_SERIAL_SESSION).unwrap());
    assert_eq!(token.login(one, CKU_SO, SO_PIN), CKR_SESSION_READ_ONLY_EXISTS);
    assert_eq!(token.login(one, CKU_USER, USER_PIN), CKR_OK);
    assert_eq!(token.login(two, CKU_USER, USER_PIN), CKR_USER_ALREADY_LOGGED_IN);
    assert_eq!(token.login(two, CKU_SO, SO_PIN), CKR_USER_ANOTHER_ALREADY_LOGGED_IN);
    assert_eq!(token.state(one), Ok(CKS_RW_USER_FUNCTIONS));
    assert_eq!(token.state(two), Ok(CKS_RO_USER_FUNCTIONS));
    assert_eq!(call!(token, C_CloseSession(one)), CKR_OK);
    assert_eq!(token.state(two), Ok(CKS_RO_USER_FUNCTIONS));
    assert_eq!(call!(token, C_CloseSession(two)), CKR_OK);
    assert_eq!(token.state(two), Err(CKR_SESSION_HANDLE_INVALID));
    let three = token.open(CKF_SERIAL_SESSION).unwrap();
    assert_eq!(token.state(three), Ok(CKS_RO_PUBLIC_SESSION));
    assert_eq!(call!(token, C_Logout(three)), CKR_USER_NOT_LOGGED_IN);
}

#[test]
fn the_so_has_read_write_sessions_only() {
    let token = Token::ready();
    let session = token.open_rw();
    assert_eq!(token.login(session, CKU_SO, SO_PIN), CKR_OK);
    assert_eq!(token.state(session), Ok(CKS_RW_SO_FUNCTIONS));
    assert_eq!(token.open(CKF_SERIAL_SESSION), Err(CKR_SESSION_READ_WRITE_SO_EXISTS));
    assert_eq!(token.open(CKF_RW_SESSION), Err(CKR_SESSION_PARALLEL_NOT_SUPPORTED));
}

#[test]
fn the_so_sees_no_private_object() {
    let (token, session) = Token::user();
    let (_, private) = token.key_pair(session, "k");
    assert_eq!(call!(token, C_Logout(session)), CKR_OK);
    assert_eq!(token.login(session, CKU_SO, SO_PIN), CKR_OK);
    assert!(token.find(session, &Template::class(CKO_PRIVATE_KEY)).is_empty());
    assert_eq!(token.sign_init(session, SIGN_DIGEST, private), CKR_KEY_HANDLE_INVALID);
    assert_eq!(token.generate(session, &Template::new(), &Template::new()), Err(CKR_USER_NOT_LOGGED_IN));
}

#[test]
fn private_objects_are_seen_after_login_only_and_their_handles_die_with_it() {
    let (token, session) = Token::user();
    let (public, private) = token.key_pair(session, "k");
    assert_eq!(call!(token, C_Logout(session)), CKR_OK);
    assert_eq!(token.find(session, &Template::new()), vec![public]);
    assert_eq!(token.attribute_error(session, private), CKR_OBJECT_HANDLE_INVALID);
    assert_eq!(token.login(session, CKU_USER, USER_PIN), CKR_OK);
    assert_eq!(token.attribute_error(session, private), CKR_OBJECT_HANDLE_INVALID);
    assert_eq!(token.sign_init(session, SIGN_DIGEST, private), CKR_KEY_HANDLE_INVALID);
    let again = token.find(session, &Template::class(CKO_PRIVATE_KEY));
    assert_eq!(again.len(), 1);
    assert_ne!(again[0], private);
}

#[test]
fn logging_out_ends_a_signature_under_way() {
    let (token, session) = Token::user();
    let (_, private) = token.key_pair(session, "k");
    assert_eq!(token.sign_init(session, SIGN_DIGEST, private), CKR_OK);
    let other = token.open_rw();
    assert_eq!(call!(token, C_Logout(other)), CKR_OK);
    assert_eq!(token.sign_into(session, &[7; 32], 64), Err(CKR_OPERATION_NOT_INITIALIZED));
}

#[test]
fn a_session_object_ends_with_its_session_and_leaves_no_file() {
    let (token, session) = Token::user();
    let other = token.open_rw();
    let (public, private) = token.generate(other, &Template::new(), &Template::new()).unwrap();
    assert!(token.object_files().is_empty());
    assert_eq!(token.sign(session, SIGN_DIGEST, private, &[1; 32]).unwrap().len(), 64);
    assert_eq!(call!(token, C_CloseSession(other)), CKR_OK);
    assert_eq!(token.attribute_error(session, public), CKR_OBJECT_HANDLE_INVALID);
    assert!(token.find(session, &Template::new()).is_empty());
}

#[test]
fn a_read_only_session_changes_no_token_object() {
    let (token, session) = Token::user();
    let (public, _) = token.key_pair(session, "k");
    let reader = token.open(CKF_SERIAL_SESSION).unwrap();
    let on_token = Template::new().bool(CKA_TOKEN, true);
    assert_eq!(token.generate(reader, &Template::new(), &on_token), Err(CKR_SESSION_READ_ONLY));
    assert_eq!(call!(token, C_DestroyObject(reader, public)), CKR_SESSION_READ_ONLY);
    assert_eq!(token.set(reader, public, &Template::new().octets(CKA_LABEL, b"x")), CKR_SESSION_READ_ONLY);
    assert!(token.generate(reader, &Template::new(), &Template::new()).is_ok());
}

#[test]
fn keys_survive_a_restart_and_still_sign() {
    let (token, session) = Token::user();
    let (public, _) = token.key_pair(session, "kept");
    let point = token.point(session, public);
    token.restart();
    let session = token.open_rw();
    assert_eq!(token.login(session, CKU_USER, USER_PIN), CKR_OK);
    let found = token.find(session, &Template::class(CKO_PRIVATE_KEY).octets(CKA_LABEL, b"kept"));
    assert_eq!(found.len(), 1);
    assert_eq!(token.point(session, found[0]), point);
    let signature = token.sign(session, SIGN_DIGEST, found[0], &[9; 32]).unwrap();
    assert!(independent_verify(&point, &[9; 32], &signature, false));
}

#[test]
fn a_handle_of_an_earlier_life_names_nothing() {
    let (token, session) = Token::user();
    token.restart();
    let fresh = token.open_rw();
    assert_ne!(fresh, session);
    assert_eq!(call!(token, C_CloseSession(session)), CKR_SESSION_HANDLE_INVALID);
    assert_eq!(token.state(fresh), Ok(CKS_RW_PUBLIC_SESSION));
}

unsafe extern "C" fn create_mutex(_: *mut *mut std::ffi::c_void) -> CK_RV {
    CKR_OK
}

unsafe extern "C" fn use_mutex(_: *mut std::ffi::c_void) -> CK_RV {
    CKR_OK
}

#[test]
fn initialize_checks_its_arguments_and_its_turn() {
    let token = Token::blank();
    assert_eq!(token.initialize(), CKR_CRYPTOKI_ALREADY_INITIALIZED);
    let mut reserved = 0_u8;
    assert_eq!(call!(token, C_Finalize((&raw mut reserved).cast())), CKR_ARGUMENTS_BAD);
    assert_eq!(call!(token, C_Finalize(std::ptr::null_mut())), CKR_OK);
    assert_eq!(call!(token, C_Finalize(std::ptr::null_mut())), CKR_CRYPTOKI_NOT_INITIALIZED);
    assert_eq!(token.open(CKF_SERIAL_SESSION), Err(CKR_CRYPTOKI_NOT_INITIALIZED));

    let mut arguments = CK_C_INITIALIZE_ARGS {
        CreateMutex: Some(create_mutex),
        DestroyMutex: Some(use_mutex),
        LockMutex: Some(use_mutex),
        UnlockMutex: None,
        flags: 0,
        pReserved: std::ptr::null_mut(),
    };
    let initialize = |arguments: &mut CK_C_INITIALIZE_ARGS| call!(token, C_Initialize((&raw mut *arguments).cast()));
    assert_eq!(initialize(&mut arguments), CKR_ARGUMENTS_BAD, "three of four mutex functions");
    arguments.UnlockMutex = Some(use_mutex);
    assert_eq!(initialize(&mut arguments), CKR_CANT_LOCK, "only the caller's mutexes");
    arguments.flags = CKF_OS_LOCKING_OK;
    arguments.pReserved = (&raw mut reserved).cast();
    assert_eq!(initialize(&mut arguments), CKR_ARGUMENTS_BAD, "pReserved");
    arguments.pReserved = std::ptr::null_mut();
    assert_eq!(initialize(&mut arguments), CKR_OK);
    assert_eq!(call!(token, C_Finalize(std::ptr::null_mut())), CKR_OK);
    assert_eq!(call!(token, C_Initialize(std::ptr::null_mut())), CKR_OK);
}

#[test]
fn without_its_directory_the_module_does_not_start() {
    let token = Token::blank();
    assert_eq!(call!(token, C_Finalize(std::ptr::null_mut())), CKR_OK);
    // SAFETY: tests take turns with the environment.
    unsafe { std::env::remove_var(DIRECTORY) };
    assert_eq!(token.initialize(), CKR_GENERAL_ERROR);
    // SAFETY: as above.
    unsafe { std::env::set_var(DIRECTORY, "/proc/no/such/place") };
    assert_eq!(token.initialize(), CKR_GENERAL_ERROR);
}

#[test]
fn a_forked_child_must_initialise_for_itself() {
    let (token, session) = Token::user();
    let (_, private) = token.key_pair(session, "k");
    // SAFETY: the child only calls the module and _exit; the module's locks are free, for no other thread uses it.
    let child = unsafe { fork() };
    if child == 0 {
        let stale = token.sign_init(session, SIGN_DIGEST, private);
        let again = token.initialize();
        let known = token.state(session);
        let good = stale == CKR_CRYPTOKI_NOT_INITIALIZED && again == CKR_OK && known == Err(CKR_SESSION_HANDLE_INVALID);
        // SAFETY: ends the child without running the parent's destructors.
        unsafe { _exit(i32::from(!good)) };
    }
    let mut status = -1;
    // SAFETY: waits for the child made above.
    assert_eq!(unsafe { waitpid(child, &raw mut status, 0) }, child);
    assert_eq!(status, 0, "the child saw the parent's state");
    assert_eq!(token.sign(session, SIGN_DIGEST, private, &[1; 32]).unwrap().len(), 64);
}

unsafe extern "C" {
    fn fork() -> i32;
    fn _exit(status: i32) -> !;
    fn waitpid(process: i32, status: *mut i32, options: i32) -> i32;
}

#[test]
fn a_token_initialised_anew_by_another_process_counts_as_removed() {
    if is_child() {
        let module = Module::load();
        assert_eq!(module.initialize(), CKR_OK);
        assert_eq!(module.init_token(SO_PIN, "other"), CKR_OK);
        return;
    }
    let (token, session) = Token::user();
    token.key_pair(session, "k");
    let child = spawn_child("lifecycle::a_token_initialised_anew_by_another_process_counts_as_removed", token.path());
    assert!(child.wait_with_output().unwrap().status.success());
    assert_eq!(token.try_find(session, &Template::new()), Err(CKR_DEVICE_REMOVED));
    assert_eq!(token.state(session), Err(CKR_SESSION_HANDLE_INVALID));
}

#[test]
fn another_process_sees_a_new_key_and_a_vanished_one() {
    const NAME: &str = "lifecycle::another_process_sees_a_new_key_and_a_vanished_one";
    if is_child() {
        let module = Module::load();
        assert_eq!(module.initialize(), CKR_OK);
        let session = module.open_rw();
        assert_eq!(module.login(session, CKU_USER, USER_PIN), CKR_OK);
        for handle in module.find(session, &Template::new().octets(CKA_LABEL, b"mine")) {
            assert_eq!(call!(module, C_DestroyObject(session, handle)), CKR_OK);
        }
        module.key_pair(session, "theirs");
        return;
    }
    let (token, session) = Token::user();
    let (public, private) = token.key_pair(session, "mine");
    assert!(spawn_child(NAME, token.path()).wait().unwrap().success());
    assert_eq!(token.find(session, &Template::new().octets(CKA_LABEL, b"theirs")).len(), 2);
    assert!(token.find(session, &Template::new().octets(CKA_LABEL, b"mine")).is_empty());
    for handle in [public, private] {
        assert_eq!(token.attribute_error(session, handle), CKR_OBJECT_HANDLE_INVALID);
    }
}
