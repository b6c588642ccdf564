//! The tree on disk: it follows the ledger, comes back from its tiles, and never signs another history.
#![allow(clippy::unwrap_used)]

mod support;

use std::path::Path;

use support::owner::Owner;
use yanqian_evidence::proof::{self, Consistency, Inclusion};
use yanqian_evidence::{Checkpoint, CheckpointKey, LeafHash, Origin, RootHash, SignatureLine, SignedCheckpoint, Tree};
use yanqian_ledger::tree::{
    Anchors, Checkpoints, Cosigned, ProvenTree, TileReader, TreeError, TreeKeeper, TreePlaces, Witness, WitnessError,
    prove_tree,
};
use yanqian_ledger::{Appended, Ledger, LedgerConfig};
use yanqian_sm::PublicKey;
use yanqian_vocabulary::Timestamp;

const LATER: i64 = 1_764_100_000_000;

struct Scene {
    directory: tempfile::TempDir,
    places: TreePlaces,
    ledger: Option<Ledger>,
    leaves: Vec<LeafHash>,
}

impl Scene {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let places = TreePlaces::in_state(directory.path());
        let mut scene = Self { directory, places, ledger: None, leaves: Vec::new() };
        scene.open();
        scene
    }

    fn open(&mut self) {
        let config = LedgerConfig { segment_octets: 60_000, reserve_octets: 4096, ..support::config() };
        self.ledger = Some(Ledger::open(&self.places.ledger, config, support::clock()).unwrap().0);
    }

    fn append(&mut self, count: u64) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let ledger = self.ledger.as_ref().unwrap();
        let all = runtime.block_on(async {
            let mut all: Vec<Appended> = Vec::new();
            for _ in 0..count {
                let n = self.leaves.len() as u64 + all.len() as u64;
                all.push(ledger.append(support::context(), support::intent(n)).await.unwrap());
            }
            all
        });
        self.leaves.extend(all.iter().map(|appended| appended.leaf));
    }

    fn durable(&self) -> u64 {
        self.leaves.len() as u64
    }

    fn keeper(&self) -> TreeKeeper {
        TreeKeeper::open(self.places.clone(), support::config().origin, self.durable()).unwrap()
    }

    fn root(&self, size: u64) -> RootHash {
        let mut tree = Tree::default();
        for leaf in &self.leaves[..usize::try_from(size).unwrap()] {
            tree.push(*leaf);
        }
        tree.root()
    }

    /// One checkpoint more, over everything.
    fn checkpoint(&self, keeper: &mut TreeKeeper) -> Checkpoint {
        let checkpoint = keeper.advance(self.durable(), now()).unwrap().unwrap();
        keeper.publish(signed(&checkpoint)).unwrap();
        checkpoint
    }
}

fn now() -> Timestamp {
    Timestamp::from_unix_millis(LATER)
}

/// The room below the verifier does not look at signatures: any will do here.
fn signed(checkpoint: &Checkpoint) -> SignedCheckpoint {
    SignedCheckpoint::new(checkpoint.clone(), line("ledger"))
}

fn line(name: &str) -> SignatureLine {
    SignatureLine { name: Origin::new(name).unwrap(), key_id: [1; 4], signature: [2; 64] }
}

fn files(directory: &Path) -> Vec<String> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(files(&path));
        } else {
            all.push(path.to_str().unwrap().to_owned());
        }
    }
    all
}

#[test]
fn every_checkpoint_is_of_the_records_and_consistent_with_those_before_it() {
    let mut scene = Scene::new();
    let mut keeper = scene.keeper();
    assert_eq!(keeper.advance(0, now()).unwrap(), None, "there is nothing to sign");
    let mut made: Vec<Checkpoint> = Vec::new();
    for more in [1, 1, 5, 120, 129, 1, 300, 40] {
        scene.append(more);
        let checkpoint = scene.checkpoint(&mut keeper);
        assert_eq!((checkpoint.size, checkpoint.root), (scene.durable(), scene.root(scene.durable())));
        assert_eq!(keeper.advance(scene.durable(), now()).unwrap(), None);
        made.push(checkpoint);
    }
    let size = scene.durable();
    let tiles = TileReader::new(&scene.places.tree, size);
    for old in &made {
        let proof = Consistency::of(&tiles, old.size, size).unwrap().unwrap();
        assert_eq!(proof.verify((old.size, old.root), (size, scene.root(size))), Ok(()));
        // A tree of the past is read from the tiles of today.
        assert_eq!(proof::root(&TileReader::new(&scene.places.tree, old.size), old.size).unwrap(), old.root);
    }
    for index in [0, 1, 255, 256, 511, size - 1] {
        let proof = Inclusion::of(&tiles, index, size).unwrap().unwrap();
        let leaf = scene.leaves[usize::try_from(index).unwrap()];
        assert_eq!(proof.verify(leaf, size, scene.root(size)), Ok(()));
    }
    let published = std::fs::read(scene.places.tree.join("checkpoint")).unwrap();
    assert_eq!(SignedCheckpoint::from_octets(&published).unwrap().checkpoint, *made.last().unwrap());
    let full = std::fs::read(scene.places.tree.join("tile/0/000")).unwrap();
    assert_eq!(full.len(), 8192);
    assert!(full.starts_with(scene.leaves[0].as_bytes()));
    assert!(!scene.places.tree.join("tile/0/000.p").exists(), "partial tiles go when the full one is there");
    assert!(scene.places.tree.join(format!("tile/0/002.p/{}", size - 512)).exists());
    assert!(files(&scene.places.tree).iter().all(|name| !name.contains(".new")));
}

#[test]
fn a_restart_goes_on_from_the_tiles_and_needs_no_segment_that_they_cover() {
    let mut scene = Scene::new();
    scene.append(700);
    scene.checkpoint(&mut scene.keeper());
    scene.append(30);
    // Sealed segments that were archived: only the newest ones are left.
    scene.ledger = None;
    std::fs::rename(scene.places.ledger.join("00000001.seg"), scene.directory.path().join("archived")).unwrap();
    let mut keeper = scene.keeper();
    assert_eq!(keeper.covered(), 700);
    let checkpoint = scene.checkpoint(&mut keeper);
    assert_eq!((checkpoint.size, checkpoint.root), (730, scene.root(730)));
}

#[test]
fn damaged_tiles_are_made_again_from_the_ledger_and_must_give_the_signed_root() {
    let mut scene = Scene::new();
    scene.append(300);
    scene.checkpoint(&mut scene.keeper());
    for (name, octets) in
        [("tile/0/001.p/44", vec![0; 44 * 32]), ("tile/0/001.p/44", vec![]), ("tile/1/000.p/1", vec![7; 32])]
    {
        std::fs::write(scene.places.tree.join(name), octets).unwrap();
        let keeper = scene.keeper();
        assert_eq!(keeper.covered(), 300);
        let root = proof::root(&TileReader::new(&scene.places.tree, 300), 300).unwrap();
        assert_eq!(root, scene.root(300), "{name}");
    }
    std::fs::remove_dir_all(&scene.places.tree).unwrap();
    scene.append(1);
    assert_eq!(scene.checkpoint(&mut scene.keeper()).root, scene.root(301));
}

#[test]
fn a_ledger_that_was_rolled_back_or_exchanged_is_not_signed_again() {
    let mut scene = Scene::new();
    scene.append(20);
    scene.checkpoint(&mut scene.keeper());
    let open = |durable| TreeKeeper::open(scene.places.clone(), support::config().origin, durable);
    assert!(matches!(open(19), Err(TreeError::RolledBack { ledger: 19, checkpoint: 20 })));
    let mut other = Scene::new();
    std::fs::remove_dir_all(&other.places.ledger).unwrap();
    other.ledger = None;
    other.open();
    other.append(1);
    // Another history of the same length: the first record is the same, the second is not.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    for n in 1000..1030 {
        let ledger = other.ledger.as_ref().unwrap();
        runtime.block_on(ledger.append(support::context(), support::intent(n))).unwrap();
    }
    let mixed = TreePlaces { ledger: other.places.ledger.clone(), ..scene.places.clone() };
    let error = TreeKeeper::open(mixed.clone(), support::config().origin, 31).unwrap_err();
    assert!(matches!(error, TreeError::Forked(20)) && error.is_of_another_history(), "{error}");
    // With the tiles gone it is found all the same.
    std::fs::remove_dir_all(&scene.places.tree).unwrap();
    assert!(matches!(TreeKeeper::open(mixed, support::config().origin, 31), Err(TreeError::Forked(20))));
    let renamed = TreeKeeper::open(scene.places.clone(), Origin::new("another").unwrap(), 20);
    assert!(matches!(renamed, Err(TreeError::OtherCheckpoint(_))));
}

#[test]
fn a_checkpoint_that_is_not_of_the_tree_is_not_published_and_none_goes_back() {
    let mut scene = Scene::new();
    scene.append(10);
    let mut keeper = scene.keeper();
    let good = keeper.advance(10, now()).unwrap().unwrap();
    let wrong = Checkpoint { root: RootHash::new([7; 32]), ..good.clone() };
    assert!(matches!(keeper.publish(signed(&wrong)), Err(TreeError::Inconsistent { .. })));
    assert!(!scene.places.tree.join("checkpoint").exists());
    let ahead = Checkpoint { size: 11, ..good.clone() };
    assert!(keeper.publish(signed(&ahead)).is_err());
    keeper.publish(signed(&good)).unwrap();
    assert!(keeper.publish(signed(&good)).is_err(), "once is enough");
    let early = keeper.advance(10, now()).unwrap();
    assert_eq!(early, None);
    scene.append(1);
    let next = keeper.advance(11, Timestamp::from_unix_millis(0)).unwrap().unwrap();
    assert_eq!(next.time, good.time, "the clock went back, the checkpoints' time does not");
}

#[test]
fn a_receipt_is_anchored_by_the_first_checkpoint_that_covers_all_its_records() {
    let mut scene = Scene::new();
    let mut keeper = scene.keeper();
    let anchors = Anchors::new(scene.places.clone());
    let record = |scene: &Scene, sequence: u64| (sequence, scene.leaves[usize::try_from(sequence - 1).unwrap()]);
    scene.append(5);
    assert_eq!(anchors.anchor(&[record(&scene, 2)]).unwrap(), None);
    let mut sizes = Vec::new();
    for more in [0, 3, 992, 1, 2000] {
        scene.append(more);
        sizes.push(scene.checkpoint(&mut keeper).size);
    }
    assert_eq!(sizes, [5, 8, 1000, 1001, 3001]);
    let checkpoints = Checkpoints::new(&scene.places.checkpoints);
    assert_eq!(checkpoints.latest().unwrap(), Some(3001));
    for sequence in 1..=3002 {
        let first = sizes.iter().copied().find(|size| *size >= sequence);
        assert_eq!(checkpoints.first_covering(sequence).unwrap(), first, "{sequence}");
    }
    let anchor = anchors.anchor(&[record(&scene, 2), record(&scene, 7)]).unwrap().unwrap();
    assert_eq!(anchor.checkpoint.checkpoint.size, 8);
    for (proof, sequence) in anchor.proofs.iter().zip([2, 7]) {
        assert_eq!(proof.index, sequence - 1);
        assert_eq!(proof.verify(record(&scene, sequence).1, 8, scene.root(8)), Ok(()));
    }
    assert_eq!(anchor.timestamp, None);
    std::fs::write(scene.places.checkpoints.join("008.tst"), [0x30, 0]).unwrap();
    assert!(anchors.anchor(&[record(&scene, 7)]).unwrap().unwrap().timestamp.is_some());
    let other = (7, LeafHash::new([7; 32]));
    assert!(matches!(anchors.anchor(&[other]), Err(TreeError::Forked(8))), "a record that is not in the tree");
}

#[test]
fn what_a_witness_cosigned_is_kept_beside_its_checkpoint_and_compared_at_a_start() {
    let mut scene = Scene::new();
    scene.append(10);
    let mut keeper = scene.keeper();
    let first = signed(&scene.checkpoint(&mut keeper));
    scene.append(10);
    let second = signed(&scene.checkpoint(&mut keeper));
    let file = scene.directory.path().join("elsewhere/cosigned");
    let cosigned = Cosigned::new(&file);
    assert_eq!(cosigned.read().unwrap(), None);
    let mut by_witness = second.clone();
    by_witness.add(line("witness")).unwrap();
    assert!(cosigned.take(&by_witness, &scene.places).unwrap());
    assert_eq!(Checkpoints::new(&scene.places.checkpoints).read(20).unwrap(), Some(by_witness.clone()));
    // An older one changes nothing; one that was never signed is refused.
    let mut older = first.clone();
    older.add(line("witness")).unwrap();
    assert!(!cosigned.take(&older, &scene.places).unwrap());
    assert_eq!(cosigned.read().unwrap(), Some(by_witness.clone()));
    let mut invented = by_witness.clone();
    invented.checkpoint.root = RootHash::new([7; 32]);
    assert!(matches!(cosigned.take(&invented, &scene.places), Err(TreeError::OtherCheckpoint(_))));

    let witnessed = by_witness.checkpoint;
    keeper.continues(&witnessed, 20).unwrap();
    keeper.continues(&first.checkpoint, 20).unwrap();
    // The whole state restored from before the second checkpoint, and continued differently.
    let mut restored = Scene::new();
    restored.append(10);
    let mut keeper = restored.keeper();
    let behind = keeper.continues(&witnessed, 10);
    assert!(matches!(behind, Err(TreeError::RolledBack { ledger: 10, checkpoint: 20 })));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    for n in 500..520 {
        let appending = restored.ledger.as_ref().unwrap().append(support::context(), support::intent(n));
        runtime.block_on(appending).unwrap();
    }
    assert!(matches!(keeper.continues(&witnessed, 30), Err(TreeError::Forked(20))));
}

/// A key whose signatures RustCrypto makes would be the same work; a point is enough to be refused by.
fn stranger() -> CheckpointKey {
    let generator = "0432c4ae2c1f1981195f9904466a39c9948fe30bbff2660be1715a4589334c74c7bc3736a2f4f6779c59bdcee36b692153d0a9877cc62a474002df32e52139f0a0";
    let octets: Vec<u8> =
        (0..generator.len()).step_by(2).map(|at| u8::from_str_radix(&generator[at..at + 2], 16).unwrap()).collect();
    CheckpointKey { name: Origin::new("ledger").unwrap(), public: PublicKey::from_sec1(&octets).unwrap() }
}

#[test]
fn every_checkpoint_and_every_bit_of_the_tiles_is_held_against_the_ledger() {
    let mut scene = Scene::new();
    let mut keeper = scene.keeper();
    for count in [3, 260, 40] {
        scene.append(count);
        scene.checkpoint(&mut keeper);
    }
    let sizes = Checkpoints::new(&scene.places.checkpoints).sizes().unwrap();
    assert_eq!(sizes, [3, 263, 303]);
    let prove = |durable| prove_tree(&scene.places, &sizes, durable);
    // A full one, two of the next while it grew, and one above.
    let whole = ProvenTree { checkpoints: 3, covered: 303, tiles: 4, signatures: false };
    assert_eq!(prove(303).unwrap(), whole);
    assert!(matches!(prove(302), Err(TreeError::RolledBack { ledger: 302, checkpoint: 303 })));

    for name in files(&scene.places.tree.join("tile")) {
        let good = std::fs::read(&name).unwrap();
        for at in (0..good.len()).step_by(31) {
            let mut bad = good.clone();
            bad[at] ^= 1 << (at % 8);
            std::fs::write(&name, &bad).unwrap();
            let found = prove(303);
            assert!(matches!(found, Err(TreeError::Tile(_))), "{name} octet {at}: {found:?}");
        }
        std::fs::write(&name, &good).unwrap();
    }

    // Another ledger, every hash of it right, in the place of the one that was signed.
    let mut other = Scene::new();
    other.append(1);
    // One number left out: from the second on, records say something else.
    other.leaves.push(other.leaves[0]);
    other.append(302);
    let places = TreePlaces { ledger: other.places.ledger.clone(), ..scene.places.clone() };
    let found = prove_tree(&places, &sizes, 303);
    assert!(matches!(found, Err(TreeError::Tile(_) | TreeError::Forked(3))), "{found:?}");
}

#[test]
fn receipts_of_early_records_are_anchored_though_the_tree_was_made_again() {
    let mut scene = Scene::new();
    scene.append(3);
    let mut keeper = scene.keeper();
    scene.checkpoint(&mut keeper);
    scene.append(300);
    scene.checkpoint(&mut keeper);
    drop(keeper);
    std::fs::remove_dir_all(&scene.places.tree).unwrap();
    drop(scene.keeper());
    let records = [(1, scene.leaves[0]), (3, scene.leaves[2])];
    let anchor = Anchors::new(scene.places.clone()).anchor(&records).unwrap().unwrap();
    assert_eq!(anchor.checkpoint.checkpoint.size, 3, "the first that covers them");
}

#[test]
fn a_witness_cosigns_no_checkpoint_of_an_earlier_time() {
    let mut scene = Scene::new();
    let mut keeper = scene.keeper();
    scene.append(3);
    let first = scene.checkpoint(&mut keeper);
    scene.append(2);
    let second = scene.checkpoint(&mut keeper);
    let witness = Witness::open(&scene.directory.path().join("witness")).unwrap();
    let (own, owner) = (Origin::new("other").unwrap(), Owner::of_this_ledger());
    let admit = |checkpoint: &Checkpoint| {
        let tiles = TileReader::new(&scene.places.tree, checkpoint.size);
        let prove = |old| Ok(Consistency::of(&tiles, old, checkpoint.size)?.unwrap());
        witness.admit(&owner.signed(checkpoint), &own, &[owner.key()], prove)
    };
    admit(&first).unwrap();
    for checkpoint in [&first, &second] {
        let earlier = Checkpoint { time: first.time.plus_millis(-1), ..checkpoint.clone() };
        assert!(matches!(admit(&earlier), Err(WitnessError::Earlier { .. })), "{} records", checkpoint.size);
    }
    admit(&second).unwrap();
}

#[test]
fn a_witness_cosigns_neither_itself_nor_what_no_known_key_signed() {
    let mut scene = Scene::new();
    scene.append(3);
    let offered = signed(&scene.checkpoint(&mut scene.keeper()));
    let witness = Witness::open(&scene.directory.path().join("witness")).unwrap();
    let own = support::config().origin;
    let other = Origin::new("other").unwrap();
    let none = |_| -> Result<Consistency, WitnessError> { panic!("nothing was cosigned before") };
    assert!(matches!(witness.admit(&offered, &own, &[stranger()], none), Err(WitnessError::OwnOrigin)));
    assert!(matches!(witness.admit(&offered, &other, &[], none), Err(WitnessError::UnknownOrigin(_))));
    assert!(matches!(witness.admit(&offered, &other, &[stranger()], none), Err(WitnessError::Checkpoint(_))));
    assert_eq!(witness.last(&own).unwrap(), None, "what is refused leaves no trace");
}
