use std::ptr::null_mut;

use cryptoki_sys::*;

use crate::support::{Module, RO, SO_PIN, assert_padded, call};

crate::cases! {
    lists_of_slots_follow_the_length_convention
    a_slot_and_its_token_describe_themselves
    an_unknown_slot_is_refused
    mechanisms_are_listed_and_described
    a_token_is_initialised_again_by_its_officer_only_and_without_sessions
}

const NOWHERE: CK_SLOT_ID = 0x7777_7777;

fn lists_of_slots_follow_the_length_convention(module: &Module) {
    module.ready();
    assert_eq!(call!(module, C_GetSlotList(CK_FALSE, null_mut(), null_mut())), CKR_ARGUMENTS_BAD);
    for present in [CK_FALSE, CK_TRUE] {
        let mut count = 0;
        assert_eq!(call!(module, C_GetSlotList(present, null_mut(), &raw mut count)), CKR_OK);
        assert!(count > 0);
        let mut list = vec![0; count as usize];
        let mut short = count - 1;
        assert_eq!(call!(module, C_GetSlotList(present, list.as_mut_ptr(), &raw mut short)), CKR_BUFFER_TOO_SMALL);
        assert_eq!(call!(module, C_GetSlotList(present, list.as_mut_ptr(), &raw mut count)), CKR_OK);
        assert_eq!(count as usize, list.len());
    }
}

fn a_slot_and_its_token_describe_themselves(module: &Module) {
    let slot = module.ready();
    let mut info = CK_SLOT_INFO::default();
    assert_eq!(call!(module, C_GetSlotInfo(slot, null_mut())), CKR_ARGUMENTS_BAD);
    assert_eq!(call!(module, C_GetSlotInfo(slot, &raw mut info)), CKR_OK);
    assert_ne!(info.flags & CKF_TOKEN_PRESENT, 0);
    assert_padded(&info.slotDescription);
    assert_padded(&info.manufacturerID);
    let mut token = CK_TOKEN_INFO::default();
    assert_eq!(call!(module, C_GetTokenInfo(slot, null_mut())), CKR_ARGUMENTS_BAD);
    assert_eq!(call!(module, C_GetTokenInfo(slot, &raw mut token)), CKR_OK);
    for field in [&token.label[..], &token.manufacturerID, &token.model, &token.serialNumber] {
        assert_padded(field);
    }
    for flag in [CKF_RNG, CKF_LOGIN_REQUIRED, CKF_USER_PIN_INITIALIZED, CKF_TOKEN_INITIALIZED] {
        assert_ne!(token.flags & flag, 0, "{flag:#x}");
    }
    assert!(token.ulMinPinLen <= token.ulMaxPinLen);
}

fn an_unknown_slot_is_refused(module: &Module) {
    module.ready();
    let (mut slot, mut token, mut count) = (CK_SLOT_INFO::default(), CK_TOKEN_INFO::default(), 0);
    for rv in [
        call!(module, C_GetSlotInfo(NOWHERE, &raw mut slot)),
        call!(module, C_GetTokenInfo(NOWHERE, &raw mut token)),
        call!(module, C_GetMechanismList(NOWHERE, null_mut(), &raw mut count)),
        call!(module, C_CloseAllSessions(NOWHERE)),
        module.init_token(NOWHERE, SO_PIN, "x"),
        module.open(NOWHERE, RO).unwrap_err(),
    ] {
        assert_eq!(rv, CKR_SLOT_ID_INVALID);
    }
}

fn mechanisms_are_listed_and_described(module: &Module) {
    let slot = module.ready();
    assert_eq!(call!(module, C_GetMechanismList(slot, null_mut(), null_mut())), CKR_ARGUMENTS_BAD);
    let mut count = 0;
    assert_eq!(call!(module, C_GetMechanismList(slot, null_mut(), &raw mut count)), CKR_OK);
    let mut list = vec![0; count as usize];
    let mut short = count - 1;
    assert_eq!(call!(module, C_GetMechanismList(slot, list.as_mut_ptr(), &raw mut short)), CKR_BUFFER_TOO_SMALL);
    assert_eq!(short, count);
    assert_eq!(call!(module, C_GetMechanismList(slot, list.as_mut_ptr(), &raw mut count)), CKR_OK);
    assert!(list.contains(&module.keygen) && list.contains(&module.sign));
    let mut info = CK_MECHANISM_INFO::default();
    for mechanism in list {
        assert_eq!(call!(module, C_GetMechanismInfo(slot, mechanism, &raw mut info)), CKR_OK, "{mechanism:#x}");
        assert!(info.ulMinKeySize <= info.ulMaxKeySize, "{mechanism:#x}");
    }
    assert_eq!(call!(module, C_GetMechanismInfo(slot, module.sign, null_mut())), CKR_ARGUMENTS_BAD);
    assert_eq!(call!(module, C_GetMechanismInfo(slot, 0x8123_4567, &raw mut info)), CKR_MECHANISM_INVALID);
}

fn a_token_is_initialised_again_by_its_officer_only_and_without_sessions(module: &Module) {
    let (slot, session) = module.user();
    module.pair(session, true, b"k").unwrap();
    assert_eq!(module.init_token(slot, SO_PIN, "again"), CKR_SESSION_EXISTS);
    assert_eq!(call!(module, C_CloseSession(session)), CKR_OK);
    assert_eq!(module.init_token(slot, b"not-the-officer", "again"), CKR_PIN_INCORRECT);
    assert_eq!(module.init_token(slot, SO_PIN, "cases"), CKR_OK);
    let session = module.open(module.slot(), crate::support::RW).unwrap();
    let login = module.login(session, CKU_USER, crate::support::PIN);
    assert_eq!(login, CKR_USER_PIN_NOT_INITIALIZED);
    assert!(module.find(session, None).is_empty());
}
