//! Without an order the module behind is all that an application sees; and every call is counted.

use std::ptr::null_mut;

use cryptoki_sys::*;
use yanqian_p11_chaos::{Function, Order};

use crate::support::{Bench, call};

#[test]
fn no_place_of_the_function_list_is_null_and_the_list_is_this_modules_own() {
    let bench = Bench::uninitialised();
    // SAFETY: the list lives as long as the library; behind its version stand 68 pointers.
    let places = unsafe { std::slice::from_raw_parts(bench.list.cast::<usize>().add(1), 68) };
    assert!(places.iter().all(|place| *place != 0));
    let mut again = null_mut();
    assert_eq!(call!(bench, C_GetFunctionList(&raw mut again)), CKR_OK);
    assert_eq!(again, bench.list);
    assert_eq!(call!(bench, C_GetFunctionList(null_mut())), CKR_ARGUMENTS_BAD);
    assert_eq!(call!(bench, C_Finalize(null_mut())), CKR_CRYPTOKI_NOT_INITIALIZED);
}

#[test]
fn a_token_is_set_up_and_signs_through_it() {
    let bench = Bench::new();
    let session = bench.user();
    bench.signs(session);
    assert_eq!(bench.slots(true), [0]);
    let mut info = CK_TOKEN_INFO::default();
    assert_eq!(call!(bench, C_GetTokenInfo(0, &raw mut info)), CKR_OK);
    assert_eq!(&info.label[..6], b"chaos ");
    let mut count = 0;
    assert_eq!(call!(bench, C_GetMechanismList(0, null_mut(), &raw mut count)), CKR_OK);
    assert!(count > 0);
    assert_eq!(call!(bench, C_CloseAllSessions(0)), CKR_OK);
    assert_eq!(bench.state(session), Err(CKR_SESSION_HANDLE_INVALID));
}

#[test]
fn answers_of_the_module_behind_come_through_whatever_they_are() {
    let bench = Bench::new();
    let session = bench.open().unwrap();
    assert_eq!(call!(bench, C_GetTokenInfo(77, null_mut())), CKR_SLOT_ID_INVALID);
    assert_eq!(call!(bench, C_CopyObject(session, 1, null_mut(), 0, null_mut())), CKR_FUNCTION_NOT_SUPPORTED);
    assert_eq!(call!(bench, C_GetFunctionStatus(session)), CKR_FUNCTION_NOT_PARALLEL);
    assert_eq!(call!(bench, C_CancelFunction(session)), CKR_FUNCTION_NOT_PARALLEL);
    assert_eq!(call!(bench, C_WaitForSlotEvent(0, null_mut(), null_mut())), CKR_FUNCTION_NOT_SUPPORTED);
    assert_eq!(call!(bench, C_SeedRandom(session, null_mut(), 0)), CKR_RANDOM_SEED_NOT_SUPPORTED);
    assert_eq!(bench.login(session, CKU_USER, b"wrong-pin"), CKR_PIN_INCORRECT);
    assert_eq!(call!(bench, C_CloseSession(session)), CKR_OK);
    assert_eq!(call!(bench, C_CloseSession(session)), CKR_SESSION_HANDLE_INVALID);
}

#[test]
fn every_call_is_counted_by_its_function() {
    let bench = Bench::new();
    let session = bench.user();
    let before = bench.chaos.calls().unwrap();
    bench.sign(session).unwrap();
    bench.sign(session).unwrap();
    let counted = bench.chaos.calls().unwrap().since(&before);
    let expected = [
        Function::C_FindObjectsInit,
        Function::C_FindObjects,
        Function::C_FindObjectsFinal,
        Function::C_SignInit,
        Function::C_Sign,
    ];
    assert_eq!(counted.by_function(), expected.into_iter().map(|function| (function, 2)).collect());
    assert_eq!(counted.total(), 10);
}

#[test]
fn orders_that_cannot_be_read_make_every_call_fail() {
    let bench = Bench::new();
    let session = bench.user();
    std::fs::write(bench.directory.join("chaos/orders"), "# by hand\n\n1 C_Sing hang\n").unwrap();
    assert_eq!(bench.state(session), Err(CKR_GENERAL_ERROR));
    std::fs::write(bench.directory.join("chaos/orders"), "# by hand\n\n1 C_GetSessionInfo return 0x32\n").unwrap();
    assert_eq!(bench.state(session), Err(CKR_DEVICE_REMOVED));
    std::fs::remove_file(bench.directory.join("chaos/orders")).unwrap();
    assert_eq!(bench.state(session), Ok(CKS_RW_USER_FUNCTIONS));
    let senseless = Order::token(yanqian_p11_chaos::Fault::Corrupt);
    assert!(bench.chaos.give(senseless).unwrap_err().to_string().contains("C_Sign"));
}
