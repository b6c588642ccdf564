//! Every back end gives the same verdicts. Which one is used is settled once for a process, so each runs in its own.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod support;

use std::collections::HashMap;
use std::io::{Read, Write};
use std::process::{Command, Stdio};

use support::cases::{Random, structured};
use support::{Numbers, how_many};
use yanqian_sm::{
    Backend, BatchItem, E, FixedKey, KeyRef, PublicKey, Signature, VerifyingKey, sm3, verify, verify_batch,
};

const TRANSCRIPT: &str = "transcript of ";

/// What the back ends judge, in octets: key, e, r and s of each.
type Row = [u8; 160];

/// Made once, by the model: the processes below only judge.
fn rows() -> Vec<Row> {
    let mut cases = structured();
    cases.extend(Random::new(5).take(how_many(20_000) / 5));
    cases.iter().map(|case| [&case.key.raw, &case.e[..], &case.r, &case.s].concat().try_into().unwrap()).collect()
}

/// All that this process's back end says of the cases.
fn transcript(rows: &[Row]) -> Vec<u8> {
    let mut numbers = Numbers::new(5);
    let mut said = Vec::new();
    for group in rows.chunks(96) {
        let mut keys: HashMap<&[u8; 64], (PublicKey, VerifyingKey, FixedKey)> = HashMap::new();
        let mut parts = Vec::new();
        for row in group {
            let (key, rest) = row.split_first_chunk().unwrap();
            let (e, signature) = rest.split_first_chunk().unwrap();
            parts.push((key, E::from_digest(*e), signature.try_into().unwrap()));
            keys.entry(key).or_insert_with(|| {
                let public = PublicKey::from_raw(key).unwrap();
                (public, VerifyingKey::new(&public), FixedKey::new(&public))
            });
        }
        let mut items = Vec::new();
        for (key, e, signature) in parts {
            let Ok(signature) = Signature::from_raw(signature) else {
                said.push(b'-');
                continue;
            };
            let (public, prepared, fixed) = &keys[key];
            said.push(if verify(public, &e, &signature).is_ok() { b'G' } else { b'b' });
            said.push(if prepared.verify(&e, &signature).is_ok() { b'G' } else { b'b' });
            said.push(if fixed.verify(&e, &signature).is_ok() { b'G' } else { b'b' });
            items.push(
                [KeyRef::Plain(public), KeyRef::Prepared(prepared), KeyRef::Fixed(fixed)].map(|key| BatchItem {
                    key,
                    e,
                    signature,
                }),
            );
        }
        let mut rest = items.as_slice();
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(numbers.below(20) + 1));
            rest = later;
            let mixed = numbers.next();
            // All without tables, with tables in between, all with tables, and anything.
            for choice in [0, 0x5555_5555_5555_5555, u64::MAX, mixed] {
                let batch: Vec<BatchItem<'_>> = now
                    .iter()
                    .enumerate()
                    .map(|(place, item)| item[(choice >> (3 * place) & 3).min(2) as usize])
                    .collect();
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
        let mut octets = Vec::new();
        std::io::stdin().read_to_end(&mut octets).unwrap();
        let rows: Vec<Row> = octets.chunks_exact(160).map(|row| row.try_into().unwrap()).collect();
        let said = transcript(&rows);
        println!("{TRANSCRIPT}{:?}: {} verdicts {}", Backend::current(), said.len(), hex::encode(sm3(&[&said])));
    }
}

#[test]
fn every_back_end_gives_the_same_verdicts() {
    let octets = rows().concat();
    let children: Vec<_> = Backend::available()
        .map(|backend| {
            let mut child = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "prints_its_transcript_when_asked", "--nocapture"])
                .env("YANQIAN_SM_BACKEND", backend.as_str())
                .env("YANQIAN_SM_TRANSCRIPT", "1")
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            // Read to its end before anything is judged, and closed here.
            child.stdin.take().unwrap().write_all(&octets).unwrap();
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
