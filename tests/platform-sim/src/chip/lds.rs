//! The logical data structure (ICAO Doc 9303-10): what stands in a chip's files, and the machine-readable zone in DG1.

use crate::SimError;
use crate::chip::Authority;
use crate::der;
use crate::numbers::DocumentKind;
use crate::registry::Holder;

/// The files that a reading takes.
#[derive(Clone, PartialEq, Eq)]
pub struct Files {
    /// EF.COM
    pub com: Vec<u8>,
    /// EF.DG1
    pub dg1: Vec<u8>,
    /// EF.DG2
    pub dg2: Vec<u8>,
    /// EF.SOD
    pub sod: Vec<u8>,
}

impl std::fmt::Debug for Files {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let lengths = [&self.com, &self.dg1, &self.dg2, &self.sod].map(Vec::len);
        write!(f, "Files({lengths:?} octets)")
    }
}

/// A value with a tag of two octets.
fn wide(tag: [u8; 2], content: &[u8]) -> Vec<u8> {
    [&tag[..1], &der::tlv(tag[1], content)].concat()
}

/// The files of one document.
pub(crate) fn files(zone: &str, portrait: &[u8], signer: &Authority) -> Result<Files, SimError> {
    let versions = [wide([0x5f, 0x01], b"0107"), wide([0x5f, 0x36], b"040000")].concat();
    let com = der::tlv(0x60, &[versions, der::tlv(0x5c, &[0x61, 0x75])].concat());
    let (dg1, dg2) = (dg1(zone), dg2(portrait));
    let sod = der::tlv(0x77, &signer.sign(&[(1, &dg1), (2, &dg2)])?);
    Ok(Files { com, dg1, dg2, sod })
}

pub(crate) fn dg1(zone: &str) -> Vec<u8> {
    der::tlv(0x61, &wide([0x5f, 0x1f], zone.as_bytes()))
}

/// One biometric information template (CBEFF) with an ISO/IEC 19794-5 record around the picture.
fn dg2(portrait: &[u8]) -> Vec<u8> {
    let total = u32::try_from(portrait.len() + 46).unwrap_or(u32::MAX);
    let record = [
        b"FAC\x00010\x00".as_slice(),
        &total.to_be_bytes(),
        &1_u16.to_be_bytes(),
        &(total - 14).to_be_bytes(),
        &[0; 16],
        &[1, 0, 0, 240, 1, 64, 1, 0, 0, 0, 0, 0],
        portrait,
    ]
    .concat();
    let header = [
        der::tlv(0x80, &[0x01, 0x01]),
        der::tlv(0x81, &[0x02]),
        der::tlv(0x87, &[0x01, 0x01]),
        der::tlv(0x88, &[0x00, 0x08]),
    ]
    .concat();
    let template = wide([0x7f, 0x60], &[der::tlv(0xa1, &header), wide([0x5f, 0x2e], &record)].concat());
    der::tlv(0x75, &wide([0x7f, 0x61], &[der::tlv(0x02, &[1]), template].concat()))
}

/// F or M: the invented people have one, and only here.
pub fn sex(holder: &Holder) -> char {
    if holder.number.bytes().map(u32::from).sum::<u32>() % 2 == 0 { 'F' } else { 'M' }
}

/// The machine-readable zone of a holder's document: TD3 for passports, TD1 for cards.
pub fn zone(holder: &Holder) -> String {
    let code = match holder.kind {
        DocumentKind::Passport => "P<",
        DocumentKind::HongKongMacaoPermit => "CR",
        DocumentKind::TaiwanPermit => "CT",
        DocumentKind::ForeignResidentCard => "IR",
    };
    let day = |date: time::Date| format!("{:02}{:02}{:02}", date.year() % 100, u8::from(date.month()), date.day());
    let (born, expires) = (with_digit(&day(holder.birth_date)), with_digit(&day(holder.expiry_date)));
    let (sex, name) = (sex(holder), latin(&holder.name));
    if holder.kind == DocumentKind::Passport {
        let number = with_digit(&fill(&holder.number, 9));
        let optional = "<".repeat(14);
        let second = format!("{number}CHN{born}{sex}{expires}{}", with_digit(&optional));
        let composite = digit(&[&second[..10], &second[13..20], &second[21..43]].concat());
        return format!("{}{second}{composite}", fill(&format!("{code}CHN{name}"), 44));
    }
    let (start, optional) = match holder.number.split_at_checked(9) {
        // Longer than the field: it goes on in the optional data, with its check digit behind it.
        Some((start, rest)) if !rest.is_empty() => (format!("{start}<"), format!("{rest}{}", digit(&holder.number))),
        _ => (with_digit(&fill(&holder.number, 9)), String::new()),
    };
    let first = format!("{code}CHN{start}{}", fill(&optional, 15));
    let second = format!("{born}{sex}{expires}{}{}", holder.nationality, "<".repeat(11));
    let composite = digit(&[&first[5..30], &second[..7], &second[8..15], &second[18..29]].concat());
    format!("{first}{second}{composite}{}", fill(&name, 30))
}

fn fill(text: &str, length: usize) -> String {
    let mut text: String = text.chars().take(length).collect();
    while text.len() < length {
        text.push('<');
    }
    text
}

fn with_digit(text: &str) -> String {
    format!("{text}{}", digit(text))
}

/// Doc 9303-3 §4.9.
fn digit(text: &str) -> u32 {
    let value = |c: char| c.to_digit(36).unwrap_or(0);
    text.chars().zip([7, 3, 1].into_iter().cycle()).map(|(c, weight)| value(c) * weight).sum::<u32>() % 10
}

/// Syllables of the register's Chinese names.
const PINYIN: &[(char, &str)] = &[
    ('王', "WANG"),
    ('李', "LI"),
    ('张', "ZHANG"),
    ('刘', "LIU"),
    ('陈', "CHEN"),
    ('杨', "YANG"),
    ('黄', "HUANG"),
    ('欧', "OU"),
    ('阳', "YANG"),
    ('司', "SI"),
    ('徒', "TU"),
    ('林', "LIN"),
    ('郭', "GUO"),
    ('何', "HE"),
    ('伟', "WEI"),
    ('芳', "FANG"),
    ('秀', "XIU"),
    ('英', "YING"),
    ('敏', "MIN"),
    ('静', "JING"),
    ('丽', "LI"),
    ('华', "HUA"),
    ('强', "QIANG"),
    ('磊', "LEI"),
    ('洋', "YANG"),
    ('艳', "YAN"),
    ('子', "ZI"),
    ('轩', "XUAN"),
    ('雨', "YU"),
    ('桐', "TONG"),
    ('建', "JIAN"),
    ('国', "GUO"),
    ('思', "SI"),
    ('远', "YUAN"),
    ('嘉', "JIA"),
    ('怡', "YI"),
    ('志', "ZHI"),
    ('明', "MING"),
];

/// Primary and secondary identifier: `ZHANG<<WEI`.
fn latin(name: &str) -> String {
    if let Some((surname, given)) = name.split_once(", ") {
        return format!("{surname}<<{}", given.replace(' ', "<"));
    }
    let syllable = |c: char| PINYIN.iter().find(|(known, _)| *known == c).map_or("X", |(_, syllable)| syllable);
    let surname = if name.starts_with("欧阳") || name.starts_with("司徒") { 2 } else { 1 };
    let spell = |part: &mut dyn Iterator<Item = char>| part.map(syllable).collect::<String>();
    format!("{}<<{}", spell(&mut name.chars().take(surname)), spell(&mut name.chars().skip(surname)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::seeded;

    #[test]
    fn check_digits_are_those_of_doc_9303() {
        assert_eq!((digit("L898902C3"), digit("740812"), digit("D23145890")), (6, 2, 7));
        assert_eq!(digit("D23145890734"), 9);
    }

    #[test]
    fn every_holder_has_a_zone_of_the_right_length_and_alphabet() {
        for holder in seeded(crate::DEFAULT_SEED) {
            let zone = zone(&holder);
            let length = if holder.kind == DocumentKind::Passport { 88 } else { 90 };
            assert_eq!(zone.len(), length, "{zone}");
            assert!(zone.bytes().all(|c| matches!(c, b'A'..=b'Z' | b'0'..=b'9' | b'<')), "{zone}");
            let spelt = |c: char| c.is_ascii() || PINYIN.iter().any(|(known, _)| *known == c);
            assert!(holder.name.chars().all(spelt), "a syllable is missing: {zone}");
        }
    }
}
