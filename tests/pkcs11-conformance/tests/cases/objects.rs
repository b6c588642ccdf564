use std::ptr::null_mut;

use cryptoki_sys::*;

use crate::support::{Module, PIN, RO, RW, attribute, call};

crate::cases! {
    a_search_is_begun_made_and_ended
    private_objects_are_there_for_the_user_only
    objects_of_the_token_outlive_sessions_and_others_do_not
    a_read_only_session_makes_nothing_on_the_token
    what_is_destroyed_is_gone
    attributes_are_read_by_the_length_convention
    a_private_key_keeps_its_value
    labels_can_be_changed
}

fn read(module: &Module, session: CK_SESSION_HANDLE, object: CK_OBJECT_HANDLE, kind: CK_ATTRIBUTE_TYPE) -> Vec<u8> {
    let mut octets = vec![0; 256];
    let mut wanted = CK_ATTRIBUTE { type_: kind, pValue: octets.as_mut_ptr().cast(), ulValueLen: 256 };
    assert_eq!(call!(module, C_GetAttributeValue(session, object, &raw mut wanted, 1)), CKR_OK);
    octets.truncate(wanted.ulValueLen as usize);
    octets
}

fn a_search_is_begun_made_and_ended(module: &Module) {
    let (_, session) = module.user();
    let (mut handle, mut count) = (0, 0);
    let next = |handle: &mut _, count: &mut _| call!(module, C_FindObjects(session, handle, 1, count));
    assert_eq!(next(&mut handle, &mut count), CKR_OPERATION_NOT_INITIALIZED);
    assert_eq!(call!(module, C_FindObjectsFinal(session)), CKR_OPERATION_NOT_INITIALIZED);
    assert_eq!(call!(module, C_FindObjectsInit(session, null_mut(), 1)), CKR_ARGUMENTS_BAD);
    assert_eq!(call!(module, C_FindObjectsInit(session, null_mut(), 0)), CKR_OK);
    assert_eq!(call!(module, C_FindObjectsInit(session, null_mut(), 0)), CKR_OPERATION_ACTIVE);
    assert_eq!((next(&mut handle, &mut count), count), (CKR_OK, 0));
    assert_eq!(call!(module, C_FindObjectsFinal(session)), CKR_OK);
    let (public, private) = module.pair(session, false, b"k").unwrap();
    assert_eq!(module.find(session, Some(CKO_PRIVATE_KEY)), [private]);
    assert_eq!(module.find(session, Some(CKO_PUBLIC_KEY)), [public]);
    assert_eq!(module.find(session, Some(CKO_CERTIFICATE)), [0; 0]);
    assert_eq!(module.find(session, None).len(), 2);
}

fn private_objects_are_there_for_the_user_only(module: &Module) {
    let (_, session) = module.user();
    let (_, private) = module.pair(session, true, b"k").unwrap();
    assert_eq!(call!(module, C_Logout(session)), CKR_OK);
    assert!(module.find(session, Some(CKO_PRIVATE_KEY)).is_empty());
    let refused = module.sign_init(session, private);
    assert!(
        matches!(refused, CKR_KEY_HANDLE_INVALID | CKR_OBJECT_HANDLE_INVALID | CKR_USER_NOT_LOGGED_IN),
        "{refused:#x}"
    );
    let made = module.pair(session, true, b"k").unwrap_err();
    assert_eq!(made, CKR_USER_NOT_LOGGED_IN);
    assert_eq!(module.login(session, CKU_USER, PIN), CKR_OK);
    assert_eq!(module.find(session, Some(CKO_PRIVATE_KEY)).len(), 1);
}

fn objects_of_the_token_outlive_sessions_and_others_do_not(module: &Module) {
    let (slot, session) = module.user();
    let keeper = module.open(slot, RW).unwrap();
    module.pair(session, true, b"kept").unwrap();
    module.pair(session, false, b"lost").unwrap();
    assert_eq!(module.find(keeper, Some(CKO_PRIVATE_KEY)).len(), 2);
    assert_eq!(call!(module, C_CloseSession(session)), CKR_OK);
    let left = module.find(keeper, Some(CKO_PRIVATE_KEY));
    assert_eq!(left.len(), 1);
    assert_eq!(read(module, keeper, left[0], CKA_LABEL), b"kept");
    assert_eq!(module.finalize(), CKR_OK);
    assert_eq!(module.initialize(), CKR_OK);
    let session = module.open(module.slot(), RO).unwrap();
    assert_eq!(module.login(session, CKU_USER, PIN), CKR_OK);
    assert_eq!(module.find(session, Some(CKO_PRIVATE_KEY)).len(), 1);
}

fn a_read_only_session_makes_nothing_on_the_token(module: &Module) {
    let (slot, session) = module.user();
    let (public, _) = module.pair(session, true, b"k").unwrap();
    let reading = module.open(slot, RO).unwrap();
    assert_eq!(module.pair(reading, true, b"k"), Err(CKR_SESSION_READ_ONLY));
    assert_eq!(call!(module, C_DestroyObject(reading, public)), CKR_SESSION_READ_ONLY);
    module.pair(reading, false, b"k").unwrap();
}

fn what_is_destroyed_is_gone(module: &Module) {
    let (slot, session) = module.user();
    let (public, private) = module.pair(session, true, b"k").unwrap();
    let other = module.open(slot, RW).unwrap();
    assert_eq!(call!(module, C_DestroyObject(session, private)), CKR_OK);
    assert_eq!(call!(module, C_DestroyObject(session, private)), CKR_OBJECT_HANDLE_INVALID);
    let refused = module.sign_init(other, private);
    assert!(matches!(refused, CKR_KEY_HANDLE_INVALID | CKR_OBJECT_HANDLE_INVALID), "{refused:#x}");
    assert_eq!(module.find(other, None), [public]);
    assert_eq!(call!(module, C_DestroyObject(session, CK_INVALID_HANDLE)), CKR_OBJECT_HANDLE_INVALID);
}

fn attributes_are_read_by_the_length_convention(module: &Module) {
    let (_, session) = module.user();
    let (public, _) = module.pair(session, false, b"a label").unwrap();
    let mut wanted = CK_ATTRIBUTE { type_: CKA_LABEL, pValue: null_mut(), ulValueLen: 0 };
    let get = |wanted: &mut CK_ATTRIBUTE| call!(module, C_GetAttributeValue(session, public, wanted, 1));
    assert_eq!((get(&mut wanted), wanted.ulValueLen), (CKR_OK, 7));
    let mut octets = [0; 7];
    let mut short = CK_ATTRIBUTE { type_: CKA_LABEL, pValue: octets.as_mut_ptr().cast(), ulValueLen: 6 };
    assert_eq!((get(&mut short), short.ulValueLen), (CKR_BUFFER_TOO_SMALL, CK_UNAVAILABLE_INFORMATION));
    assert_eq!(read(module, session, public, CKA_LABEL), b"a label");
    let mut unknown = CK_ATTRIBUTE { type_: CKA_MODULUS, pValue: null_mut(), ulValueLen: 0 };
    assert_eq!((get(&mut unknown), unknown.ulValueLen), (CKR_ATTRIBUTE_TYPE_INVALID, CK_UNAVAILABLE_INFORMATION));
    let invalid = call!(module, C_GetAttributeValue(session, public + 77, &raw mut wanted, 1));
    assert_eq!(invalid, CKR_OBJECT_HANDLE_INVALID);
}

fn a_private_key_keeps_its_value(module: &Module) {
    let (_, session) = module.user();
    let (_, private) = module.pair(session, true, b"k").unwrap();
    for flag in [CKA_SENSITIVE, CKA_ALWAYS_SENSITIVE, CKA_NEVER_EXTRACTABLE, CKA_PRIVATE, CKA_LOCAL] {
        assert_eq!(read(module, session, private, flag), [CK_TRUE], "{flag:#x}");
    }
    let mut octets = [0; 32];
    let mut wanted = CK_ATTRIBUTE { type_: CKA_VALUE, pValue: octets.as_mut_ptr().cast(), ulValueLen: 32 };
    let asked = call!(module, C_GetAttributeValue(session, private, &raw mut wanted, 1));
    assert_eq!((asked, wanted.ulValueLen, octets), (CKR_ATTRIBUTE_SENSITIVE, CK_UNAVAILABLE_INFORMATION, [0; 32]));
    for (flag, value) in [(CKA_SENSITIVE, [CK_FALSE]), (CKA_EXTRACTABLE, [CK_TRUE])] {
        let mut change = attribute(flag, &value);
        let refused = call!(module, C_SetAttributeValue(session, private, &raw mut change, 1));
        assert_eq!(refused, CKR_ATTRIBUTE_READ_ONLY, "{flag:#x}");
    }
}

fn labels_can_be_changed(module: &Module) {
    let (slot, session) = module.user();
    let (public, _) = module.pair(session, true, b"old").unwrap();
    let mut change = attribute(CKA_LABEL, b"new name");
    assert_eq!(call!(module, C_SetAttributeValue(session, public, &raw mut change, 1)), CKR_OK);
    let other = module.open(slot, RO).unwrap();
    assert_eq!(read(module, other, public, CKA_LABEL), b"new name");
    assert_eq!(call!(module, C_SetAttributeValue(other, public, &raw mut change, 1)), CKR_SESSION_READ_ONLY);
}
