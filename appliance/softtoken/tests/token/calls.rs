//! Calls that are wrong: NULL, too short, too long, out of order. None may crash, hang or leave a session unusable.

use std::ptr::null_mut;

use cryptoki_sys::*;

use crate::support::*;

#[test]
fn no_slot_of_the_function_list_is_null() {
    let module = Module::load();
    // SAFETY: the list holds a version in the first word and 68 pointers after it.
    let words = unsafe { std::slice::from_raw_parts(module.list.cast::<usize>(), 69) };
    assert_eq!(size_of::<CK_FUNCTION_LIST>(), 69 * size_of::<usize>());
    assert!(words[1..].iter().all(|pointer| *pointer != 0));
    assert!(!module.exports(b"C_Initialize"), "the list is the only way in");
}

#[test]
fn what_is_not_supported_says_so() {
    let (token, session) = Token::user();
    let refusals = [
        call!(token, C_GetOperationState(session, null_mut(), null_mut())),
        call!(token, C_CopyObject(session, 1, null_mut(), 0, null_mut())),
        call!(token, C_EncryptInit(session, null_mut(), 1)),
        call!(token, C_DecryptUpdate(session, null_mut(), 0, null_mut(), null_mut())),
        call!(token, C_GenerateKey(session, null_mut(), null_mut(), 0, null_mut())),
        call!(token, C_WrapKey(session, null_mut(), 1, 1, null_mut(), null_mut())),
        call!(token, C_DeriveKey(session, null_mut(), 1, null_mut(), 0, null_mut())),
        call!(token, C_WaitForSlotEvent(CKF_DONT_BLOCK, null_mut(), null_mut())),
    ];
    assert!(refusals.iter().all(|refusal| *refusal == CKR_FUNCTION_NOT_SUPPORTED), "{refusals:x?}");
    assert_eq!(call!(token, C_GetFunctionStatus(session)), CKR_FUNCTION_NOT_PARALLEL);
    assert_eq!(call!(token, C_CancelFunction(session)), CKR_FUNCTION_NOT_PARALLEL);
}

#[test]
fn null_pointers_are_bad_arguments() {
    let (token, session) = Token::user();
    let (_, private) = token.key_pair(session, "k");
    let mut mechanism = mechanism(KEYGEN);
    let answers = [
        call!(token, C_GetInfo(null_mut())),
        call!(token, C_GetSlotList(CK_FALSE, null_mut(), null_mut())),
        call!(token, C_GetSlotInfo(0, null_mut())),
        call!(token, C_GetTokenInfo(0, null_mut())),
        call!(token, C_GetMechanismList(0, null_mut(), null_mut())),
        call!(token, C_GetMechanismInfo(0, SIGN_DIGEST, null_mut())),
        call!(token, C_InitToken(0, null_mut(), 8, null_mut())),
        call!(token, C_InitPIN(session, null_mut(), 8)),
        call!(token, C_SetPIN(session, null_mut(), 8, null_mut(), 8)),
        call!(token, C_OpenSession(0, CKF_SERIAL_SESSION, null_mut(), None, null_mut())),
        call!(token, C_GetSessionInfo(session, null_mut())),
        call!(token, C_CreateObject(session, null_mut(), 1, null_mut())),
        call!(token, C_GetAttributeValue(session, private, null_mut(), 1)),
        call!(token, C_SetAttributeValue(session, private, null_mut(), 1)),
        call!(token, C_FindObjectsInit(session, null_mut(), 1)),
        call!(token, C_SignInit(session, null_mut(), private)),
        call!(token, C_VerifyInit(session, null_mut(), private)),
        call!(token, C_DecryptInit(session, null_mut(), private)),
        call!(token, C_DigestInit(session, null_mut())),
        call!(token, C_GenerateRandom(session, null_mut(), 1)),
        call!(
            token,
            C_GenerateKeyPair(session, &raw mut mechanism, null_mut(), 0, null_mut(), 0, null_mut(), null_mut())
        ),
        call!(token, C_UnwrapKey(session, null_mut(), private, null_mut(), 0, null_mut(), 0, null_mut())),
    ];
    for (index, answer) in answers.into_iter().enumerate() {
        assert_eq!(answer, CKR_ARGUMENTS_BAD, "call {index}");
    }
    let mut handle = 0;
    assert_eq!(call!(token, C_CreateObject(session, null_mut(), 1, &raw mut handle)), CKR_ARGUMENTS_BAD);
    assert_eq!(call!(token, C_FindObjectsInit(session, null_mut(), 0)), CKR_OK);
    assert_eq!(call!(token, C_FindObjects(session, null_mut(), 1, null_mut())), CKR_ARGUMENTS_BAD);
    assert_eq!(call!(token, C_FindObjectsFinal(session)), CKR_OK);
}

#[test]
fn impossible_lengths_are_bad_arguments() {
    let (token, session) = Token::user();
    let (_, private) = token.key_pair(session, "k");
    let octet = [0_u8; 1];
    let mut attribute =
        CK_ATTRIBUTE { type_: CKA_LABEL, pValue: octet.as_ptr().cast_mut().cast(), ulValueLen: CK_ULONG::MAX };
    assert_eq!(call!(token, C_FindObjectsInit(session, &raw mut attribute, 1)), CKR_ATTRIBUTE_VALUE_INVALID);
    assert_eq!(call!(token, C_FindObjectsInit(session, &raw mut attribute, CK_ULONG::MAX)), CKR_ARGUMENTS_BAD);
    attribute = CK_ATTRIBUTE { type_: CKA_LABEL, pValue: null_mut(), ulValueLen: 4 };
    assert_eq!(call!(token, C_FindObjectsInit(session, &raw mut attribute, 1)), CKR_ARGUMENTS_BAD);
    assert_eq!(token.sign_init(session, SIGN_DIGEST, private), CKR_OK);
    let (mut signature, mut length) = ([0; 64], 64);
    let data = octet.as_ptr().cast_mut();
    assert_eq!(
        call!(token, C_Sign(session, data, CK_ULONG::MAX, signature.as_mut_ptr(), &raw mut length)),
        CKR_ARGUMENTS_BAD
    );
}

#[test]
fn a_length_query_and_a_short_buffer_keep_the_signature_alive() {
    let (token, session) = Token::user();
    let (_, private) = token.key_pair(session, "k");
    assert_eq!(token.sign_init(session, SIGN_DIGEST, private), CKR_OK);
    let mut e = [3; 32];
    let mut length = 0;
    assert_eq!(call!(token, C_Sign(session, e.as_mut_ptr(), 32, null_mut(), &raw mut length)), CKR_OK);
    assert_eq!(length, 64);
    let mut signature = [0xEE; 64];
    length = 63;
    assert_eq!(
        call!(token, C_Sign(session, e.as_mut_ptr(), 32, signature.as_mut_ptr(), &raw mut length)),
        CKR_BUFFER_TOO_SMALL
    );
    assert_eq!((length, signature), (64, [0xEE; 64]));
    assert_eq!(token.sign_init(session, SIGN_DIGEST, private), CKR_OPERATION_ACTIVE);
    assert_eq!(token.sign_into(session, &e, 64).unwrap().len(), 64);
    assert_eq!(token.sign_into(session, &e, 64), Err(CKR_OPERATION_NOT_INITIALIZED));
}

#[test]
fn any_other_failure_ends_the_signature_so_that_the_session_stays_usable() {
    let (token, session) = Token::user();
    let (_, private) = token.key_pair(session, "k");
    for length in [0, 1, 31, 33, 64] {
        assert_eq!(token.sign(session, SIGN_DIGEST, private, &vec![1; length]), Err(CKR_DATA_LEN_RANGE));
    }
    assert_eq!(token.sign_init(session, SIGN_DIGEST, private), CKR_OK);
    assert_eq!(call!(token, C_Sign(session, null_mut(), 32, null_mut(), null_mut())), CKR_ARGUMENTS_BAD);
    assert_eq!(token.sign_init(session, SIGN_DIGEST, private), CKR_OK);
    assert_eq!(call!(token, C_SignUpdate(session, [0; 32].as_mut_ptr(), 32)), CKR_FUNCTION_NOT_SUPPORTED);
    assert_eq!(token.sign(session, SIGN_DIGEST, private, &[1; 32]).unwrap().len(), 64);
}

#[test]
fn signing_in_place_works() {
    let (token, session) = Token::user();
    let (public, private) = token.key_pair(session, "k");
    assert_eq!(token.sign_init(session, SIGN_DIGEST, private), CKR_OK);
    let mut buffer = [0x21; 64];
    let (start, mut length) = (buffer.as_mut_ptr(), 64);
    assert_eq!(call!(token, C_Sign(session, start, 32, start, &raw mut length)), CKR_OK);
    assert!(independent_verify(&token.point(session, public), &[0x21; 32], &buffer, false));
}

#[test]
fn a_mechanism_parameter_is_refused() {
    let (token, session) = Token::user();
    let (_, private) = token.key_pair(session, "k");
    let mut id = *b"1234567812345678";
    let mut mechanism =
        CK_MECHANISM { mechanism: SIGN_MESSAGE, pParameter: id.as_mut_ptr().cast(), ulParameterLen: 16 };
    assert_eq!(call!(token, C_SignInit(session, &raw mut mechanism, private)), CKR_MECHANISM_PARAM_INVALID);
}

#[test]
fn one_bad_attribute_does_not_keep_the_others_back() {
    let (token, session) = Token::user();
    let (_, private) = token.key_pair(session, "label");
    let (mut label, mut short) = ([0_u8; 16], [0_u8; 2]);
    let attribute = |type_, value: &mut [u8]| CK_ATTRIBUTE {
        type_,
        pValue: value.as_mut_ptr().cast(),
        ulValueLen: value.len() as CK_ULONG,
    };
    let mut list = [
        attribute(CKA_VALUE, &mut [0; 32]),
        attribute(CKA_LABEL, &mut label),
        attribute(CKA_EC_PARAMS, &mut short),
        CK_ATTRIBUTE { type_: CKA_EC_POINT, pValue: null_mut(), ulValueLen: 0 },
        attribute(CKA_MODULUS, &mut [0; 8]),
    ];
    assert_eq!(call!(token, C_GetAttributeValue(session, private, list.as_mut_ptr(), 5)), CKR_ATTRIBUTE_SENSITIVE);
    let lengths = list.map(|attribute| attribute.ulValueLen);
    let none = CK_UNAVAILABLE_INFORMATION;
    assert_eq!(lengths, [none, 5, none, 67, none]);
    assert_eq!((&label[..5], short), (b"label".as_slice(), [0; 2]));
}

#[test]
fn handles_of_nothing_are_refused() {
    let (token, session) = Token::user();
    let mut info = CK_SLOT_INFO::default();
    assert_eq!(call!(token, C_GetSlotInfo(1, &raw mut info)), CKR_SLOT_ID_INVALID);
    assert_eq!(token.login(session + 1000, CKU_USER, USER_PIN), CKR_SESSION_HANDLE_INVALID);
    assert_eq!(token.state(0), Err(CKR_SESSION_HANDLE_INVALID));
    assert_eq!(call!(token, C_DestroyObject(session, 0)), CKR_OBJECT_HANDLE_INVALID);
    let mut mechanism = CK_MECHANISM_INFO::default();
    assert_eq!(call!(token, C_GetMechanismInfo(0, CKM_ECDSA, &raw mut mechanism)), CKR_MECHANISM_INVALID);
}

#[test]
fn lists_follow_the_length_convention() {
    let token = Token::blank();
    let mut count = 0;
    assert_eq!(call!(token, C_GetMechanismList(0, null_mut(), &raw mut count)), CKR_OK);
    assert_eq!(count, 5);
    let mut numbers = [0; 5];
    count = 4;
    assert_eq!(call!(token, C_GetMechanismList(0, numbers.as_mut_ptr(), &raw mut count)), CKR_BUFFER_TOO_SMALL);
    assert_eq!((count, numbers), (5, [0; 5]));
    assert_eq!(call!(token, C_GetMechanismList(0, numbers.as_mut_ptr(), &raw mut count)), CKR_OK);
    assert_eq!(numbers, [KEYGEN, SIGN_MESSAGE, SIGN_DIGEST, CIPHER, SM3]);
    for number in numbers {
        let mut info = CK_MECHANISM_INFO::default();
        assert_eq!(call!(token, C_GetMechanismInfo(0, number, &raw mut info)), CKR_OK);
        assert_eq!(info.flags & CKF_HW, 0, "this is software");
    }
}

#[test]
fn a_search_is_one_at_a_time() {
    let (token, session) = Token::user();
    let mut count = 0;
    let mut place = [0; 1];
    assert_eq!(call!(token, C_FindObjectsFinal(session)), CKR_OPERATION_NOT_INITIALIZED);
    assert_eq!(
        call!(token, C_FindObjects(session, place.as_mut_ptr(), 1, &raw mut count)),
        CKR_OPERATION_NOT_INITIALIZED
    );
    assert_eq!(call!(token, C_FindObjectsInit(session, null_mut(), 0)), CKR_OK);
    assert_eq!(call!(token, C_FindObjectsInit(session, null_mut(), 0)), CKR_OPERATION_ACTIVE);
    assert_eq!(call!(token, C_FindObjectsFinal(session)), CKR_OK);
}

#[test]
fn random_octets_come_in_any_number() {
    let (token, session) = Token::user();
    let mut octets = vec![0_u8; 10_000];
    assert_eq!(call!(token, C_GenerateRandom(session, octets.as_mut_ptr(), 10_000)), CKR_OK);
    let longest_run = octets.chunk_by(|one, two| one == two).map(<[u8]>::len).max().unwrap();
    assert!(longest_run < 8);
    assert_eq!(call!(token, C_GenerateRandom(session, null_mut(), 0)), CKR_OK);
    assert_eq!(call!(token, C_SeedRandom(session, octets.as_mut_ptr(), 8)), CKR_RANDOM_SEED_NOT_SUPPORTED);
}
