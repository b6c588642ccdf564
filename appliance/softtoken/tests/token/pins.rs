//! PINs and their retry counters.

use std::time::{Duration, Instant};

use cryptoki_sys::*;

use crate::support::*;

const WRONG: &[u8] = b"wrong-pin";

fn user_flags(token: &Module) -> CK_FLAGS {
    token.token_info().flags & (CKF_USER_PIN_COUNT_LOW | CKF_USER_PIN_FINAL_TRY | CKF_USER_PIN_LOCKED)
}

#[test]
fn five_wrong_user_pins_lock_it_and_the_so_unlocks_it_with_the_keys_intact() {
    let (token, session) = Token::user();
    token.key_pair(session, "k");
    assert_eq!(call!(token, C_Logout(session)), CKR_OK);
    assert_eq!(user_flags(&token), 0);
    for expected in [
        CKF_USER_PIN_COUNT_LOW,
        CKF_USER_PIN_COUNT_LOW,
        CKF_USER_PIN_COUNT_LOW,
        CKF_USER_PIN_COUNT_LOW | CKF_USER_PIN_FINAL_TRY,
        CKF_USER_PIN_LOCKED,
    ] {
        assert_eq!(token.login(session, CKU_USER, WRONG), CKR_PIN_INCORRECT);
        assert_eq!(user_flags(&token), expected);
    }
    assert_eq!(token.login(session, CKU_USER, USER_PIN), CKR_PIN_LOCKED, "even the right one");
    token.restart();
    let session = token.open_rw();
    assert_eq!(token.login(session, CKU_USER, USER_PIN), CKR_PIN_LOCKED, "after a restart too");

    assert_eq!(token.login(session, CKU_SO, SO_PIN), CKR_OK);
    assert_eq!(token.init_pin(session, b"new user pin"), CKR_OK);
    assert_eq!(user_flags(&token), 0);
    assert_eq!(call!(token, C_Logout(session)), CKR_OK);
    assert_eq!(token.login(session, CKU_USER, USER_PIN), CKR_PIN_INCORRECT);
    assert_eq!(token.login(session, CKU_USER, b"new user pin"), CKR_OK);
    assert_eq!(token.find(session, &Template::class(CKO_PRIVATE_KEY)).len(), 1);
}

#[test]
fn five_wrong_so_pins_lock_that_one() {
    let token = Token::ready();
    for _ in 0..5 {
        assert_eq!(token.init_token(WRONG, "x"), CKR_PIN_INCORRECT);
    }
    assert_ne!(token.token_info().flags & CKF_SO_PIN_LOCKED, 0);
    assert_eq!(token.init_token(SO_PIN, "x"), CKR_PIN_LOCKED);
    let session = token.open_rw();
    assert_eq!(token.login(session, CKU_SO, SO_PIN), CKR_PIN_LOCKED);
    assert_eq!(token.login(session, CKU_USER, USER_PIN), CKR_OK, "the user's PIN is another");
}

#[test]
fn a_success_forgives_earlier_tries() {
    let token = Token::ready();
    let session = token.open_rw();
    for _ in 0..2 {
        for _ in 0..4 {
            assert_eq!(token.login(session, CKU_USER, WRONG), CKR_PIN_INCORRECT);
        }
        assert_eq!(token.login(session, CKU_USER, USER_PIN), CKR_OK);
        assert_eq!(user_flags(&token), 0);
        assert_eq!(call!(token, C_Logout(session)), CKR_OK);
    }
}

#[test]
fn a_pin_is_changed_by_who_knows_the_old_one() {
    let set = |token: &Module, session, old: &[u8], new: &[u8]| {
        call!(
            token,
            C_SetPIN(
                session,
                old.as_ptr().cast_mut(),
                old.len() as CK_ULONG,
                new.as_ptr().cast_mut(),
                new.len() as CK_ULONG
            )
        )
    };
    let (token, session) = Token::user();
    token.key_pair(session, "k");
    let reader = token.open(CKF_SERIAL_SESSION).unwrap();
    assert_eq!(set(&token, reader, USER_PIN, b"another"), CKR_SESSION_READ_ONLY);
    assert_eq!(call!(token, C_CloseSession(reader)), CKR_OK);
    assert_eq!(set(&token, session, WRONG, b"another"), CKR_PIN_INCORRECT);
    assert_eq!(set(&token, session, USER_PIN, b"abc"), CKR_PIN_LEN_RANGE);
    assert_eq!(user_flags(&token), CKF_USER_PIN_COUNT_LOW, "one wrong try, and one that was not a try");
    assert_eq!(set(&token, session, USER_PIN, b"another"), CKR_OK);
    assert_eq!(call!(token, C_Logout(session)), CKR_OK);
    assert_eq!(token.login(session, CKU_USER, USER_PIN), CKR_PIN_INCORRECT);
    assert_eq!(token.login(session, CKU_USER, b"another"), CKR_OK);
    assert_eq!(token.find(session, &Template::class(CKO_PRIVATE_KEY)).len(), 1);
    assert_eq!(call!(token, C_Logout(session)), CKR_OK);

    assert_eq!(token.login(session, CKU_SO, SO_PIN), CKR_OK);
    assert_eq!(set(&token, session, SO_PIN, b"another so"), CKR_OK);
    assert_eq!(call!(token, C_Logout(session)), CKR_OK);
    assert_eq!(token.login(session, CKU_SO, SO_PIN), CKR_PIN_INCORRECT);
    assert_eq!(token.login(session, CKU_SO, b"another so"), CKR_OK);
}

#[test]
fn tries_of_several_processes_count_together() {
    const NAME: &str = "pins::tries_of_several_processes_count_together";
    if is_child() {
        let module = Module::load();
        assert_eq!(module.initialize(), CKR_OK);
        let session = module.open_rw();
        assert_eq!(module.login(session, CKU_USER, WRONG), CKR_PIN_INCORRECT);
        return;
    }
    let token = Token::ready();
    let children: Vec<_> = (0..4).map(|_| spawn_child(NAME, token.path())).collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(user_flags(&token), CKF_USER_PIN_COUNT_LOW | CKF_USER_PIN_FINAL_TRY);
    let session = token.open_rw();
    assert_eq!(token.login(session, CKU_USER, WRONG), CKR_PIN_INCORRECT);
    assert_eq!(token.login(session, CKU_USER, USER_PIN), CKR_PIN_LOCKED);
}

/// The count must be on disk before the PIN is looked at. Each child is killed as soon as the count moves, which is
/// before the slow derivation ends; five such kills must lock the PIN.
#[test]
fn killing_the_process_during_a_check_gives_no_free_try() {
    const NAME: &str = "pins::killing_the_process_during_a_check_gives_no_free_try";
    if is_child() {
        let module = Module::load();
        assert_eq!(module.initialize(), CKR_OK);
        let session = module.open_rw();
        assert_eq!(module.login(session, CKU_USER, WRONG), CKR_PIN_INCORRECT);
        return;
    }
    let token = Token::ready();
    let counters = std::fs::read_dir(token.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.file_name().unwrap().to_str().unwrap().starts_with("retry-"))
        .unwrap();
    let mut killed_in_time = 0;
    for _ in 0..5 {
        let before = std::fs::read(&counters).unwrap();
        let mut child = spawn_child(NAME, token.path());
        let patience = Instant::now() + Duration::from_secs(30);
        while std::fs::read(&counters).unwrap() == before {
            assert!(Instant::now() < patience, "the count never moved");
            std::thread::sleep(Duration::from_millis(1));
        }
        child.kill().unwrap();
        killed_in_time += u32::from(child.wait().unwrap().code().is_none());
    }
    assert!(killed_in_time > 0, "no child was caught in the middle of its check");
    assert_eq!(user_flags(&token), CKF_USER_PIN_LOCKED);
    let session = token.open_rw();
    assert_eq!(token.login(session, CKU_USER, USER_PIN), CKR_PIN_LOCKED);
}

#[test]
fn an_unknown_user_type_and_an_empty_pin_cost_no_try() {
    let token = Token::ready();
    let session = token.open_rw();
    assert_eq!(token.login(session, 7, USER_PIN), CKR_USER_TYPE_INVALID);
    assert_eq!(token.login(session, CKU_CONTEXT_SPECIFIC, USER_PIN), CKR_OPERATION_NOT_INITIALIZED);
    assert_eq!(token.login(session, CKU_USER, b""), CKR_PIN_INCORRECT);
    assert_eq!(call!(token, C_Login(session, CKU_USER, std::ptr::null_mut(), 4)), CKR_ARGUMENTS_BAD);
    assert_eq!(user_flags(&token), 0);
}
