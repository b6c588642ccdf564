//! Profiles are validated before anything is built from them.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use yanqian_platform::{PlatformClient, Profile};

const REFERENCE: &str = include_str!("../../../platform-profiles/reference.toml");

fn refused(text: &str) -> String {
    Profile::parse(text, Path::new("p.toml")).expect_err("must be refused").to_string()
}

#[test]
fn the_shipped_profiles_are_valid_and_have_their_own_hashes() {
    let reference = Profile::parse(REFERENCE, Path::new("p.toml")).unwrap();
    let second = Profile::parse(include_str!("../../../platform-profiles/second.toml"), Path::new("p.toml")).unwrap();
    assert!(reference.signs_attributes() && !second.signs_attributes());
    assert_ne!(reference.hash(), second.hash());
}

#[test]
fn a_faulty_profile_is_refused_by_file_and_key() {
    let cases = [
        ("format_version = 1", "format_version = 9", "format_version"),
        ("name = \"reference\"", "name = \"reference\"\ncolour = 1", "colour"),
        ("path = \"/auth/real-name\"", "path = \"auth\"", "request.path"),
        ("source = \"nonce\"", "source = \"time\"", "request.members"),
        ("{ name = \"version\", constant = \"1.0\" }", "{ name = \"version\" }", "request.members"),
        ("name = \"custNum\"", "name = \"appName\"", "request.members"),
        ("prc-passport = \"414\"", "", "payload.document_types"),
        ("mismatch = \"1001\"", "mismatch = \"0000\"", "answer.codes"),
        ("mismatch = '\"0\"'", "mismatch = 'no'", "answer.field_results"),
        ("serial = \"bizSerialNum\"", "serial = \"nonce\"", "answer"),
        ("time_window_seconds = 300", "time_window_seconds = 86401", "limits.time_window_seconds"),
        ("utc_offset_minutes = 480", "utc_offset_minutes = 9999", "forms.utc_offset_minutes"),
        ("answer_bytes = 65536", "answer_bytes = 524289", "limits.answer_bytes"),
        ("connect_ms = 3000", "connect_ms = 0", "connect_ms"),
    ];
    for (from, to, named) in cases {
        assert!(REFERENCE.contains(from), "{from}");
        let error = refused(&REFERENCE.replacen(from, to, 1));
        assert!(error.contains("p.toml") && error.contains(named), "{to}: {error}");
        assert!(error.contains("p.toml:") || error.contains("line"), "{to}: {error}");
    }
}

#[test]
fn only_a_bare_https_address_is_an_endpoint() {
    let profile = std::sync::Arc::new(Profile::parse(REFERENCE, Path::new("p.toml")).unwrap());
    let client = |endpoint: &str| PlatformClient::new(std::sync::Arc::clone(&profile), endpoint);
    for good in ["https://platform.example", "https://127.0.0.1:8443", "https://[::1]:8443/"] {
        assert!(client(good).is_ok(), "{good}");
    }
    for bad in ["http://platform.example", "https://platform.example/x", "https://u@platform.example", "platform", ""] {
        assert!(client(bad).is_err(), "{bad}");
    }
}
