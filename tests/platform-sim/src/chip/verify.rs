//! Passive authentication (ICAO Doc 9303-11 §5.1): is what was submitted what the country's authority signed?

use openssl::hash::{MessageDigest, hash};

use super::{Files, Issuers, zone};
use crate::der::{self, DerError, INTEGER, OCTET_STRING, SEQUENCE};
use crate::form::ChipInquiry;
use crate::registry::Holder;

/// What the platform finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Finding<'a> {
    /// Genuine, and this holder's.
    Genuine(&'a Holder),
    /// Not signed by the authority, altered, or unlike the register.
    NotGenuine,
    /// Genuine, but in no register.
    Unknown,
    /// No chip's files.
    Unreadable,
}

pub(crate) fn read<'a>(issuers: &Issuers, holders: &'a [Holder], inquiry: &ChipInquiry) -> Finding<'a> {
    let Files { com, dg1, dg2, sod } = &inquiry.files;
    if com.first() != Some(&0x60) || dg2.first() != Some(&0x75) {
        return Finding::Unreadable;
    }
    let (Some(submitted), Ok(message)) = (zone_in(dg1), der::single(sod, 0x77, "EF.SOD")) else {
        return Finding::Unreadable;
    };
    let Some(content) = issuers.open(message.content) else { return Finding::NotGenuine };
    let Ok(hashes) = hashes(&content) else { return Finding::Unreadable };
    let agrees = |number: u8, file: &[u8]| {
        let digest = hash(MessageDigest::sha256(), file);
        digest.is_ok_and(|digest| hashes.iter().any(|(known, hash)| *known == number && **hash == *digest))
    };
    if !agrees(1, dg1) || !agrees(2, dg2) {
        return Finding::NotGenuine;
    }
    match holders.iter().find(|holder| holder.kind == inquiry.kind && zone(holder).as_bytes() == submitted) {
        Some(holder) => Finding::Genuine(holder),
        None => Finding::Unknown,
    }
}

/// The zone in DG1: tag 5F1F, which the reader of DER does not know, inside tag 61.
fn zone_in(dg1: &[u8]) -> Option<&[u8]> {
    let [0x5f, 0x1f, length, zone @ ..] = der::single(dg1, 0x61, "EF.DG1").ok()?.content else { return None };
    (usize::from(*length) == zone.len()).then_some(zone)
}

/// Data group numbers and their hashes. SHA-256 is what this country signs with.
fn hashes(content: &[u8]) -> Result<Vec<(u8, &[u8])>, DerError> {
    let mut object = der::single(content, SEQUENCE, "LDSSecurityObject")?.reader();
    object.expect(INTEGER, "version")?;
    object.expect(SEQUENCE, "hashAlgorithm")?;
    let mut groups = object.expect(SEQUENCE, "dataGroupHashValues")?.reader();
    let mut hashes = Vec::new();
    while !groups.is_empty() {
        let mut group = groups.expect(SEQUENCE, "DataGroupHash")?.reader();
        let number = group.expect(INTEGER, "dataGroupNumber")?.content;
        let hash = group.expect(OCTET_STRING, "dataGroupHashValue")?.content;
        let [number] = number else { return Err(DerError("dataGroupNumber")) };
        hashes.push((*number, hash));
    }
    Ok(hashes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::chip::Variant;
    use crate::registry::seeded;
    use proptest::prelude::*;

    fn inquiry(holder: &Holder, files: Files) -> ChipInquiry {
        ChipInquiry { kind: holder.kind, files }
    }

    #[test]
    fn every_holders_chip_is_read_and_every_false_one_found() {
        let (issuers, holders) = (Issuers::new().unwrap(), seeded(crate::DEFAULT_SEED));
        for (index, holder) in holders.iter().enumerate() {
            let another = &holders[(index + 1) % holders.len()];
            let find = |variant| {
                let files = issuers.chip(holder, another, variant).unwrap();
                read(&issuers, &holders, &inquiry(holder, files))
            };
            assert_eq!(find(Variant::Genuine), Finding::Genuine(holder));
            for variant in [Variant::AlteredZone, Variant::ForeignSigner, Variant::OthersSecurityObject] {
                assert_eq!(find(variant), Finding::NotGenuine, "{variant:?}");
            }
        }
        let nobody = Holder { number: "E00000000".into(), ..holders[0].clone() };
        let files = issuers.chip(&nobody, &holders[1], Variant::Genuine).unwrap();
        assert_eq!(read(&issuers, &holders, &inquiry(&nobody, files)), Finding::Unknown);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn altered_files_are_never_genuine_and_never_panic(
            which in 1usize..4, place: prop::sample::Index, bit in 0u8..8,
        ) {
            let (issuers, holders) = (Issuers::new().unwrap(), seeded(crate::DEFAULT_SEED));
            let mut files = issuers.chip(&holders[0], &holders[1], Variant::Genuine).unwrap();
            let file = [&mut files.com, &mut files.dg1, &mut files.dg2, &mut files.sod].into_iter().nth(which).unwrap();
            let place = place.index(file.len());
            file[place] ^= 1 << bit;
            let altered = files.clone();
            let found = read(&issuers, &holders, &inquiry(&holders[0], files));
            // In the security object some octets (an unused certificate extension's flags, say) are nobody's business.
            if which != 3 {
                prop_assert!(!matches!(found, Finding::Genuine(_)), "{altered:?}");
            }
        }
    }
}
