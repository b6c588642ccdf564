//! Many threads, one application.

use std::sync::atomic::{AtomicBool, Ordering};

use cryptoki_sys::*;

use crate::support::*;

#[test]
fn eight_threads_sign_in_their_own_sessions() {
    let (token, session) = Token::user();
    let (public, private) = token.key_pair(session, "k");
    let point = token.point(session, public);
    let signatures: Vec<_> = std::thread::scope(|scope| {
        let module = &token.module;
        let threads: Vec<_> = (0..8_u8)
            .map(|thread| {
                scope.spawn(move || {
                    let session = module.open_rw();
                    let sign = |turn: u8| {
                        let e = [thread ^ turn; 32];
                        (e, module.sign(session, SIGN_DIGEST, private, &e).unwrap())
                    };
                    let signed: Vec<_> = (0..50).map(sign).collect();
                    assert_eq!(call!(module, C_CloseSession(session)), CKR_OK);
                    signed
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    for (e, signature) in &signatures {
        assert_eq!(token.verify(session, SIGN_DIGEST, public, e, signature), CKR_OK);
    }
    assert!(independent_verify(&point, &signatures[399].0, &signatures[399].1, false));
}

/// Changing a PIN runs the slow derivation twice. Signing must go on meanwhile.
#[test]
fn a_pin_check_does_not_hold_up_signing() {
    let (token, session) = Token::user();
    let (_, private) = token.key_pair(session, "k");
    let done = AtomicBool::new(false);
    let signed = std::thread::scope(|scope| {
        let (module, done) = (&token.module, &done);
        let signer = scope.spawn(move || {
            let session = module.open_rw();
            let mut signed = 0;
            while !done.load(Ordering::Relaxed) {
                module.sign(session, SIGN_DIGEST, private, &[1; 32]).unwrap();
                signed += 1;
            }
            signed
        });
        let (old, length) = (USER_PIN.as_ptr().cast_mut(), USER_PIN.len() as CK_ULONG);
        assert_eq!(call!(module, C_SetPIN(session, old, length, old, length)), CKR_OK);
        done.store(true, Ordering::Relaxed);
        signer.join().unwrap()
    });
    assert!(signed > 10, "only {signed} signatures during a PIN change");
}

#[test]
fn sessions_keys_and_logouts_race_without_harm() {
    let (token, session) = Token::user();
    token.key_pair(session, "k");
    std::thread::scope(|scope| {
        let module = &token.module;
        for thread in 0..6 {
            scope.spawn(move || {
                for turn in 0..12 {
                    let session = module.open_rw();
                    for key in module.find(session, &Template::class(CKO_PRIVATE_KEY)) {
                        match module.sign(session, SIGN_DIGEST, key, &[7; 32]) {
                            Ok(signature) => assert_eq!(signature.len(), 64),
                            // Another thread logged out, or destroyed the key.
                            Err(CKR_KEY_HANDLE_INVALID | CKR_OPERATION_NOT_INITIALIZED) => {}
                            Err(error) => panic!("{error:#x}"),
                        }
                    }
                    if thread == 0 && turn % 4 == 3 {
                        assert_eq!(call!(module, C_Logout(session)), CKR_OK);
                        assert_eq!(module.login(session, CKU_USER, USER_PIN), CKR_OK);
                    }
                    if thread == 1 {
                        match module.generate(session, &Template::new(), &Template::new().bool(CKA_TOKEN, true)) {
                            Ok((_, key)) => _ = call!(module, C_DestroyObject(session, key)),
                            Err(error) => assert_eq!(error, CKR_USER_NOT_LOGGED_IN),
                        }
                    }
                    assert_eq!(call!(module, C_CloseSession(session)), CKR_OK);
                }
            });
        }
    });
    assert_eq!(token.state(session), Ok(CKS_RW_USER_FUNCTIONS));
    assert!(!token.find(session, &Template::class(CKO_PRIVATE_KEY).octets(CKA_LABEL, b"k")).is_empty());
}

#[test]
fn a_session_leak_meets_a_limit() {
    let token = Token::ready();
    let sessions: Vec<_> = (0..4096).map(|_| token.open(CKF_SERIAL_SESSION).unwrap()).collect();
    assert_eq!(token.open(CKF_SERIAL_SESSION), Err(CKR_SESSION_COUNT));
    assert_eq!(call!(token, C_CloseSession(sessions[17])), CKR_OK);
    assert!(token.open(CKF_SERIAL_SESSION).is_ok());
}
