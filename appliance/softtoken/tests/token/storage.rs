//! The directory: what it reveals, what survives a kill, and what damage does.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use cryptoki_sys::*;

use crate::keys::{EXAMPLE_KEY, EXAMPLE_POINT, private_import};
use crate::support::*;

fn all_files(token: &Token) -> Vec<std::path::PathBuf> {
    let mut files = token.object_files();
    files.extend(
        std::fs::read_dir(token.path()).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file()),
    );
    files
}

#[test]
fn no_file_holds_a_key_a_pin_or_a_private_label() {
    let (token, session) = Token::user();
    token.create(session, &private_import().bool(CKA_TOKEN, true).octets(CKA_LABEL, b"private-label")).unwrap();
    let scalar = hex::decode(EXAMPLE_KEY).unwrap();
    for path in all_files(&token) {
        let content = std::fs::read(&path).unwrap();
        for secret in [scalar.as_slice(), SO_PIN, USER_PIN, b"private-label"] {
            assert!(!content.windows(secret.len()).any(|window| window == secret), "{}", path.display());
        }
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "{}", path.display());
    }
}

#[test]
fn a_damaged_object_file_is_an_error_and_not_a_missing_key() {
    let (token, session) = Token::user();
    let (public, _) = token.key_pair(session, "k");
    let original: Vec<_> = token.object_files().into_iter().map(|path| (std::fs::read(&path).unwrap(), path)).collect();
    assert_eq!(original.len(), 2);
    token.restart();
    for (content, path) in &original {
        let mut flipped = content.clone();
        let last = flipped.len() - 1;
        flipped[last] ^= 1;
        for damage in [
            &flipped,
            &content[..content.len() / 2],
            b"".as_slice(),
            &[0xFF; 300],
            &[content.as_slice(), b"x"].concat(),
        ] {
            std::fs::write(path, damage).unwrap();
            let session = token.open_rw();
            let login = token.login(session, CKU_USER, USER_PIN);
            assert_eq!(login, CKR_DEVICE_ERROR, "{} octets of damage", damage.len());
            assert_eq!(token.state(session), Ok(CKS_RW_PUBLIC_SESSION), "not half logged in");
            assert_eq!(call!(token, C_CloseSession(session)), CKR_OK);
        }
        std::fs::write(path, content).unwrap();
    }
    let session = token.open_rw();
    assert_eq!(token.login(session, CKU_USER, USER_PIN), CKR_OK);
    assert_eq!(token.find(session, &Template::new()).len(), 2);
    assert_eq!(token.attribute_error(session, public), CKR_OBJECT_HANDLE_INVALID, "handles are of this life only");
}

#[test]
fn object_files_cannot_trade_places() {
    let (token, session) = Token::user();
    let private = Template::new().bool(CKA_TOKEN, true);
    token.generate(session, &Template::new(), &private).unwrap();
    token.generate(session, &Template::new(), &private).unwrap();
    let files = token.object_files();
    let content = std::fs::read(&files[0]).unwrap();
    token.restart();
    std::fs::write(&files[1], content).unwrap();
    let session = token.open_rw();
    assert_eq!(token.login(session, CKU_USER, USER_PIN), CKR_DEVICE_ERROR);
}

#[test]
fn a_damaged_token_file_or_lost_counter_is_an_error() {
    let token = Token::ready();
    let counter = all_files(&token).into_iter().find(|path| path.to_str().unwrap().contains("retry-")).unwrap();
    let kept = std::fs::read(&counter).unwrap();
    let session = token.open_rw();
    std::fs::remove_file(&counter).unwrap();
    assert_eq!(token.login(session, CKU_USER, USER_PIN), CKR_DEVICE_ERROR, "no counter, no try");
    std::fs::write(&counter, [kept.as_slice(), &[0]].concat()).unwrap();
    assert_eq!(token.login(session, CKU_USER, USER_PIN), CKR_DEVICE_ERROR);
    std::fs::write(&counter, kept).unwrap();
    assert_eq!(token.login(session, CKU_USER, USER_PIN), CKR_OK);

    let path = token.path().join("token.cbor");
    let good = std::fs::read(&path).unwrap();
    let mut info = CK_TOKEN_INFO::default();
    for end in 0..good.len() {
        std::fs::write(&path, &good[..end]).unwrap();
        assert_eq!(call!(token, C_GetTokenInfo(0, &raw mut info)), CKR_DEVICE_ERROR, "cut at {end}");
    }
    let mut future = good.clone();
    let version = future.iter().position(|octet| *octet == 1).unwrap();
    future[version] = 2;
    std::fs::write(&path, &future).unwrap();
    assert_eq!(call!(token, C_GetTokenInfo(0, &raw mut info)), CKR_DEVICE_ERROR, "an unknown format");
    std::fs::write(&path, vec![0; 2 << 20]).unwrap();
    assert_eq!(call!(token, C_GetTokenInfo(0, &raw mut info)), CKR_DEVICE_ERROR, "too large");
    std::fs::write(&path, good).unwrap();
    assert_eq!(call!(token, C_GetTokenInfo(0, &raw mut info)), CKR_OK);
}

#[test]
fn a_flipped_bit_in_the_wrapped_key_is_a_wrong_pin_and_never_a_crash() {
    let token = Token::ready();
    let path = token.path().join("token.cbor");
    let good = std::fs::read(&path).unwrap();
    let session = token.open_rw();
    let mut damaged = good.clone();
    let last = damaged.len() - 1;
    damaged[last] ^= 0x80;
    std::fs::write(&path, damaged).unwrap();
    assert_eq!(token.login(session, CKU_USER, USER_PIN), CKR_PIN_INCORRECT);
    std::fs::write(&path, good).unwrap();
    assert_eq!(token.login(session, CKU_USER, USER_PIN), CKR_OK);
}

/// Files once written stay readable: `tests/fixtures/format-1` says how these were made.
#[test]
fn a_token_of_format_1_still_opens() {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/format-1");
    let token = Token::blank();
    for part in [".", "objects"] {
        for entry in std::fs::read_dir(fixture.join(part)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "cbor") {
                std::fs::copy(&path, token.path().join(part).join(path.file_name().unwrap())).unwrap();
            }
        }
    }
    let session = token.open_rw();
    assert_eq!(&token.token_info().label, b"fixture of format 1             ");
    assert_eq!(token.find(session, &Template::new()).len(), 2, "a public key and a certificate");
    assert_eq!(token.login(session, CKU_USER, b"user-1234"), CKR_OK);
    let private = token.find(session, &Template::class(CKO_PRIVATE_KEY).octets(CKA_LABEL, b"standard example"));
    assert_eq!(token.find(session, &Template::class(CKO_CERTIFICATE).octets(CKA_ID, &[1])).len(), 1);
    let signature = token.sign(session, SIGN_DIGEST, private[0], &[4; 32]).unwrap();
    assert!(independent_verify(&hex::decode(EXAMPLE_POINT).unwrap(), &[4; 32], &signature, false));
    assert_eq!(call!(token, C_Logout(session)), CKR_OK);
    assert_eq!(token.login(session, CKU_SO, b"so-12345678"), CKR_OK);
}

#[test]
fn a_kill_while_keys_are_made_leaves_a_token_that_opens() {
    const NAME: &str = "storage::a_kill_while_keys_are_made_leaves_a_token_that_opens";
    if is_child() {
        let module = Module::load();
        assert_eq!(module.initialize(), CKR_OK);
        let session = module.open_rw();
        assert_eq!(module.login(session, CKU_USER, USER_PIN), CKR_OK);
        loop {
            module.key_pair(session, "made");
        }
    }
    let token = Token::ready();
    let session = token.open_rw();
    assert_eq!(token.login(session, CKU_USER, USER_PIN), CKR_OK);
    let mut total = 0;
    for round in 0..5_u64 {
        let mut child = spawn_child(NAME, token.path());
        let before = token.object_files().len();
        while token.object_files().len() < before + 4 {
            assert!(child.try_wait().unwrap().is_none(), "the child ended by itself");
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_micros(700 * round));
        child.kill().unwrap();
        child.wait().unwrap();
        let keys = token.find(session, &Template::class(CKO_PRIVATE_KEY));
        assert!(keys.len() > total);
        total = keys.len();
        for key in keys {
            let signature = token.sign(session, SIGN_DIGEST, key, &[8; 32]).unwrap();
            assert!(signature.len() == 64);
        }
        assert!(token.find(session, &Template::class(CKO_PUBLIC_KEY)).len() + 5 >= total);
    }
}
