//! Faults of single calls: each happens as ordered, and ends.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use cryptoki_sys::*;
use yanqian_p11_chaos::{Fault, Function, Order};

use crate::support::{Bench, call};

const SIGN: Function = Function::C_Sign;

#[test]
fn a_return_code_comes_at_the_nth_call_for_k_calls_and_the_module_behind_hears_nothing() {
    let bench = Bench::new();
    let session = bench.user();
    let given = bench.chaos.give(Order::at(SIGN, Fault::Return(CKR_DEVICE_ERROR)).from(2).times(2)).unwrap();
    bench.signs(session);
    assert_eq!(bench.sign(session), Err(CKR_DEVICE_ERROR));
    // The operation is still active behind: it was never asked for the signature.
    assert_eq!(bench.sign_again(session), Err(CKR_DEVICE_ERROR));
    assert_eq!(bench.sign_again(session).unwrap().len(), 64);
    bench.signs(session);
    assert_eq!(bench.chaos.asked(given), 5);
}

#[test]
fn a_latched_fault_holds_for_its_time_and_no_longer() {
    let bench = Bench::new();
    let session = bench.user();
    let began = Instant::now();
    let order = Order::token(Fault::Return(CKR_DEVICE_REMOVED)).lasting(Duration::from_millis(400));
    bench.chaos.give(order).unwrap();
    assert_eq!(bench.state(session), Err(CKR_DEVICE_REMOVED));
    assert_eq!(bench.open(), Err(CKR_DEVICE_REMOVED));
    assert_eq!(call!(bench, C_GetTokenInfo(0, std::ptr::null_mut())), CKR_DEVICE_REMOVED);
    assert_eq!(bench.slots(true), [0], "the list of slots does not reach the token");
    while bench.state(session).is_err() {
        assert!(began.elapsed() < Duration::from_secs(30));
    }
    assert!(began.elapsed() >= Duration::from_millis(400));
    bench.signs(session);
}

#[test]
fn a_sleep_delays_one_function_only() {
    let bench = Bench::new();
    let session = bench.user();
    let given = bench.chaos.give(Order::at(SIGN, Fault::Sleep(300)).times(1)).unwrap();
    let began = Instant::now();
    bench.state(session).unwrap();
    assert_eq!(bench.chaos.asked(given), 0);
    bench.signs(session);
    assert!(began.elapsed() >= Duration::from_millis(300));
    assert_eq!(bench.chaos.asked(given), 1);
}

#[test]
fn a_hang_lasts_until_the_order_is_taken_back_and_other_sessions_go_on() {
    let bench = Bench::new();
    let (session, other) = (bench.user(), bench.open().unwrap());
    let given = bench.chaos.give(Order::at(SIGN, Fault::Hang).times(1)).unwrap();
    let (tell, told) = mpsc::channel();
    std::thread::scope(|scope| {
        let bench = &bench;
        scope.spawn(move || tell.send(bench.sign(session)).unwrap());
        while bench.chaos.asked(given) == 0 {
            std::thread::sleep(Duration::from_millis(5));
        }
        bench.signs(other);
        assert!(told.try_recv().is_err());
        bench.chaos.end(given).unwrap();
        let signature = told.recv_timeout(Duration::from_secs(30)).unwrap().unwrap();
        assert!(bench.verifies(other, b"one", &signature));
    });
}

#[test]
fn a_signature_is_shortened_or_corrupted_and_a_question_for_its_length_is_not() {
    let bench = Bench::new();
    let session = bench.user();
    bench.chaos.give(Order::at(SIGN, Fault::Shorten).times(1)).unwrap();
    assert_eq!(bench.sign(session).unwrap().len(), 63);
    bench.signs(session);
    bench.chaos.give(Order::at(SIGN, Fault::Corrupt).times(1)).unwrap();
    let signature = bench.sign(session).unwrap();
    assert_eq!(signature.len(), 64);
    assert!(!bench.verifies(session, b"one", &signature));
    bench.signs(session);
    bench.chaos.give(Order::at(SIGN, Fault::Shorten)).unwrap();
    let mut length = 0;
    let mut mechanism = crate::support::mechanism(crate::support::SIGN);
    let key = bench.key(session, CKO_PRIVATE_KEY, b"one");
    assert_eq!(call!(bench, C_SignInit(session, &raw mut mechanism, key)), CKR_OK);
    let mut digest = crate::support::DIGEST;
    let asked = call!(bench, C_Sign(session, digest.as_mut_ptr(), 32, std::ptr::null_mut(), &raw mut length));
    assert_eq!((asked, length), (CKR_OK, 64));
}

#[test]
fn another_key_signs_validly() {
    let bench = Bench::new();
    let session = bench.user();
    let other = Order::at(Function::C_SignInit, Fault::OtherKey("two".into())).times(1);
    bench.chaos.give(other).unwrap();
    let signature = bench.sign(session).unwrap();
    assert!(!bench.verifies(session, b"one", &signature));
    assert!(bench.verifies(session, b"two", &signature));
    bench.signs(session);
    bench.chaos.give(Order::at(Function::C_SignInit, Fault::OtherKey("three".into())).times(1)).unwrap();
    assert_eq!(bench.sign(session), Err(CKR_KEY_HANDLE_INVALID), "what cannot be done is not silently left out");
}

#[test]
fn one_session_is_lost_and_the_others_are_not() {
    let bench = Bench::new();
    let (session, other) = (bench.user(), bench.open().unwrap());
    bench.chaos.give(Order::at(SIGN, Fault::CloseSession).times(1)).unwrap();
    assert_eq!(bench.sign(session), Err(CKR_SESSION_HANDLE_INVALID));
    assert_eq!(bench.state(session), Err(CKR_SESSION_HANDLE_INVALID));
    bench.signs(other);
}

#[test]
fn all_sessions_are_lost_and_the_login_with_them() {
    let bench = Bench::new();
    let (session, other) = (bench.user(), bench.open().unwrap());
    bench.chaos.give(Order::at(SIGN, Fault::CloseAllSessions).times(1)).unwrap();
    assert_eq!(bench.sign(session), Err(CKR_SESSION_HANDLE_INVALID));
    assert_eq!(bench.state(other), Err(CKR_SESSION_HANDLE_INVALID));
    let session = bench.open().unwrap();
    assert_eq!(bench.state(session), Ok(CKS_RW_PUBLIC_SESSION));
    assert_eq!(bench.login(session, CKU_USER, crate::support::PIN), CKR_OK);
    bench.signs(session);
}

#[test]
fn the_login_is_lost_and_the_sessions_are_not() {
    let bench = Bench::new();
    let (session, other) = (bench.user(), bench.open().unwrap());
    bench.chaos.give(Order::at(SIGN, Fault::LogOut).times(1)).unwrap();
    assert!(bench.sign(session).is_err());
    assert_eq!(bench.state(session), Ok(CKS_RW_PUBLIC_SESSION));
    assert_eq!(bench.state(other), Ok(CKS_RW_PUBLIC_SESSION));
    assert_eq!(bench.login(other, CKU_USER, crate::support::PIN), CKR_OK);
    bench.signs(session);
}

#[test]
fn every_function_can_be_made_to_fail() {
    let bench = Bench::new();
    bench.chaos.give(Order::token(Fault::Return(CKR_DEVICE_ERROR))).unwrap();
    for function in Function::ALL.iter().filter(|function| !function.reaches_token()) {
        bench.chaos.give(Order::at(*function, Fault::Return(CKR_DEVICE_ERROR))).unwrap();
    }
    // Behind the version stand 68 pointers; a call that is not forwarded looks at none of its arguments.
    for index in 1..=68 {
        // SAFETY: the list lives as long as the library. On this ABI the caller tidies up, and integer and pointer arguments
        // beyond those that a function takes are in registers or on the stack, where it does not look.
        let rv = unsafe {
            type Any = unsafe extern "C" fn(usize, usize, usize, usize, usize, usize, usize, usize, usize) -> CK_RV;
            let place: *const Any = bench.list.cast::<Any>().add(index);
            (*place)(0, 0, 0, 0, 0, 0, 0, 0, 0)
        };
        assert_eq!(rv, CKR_DEVICE_ERROR, "{}", Function::ALL[index - 1]);
    }
    let counted = bench.chaos.calls().unwrap();
    assert!(Function::ALL.iter().all(|function| counted.of(*function) > 0), "and every one was counted");
    bench.chaos.end_all().unwrap();
    let session = bench.user();
    bench.signs(session);
}
