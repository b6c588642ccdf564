#![allow(clippy::unwrap_used)]

use super::*;
use crate::profile::{LengthQuery, SignParameter};

/// Signatures of a real Sansec device over `hello chainmaker`, as the `ChainMaker` project's tests record them.
const KEY: &str = "fb0d63136159d1ddbb5154291a1839d166ecefdadcc7d324069d971b562cf08c\
                   ca80a82c0ec41e03acc2c4e60c83a4b86640850a6b7df3a705d4a1681830210b";
const MESSAGE: &[u8] = b"hello chainmaker";
/// By `CKM_SM3_SM2` (0x80008100).
const WITHOUT_Z: &str = "02f59073676d87391323c58033607b1460867143bc7b2646b7b112aa3dfb54c4\
                         8d47545718b18167f7c09fe283030040de7feb6b5bcfda06011757973c81a8d3";
/// By `CKM_SM3_SM2_APPID1_DER` (0x80008103).
const WITH_Z: [&str; 3] = [
    "30450220648f89660672bbca8fa8e878c09cdfdcfacaede9c58650acf6de9de127c456f7\
     022100a8a4dbfd72872c8af78c028cb889cb6eebd0c9e8af02bc5ac8624a10e326fdbb",
    "30450220632de5c9dc0e61f392c982f0371aadbbe101e12966d9514ef62939bae490444c\
     022100da901964bcec2d22aea59ee98c63eb285efb885dd8d6f1996350f8190ab0d0f5",
    "304402203b5c4be928294161d3276ff2ef8538b185a6d3a12a4679605df90c7c91444aee\
     02202e84e0a7a6f5f7d67a45f0f8a92a853f43d0803873b022bab005d14fc8079ee2",
];
/// The same, where r or s starts with a zero octet and one of 0x80 and more: without the pad that DER wants.
const WITHOUT_PAD: [&str; 2] = [
    "3044021feca4bf4fad8b925d385d40351250e208c399323a98e6397243cdbb20bc106e\
     022100e7ed1c3d94f7b3fe065ee347cdaf6df60a23514f85f6e5b4b1ab9a129bfc2e27",
    "3044022100b5715695cc79c5ea52e9db9ed817c01419b9a82013dda8f2c7adefecba4d39da\
     021fc82615deaba0f015dcc69b517fcf2535b7269474d76442b6d31c1ab3e6366a",
];

fn octets(text: &str) -> Vec<u8> {
    hex::decode(text).unwrap()
}

fn key() -> PublicKey {
    PublicKey::from_raw(&octets(KEY).try_into().unwrap()).unwrap()
}

fn form(input: SignInput, encoding: SignEncoding) -> SignForm {
    SignForm {
        mechanism: 0x8000_8103,
        input,
        encoding,
        parameter: SignParameter::None,
        length_query: LengthQuery::Never,
        max_input: None,
    }
}

fn find(handed: &[u8], given: &[u8]) -> Option<Finding> {
    Case { key: &key(), others: &[], handed, given }.find()
}

#[test]
fn a_real_devices_signatures_are_told_apart_by_what_they_hash() {
    let found = find(MESSAGE, &octets(WITHOUT_Z)).unwrap();
    assert_eq!((found.is_sm2, found.digest), (true, Digest::Alone));
    assert_eq!(found.encoding(), Some(SignEncoding::Raw));
    let advice = found.advice(&form(SignInput::MessageWithZ, SignEncoding::Raw));
    assert!(advice.contains("without Z") && advice.contains("\"message-without-z\""), "{advice}");
    for given in WITH_Z {
        let found = find(MESSAGE, &octets(given)).unwrap();
        assert_eq!((found.is_sm2, found.digest), (true, Digest::WithZ), "{given}");
        assert_eq!(found.encoding(), Some(SignEncoding::Der), "{given}");
    }
}

#[test]
fn a_real_devices_missing_pads_are_seen_and_the_encoding_to_set_is_named() {
    for given in WITHOUT_PAD {
        assert!(Signature::from_der(&octets(given)).is_err(), "{given}");
        let found = find(MESSAGE, &octets(given)).unwrap();
        assert_eq!((found.digest, found.encoding()), (Digest::WithZ, Some(SignEncoding::DerLax)), "{given}");
        let advice = found.advice(&form(SignInput::MessageWithZ, SignEncoding::Der));
        assert!(advice.contains("sign.encoding should be \"der-lax\""), "{advice}");
        let lax = form(SignInput::MessageWithZ, SignEncoding::DerLax);
        assert!(!found.advice(&lax).contains("should be"), "{}", found.advice(&lax));
    }
}

#[test]
fn orders_that_no_profile_can_name_are_named() {
    let raw = Signature::from_der(&octets(WITH_Z[0])).unwrap().to_raw();
    let (mut swapped, mut reversed, mut wide) = (raw, raw, [0; 128]);
    swapped.rotate_left(32);
    reversed.chunks_exact_mut(32).for_each(<[u8]>::reverse);
    wide[32..64].copy_from_slice(&raw[..32]);
    wide[96..].copy_from_slice(&raw[32..]);
    let profile = form(SignInput::MessageWithZ, SignEncoding::Raw);
    for (given, expected, word) in [
        (&swapped[..], Form::Swapped, "exchanged"),
        (&reversed, Form::LittleEndian, "reverse order"),
        (&wide, Form::Wide, "64 octets each"),
    ] {
        let found = find(MESSAGE, given).unwrap();
        assert_eq!(found.form, expected);
        assert!(found.advice(&profile).contains(word), "{}", found.advice(&profile));
    }
}

#[test]
fn another_key_of_the_token_is_named_and_a_strangers_is_not() {
    let generator = "32c4ae2c1f1981195f9904466a39c9948fe30bbff2660be1715a4589334c74c7\
                     bc3736a2f4f6779c59bdcee36b692153d0a9877cc62a474002df32e52139f0a0";
    let stranger = PublicKey::from_raw(&octets(generator).try_into().unwrap()).unwrap();
    let given = octets(WITH_Z[0]);
    let others = [("old".to_owned(), key())];
    let found = Case { key: &stranger, others: &others, handed: MESSAGE, given: &given }.find().unwrap();
    assert_eq!(found.other.as_deref(), Some("old"));
    assert!(found.advice(&form(SignInput::MessageWithZ, SignEncoding::Der)).contains("\"old\""));
    assert_eq!(Case { key: &stranger, others: &[], handed: MESSAGE, given: &given }.find(), None);
}

#[test]
fn what_is_no_signature_is_found_in_no_way() {
    for given in [&[][..], &[0; 64], &[0xff; 64], &[0x30, 0], &[7; 128], &[1; 64]] {
        assert_eq!(find(MESSAGE, given), None, "{given:02x?}");
        assert_eq!(find(&[1; 32], given), None, "{given:02x?}");
    }
}
