use std::sync::LazyLock;

use openssl::base64::encode_block;
use yanqian_chip::{Anchors, authenticate};
use yanqian_documents::{RawChip, Stated, read_chip, read_portrait};
use yanqian_vocabulary::{ChipFile, ChipFiles, DocumentType, Timestamp};

use crate::party::fixture;

/// 2026-11-23, inside the validity of the fixtures' certificates.
fn now() -> Timestamp {
    Timestamp::from_unix_millis(1_795_392_000_000)
}

/// A chip's files as a caller submits them: one octet for the type, three lengths of two octets, and the four files. What is taken is
/// kept as it came, and the number that it gives holds against the same zone.
pub fn chips(octets: &[u8]) {
    let Some((kind, rest)) = octets.split_first() else { return };
    let document_type = DocumentType::ALL[usize::from(*kind) % DocumentType::ALL.len()];
    let Some((lengths, mut rest)) = rest.split_at_checked(6) else { return };
    let mut files = Vec::new();
    for length in lengths.chunks(2) {
        let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
        let Some((file, behind)) = rest.split_at_checked(length) else { return };
        files.push(file);
        rest = behind;
    }
    let base64 = [files[0], files[1], files[2], rest].map(encode_block);
    let [com, dg1, dg2, sod] = &base64;
    let raw = RawChip { com, dg1, dg2, sod };
    let Ok(claim) = read_chip(document_type, &raw, &Stated::default(), now()) else { return };
    assert_eq!(claim.files.dg1.expose(), files[1]);
    assert_eq!(claim.files.sod.expose(), rest);
    // A zone may hold what is no number of the type; what the type takes, the zone must agree with.
    let stated = Stated { number: Some(claim.number.expose()), ..Stated::default() };
    match read_chip(document_type, &raw, &stated, now()) {
        Ok(again) => assert!(again == claim),
        Err(error) => assert!(error.field == "document.number" && error.rule.is_some(), "{error}"),
    }
}

/// Portraits: what is taken is no longer than it came, and taken again as it is.
pub fn portraits(octets: &[u8]) {
    let Ok(portrait) = read_portrait(&encode_block(octets)) else { return };
    assert!(portrait.expose().len() <= octets.len());
    let again = read_portrait(&encode_block(portrait.expose())).expect("what was taken is taken again");
    assert!(again == portrait);
}

/// What the seeds are signed over.
const COM: &[u8] = &[0x60, 0x04, 0x5c, 0x02, 0x61, 0x75];
const DG1: &[u8] = b"\x61\x05ZONES";
const DG2: &[u8] = b"\x75\x08PORTRAIT";

/// EF.SOD: whatever it holds, it vouches for the files that the fixtures' signers signed and for no others.
pub fn security_objects(octets: &[u8]) {
    static ANCHORS: LazyLock<Anchors> =
        LazyLock::new(|| Anchors::read(&fixture("csca")).expect("the authorities of the seeds are there"));
    let authentic = |com: &[u8], dg1: &[u8], dg2: &[u8]| {
        let file = |octets: &[u8]| ChipFile::new(octets.to_vec());
        let files = ChipFiles { com: file(com), dg1: file(dg1), dg2: file(dg2), sod: file(octets) };
        authenticate(&files, &ANCHORS, now()).is_ok()
    };
    let _ = authentic(COM, DG1, DG2);
    assert!(!authentic(COM, b"\x61\x05ZONEZ", DG2));
    assert!(!authentic(COM, DG1, b"\x75\x08PORTRAYT"));
    assert!(!authentic(&[0x60, 0x05, 0x5c, 0x03, 0x61, 0x75, 0x6f], DG1, DG2));
}
