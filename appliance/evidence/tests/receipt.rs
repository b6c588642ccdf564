//! A receipt's form: what is one, what is not, and that it comes back as it was made.
#![allow(clippy::unwrap_used)]

mod support;

use proptest::prelude::*;
use yanqian_evidence::receipt::{MAX_EVIDENCE, MAX_RECEIPT};
use yanqian_evidence::{Body, LeafHash, Outcome, OutcomeUnknown, Receipt, ReceiptError, Record};

fn der(content: u8) -> Vec<u8> {
    vec![0x30, 1, content]
}

/// Records 1, 3 and 5 of the second schema's samples: a check of two steps.
fn story() -> Vec<Record> {
    let records = support::records_2();
    [0, 2, 4].map(|at: usize| records[at].1.clone()).to_vec()
}

fn made(records: &[Record]) -> Result<Receipt, ReceiptError> {
    let octets = records.iter().map(Record::encode).collect();
    let salt = matches!(records.first().map(|record| &record.body), Some(Body::Intent(_))).then_some([7; 32]);
    Receipt::new(octets, vec![der(1), der(2), der(1)], vec![der(3)], salt)
}

fn good() -> Receipt {
    made(&story()).unwrap()
}

#[test]
fn a_receipt_comes_back_as_it_was_made_whatever_its_white_space_and_order() {
    let receipt = good();
    assert_eq!(receipt.certificates.len(), 2, "one that is given twice is kept once");
    assert!(receipt.records.iter().all(|entry| entry.leaf == LeafHash::of_record(&entry.octets)));
    let json = receipt.to_json();
    assert!(json.starts_with(r#"{"v":1,"state":"pending","verification":""#), "{json}");
    assert!(json.ends_with(r#","anchor":null}"#), "{json}");
    assert_eq!(Receipt::from_json(json.as_bytes()), Ok(receipt.clone()));
    let moved =
        json.replacen(r#"{"v":1,"#, "{\n ", 1).replacen(r#","anchor":null}"#, ", \"anchor\": null,\"v\":1\n}\n", 1);
    assert_eq!(Receipt::from_json(moved.as_bytes()), Ok(receipt));
}

#[test]
fn every_kind_of_end_has_a_receipt_and_half_a_story_has_none() {
    let story = story();
    let refusal = support::records_2().pop().unwrap().1;
    let unknown = Record {
        body: OutcomeUnknown { verification: support::verification(1), intent: 1 }.into(),
        ..story[2].clone()
    };
    let Body::Outcome(outcome) = &story[2].body else { panic!("an outcome") };
    let single = Record { body: Outcome { exchange: None, ..outcome.clone() }.into(), ..story[2].clone() };
    let [intent, exchange, end] = [0, 1, 2].map(|at| story[at].clone());
    for whole in [
        vec![intent.clone(), single.clone()],
        vec![intent.clone(), unknown.clone()],
        vec![intent.clone(), exchange.clone(), unknown.clone()],
        vec![refusal.clone()],
        vec![unknown.clone()],
    ] {
        assert!(made(&whole).is_ok(), "{whole:?}");
    }
    let other = |record: &Record, verification| {
        let mut record = record.clone();
        match &mut record.body {
            Body::Intent(intent) => intent.verification = verification,
            Body::Exchange(exchange) => exchange.verification = verification,
            Body::Outcome(outcome) => outcome.verification = verification,
            _ => {}
        }
        record
    };
    let nine = support::verification(9);
    for broken in [
        vec![],
        vec![intent.clone()],
        vec![end.clone()],
        vec![exchange.clone()],
        vec![intent.clone(), end.clone()],
        vec![intent.clone(), exchange.clone()],
        vec![intent.clone(), exchange.clone(), single.clone()],
        vec![exchange.clone(), end.clone()],
        vec![end.clone(), intent.clone()],
        vec![refusal.clone(), refusal.clone()],
        vec![intent.clone(), refusal.clone()],
        vec![intent.clone(), other(&exchange, nine), end.clone()],
        vec![intent.clone(), exchange.clone(), other(&end, nine)],
        vec![other(&intent, nine), exchange.clone(), end.clone()],
        vec![Record { sequence: 9, ..intent.clone() }, exchange.clone(), end.clone()],
        vec![intent.clone(), Record { sequence: 5, ..exchange.clone() }, end.clone()],
        vec![intent.clone(), exchange.clone(), Record { time: support::time(0), ..end.clone() }],
    ] {
        assert_eq!(made(&broken), Err(ReceiptError::Records), "{broken:?}");
    }
    let salted = Receipt::new(vec![refusal.encode()], vec![], vec![], Some([7; 32])).unwrap();
    assert_eq!(salted.salt, None, "there is nothing to open");
    let damaged = Receipt::new(vec![vec![0xa6]], vec![], vec![], None);
    assert!(matches!(damaged, Err(ReceiptError::Record(1, _))));
    let no_der = Receipt::new(vec![refusal.encode()], vec![], vec![vec![0x30]], None);
    assert_eq!(no_der, Err(ReceiptError::Value("revocation")));
}

#[test]
fn other_spellings_are_refused() {
    let json = good().to_json();
    let check = |from: &str, to: &str| {
        assert!(json.contains(from), "{from}");
        Receipt::from_json(json.replacen(from, to, 1).as_bytes()).unwrap_err()
    };
    assert_eq!(check(r#""v":1"#, r#""v":2"#), ReceiptError::Version(2));
    assert_eq!(check("pending", "awaited"), ReceiptError::State("awaited".to_owned()));
    assert_eq!(check("pending", "anchored"), ReceiptError::Anchor);
    assert!(matches!(check(r#""anchor":null"#, r#""anchor":{}"#), ReceiptError::Json(_)));
    for (from, to) in [
        (r#","anchor":null"#, ""),
        (r#""salt":"0707"#, r#""salt":null,"more":"0707"#),
        (r#""v":1"#, r#""v":1,"v":1"#),
        (r#""v":1"#, r#""v":1.0"#),
        (r#""v":1"#, r#""v":"1""#),
        (r#","anchor":null}"#, r#","anchor":null}}"#),
        (r#""records":["#, r#""records":[null,"#),
    ] {
        assert!(matches!(check(from, to), ReceiptError::Json(_)), "{from} {to}");
    }
    let values: serde_json::Value = serde_json::from_str(&json).unwrap();
    let members =
        ["v", "state", "verification", "records", "leaf_hashes", "certificates", "revocation", "salt", "anchor"];
    let array = serde_json::to_vec(&members.map(|member| &values[member])).unwrap();
    assert!(matches!(Receipt::from_json(&array), Err(ReceiptError::Json(_))), "an array in the object's place");
    assert_eq!(check(r#""salt":"0707"#, r#""salt":"070"#), ReceiptError::Value("salt"));
    assert_eq!(check("MAEB", "MAEC0"), ReceiptError::Value("certificates"), "padding");
    assert_eq!(check("MAEB", "MAEB MAEB"), ReceiptError::Value("certificates"), "white space");
    assert_eq!(check("MAEB", "MAIB"), ReceiptError::Value("certificates"), "no DER");
    assert_eq!(check("MAEB", "MAEC"), ReceiptError::Count("certificates"), "one twice");
    assert_eq!(check(r#""leaf_hashes":["#, r#""leaf_hashes":["", "#), ReceiptError::Count("leaf_hashes"));
    assert_eq!(Receipt::from_json(&vec![b' '; MAX_RECEIPT + 1]), Err(ReceiptError::TooLarge));
    let many = (0..=u8::try_from(MAX_EVIDENCE).unwrap()).map(der).collect();
    let octets = story().iter().map(Record::encode).collect();
    assert_eq!(Receipt::new(octets, many, vec![], None), Err(ReceiptError::Count("certificates")));
}

#[test]
fn a_receipt_beyond_its_size_is_not_made() {
    let list = |n: u8| [&[0x30, 0x83, 0x7f, 0xff, 0xff, n][..], &vec![0; 0x7f_fffe]].concat();
    let octets = story().iter().map(Record::encode).collect();
    assert_eq!(Receipt::new(octets, vec![], vec![list(1), list(2)], None), Err(ReceiptError::TooLarge));
}

#[test]
fn a_receipt_prints_neither_salt_nor_records() {
    let printed = format!("{:?}", good());
    assert!(!printed.contains("0707") && !printed.contains('['), "{printed}");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_octets_never_panic(octets in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = Receipt::from_json(&octets);
    }

    #[test]
    fn a_changed_receipt_never_panics_and_what_is_taken_is_written_the_same_way(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut json = good().to_json().into_bytes();
        for (at, value) in changes {
            let at = at.index(json.len());
            json[at] = value;
        }
        if let Ok(receipt) = Receipt::from_json(&json) {
            let text = String::from_utf8(json).unwrap();
            prop_assert_eq!(receipt.to_json(), text);
            for entry in &receipt.records {
                let _ = entry.decode();
            }
        }
    }
}
