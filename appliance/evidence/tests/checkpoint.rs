//! A checkpoint's form, its signatures, and receipts under one. Golden files hold what a second reader must read.
#![allow(clippy::unwrap_used)]

mod support;

use std::convert::Infallible;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use sm2::dsa::SigningKey;
use sm2::dsa::signature::Signer as _;
use yanqian_evidence::checkpoint::{CheckpointKey, MAX_CHECKPOINT, MAX_SIGNATURES};
use yanqian_evidence::receipt::State;
use yanqian_evidence::{
    Anchor, Checkpoint, CheckpointError, Der, Inclusion, LeafHash, Nodes, Origin, Receipt, ReceiptError, Record,
    RootHash, SignedCheckpoint, Tree,
};
use yanqian_sm::{PublicKey, Signature};

/// A key by RustCrypto, whose signatures are the same at every run.
struct Signer(SigningKey);

impl Signer {
    fn new(scalar: u8) -> Self {
        let secret = sm2::SecretKey::from_slice(&[scalar; 32]).unwrap();
        Self(SigningKey::new("1234567812345678", &secret).unwrap())
    }

    fn key(&self, name: &str) -> CheckpointKey {
        let point = self.0.verifying_key().to_sec1_bytes();
        CheckpointKey { name: Origin::new(name).unwrap(), public: PublicKey::from_sec1(&point).unwrap() }
    }

    fn sign(&self, checkpoint: &Checkpoint) -> Signature {
        let signature: sm2::dsa::Signature = self.0.sign(checkpoint.to_string().as_bytes());
        Signature::from_raw(&signature.to_bytes().into()).unwrap()
    }
}

const ORIGIN: &str = "example-bank/node-1";
const WITNESS: &str = "example-bank/node-2";

fn leaves() -> Vec<LeafHash> {
    support::records_2().iter().map(|(_, record)| LeafHash::of_record(&record.encode())).collect()
}

/// Over the second schema's ledger of 7 records, cosigned by another node.
fn signed() -> SignedCheckpoint {
    let mut tree = Tree::default();
    for leaf in leaves() {
        tree.push(leaf);
    }
    let origin = Origin::new(ORIGIN).unwrap();
    let checkpoint = Checkpoint { origin, size: tree.leaves(), root: tree.root(), time: support::time(9000) };
    let (ledger, witness) = (Signer::new(7), Signer::new(8));
    let line = ledger.key(ORIGIN).line(&ledger.sign(&checkpoint));
    let cosignature = witness.key(WITNESS).line(&witness.sign(&checkpoint));
    let mut signed = SignedCheckpoint::new(checkpoint, line);
    signed.add(cosignature).unwrap();
    signed
}

struct Leaves(Vec<LeafHash>);

impl Nodes for Leaves {
    type Error = Infallible;

    fn node(&self, level: u8, index: u64) -> Result<RootHash, Infallible> {
        let from = usize::try_from(index << level).unwrap();
        let mut tree = Tree::default();
        for leaf in &self.0[from..from + (1 << level)] {
            tree.push(*leaf);
        }
        Ok(tree.root())
    }
}

fn anchored() -> Receipt {
    let records: Vec<Record> = [0, 2, 4].map(|at: usize| support::records_2()[at].1.clone()).to_vec();
    let octets = records.iter().map(Record::encode).collect();
    let receipt = Receipt::new(octets, vec![vec![0x30, 1, 1]], vec![], Some([7; 32])).unwrap();
    let proof = |record: &Record| Inclusion::of(&Leaves(leaves()), record.sequence - 1, 7).unwrap().unwrap();
    let timestamp = Some(Der::new([0x30, 0]).unwrap());
    receipt.anchored(Anchor { checkpoint: signed(), proofs: records.iter().map(proof).collect(), timestamp }).unwrap()
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name)
}

fn compare(name: &str, octets: &[u8]) {
    let file = fixture(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() && !file.exists() {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, octets).unwrap();
    }
    assert_eq!(std::fs::read(&file).unwrap(), octets, "{}", file.display());
}

#[test]
fn checkpoint_and_anchored_receipt_are_written_as_their_fixtures() {
    let signed = signed();
    let root = std::fs::read_to_string(fixture("ledger-2/root.hex")).unwrap();
    assert_eq!(signed.checkpoint.root.to_string(), root.trim(), "the root that another reader computed");
    compare("tree-1/checkpoint", signed.to_string().as_bytes());
    compare("tree-1/ledger-key.der", &Signer::new(7).key(ORIGIN).public.to_spki_der());
    compare("tree-1/witness-key.der", &Signer::new(8).key(WITNESS).public.to_spki_der());
    compare("tree-1/receipt.json", anchored().to_json().as_bytes());
}

#[test]
fn the_fixtures_are_read_and_hold() {
    let key = |file: &str, name| {
        let public = PublicKey::from_spki_der(&std::fs::read(fixture(file)).unwrap()).unwrap();
        CheckpointKey { name: Origin::new(name).unwrap(), public }
    };
    let (ledger, witness) = (key("tree-1/ledger-key.der", ORIGIN), key("tree-1/witness-key.der", WITNESS));
    let signed = SignedCheckpoint::from_octets(&std::fs::read(fixture("tree-1/checkpoint")).unwrap()).unwrap();
    assert_eq!((ledger.signed(&signed), witness.cosigned(&signed)), (Ok(()), Ok(true)));
    let receipt = Receipt::from_json(&std::fs::read(fixture("tree-1/receipt.json")).unwrap()).unwrap();
    assert_eq!(receipt.state(), State::Anchored);
    let anchor = receipt.anchor.unwrap();
    assert_eq!(anchor.checkpoint, signed);
    assert_eq!(anchor.includes(&receipt.records), Ok(()));
    let mut others = receipt.records;
    others.swap(0, 1);
    assert!(anchor.includes(&others).is_err());
    others.pop();
    assert!(anchor.includes(&others).is_err());
}

#[test]
fn a_key_counts_only_in_its_own_place_and_name() {
    let signed = signed();
    let (ledger, witness) = (Signer::new(7).key(ORIGIN), Signer::new(8).key(WITNESS));
    assert_eq!(ledger.signed(&signed), Ok(()));
    assert_eq!(witness.cosigned(&signed), Ok(true));
    assert_eq!(witness.signed(&signed), Err(CheckpointError::OtherKey(witness.name.clone())), "a witness is no ledger");
    assert_eq!(ledger.cosigned(&signed), Ok(false), "a ledger is not its own witness");
    assert_eq!(witness.cosigned(&signed.without_witnesses()), Ok(false));
    let renamed = Signer::new(8).key("somebody-else");
    assert_eq!(renamed.cosigned(&signed), Ok(false));
    assert_ne!(renamed.id(), witness.id(), "the key id binds the name");
    let other_key = Signer::new(9).key(ORIGIN);
    assert_eq!(other_key.signed(&signed), Err(CheckpointError::OtherKey(ledger.name.clone())));
    let mut other_time = signed;
    other_time.checkpoint.time = other_time.checkpoint.time.plus_millis(1);
    assert_eq!(ledger.signed(&other_time), Err(CheckpointError::Unverified(ledger.name.clone())));
    assert_eq!(witness.cosigned(&other_time), Err(CheckpointError::Unverified(witness.name.clone())));
}

#[test]
fn there_is_one_spelling_of_a_checkpoint() {
    let good = signed().to_string();
    assert_eq!(good.parse(), Ok(signed()));
    let read = |from: &str, to: &str| {
        assert!(good.contains(from), "{from}");
        good.replacen(from, to, 1).parse::<SignedCheckpoint>().unwrap_err()
    };
    let root = good.lines().nth(2).unwrap();
    let cosignature = good.lines().last().unwrap().to_owned() + "\n";
    assert_eq!(read("example-bank/node-1\n", "example bank\n"), CheckpointError::Origin);
    assert_eq!(read("\n7\n", "\n0\n"), CheckpointError::Size);
    assert_eq!(read("\n7\n", "\n07\n"), CheckpointError::Spelling);
    assert_eq!(read("\n7\n", "\n+7\n"), CheckpointError::Spelling);
    assert_eq!(read("\n7\n", "\n18446744073709551616\n"), CheckpointError::Size);
    assert_eq!(read(root, &root[4..]), CheckpointError::Root);
    assert_eq!(read("time ", "Time "), CheckpointError::Time);
    assert_eq!(read("time 1", "time 01"), CheckpointError::Spelling);
    assert_eq!(read("time 1", "time -1"), CheckpointError::Time);
    assert_eq!(read("\n\n", "\nmore 1\n\n"), CheckpointError::Lines);
    assert_eq!(read("\n\n", "\n"), CheckpointError::Lines);
    assert_eq!(read("\n\n", "\n\n\n"), CheckpointError::Signature(1));
    assert_eq!(read("\n\n— ", "\n\n- "), CheckpointError::Signature(1));
    assert_eq!(read(&cosignature, &cosignature.repeat(2)), CheckpointError::Signatures);
    assert_eq!(read(&cosignature, cosignature.trim_end()), CheckpointError::Lines);
    assert_eq!(read("=\n— ", "\n— "), CheckpointError::Signature(1));
    assert_eq!(read(ORIGIN, &"a".repeat(MAX_CHECKPOINT)), CheckpointError::TooLarge);
    let mut many = signed();
    for n in 23..=20 + MAX_SIGNATURES {
        let signer = Signer::new(u8::try_from(n).unwrap());
        many.add(signer.key(WITNESS).line(&signer.sign(&many.checkpoint))).unwrap();
    }
    let one_more = Signer::new(99);
    let line = one_more.key(WITNESS).line(&one_more.sign(&many.checkpoint));
    assert_eq!(many.add(line), Err(CheckpointError::Signatures));
    assert!(many.to_string().len() < MAX_CHECKPOINT);
    assert_eq!(many.to_string().parse(), Ok(many));
}

#[test]
fn an_anchor_that_does_not_fit_its_receipt_is_refused() {
    let receipt = anchored();
    let json = receipt.to_json();
    let read = |from: &str, to: &str| {
        assert!(json.contains(from), "{from}");
        Receipt::from_json(json.replacen(from, to, 1).as_bytes()).unwrap_err()
    };
    assert_eq!(Receipt::from_json(json.as_bytes()), Ok(receipt.clone()));
    assert_eq!(read("anchored", "pending"), ReceiptError::Anchor);
    assert_eq!(read(r"\n7\n", r"\n0\n"), ReceiptError::Checkpoint(CheckpointError::Size));
    assert_eq!(read(r#""proofs":["#, r#""proofs":[{"index":0,"path":[]},"#), ReceiptError::Count("anchor.proofs"));
    assert_eq!(read(r#""path":[""#, r#""path":["0"#), ReceiptError::Value("anchor.proofs.path"));
    let long = format!(r#""path":[{}""#, format!(r#""{}","#, "0".repeat(64)).repeat(63));
    assert_eq!(read(r#""path":[""#, &long), ReceiptError::Count("anchor.proofs.path"));
    assert_eq!(read(r#""timestamp":"MAA=""#, r#""timestamp":"MAE=""#), ReceiptError::Value("anchor.timestamp"));
    for (from, to) in
        [(r#","timestamp":"MAA=""#, ""), (r#""index":0"#, r#""index":-0"#), (r#""index":0"#, r#""index":0,"more":1"#)]
    {
        assert!(matches!(read(from, to), ReceiptError::Json(_)), "{from} {to}");
    }
    let Anchor { mut proofs, checkpoint, timestamp } = receipt.anchor.clone().unwrap();
    proofs.pop();
    let missing = receipt.anchored(Anchor { checkpoint, proofs, timestamp });
    assert_eq!(missing, Err(ReceiptError::Count("anchor.proofs")));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_one_octet_changed_is_no_longer_this_ledgers_and_witnesses_checkpoint(
        at in any::<prop::sample::Index>(), change in 1u8..,
    ) {
        let mut octets = signed().to_string().into_bytes();
        let at = at.index(octets.len());
        octets[at] ^= change;
        if let Ok(changed) = SignedCheckpoint::from_octets(&octets) {
            let (ledger, witness) = (Signer::new(7).key(ORIGIN), Signer::new(8).key(WITNESS));
            prop_assert!(ledger.signed(&changed).is_err() || witness.cosigned(&changed) != Ok(true));
            prop_assert_eq!(changed.to_string().into_bytes(), octets);
        }
    }

    #[test]
    fn arbitrary_octets_never_panic(octets in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = SignedCheckpoint::from_octets(&octets);
    }
}

#[test]
fn a_key_has_one_line_and_no_bit_of_it_may_differ() {
    let key = Signer::new(7).key(ORIGIN);
    let line = key.to_string();
    let id = format!("{:08x}", u32::from_be_bytes(key.id()));
    assert!(line.starts_with(&format!("{ORIGIN}+{id}+")), "{line}");
    assert_eq!(CheckpointKey::from_line(&line).as_ref(), Some(&key));
    for at in 0..line.len() {
        for bit in 0..8 {
            let mut octets = line.clone().into_bytes();
            octets[at] ^= 1 << bit;
            // A file with other than text in it is no list of keys at all.
            let read = String::from_utf8(octets).ok().and_then(|text| CheckpointKey::from_line(&text));
            assert!(read.is_none(), "octet {at}, bit {bit}");
        }
    }
    for other in [format!("{line}\n"), format!(" {line}"), line.replace('+', " "), String::new(), "a+b+".to_owned()] {
        assert!(CheckpointKey::from_line(&other).is_none(), "{other:?}");
    }
}
