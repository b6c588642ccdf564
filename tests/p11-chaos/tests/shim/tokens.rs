//! Faults of the token as a whole.

use cryptoki_sys::*;
use yanqian_p11_chaos::{Fault, Order};

use crate::support::{Bench, PIN, call};

#[test]
fn a_token_that_is_gone_has_no_slot_and_no_session_and_comes_back_without_them() {
    let bench = Bench::new();
    let session = bench.user();
    let gone = bench.chaos.give(Order::token(Fault::Gone)).unwrap();
    assert_eq!(bench.slots(true), Vec::<CK_SLOT_ID>::new());
    assert_eq!(bench.slots(false), [0], "the slot is there, and empty");
    let mut info = CK_SLOT_INFO::default();
    assert_eq!(call!(bench, C_GetSlotInfo(0, &raw mut info)), CKR_OK);
    assert_eq!(info.flags & CKF_TOKEN_PRESENT, 0);
    assert_eq!(bench.sign_again(session), Err(CKR_DEVICE_REMOVED));
    assert_eq!(bench.state(session), Err(CKR_DEVICE_REMOVED));
    assert_eq!(bench.open(), Err(CKR_TOKEN_NOT_PRESENT));
    bench.chaos.end(gone).unwrap();
    assert_eq!(bench.slots(true), [0]);
    assert_eq!(call!(bench, C_GetSlotInfo(0, &raw mut info)), CKR_OK);
    assert_ne!(info.flags & CKF_TOKEN_PRESENT, 0);
    assert_eq!(bench.state(session), Err(CKR_SESSION_HANDLE_INVALID));
    let session = bench.open().unwrap();
    assert_eq!(bench.state(session), Ok(CKS_RW_PUBLIC_SESSION), "the login went with the token");
    assert_eq!(bench.login(session, CKU_USER, PIN), CKR_OK);
    bench.signs(session);
    // Gone a second time, it loses what was opened since.
    let gone = bench.chaos.give(Order::token(Fault::Gone)).unwrap();
    assert_eq!(bench.state(session), Err(CKR_DEVICE_REMOVED));
    bench.chaos.end(gone).unwrap();
    assert_eq!(bench.state(session), Err(CKR_SESSION_HANDLE_INVALID));
}

#[test]
fn a_slot_gets_another_number_and_its_old_one_names_nothing() {
    let bench = Bench::new();
    let given = bench.chaos.give(Order::token(Fault::SlotsFrom(7))).unwrap();
    assert_eq!(bench.slots(true), [7]);
    assert_eq!(bench.open_at(0), Err(CKR_SLOT_ID_INVALID));
    let session = bench.open_at(7).unwrap();
    let mut info = CK_SESSION_INFO::default();
    assert_eq!(call!(bench, C_GetSessionInfo(session, &raw mut info)), CKR_OK);
    assert_eq!(info.slotID, 7);
    let mut info = CK_TOKEN_INFO::default();
    assert_eq!(call!(bench, C_GetTokenInfo(7, &raw mut info)), CKR_OK);
    assert_eq!(call!(bench, C_GetTokenInfo(0, &raw mut info)), CKR_SLOT_ID_INVALID);
    bench.chaos.end(given).unwrap();
    assert_eq!(bench.slots(true), [0]);
    assert_eq!(bench.open_at(7), Err(CKR_SLOT_ID_INVALID));
}

#[test]
fn sessions_are_limited_in_the_middle_of_life() {
    let bench = Bench::new();
    let session = bench.user();
    let given = bench.chaos.give(Order::token(Fault::SessionLimit(2))).unwrap();
    let second = bench.open().unwrap();
    assert_eq!(bench.open(), Err(CKR_SESSION_COUNT));
    assert_eq!(call!(bench, C_CloseSession(second)), CKR_OK);
    let second = bench.open().unwrap();
    bench.signs(second);
    bench.chaos.give(Order::token(Fault::SessionLimit(1))).unwrap();
    bench.signs(session);
    assert_eq!(bench.open(), Err(CKR_SESSION_COUNT), "the later order counts");
    bench.chaos.end_all().unwrap();
    assert_eq!(bench.chaos.asked(given), 0, "a state is no event at a call");
    bench.open().unwrap();
}
