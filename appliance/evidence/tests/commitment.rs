//! Commitments are fixed: a salt opens what was committed to years ago.
#![allow(clippy::unwrap_used)]

use yanqian_evidence::commitment;
use yanqian_evidence::commitment::canonical_claim;
use yanqian_vocabulary::{
    BirthDate, ChipClaim, ChipFile, ChipFiles, CivilDate, Claim, DocumentClaim, DocumentNumber, DocumentType,
    ExpiryDate, Nationality, PersonalName, Portrait,
};

fn document(optional: bool) -> DocumentClaim {
    DocumentClaim {
        document_type: DocumentType::PrcPassport,
        number: DocumentNumber::new("E12345678"),
        name: PersonalName::new("张伟"),
        birth_date: BirthDate(CivilDate::new(1990, 1, 2).unwrap()),
        nationality: optional.then(|| Nationality::new("CHN")),
        expiry: optional.then(|| ExpiryDate(CivilDate::new(2031, 12, 30).unwrap())),
    }
}

fn chip(dg2: &[u8]) -> Claim {
    let file = |octets: &[u8]| ChipFile::new(octets.to_vec());
    Claim::ChipReading(ChipClaim {
        document_type: DocumentType::PrcPassport,
        number: DocumentNumber::new("E12345678"),
        files: ChipFiles { com: file(b"com"), dg1: file(b"dg1"), dg2: file(dg2), sod: file(b"sod") },
    })
}

fn part(text: &str) -> Vec<u8> {
    [&u32::try_from(text.len()).unwrap().to_be_bytes()[..], text.as_bytes()].concat()
}

#[test]
fn a_documents_octets_are_its_parts_each_with_its_length() {
    let parts = |texts: &[&str]| texts.iter().flat_map(|text| part(text)).collect::<Vec<_>>();
    let short = parts(&["prc-passport", "E12345678", "张伟", "1990-01-02", "", ""]);
    assert_eq!(*canonical_claim(&Claim::RealName(document(false))), short);
    let long = parts(&["prc-passport", "E12345678", "张伟", "1990-01-02", "CHN", "2031-12-30"]);
    assert_eq!(*canonical_claim(&Claim::RealName(document(true))), long);
}

#[test]
fn pictures_and_chip_files_stand_there_as_hashes() {
    let hash = |octets: &[u8]| [&32u32.to_be_bytes()[..], &yanqian_sm::sm3(&[octets])].concat();
    let person = Claim::RealPerson { document: document(true), portrait: Portrait::new(b"jpeg".to_vec()) };
    let expected = [&canonical_claim(&Claim::RealName(document(true)))[..], &hash(b"jpeg")].concat();
    assert_eq!(*canonical_claim(&person), expected);
    let expected = [part("prc-passport"), part("E12345678"), hash(b"com"), hash(b"dg1"), hash(b"dg2"), hash(b"sod")];
    assert_eq!(*canonical_claim(&chip(b"dg2")), expected.concat());
}

#[test]
fn a_commitment_opens_with_its_salt_and_its_claim_only() {
    let claim = Claim::RealName(document(false));
    let known = commitment(&[7; 32], &claim);
    assert_eq!(known.to_string(), KNOWN);
    assert_ne!(commitment(&[8; 32], &claim), known);
    assert_ne!(commitment(&[7; 32], &Claim::RealName(document(true))), known);
    assert_ne!(commitment(&[7; 32], &chip(b"one")), commitment(&[7; 32], &chip(b"two")));
}

/// Computed with another implementation of SM3 over the octets that `docs/ledger-format.md` describes.
const KNOWN: &str = "c612341053897f78c7629a64db77986173b283196d71af4ce70e49eeec03fde1";
