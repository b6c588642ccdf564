//! Keys: what they look like, what they sign, and what never leaves.

use cryptoki_sys::*;
use sm2::dsa::signature::Verifier;
use sm2::dsa::signature::hazmat::PrehashVerifier;
use sm2::dsa::{Signature, VerifyingKey};

use crate::support::*;

const DEFAULT_ID: &str = "1234567812345678";

/// The example of GB/T 32918.5 (also GM/T 0003.5): private key, public point, message, e and signature.
pub(crate) const EXAMPLE_KEY: &str = "3945208f7b2144b13f36e38ac6d39f95889393692860b51a42fb81ef4df7c5b8";
pub(crate) const EXAMPLE_POINT: &str = "0409f9df311e5421a150dd7d161e4bc5c672179fad1833fc076bb08ff356f35020\
     ccea490ce26775a52dc6ea718cc1aa600aed05fbf35e084a6632f6072da9ad13";
const EXAMPLE_E: &str = "f0b43e94ba45accaace692ed534382eb17e6ab5a19ce7b31f4486fdfc0d28640";
const EXAMPLE_SIGNATURE: &str = "f5a03b0648d2c4630eeac513e1bb81a15944da3827d5b74143ac7eaceee720b3\
     b1b6aa29df212fd8763182bc0d421ca1bb9038fd1f7f42d4840b69c485bbc1aa";

pub(crate) fn private_import() -> Template {
    Template::class(CKO_PRIVATE_KEY)
        .ulong(CKA_KEY_TYPE, CKK_SM2)
        .octets(CKA_EC_PARAMS, &CURVE)
        .octets(CKA_VALUE, &hex::decode(EXAMPLE_KEY).unwrap())
}

fn public_import(point: &[u8]) -> Template {
    Template::class(CKO_PUBLIC_KEY)
        .ulong(CKA_KEY_TYPE, CKK_SM2)
        .octets(CKA_EC_PARAMS, &CURVE)
        .octets(CKA_EC_POINT, point)
}

#[test]
fn a_signature_over_e_verifies_elsewhere() {
    let (token, session) = Token::user();
    let (public, private) = token.key_pair(session, "k");
    let point = token.point(session, public);
    let e = [0x5A; 32];
    let signature = token.sign(session, SIGN_DIGEST, private, &e).unwrap();
    assert_eq!(signature.len(), 64);
    let key = VerifyingKey::from_sec1_bytes(DEFAULT_ID, &point).unwrap();
    key.verify_prehash(&e, &Signature::from_slice(&signature).unwrap()).unwrap();
    assert!(independent_verify(&point, &e, &signature, false));
    assert!(!independent_verify(&point, &[0x5B; 32], &signature, false));
    assert_eq!(token.verify(session, SIGN_DIGEST, public, &e, &signature), CKR_OK);
    let again = token.sign(session, SIGN_DIGEST, private, &e).unwrap();
    assert_ne!(signature, again, "the nonce is fresh");
}

#[test]
fn a_signature_over_a_message_uses_z_with_the_default_id() {
    let (token, session) = Token::user();
    let (public, private) = token.key_pair(session, "k");
    let point = token.point(session, public);
    for message in [b"".as_slice(), b"message", &vec![0xA5; 70_000]] {
        let signature = token.sign(session, SIGN_MESSAGE, private, message).unwrap();
        let key = VerifyingKey::from_sec1_bytes(DEFAULT_ID, &point).unwrap();
        key.verify(message, &Signature::from_slice(&signature).unwrap()).unwrap();
        assert!(independent_verify(&point, message, &signature, true));
        assert_eq!(token.verify(session, SIGN_MESSAGE, public, message, &signature), CKR_OK);
        assert_eq!(token.verify(session, SIGN_MESSAGE, public, b"other", &signature), CKR_SIGNATURE_INVALID);
    }
}

#[test]
fn a_message_may_come_in_parts() {
    let (token, session) = Token::user();
    let (public, private) = token.key_pair(session, "k");
    let point = token.point(session, public);
    assert_eq!(token.sign_init(session, SIGN_MESSAGE, private), CKR_OK);
    for part in [b"mes".as_slice(), b"", b"sage"] {
        assert_eq!(call!(token, C_SignUpdate(session, part.as_ptr().cast_mut(), part.len() as CK_ULONG)), CKR_OK);
    }
    let mut length = 0;
    assert_eq!(call!(token, C_SignFinal(session, std::ptr::null_mut(), &raw mut length)), CKR_OK);
    assert_eq!(length, 64);
    let mut signature = [0; 64];
    assert_eq!(call!(token, C_SignFinal(session, signature.as_mut_ptr(), &raw mut length)), CKR_OK);
    assert!(independent_verify(&point, b"message", &signature, true));

    let mut mechanism = mechanism(SIGN_MESSAGE);
    assert_eq!(call!(token, C_VerifyInit(session, &raw mut mechanism, public)), CKR_OK);
    assert_eq!(call!(token, C_VerifyUpdate(session, b"message".as_ptr().cast_mut(), 7)), CKR_OK);
    assert_eq!(call!(token, C_VerifyFinal(session, signature.as_mut_ptr(), 64)), CKR_OK);
}

#[test]
fn the_standards_signature_example_verifies() {
    let (token, session) = Token::user();
    let point = hex::decode(EXAMPLE_POINT).unwrap();
    let public = token.create(session, &public_import(&point)).unwrap();
    let signature = hex::decode(EXAMPLE_SIGNATURE).unwrap();
    let e = hex::decode(EXAMPLE_E).unwrap();
    assert_eq!(token.verify(session, SIGN_MESSAGE, public, b"message digest", &signature), CKR_OK);
    assert_eq!(token.verify(session, SIGN_DIGEST, public, &e, &signature), CKR_OK);
    for bit in [0, 255, 256, 511] {
        let mut broken = signature.clone();
        broken[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(token.verify(session, SIGN_DIGEST, public, &e, &broken), CKR_SIGNATURE_INVALID);
    }
    assert_eq!(token.verify(session, SIGN_DIGEST, public, &e, &[0; 64]), CKR_SIGNATURE_INVALID);
    assert_eq!(token.verify(session, SIGN_DIGEST, public, &e, &signature[..63]), CKR_SIGNATURE_LEN_RANGE);
}

#[test]
fn an_imported_key_has_the_right_public_point_and_signs() {
    let (token, session) = Token::user();
    let private = token.create(session, &private_import().bool(CKA_TOKEN, true)).unwrap();
    let point = hex::decode(EXAMPLE_POINT).unwrap();
    assert_eq!(token.point(session, private), point);
    let signature = token.sign(session, SIGN_MESSAGE, private, b"message digest").unwrap();
    assert!(independent_verify(&point, b"message digest", &signature, true));
    for kind in [CKA_LOCAL, CKA_ALWAYS_SENSITIVE, CKA_NEVER_EXTRACTABLE] {
        assert_eq!(token.attribute(session, private, kind), Ok(vec![0]), "it was outside once");
    }
}

#[test]
fn an_import_may_give_its_point_in_any_usual_form_but_not_a_wrong_one() {
    let (token, session) = Token::user();
    let point = hex::decode(EXAMPLE_POINT).unwrap();
    let octet_string = [&[0x04, 65], point.as_slice()].concat();
    for form in [octet_string.as_slice(), &point, &point[1..]] {
        let public = token.create(session, &public_import(form)).unwrap();
        assert_eq!(token.point(session, public), point);
        let private = token.create(session, &private_import().octets(CKA_EC_POINT, form)).unwrap();
        assert_eq!(token.point(session, private), point);
    }
    let mut off_curve = point.clone();
    off_curve[64] ^= 1;
    for form in [off_curve.as_slice(), &point[..33], &[], &[0; 65]] {
        assert_eq!(token.create(session, &public_import(form)), Err(CKR_ATTRIBUTE_VALUE_INVALID));
        let private = private_import().octets(CKA_EC_POINT, form);
        assert_eq!(token.create(session, &private), Err(CKR_ATTRIBUTE_VALUE_INVALID));
    }
}

#[test]
fn a_scalar_out_of_range_is_no_key() {
    let (token, session) = Token::user();
    let order = "fffffffeffffffffffffffffffffffff7203df6b21c6052b53bbf40939d54123";
    let order_minus_one = "fffffffeffffffffffffffffffffffff7203df6b21c6052b53bbf40939d54122";
    for scalar in ["00".repeat(32).as_str(), order, order_minus_one, &"ff".repeat(32), "01", ""] {
        let template = Template::class(CKO_PRIVATE_KEY)
            .ulong(CKA_KEY_TYPE, CKK_SM2)
            .octets(CKA_VALUE, &hex::decode(scalar).unwrap());
        assert_eq!(token.create(session, &template), Err(CKR_ATTRIBUTE_VALUE_INVALID), "{scalar}");
    }
}

#[test]
fn a_private_key_never_shows_its_value() {
    let (token, session) = Token::user();
    let (_, private) = token.key_pair(session, "k");
    assert_eq!(token.attribute(session, private, CKA_VALUE), Err(CKR_ATTRIBUTE_SENSITIVE));
    for (kind, value) in [
        (CKA_SENSITIVE, 1),
        (CKA_EXTRACTABLE, 0),
        (CKA_ALWAYS_SENSITIVE, 1),
        (CKA_NEVER_EXTRACTABLE, 1),
        (CKA_PRIVATE, 1),
        (CKA_LOCAL, 1),
    ] {
        assert_eq!(token.attribute(session, private, kind), Ok(vec![value]), "{kind:#x}");
    }
    for forbidden in [
        Template::new().bool(CKA_SENSITIVE, false),
        Template::new().bool(CKA_EXTRACTABLE, true),
        Template::new().bool(CKA_PRIVATE, false),
        Template::new().bool(CKA_DERIVE, true),
    ] {
        assert_eq!(token.generate(session, &Template::new(), &forbidden), Err(CKR_ATTRIBUTE_VALUE_INVALID));
    }
    let value = private_import();
    token.create(session, &value).unwrap();
    let guess = Template::new().octets(CKA_VALUE, &hex::decode(EXAMPLE_KEY).unwrap());
    assert!(token.find(session, &guess).is_empty(), "a search must not confirm a guess");
}

#[test]
fn a_key_shows_what_callers_look_for() {
    let (token, session) = Token::user();
    let public = Template::new().octets(CKA_ID, b"\x01\x02").octets(CKA_EC_PARAMS, &CURVE);
    let private = Template::new().octets(CKA_ID, b"\x01\x02").octets(CKA_LABEL, "签名".as_bytes());
    let (public, private) = token.generate(session, &public, &private).unwrap();
    for key in [public, private] {
        assert_eq!(token.attribute(session, key, CKA_KEY_TYPE), Ok(CKK_SM2.to_ne_bytes().to_vec()));
        assert_eq!(token.attribute(session, key, CKA_EC_PARAMS), Ok(CURVE.to_vec()));
        assert_eq!(token.attribute(session, key, CKA_KEY_GEN_MECHANISM), Ok(KEYGEN.to_ne_bytes().to_vec()));
        assert_eq!(token.attribute(session, key, CKA_ID), Ok(vec![1, 2]));
        assert_eq!(token.attribute(session, key, CKA_MODULUS), Err(CKR_ATTRIBUTE_TYPE_INVALID));
    }
    assert_eq!(token.point(session, public), token.point(session, private));
    assert_eq!(token.attribute(session, private, CKA_LABEL), Ok("签名".as_bytes().to_vec()));
    let both = Template::new().ulong(CKA_KEY_TYPE, CKK_SM2).octets(CKA_ID, b"\x01\x02");
    assert_eq!(token.find(session, &both).len(), 2);
}

#[test]
fn a_key_does_only_what_it_was_made_for() {
    let (token, session) = Token::user();
    let decrypting = Template::new().bool(CKA_DECRYPT, true);
    let (public, private) = token.generate(session, &Template::new().bool(CKA_VERIFY, false), &decrypting).unwrap();
    assert_eq!(token.attribute(session, private, CKA_SIGN), Ok(vec![0]), "a use that was not named");
    assert_eq!(token.sign_init(session, SIGN_DIGEST, private), CKR_KEY_FUNCTION_NOT_PERMITTED);
    assert_eq!(token.verify(session, SIGN_DIGEST, public, &[0; 32], &[0; 64]), CKR_KEY_FUNCTION_NOT_PERMITTED);
    let (public, private) = token.key_pair(session, "signing");
    let mut cipher = mechanism(CIPHER);
    assert_eq!(call!(token, C_DecryptInit(session, &raw mut cipher, private)), CKR_KEY_FUNCTION_NOT_PERMITTED);
    assert_eq!(token.sign_init(session, CIPHER, private), CKR_MECHANISM_INVALID);
    assert_eq!(token.sign_init(session, CKM_ECDSA, private), CKR_MECHANISM_INVALID);
    assert_eq!(token.sign_init(session, SIGN_DIGEST, public), CKR_KEY_FUNCTION_NOT_PERMITTED);
    assert_eq!(token.sign_init(session, SIGN_DIGEST, 999_999), CKR_KEY_HANDLE_INVALID);
}

#[test]
fn templates_that_make_no_sense_are_refused_by_name() {
    let (token, session) = Token::user();
    let generate = |public: Template, private: Template| token.generate(session, &public, &private).unwrap_err();
    let none = Template::new;
    let p256 = [0x06, 0x08, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07];
    assert_eq!(generate(none().octets(CKA_EC_PARAMS, &p256), none()), CKR_CURVE_NOT_SUPPORTED);
    assert_eq!(generate(none().ulong(CKA_KEY_TYPE, CKK_EC), none()), CKR_TEMPLATE_INCONSISTENT);
    assert_eq!(generate(none().ulong(CKA_CLASS, CKO_PRIVATE_KEY), none()), CKR_TEMPLATE_INCONSISTENT);
    assert_eq!(generate(none().ulong(CKA_MODULUS_BITS, 2048), none()), CKR_ATTRIBUTE_TYPE_INVALID);
    assert_eq!(generate(none(), none().octets(CKA_VALUE, &[1; 32])), CKR_ATTRIBUTE_TYPE_INVALID);
    assert_eq!(generate(none(), none().bool(CKA_LOCAL, true)), CKR_ATTRIBUTE_READ_ONLY);
    assert_eq!(generate(none(), none().octets(CKA_SIGN, &[2])), CKR_ATTRIBUTE_VALUE_INVALID);
    assert_eq!(generate(none(), none().octets(CKA_TOKEN, &[])), CKR_ATTRIBUTE_VALUE_INVALID);
    assert_eq!(generate(none(), none().bool(CKA_SIGN, true).bool(CKA_SIGN, true)), CKR_TEMPLATE_INCONSISTENT);
    assert_eq!(generate(none(), none().octets(CKA_LABEL, &vec![0; 65_537])), CKR_ATTRIBUTE_VALUE_INVALID);
    let create = |template: Template| token.create(session, &template).unwrap_err();
    assert_eq!(create(none()), CKR_TEMPLATE_INCOMPLETE);
    assert_eq!(create(Template::class(CKO_PRIVATE_KEY)), CKR_TEMPLATE_INCOMPLETE);
    assert_eq!(create(Template::class(CKO_PUBLIC_KEY)), CKR_TEMPLATE_INCOMPLETE);
    assert_eq!(create(Template::class(CKO_DATA).octets(CKA_VALUE, b"x")), CKR_ATTRIBUTE_VALUE_INVALID);
    assert!(token.find(session, &none()).is_empty(), "nothing was made on the way");
}

#[test]
fn label_and_id_can_be_changed_and_nothing_else() {
    let (token, session) = Token::user();
    let (_, private) = token.key_pair(session, "before");
    let set = |template: Template| token.set(session, private, &template);
    assert_eq!(set(Template::new().octets(CKA_LABEL, b"after").octets(CKA_ID, b"7")), CKR_OK);
    assert_eq!(set(Template::new().bool(CKA_SENSITIVE, false)), CKR_ATTRIBUTE_READ_ONLY);
    assert_eq!(set(Template::new().bool(CKA_EXTRACTABLE, true)), CKR_ATTRIBUTE_READ_ONLY);
    assert_eq!(set(Template::new().octets(CKA_VALUE, &[1; 32])), CKR_ATTRIBUTE_READ_ONLY);
    assert_eq!(set(Template::new().octets(CKA_MODULUS, b"x")), CKR_ATTRIBUTE_TYPE_INVALID);
    token.restart();
    let session = token.open_rw();
    assert_eq!(token.login(session, CKU_USER, USER_PIN), CKR_OK);
    let found = token.find(session, &Template::class(CKO_PRIVATE_KEY).octets(CKA_LABEL, b"after"));
    assert_eq!(found.len(), 1);
    assert_eq!(token.attribute(session, found[0], CKA_ID), Ok(b"7".to_vec()));
    let fixed = Template::new().bool(CKA_MODIFIABLE, false);
    let (_, fixed) = token.generate(session, &Template::new(), &fixed).unwrap();
    assert_eq!(token.set(session, fixed, &Template::new().octets(CKA_LABEL, b"x")), CKR_ATTRIBUTE_READ_ONLY);
}

#[test]
fn a_certificate_is_kept_as_given_and_seen_without_login() {
    let (token, session) = Token::user();
    let value = [&[0x30, 0x82, 0x01, 0x00][..], &[0xAB; 256]].concat();
    let certificate = Template::class(CKO_CERTIFICATE)
        .ulong(CKA_CERTIFICATE_TYPE, CKC_X_509)
        .bool(CKA_TOKEN, true)
        .octets(CKA_LABEL, b"cert")
        .octets(CKA_ID, b"\x09")
        .octets(CKA_SUBJECT, b"\x30\x00");
    let handle = token.create(session, &certificate.clone().octets(CKA_VALUE, &value)).unwrap();
    for text in [b"-----BEGIN".as_slice(), &value[..200], b""] {
        assert_eq!(
            token.create(session, &certificate.clone().octets(CKA_VALUE, text)),
            Err(CKR_ATTRIBUTE_VALUE_INVALID)
        );
    }
    assert_eq!(token.create(session, &certificate), Err(CKR_TEMPLATE_INCOMPLETE));
    assert_eq!(call!(token, C_Logout(session)), CKR_OK);
    assert_eq!(token.find(session, &Template::class(CKO_CERTIFICATE)), vec![handle]);
    assert_eq!(token.attribute(session, handle, CKA_VALUE), Ok(value));
    assert_eq!(token.sign_init(session, SIGN_DIGEST, handle), CKR_KEY_HANDLE_INVALID);
}

#[test]
fn a_destroyed_object_is_gone_for_good() {
    let (token, session) = Token::user();
    let (public, private) = token.key_pair(session, "k");
    assert_eq!(call!(token, C_DestroyObject(session, private)), CKR_OK);
    assert_eq!(call!(token, C_DestroyObject(session, private)), CKR_OBJECT_HANDLE_INVALID);
    assert_eq!(token.find(session, &Template::new()), vec![public]);
    assert_eq!(token.object_files().len(), 1);
    let kept = Template::new().bool(CKA_DESTROYABLE, false);
    let (_, kept) = token.generate(session, &Template::new(), &kept).unwrap();
    assert_eq!(call!(token, C_DestroyObject(session, kept)), CKR_ACTION_PROHIBITED);
}

#[test]
fn sm3_matches_the_standard() {
    let (token, session) = Token::user();
    let mut sm3 = mechanism(SM3);
    assert_eq!(call!(token, C_DigestInit(session, &raw mut sm3)), CKR_OK);
    let (mut digest, mut length) = ([0; 32], 32);
    let abc = b"abc".as_ptr().cast_mut();
    assert_eq!(call!(token, C_Digest(session, abc, 3, digest.as_mut_ptr(), &raw mut length)), CKR_OK);
    // GB/T 32905 A.1.
    assert_eq!(hex::encode(digest), "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0");
    assert_eq!(call!(token, C_DigestInit(session, &raw mut sm3)), CKR_OK);
    for _ in 0..16 {
        assert_eq!(call!(token, C_DigestUpdate(session, b"abcd".as_ptr().cast_mut(), 4)), CKR_OK);
    }
    length = 31;
    assert_eq!(call!(token, C_DigestFinal(session, digest.as_mut_ptr(), &raw mut length)), CKR_BUFFER_TOO_SMALL);
    assert_eq!(length, 32);
    assert_eq!(call!(token, C_DigestFinal(session, digest.as_mut_ptr(), &raw mut length)), CKR_OK);
    // GB/T 32905 A.2.
    assert_eq!(hex::encode(digest), "debe9ff92275b8a138604889c18e5a4d6fdb70e5387e5765293dcba39c0c5732");
}
