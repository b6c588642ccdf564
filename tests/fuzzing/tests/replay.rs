//! Every fuzz target on its seeds, on spoilt seeds and on random octets: what a fuzzer would find in its first moments, without one.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use yanqian_fuzzing::{TARGETS, Target};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz").join(name)
}

fn names(folder: &Path) -> BTreeSet<String> {
    fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect()
}

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let seeds: Vec<_> = fs::read_dir(folder("seeds").join(target))
        .unwrap()
        .map(|entry| fs::read(entry.unwrap().path()).unwrap())
        .collect();
    assert!(!seeds.is_empty(), "{target} has no seeds");
    seeds
}

#[test]
fn every_target_has_a_binary_and_seeds() {
    let targets: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names(&folder("fuzz_targets")), targets);
    assert_eq!(names(&folder("seeds")), targets);
}

#[test]
fn every_target_holds_on_its_seeds_cut_short_anywhere_and_with_any_octet_changed() {
    for (name, target) in TARGETS {
        for seed in seeds(name) {
            target(&seed);
            // Long seeds are all alike behind their head.
            for place in 0..seed.len().min(160) {
                target(&seed[..place]);
                for change in [1, 0x80, 0xff] {
                    let mut spoilt = seed.clone();
                    spoilt[place] ^= change;
                    target(&spoilt);
                }
            }
        }
    }
}

/// A seed with some of its octets overwritten and an end of its own, or anything.
fn like_seeds(name: &'static str) -> impl Strategy<Value = Vec<u8>> {
    let spoilt =
        (prop::sample::select(seeds(name)), prop::collection::vec((any::<u16>(), any::<u8>()), 0..4), any::<Vec<u8>>());
    let spoilt = spoilt.prop_map(|(mut seed, changes, end)| {
        for (place, value) in changes {
            let length = seed.len().max(1);
            if let Some(octet) = seed.get_mut(usize::from(place) % length) {
                *octet = value;
            }
        }
        if end.len() % 2 == 0 {
            seed.extend(end);
        }
        seed
    });
    prop_oneof![3 => spoilt, 1 => any::<Vec<u8>>()]
}

fn hold(name: &'static str, target: Target) {
    // As many as PROPTEST_CASES says, 256 without it.
    let mut runner = proptest::test_runner::TestRunner::default();
    runner
        .run(&like_seeds(name), |octets| {
            target(&octets);
            Ok(())
        })
        .unwrap();
}

#[test]
fn every_target_holds_on_random_octets_and_on_mixtures_of_seeds_with_them() {
    for (name, target) in TARGETS {
        hold(name, target);
    }
}
