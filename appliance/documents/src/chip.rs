//! The files of a document's chip as a caller submits them (ICAO Doc 9303-10): each whole and of the right kind, with a
//! machine-readable zone that belongs to the stated type of document and to whatever else is stated. Whether they are genuine
//! is not for this room to say.

use std::fmt;

use yanqian_vocabulary::{ChipClaim, ChipFile, ChipFiles, DocumentNumber, DocumentType, Reason, Timestamp};

use crate::claim::{self, DocumentError, lifetime_number, read_number};
use crate::mrz::{self, Zone};
use crate::portrait::decode_base64;
use crate::{PartError, lds};

/// Octets of each file at most: room for two fingerprints' worth of certificates in EF.SOD and a large portrait in DG2.
const MAX_COM: usize = 1024;
const MAX_DG1: usize = 1024;
const MAX_DG2: usize = 256 * 1024;
const MAX_SOD: usize = 32 * 1024;
/// Octets of all files at most.
pub const MAX_CHIP: usize = MAX_COM + MAX_DG1 + MAX_DG2 + MAX_SOD;

/// A chip's files in base64 (RFC 4648 §4, with padding).
#[derive(Clone, Copy)]
pub struct RawChip<'a> {
    pub com: &'a str,
    pub dg1: &'a str,
    pub dg2: &'a str,
    pub sod: &'a str,
}

impl fmt::Debug for RawChip<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RawChip(..)")
    }
}

/// Printed fields that a caller may state beside a chip, in the forms of [`crate::RawDocument`]. They are held against the zone
/// and go nowhere.
#[derive(Clone, Copy, Default)]
pub struct Stated<'a> {
    pub number: Option<&'a str>,
    pub name: Option<&'a str>,
    pub birth_date: Option<&'a str>,
    pub nationality: Option<&'a str>,
    pub expiry: Option<&'a str>,
}

impl fmt::Debug for Stated<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stated(..)")
    }
}

/// Reads a chip's files and holds what is stated beside them against their zone.
pub fn read_chip(
    document_type: DocumentType,
    raw: &RawChip<'_>,
    stated: &Stated<'_>,
    now: Timestamp,
) -> Result<ChipClaim, PartError> {
    let com = file("chip.com", raw.com, MAX_COM, lds::check_com)?;
    let dg1 = file("chip.dg1", raw.dg1, MAX_DG1, |octets| lds::zone(octets).map(drop))?;
    let dg2 = file("chip.dg2", raw.dg2, MAX_DG2, lds::check_dg2)?;
    let sod = file("chip.sod", raw.sod, MAX_SOD, lds::check_sod)?;
    let zone = lds::zone(dg1.expose()).and_then(mrz::read);
    let zone = zone.ok_or(PartError::new("chip.dg1", Reason::ChipMrz))?;
    if !belongs(&zone, document_type) {
        return Err(PartError::new("chip.dg1", Reason::ChipDocumentType));
    }
    let number = DocumentNumber::new(zone.number.as_str());
    agree(document_type, stated, &zone, &number, now)?;
    Ok(ChipClaim { document_type, number, files: ChipFiles { com, dg1, dg2, sod } })
}

fn file(
    field: &'static str,
    base64: &str,
    longest: usize,
    check: impl FnOnce(&[u8]) -> Option<()>,
) -> Result<ChipFile, PartError> {
    let fault = PartError::new(field, Reason::ChipFile);
    let octets = decode_base64(base64, longest).map_err(|_| fault)?;
    check(&octets).ok_or(fault)?;
    Ok(ChipFile::from_zeroizing(octets))
}

/// Whether a zone can be that of such a document. A passport's zone says so (Doc 9303-4: `P`, issued by `CHN`). For the cards
/// the public record says little more than the first letters, `CR` and `CT` for the permits, so only what contradicts them
/// is refused. The other two cards have chips of another standard.
fn belongs(zone: &Zone, document_type: DocumentType) -> bool {
    match (document_type, zone.code) {
        (DocumentType::PrcPassport, [b'P', _]) => zone.state == *b"CHN",
        (DocumentType::HongKongMacaoPermit, [b'C', second]) => second != b'T',
        (DocumentType::TaiwanPermit, [b'C', second]) => second != b'R',
        (DocumentType::ExitPermitToHongKongMacao, [b'C', second]) => !matches!(second, b'R' | b'T'),
        (DocumentType::ForeignPermanentResidentCard, [b'A' | b'C' | b'I', _]) => true,
        _ => false,
    }
}

/// Each stated field is judged as in any other request, and then against the zone.
fn agree(
    document_type: DocumentType,
    stated: &Stated<'_>,
    zone: &Zone,
    zone_number: &DocumentNumber,
    now: Timestamp,
) -> Result<(), PartError> {
    if let Some(number) = stated.number {
        let number = read_number(document_type, number, now).map_err(|error| fault("document.number", error))?;
        let same = *lifetime_number(document_type, &number) == *lifetime_number(document_type, zone_number);
        hold("document.number", same)?;
    }
    if let Some(name) = stated.name {
        claim::check_name(name).map_err(|error| fault("document.name", error))?;
        // The zone has Latin letters only; of a name in Han it says nothing.
        hold("document.name", zone.agrees_with_name(name).unwrap_or(true))?;
    }
    if let Some(text) = stated.birth_date {
        let day = claim::birth_date(text, now).map_err(|error| fault("document.birth_date", error))?;
        hold("document.birth_date", agrees_with_day(&*zone.birth, (day.year(), day.month(), day.day())))?;
    }
    if let Some(code) = stated.nationality {
        let country = claim::country(code).map_err(|error| fault("document.nationality", error))?;
        hold("document.nationality", is_of(zone.nationality, country.alpha3))?;
    }
    if let Some(text) = stated.expiry {
        let day = claim::any_expiry(text).map_err(|error| fault("document.expiry", error))?;
        hold("document.expiry", agrees_with_day(&*zone.expiry, (day.year(), day.month(), day.day())))?;
    }
    Ok(())
}

fn fault(field: &'static str, error: DocumentError) -> PartError {
    PartError { field, reason: error.reason, rule: Some(error.rule) }
}

fn hold(field: &'static str, holds: bool) -> Result<(), PartError> {
    if holds { Ok(()) } else { Err(PartError::new(field, Reason::ChipContradictsField)) }
}

/// `yyMMdd` against a day; filler is unknown and contradicts nothing. The zone does not write the century.
fn agrees_with_day(zone: &[u8], (year, month, day): (u16, u8, u8)) -> bool {
    let parts = [u8::try_from(year % 100).unwrap_or(0), month, day];
    zone.chunks(2)
        .zip(parts)
        .all(|(written, part)| *written == [b'0' + part / 10, b'0' + part % 10] || written == b"<<")
}

/// Whether a zone's nationality is that of an ISO 3166-1 code; Doc 9303-3 §5 writes Germany's with one letter and has several for
/// British nationals.
fn is_of(zone: [u8; 3], alpha3: &str) -> bool {
    match &zone {
        b"D<<" => alpha3 == "DEU",
        b"GBD" | b"GBN" | b"GBO" | b"GBP" | b"GBS" => alpha3 == "GBR",
        other => alpha3.as_bytes() == *other,
    }
}
