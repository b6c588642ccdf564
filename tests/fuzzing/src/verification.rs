use std::cell::RefCell;
use std::collections::HashMap;

use sm2::dsa::signature::hazmat::PrehashVerifier;
use sm2::elliptic_curve::Group;
use sm2::elliptic_curve::ops::Reduce;
use sm2::elliptic_curve::point::AffineCoordinates;
use sm2::elliptic_curve::sec1::ToSec1Point;
use sm2::{AffinePoint, ProjectivePoint, Scalar};
use yanqian_sm::{Backend, BatchItem, E, FixedKey, KeyRef, PublicKey, Signature, VerifyingKey, verify, verify_batch};

use crate::input::{Input, to_octets};

/// Tables are made once for each key; a fuzzer's run sees few.
const KEYS: usize = 256;

thread_local! {
    static TABLED: RefCell<HashMap<[u8; 65], (VerifyingKey, FixedKey)>> = RefCell::new(HashMap::new());
}

/// Every back end and RustCrypto give one verdict, alone, under a table and in batches. Signatures are made backwards, from s and t, so
/// that a fuzzer reaches the exceptional cases of the sum; half of them fit, half are spoilt.
pub fn verification(octets: &[u8]) {
    let mut input = Input(octets);
    let (d, s, t) = (key_scalar(&mut input), input.scalar(), input.scalar());
    let r = t - s;
    let sum = ProjectivePoint::mul_by_generator(&s) + ProjectivePoint::mul_by_generator(&(d * t));
    let infinite = bool::from(sum.is_identity());
    let x = if infinite { Scalar::ZERO } else { Scalar::reduce(&sum.to_affine().x()) };
    let spoil = input.octet();
    let mut e = to_octets(&(r - x));
    let mut raw = [0; 64];
    raw[..32].copy_from_slice(&to_octets(&r));
    raw[32..].copy_from_slice(&to_octets(&s));
    match spoil % 4 {
        2 => e[usize::from(spoil >> 3)] ^= 1 << (input.octet() % 8),
        3 => raw[usize::from(spoil >> 2)] ^= 1 << (input.octet() % 8),
        _ => {}
    }
    judge(&ProjectivePoint::mul_by_generator(&d).to_affine(), e, &raw, (spoil % 4 < 2 && !infinite).then_some(true));
}

/// Few different ones.
fn key_scalar(input: &mut Input<'_>) -> Scalar {
    let [kind, value] = input.octets();
    let value = Scalar::from(u64::from(value % 64) + 1);
    match kind % 3 {
        0 => value,
        1 => -value,
        _ => value.square().square().square() + Scalar::from(0x5a5a_a5a5_1234_5678u64).square(),
    }
}

fn judge(point: &AffinePoint, e: [u8; 32], raw: &[u8; 64], fits: Option<bool>) {
    let sec1: [u8; 65] = point.to_sec1_point(false).as_bytes().try_into().expect("d is not 0");
    let key = PublicKey::from_sec1(&sec1).expect("a multiple of the generator is a key");
    let theirs = sm2::dsa::VerifyingKey::from_sec1_bytes("", &sec1).expect("RustCrypto made it");
    let verdict = sm2::dsa::Signature::from_bytes(raw.into())
        .is_ok_and(|signature| theirs.verify_prehash(&e, &signature).is_ok());
    let Ok(signature) = Signature::from_raw(raw) else {
        assert!(!verdict, "RustCrypto takes a signature out of range");
        return;
    };
    if let Some(fits) = fits {
        assert_eq!(verdict, fits, "RustCrypto differs from how the signature was made");
    }
    let e = E::from_digest(e);
    TABLED.with_borrow_mut(|tabled| {
        if tabled.len() > KEYS {
            tabled.clear();
        }
        let (prepared, fixed) = tabled.entry(sec1).or_insert_with(|| (VerifyingKey::new(&key), FixedKey::new(&key)));
        for backend in Backend::available() {
            assert!(backend.choose());
            assert_eq!(verify(&key, &e, &signature).is_ok(), verdict, "{backend:?}, without a table");
            assert_eq!(prepared.verify(&e, &signature).is_ok(), verdict, "{backend:?}, with odd multiples");
            assert_eq!(fixed.verify(&e, &signature).is_ok(), verdict, "{backend:?}, with a table");
            let plain = BatchItem { key: KeyRef::Plain(&key), e, signature };
            let between = BatchItem { key: KeyRef::Prepared(prepared), e, signature };
            let other = BatchItem { key: KeyRef::Fixed(fixed), e, signature };
            let batch = [plain, other, other, between, plain, other, plain, other, other, other, other, other];
            let mut verdicts = [!verdict; 12];
            verify_batch(&batch, &mut verdicts);
            assert_eq!(verdicts, [verdict; 12], "{backend:?}, in a batch");
        }
    });
}
