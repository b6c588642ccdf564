//! The files of a document's chip as a caller submits them (ICAO Doc 9303-10): one BER-TLV value each, of the right kind, and a
//! machine-readable zone that belongs to the stated type of document. Whether they are genuine is for the platform to say.

use yanqian_vocabulary::{ChipClaim, ChipFile, ChipFiles, DocumentNumber, DocumentType, Reason};

use crate::PartError;
use crate::mrz::{self, Zone};
use crate::portrait::decode_base64;
use crate::tlv::{Tlv, read_one};

/// Octets of each file at most: room for two fingerprints' worth of certificates in EF.SOD and a large portrait in DG2.
const MAX_COM: usize = 1024;
const MAX_DG1: usize = 1024;
const MAX_DG2: usize = 256 * 1024;
const MAX_SOD: usize = 32 * 1024;
/// Octets of all files at most.
pub const MAX_CHIP: usize = MAX_COM + MAX_DG1 + MAX_DG2 + MAX_SOD;

/// Tags of the files (Doc 9303-10 table 38).
const COM: u32 = 0x60;
const DG1: u32 = 0x61;
const DG2: u32 = 0x75;
const SOD: u32 = 0x77;
/// The list of data groups in EF.COM, and the zone in EF.DG1.
const TAG_LIST: u32 = 0x5c;
const ZONE: u32 = 0x5f1f;
/// DER of `id-signedData` with its tag: what the `ContentInfo` in EF.SOD begins with.
const SIGNED_DATA: [u8; 11] = [0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02];

/// Reads the files from base64 (RFC 4648 §4, with padding).
pub fn read_chip(
    document_type: DocumentType,
    com: &str,
    dg1: &str,
    dg2: &str,
    sod: &str,
) -> Result<ChipClaim, PartError> {
    let com = file("chip.com", com, MAX_COM, |octets| {
        let listed = read_one(octets, COM)?.find(TAG_LIST)?;
        (listed.contains(&0x61) && listed.contains(&0x75)).then_some(())
    })?;
    let dg1 = file("chip.dg1", dg1, MAX_DG1, |octets| read_one(octets, DG1)?.find(ZONE).map(drop))?;
    let dg2 = file("chip.dg2", dg2, MAX_DG2, |octets| read_one(octets, DG2).map(drop))?;
    let sod = file("chip.sod", sod, MAX_SOD, |octets| {
        let content = read_one(read_one(octets, SOD)?.content, 0x30)?.content;
        content.starts_with(&SIGNED_DATA).then_some(())
    })?;
    let zone = read_one(dg1.expose(), DG1).and_then(|dg1: Tlv<'_>| dg1.find(ZONE)).and_then(mrz::read);
    let zone = zone.ok_or(PartError { field: "chip.dg1", reason: Reason::ChipMrz })?;
    if !belongs(&zone, document_type) {
        return Err(PartError { field: "chip.dg1", reason: Reason::ChipDocumentType });
    }
    let number = DocumentNumber::new(zone.number.as_str());
    Ok(ChipClaim { document_type, number, files: ChipFiles { com, dg1, dg2, sod } })
}

fn file(
    field: &'static str,
    base64: &str,
    longest: usize,
    check: impl FnOnce(&[u8]) -> Option<()>,
) -> Result<ChipFile, PartError> {
    let fault = PartError { field, reason: Reason::ChipFile };
    let octets = decode_base64(base64, longest).map_err(|_| fault)?;
    check(&octets).ok_or(fault)?;
    Ok(ChipFile::from_zeroizing(octets))
}

/// Whether a zone can be that of such a document. A passport's zone says so (Doc 9303-4: `P`, issued by `CHN`). For the cards
/// the public record says little more than the first letters, `CR` and `CT` for the permits, so only what contradicts them
/// is refused.
fn belongs(zone: &Zone, document_type: DocumentType) -> bool {
    match (document_type, zone.code) {
        (DocumentType::PrcPassport, [b'P', _]) => zone.state == *b"CHN",
        (DocumentType::HongKongMacaoPermit, [b'C', second]) => second != b'T',
        (DocumentType::TaiwanPermit, [b'C', second]) => second != b'R',
        (DocumentType::ForeignPermanentResidentCard, [b'A' | b'C' | b'I', _]) => true,
        _ => false,
    }
}
