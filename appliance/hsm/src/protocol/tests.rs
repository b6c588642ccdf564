#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

fn label() -> impl Strategy<Value = String> {
    "[ -~]{0,70}"
}

fn operation() -> impl Strategy<Value = Operation> {
    let octets = prop::collection::vec(any::<u8>(), 0..200);
    prop_oneof![
        (label(), any::<[u8; 32]>(), prop::option::of(octets.clone())).prop_map(|(label, e, tbs)| Operation::Sign {
            label,
            e,
            tbs
        }),
        Just(Operation::ListKeys),
        label().prop_map(|label| Operation::PublicKey { label }),
        (label(), prop::sample::select(&KeyAlgorithm::ALL[..]))
            .prop_map(|(label, algorithm)| Operation::GenerateKey { label, algorithm }),
        (label(), prop::sample::select(&Scheme::ALL[..]), any::<[u8; 32]>(), prop::option::of(octets.clone()))
            .prop_map(|(label, scheme, digest, tbs)| Operation::SignDigest { label, scheme, digest, tbs }),
        (label(), label()).prop_map(|(label, subject)| Operation::Csr { label, subject }),
        (label(), octets.clone()).prop_map(|(label, certificate)| Operation::ImportCertificate { label, certificate }),
        any::<u32>().prop_map(|count| Operation::Random { count }),
        (label(), octets.clone()).prop_map(|(label, nonce)| Operation::SelfProof { label, nonce }),
        Just(Operation::Status),
        (any::<Option<[u8; 16]>>(), any::<u64>()).prop_map(|(id, from)| Operation::Journal { id, from }),
        (label(), octets.clone()).prop_map(|(label, cipher)| Operation::Unseal { label, cipher }),
        (label(), any::<[u8; 32]>()).prop_map(|(label, key_id)| Operation::DestroyKey { label, key_id }),
        (label(), label(), octets.clone(), octets).prop_map(|(label, wrapping_label, enveloped_key, certificate)| {
            Operation::ImportEncryptionKey { label, wrapping_label, enveloped_key, certificate }
        }),
    ]
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        any::<[u8; 32]>().prop_map(|half| {
            let mut signature = [0; 64];
            signature[..32].copy_from_slice(&half);
            Outcome::Done(Answer::Signature(signature))
        }),
        prop::collection::vec(any::<u8>(), 0..600).prop_map(|octets| Outcome::Done(Answer::DigestSignature(octets))),
        prop::collection::vec(any::<u8>(), 0..=MAX_OPENED)
            .prop_map(|octets| Outcome::Done(Answer::Opened(Secret::new(octets)))),
        Just(Outcome::Busy),
        label().prop_map(Outcome::Unavailable),
        (label(), label()).prop_map(|(code, message)| Outcome::Refused(Refusal { code, message })),
        (any::<u64>(), any::<u32>(), label()).prop_map(|(signatures_total, pid, grade)| {
            let key = KeyCount {
                label: grade.clone(),
                key_id: [7; 32],
                signatures_total,
                limit: Some(signatures_total),
                warns_at: None,
            };
            let status = Status { pid, grade, signatures_total, keys: vec![key], ..Status::default() };
            Outcome::Done(Answer::Status(Box::new(status)))
        }),
        (label(), any::<bool>(), prop::option::of(any::<[u8; 32]>())).prop_map(|(label, proven, certificate_hash)| {
            Outcome::Done(Answer::Keys(vec![KeyEntry {
                label,
                id: vec![1],
                public_key: Some([4; 65]),
                certificate_hash,
                proven,
                problem: None,
                usage: if proven { KeyUsage::Encrypt } else { KeyUsage::Sign },
                signatures: proven.then_some(5),
                signature_limit: None,
                algorithm: proven.then_some(KeyAlgorithm::Rsa3072),
                key_id: certificate_hash,
            }]))
        }),
    ]
}

proptest! {
    #[test]
    fn requests_survive_the_wire(id: u64, operation in operation()) {
        let request = Request { id, operation };
        let frame = encode(&request).unwrap();
        prop_assert_eq!(decode::<Request>(&frame[4..]).unwrap(), request);
    }

    #[test]
    fn replies_survive_the_wire(id: u64, outcome in outcome()) {
        let reply = Reply { id, outcome };
        let frame = encode(&reply).unwrap();
        prop_assert_eq!(decode::<Reply>(&frame[4..]).unwrap(), reply);
    }

    #[test]
    fn arbitrary_octets_give_a_value_or_an_error(octets in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = decode::<Hello>(&octets);
        let _ = decode::<Welcome>(&octets);
        let _ = decode::<Request>(&octets);
        let _ = decode::<Reply>(&octets);
    }

    #[test]
    fn changed_requests_give_a_value_or_an_error(
        operation in operation(), position in any::<prop::sample::Index>(), value: u8, cut in any::<prop::sample::Index>(),
    ) {
        let mut content = encode(&Request { id: 7, operation }).unwrap()[4..].to_vec();
        let place = position.index(content.len());
        content[place] = value;
        let _ = decode::<Request>(&content);
        content.truncate(cut.index(content.len() + 1));
        let _ = decode::<Request>(&content);
    }
}

proptest! {
    #[test]
    fn changed_replies_give_a_value_or_an_error(
        outcome in outcome(), position in any::<prop::sample::Index>(), value: u8, cut in any::<prop::sample::Index>(),
    ) {
        let mut content = encode(&Reply { id: 7, outcome }).unwrap()[4..].to_vec();
        let place = position.index(content.len());
        content[place] = value;
        let _ = decode::<Reply>(&content);
        content.truncate(cut.index(content.len() + 1));
        let _ = decode::<Reply>(&content);
    }
}

#[test]
fn octets_after_the_item_are_refused() {
    let mut content = encode(&Request { id: 1, operation: Operation::Status }).unwrap()[4..].to_vec();
    content.push(0);
    assert!(matches!(decode::<Request>(&content), Err(FrameError::Malformed)));
}

#[test]
fn deep_nesting_does_not_exhaust_the_stack() {
    // Key 9 is unknown and its value is skipped: 60 000 arrays, each inside the one before.
    let mut content = vec![0xa2, 0x00, 0x01, 0x09];
    content.extend(std::iter::repeat_n(0x81, 60_000));
    assert!(decode::<Request>(&content).is_err());
}

#[test]
fn unknown_fields_are_skipped() {
    let content = [0xa3, 0x00, 0x05, 0x01, 0x82, 0x08, 0x80, 0x18, 0x63, 0x61, b'x'];
    let request: Request = decode(&content).unwrap();
    assert_eq!(request, Request { id: 5, operation: Operation::Status });
}

#[test]
fn a_frame_above_the_limit_is_not_written() {
    let operation = Operation::ImportCertificate { label: "k".into(), certificate: vec![0; MAX_FRAME] };
    assert!(matches!(encode(&Request { id: 1, operation }), Err(FrameError::TooLarge(_))));
}

const LONG: std::time::Duration = std::time::Duration::from_mins(1);

#[tokio::test]
async fn a_frame_above_the_limit_is_not_read() {
    let mut input = &[0x00, 0x01, 0x00, 0x01, 0, 0][..];
    assert!(matches!(read_frame(&mut input, LONG, LONG).await, Err(FrameError::TooLarge(65_537))));
    let mut input = &[0, 0, 0, 0][..];
    assert!(matches!(read_frame(&mut input, LONG, LONG).await, Err(FrameError::Empty)));
    let mut input = &[0, 0, 0, 9, 1][..];
    assert!(matches!(read_frame(&mut input, LONG, LONG).await, Err(FrameError::Io(_))));
    let mut input = &[][..];
    assert!(matches!(read_frame(&mut input, LONG, LONG).await, Ok(None)));
}

#[test]
fn a_request_never_prints_what_it_carries() {
    let operation = Operation::Sign { label: "k".into(), e: [7; 32], tbs: Some(b"secret".to_vec()) };
    assert_eq!(format!("{operation:?}"), "Operation(sign)");
    let operation = Operation::Unseal { label: "k".into(), cipher: b"sealed".to_vec() };
    assert_eq!(format!("{operation:?}"), "Operation(unseal)");
}

#[tokio::test]
async fn a_slow_frame_and_a_silent_peer_are_told_apart() {
    let short = std::time::Duration::from_millis(20);
    let (mut peer, mut input) = tokio::io::duplex(64);
    assert!(matches!(read_frame(&mut input, short, LONG).await, Err(FrameError::Idle)));
    tokio::io::AsyncWriteExt::write_all(&mut peer, &[0, 0]).await.unwrap();
    assert!(matches!(read_frame(&mut input, LONG, short).await, Err(FrameError::Slow)));
}

#[test]
fn an_opened_secret_does_not_print_and_has_its_limit() {
    let opened = Reply { id: 1, outcome: Outcome::Done(Answer::Opened(Secret::new(vec![0xab; MAX_OPENED]))) };
    let printed = format!("{opened:?}");
    assert!(printed.contains("Secret(..)") && !printed.contains("171"), "{printed}");
    let long = Reply { id: 1, outcome: Outcome::Done(Answer::Opened(Secret::new(vec![1; MAX_OPENED + 1]))) };
    assert!(decode::<Reply>(&encode(&long).unwrap()[4..]).is_err());
}

#[test]
fn the_state_of_an_older_worker_is_still_read() {
    let new = Status { pid: 7, replacement_problem: Some("why".into()), ..Status::default() };
    let octets = minicbor::to_vec(&new).unwrap();
    // A map without the keys that came later.
    let mut decoder = minicbor::Decoder::new(&octets);
    let fields = decoder.map().unwrap().unwrap();
    let mut old = minicbor::Encoder::new(Vec::new());
    let older: Vec<_> = (0..fields)
        .filter_map(|_| {
            let key = decoder.u32().unwrap();
            let start = decoder.position();
            decoder.skip().unwrap();
            (key < 27).then(|| (key, octets[start..decoder.position()].to_vec()))
        })
        .collect();
    old.map(older.len() as u64).unwrap();
    let mut old = old.into_writer();
    for (key, value) in older {
        minicbor::encode(key, &mut old).unwrap();
        old.extend(value);
    }
    assert_eq!(decode::<Status>(&old).unwrap(), Status { pid: 7, ..Status::default() });
}
