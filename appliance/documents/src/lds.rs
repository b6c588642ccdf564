//! The files of a chip as the logical data structure has them (ICAO Doc 9303-10 §4), as far as they can be judged by themselves:
//! that they are whole and hold what their tags say. What was signed over them stands in EF.SOD.

use yanqian_vocabulary::ChipFile;

use crate::tlv::{Tlv, read_one};

/// Tags of the files (Doc 9303-10 table 38).
const COM: u32 = 0x60;
const DG1: u32 = 0x61;
const DG2: u32 = 0x75;
const SOD: u32 = 0x77;
/// Every data group's, DG1 to DG16.
const DATA_GROUPS: [u8; 16] =
    [0x61, 0x75, 0x63, 0x76, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x6b, 0x6c, 0x6d, 0x6e, 0x6f, 0x70];
/// In EF.COM: the version of the structure, of Unicode, and the list of data groups (§4.7.1).
const LDS_VERSION: u32 = 0x5f01;
const UNICODE_VERSION: u32 = 0x5f36;
const TAG_LIST: u32 = 0x5c;
/// The zone in EF.DG1.
const ZONE: u32 = 0x5f1f;
/// In EF.DG2: the group of templates, how many there are, one of them, its header, and the data in plain form or as a value of
/// its own (§4.7.2; ISO/IEC 7816-11).
const TEMPLATES: u32 = 0x7f61;
const COUNT: u32 = 0x02;
const TEMPLATE: u32 = 0x7f60;
const HEADER: u32 = 0xa1;
const DATA: [u32; 2] = [0x5f2e, 0x7f2e];
/// DER of `id-signedData` with its tag: what the `ContentInfo` in EF.SOD begins with.
const SIGNED_DATA: [u8; 11] = [0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02];

/// EF.COM lists data groups, DG1 and DG2 among them and none twice, and names its versions.
pub(crate) fn check_com(octets: &[u8]) -> Option<()> {
    let com = read_one(octets, COM)?;
    let versions = [(LDS_VERSION, 4), (UNICODE_VERSION, 6)];
    let digits = |(tag, length)| com.find(tag).is_some_and(|v| v.len() == length && v.iter().all(u8::is_ascii_digit));
    let listed = com.find(TAG_LIST)?;
    let known = listed.iter().enumerate().all(|(at, tag)| DATA_GROUPS.contains(tag) && !listed[..at].contains(tag));
    let whole = versions.into_iter().all(digits) && known && listed.contains(&0x61) && listed.contains(&0x75);
    whole.then_some(())
}

/// Numbers of the data groups that EF.COM lists; none where it cannot be read.
pub fn listed_data_groups(com: &ChipFile) -> Vec<u8> {
    let listed = read_one(com.expose(), COM).and_then(|com| com.find(TAG_LIST)).unwrap_or_default();
    (1..).zip(DATA_GROUPS).filter(|(_, tag)| listed.contains(tag)).map(|(number, _)| number).collect()
}

/// The zone in EF.DG1, which holds nothing else.
pub(crate) fn zone(octets: &[u8]) -> Option<&[u8]> {
    let dg1 = read_one(octets, DG1)?;
    read_one(dg1.content, ZONE).map(|zone| zone.content)
}

/// EF.DG2 holds as many templates as it says, at least one, each a header and the data behind it.
pub(crate) fn check_dg2(octets: &[u8]) -> Option<()> {
    let templates = read_one(read_one(octets, DG2)?.content, TEMPLATES)?;
    let (mut said, mut found) = (None, 0u8);
    for value in templates.values()? {
        match value.tag {
            COUNT if said.is_none() => said = Some(value.content),
            TEMPLATE => {
                found = found.checked_add(1)?;
                value.find(HEADER)?;
                DATA.iter().find_map(|tag| value.find(*tag)).filter(|data| !data.is_empty())?;
            }
            _ => return None,
        }
    }
    (found > 0 && said == Some(&[found])).then_some(())
}

/// EF.SOD holds one CMS `SignedData` (§4.6.2) and nothing behind it.
pub(crate) fn check_sod(octets: &[u8]) -> Option<()> {
    let sod: Tlv<'_> = read_one(octets, SOD)?;
    read_one(sod.content, 0x30)?.content.starts_with(&SIGNED_DATA).then_some(())
}
