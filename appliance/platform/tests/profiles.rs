//! Profiles are validated before anything is built from them.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use yanqian_platform::{PlatformClient, Profile};
use yanqian_vocabulary::Mode;

const REFERENCE: &str = include_str!("../../../platform-profiles/reference.toml");
const TWO_STEP: &str = include_str!("../../../platform-profiles/two-step.toml");
const ATTACHED: &str = include_str!("../../../platform-profiles/attached.toml");
const SORTED_PAIRS: &str = include_str!("../../../platform-profiles/sorted-pairs.toml");
const CANONICAL_JSON: &str = include_str!("../../../platform-profiles/canonical-json.toml");
const SIGNED_BODY: &str = include_str!("../../../platform-profiles/signed-body.toml");

fn refused(text: &str) -> String {
    Profile::parse(text, Path::new("p.toml")).expect_err("must be refused").to_string()
}

#[test]
fn the_shipped_profiles_are_valid_and_have_their_own_hashes() {
    let reference = Profile::parse(REFERENCE, Path::new("p.toml")).unwrap();
    let second = Profile::parse(include_str!("../../../platform-profiles/second.toml"), Path::new("p.toml")).unwrap();
    let two_step = Profile::parse(TWO_STEP, Path::new("p.toml")).unwrap();
    assert!(reference.signs_attributes() && !second.signs_attributes());
    assert!(two_step.applies_first() && !reference.applies_first());
    for profile in [&reference, &second, &two_step] {
        assert!(profile.modes().eq(Mode::ALL.iter().copied()), "{}", profile.name());
    }
    assert_ne!(reference.hash(), second.hash());
    for text in [ATTACHED, SORTED_PAIRS, CANONICAL_JSON, SIGNED_BODY] {
        let profile = Profile::parse(text, Path::new("p.toml")).unwrap();
        assert!(profile.modes().eq([Mode::RealName, Mode::RealPerson]), "{}", profile.name());
        assert_eq!(profile.signs_attributes(), text == ATTACHED, "{}", profile.name());
    }
}

#[test]
fn a_key_that_means_nothing_in_its_form_or_is_missing_there_is_refused() {
    for (profile, from, to, named) in [
        (REFERENCE, "signature = \"sign\"", "", "request.signature"),
        (REFERENCE, "package = \"bizPackage\"", "form = \"member\"\npackage = \"bizPackage\"", "request.package"),
        (REFERENCE, "attributes = true", "encoding = \"raw\"\nattributes = true", "request.attributes"),
        (REFERENCE, "attributes = true", "", "request.attributes"),
        (REFERENCE, "attributes = true", "attributes = true\ntext = \"der\"", "request.text"),
        (REFERENCE, "attributes = true", "attributes = true\ncertificate = \"c\"", "request.certificate"),
        (REFERENCE, "attributes = true", "attributes = true\ncontent_type = \"json\"", "request.content_type"),
        (REFERENCE, "attributes = true", "attributes = true\nlax = true", "lax"),
        (ATTACHED, "attributes = true ", "attributes = true\nsignature = \"sign\" ", "request.signature"),
        (ATTACHED, "attributes = true ", "encoding = \"raw\" ", "request.encoding"),
        (ATTACHED, "text = \"der\"", "text = \"raw\"", "text"),
        (SORTED_PAIRS, "canonical = \"sorted-pairs\"", "canonical = \"rfc8785\"", "request.empty"),
        (SORTED_PAIRS, "canonical = \"sorted-pairs\"", "", "request.empty"),
        (SORTED_PAIRS, "signature = \"sign\"", "signature = \"nonce\"", "request.signature"),
        (SORTED_PAIRS, "certificate = \"certSerial\"", "certificate = \"nonce\"", "answer"),
        (CANONICAL_JSON, "canonical = \"rfc8785\"", "", "request.canonical"),
        (CANONICAL_JSON, "signature = \"sign\"", "signature = \"sign\"\ncertificate = \"c\"", "request.certificate"),
        (SIGNED_BODY, "signature = \"X-Signature\"", "signature = \"X Signature\"", "request.signature"),
        (SIGNED_BODY, "form = \"header\"", "form = \"package\"\npackage = \"p\"", "request.content_digest"),
        (
            SIGNED_BODY,
            "[answer.codes]",
            "[answer.reading]\ndigest = \"readingDigest\"\nenvelope = \"reading\"\n\
          document_type = \"docType\"\nnumber = \"docNumber\"\nname = \"name\"\nsex = \"sex\"\nbirth_date = \"birthDate\"\n\
          nationality = \"nationality\"\nexpiry = \"expiryDate\"\n\
          sexes = { female = \"F\", male = \"M\", unspecified = \"X\" }\n[answer.codes]",
            "answer.reading",
        ),
    ] {
        assert_refused(profile, from, to, named);
    }
}

#[test]
fn a_profile_names_the_documents_that_its_platform_knows_and_at_least_one() {
    use yanqian_vocabulary::DocumentType;
    let known = |text: &str| Profile::parse(text, Path::new("p.toml")).unwrap().document_types().collect::<Vec<_>>();
    assert_eq!(known(REFERENCE), DocumentType::ALL[..4]);
    let other = REFERENCE.replace("prc-passport = \"414\"", "resident-identity-card = \"111\"");
    assert!(
        known(&other).contains(&DocumentType::ResidentIdentityCard)
            && !known(&other).contains(&DocumentType::PrcPassport)
    );
    let none = REFERENCE
        .lines()
        .filter(|line| !DocumentType::ALL.iter().any(|kind| line.starts_with(kind.as_str())))
        .collect::<Vec<_>>()
        .join("\n");
    assert!(refused(&none).contains("payload.document_types"));
}

#[test]
fn a_faulty_profile_is_refused_by_file_and_key() {
    let cases = [
        ("format_version = 1", "format_version = 9", "format_version"),
        ("name = \"reference\"", "name = \"reference\"\ncolour = 1", "colour"),
        ("path = \"/auth/real-name\"", "path = \"auth\"", "request.modes"),
        ("word = \"R02\"", "word = \"R01\"", "request.modes"),
        ("portrait = \"portrait\"              #", "#", "payload.portrait"),
        ("portrait = \"portrait\"\nchip", "chip", "answer.field_names"),
        ("chip = { com", "# chip = { com", "payload.chip"),
        ("dg1 = \"dg1\"", "dg1 = \"efCom\"", "payload.chip"),
        ("unspecified = \"X\"", "", "answer.reading.sexes"),
        ("sex = \"sex\"", "sex = \"name\"", "answer.reading"),
        ("digest = \"readingDigest\"", "digest = \"nonce\"", "answer"),
        ("source = \"purpose\"", "source = \"business-serial\"", "request.members"),
        ("source = \"nonce\"", "source = \"time\"", "request.members"),
        ("{ name = \"version\", constant = \"1.0\" }", "{ name = \"version\" }", "request.members"),
        ("name = \"custNum\"", "name = \"appName\"", "request.members"),
        ("prc-passport = \"414\"", "prc-passport = \"516\"", "payload.document_types"),
        ("prc-passport = \"414\"", "library-card = \"414\"", "library-card"),
        ("mismatch = \"1001\"", "mismatch = \"0000\"", "answer.codes"),
        ("mismatch = '\"0\"'", "mismatch = 'no'", "answer.field_results"),
        ("serial = \"bizSerialNum\"", "serial = \"nonce\"", "answer"),
        ("time_window_seconds = 300", "time_window_seconds = 86401", "limits.time_window_seconds"),
        ("utc_offset_minutes = 480", "utc_offset_minutes = 9999", "forms.utc_offset_minutes"),
        ("answer_bytes = 65536", "answer_bytes = 524289", "limits.answer_bytes"),
        ("connect_ms = 3000", "connect_ms = 0", "connect_ms"),
    ];
    for (from, to, named) in cases {
        assert_refused(REFERENCE, from, to, named);
    }
    let cases = [
        ("path = \"/auth/apply\"", "path = \"apply\"", "apply.path"),
        ("serial = \"businessSerialNumber\"", "serial = \"nonce\"", "apply.answer"),
        ("accepted = \"0000\"", "accepted = \"2001\"", "apply.answer.accepted"),
        ("source = \"apply-digest\"", "source = \"customer\"", "request.members"),
    ];
    for (from, to, named) in cases {
        assert_refused(TWO_STEP, from, to, named);
    }
}

fn assert_refused(profile: &str, from: &str, to: &str, named: &str) {
    assert!(profile.contains(from), "{from}");
    let error = refused(&profile.replacen(from, to, 1));
    assert!(error.contains("p.toml") && error.contains(named), "{to}: {error}");
    assert!(error.contains("p.toml:") || error.contains("line"), "{to}: {error}");
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
