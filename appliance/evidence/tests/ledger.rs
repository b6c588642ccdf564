//! What a verifier proves of segments, and how it tells damage from a torn tail.
#![allow(clippy::unwrap_used)]

mod support;

use proptest::prelude::*;
use yanqian_evidence::segment::SegmentHeader;
use yanqian_evidence::verify::{Place, Segment};
use yanqian_evidence::{ChainValue, Defect, Frame, Mark, Summary, Verifier, VerifyError};

fn verify(segments: &[Vec<u8>], mark: Option<Mark>) -> Result<(Verifier, Segment), VerifyError> {
    let mut verifier = Verifier::new(mark);
    let (last, sealed) = segments.split_last().unwrap();
    for segment in sealed {
        verifier.segment(segment, Place::Sealed, |_| {})?;
    }
    let durable = mark.map_or(0, |mark| mark.sequence);
    let found = verifier.segment(last, Place::Last { durable }, |_| {})?;
    Ok((verifier, found))
}

#[test]
fn every_prefix_of_a_ledger_verifies() {
    let ledger = support::ledger();
    let [first, second] = &ledger.segments[..] else { panic!() };
    let header = SegmentHeader::decode(second).unwrap().1;
    let sealed = {
        let mut verifier = Verifier::new(None);
        verifier.segment(first, Place::Sealed, |_| {}).unwrap();
        verifier
    };
    for length in header..=second.len() {
        let mut verifier = sealed.clone();
        let found = verifier.segment(&second[..length], Place::Last { durable: 0 }, |_| {}).unwrap();
        let whole = ledger.ends.iter().filter(|end| **end <= length).count();
        assert_eq!(verifier.summary().records, 4 + whole as u64);
        let torn = !ledger.ends.contains(&length) && length != header;
        assert_eq!(found.tail.is_some(), torn, "{length}");
    }
}

#[test]
fn every_single_bit_flip_is_detected() {
    let ledger = support::ledger();
    let [first, second] = &ledger.segments[..] else { panic!() };
    let mut octets = first.clone();
    for bit in 0..octets.len() * 8 {
        octets[bit / 8] ^= 1 << (bit % 8);
        let error = Verifier::new(Some(ledger.mark)).segment(&octets, Place::Sealed, |_| {}).unwrap_err();
        assert_eq!(error.segment, 1, "bit {bit}");
        octets[bit / 8] ^= 1 << (bit % 8);
    }
    let mut sealed = Verifier::new(Some(ledger.mark));
    sealed.segment(first, Place::Sealed, |_| {}).unwrap();
    let mut octets = second.clone();
    let header = SegmentHeader::decode(second).unwrap().1;
    for bit in 0..octets.len() * 8 {
        octets[bit / 8] ^= 1 << (bit % 8);
        let place = Place::Last { durable: ledger.mark.sequence };
        let error = sealed.clone().segment(&octets, place, |_| {}).unwrap_err();
        // The error names the very record that was hit.
        let hit = ledger.ends.iter().filter(|end| **end <= bit / 8).count() as u64;
        let expected = (bit / 8 >= header).then_some(5 + hit);
        assert_eq!((error.segment, error.sequence), (2, expected), "bit {bit}: {error}");
        octets[bit / 8] ^= 1 << (bit % 8);
    }
}

#[test]
fn a_broken_frame_is_a_torn_tail_only_when_nobody_was_promised_its_record() {
    let mut ledger = support::ledger();
    let records = ledger.ends.len();
    let broken = |ledger: &mut support::Ledger, from_end: usize| {
        let at = ledger.ends[records - 1 - from_end] - 1;
        let mut segments = ledger.segments.clone();
        segments[1][at] ^= 1;
        segments
    };
    // Records 22 and 23 share the last batch: 23 is alone in it here, 21 and 22 are the batch before.
    let segments = broken(&mut ledger, 0);
    assert!(verify(&segments, None).unwrap().1.tail.is_some(), "the last frame, and no mark that says it was durable");
    assert!(matches!(verify(&segments, Some(ledger.mark)), Err(e) if matches!(e.defect, Defect::AcknowledgedFrame(_))));
    let before = Mark { sequence: 22, ..ledger.mark };
    let older = Mark { length: ledger.ends[records - 2] as u64, ..before };
    // The mark may be older than the ledger, here by the last record.
    let chain = Frame::read(start(&ledger), &ledger.segments[1][ledger.ends[records - 3]..]).unwrap().chain;
    assert!(verify(&segments, Some(Mark { chain, ..older })).unwrap().1.tail.is_some());
    // A later whole frame says that 22 was durable when it was written, so 22 may not be cut, mark or no mark.
    let segments = broken(&mut ledger, 1);
    let error = verify(&segments, None).unwrap_err();
    assert!(matches!(error.defect, Defect::AcknowledgedFrame(_)), "{error}");
    assert_eq!(error.sequence, Some(22));
}

fn start(ledger: &support::Ledger) -> ChainValue {
    let length = SegmentHeader::decode(&ledger.segments[1]).unwrap().1;
    ChainValue::of_header(&ledger.segments[1][..length])
}

#[test]
fn a_frame_planted_in_a_record_does_not_speak_for_the_ledger() {
    let mut ledger = support::ledger();
    let at = ledger.ends[ledger.ends.len() - 1] - 1;
    ledger.segments[1][at] ^= 1;
    // Someone who knows the format, but not this segment's start value, claims that everything was durable.
    let frame = Frame {
        sequence: 99,
        durable: 98,
        leaf: yanqian_evidence::LeafHash::of_record(b"x"),
        chain: ChainValue::ORIGIN,
        record: b"x",
    };
    frame.write(ChainValue::ORIGIN, &mut ledger.segments[1]);
    assert!(verify(&ledger.segments, None).unwrap().1.tail.is_some());
    frame.write(start(&ledger), &mut ledger.segments[1]);
    assert!(verify(&ledger.segments, None).is_err());
}

#[test]
fn records_that_the_mark_knows_may_not_be_missing() {
    let ledger = support::ledger();
    let mut segments = ledger.segments.clone();
    segments[1].truncate(ledger.ends[ledger.ends.len() - 2]);
    let error = verify(&segments, Some(ledger.mark)).unwrap_err();
    assert_eq!((error.defect, error.sequence), (Defect::Lost { durable: 23 }, Some(23)));
}

#[test]
fn segments_that_are_swapped_left_out_or_of_another_ledger_are_refused() {
    let ledger = support::ledger();
    let [first, second] = &ledger.segments[..] else { panic!() };
    let code = |segments: &[&Vec<u8>]| {
        verify(&segments.iter().map(|segment| (*segment).clone()).collect::<Vec<_>>(), None).unwrap_err().code()
    };
    assert_eq!(code(&[second]), "segment-number");
    assert_eq!(code(&[first, first]), "segment-number");
    assert_eq!(code(&[second, first]), "segment-number");
    let rewritten = |change: &dyn Fn(&mut SegmentHeader)| {
        let (mut header, length) = SegmentHeader::decode(second).unwrap();
        change(&mut header);
        [header.encode(), second[length..].to_vec()].concat()
    };
    let zero = yanqian_evidence::SegmentHash::ORIGIN;
    assert_eq!(code(&[first, &rewritten(&|header| header.previous_chain = ChainValue::ORIGIN)]), "previous-chain");
    assert_eq!(code(&[first, &rewritten(&|header| header.previous_segment = zero)]), "previous-segment");
    assert_eq!(code(&[first, &rewritten(&|header| header.first_sequence = 6)]), "first-sequence");
    assert_eq!(code(&[first, &rewritten(&|header| header.oldest_open = 3)]), "oldest-open");
    assert_eq!(
        code(&[first, &rewritten(&|header| header.node = yanqian_vocabulary::NodeId::new("node-2").unwrap())]),
        "other-ledger"
    );
    // A header that is changed and still fits makes every frame after it foreign.
    let later = rewritten(&|header| header.created = support::time(1));
    let mut verifier = Verifier::new(None);
    verifier.segment(first, Place::Sealed, |_| {}).unwrap();
    assert_eq!(verifier.segment(&later, Place::Sealed, |_| {}).unwrap_err().code(), "frame");
}

/// A ledger whose frames are sound and whose records contradict each other.
fn one_segment(change: impl Fn(&mut Vec<yanqian_evidence::Record>)) -> VerifyError {
    let mut records: Vec<_> = support::records().into_iter().map(|(_, record)| record).collect();
    change(&mut records);
    verify_records(&records).unwrap_err()
}

fn verify_records(records: &[yanqian_evidence::Record]) -> Result<Summary, VerifyError> {
    let ledger = support::ledger();
    let length = SegmentHeader::decode(&ledger.segments[0]).unwrap().1;
    let mut file = ledger.segments[0][..length].to_vec();
    let start = ChainValue::of_header(&file);
    let mut chain = start;
    for (record, sequence) in records.iter().zip(1..) {
        let octets = record.encode();
        let leaf = yanqian_evidence::LeafHash::of_record(&octets);
        chain = chain.link(leaf);
        Frame { sequence, durable: sequence - 1, leaf, chain, record: &octets }.write(start, &mut file);
    }
    verify(&[file], None).map(|(verifier, _)| verifier.summary())
}

#[test]
fn records_that_contradict_each_other_are_refused_though_every_hash_is_right() {
    use yanqian_evidence::{Body, OutcomeUnknown};
    let end = |intent, verification| Body::from(OutcomeUnknown { verification, intent });
    let error = one_segment(|records| records[4].time = support::time(0));
    assert_eq!((error.code(), error.sequence), ("time", Some(5)));
    let error = one_segment(|records| records[4].sequence = 6);
    assert_eq!(error.code(), "record-sequence");
    let error = one_segment(|records| records[4].context.node = yanqian_vocabulary::NodeId::new("node-2").unwrap());
    assert_eq!(error.code(), "record-node");
    let error = one_segment(|records| records[4].body = end(1, support::verification(1)));
    assert_eq!(error.code(), "intent-not-open", "ended twice");
    let error = one_segment(|records| records[4].body = end(2, support::verification(9)));
    assert_eq!(error.code(), "other-verification");
}

/// What schema 2 adds: record 3 is an exchange of intent 1, record 4 one of intent 2, records 5 and 6 are their ends.
#[test]
fn a_check_of_two_steps_holds_and_every_other_order_of_its_records_is_refused() {
    use yanqian_evidence::{Body, Decision, Outcome, OutcomeUnknown};
    let records: Vec<_> = support::records_2().into_iter().map(|(_, record)| record).collect();
    let summary = verify_records(&records).unwrap();
    assert_eq!((summary.records, summary.open_intents), (7, 0));
    let changed = |at: usize, body: Body| {
        let mut records = records.clone();
        records[at].body = body;
        verify_records(&records).map_err(|error| error.code())
    };
    let Body::Exchange(exchange) = &records[2].body else { panic!("an exchange") };
    let Body::Outcome(outcome) = &records[4].body else { panic!("an outcome") };
    let other = yanqian_evidence::Exchange { intent: 2, ..exchange.clone() };
    assert_eq!(changed(2, other.into()), Err("other-verification"));
    let none = yanqian_evidence::Exchange { intent: 9, ..exchange.clone() };
    assert_eq!(changed(2, none.into()), Err("intent-not-open"));
    assert_eq!(changed(6, exchange.clone().into()), Err("intent-not-open"), "after the end");
    let end = |exchange| Outcome { exchange, ..outcome.clone() };
    assert_eq!(changed(4, end(None).into()), Err("other-exchange"), "a verdict names what it follows");
    assert_eq!(changed(4, end(Some(4)).into()), Err("other-exchange"));
    let refused = |exchange| Outcome {
        decision: Decision::Refused { reason: yanqian_vocabulary::Reason::EvidenceUnavailable },
        ..end(exchange)
    };
    assert!(changed(4, refused(None).into()).is_ok(), "a writer that gave up did not know of it");
    assert_eq!(changed(4, refused(Some(1)).into()), Err("other-exchange"));
    let unknown = OutcomeUnknown { verification: outcome.verification, intent: 1 };
    assert!(changed(4, unknown.into()).is_ok());
    let mut verifier_records = records.clone();
    verifier_records.truncate(4);
    assert_eq!(verify_records(&verifier_records).unwrap().open_intents, 2, "an exchange leaves its check open");
}

#[test]
fn reading_may_start_in_the_middle_and_knows_what_is_open() {
    let ledger = support::ledger();
    let header = SegmentHeader::decode(&ledger.segments[1]).unwrap().0;
    let mut verifier = Verifier::starting_at(&header, Some(ledger.mark));
    verifier.segment(&ledger.segments[1], Place::Last { durable: 23 }, |_| {}).unwrap();
    assert_eq!((verifier.summary().records, verifier.summary().last_sequence), (19, 23));
    assert_eq!(verifier.open_intents().count(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_octets_never_panic(octets in proptest::collection::vec(any::<u8>(), 0..2000)) {
        let _ = Verifier::new(None).segment(&octets, Place::Last { durable: 0 }, |_| {});
    }

    #[test]
    fn a_changed_segment_never_panics_and_never_verifies_whole(
        cuts in proptest::collection::vec((any::<prop::sample::Index>(), 0usize..200, proptest::collection::vec(any::<u8>(), 0..200)), 1..4),
    ) {
        let ledger = support::ledger();
        let mut changed = ledger.segments[1].clone();
        for (at, remove, insert) in cuts {
            let at = at.index(changed.len());
            let end = (at + remove).min(changed.len());
            changed.splice(at..end, insert);
        }
        let segments = [ledger.segments[0].clone(), changed.clone()];
        let result = verify(&segments, Some(ledger.mark));
        if changed.starts_with(&ledger.segments[1]) {
            prop_assert!(result.is_ok());
        } else {
            prop_assert!(result.is_err());
        }
        let _ = verify(&segments, None);
    }
}
