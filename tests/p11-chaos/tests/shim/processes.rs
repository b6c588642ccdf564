//! Orders and counts outlive the process that carries them out.

use std::process::{Command, ExitStatus};

use cryptoki_sys::*;
use yanqian_p11_chaos::{Fault, Function, MODULE, Order};

use crate::support::{Bench, built};

/// Signs once in a process of its own.
fn sign_elsewhere(bench: &Bench) -> ExitStatus {
    // Debian's tool, so that the process shares nothing with this one. It prints nothing that is looked at here.
    let digest = bench.directory.join("digest");
    std::fs::write(&digest, crate::support::DIGEST).unwrap();
    Command::new("pkcs11-tool")
        .arg("--module")
        .arg(built("libyanqian_p11_chaos.so"))
        .args([
            "--login",
            "--pin",
            "user-1234",
            "--sign",
            "-m",
            "0x80008105",
            "--label",
            "one",
            "-o",
            "/dev/null",
            "-i",
        ])
        .arg(digest)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .status()
        .expect("pkcs11-tool is required by this test: install the package `opensc`")
}

#[test]
fn a_module_that_aborts_does_so_as_often_as_ordered_whatever_is_started_again() {
    let bench = Bench::new();
    let before = bench.chaos.calls().unwrap();
    assert!(sign_elsewhere(&bench).success());
    let given = bench.chaos.give(Order::at(Function::C_Sign, Fault::Abort).from(2).times(2)).unwrap();
    let ends: Vec<_> = (0..4).map(|_| sign_elsewhere(&bench)).map(|status| status.success()).collect();
    assert_eq!(ends, [true, false, false, true]);
    assert_eq!(bench.chaos.asked(given), 4);
    let counted = bench.chaos.calls().unwrap().since(&before);
    assert_eq!((counted.of(Function::C_Sign), counted.of(Function::C_Login)), (5, 5));
    assert_eq!(counted.of(Function::C_Finalize), 3, "those that aborted did not get that far");
}

#[test]
fn tickets_of_several_processes_are_each_given_once() {
    let bench = Bench::new();
    let given = bench.chaos.give(Order::at(Function::C_Sign, Fault::Return(CKR_DEVICE_ERROR)).times(3)).unwrap();
    let failed = std::thread::scope(|scope| {
        let processes: Vec<_> = (0..6).map(|_| scope.spawn(|| sign_elsewhere(&bench))).collect();
        processes.into_iter().filter_map(|process| (!process.join().unwrap().success()).then_some(())).count()
    });
    assert_eq!((failed, bench.chaos.asked(given)), (3, 6));
}

#[test]
fn without_its_environment_it_says_what_is_missing_and_does_not_load() {
    let bench = Bench::uninitialised();
    let load = |module: Option<&str>| {
        let mut command = Command::new("pkcs11-tool");
        command.arg("--module").arg(built("libyanqian_p11_chaos.so")).arg("-L").env_remove(MODULE);
        command.envs(module.map(|module| (MODULE, module)));
        let output = command.output().expect("pkcs11-tool is required by this test: install the package `opensc`");
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (loaded, text) = load(None);
    assert!(!loaded && text.contains("the environment has no P11_CHAOS_MODULE"), "{text}");
    let (loaded, text) = load(Some("/nowhere/libnothing.so"));
    assert!(!loaded && text.contains("P11_CHAOS_MODULE: /nowhere/libnothing.so"), "{text}");
    drop(bench);
}
