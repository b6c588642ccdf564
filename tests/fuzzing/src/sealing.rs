use std::convert::Infallible;

use rand_core::{TryCryptoRng, TryRng};
use sm2::NonZeroScalar;
use sm2::elliptic_curve::sec1::ToSec1Point;
use sm2::pke::{DecryptingKey, Mode};
use yanqian_messages::{sm2_cipher_from_der, sm2_cipher_to_der};
use yanqian_sm::{Backend, EncryptionKey, PublicKey, sm2_encrypt};

use crate::input::{Input, to_octets};

/// Gives one block of 32 octets, then others that follow from it.
struct Told([u8; 32]);

impl TryRng for Told {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        unreachable!("scalars are drawn whole")
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        unreachable!("scalars are drawn whole")
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        out.copy_from_slice(&self.0);
        self.0 = yanqian_sm::sm3(&[&self.0]);
        Ok(())
    }
}

impl TryCryptoRng for Told {}

/// What is sealed under any scalar, by every back end, with a table and without, is one ciphertext, which RustCrypto opens in both its
/// encodings.
pub fn sealing(octets: &[u8]) {
    let mut input = Input(octets);
    let (d, k) = (input.scalar(), to_octets(&input.scalar()));
    let message = input.rest();
    let private = NonZeroScalar::new(d).expect("d is not 0");
    let decrypting = DecryptingKey::new_with_mode(private, Mode::C1C3C2);
    let public = sm2::PublicKey::from_secret_scalar(&private);
    let key = PublicKey::from_sec1(public.to_sec1_point(false).as_bytes()).expect("RustCrypto made it");
    if message.is_empty() {
        assert!(sm2_encrypt(&key, message, &mut Told(k)).is_err());
        return;
    }
    let mut first = None;
    for backend in Backend::available().filter(|backend| *backend != Backend::Ifma) {
        assert!(backend.choose());
        let prepared = EncryptionKey::new(&key).encrypt(message, &mut Told(k)).expect("the message is short");
        let passing = sm2_encrypt(&key, message, &mut Told(k)).expect("the message is short");
        assert_eq!(prepared, passing, "{backend:?}");
        assert_eq!(first.get_or_insert_with(|| prepared.clone()), &prepared, "{backend:?}");
    }
    let sealed = first.expect("the portable back end is everywhere");
    assert_eq!(decrypting.decrypt(&sealed.to_c1c3c2()).expect("RustCrypto refuses C1C3C2"), message);
    let der = sm2_cipher_to_der(&sealed);
    assert_eq!(sm2_cipher_from_der(&der).as_ref(), Ok(&sealed));
}
