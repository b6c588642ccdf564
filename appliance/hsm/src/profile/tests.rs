use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;

use super::*;

const SOFTTOKEN: &str = include_str!("../../../../hsm-profiles/softtoken.toml");

fn parse(text: &str) -> Result<Profile, ProfileError> {
    Profile::parse(text, Path::new("/etc/yanqian/p.toml"))
}

fn refused(from: &str, to: &str) -> String {
    assert!(SOFTTOKEN.contains(from), "{from:?} is not in the profile");
    let error = parse(&SOFTTOKEN.replacen(from, to, 1)).expect_err("must be refused").to_string();
    assert!(error.contains("/etc/yanqian/p.toml"), "{error}");
    error
}

#[test]
fn the_shipped_profile_is_valid_and_says_what_it_is() {
    let profile = parse(SOFTTOKEN).expect("the shipped profile is valid");
    assert_eq!(profile.name, "softtoken");
    assert_eq!(profile.grade, Grade::Development);
    assert_eq!(profile.evidence, Evidence::Proven);
    assert!(!profile.needs_message());
    let unseal = profile.unseal.expect("it opens");
    assert_eq!((unseal.mechanism, unseal.ciphertext), (0x8000_8200, CipherForm::Der));
    let import = profile.import.expect("it imports");
    assert_eq!((import.mechanism, import.form), (0x8000_8200, ImportForm::Sm2EnvelopedKey));
    assert_eq!(profile.hash(), sm3(&[SOFTTOKEN.as_bytes()]));
}

#[test]
fn unknown_keys_are_refused_by_name_and_line() {
    let error = refused("[sign]", "[sign]\npadding = true");
    assert!(error.contains("padding") && error.contains("line"), "{error}");
    let error = refused("[key]", "colour = 1\n[key]");
    assert!(error.contains("colour"), "{error}");
}

#[test]
fn missing_keys_are_refused_by_name() {
    assert!(refused("input = \"e\"", "").contains("input"));
}

#[test]
fn values_out_of_range_are_refused_by_key() {
    assert!(refused("format_version = 1", "format_version = 2").contains("format_version"));
    assert!(refused("call_timeout_ms = 10000", "call_timeout_ms = 1").contains("session.call_timeout_ms"));
    assert!(refused("never_send = []", "never_send = [\"CKA_LABEL\"]").contains("key.never_send"));
    assert!(refused("input = \"e\"", "input = \"digest\"").contains("digest"));
    assert!(refused("mechanism = 0x80008105", "mechanism = -1").contains("-1"));
    assert!(refused("mechanism = 0x80008105", "mechanism = \"0x+1\"").contains("0x+1"));
    assert!(refused("device = \"software\"", "device = \"cloud\"").contains("cloud"));
    assert!(refused("device = \"software\"\n", "").contains("device"));
}

#[test]
fn what_does_not_fit_together_is_refused_by_key() {
    assert!(refused("grade = \"development\"", "grade = \"hsm\"").contains("grade"));
    let point = "ec_point = \"octet-string\"";
    assert!(refused(point, "ec_point = \"coordinates\"").contains("key.ec_point"));
    assert!(refused(point, &format!("{point}\nx_attribute = 1\ny_attribute = 2")).contains("key.ec_point"));
    assert!(refused(point, "ec_point = \"coordinates\"\nx_attribute = 1").contains("key.ec_point"));
    let query = "length_query = \"never\"";
    assert!(refused(query, &format!("{query}\nparameter = \"user-id\"")).contains("sign.parameter"));
    assert!(refused(query, &format!("{query}\nmax_input = 32")).contains("sign.max_input"));
    assert!(refused("[session]", "[login]\nuser = 0\n[session]").contains("login.user"));
    assert!(refused("[session]", "[login]\nuser = \"0x100000000\"\n[session]").contains("login.user"));
    assert!(refused("threads = \"parallel\"", "threads = \"parallel\"\nrecovery = \"pray\"").contains("pray"));
}

#[test]
fn versions_arguments_locks_and_locators_are_read_strictly() {
    let with = |from: &str, to: &str| parse(&SOFTTOKEN.replacen(from, to, 1)).expect("valid");
    let profile = parse(SOFTTOKEN).expect("valid");
    assert_eq!((profile.library, profile.module.clone()), (VersionRange::default(), ModuleForm::default()));
    assert_eq!((profile.key.locator, profile.session.keep_alive), (Locator::Label, Duration::ZERO));
    for word in ["x", "2", "2.6.1", "2.256", "+2.6", "2.", ""] {
        assert!(refused("[match]", &format!("[match]\nlibrary_min = {word:?}")).contains("no version"), "{word}");
    }
    let range = "[match]\nlibrary_min = \"2.10\"\nlibrary_max = \"2.9\"";
    assert!(refused("[match]", range).contains("match.library_min"), "numbers, not text");
    assert!(refused("[match]", &range.replace("library", "firmware")).contains("match.firmware_min"));
    for args in ["", "a\\u0000b", &"x".repeat(4097)] {
        assert!(refused("[key]", &format!("[module]\ninit_args = \"{args}\"\n[key]")).contains("module.init_args"));
    }
    assert!(refused("[key]", "[module]\nos_locking = false\n[key]").contains("module.os_locking"));
    assert!(refused("[key]", "[module]\ncolour = 1\n[key]").contains("colour"));
    assert!(refused("[key]", "[key]\nlocator = \"serial\"").contains("serial"));
    assert!(refused("[session]", "[session]\nkeep_alive_seconds = 5").contains("session.keep_alive_seconds"));
    assert_eq!(with("[key]", "[key]\nlocator = \"label-and-id\"").key.locator, Locator::LabelAndId);
    assert_eq!(with("[session]", "[session]\nkeep_alive_seconds = 60").session.keep_alive, Duration::from_mins(1));
}

#[test]
fn a_library_out_of_range_says_which_field_differs_and_is_asked_only_when_there_is_one() {
    let version = |major, minor| Version { major, minor };
    let profile = parse(SOFTTOKEN).expect("valid");
    assert_eq!(profile.fits_library(|| Err("not asked"), version(1, 0)), Ok(()));
    let text = SOFTTOKEN.replacen("[match]", "[match]\nlibrary_min = \"2.6\"\nlibrary_max = \"2.10\"", 1);
    let profile = parse(&text).expect("valid");
    for (minor, key) in [(5, Some("match.library_min")), (6, None), (10, None), (11, Some("match.library_max"))] {
        let fits = profile.fits_library(|| Ok::<_, String>(version(2, minor)), version(0, 0));
        assert_eq!(fits.is_ok(), key.is_none(), "{fits:?}");
        assert!(fits.is_ok_and(|()| true) || key.is_some());
    }
    let error = profile.fits_library(|| Err("C_GetInfo failed"), version(0, 0)).expect_err("asked");
    assert!(error.contains("C_GetInfo"));
}

#[test]
fn what_may_be_left_out_has_its_meaning() {
    let profile = parse(SOFTTOKEN).expect("valid");
    assert_eq!((profile.login_user, profile.session.recovery), (cryptoki_sys::CKU_USER, Recovery::Reinitialise));
    let sign = profile.sign.expect("it signs");
    assert_eq!((sign.parameter, sign.max_input), (SignParameter::None, None));
    let start = SOFTTOKEN.find("[sign]").expect("it signs");
    let end = SOFTTOKEN.find("[unseal]").expect("it opens");
    let without = parse(&[&SOFTTOKEN[..start], &SOFTTOKEN[end..]].concat()).expect("a family may sign nothing");
    assert!(without.sign.is_none() && !without.needs_message());
    let luna = parse(&SOFTTOKEN.replacen("[session]", "[login]\nuser = 0x80000001\n[session]", 1)).expect("valid");
    assert_eq!(luna.login_user, 0x8000_0001);
}

#[test]
fn what_is_opened_and_imported_is_read_strictly() {
    const UNSEAL: &str = "[unseal]\nmechanism = 0x80008200\nciphertext = \"der\"                    # SM2Cipher\n";
    const IMPORT: &str = "[import]\nmechanism = 0x80008200\nform = \"sm2-enveloped-key\"\n";
    for (word, form) in [("der", CipherForm::Der), ("c1c3c2", CipherForm::C1c3c2), ("c1c2c3", CipherForm::C1c2c3)] {
        let text = SOFTTOKEN.replacen("ciphertext = \"der\"", &format!("ciphertext = {word:?}"), 1);
        assert_eq!(parse(&text).expect("valid").unseal.map(|unseal| unseal.ciphertext), Some(form));
    }
    assert!(refused("ciphertext = \"der\"", "ciphertext = \"c1c4c5\"").contains("c1c4c5"));
    assert!(refused("ciphertext = \"der\"", "").contains("ciphertext"));
    assert!(refused("[unseal]", "[unseal]\npadding = 1").contains("padding"));
    assert!(refused("[import]", "[import]\nwrap = 1").contains("wrap"));
    assert!(refused("form = \"sm2-enveloped-key\"", "form = \"pkcs8\"").contains("pkcs8"));
    assert!(refused("form = \"sm2-enveloped-key\"", "").contains("form"));
    assert!(refused(UNSEAL, "").contains("[unseal]"), "what cannot be opened need not be imported");
    let opens_only = parse(&SOFTTOKEN.replacen(IMPORT, "", 1)).expect("a family may have its own way of importing");
    assert!(opens_only.import.is_none() && opens_only.unseal.is_some());
    let neither = parse(&SOFTTOKEN.replacen(IMPORT, "", 1).replacen(UNSEAL, "", 1)).expect("a family may open nothing");
    assert!(neither.import.is_none() && neither.unseal.is_none());
}

#[test]
fn sealed_keys_are_of_their_own_grade_and_exclude_what_a_token_would_do() {
    const SEALED: &str = include_str!("../../../../hsm-profiles/softhsm-sealed.toml");
    let profile = parse(SEALED).expect("the shipped profile is valid");
    let form = profile.key.sealed.expect("it seals");
    assert_eq!(
        (profile.grade, form.wrapping, form.public_key),
        (Grade::Sealed, Wrapping::AesKeyWrap, PublicObject::Key)
    );
    let table = "[sealed]\nwrapping = \"aes-key-wrap\"             # CKM_AES_KEY_WRAP (0x2109)\n";
    for (from, to, key) in [
        ("grade = \"sealed\"", "grade = \"hsm\"", "grade"),
        ("grade = \"sealed\"", "grade = \"development\"", "grade"),
        (table, "[unused]\n", "unused"),
        ("wrapping = \"aes-key-wrap\"", "wrapping = \"rot13\"", "rot13"),
        ("public_key = \"key\"", "", "public_key"),
        ("[sealed]", "[unseal]\nmechanism = 1\nciphertext = \"der\"\n[sealed]", "unseal"),
        (
            "[sealed]",
            "[sign]\nmechanism = 1\ninput = \"e\"\nencoding = \"raw\"\nlength_query = \"never\"\n[sealed]",
            "sign",
        ),
        ("type = 3 ", "keygen_mechanism = 0x1040\ntype = 3 ", "key.keygen_mechanism"),
    ] {
        assert!(SEALED.contains(from), "{from:?}");
        let error = parse(&SEALED.replacen(from, to, 1)).expect_err(key).to_string();
        assert!(error.contains(key), "{error}");
    }
    assert!(refused("grade = \"development\"", "grade = \"sealed\"").contains("[sealed]"));
}

#[test]
fn numbers_of_every_size_are_taken() {
    for (text, number) in
        [("0x00010002", 0x0001_0002), ("0", 0), ("\"0xFFFFFFFFFFFFFFFF\"", u64::MAX), ("4294967295", 0xFFFF_FFFF)]
    {
        let profile = SOFTTOKEN.replacen("mechanism = 0x80008105", &format!("mechanism = {text}"), 1);
        assert_eq!(parse(&profile).expect("a valid number").sign.map(|sign| sign.mechanism), Some(number));
    }
}

#[test]
fn the_error_map_takes_names_and_numbers_once_each() {
    let with = |lines: &str| parse(&format!("{SOFTTOKEN}\n[errors]\n{lines}"));
    let profile = with("\"0x80000384\" = \"new-session\"\nCKR_DEVICE_ERROR = \"fail\"").expect("valid");
    assert_eq!(profile.errors.get(&0x8000_0384), Some(&Remedy::NewSession));
    assert_eq!(profile.errors.get(&0x30), Some(&Remedy::Fail));
    for wrong in [
        "\"0x30\" = \"fail\"\nCKR_DEVICE_ERROR = \"reinitialise\"",
        "CKR_OK = \"fail\"",
        "CKR_NONE = \"fail\"",
        "\"0x0\" = \"fail\"",
        "CKR_PIN_INCORRECT = \"log-in\"",
        "\"0xA4\" = \"new-session\"",
        "\"0x30\" = \"retry-for-ever\"",
    ] {
        let error = with(wrong).expect_err(wrong).to_string();
        assert!(error.contains("errors."), "{error}");
    }
}

#[test]
fn a_profile_of_another_token_says_which_field_differs() {
    let profile = parse(SOFTTOKEN).expect("valid");
    assert_eq!(profile.fits("Yanqian project", "SOFT development"), Ok(()));
    let error = profile.fits("Sansec", "SOFT development").expect_err("another manufacturer");
    assert!(error.contains("match.manufacturer") && error.contains("Sansec"), "{error}");
}

proptest! {
    #[test]
    fn changed_profiles_give_a_profile_or_an_error(
        position in any::<prop::sample::Index>(), with in "[ -~\n]{0,12}", cut in 0_usize..20,
    ) {
        let mut text = SOFTTOKEN.to_owned();
        let mut start = position.index(text.len());
        while !text.is_char_boundary(start) { start -= 1; }
        let mut end = (start + cut).min(text.len());
        while !text.is_char_boundary(end) { end += 1; }
        text.replace_range(start..end, &with);
        let _ = parse(&text);
    }
}
