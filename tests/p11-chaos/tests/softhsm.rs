//! The module before a token that is not ours: stock SoftHSM 2 of the distribution. It has no SM2 and is driven with what it has, RSA
//! and ECDSA on P-256, so that what is claimed of the module holds for more than the soft token.
//!
//! `softhsm2` is required; without it these tests say that they are skipped.

#![allow(clippy::unwrap_used, clippy::print_stderr)]
// The module reads its environment.
#![allow(unsafe_code)]

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, SessionState, UserType};
use cryptoki::types::AuthPin;
use openssl::bn::{BigNum, BigNumContext};
use openssl::ec::{EcGroup, EcKey, EcPoint};
use openssl::ecdsa::EcdsaSig;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::PKey;
use openssl::rsa::Rsa;
use openssl::sign::Verifier;
use yanqian_p11_chaos::{Chaos, DIRECTORY, Fault, Function, MODULE, Order};

/// Environment and modules belong to the process: tests that share one (plain `cargo test`) take turns.
static TURN: Mutex<()> = Mutex::new(());

const MESSAGE: &[u8] = b"what is signed";

/// A fresh SoftHSM token behind the module, both PINs set, nobody logged in.
struct Bench {
    pkcs11: Option<Pkcs11>,
    chaos: Chaos,
    directory: PathBuf,
    _turn: MutexGuard<'static, ()>,
}

impl Bench {
    fn new() -> Option<Self> {
        let known = ["/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so"];
        let Some(softhsm) = known.iter().find(|path| Path::new(path).exists()) else {
            eprintln!("SKIPPED: softhsm2 is not installed");
            return None;
        };
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        // The same in every test of a process, which reads its environment once.
        let directory = std::env::temp_dir().join(format!("p11-chaos-softhsm-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&directory);
        for name in ["chaos", "tokens"] {
            std::fs::create_dir_all(directory.join(name)).unwrap();
        }
        let conf = directory.join("softhsm2.conf");
        let tokens = directory.join("tokens");
        std::fs::write(&conf, format!("directories.tokendir = {}\nlog.level = ERROR\n", tokens.display())).unwrap();
        // SAFETY: no other thread of this test process touches the environment: tests take turns.
        unsafe {
            std::env::set_var(MODULE, softhsm);
            std::env::set_var(DIRECTORY, directory.join("chaos"));
            std::env::set_var("SOFTHSM2_CONF", &conf);
        }
        let chaos = Chaos::at(directory.join("chaos")).unwrap();
        let mut bench = Self { pkcs11: None, chaos, directory, _turn: turn };
        let pkcs11 = bench.start();
        let slot = pkcs11.get_slots_with_token().unwrap()[0];
        pkcs11.init_token(slot, &AuthPin::new("so-1234".into()), "stock").unwrap();
        let session = pkcs11.open_rw_session(pkcs11.get_slots_with_initialized_token().unwrap()[0]).unwrap();
        session.login(UserType::So, Some(&AuthPin::new("so-1234".into()))).unwrap();
        session.init_pin(&pin()).unwrap();
        drop(session);
        Some(bench)
    }

    /// Begins the application, again if it had begun.
    fn start(&mut self) -> Pkcs11 {
        if let Some(pkcs11) = self.pkcs11.take() {
            pkcs11.finalize().unwrap();
        }
        let module = std::env::current_exe().unwrap().parent().unwrap().join("libyanqian_p11_chaos.so");
        let pkcs11 = Pkcs11::new(module).unwrap();
        pkcs11.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)).unwrap();
        self.pkcs11 = Some(pkcs11.clone());
        pkcs11
    }

    fn open(&self) -> cryptoki::error::Result<Session> {
        let pkcs11 = self.pkcs11.as_ref().unwrap();
        pkcs11.open_rw_session(*pkcs11.get_slots_with_initialized_token()?.first().ok_or(Error::NotSupported)?)
    }

    fn user(&self) -> Session {
        let session = self.open().unwrap();
        session.login(UserType::User, Some(&pin())).unwrap();
        session
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = self.chaos.end_all();
        if let Some(pkcs11) = self.pkcs11.take() {
            let _ = pkcs11.finalize();
        }
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn pin() -> AuthPin {
    AuthPin::new("user-1234".into())
}

fn labelled(label: &str) -> Vec<Attribute> {
    vec![Attribute::Token(true), Attribute::Label(label.into())]
}

/// A pair of RSA with 2048 bits.
fn rsa(session: &Session) -> (ObjectHandle, ObjectHandle) {
    let public = [labelled("rsa"), vec![Attribute::ModulusBits(2048.into())]].concat();
    session.generate_key_pair(&Mechanism::RsaPkcsKeyPairGen, &public, &labelled("rsa")).unwrap()
}

/// A pair on P-256.
fn p256(session: &Session) -> (ObjectHandle, ObjectHandle) {
    let curve = Attribute::EcParams(vec![0x06, 0x08, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07]);
    let public = [labelled("p256"), vec![curve]].concat();
    session.generate_key_pair(&Mechanism::EccKeyPairGen, &public, &labelled("p256")).unwrap()
}

fn octets(session: &Session, object: ObjectHandle, kind: AttributeType) -> Vec<u8> {
    match session.get_attributes(object, &[kind]).unwrap().pop() {
        Some(Attribute::Modulus(octets) | Attribute::PublicExponent(octets) | Attribute::EcPoint(octets)) => octets,
        other => panic!("{other:?}"),
    }
}

/// Whether OpenSSL finds an RSA signature good.
fn rsa_verifies(session: &Session, public: ObjectHandle, signature: &[u8]) -> bool {
    let number = |kind| BigNum::from_slice(&octets(session, public, kind)).unwrap();
    let key = Rsa::from_public_components(number(AttributeType::Modulus), number(AttributeType::PublicExponent));
    let key = PKey::from_rsa(key.unwrap()).unwrap();
    let mut verifier = Verifier::new(MessageDigest::sha256(), &key).unwrap();
    verifier.verify_oneshot(signature, MESSAGE).unwrap()
}

/// Whether OpenSSL finds an ECDSA signature over this digest good.
fn p256_verifies(session: &Session, public: ObjectHandle, digest: &[u8], signature: &[u8]) -> bool {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    let point = octets(session, public, AttributeType::EcPoint);
    let point = EcPoint::from_bytes(&group, &point[2..], &mut BigNumContext::new().unwrap()).unwrap();
    let number = |octets: &[u8]| BigNum::from_slice(octets).unwrap();
    let signature = EcdsaSig::from_private_components(number(&signature[..32]), number(&signature[32..])).unwrap();
    signature.verify(digest, &EcKey::from_public_key(&group, &point).unwrap()).unwrap()
}

#[test]
fn rsa_2048_and_p256_are_made_sign_and_verify_elsewhere() {
    let Some(bench) = Bench::new() else { return };
    let session = bench.user();
    let (public, private) = rsa(&session);
    let signature = session.sign(&Mechanism::Sha256RsaPkcs, private, MESSAGE).unwrap();
    assert_eq!(signature.len(), 256);
    assert!(rsa_verifies(&session, public, &signature));
    let (public, private) = p256(&session);
    let signature = session.sign(&Mechanism::Ecdsa, private, &[0xE1; 32]).unwrap();
    assert!(p256_verifies(&session, public, &[0xE1; 32], &signature));

    bench.chaos.give(Order::at(Function::C_Sign, Fault::Corrupt).times(2)).unwrap();
    // The length is asked for first: that is a call of its own.
    let signature = session.sign(&Mechanism::Ecdsa, private, &[0xE1; 32]).unwrap();
    assert!(!p256_verifies(&session, public, &[0xE1; 32], &signature));
}

#[test]
fn sessions_sign_at_the_same_time_and_one_that_is_lost_takes_no_other_with_it() {
    let Some(bench) = Bench::new() else { return };
    let anchor = bench.user();
    let (public, private) = p256(&anchor);
    let lost = bench.chaos.give(Order::at(Function::C_Sign, Fault::CloseSession).from(8).times(1)).unwrap();
    let ends: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let session = bench.open().unwrap();
                scope.spawn(move || {
                    (0..8).map(|_| session.sign(&Mechanism::Ecdsa, private, &[1; 32])).collect::<Vec<_>>()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let signed = ends.iter().flatten().filter_map(|end| end.as_ref().ok());
    assert!(signed.into_iter().all(|signature| p256_verifies(&anchor, public, &[1; 32], signature)));
    let failed = ends.iter().filter(|thread| thread.iter().any(Result::is_err)).count();
    assert_eq!(failed, 1, "the others went on to their end");
    assert!(bench.chaos.asked(lost) > 8);
    assert!(ends.iter().flatten().all(|end| match end {
        Ok(_) => true,
        Err(error) => matches!(error, Error::Pkcs11(RvError::SessionHandleInvalid, _)),
    }));
}

#[test]
fn a_login_is_the_applications_and_goes_with_its_last_session() {
    let Some(bench) = Bench::new() else { return };
    let (session, other) = (bench.user(), bench.open().unwrap());
    let again = other.login(UserType::User, Some(&pin())).unwrap_err();
    assert!(matches!(again, Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)), "{again}");
    let (_, private) = p256(&session);
    bench.chaos.give(Order::at(Function::C_SignInit, Fault::LogOut).times(1)).unwrap();
    assert!(other.sign(&Mechanism::Ecdsa, private, &[1; 32]).is_err());
    assert_eq!(session.get_session_info().unwrap().session_state(), SessionState::RwPublic);
    session.login(UserType::User, Some(&pin())).unwrap();
    drop((session, other));
    assert_eq!(bench.open().unwrap().get_session_info().unwrap().session_state(), SessionState::RwPublic);
    let wrong = bench.open().unwrap().login(UserType::User, Some(&AuthPin::new("wrong-1".into()))).unwrap_err();
    assert!(matches!(wrong, Error::Pkcs11(RvError::PinIncorrect, _)), "{wrong}");
}

#[test]
fn a_token_whose_directory_goes_away_is_lost_to_the_application_until_it_begins_again() {
    let Some(mut bench) = Bench::new() else { return };
    let session = bench.user();
    let (_, private) = p256(&session);
    session.sign(&Mechanism::Ecdsa, private, &[1; 32]).unwrap();
    let (here, away) = (bench.directory.join("tokens"), bench.directory.join("away"));
    std::fs::rename(&here, &away).unwrap();
    let lost = |session: &Session| session.sign(&Mechanism::Ecdsa, private, &[1; 32]).unwrap_err().to_string();
    assert!(lost(&session).contains("object handle"), "SoftHSM never says that the device was removed");
    std::fs::rename(&away, &here).unwrap();
    assert!(lost(&session).contains("object handle"), "and knows no key when it is back");
    std::mem::forget(session);
    bench.start();
    let session = bench.user();
    let template = [Attribute::Class(ObjectClass::PRIVATE_KEY), Attribute::Label("p256".into())];
    let private = session.find_objects(&template).unwrap()[0];
    session.sign(&Mechanism::Ecdsa, private, &[1; 32]).unwrap();
}

#[test]
fn a_token_can_be_gone_and_come_back_in_another_slot_there_too() {
    let Some(bench) = Bench::new() else { return };
    let session = bench.user();
    let (_, private) = p256(&session);
    let slot = bench.pkcs11.as_ref().unwrap().get_slots_with_initialized_token().unwrap()[0].id();
    let gone = bench.chaos.give(Order::token(Fault::Gone)).unwrap();
    let error = session.sign(&Mechanism::Ecdsa, private, &[1; 32]).unwrap_err();
    assert!(matches!(error, Error::Pkcs11(RvError::DeviceRemoved, _)), "{error}");
    assert!(bench.open().is_err());
    bench.chaos.give(Order::token(Fault::SlotsFrom(3))).unwrap();
    bench.chaos.end(gone).unwrap();
    std::mem::forget(session);
    let moved = bench.pkcs11.as_ref().unwrap().get_slots_with_initialized_token().unwrap()[0].id();
    assert_eq!(moved, slot + 3);
    let session = bench.user();
    let template = [Attribute::Class(ObjectClass::PRIVATE_KEY), Attribute::Label("p256".into())];
    let private = session.find_objects(&template).unwrap()[0];
    session.sign(&Mechanism::Ecdsa, private, &[1; 32]).unwrap();
}
