#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;

const ONE: usize = FixedKey::TABLE_OCTETS;

/// The n-th key: n·G, by compressed coordinates that happen to lie on the curve.
fn keys(count: usize) -> Vec<PublicKey> {
    let mut keys = Vec::new();
    for x in 1u32.. {
        if keys.len() == count {
            break;
        }
        let mut octets = [0; 33];
        octets[0] = 2;
        octets[29..].copy_from_slice(&x.to_be_bytes());
        keys.extend(PublicKey::from_sec1(&octets));
    }
    keys
}

fn verifying(keys: &[PublicKey]) -> KnownKeys {
    KnownKeys { verifying: keys.to_vec(), ..KnownKeys::default() }
}

/// Waits until nothing is in the making.
fn settle(tables: &Tables) {
    let began = Instant::now();
    while !tables.read().making.is_empty() {
        assert!(began.elapsed() < Duration::from_mins(1), "the tables are made");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// What a verification without a table and with a valid signature does.
fn meet(tables: &Arc<Tables>, key: &PublicKey, times: u32) {
    for _ in 0..times {
        if tables.verifying(key).is_none() {
            tables.sighted(KeyUse::Verify, key);
        }
    }
    settle(tables);
}

fn has(tables: &Tables, key: &PublicKey) -> bool {
    tables.read().entries.contains_key(&(KeyUse::Verify, key.to_sec1()))
}

#[test]
fn known_keys_are_tabled_at_once_pinned_ones_when_first_seen_and_others_when_seen_often() {
    let tables = Tables::new(64 * ONE);
    let keys = keys(3);
    let known = KnownKeys { verifying: vec![keys[0]], pinned: [keys[1].key_id()].into(), sealing: vec![keys[0]] };
    tables.keep(KeyOwner::Platform, &known);
    settle(&tables);
    assert!(tables.verifying(&keys[0]).is_some() && tables.sealing(&keys[0]).is_some());
    meet(&tables, &keys[1], 1);
    assert!(has(&tables, &keys[1]));
    meet(&tables, &keys[2], SEEN_OFTEN - 1);
    assert!(!has(&tables, &keys[2]));
    meet(&tables, &keys[2], 1);
    assert!(has(&tables, &keys[2]));
    let stats = tables.stats();
    assert_eq!(stats.held, [[2, 1], [1, 0]]);
    assert_eq!(stats.octets as usize, 3 * ONE + EncryptionKey::TABLE_OCTETS);
    assert_eq!((stats.hits, stats.misses[0]), ([1, 1], 1 + u64::from(SEEN_OFTEN)));
}

#[test]
fn a_passing_key_takes_the_place_of_the_one_used_least_lately() {
    let tables = Tables::new(8 * ONE);
    let keys = keys(3);
    for key in &keys[..2] {
        meet(&tables, key, SEEN_OFTEN);
    }
    assert!(tables.verifying(&keys[0]).is_some());
    meet(&tables, &keys[2], SEEN_OFTEN);
    assert_eq!([&keys[0], &keys[1], &keys[2]].map(|key| has(&tables, key)), [true, false, true]);
    assert_eq!(tables.stats().evictions, 1);
}

#[test]
fn what_its_owner_names_no_longer_passes_and_what_another_owner_names_stays() {
    let tables = Tables::new(8 * ONE);
    let keys = keys(6);
    tables.keep(KeyOwner::Platform, &verifying(&keys));
    tables.keep(KeyOwner::Entity, &verifying(&keys[..1]));
    settle(&tables);
    assert_eq!(tables.stats().held[0], [6, 0]);
    tables.keep(KeyOwner::Platform, &KnownKeys::default());
    let stats = tables.stats();
    assert_eq!((stats.held[0], stats.evictions), ([1, 2], 3), "two fit into a quarter of eight");
    assert!(has(&tables, &keys[0]));
}

#[test]
fn memory_comes_back_when_the_last_user_lets_a_table_go() {
    let tables = Tables::new(ONE);
    let keys = keys(2);
    tables.keep(KeyOwner::Platform, &verifying(&keys[..1]));
    settle(&tables);
    let used = tables.verifying(&keys[0]).unwrap();
    tables.keep(KeyOwner::Platform, &verifying(&keys[1..]));
    settle(&tables);
    assert!(!has(&tables, &keys[1]), "the old table is still in use, and there is room for one");
    assert_eq!((tables.stats().unplaced, tables.stats().octets as usize), (1, ONE));
    drop(used);
    meet(&tables, &keys[1], SEEN_OFTEN);
    assert!(has(&tables, &keys[1]), "tried again after a while");
}

#[test]
fn a_table_for_sealing_that_found_no_room_is_tried_again_too() {
    let tables = Tables::new(ONE);
    let keys = keys(2);
    tables.keep(KeyOwner::Entity, &verifying(&keys[..1]));
    settle(&tables);
    let used = tables.verifying(&keys[0]).unwrap();
    tables.keep(KeyOwner::Entity, &KnownKeys::default());
    tables.keep(KeyOwner::Platform, &KnownKeys { sealing: vec![keys[1]], ..KnownKeys::default() });
    settle(&tables);
    assert!(tables.sealing(&keys[1]).is_none());
    drop(used);
    (0..SEEN_OFTEN).for_each(|_| tables.sighted(KeyUse::Seal, &keys[1]));
    settle(&tables);
    assert!(tables.sealing(&keys[1]).is_some());
}

#[test]
fn memory_that_holds_nothing_costs_tables_and_nothing_else() {
    let tables = Tables::new(0);
    let keys = keys(1);
    tables.keep(KeyOwner::Platform, &verifying(&keys));
    meet(&tables, &keys[0], 3 * SEEN_OFTEN);
    assert_eq!((tables.stats().held, tables.stats().octets), ([[0, 0], [0, 0]], 0));
}

#[derive(Debug, Clone)]
enum Deed {
    /// A key is met so often.
    Meet(usize, u32),
    /// A table of a key is held while other things happen.
    Hold(usize),
    LetGo,
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let deed = prop_oneof![
        4 => (0..20usize, prop_oneof![1..4u32, Just(SEEN_OFTEN), Just(2 * SEEN_OFTEN)])
            .prop_map(|(key, times)| Deed::Meet(key, times)),
        1 => (0..20usize).prop_map(Deed::Hold),
        1 => Just(Deed::LetGo),
    ];
    prop::collection::vec(deed, 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn whatever_strangers_do_kept_keys_stay_tabled_and_memory_stays_within_its_limit(
        deeds in deeds(),
        kept in 1..5usize,
        room in 5..10usize,
        odd in 0..ONE,
    ) {
        let limit = room * ONE + odd;
        let tables = Tables::new(limit);
        let all = keys(25);
        let (strangers, known) = all.split_at(20);
        tables.keep(KeyOwner::Platform, &verifying(&known[..kept]));
        settle(&tables);
        let mut held = Vec::new();
        for deed in deeds {
            match deed {
                Deed::Meet(key, times) => meet(&tables, &strangers[key], times),
                Deed::Hold(key) => held.extend(tables.verifying(&strangers[key])),
                Deed::LetGo => held.clear(),
            }
            let stats = tables.stats();
            prop_assert!(stats.octets as usize <= limit, "{stats:?}");
            prop_assert!(stats.held[0][1] as usize * ONE <= limit / PASSING_PART, "{stats:?}");
            prop_assert_eq!(stats.held[0][0] as usize, kept);
            prop_assert!(known[..kept].iter().all(|key| tables.verifying(key).is_some()));
        }
    }
}

#[test]
fn many_threads_at_once_keep_the_limit_and_the_kept_keys() {
    let limit = 6 * ONE;
    let tables = Tables::new(limit);
    let all = keys(44);
    let (strangers, known) = all.split_at(40);
    tables.keep(KeyOwner::Entity, &verifying(known));
    settle(&tables);
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let tables = &tables;
            scope.spawn(move || {
                for round in 0..2_000 {
                    let key = &strangers[(thread * 5 + round / 100) % strangers.len()];
                    if tables.verifying(key).is_none() {
                        tables.sighted(KeyUse::Verify, key);
                    }
                    assert!(tables.memory.used() <= limit);
                    assert!(known.iter().all(|key| tables.verifying(key).is_some()));
                }
            });
        }
    });
    settle(&tables);
    assert!(tables.stats().held[0][1] <= 1);
}
