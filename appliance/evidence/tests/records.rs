//! What is and what is not a record.
#![allow(clippy::unwrap_used)]

mod support;

use proptest::prelude::*;
use yanqian_evidence::{Context, Kind, MAX_RECORD, Record, RecordError, Schema};

fn good() -> Vec<u8> {
    support::records()[0].1.encode()
}

#[test]
fn a_record_decodes_to_what_was_encoded() {
    for (name, record) in support::records().into_iter().chain(support::records_2()) {
        assert_eq!(Record::decode(&record.encode()), Ok(record), "{name}");
    }
}

#[test]
fn another_schema_is_told_apart_from_damage() {
    let mut octets = good();
    assert_eq!(octets[..3], [0xa6, 0x00, 0x01]);
    octets[2] = 0x05;
    assert_eq!(Record::decode(&octets), Err(RecordError::UnknownSchema(5)));
    // Whatever else a later schema may change.
    assert_eq!(Record::decode(&[0xa9, 0x00, 0x18, 0x63]), Err(RecordError::UnknownSchema(99)));
}

#[test]
fn a_record_of_the_first_schema_with_parts_of_the_second_is_refused() {
    for (name, record) in support::records_2() {
        let mut octets = record.encode();
        assert_eq!(octets[..3], [0xa6, 0x00, 0x02], "{name}");
        octets[2] = 0x01;
        assert_eq!(Record::decode(&octets), Err(RecordError::NotInSchema(Schema::One)), "{name}");
        let plain = Context { encryption_key: None, encryption_certificate: None, ..record.context.clone() };
        let old = Record { schema: Schema::One, context: plain, ..record };
        let newer = old.body.kind() == Kind::Exchange || matches!(name, "outcome-after-exchange" | "outcome-reading");
        let expected = if newer { Err(RecordError::NotInSchema(Schema::One)) } else { Ok(old.clone()) };
        assert_eq!(Record::decode(&old.encode()), expected, "{name}");
    }
}

#[test]
fn a_changed_key_is_refused_in_a_record_of_an_earlier_schema() {
    for (name, record) in support::records_3() {
        for schema in [Schema::One, Schema::Two] {
            let earlier = Record { schema, ..record.clone() };
            let expected = if name == "intent" { Ok(earlier.clone()) } else { Err(RecordError::NotInSchema(schema)) };
            assert_eq!(Record::decode(&earlier.encode()), expected, "{name}");
        }
    }
}

#[test]
fn what_became_of_search_keys_and_salts_is_refused_in_a_record_of_an_earlier_schema() {
    for (name, record) in support::records_4() {
        assert_eq!(Record::decode(&record.encode()), Ok(record.clone()), "{name}");
        for schema in [Schema::One, Schema::Two, Schema::Three] {
            let earlier = Record { schema, ..record.clone() };
            assert_eq!(Record::decode(&earlier.encode()), Err(RecordError::NotInSchema(schema)), "{name}");
        }
    }
}

#[test]
fn a_record_without_anything_new_may_be_of_either_schema_and_the_two_differ() {
    for (name, record) in support::records() {
        let newer = Record { schema: Schema::CURRENT, ..record.clone() };
        assert_eq!(Record::decode(&newer.encode()), Ok(newer.clone()), "{name}");
        assert_eq!(yanqian_evidence::encode(newer.sequence, newer.time, &newer.context, &newer.body), newer.encode());
        assert_ne!(newer.encode(), record.encode(), "{name}");
    }
}

#[test]
fn an_unknown_kind_is_refused() {
    let mut octets = good();
    assert_eq!(octets[3..5], [0x01, 0x01]);
    octets[4] = 0x09;
    assert_eq!(Record::decode(&octets), Err(RecordError::UnknownKind(9)));
}

#[test]
fn an_octet_more_or_less_is_refused() {
    let octets = good();
    assert_eq!(Record::decode(&[&octets[..], &[0]].concat()), Err(RecordError::NotCanonical));
    for length in 0..octets.len() {
        assert!(Record::decode(&octets[..length]).is_err(), "{length}");
    }
    assert_eq!(Record::decode(&vec![0; MAX_RECORD + 1]), Err(RecordError::TooLarge));
}

#[test]
fn other_encodings_of_the_same_content_are_refused() {
    let octets = good();
    // The sequence 1 in two octets.
    let long = [&octets[..6], &[0x18, 0x01], &octets[7..]].concat();
    assert_eq!(octets[5..7], [0x02, 0x01]);
    assert_eq!(Record::decode(&long), Err(RecordError::NotCanonical));
    // Keys out of order.
    let swapped = [&octets[..5], &octets[7..7 + 10], &octets[5..7], &octets[17..]].concat();
    assert_eq!(octets[7..9], [0x03, 0x1b]);
    assert!(matches!(Record::decode(&swapped), Err(RecordError::Malformed(_))));
    // Of indefinite length.
    let indefinite = [&[0xbf], &octets[1..], &[0xff]].concat();
    assert!(matches!(Record::decode(&indefinite), Err(RecordError::Malformed(_))));
}

/// The sample's encoding with one more entry at the end of its body, whose map head is `head`.
fn longer(name: &str, head: u8, entry: &[u8]) -> Vec<u8> {
    let (_, record) = support::records().into_iter().find(|(sample, _)| *sample == name).unwrap();
    let mut octets = record.encode();
    let key = [0x05, head, 0x00, 0x50];
    let at = octets.windows(4).position(|window| window == key).unwrap() + 1;
    octets[at] += 1;
    octets.extend_from_slice(entry);
    octets
}

#[test]
fn an_unknown_key_a_null_option_and_an_unsorted_set_are_refused() {
    let unknown = longer("refusal-without-options", 0xa5, &[0x18, 0x20, 0x00]);
    assert_eq!(Record::decode(&unknown), Err(RecordError::NotCanonical));
    let null = longer("refusal-without-options", 0xa5, &[0x09, 0xf6]);
    assert!(matches!(Record::decode(&null), Err(RecordError::Malformed(_))));
    let null = longer("intent-without-options", 0xac, &[0x0a, 0xf6]);
    assert_eq!(Record::decode(&null), Err(RecordError::NotCanonical));

    let intent = good();
    let number = [&[0x66][..], b"number"].concat();
    let name = [&[0x64][..], b"name"].concat();
    let pair = [&number[..], &name[..]].concat();
    let at = intent.windows(pair.len()).position(|window| window == pair).unwrap();
    let swapped = [&intent[..at], &name, &number, &intent[at + pair.len()..]].concat();
    assert_eq!(Record::decode(&swapped), Err(RecordError::NotCanonical), "fields out of order");
    let twice = [&intent[..at], &number, &[0x66], b"number", &intent[at + pair.len()..]].concat();
    assert!(Record::decode(&twice).is_err(), "a field twice");
}

#[test]
fn words_that_no_list_has_are_refused() {
    let octets = good();
    for (word, other) in
        [(&b"real-name"[..], &b"real-game"[..]), (b"development", b"cdevelopmen"), (b"number", b"bumner")]
    {
        let at = octets.windows(word.len()).position(|window| window == word).unwrap();
        let mut changed = octets.clone();
        changed[at..at + word.len()].copy_from_slice(other);
        assert!(matches!(Record::decode(&changed), Err(RecordError::Malformed(_))), "{other:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_octets_never_panic(octets in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = Record::decode(&octets);
    }

    #[test]
    fn a_changed_record_is_refused_or_says_something_else(
        which in 0usize..30,
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let samples: Vec<_> = support::records().into_iter().chain(support::records_2()).collect();
        let (_, record) = &samples[which];
        let octets = record.encode();
        let mut changed = octets.clone();
        for (at, value) in changes {
            let at = at.index(changed.len());
            changed[at] = value;
        }
        if let Ok(decoded) = Record::decode(&changed) {
            prop_assert_eq!(decoded.encode(), changed.clone(), "one encoding for each record");
            prop_assert_eq!(decoded == *record, changed == octets);
        }
    }
}
