//! Speeds of every back end as ratios to OpenSSL's in the same run, on one core: `make bench-sm2`; with an argument, only of what has it in
//! its name. Every line that a program may want begins
//! with `figure <name> <value> <unit>` or `ratio <name> <value>`; names begin with the back end.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::cast_precision_loss)]

mod sampling;
mod scene;

use std::hint::black_box;
use std::process::Command;

use getrandom::SysRng;
use rustix::thread::{CpuSet, sched_setaffinity};
use yanqian_sm::{
    Backend, BatchItem, E, EncryptionKey, FixedKey, KeyRef, PublicKey, Signature, ZValue, sm2_encrypt, sm3, sm3_many,
    verify, verify_batch,
};

use sampling::{Outcome, Sampler, median};
use scene::{MESSAGE, Scene, Signed};

/// Signatures of a batch.
const BATCH: usize = 64;

struct Report {
    backend: &'static str,
    /// Only names that hold this are measured.
    filter: String,
    sampler: Sampler,
}

impl Report {
    fn figure(&self, name: &str, value: f64, unit: &str) {
        println!("figure {}-{name} {value:.2} {unit}", self.backend);
    }

    /// `per` operations of ours stand against as many of the baseline's.
    fn compare(&mut self, name: &str, per: usize, baseline: impl FnMut(), ours: impl FnMut()) {
        if !name.contains(&self.filter) {
            return;
        }
        let Outcome { ours, baseline, ratio } = self.sampler.compare(baseline, ours);
        self.figure(name, ours / per as f64, "us");
        self.figure(&format!("{name}-baseline"), baseline / per as f64, "us");
        println!("ratio {}-{name} {ratio:.2}", self.backend);
    }
}

fn items<'a>(signed: &[Signed], key: impl Fn(usize) -> KeyRef<'a>) -> Vec<BatchItem<'a>> {
    signed.iter().map(|signed| BatchItem { key: key(signed.key), e: signed.e, signature: signed.signature }).collect()
}

fn batch(items: &[BatchItem<'_>]) {
    let mut verdicts = [false; BATCH];
    verify_batch(items, &mut verdicts);
    assert!(verdicts.iter().all(|verdict| *verdict));
}

fn verification(scene: &Scene, report: &mut Report) {
    let one = &scene.one_key[0];
    let key = &scene.keys[one.key];
    let fixed: Vec<FixedKey> = scene.keys[..8].iter().map(FixedKey::new).collect();
    let plain = |key: usize| KeyRef::Plain(&scene.keys[key]);
    let tabled = |key: usize| KeyRef::Fixed(&fixed[key % 8]);

    let mut openssl = scene.openssl_verifier(one);
    report.compare("verify-generic", 1, &mut openssl, || verify(key, &one.e, &one.signature).unwrap());
    report.compare("verify-fixed", 1, &mut openssl, || fixed[one.key].verify(&one.e, &one.signature).unwrap());
    report.compare("verify-fixed-to-openssl-p256", 1, scene.p256_verifier(), || {
        fixed[one.key].verify(&one.e, &one.signature).unwrap();
    });
    report.compare("verify-generic-to-rustcrypto", 1, scene.rustcrypto_verifier(one), || {
        verify(key, &one.e, &one.signature).unwrap();
    });

    let mut sixty_four = || (0..BATCH).for_each(|_| openssl());
    for (name, items) in [
        ("verify-generic-batch", items(&scene.one_key, plain)),
        ("verify-generic-batch-mixed-keys", items(&scene.many_keys, plain)),
        ("verify-fixed-batch", items(&scene.one_key, tabled)),
        ("verify-fixed-batch-mixed-keys", items(&scene.eight_keys, tabled)),
    ] {
        report.compare(name, BATCH, &mut sixty_four, || batch(&items));
    }
    messages(scene, &fixed[one.key], report);
}

/// DER in, 256 octets hashed, verified; the key's table and Z value stand ready, as OpenSSL's key does.
fn messages(scene: &Scene, fixed: &FixedKey, report: &mut Report) {
    let z: ZValue = fixed.public_key().z_value(&yanqian_sm::DistinguishingId::default());
    let ours = || {
        let octets: Vec<[&[u8]; 1]> = scene.one_key.iter().map(|signed| [signed.message.as_slice()]).collect();
        let messages: Vec<(ZValue, &[&[u8]])> = octets.iter().map(|message| (z, message.as_slice())).collect();
        let mut digests = [E::from_digest([0; 32]); BATCH];
        E::of_messages(&messages, &mut digests);
        let key = KeyRef::Fixed(fixed);
        let items: Vec<BatchItem<'_>> = scene
            .one_key
            .iter()
            .zip(digests)
            .map(|(signed, e)| BatchItem { key, e, signature: Signature::from_der(&signed.der).unwrap() })
            .collect();
        batch(&items);
    };
    let mut openssl = scene.openssl_message_verifier();
    report.compare(
        &format!("verify-fixed-batch-messages-{MESSAGE}"),
        BATCH,
        || (0..BATCH).for_each(&mut openssl),
        ours,
    );
}

fn tables(scene: &Scene, report: &Report) {
    let key: &PublicKey = &scene.keys[0];
    let time = |work: &dyn Fn()| {
        let start = std::time::Instant::now();
        work();
        start.elapsed().as_secs_f64() * 1e6
    };
    report.figure("verify-table", FixedKey::TABLE_OCTETS as f64, "octets");
    report.figure("verify-table-build", median((0..9).map(|_| time(&|| drop(black_box(FixedKey::new(key)))))), "us");
    report.figure("encrypt-table", EncryptionKey::TABLE_OCTETS as f64, "octets");
    let build = median((0..9).map(|_| time(&|| drop(black_box(EncryptionKey::new(key))))));
    report.figure("encrypt-table-build", build, "us");
}

fn encryption(scene: &Scene, report: &mut Report) {
    let key = &scene.keys[0];
    let prepared = EncryptionKey::new(key);
    let session_key = [0x42; 16];
    let mut openssl = scene.openssl_encryptor(&session_key);
    report.compare("encrypt-fixed", 1, &mut openssl, || {
        black_box(prepared.encrypt(&session_key, &mut SysRng).unwrap());
    });
    report.compare("encrypt-generic", 1, &mut openssl, || {
        black_box(sm2_encrypt(key, &session_key, &mut SysRng).unwrap());
    });
}

fn hashing(report: &mut Report) {
    for length in [64, 1024, 16 * 1024, 256 * 1024] {
        let message = vec![0x42; length];
        let openssl = || {
            black_box(openssl::hash::hash(openssl::hash::MessageDigest::sm3(), &message).unwrap());
        };
        report.compare(&format!("sm3-{length}"), 1, openssl, || {
            black_box(sm3(&[&message]));
        });
        let slices = [[message.as_slice()]; 16];
        let messages = slices.each_ref().map(<[_; 1]>::as_slice);
        let mut digests = [[0; 32]; 16];
        report.compare(
            &format!("sm3-16-messages-{length}"),
            16,
            || (0..16).for_each(|_| openssl()),
            || sm3_many(&messages, black_box(&mut digests)),
        );
    }
}

/// Keeps to the processor that it runs on.
fn pin() {
    let mut one = CpuSet::new();
    one.set(rustix::thread::sched_getcpu());
    sched_setaffinity(None, &one).unwrap();
}

fn main() {
    let Some(name) = std::env::var_os("YANQIAN_SM_BENCH") else {
        println!("{}, one core, {BATCH} signatures a batch", openssl::version::version());
        let mut backends: Vec<Backend> = Backend::available().collect();
        backends.reverse();
        for backend in backends {
            // A back end is chosen once for a process.
            let status = Command::new(std::env::current_exe().unwrap())
                .env("YANQIAN_SM_BACKEND", backend.as_str())
                .env("YANQIAN_SM_BENCH", backend.as_str())
                .args(std::env::args().skip(1))
                .status()
                .unwrap();
            assert!(status.success());
        }
        return;
    };
    pin();
    let filter = std::env::args().skip(1).find(|argument| !argument.starts_with("--")).unwrap_or_default();
    let mut report = Report { backend: Backend::current().as_str(), filter, sampler: Sampler::new() };
    assert_eq!(name, report.backend, "another back end is in use");
    let scene = Scene::new();
    verification(&scene, &mut report);
    encryption(&scene, &mut report);
    hashing(&mut report);
    tables(&scene, &report);
    report.figure("pairs-disturbed", report.sampler.ungated() as f64, "pairs");
}
