#![allow(clippy::unwrap_used)]
use super::*;

const KEY: [u8; 32] = [7; 32];

fn usage(directory: &Path, limit: Option<u64>) -> Usage {
    let rule = KeyRule { max_signatures: limit, warn_signatures: None, id: None };
    Usage::new(directory, BTreeMap::from([("k".to_owned(), rule)])).unwrap()
}

fn on_disk(directory: &Path) -> u64 {
    let file = directory.join(format!("key-usage-{}.toml", hex::encode(KEY)));
    let text = std::fs::read_to_string(file).unwrap();
    toml::from_str::<Content>(&text).unwrap().signatures
}

/// Signs until it is refused, at most so often.
fn sign(usage: &Usage, times: u64) -> (u64, Option<Refusal>) {
    let account = usage.account(KEY, "k");
    for signed in 0..times {
        if let Err(refusal) = usage.take(&account) {
            return (signed, Some(refusal));
        }
    }
    (times, None)
}

#[test]
fn an_orderly_end_leaves_the_exact_count_and_the_next_worker_goes_on_from_it() {
    let directory = tempfile::tempdir().unwrap();
    for round in 1..=3 {
        let usage = usage(directory.path(), None);
        assert_eq!(sign(&usage, 2500), (2500, None));
        assert_eq!(usage.counts()[0].signatures_total, round * 2500);
        assert!(on_disk(directory.path()) >= round * 2500, "on disk before it is used");
        usage.give_back();
        assert_eq!(on_disk(directory.path()), round * 2500);
    }
}

#[test]
fn a_kill_makes_the_count_too_high_within_the_slack_and_never_too_low() {
    let directory = tempfile::tempdir().unwrap();
    let mut made = 0;
    for round in 1..=4 {
        let usage = usage(directory.path(), None);
        made += sign(&usage, 700).0;
        drop(usage);
        let counted = on_disk(directory.path());
        assert!((made..=made + round * BLOCK * 3 / 2).contains(&counted), "{counted} counted, {made} made");
    }
}

#[test]
fn a_limit_holds_exactly_over_two_workers_and_frees_what_one_gives_back() {
    let directory = tempfile::tempdir().unwrap();
    let (one, other) = (usage(directory.path(), Some(1000)), usage(directory.path(), Some(1000)));
    let threads: Vec<_> = [one, other]
        .into_iter()
        .map(|usage| {
            std::thread::spawn(move || {
                let made = sign(&usage, 5000).0;
                (usage, made)
            })
        })
        .collect();
    let ended: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    let made: u64 = ended.iter().map(|(_, made)| made).sum();
    assert_eq!(made, 1000, "none lost, none too many");
    let (signed, refusal) = sign(&ended[0].0, 1);
    assert_eq!((signed, refusal.unwrap().code.as_str()), (0, codes::KEY_LIMIT));
    assert!(ended[0].0.account(KEY, "k").exhausted().unwrap().contains("1000"));
}

#[test]
fn what_a_worker_gives_back_another_may_use() {
    let directory = tempfile::tempdir().unwrap();
    let one = usage(directory.path(), Some(256));
    assert_eq!(sign(&one, 1), (1, None));
    let other = usage(directory.path(), Some(256));
    let made = sign(&other, 256).0;
    assert!(made < 255, "the first has some set aside");
    one.give_back();
    other.account(KEY, "k").state().refused_until = None;
    assert_eq!(made + sign(&other, 256).0, 255);
}

#[test]
fn a_label_in_use_again_does_not_inherit_a_count_and_a_renamed_key_keeps_its_own() {
    let directory = tempfile::tempdir().unwrap();
    let usage = usage(directory.path(), None);
    assert_eq!(sign(&usage, 5), (5, None));
    let other = usage.account([8; 32], "k");
    usage.take(&other).unwrap();
    assert_eq!(other.signatures().0, 1);
    assert_eq!(usage.account(KEY, "renamed").signatures().0, 5);
}

#[test]
fn a_count_that_cannot_be_kept_stops_a_limited_key_only() {
    for (limit, stops) in [(None, false), (Some(1000), true)] {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join(format!("key-usage-{}.toml", hex::encode(KEY)));
        std::fs::write(&file, "signatures = many").unwrap();
        let (_, refusal) = sign(&usage(directory.path(), limit), 10);
        assert_eq!(refusal.is_some(), stops);
        if let Some(refusal) = refusal {
            assert!(refusal.code == codes::KEY_LIMIT && refusal.message.contains("key-usage-"), "{}", refusal.message);
        }
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "signatures = many", "nothing is overwritten");
    }
}
