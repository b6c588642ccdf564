//! Chip files as callers submit them.
#![allow(clippy::unwrap_used)]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use yanqian_documents::{RawChip, Stated, read_chip};
use yanqian_vocabulary::{ChipClaim, DocumentType, Reason, Timestamp};

/// A passport of the PRC with all check digits.
const PASSPORT: &str = "P<CHNZHANG<<WEI<<<<<<<<<<<<<<<<<<<<<<<<<<<<<E123456782CHN8706054M3001019<<<<<<<<<<<<<<08";
const SIGNED_DATA: [u8; 11] = [0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02];

fn tlv(tag: &[u8], content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap();
    let length = match length {
        0..=0x7f => vec![u8::try_from(length).unwrap()],
        _ => [&[0x82][..], &length.to_be_bytes()].concat(),
    };
    [tag, &length, content].concat()
}

/// 2026-11-23.
fn now() -> Timestamp {
    Timestamp::from_unix_millis(1_795_392_000_000)
}

/// One biometric information template: a header and the data.
fn template(data: &[u8]) -> Vec<u8> {
    tlv(&[0x7f, 0x60], &[tlv(&[0xa1], &tlv(&[0x81], &[2])), tlv(&[0x5f, 0x2e], data)].concat())
}

fn dg2(count: u8, templates: &[Vec<u8>]) -> Vec<u8> {
    tlv(&[0x75], &tlv(&[0x7f, 0x61], &[tlv(&[0x02], &[count]), templates.concat()].concat()))
}

struct Files {
    com: Vec<u8>,
    dg1: Vec<u8>,
    dg2: Vec<u8>,
    sod: Vec<u8>,
}

impl Files {
    fn with_zone(zone: &str) -> Self {
        let versions = [tlv(&[0x5f, 0x01], b"0107"), tlv(&[0x5f, 0x36], b"040000")].concat();
        Self {
            com: tlv(&[0x60], &[versions, tlv(&[0x5c], &[0x61, 0x75])].concat()),
            dg1: tlv(&[0x61], &tlv(&[0x5f, 0x1f], zone.as_bytes())),
            dg2: dg2(1, &[template(&[0; 2000])]),
            sod: tlv(&[0x77], &tlv(&[0x30], &[&SIGNED_DATA[..], &tlv(&[0xa0], &[])].concat())),
        }
    }

    fn read(&self, document_type: DocumentType) -> Result<ChipClaim, (&'static str, Reason)> {
        self.read_beside(document_type, &Stated::default())
    }

    fn read_beside(
        &self,
        document_type: DocumentType,
        stated: &Stated<'_>,
    ) -> Result<ChipClaim, (&'static str, Reason)> {
        let [com, dg1, dg2, sod] = [&self.com, &self.dg1, &self.dg2, &self.sod].map(|file| STANDARD.encode(file));
        let raw = RawChip { com: &com, dg1: &dg1, dg2: &dg2, sod: &sod };
        read_chip(document_type, &raw, stated, now()).map_err(|error| (error.field, error.reason))
    }
}

fn passport() -> Files {
    Files::with_zone(PASSPORT)
}

#[test]
fn a_passports_chip_gives_its_number_and_keeps_its_files() {
    let files = passport();
    let claim = files.read(DocumentType::PrcPassport).unwrap();
    assert_eq!(claim.number.expose(), "E12345678");
    assert_eq!(claim.files.dg1.expose(), files.dg1);
    assert_eq!(claim.files.sod.expose(), files.sod);
}

type Change = fn(&mut Files);

#[test]
fn each_file_must_be_what_its_name_says() {
    let changes: [(&str, Change); 15] = [
        ("chip.com", |files| files.com[0] = 0x61),
        ("chip.com", |files| files.com = tlv(&[0x60], &tlv(&[0x5c], &[0x61]))),
        ("chip.com", |files| files.com.push(0)),
        ("chip.com", |files| files.com = tlv(&[0x60], &tlv(&[0x5c], &[0x61, 0x75]))),
        ("chip.com", |files| *files.com.last_mut().unwrap() = 0x61),
        ("chip.com", |files| files.com[5] = b'x'),
        ("chip.dg1", |files| files.dg1 = tlv(&[0x61], &[&files.dg1[2..], &[0x80, 0]].concat())),
        ("chip.dg2", |files| files.dg2 = dg2(2, &[template(&[1])])),
        ("chip.dg2", |files| files.dg2 = dg2(1, &[template(&[])])),
        ("chip.dg2", |files| files.dg2 = dg2(0, &[])),
        ("chip.dg1", |files| files.dg1 = tlv(&[0x61], b"")),
        ("chip.dg2", |files| files.dg2.truncate(100)),
        ("chip.dg2", |files| files.dg2[0] = 0x76),
        ("chip.sod", |files| files.sod = tlv(&[0x77], &tlv(&[0x30], &[0x06, 0x01, 0x01]))),
        ("chip.sod", |files| files.sod = tlv(&[0x77], &tlv(&[0x30], &[&SIGNED_DATA[..], &vec![0; 40_000]].concat()))),
    ];
    for (field, change) in changes {
        let mut files = passport();
        change(&mut files);
        assert_eq!(files.read(DocumentType::PrcPassport).unwrap_err(), (field, Reason::ChipFile));
    }
    let raw = RawChip { com: "!", dg1: "", dg2: "", sod: "" };
    let error = read_chip(DocumentType::PrcPassport, &raw, &Stated::default(), now()).unwrap_err();
    assert_eq!((error.field, error.reason), ("chip.com", Reason::ChipFile));
}

#[test]
fn the_zone_must_hold_and_belong_to_the_stated_document() {
    let wrong_digit = Files::with_zone(&PASSPORT.replace("E123456782", "E123456783"));
    assert_eq!(wrong_digit.read(DocumentType::PrcPassport).unwrap_err(), ("chip.dg1", Reason::ChipMrz));
    let foreign = Files::with_zone(&PASSPORT.replacen("P<CHN", "P<UTO", 1));
    assert_eq!(foreign.read(DocumentType::PrcPassport).unwrap_err(), ("chip.dg1", Reason::ChipDocumentType));
    for other in [DocumentType::HongKongMacaoPermit, DocumentType::ForeignPermanentResidentCard] {
        assert_eq!(passport().read(other).unwrap_err(), ("chip.dg1", Reason::ChipDocumentType));
    }
}

#[test]
fn a_field_stated_beside_a_chip_must_be_the_zones() {
    let stated = Stated {
        number: Some("E12345678"),
        name: Some("ZHANG, WEI"),
        birth_date: Some("1987-06-05"),
        nationality: Some("CHN"),
        expiry: Some("2030-01-01"),
    };
    let read = |stated: &Stated<'_>| passport().read_beside(DocumentType::PrcPassport, stated).map(drop);
    assert_eq!(read(&stated), Ok(()));
    // The zone has no Han, and nothing follows from that.
    assert_eq!(read(&Stated { name: Some("张伟"), ..stated }), Ok(()));
    for (other, field) in [
        (Stated { number: Some("E12345679"), ..stated }, "document.number"),
        (Stated { name: Some("ZHANG, WEN"), ..stated }, "document.name"),
        (Stated { birth_date: Some("1987-06-06"), ..stated }, "document.birth_date"),
        (Stated { nationality: Some("KOR"), ..stated }, "document.nationality"),
        (Stated { expiry: Some("2030-01-02"), ..stated }, "document.expiry"),
    ] {
        assert_eq!(read(&other), Err((field, Reason::ChipContradictsField)));
    }
    for (other, refusal) in [
        (Stated { number: Some("E1234567"), ..stated }, ("document.number", Reason::DocumentNumberMalformed)),
        (Stated { name: Some("7"), ..stated }, ("document.name", Reason::NameMalformed)),
        (Stated { birth_date: Some("870605"), ..stated }, ("document.birth_date", Reason::BirthDateInvalid)),
        (Stated { nationality: Some("cn"), ..stated }, ("document.nationality", Reason::NationalityUnknown)),
        (Stated { expiry: Some("2030-02-30"), ..stated }, ("document.expiry", Reason::ExpiryInvalid)),
    ] {
        assert_eq!(read(&other), Err(refusal));
    }
}

#[test]
fn documents_whose_chips_are_of_another_standard_have_no_zone_here() {
    for kind in [DocumentType::ResidentIdentityCard, DocumentType::ResidencePermit] {
        assert_eq!(passport().read(kind).unwrap_err(), ("chip.dg1", Reason::ChipDocumentType));
    }
}

proptest! {
    #[test]
    fn damaged_files_never_panic(which in 0usize..4, place: prop::sample::Index, value: u8, cut: prop::sample::Index) {
        let mut files = passport();
        let file = [&mut files.com, &mut files.dg1, &mut files.dg2, &mut files.sod].into_iter().nth(which).unwrap();
        let place = place.index(file.len());
        file[place] = value;
        let _ = files.read(DocumentType::PrcPassport);
        let file = [&mut files.com, &mut files.dg1, &mut files.dg2, &mut files.sod].into_iter().nth(which).unwrap();
        file.truncate(cut.index(file.len()));
        let _ = files.read(DocumentType::PrcPassport);
    }

    #[test]
    fn arbitrary_texts_never_panic(com: String, dg1: String, dg2: String, sod: String) {
        let raw = RawChip { com: &com, dg1: &dg1, dg2: &dg2, sod: &sod };
        let _ = read_chip(DocumentType::TaiwanPermit, &raw, &Stated::default(), now());
    }
}
