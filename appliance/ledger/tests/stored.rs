//! Every file that is stored, found by walking the state directory: one bit of any of them, and what verifies the ledger names the
//! segment or the file. It is done here as `ledger verify` does it.
#![allow(clippy::unwrap_used)]

mod support;

use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use support::owner::Owner;
use support::{clock, config, context, intent, outcome, refusal};
use yanqian_evidence::{Context, Der, Origin, Outcome, Revocation, RevocationKind, Signer};
use yanqian_ledger::tree::{Checkpoints, ProvenTree, TreeKeeper, TreePlaces, prove_tree};
use yanqian_ledger::{Archive, ArchiveError, Archived, Depth, Ledger, LedgerConfig, Sound, sound_dir};
use yanqian_vocabulary::{CertificateHash, ContentDigest, Timestamp};

/// Files up to this size have every bit flipped, larger ones some.
const SMALL: usize = 600;
/// Bits flipped in a larger file.
const SAMPLE: usize = 80;

struct State {
    directory: tempfile::TempDir,
    places: TreePlaces,
}

impl State {
    /// Segments with checks whose certificates, lists and responses are in the archive; a tree of two levels with two signed
    /// checkpoints, the second cosigned; tiles of records that no checkpoint covers yet.
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let places = TreePlaces::in_state(directory.path());
        let archive = Archive::open(&directory.path().join("archive")).unwrap();
        let keep = |kind, octets: &[u8]| archive.put(kind, octets).unwrap();
        let [own, encryption, signer, above] = ["own", "encryption", "\x30\x00", "above"]
            .map(|octets| CertificateHash::new(keep(Archived::Certificate, octets.as_bytes())));
        let (list, response) = (keep(Archived::Crl, b"list"), keep(Archived::Ocsp, b"response"));
        let mut base: Context = context().as_ref().clone();
        (base.certificate, base.encryption_certificate) = (own, Some(encryption));
        let base = Arc::new(base);
        let revocation = |(kind, hash)| Revocation {
            kind,
            hash: ContentDigest::new(hash),
            issuer: Der::new([0x30, 0]).unwrap(),
            this_update: Timestamp::from_unix_millis(1),
            next_update: None,
        };
        let ended = |n, intent| Outcome {
            signer: Some(Signer { hash: signer, certificate: Der::new([0x30, 0]).unwrap() }),
            chain: vec![above],
            revocation: [(RevocationKind::Crl, list), (RevocationKind::Ocsp, response)].map(revocation).to_vec(),
            ..outcome(n, intent)
        };

        let config = LedgerConfig { segment_octets: 40_000, reserve_octets: 4096, ..config() };
        let origin = config.origin.clone();
        let (ledger, _) = Ledger::open(&places.ledger, config, clock()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let mut n = 0;
        let mut append = |checks: u64| {
            for _ in 0..checks {
                let begun = runtime.block_on(ledger.append(Arc::clone(&base), intent(n))).unwrap().sequence;
                runtime.block_on(ledger.append(Arc::clone(&base), ended(n, begun))).unwrap();
                n += 1;
            }
            runtime.block_on(ledger.append(Arc::clone(&base), refusal(1000 + n))).unwrap().sequence
        };
        let (owner, witness) = (Owner::of_this_ledger(), Owner::new(Origin::new("witness").unwrap(), 9));
        let checkpoints = Checkpoints::new(&places.checkpoints);
        checkpoints.keep_keys(&[owner.key(), witness.key()]).unwrap();
        checkpoints.keep_keys(&[witness.key()]).unwrap();
        let mut keeper = TreeKeeper::open(places.clone(), origin, 0).unwrap();
        let now = Timestamp::from_unix_millis(1_764_100_000_000);
        let mut newest = None;
        for checks in [1, 135] {
            let checkpoint = keeper.advance(append(checks), now).unwrap().unwrap();
            keeper.publish(owner.signed(&checkpoint)).unwrap();
            newest = Some(checkpoint);
        }
        let newest = newest.unwrap();
        let mut cosigned = owner.signed(&newest);
        cosigned.add(witness.line(&newest)).unwrap();
        // A witness that this node does not know: nothing to prove by, and nothing to complain about.
        cosigned.add(Owner::new(Origin::new("stranger").unwrap(), 11).line(&newest)).unwrap();
        checkpoints.keep_cosigned(&cosigned).unwrap();
        std::fs::write(places.checkpoints.join("274.tst"), [0x30, 0]).unwrap();
        keeper.advance(append(3), now).unwrap().unwrap();
        Self { directory, places }
    }

    fn root(&self) -> &Path {
        self.directory.path()
    }

    fn archive(&self) -> Archive {
        Archive::read_only(&self.root().join("archive"))
    }

    fn sound(&self) -> Result<Sound, String> {
        sound_dir(&self.places.ledger, Depth::Full, &mut |_| {}).map_err(|error| error.to_string())
    }

    fn tree(&self, durable: u64) -> Result<ProvenTree, String> {
        let sizes = Checkpoints::new(&self.places.checkpoints).sizes().map_err(|error| error.to_string())?;
        prove_tree(&self.places, &sizes, durable).map_err(|error| error.to_string())
    }

    fn files(&self) -> Vec<PathBuf> {
        let (mut files, mut directories) = (Vec::new(), vec![self.root().to_owned()]);
        while let Some(directory) = directories.pop() {
            for entry in std::fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() { directories.push(path) } else { files.push(path) }
            }
        }
        files.sort();
        files
    }
}

#[test]
fn one_bit_of_any_file_that_is_stored_is_found_and_its_place_is_named() {
    let state = State::new();
    let sound = state.sound().unwrap();
    let (durable, archive) = (sound.durable.unwrap(), state.archive());
    assert_eq!(archive.verify().unwrap(), 6);
    assert_eq!(sound.named.len(), 6);
    sound.named.are_in(&archive).unwrap();
    // 274 records under a checkpoint: tile 0, tile 1 of 18 and of 25 hashes, and one hash of the level above.
    let whole = ProvenTree { checkpoints: 2, covered: 274, tiles: 4, signatures: true };
    assert_eq!(state.tree(durable).unwrap(), whole);

    let (mut kinds, files) = (std::collections::BTreeMap::new(), state.files());
    for file in &files {
        let place = file.strip_prefix(state.root()).unwrap().to_str().unwrap();
        let (room, name) = (place.split('/').next().unwrap(), file.file_name().unwrap().to_str().unwrap());
        if name == "reserve" || file.extension().is_some_and(|extension| extension == "tst") {
            // Octets that mean nothing, and a token that its authority's key proves.
            continue;
        }
        *kinds.entry(room).or_insert(0) += 1;
        let named = match name.strip_suffix(".seg") {
            Some(number) => format!("segment {}, offset ", number.parse::<u64>().unwrap()),
            None => name.to_owned(),
        };
        let good = std::fs::read(file).unwrap();
        let stored = std::fs::OpenOptions::new().write(true).open(file).unwrap();
        let small = good.len() <= SMALL;
        let step = if small { 1 } else { good.len() / SAMPLE };
        for at in (0..good.len()).step_by(step) {
            let bits = if small { 0..8 } else { at / step % 8..at / step % 8 + 1 };
            for bit in bits {
                if room == "checkpoints" && is_of_stranger(&good, at) {
                    continue;
                }
                // In its place: a file written anew would be waited for at every flip.
                stored.write_all_at(&[good[at] ^ 1 << bit], at as u64).unwrap();
                // The parts of `ledger verify` read different files.
                let found = match room {
                    "ledger" => state.sound().map(drop),
                    "archive" => archive.verify().map(drop).map_err(|error| error.to_string()),
                    _ => state.tree(durable).map(drop),
                };
                let problem = found.expect_err(&format!("{place}, octet {at}, bit {bit}"));
                assert!(problem.contains(&named), "{place}, octet {at}, bit {bit}: {problem}");
            }
            stored.write_all_at(&good[at..=at], at as u64).unwrap();
        }
    }
    let expected = [("archive", 6), ("checkpoints", 4), ("ledger", 6), ("tree", 5)];
    assert_eq!(kinds.into_iter().collect::<Vec<_>>(), expected, "every room was walked");
    assert_eq!(state.tree(durable).unwrap(), whole);
}

/// Whether an octet belongs to the signature of a witness whose key this node does not have.
fn is_of_stranger(octets: &[u8], at: usize) -> bool {
    let line = "— stranger ".as_bytes();
    let begin = octets.windows(line.len()).position(|window| window == line);
    begin.is_some_and(|begin| (begin + "— ".len()..octets.len() - 1).contains(&at))
}

#[test]
fn a_file_that_a_record_names_and_that_is_gone_is_missed_with_its_record() {
    let state = State::new();
    let sound = state.sound().unwrap();
    // Those that every record names, and those that an outcome does.
    for file in state.files().into_iter().filter(|file| file.extension().is_some_and(|end| end == "der")) {
        let good = std::fs::read(&file).unwrap();
        let sequence = if matches!(good.as_slice(), b"own" | b"encryption") { 1 } else { 2 };
        std::fs::remove_file(&file).unwrap();
        state.archive().verify().expect("what is there is whole");
        let error = sound.named.are_in(&state.archive()).unwrap_err();
        assert!(matches!(&error, ArchiveError::Missing { sequence: at, .. } if *at == sequence), "{error}");
        let name = file.strip_prefix(state.root().join("archive")).unwrap().display().to_string();
        assert_eq!(error.to_string(), format!("{name}: missing, and record {sequence} names it"));
        std::fs::write(&file, good).unwrap();
    }
    sound.named.are_in(&state.archive()).unwrap();
}

#[test]
fn a_tile_or_a_key_that_is_gone_is_missed_but_no_partial_tile_of_before() {
    let state = State::new();
    let durable = state.sound().unwrap().durable.unwrap();
    for (name, needed) in [
        ("tree/tile/0/000", true),
        ("tree/tile/0/001.p/18", true),
        ("tree/tile/0/001.p/25", false),
        ("tree/tile/1/000.p/1", true),
        ("tree/checkpoint", false),
    ] {
        let file = state.root().join(name);
        let good = std::fs::read(&file).unwrap();
        std::fs::remove_file(&file).unwrap();
        let found = state.tree(durable);
        assert_eq!(found.is_err(), needed, "{name}: {found:?}");
        std::fs::write(&file, good).unwrap();
    }
    let keys = state.places.checkpoints.join("keys");
    let lines = std::fs::read_to_string(&keys).unwrap();
    let witness = lines.lines().find(|line| line.starts_with("witness+")).unwrap();
    std::fs::write(&keys, format!("{witness}\n")).unwrap();
    let error = state.tree(durable).unwrap_err();
    assert!(error.contains("003: no key is known"), "{error}");
    std::fs::remove_file(&keys).unwrap();
    assert!(!state.tree(durable).unwrap().signatures, "and that is told");
    // No reason for the daemon to make no checkpoints.
    std::fs::write(&keys, "damaged").unwrap();
    let witness = Owner::new(Origin::new("witness").unwrap(), 9);
    let known = [Owner::of_this_ledger().key(), witness.key()];
    Checkpoints::new(&state.places.checkpoints).keep_keys(&known).unwrap();
    assert_eq!(std::fs::read_to_string(&keys).unwrap(), lines);
}

#[test]
fn a_mark_that_a_power_failure_left_behind_a_checkpoint_is_no_rollback() {
    let state = State::new();
    let mark = state.places.ledger.join("durable.mark");
    let mut octets = std::fs::read(&mark).unwrap();
    // The slot before the newest one says less.
    let sizes = [3, 274];
    assert_eq!(state.sound().unwrap().provable(&sizes), 281);
    let newest = (0..2).max_by_key(|slot| octets[slot * 512 + 8..slot * 512 + 16].to_vec()).unwrap();
    octets[newest * 512..(newest + 1) * 512].fill(0);
    std::fs::write(&mark, &octets).unwrap();
    let sound = state.sound().unwrap();
    assert_eq!((sound.durable, sound.records), (Some(280), 281));
    assert_eq!(sound.provable(&[3, 281]), 281, "it is there");
    assert_eq!(sound.provable(&[3, 282]), 280, "it is not");
}
