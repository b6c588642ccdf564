use std::ptr::null_mut;

use cryptoki_sys::*;

use crate::support::{Module, call, mechanism};

crate::cases! {
    a_signature_is_begun_made_and_verified
    the_length_is_told_and_a_short_buffer_costs_nothing
    a_signature_needs_a_key_and_a_mechanism_that_fit
    an_operation_is_one_at_a_time_and_each_sessions_own
}

const DIGEST: [u8; 32] = [0xE1; 32];

fn sign(module: &Module, session: CK_SESSION_HANDLE, signature: *mut CK_BYTE, length: &mut CK_ULONG) -> CK_RV {
    call!(module, C_Sign(session, DIGEST.as_ptr().cast_mut(), 32, signature, length))
}

fn verify(module: &Module, session: CK_SESSION_HANDLE, public: CK_OBJECT_HANDLE, signature: &[u8]) -> CK_RV {
    let mut mechanism = mechanism(module.sign);
    assert_eq!(call!(module, C_VerifyInit(session, &raw mut mechanism, public)), CKR_OK);
    let length = signature.len() as CK_ULONG;
    call!(module, C_Verify(session, DIGEST.as_ptr().cast_mut(), 32, signature.as_ptr().cast_mut(), length))
}

fn a_signature_is_begun_made_and_verified(module: &Module) {
    let (_, session) = module.user();
    let (public, private) = module.pair(session, false, b"k").unwrap();
    let (mut signature, mut length) = ([0; 64], 64);
    assert_eq!(sign(module, session, signature.as_mut_ptr(), &mut length), CKR_OPERATION_NOT_INITIALIZED);
    assert_eq!(module.sign_init(session, private), CKR_OK);
    assert_eq!((sign(module, session, signature.as_mut_ptr(), &mut length), length), (CKR_OK, 64));
    assert_eq!(sign(module, session, signature.as_mut_ptr(), &mut length), CKR_OPERATION_NOT_INITIALIZED);
    assert_eq!(verify(module, session, public, &signature), CKR_OK);
    let short = verify(module, session, public, &signature[..63]);
    assert_eq!(short, CKR_SIGNATURE_LEN_RANGE);
    signature[40] ^= 1;
    assert_eq!(verify(module, session, public, &signature), CKR_SIGNATURE_INVALID);
}

fn the_length_is_told_and_a_short_buffer_costs_nothing(module: &Module) {
    let (_, session) = module.user();
    let (public, private) = module.pair(session, false, b"k").unwrap();
    assert_eq!(module.sign_init(session, private), CKR_OK);
    let (mut signature, mut length) = ([0; 64], 0);
    assert_eq!((sign(module, session, null_mut(), &mut length), length), (CKR_OK, 64));
    length = 63;
    let short = sign(module, session, signature.as_mut_ptr(), &mut length);
    assert_eq!((short, length), (CKR_BUFFER_TOO_SMALL, 64));
    assert_eq!((sign(module, session, signature.as_mut_ptr(), &mut length), length), (CKR_OK, 64));
    assert_eq!(verify(module, session, public, &signature), CKR_OK);
}

fn a_signature_needs_a_key_and_a_mechanism_that_fit(module: &Module) {
    let (_, session) = module.user();
    let (public, private) = module.pair(session, false, b"k").unwrap();
    let begin = |number, key| {
        let mut mechanism = mechanism(number);
        call!(module, C_SignInit(session, &raw mut mechanism, key))
    };
    assert_eq!(begin(0x8123_4567, private), CKR_MECHANISM_INVALID);
    assert_eq!(call!(module, C_SignInit(session, null_mut(), private)), CKR_ARGUMENTS_BAD);
    let nothing = begin(module.sign, private + 77);
    assert!(matches!(nothing, CKR_KEY_HANDLE_INVALID | CKR_OBJECT_HANDLE_INVALID), "{nothing:#x}");
    let not_for_it = begin(module.sign, public);
    assert!(
        matches!(not_for_it, CKR_KEY_FUNCTION_NOT_PERMITTED | CKR_KEY_TYPE_INCONSISTENT | CKR_KEY_HANDLE_INVALID),
        "{not_for_it:#x}"
    );
    assert_eq!(begin(module.sign, private), CKR_OK, "and the session is none the worse for it");
}

fn an_operation_is_one_at_a_time_and_each_sessions_own(module: &Module) {
    let (slot, session) = module.user();
    let (_, private) = module.pair(session, false, b"k").unwrap();
    let other = module.open(slot, crate::support::RO).unwrap();
    assert_eq!(module.sign_init(session, private), CKR_OK);
    assert_eq!(module.sign_init(session, private), CKR_OPERATION_ACTIVE);
    let (mut signature, mut length) = ([0; 64], 64);
    assert_eq!(sign(module, other, signature.as_mut_ptr(), &mut length), CKR_OPERATION_NOT_INITIALIZED);
    assert_eq!(module.sign_init(other, private), CKR_OK);
    for session in [session, other] {
        assert_eq!((sign(module, session, signature.as_mut_ptr(), &mut length), length), (CKR_OK, 64));
    }
}
