//! The work that callgrind counts, in memcheck, which shows programs a processor without ADX and AVX-512: no read of memory that was never written, none beyond its end, nothing leaked.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::process::{Command, Output};

use yanqian_sm::Backend;

const PROGRAM: &str = env!("CARGO_BIN_EXE_yanqian-instructions");

fn says(output: &Output, backend: Backend) {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{backend:?}: {out}{err}");
    // Or the test would claim too much.
    assert!(out.starts_with(&format!("backend {}\n", backend.as_str())), "{backend:?}: {out}");
    assert!(out.ends_with("encrypt-passing-32-octets\n"), "{out}");
}

#[test]
fn every_piece_of_work_ends_well_by_every_back_end() {
    for backend in Backend::available() {
        says(&Command::new(PROGRAM).env("YANQIAN_SM_BACKEND", backend.as_str()).output().unwrap(), backend);
    }
}

#[test]
fn memcheck_finds_nothing_in_the_portable_back_end() {
    if Command::new("valgrind").arg("--version").output().is_err() {
        eprintln!("skipped: valgrind is not installed");
        return;
    }
    let output = Command::new("valgrind")
        .args(["--tool=memcheck", "--error-exitcode=9", "--leak-check=full", "--errors-for-leak-kinds=definite"])
        .arg(PROGRAM)
        .env("YANQIAN_SM_BACKEND", Backend::Portable.as_str())
        .output()
        .unwrap();
    says(&output, Backend::Portable);
    assert!(String::from_utf8_lossy(&output.stderr).contains("ERROR SUMMARY: 0 errors"));
}
