//! A ledger whose segments go into a directory and off the node: what must hold afterwards, and what must be refused.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use support::{DAY, Node, key, keys, objects};
use yanqian_evidence::Body;
use yanqian_ledger::search::{Index, Query};
use yanqian_ledger::tree::{Checkpoints, prove_tree};
use yanqian_ledger::{Depth, OpenError, absent, read_record_at, read_records, sound_dir, verify_dir};
use yanqian_retention::{
    Archive, ArchiveError, ArchiveKeys, Expirable, Keep, Kind, Name, ObjectError, Range, Site, expire, holds, place,
    release, restore, restore_whole, verify,
};

struct Scene {
    node: Node,
    archive: Archive,
    place: tempfile::TempDir,
}

impl Scene {
    /// Four sealed segments, exported.
    async fn new() -> Self {
        let (mut node, place) = (Node::new(), tempfile::tempdir().unwrap());
        let archive = node.archive(&Site::Directory(place.path().to_owned()), keys(1));
        node.fill(4).await;
        node.export(&archive).await.unwrap();
        Self { node, archive, place }
    }

    fn object(&self, name: Name) -> PathBuf {
        self.place.path().join("bank").join(self.node.name).join(name.to_string())
    }

    fn ledger(&self) -> PathBuf {
        self.node.path("ledger")
    }

    async fn refused(&self) -> ArchiveError {
        verify(&self.archive, None, &mut |_| {}).await.unwrap_err()
    }
}

fn code(error: &ArchiveError) -> &'static str {
    error.code()
}

#[tokio::test]
async fn an_exported_ledger_is_proven_from_its_objects_and_the_key_alone() {
    let scene = Scene::new().await;
    let key = scene.node.checkpoint_key();
    let verified = verify(&scene.archive, Some(&key), &mut |_| {}).await.unwrap();
    assert_eq!((verified.ends.len(), verified.checkpoints, verified.evidence, verified.expired), (4, 4, 1, 0));
    let list = scene.node.list();
    for (line, end) in list.segments.iter().zip(&verified.ends) {
        assert_eq!(&(line.hash, line.chain, line.last), end);
    }
    let clear = b"YQLEDGER";
    for object in objects(scene.place.path()) {
        let octets = std::fs::read(&object).unwrap();
        assert!(!octets.windows(clear.len()).any(|window| window == clear), "{}", object.display());
    }
    let other = yanqian_evidence::CheckpointKey { name: yanqian_evidence::Origin::new("other").unwrap(), ..key };
    assert_eq!(code(&verify(&scene.archive, Some(&other), &mut |_| {}).await.unwrap_err()), "proof");
}

#[tokio::test]
async fn a_ledger_goes_on_without_its_oldest_segments() {
    let mut scene = Scene::new().await;
    let index = scene.node.path("search.sqlite");
    Index::open(&index).unwrap().update(&scene.ledger(), |_| {}).unwrap();
    let all: Vec<_> = read_records(&scene.ledger()).unwrap().map(Result::unwrap).collect();
    let whole = verify_dir(&scene.ledger()).unwrap();
    for segment in [1, 2] {
        scene.node.remove(&scene.archive, segment).await.unwrap();
    }
    scene.node.fill(5).await;
    let last = scene.node.list().of(2).unwrap().last;
    let absent = absent(&scene.ledger()).unwrap().unwrap();
    assert_eq!((absent.segments, absent.records), (2, last));

    // Restart, verification in both depths, tree, search, places.
    scene.node.open();
    let known = scene.node.ledger().stats().last_sequence;
    assert!(known > all.len() as u64);
    for depth in [Depth::Fast, Depth::Full] {
        let sound = sound_dir(&scene.ledger(), depth, &mut |_| {}).unwrap();
        assert_eq!((sound.absent, sound.records), (Some(absent), known), "{depth:?}");
    }
    let sizes = Checkpoints::new(&scene.node.tree().checkpoints).sizes().unwrap();
    let proven = prove_tree(&scene.node.tree(), &sizes, known).unwrap();
    assert_eq!(proven.covered, *sizes.last().unwrap());
    let mut index = Index::open(&index).unwrap();
    index.update(&scene.ledger(), |_| {}).unwrap();
    let mut away = BTreeSet::new();
    let here = index.find(&scene.ledger(), &Query::default(), 10_000, &mut away).unwrap();
    assert_eq!(away, BTreeSet::from([1, 2]));
    let first = all.first().unwrap();
    assert!(read_record_at(&scene.ledger(), first.segment, first.offset, first.leaf).is_err());

    // What comes back is read as if it had never been away.
    for segment in [1, 2] {
        restore(&scene.archive, &scene.ledger(), scene.node.list().of(segment).unwrap()).await.unwrap();
    }
    assert!(read_record_at(&scene.ledger(), first.segment, first.offset, first.leaf).is_ok());
    away.clear();
    let found = index.find(&scene.ledger(), &Query::default(), 10_000, &mut away).unwrap();
    assert!(away.is_empty() && found.len() > here.len());
    let again = verify_dir(&scene.ledger()).unwrap();
    assert_eq!((again.absent, again.summary.first_time), (None, whole.summary.first_time));
    scene.node.open();
    assert_eq!(scene.node.ledger().stats().last_sequence, known);
    let removals = read_records(&scene.ledger()).unwrap().map(Result::unwrap).filter(|entry| {
        matches!(&entry.record.body, Body::Management(yanqian_evidence::Management::SegmentRemoved { .. }))
    });
    assert_eq!(removals.count(), 2);
}

#[tokio::test]
async fn an_index_that_ended_within_a_segment_that_is_gone_goes_on_with_the_next() {
    let (mut node, place) = (Node::new(), tempfile::tempdir().unwrap());
    let archive = node.archive(&Site::Directory(place.path().to_owned()), keys(1));
    let (ledger, file) = (node.path("ledger"), node.path("search.sqlite"));
    node.check().await;
    let mut index = Index::open(&file).unwrap();
    let within = index.update(&ledger, |_| {}).unwrap().last_sequence;
    node.fill(4).await;
    node.export(&archive).await.unwrap();
    assert!(within < node.list().of(1).unwrap().last, "the index ends before the segment does");
    node.remove(&archive, 1).await.unwrap();

    let indexed = index.update(&ledger, |_| {}).unwrap();
    assert!(!indexed.anew, "what it knows of the segment that is gone is kept");
    assert_eq!(indexed.last_sequence, node.ledger().stats().last_sequence);
    let mut away = BTreeSet::new();
    let here = index.find(&ledger, &Query::default(), 10_000, &mut away).unwrap();
    assert_eq!((here.is_empty(), away), (false, BTreeSet::from([1])));
    assert_eq!(index.update(&ledger, |_| {}).unwrap().records, 0);
}

#[tokio::test]
async fn an_archive_that_lost_everything_is_filled_again_with_what_proves_it() {
    let scene = Scene::new().await;
    let list = scene.node.list();
    let mut exporter = scene.node.exporter();
    for line in &list.segments {
        exporter.export(&scene.archive, line.segment).await.unwrap();
    }
    std::fs::remove_dir_all(scene.place.path().join("bank")).unwrap();
    exporter.ask_anew();
    for line in &list.segments {
        assert_eq!(&exporter.export(&scene.archive, line.segment).await.unwrap(), line);
    }
    let verified = verify(&scene.archive, Some(&scene.node.checkpoint_key()), &mut |_| {}).await.unwrap();
    assert_eq!((verified.ends.len(), verified.checkpoints, verified.evidence), (4, 4, 1));
}

#[tokio::test]
async fn nothing_goes_that_a_start_needs_or_the_archive_does_not_hold() {
    let mut scene = Scene::new().await;
    let why = |result: Result<(), ArchiveError>| result.unwrap_err().to_string();
    assert!(why(scene.node.remove(&scene.archive, 2).await).contains("is not the oldest here"));
    assert!(matches!(scene.node.ledger().removable(5).await, Err(OpenError::NotRemovable { .. })));
    std::fs::remove_file(scene.object(Name::Segment(1))).unwrap();
    let records = scene.node.ledger().stats().last_sequence;
    assert_eq!(code(&scene.node.remove(&scene.archive, 1).await.unwrap_err()), "absent");
    assert_eq!(scene.node.ledger().stats().last_sequence, records, "nothing is put on record that is not done");
    assert!(scene.ledger().join("00000001.seg").exists());
    // The newest two stay, whatever was exported.
    scene.node.exporter().export(&scene.archive, 1).await.unwrap();
    for segment in [1, 2, 3] {
        scene.node.remove(&scene.archive, segment).await.unwrap();
    }
    assert!(why(scene.node.remove(&scene.archive, 4).await).contains("is one of the newest"));
    scene.node.open();
    scene.node.stopped().await;
}

#[tokio::test]
async fn a_crash_between_any_two_steps_loses_nothing() {
    let mut scene = Scene::new().await;
    // Between put and list: the same again.
    let before = objects(scene.place.path());
    let list = scene.ledger().join("exported");
    let lines = std::fs::read(&list).unwrap();
    drop(scene.node.ledger.take());
    std::fs::remove_file(&list).unwrap();
    scene.node.open();
    scene.node.export(&scene.archive).await.unwrap();
    assert_eq!((objects(scene.place.path()), std::fs::read(&list).unwrap()), (before, lines));

    // Between record and list: the file is there, and it is recorded again.
    let line = scene.node.list().of(1).unwrap().clone();
    scene.node.append(yanqian_evidence::Management::SegmentRemoved { segment: 1, hash: line.hash }).await;
    scene.node.open();
    scene.node.remove(&scene.archive, 1).await.unwrap();

    // Between list and file: the file is one too many, and goes without another record.
    let second = scene.ledger().join("00000002.seg");
    let octets = std::fs::read(&second).unwrap();
    scene.node.remove(&scene.archive, 2).await.unwrap();
    drop(scene.node.ledger.take());
    std::fs::write(&second, &octets).unwrap();
    scene.node.open();
    assert_eq!(absent(&scene.ledger()).unwrap().unwrap().segments, 1);
    sound_dir(&scene.ledger(), Depth::Full, &mut |_| {}).unwrap();
    scene.node.ledger().remove_sealed(2).await.unwrap();
    assert_eq!(absent(&scene.ledger()).unwrap().unwrap().segments, 2);
    sound_dir(&scene.ledger(), Depth::Full, &mut |_| {}).unwrap();

    // A torn put is no object; one that lies there torn is refused, never overwritten.
    scene.node.fill(5).await;
    std::fs::write(scene.object(Name::Segment(5)), b"YQARCH").unwrap();
    assert_eq!(code(&scene.node.export(&scene.archive).await.unwrap_err()), "header");
    assert_eq!(std::fs::read(scene.object(Name::Segment(5))).unwrap(), b"YQARCH");
}

#[tokio::test]
async fn a_segment_that_is_gone_without_the_list_is_missing() {
    let mut scene = Scene::new().await;
    drop(scene.node.ledger.take());
    std::fs::remove_file(scene.ledger().join("00000001.seg")).unwrap();
    let error = sound_dir(&scene.ledger(), Depth::Full, &mut |_| {}).unwrap_err();
    assert!(matches!(error, OpenError::SegmentMissing(1)), "{error}");
}

#[tokio::test]
async fn objects_that_are_not_what_they_should_be_are_refused_by_name() {
    let scene = Scene::new().await;
    let (first, second) = (scene.object(Name::Segment(1)), scene.object(Name::Segment(2)));
    let whole = std::fs::read(&first).unwrap();
    let is = |error: ArchiveError, expected: fn(&ObjectError) -> bool| {
        let ArchiveError::Object { name, error } = &error else { panic!("{error}") };
        assert!(expected(error) && *name == Name::Segment(1), "{name} {error}");
    };
    // Swapped, of another node, with an unknown key.
    std::fs::copy(&second, &first).unwrap();
    is(scene.refused().await, |error| matches!(error, ObjectError::OtherObject(_)));
    let mut stranger = Node::named("node-2");
    let elsewhere = tempfile::tempdir().unwrap();
    let theirs = stranger.archive(&Site::Directory(elsewhere.path().to_owned()), keys(1));
    stranger.fill(1).await;
    stranger.export(&theirs).await.unwrap();
    std::fs::copy(elsewhere.path().join("bank/node-2/segments/00000001.yqa"), &first).unwrap();
    is(scene.refused().await, |error| matches!(error, ObjectError::OtherOrigin(_)));
    // Cut off anywhere, and any octet changed.
    let last_chunk = whole.len() - 40;
    for cut in [0, 7, 15, 30, 200, last_chunk, whole.len() - 1] {
        std::fs::write(&first, &whole[..cut]).unwrap();
        is(scene.refused().await, |_| true);
    }
    for at in (0..whole.len()).step_by(97) {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        std::fs::write(&first, changed).unwrap();
        is(scene.refused().await, |_| true);
    }
    std::fs::write(&first, &whole).unwrap();
    verify(&scene.archive, None, &mut |_| {}).await.unwrap();
    // A proof or certificate that is missing.
    let certificate = objects(&scene.place.path().join("bank/node-1/certificates"));
    for object in [scene.object(Name::Proof(3)), certificate[0].clone()] {
        let octets = std::fs::read(&object).unwrap();
        std::fs::remove_file(&object).unwrap();
        assert_eq!(code(&scene.refused().await), "absent");
        std::fs::write(&object, octets).unwrap();
    }
    std::fs::remove_file(&second).unwrap();
    assert_eq!(code(&scene.refused().await), "absent");
}

#[tokio::test]
async fn a_key_can_be_changed_and_the_former_one_still_opens() {
    let mut scene = Scene::new().await;
    let site = Site::Directory(scene.place.path().to_owned());
    let wrong = scene.node.archive(&site, keys(2));
    let error = verify(&wrong, None, &mut |_| {}).await.unwrap_err();
    assert!(matches!(error, ArchiveError::Object { error: ObjectError::UnknownKey(_), .. }), "{error}");
    let both = scene.node.archive(&site, ArchiveKeys { current: key(2), former: vec![key(1)] });
    scene.node.fill(5).await;
    scene.node.export(&both).await.unwrap();
    assert_eq!(verify(&both, None, &mut |_| {}).await.unwrap().ends.len(), 5);
    assert_eq!(code(&verify(&scene.archive, None, &mut |_| {}).await.unwrap_err()), "unknown-key");
}

#[tokio::test]
async fn an_object_with_other_content_is_never_overwritten() {
    let scene = Scene::new().await;
    let name = Name::Hold(9);
    scene.archive.put(name, (0, 0), Arc::new(b"one".to_vec())).await.unwrap();
    scene.archive.put(name, (0, 0), Arc::new(b"one".to_vec())).await.unwrap();
    let error = scene.archive.put(name, (0, 0), Arc::new(b"two".to_vec())).await.unwrap_err();
    assert!(matches!(error, ArchiveError::Differs(found) if found == name), "{error}");
    assert_eq!(scene.archive.read(name).await.unwrap().unwrap().content, b"one");
}

#[tokio::test]
async fn a_segment_leaves_the_archive_once_it_is_past_its_days_and_not_held() {
    let scene = Scene::new().await;
    let (node, archive) = (&scene.node, &scene.archive);
    let keep = Keep { access_days: 1095, management_days: 1095 };
    let line = node.list().of(1).unwrap().clone();
    let expired = async |now| {
        let mut recorded = false;
        let found = expire(archive, &line, &keep, now, || {
            recorded = true;
            async { Ok(()) }
        });
        let found = found.await.unwrap();
        assert_eq!(recorded, found == Expirable::Now, "on record when it goes, and only then");
        found
    };
    let late = node.time().plus_millis(1096 * DAY);
    assert_eq!(expired(node.time().plus_millis(1090 * DAY)).await, Expirable::Young);
    let range = Range::Sequences { first: line.last, last: line.last + 1 };
    let (hold, _) = place(archive, range, "case 17", 997, node.time()).await.unwrap();
    assert_eq!(expired(late).await, Expirable::Held(hold));
    release(archive, hold, "closed", 997, node.time()).await.unwrap();
    assert!(matches!(release(archive, hold, "closed", 997, node.time()).await, Err(ArchiveError::NoHold(1))));
    let (second, _) =
        place(archive, Range::Verification { id: Node::verification(0).to_string() }, "case 18", 997, node.time())
            .await
            .unwrap();
    assert_eq!(expired(late).await, Expirable::Held(second));
    release(archive, second, "closed", 997, node.time()).await.unwrap();
    assert_eq!(holds(archive).await.unwrap().len(), 2);
    for wrong in [
        Range::Sequences { first: 2, last: 1 },
        Range::Verification { id: "x".to_owned() },
        Range::Time { from: "2026-01-01T00:00:00Z".to_owned(), until: "2025-01-01T00:00:00Z".to_owned() },
    ] {
        assert_eq!(code(&place(archive, wrong, "r", 1, node.time()).await.unwrap_err()), "hold");
    }
    assert_eq!(expired(late).await, Expirable::Now);
    assert!(!scene.object(Name::Segment(1)).exists());
    // What is left still proves the rest, and the checkpoints over all.
    let verified = verify(archive, Some(&node.checkpoint_key()), &mut |_| {}).await.unwrap();
    assert_eq!((verified.ends.len(), verified.expired, verified.checkpoints), (4, 1, 4));
    assert_eq!(archive.numbers(Kind::Expired).await.unwrap(), [1]);
}

#[tokio::test]
async fn a_lost_ledger_comes_back_from_the_archive() {
    let scene = Scene::new().await;
    let out = tempfile::tempdir().unwrap();
    assert_eq!(restore_whole(&scene.archive, out.path(), 1).await.unwrap(), (1, 4));
    for segment in 1..=4 {
        let name = format!("{segment:08}.seg");
        let read = |directory: &Path| std::fs::read(directory.join(&name)).unwrap();
        assert_eq!(read(&out.path().join("ledger")), read(&scene.ledger()));
    }
    let restored = verify_dir(&out.path().join("ledger")).unwrap();
    assert_eq!(restored.summary.last_sequence, scene.node.list().of(4).unwrap().last);
    assert_eq!(yanqian_ledger::Archive::read_only(&out.path().join("archive")).verify().unwrap(), 1);
}

#[tokio::test]
async fn what_no_checkpoint_covers_or_no_file_proves_is_not_exported() {
    let (mut node, place) = (Node::new(), tempfile::tempdir().unwrap());
    let archive = node.archive(&Site::Directory(place.path().to_owned()), keys(1));
    node.fill(1).await;
    std::fs::remove_dir_all(node.tree().checkpoints).unwrap();
    assert!(matches!(node.export(&archive).await, Err(ArchiveError::NotCovered(1))));
    std::fs::remove_dir_all(node.path("archive")).unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let archive = node.archive(&Site::Directory(elsewhere.path().to_owned()), keys(1));
    assert_eq!(code(&node.exporter().export(&archive, 1).await.unwrap_err()), "evidence");
    assert!(node.list().segments.is_empty());
}
