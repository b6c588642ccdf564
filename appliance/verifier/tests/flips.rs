//! Every octet counts: a receipt that holds is refused once any one octet of it is another, and nothing ever panics.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::OnceLock;

use proptest::prelude::*;
use support::ledger::Ledger;
use support::{Site, Story};
use yanqian_evidence::receipt::Entry;
use yanqian_evidence::{LeafHash, Origin, Receipt, RootHash, ToBeSigned};
use yanqian_verify::{Trust, verify, verify_json};

struct Good {
    trust: Trust,
    receipts: Vec<(Story, Receipt)>,
}

fn good() -> &'static Good {
    static GOOD: OnceLock<Good> = OnceLock::new();
    GOOD.get_or_init(|| {
        let mut site = Site::new();
        let mut stories = vec![Story::of(&site), Story::two_steps(&site)];
        site.attributes = false;
        stories.push(Story::of(&site));
        // Pending, and the same anchored.
        let ledger = Ledger::new();
        let anchor = |receipt: Receipt, at| receipt.clone().anchored(ledger.anchor(&receipt, at)).unwrap();
        let pending = stories.iter().map(|story| (story.clone(), story.receipt()));
        let anchored = stories.iter().map(|story| (story.clone(), anchor(story.receipt(), story.at)));
        let receipts = pending.chain(anchored).collect();
        let good = Good { trust: Trust { ledgers: Some(ledger.ledgers()), ..site.trust() }, receipts };
        for (_, receipt) in &good.receipts {
            assert!(verify(receipt, &good.trust, &support::asked()).holds());
        }
        good
    })
}

/// What signatures cover, and the signatures: octets of a record for which no forger can mend anything else.
fn protected(story: &Story) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    let mut to_be_signed = vec![&story.intent.to_be_signed];
    let mut requests = vec![(story.intent.request, story.intent.nonce)];
    let outcome = &story.outcome;
    let mut signatures = vec![outcome.signature.clone().unwrap()];
    let mut answers = vec![outcome.answer.clone().unwrap()];
    if let Some(exchange) = &story.exchange {
        to_be_signed.push(&exchange.next.to_be_signed);
        requests.push((exchange.next.request, exchange.next.nonce));
        signatures.push(exchange.signature.clone());
        answers.push(exchange.answer.clone());
    }
    for what in to_be_signed {
        all.push(match what {
            ToBeSigned::Attributes { der } => der.as_bytes().to_vec(),
            ToBeSigned::Content { e } => e.as_bytes().to_vec(),
        });
    }
    for (request, nonce) in requests {
        all.extend([request.as_bytes().to_vec(), nonce.as_bytes().to_vec()]);
    }
    for signature in signatures {
        all.push(signature.signature.as_bytes().to_vec());
        all.extend(signature.attributes.map(|der| der.as_bytes().to_vec()));
    }
    for answer in answers {
        let text = String::from_utf8(answer.octets.as_bytes().to_vec()).unwrap();
        let object = text.split_once(r#""bizPackage":"#).unwrap().1.split_once(r#","sign""#).unwrap().0;
        all.push(object.as_bytes().to_vec());
        all.push(answer.signature.unwrap().as_bytes().to_vec());
        all.extend(answer.attributes.map(|der| der.as_bytes().to_vec()));
    }
    all.push(outcome.signer.as_ref().unwrap().certificate.as_bytes().to_vec());
    all.push(outcome.signer.as_ref().unwrap().hash.as_bytes().to_vec());
    all.extend(outcome.chain.iter().map(|hash| hash.as_bytes().to_vec()));
    all.extend(outcome.revocation.iter().map(|list| list.hash.as_bytes().to_vec()));
    all.push(story.intent.commitment.as_bytes().to_vec());
    all.push(story.context.key.as_bytes().to_vec());
    all.push(story.context.certificate.as_bytes().to_vec());
    all
}

fn find(haystack: &[u8], needle: &[u8]) -> Vec<usize> {
    haystack.windows(needle.len()).enumerate().filter(|(_, window)| *window == needle).map(|(at, _)| at).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_one_octet_of_the_file_changed_is_refused(
        which in 0usize..6,
        at in any::<prop::sample::Index>(),
        change in 1u8..,
    ) {
        let good = good();
        let mut json = good.receipts[which].1.to_json().into_bytes();
        let at = at.index(json.len());
        json[at] ^= change;
        let report = verify_json(&json, &good.trust, &support::asked());
        prop_assert!(!report.holds(), "octet {at}: {report:?}");
    }

    #[test]
    fn a_changed_octet_of_what_is_signed_is_refused_though_the_record_is_hashed_anew(
        which in 0usize..6,
        what in any::<prop::sample::Index>(),
        place in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        change in 1u8..,
    ) {
        let good = good();
        let (story, receipt) = &good.receipts[which];
        let parts = protected(story);
        let part = what.get(&parts);
        let places: Vec<(usize, usize)> = receipt
            .records
            .iter()
            .enumerate()
            .flat_map(|(record, entry)| find(&entry.octets, part).into_iter().map(move |at| (record, at)))
            .collect();
        prop_assert!(!places.is_empty());
        let (record, offset) = *place.get(&places);
        let mut octets = receipt.records[record].octets.clone();
        octets[offset + at.index(part.len())] ^= change;
        let mut changed = receipt.clone();
        changed.records[record] = Entry { leaf: LeafHash::of_record(&octets), octets };
        let report = verify(&changed, &good.trust, &support::asked());
        prop_assert!(!report.holds(), "{report:?}");
    }

    #[test]
    fn a_changed_octet_of_any_certificate_or_list_is_refused(
        which in 0usize..6,
        list in any::<bool>(),
        entry in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        change in 1u8..,
    ) {
        let good = good();
        let mut receipt = good.receipts[which].1.clone();
        let entries = if list { &mut receipt.revocation } else { &mut receipt.certificates };
        let entry = entry.index(entries.len());
        let mut octets = entries[entry].as_bytes().to_vec();
        let at = at.index(octets.len());
        octets[at] ^= change;
        if let Ok(der) = yanqian_evidence::Der::new(octets) {
            entries[entry] = der;
            let report = verify(&receipt, &good.trust, &support::asked());
            prop_assert!(!report.holds(), "{report:?}");
        }
    }

    #[test]
    fn a_changed_octet_of_an_anchor_is_refused_though_it_is_well_formed(
        which in 3usize..6,
        proof in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        part in 0u8..6,
        bit in 0u32..64,
    ) {
        let good = good();
        let mut receipt = good.receipts[which].1.clone();
        let anchor = receipt.anchor.as_mut().unwrap();
        let flipped = |octets: &[u8; 32]| {
            let mut octets = *octets;
            octets[at.index(32)] ^= 1 << (bit % 8);
            RootHash::new(octets)
        };
        let count = anchor.proofs.len();
        let proof = &mut anchor.proofs[proof.index(count)];
        let checkpoint = &mut anchor.checkpoint.checkpoint;
        match part {
            0 => proof.index ^= 1 << bit,
            1 => {
                let hash = at.index(proof.path.len());
                proof.path[hash] = flipped(proof.path[hash].as_bytes());
            }
            2 => checkpoint.size ^= 1 << bit,
            3 => checkpoint.root = flipped(checkpoint.root.as_bytes()),
            4 => checkpoint.time = checkpoint.time.plus_millis(1 << (bit % 40)),
            _ => checkpoint.origin = Origin::new(format!("{}{bit}", checkpoint.origin)).unwrap(),
        }
        let report = verify(&receipt, &good.trust, &support::asked());
        prop_assert!(!report.holds(), "{report:?}");
    }

    #[test]
    fn records_changed_anywhere_and_hashed_anew_never_panic(
        which in 0usize..6,
        record in any::<prop::sample::Index>(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let good = good();
        let mut receipt = good.receipts[which].1.clone();
        let record = record.index(receipt.records.len());
        let mut octets = receipt.records[record].octets.clone();
        for (at, value) in changes {
            let at = at.index(octets.len());
            octets[at] = value;
        }
        receipt.records[record] = Entry { leaf: LeafHash::of_record(&octets), octets };
        let _ = verify(&receipt, &good.trust, &support::asked());
    }

    #[test]
    fn arbitrary_octets_never_panic(octets in proptest::collection::vec(any::<u8>(), 0..300)) {
        let good = good();
        prop_assert!(!verify_json(&octets, &good.trust, &support::asked()).holds());
        let _ = yanqian_verify::Asked::from_json(&octets);
    }
}
