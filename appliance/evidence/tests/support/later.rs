//! What later schemas added to records.

use super::*;

/// What schema 2 adds, in an order in which a ledger could hold them: a check of two steps, and a reading.
pub fn bodies_2() -> Vec<(&'static str, Body)> {
    let outcome = outcome();
    let exchange = Exchange {
        verification: verification(1),
        intent: 1,
        step: Label::new("apply"),
        signature: outcome.signature.clone().unwrap(),
        answer: outcome.answer.clone().unwrap(),
        signer: outcome.signer.clone().unwrap(),
        chain: outcome.chain.clone(),
        revocation: outcome.revocation.clone(),
        platform_time: outcome.platform_time,
        platform_serial: outcome.platform_serial.clone(),
        steps: outcome.steps.clone(),
        times: outcome.times.clone(),
        trust: TrustHash::new([0xc6; 32]),
        platform_status: 200,
        next: NextRequest {
            request: ContentDigest::new([0xd2; 32]),
            nonce: Nonce::new([0xd3; 16]),
            to_be_signed: ToBeSigned::Attributes { der: der(0x31, b"of the next") },
        },
    };
    let bare = Exchange {
        verification: verification(2),
        intent: 2,
        answer: Answer { signature: None, attributes: None, ..exchange.answer.clone() },
        chain: Vec::new(),
        revocation: Vec::new(),
        platform_time: None,
        platform_serial: None,
        steps: Vec::new(),
        times: Times { signed: None, sent: None, answered: None, ..exchange.times.clone() },
        next: NextRequest { to_be_signed: ToBeSigned::Content { e: SignedDigest::new([0xd4; 32]) }, ..exchange.next },
        ..exchange.clone()
    };
    let portrait = Intent {
        mode: Mode::RealPerson,
        fields: BTreeSet::from([Field::Number, Field::Name, Field::BirthDate, Field::Portrait]),
        ..intent()
    };
    let chip = Intent { mode: Mode::ChipReading, fields: BTreeSet::from([Field::Chip]), ..intent_without_options() };
    let read =
        Decision::Verdict { overall: Verdict::Match, fields: BTreeMap::from([(Field::Chip, FieldVerdict::Match)]) };
    let reading = Outcome {
        verification: verification(2),
        intent: 2,
        decision: read,
        exchange: Some(4),
        reading: Some(ContentDigest::new([0xd5; 32])),
        ..outcome.clone()
    };
    vec![
        ("intent-portrait", portrait.into()),
        ("intent-chip", chip.into()),
        ("exchange", exchange.into()),
        ("exchange-without-options", bare.into()),
        ("outcome-after-exchange", Outcome { exchange: Some(3), ..outcome }.into()),
        ("outcome-reading", reading.into()),
        ("refusal", refusal().into()),
    ]
}

/// What schema 3 adds: changes of the key in use.
pub fn bodies_3() -> Vec<(&'static str, Body)> {
    let change = |usage, former| Management::KeyChanged {
        usage: Label::new(usage),
        key: KeyId::new([0xe7; 32]),
        certificate: der(0x30, b"our next certificate"),
        former,
    };
    vec![
        ("intent", intent().into()),
        ("management-key-changed", change("signing", Some(KeyId::new([0xa1; 32]))).into()),
        ("management-key-changed-first", change("encryption", None).into()),
    ]
}

/// What schema 3 adds, as the first records of a ledger.
pub fn records_3() -> Vec<(&'static str, Record)> {
    numbered(bodies_3(), Schema::Three)
}

fn administered(
    operation: &'static str,
    result: &'static str,
    key: Option<KeyId>,
    object: Option<ContentDigest>,
) -> Management {
    let (token, operation, result) = (Label::new("hsm-a"), Label::new(operation), Label::new(result));
    Management::TokenAdministered { token, operation, result, key, object, operator: 996, at: time(5) }
}

/// What schema 4 adds: what becomes of search keys and salts.
pub fn bodies_4() -> Vec<(&'static str, Body)> {
    let (hash, text) = (SegmentHash::new([0xea; 32]), ContentDigest::new([0xeb; 32]));
    let salt = |operator| Management::SaltDestroyed { verification: verification(1), operator };
    vec![
        ("management-search-epoch-begun", Management::SearchEpochBegun { epoch: 2, operator: None }.into()),
        ("management-search-epoch-ordered", Management::SearchEpochBegun { epoch: 3, operator: Some(997) }.into()),
        ("management-search-epoch-destroyed", Management::SearchEpochDestroyed { epoch: 2, operator: Some(0) }.into()),
        ("management-search-epoch-lost", Management::SearchEpochDestroyed { epoch: 1, operator: None }.into()),
        ("management-salt-destroyed", salt(Some(997)).into()),
        ("management-salt-destroyed-unasked", salt(None).into()),
        ("management-token-ordered", administered("generate-key", "ordered", None, None).into()),
        (
            "management-token-administered",
            administered("csr", "done", Some(KeyId::new([0xe8; 32])), Some(ContentDigest::new([0xe9; 32]))).into(),
        ),
        ("management-segment-removed", Management::SegmentRemoved { segment: 7, hash }.into()),
        ("management-segment-expired", Management::SegmentExpired { segment: 7, hash, operator: None }.into()),
        (
            "management-segment-expired-ordered",
            Management::SegmentExpired { segment: 8, hash, operator: Some(0) }.into(),
        ),
        ("management-hold-placed", Management::HoldPlaced { hold: 1, text, operator: 997 }.into()),
        ("management-hold-released", Management::HoldReleased { hold: 1, text, operator: 997 }.into()),
    ]
}

/// What schema 4 adds, as the first records of a ledger.
pub fn records_4() -> Vec<(&'static str, Record)> {
    numbered(bodies_4(), Schema::Four)
}

/// What schema 2 adds, as the first records of a ledger.
pub fn records_2() -> Vec<(&'static str, Record)> {
    let context = |sequence: u64| Context {
        encryption_key: Some(KeyId::new([0xa5; 32])),
        encryption_certificate: Some(CertificateHash::new([0xa6; 32])).filter(|_| sequence > 1),
        ..context()
    };
    bodies_2()
        .into_iter()
        .zip(1u64..)
        .map(|((name, body), sequence)| {
            let time = time(i64::try_from(sequence).unwrap() * 10);
            (name, Record { schema: Schema::Two, sequence, time, context: context(sequence), body })
        })
        .collect()
}

/// What came to schema 2 later, each record by itself: older readers pass over what they do not know.
pub fn records_2_later() -> Vec<(&'static str, Record)> {
    let bodies: [(_, Body); 1] = [(
        "management-configuration-loaded-with-transport",
        Management::ConfigurationLoaded {
            configuration: ContentDigest::new([0xe1; 32]),
            trust: None,
            certificate: None,
            transport: Some(Label::new("rfc8998")),
            tls_key: Some(KeyId::new([0xe7; 32])),
            tls_key_grade: Some(Label::new("file")),
        }
        .into(),
    )];
    let record = |body| Record { schema: Schema::Two, sequence: 1, time: time(10), context: context(), body };
    bodies.into_iter().map(|(name, body)| (name, record(body))).collect()
}
