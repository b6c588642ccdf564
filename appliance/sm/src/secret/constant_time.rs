//! The proof: encryption runs in valgrind's memcheck with the scalar's octets marked as unknown. Memcheck follows what is unknown through
//! every computation and reports each branch and each address that depends on it; here there must be none.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::hint::black_box;
use std::process::Command;

use super::{Coordinates, SecretScalar, SecretTable, multiply_passing, multiply_tabled};
use crate::arch::valgrind::{errors, hide, is_running, reveal};
use crate::arch::{Adx, has_adx};
use crate::field::{Multiply, Portable};
use crate::point::{Affine, GENERATOR};
use crate::seal::assemble;

const HAS_ADX: &str = "YANQIAN_SM_TEST_HAS_ADX";

/// Runs this same test in valgrind; says so where there is none.
fn again_in_valgrind(test: &str) {
    let program = std::env::current_exe().unwrap();
    let ran = Command::new("valgrind")
        .args(["--tool=memcheck", "--error-exitcode=0", "--track-origins=no", "--num-callers=30"])
        .arg(program)
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        // Valgrind knows the instructions but shows programs a processor without them: so this process asks.
        .env(HAS_ADX, has_adx().to_string())
        .output();
    let Ok(output) = ran else {
        eprintln!("skipped: valgrind is not installed");
        return;
    };
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let ran = format!("memcheck ran; adx: {}", has_adx());
    assert!(said.contains(&ran), "the test ran outside valgrind, or left something out: {said}");
}

/// How many errors memcheck reports for `work`.
fn reports(work: impl FnOnce()) -> usize {
    let before = errors();
    work();
    errors() - before
}

/// All that depends on the scalar, from drawing it to the ciphertext.
fn seal(octets: [u8; 32], multiply: impl Fn(&SecretScalar) -> [Coordinates; 2]) {
    let mut octets = octets;
    hide(&mut octets);
    let (scalar, mut in_range) = SecretScalar::candidate(&octets);
    let [c1, shared] = multiply(&scalar);
    let (mut sealed, mut usable) = assemble(&[0x42; 100], &c1, &shared);
    // Only here anything is looked at, and only what is published.
    reveal(&mut in_range);
    reveal(&mut usable);
    assert!(in_range != 0 && usable != 0);
    reveal(sealed.ciphertext.as_mut_slice());
    assert_ne!(sealed.ciphertext, [0x42; 100]);
}

fn prove<M: Multiply>(back_end: &str) {
    let recipient = Affine { x: GENERATOR.x, y: GENERATOR.y.neg() };
    let tables = [GENERATOR, recipient].map(|point| SecretTable::<6>::new::<M>(&point));
    let tables = [&tables[0], &tables[1]];
    for octets in [[0x5a; 32], [0xa5; 32]] {
        let leaks = reports(|| seal(octets, |k| multiply_tabled::<M, 6>(k, tables)));
        assert_eq!(leaks, 0, "tabled, {back_end}");
        let leaks = reports(|| seal(octets, |k| multiply_passing::<M, 6>(k, tables[0], &recipient)));
        assert_eq!(leaks, 0, "without a table, {back_end}");
    }
}

#[test]
fn no_branch_and_no_address_depends_on_the_scalar() {
    if !is_running() {
        return again_in_valgrind("secret::constant_time::no_branch_and_no_address_depends_on_the_scalar");
    }
    // What memcheck must report, so that its silence says something.
    let mut secret = [3u8; 32];
    hide(&mut secret);
    let row = black_box([7u8; 32]);
    let leaks = [
        ("a branch", reports(|| assert_eq!(secret[0], 3))),
        ("an address", reports(|| assert_eq!(black_box(row[usize::from(secret[1] & 31)]), 7))),
    ];
    for (leak, reported) in leaks {
        assert!(reported > 0, "{leak} that depends on the secret is not reported");
    }
    prove::<Portable>("portable");
    let adx = std::env::var(HAS_ADX).unwrap() == "true";
    if adx {
        prove::<Adx>("adx");
    }
    eprintln!("memcheck ran; adx: {adx}");
}
