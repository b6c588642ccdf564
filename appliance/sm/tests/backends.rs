//! Every back end gives the same verdicts. Which one is used is settled once for a process, so each runs in its own.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod support;

use std::process::Command;

use support::cases::{Random, structured};
use support::{Numbers, how_many};
use yanqian_sm::{Backend, BatchItem, E, FixedKey, KeyRef, PublicKey, Signature, sm3, verify, verify_batch};

const TRANSCRIPT: &str = "transcript of ";

/// All that this process's back end says of the cases.
fn transcript() -> Vec<u8> {
    let mut numbers = Numbers::new(5);
    let mut cases = structured();
    cases.extend(Random::new(5).take(how_many(20_000) / 5));
    let mut said = Vec::new();
    for group in cases.chunks(96) {
        let mut keys: Vec<([u8; 64], PublicKey, FixedKey)> = Vec::new();
        for case in group {
            if !keys.iter().any(|(raw, ..)| *raw == case.key.raw) {
                let public = PublicKey::from_raw(&case.key.raw).unwrap();
                keys.push((case.key.raw, public, FixedKey::new(&public)));
            }
        }
        let mut items = Vec::new();
        for case in group {
            let Ok(signature) = Signature::from_raw(&case.signature()) else {
                said.push(b'-');
                continue;
            };
            let (_, public, fixed) = keys.iter().find(|(raw, ..)| *raw == case.key.raw).unwrap();
            let e = E::from_digest(case.e);
            said.push(if verify(public, &e, &signature).is_ok() { b'G' } else { b'b' });
            said.push(if fixed.verify(&e, &signature).is_ok() { b'G' } else { b'b' });
            items.push([KeyRef::Plain(public), KeyRef::Fixed(fixed)].map(|key| BatchItem { key, e, signature }));
        }
        let mut rest = items.as_slice();
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(numbers.below(20) + 1));
            rest = later;
            let mixed = numbers.next();
            // All without tables, all with, and both.
            for choice in [0, u64::MAX, mixed] {
                let batch: Vec<BatchItem<'_>> =
                    now.iter().enumerate().map(|(place, item)| item[usize::from(choice >> place & 1 == 1)]).collect();
                let mut verdicts = vec![false; batch.len()];
                verify_batch(&batch, &mut verdicts);
                said.extend(verdicts.iter().map(|verdict| if *verdict { b'G' } else { b'b' }));
            }
        }
    }
    said
}

/// What the test below runs in processes of their own.
#[test]
fn prints_its_transcript_when_asked() {
    if std::env::var_os("YANQIAN_SM_TRANSCRIPT").is_some() {
        let said = transcript();
        println!("{TRANSCRIPT}{:?}: {} verdicts {}", Backend::current(), said.len(), hex::encode(sm3(&[&said])));
    }
}

#[test]
fn every_back_end_gives_the_same_verdicts() {
    let children: Vec<_> = Backend::available()
        .map(|backend| {
            let child = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "prints_its_transcript_when_asked", "--nocapture"])
                .env("YANQIAN_SM_BACKEND", backend.as_str())
                .env("YANQIAN_SM_TRANSCRIPT", "1")
                .stdout(std::process::Stdio::piped())
                .spawn()
                .unwrap();
            (backend, child)
        })
        .collect();
    let transcripts: Vec<String> = children
        .into_iter()
        .map(|(backend, child)| {
            let output = child.wait_with_output().unwrap();
            assert!(output.status.success(), "{backend:?}");
            let text = String::from_utf8(output.stdout).unwrap();
            let (_, line) = text.split_once(TRANSCRIPT).unwrap();
            let (used, said) = line.lines().next().unwrap().split_once(": ").unwrap();
            assert_eq!(used, format!("{backend:?}"), "another back end was used");
            said.to_owned()
        })
        .collect();
    println!("{transcripts:?}");
    assert!(transcripts.iter().all(|said| *said == transcripts[0]), "{transcripts:?}");
}

#[test]
fn the_portable_back_end_is_everywhere_and_unknown_names_change_nothing() {
    assert_eq!(Backend::available().next(), Some(Backend::Portable));
    let names: Vec<_> = Backend::available().map(Backend::as_str).collect();
    assert!(names.iter().all(|name| ["portable", "adx", "ifma"].contains(name)));
    assert!(Backend::available().any(|backend| backend == Backend::current()));
}
