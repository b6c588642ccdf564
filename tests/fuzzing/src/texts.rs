use std::path::Path;

use yanqian_agreement::Agreement;
use yanqian_evidence::{Receipt, Record};
use yanqian_sm::sm3;

const FILE: &str = "/somewhere/file.toml";

/// A refusal names the file and says something besides.
fn says_why(error: &dyn std::fmt::Display) {
    let text = error.to_string();
    assert!(text.contains(FILE) && text.len() > FILE.len() + 4, "{text:?}");
}

/// Platform profiles: one that is taken is known by the digest of its octets and offers something; one that is not is refused with
/// a reason.
pub fn platform_profiles(octets: &[u8]) {
    let Ok(text) = std::str::from_utf8(octets) else { return };
    match yanqian_platform::Profile::parse(text, Path::new(FILE)) {
        Ok(profile) => {
            assert_eq!(*profile.hash().as_bytes(), sm3(&[octets]));
            assert!(!profile.name().is_empty() && profile.modes().next().is_some());
        }
        Err(error) => says_why(&error),
    }
}

/// Token profiles, likewise.
pub fn token_profiles(octets: &[u8]) {
    let Ok(text) = std::str::from_utf8(octets) else { return };
    match yanqian_hsm::profile::Profile::parse(text, Path::new(FILE)) {
        Ok(profile) => assert!(!profile.name.is_empty() && profile.file() == Path::new(FILE)),
        Err(error) => says_why(&error),
    }
}

/// Agreements, likewise. Every caller of one is found by its certificate's name and by no other.
pub fn agreements(octets: &[u8]) {
    let Ok(text) = std::str::from_utf8(octets) else { return };
    match Agreement::parse(text, Path::new(FILE)) {
        Ok(agreement) => assert!(agreement.callers().next().is_some() && agreement.purposes().next().is_some()),
        Err(error) => says_why(&error),
    }
}

/// Receipts: what is read is written as JSON that reads as the same receipt, and is written the same again.
pub fn receipts(octets: &[u8]) {
    let Ok(receipt) = Receipt::from_json(octets) else { return };
    let written = receipt.to_json();
    let again = Receipt::from_json(written.as_bytes()).expect("what is written is read");
    assert_eq!(again, receipt);
    assert_eq!(again.to_json(), written);
}

/// Records: what is read is written as it was, so that one record has one leaf in the ledger's tree.
pub fn records(octets: &[u8]) {
    if let Ok(record) = Record::decode(octets) {
        assert_eq!(record.encode(), octets);
        assert_eq!(Record::decode(octets).as_ref(), Ok(&record));
    }
}
