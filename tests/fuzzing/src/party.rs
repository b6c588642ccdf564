//! Whoever signs and opens in the targets: the key of GB/T 32918.5-2017 Annex A.2, by RustCrypto.

use std::cell::RefCell;
use std::collections::HashMap;
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use rand_core::{TryCryptoRng, TryRng};
use sm2::SecretKey;
use sm2::dsa::SigningKey;
use sm2::dsa::signature::Signer;
use sm2::pke::{DecryptingKey, Mode};
use yanqian_messages::Certificate;
use yanqian_sm::{Signature, Sm2Ciphertext, Sm4Key, sm3};

const PRIVATE: [u8; 32] = *b"\
\x39\x45\x20\x8f\x7b\x21\x44\xb1\x3f\x36\xe3\x8a\xc6\xd3\x9f\x95\x88\x93\x93\x69\x28\x60\xb5\x1a\x42\xfb\x81\xef\x4d\xf7\xc5\xb8";

/// What the seeds of signed messages are over.
pub const CONTENTS: [&[u8]; 4] =
    [br#"{"bizPackage":"content"}"#, b"", &[0x30; 64], r#"{"greeting":"来自另一个实现"}"#.as_bytes()];

pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name)
}

/// The certificate of the key, which Python's gmssl made.
pub fn certificate() -> &'static Certificate {
    static CERTIFICATE: LazyLock<Certificate> = LazyLock::new(|| {
        let file = repository().join("appliance/messages/tests/golden/gmssl-certificate.der");
        Certificate::from_der(&std::fs::read(file).expect("the golden certificate is there")).expect("it is one")
    });
    &CERTIFICATE
}

fn secret() -> SecretKey {
    SecretKey::from_slice(&PRIVATE).expect("a published key")
}

pub fn sign(octets: &[u8]) -> Signature {
    let key = SigningKey::new("1234567812345678", &secret()).expect("the id is short");
    let signature: sm2::dsa::Signature = key.sign(octets);
    Signature::from_raw(&signature.to_bytes().into()).expect("RustCrypto made it")
}

thread_local! {
    static UNSEALED: RefCell<HashMap<Vec<u8>, Option<Sm4Key>>> = RefCell::default();
}

/// What was opened is remembered: most inputs leave the session key of their seed as it was.
pub fn unseal(sealed: &Sm2Ciphertext) -> Option<Sm4Key> {
    UNSEALED.with_borrow_mut(|known| {
        if known.len() > 256 {
            known.clear();
        }
        known.entry(sealed.to_c1c3c2()).or_insert_with(|| open(sealed)).clone()
    })
}

fn open(sealed: &Sm2Ciphertext) -> Option<Sm4Key> {
    let key = DecryptingKey::new_with_mode(secret().to_nonzero_scalar(), Mode::C1C3C2);
    let session = key.decrypt(&sealed.to_c1c3c2()).ok()?;
    Some(Sm4Key::new(session.try_into().ok()?))
}

/// The same octets at every run.
#[derive(Debug)]
pub struct Chain([u8; 32]);

impl Chain {
    pub fn from(seed: &[u8]) -> Self {
        Self(sm3(&[seed]))
    }
}

impl TryRng for Chain {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        unreachable!("nothing draws words")
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        unreachable!("nothing draws words")
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        for part in out.chunks_mut(32) {
            self.0 = sm3(&[&self.0]);
            part.copy_from_slice(&self.0[..part.len()]);
        }
        Ok(())
    }
}

impl TryCryptoRng for Chain {}
