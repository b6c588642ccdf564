//! Does each piece of work once and prints its name; the same pieces with the same input in every run. `tools/instructions` runs it in callgrind;
//! `YANQIAN_SM_BACKEND` names the back end.
#![allow(clippy::print_stdout)]

use std::convert::Infallible;
use std::error::Error;
use std::hint::black_box;

use rand_core::{TryCryptoRng, TryRng};
use yanqian_sm::{
    Backend, BatchItem, DistinguishingId, E, EncryptionKey, FixedKey, KeyRef, PublicKey, Signature, VerifyingKey,
    sm2_encrypt, sm3, verify, verify_batch,
};

/// GB/T 32918.5-2017 Annex A.2: the key, and its signature of "message digest".
const KEY: &str = "09f9df311e5421a150dd7d161e4bc5c672179fad1833fc076bb08ff356f35020\
                   ccea490ce26775a52dc6ea718cc1aa600aed05fbf35e084a6632f6072da9ad13";
const SIGNATURE: &str = "f5a03b0648d2c4630eeac513e1bb81a15944da3827d5b74143ac7eaceee720b3\
                         b1b6aa29df212fd8763182bc0d421ca1bb9038fd1f7f42d4840b69c485bbc1aa";

fn octets(digits: &str) -> Result<[u8; 64], Box<dyn Error>> {
    let mut octets = [0; 64];
    for (index, octet) in octets.iter_mut().enumerate() {
        *octet = u8::from_str_radix(digits.get(2 * index..2 * index + 2).ok_or("too short")?, 16)?;
    }
    Ok(octets)
}

/// Always the same.
struct Same;

impl TryRng for Same {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(0x5a5a_5a5a)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(0x5a5a_5a5a_5a5a_5a5a)
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        out.fill(0x5a);
        Ok(())
    }
}

impl TryCryptoRng for Same {}

/// Where callgrind begins to count. It looks for the names of these two.
#[inline(never)]
fn counting_begins(work: &mut dyn FnMut() -> bool) -> bool {
    black_box(work())
}

/// Where it writes down what it counted.
#[inline(never)]
fn counting_ends(name: &str) {
    println!("{name}");
}

fn main() -> Result<(), Box<dyn Error>> {
    let key = PublicKey::from_raw(&octets(KEY)?)?;
    let signature = Signature::from_raw(&octets(SIGNATURE)?)?;
    let id = DistinguishingId::default();
    let e = E::of_message(&key, &id, &[b"message digest"]);
    let (fixed, prepared, recipient) = (FixedKey::new(&key), VerifyingKey::new(&key), EncryptionKey::new(&key));
    let item = |key| BatchItem { key, e, signature };
    let (plain_batch, fixed_batch) = ([item(KeyRef::Plain(&key)); 16], [item(KeyRef::Fixed(&fixed)); 64]);
    let (message, sec1) = ([0x42; 1024], key.to_sec1());
    let mut compressed = [3; 33];
    compressed[1..].copy_from_slice(&sec1[1..33]);
    let der = signature.to_der();
    let all = |batch: &[BatchItem<'_>]| {
        let mut verdicts = [false; 64];
        verify_batch(batch, &mut verdicts[..batch.len()]);
        verdicts[..batch.len()].iter().all(|verdict| *verdict)
    };

    let mut pieces: [(&str, &mut dyn FnMut() -> bool); 12] = [
        ("verify-generic", &mut || verify(&key, &e, &signature).is_ok()),
        ("verify-prepared", &mut || prepared.verify(&e, &signature).is_ok()),
        ("verify-fixed", &mut || fixed.verify(&e, &signature).is_ok()),
        ("verify-batch-of-16-generic", &mut || all(&plain_batch)),
        ("verify-batch-of-64-fixed", &mut || all(&fixed_batch)),
        ("fixed-key-table", &mut || FixedKey::new(&key).public_key() == &key),
        ("read-key-uncompressed", &mut || PublicKey::from_sec1(&sec1) == Ok(key)),
        ("read-key-compressed", &mut || PublicKey::from_sec1(&compressed) == Ok(key)),
        ("read-signature-der", &mut || Signature::from_der(&der) == Ok(signature)),
        ("sm3-1024-octets", &mut || sm3(&[&message]) != [0; 32]),
        ("encrypt-prepared-32-octets", &mut || recipient.encrypt(&[7; 32], &mut Same).is_ok()),
        ("encrypt-passing-32-octets", &mut || sm2_encrypt(&key, &[7; 32], &mut Same).is_ok()),
    ];
    // Once before: tables of the generator are made, and lazy symbols bound.
    for (name, work) in &mut pieces {
        if !work() {
            return Err((*name).into());
        }
    }
    println!("backend {}", Backend::current().as_str());
    for (name, work) in &mut pieces {
        let well = counting_begins(*work);
        counting_ends(name);
        if !well {
            return Err((*name).into());
        }
    }
    Ok(())
}
