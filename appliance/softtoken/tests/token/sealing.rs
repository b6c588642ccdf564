//! Decryption and unwrapping.

use cryptoki_sys::*;

use crate::keys::{EXAMPLE_POINT, private_import};
use crate::support::*;

/// The encryption example of GB/T 32918.5: C1, C3, C2 of "encryption standard" under the example key.
const X1: &str = "04ebfc718e8d1798620432268e77feb6415e2ede0e073c0f4f640ecd2e149a73";
const Y1: &str = "e858f9d81e5430a57b36daab8f950a3c64e6ee6a63094d99283aff767e124df0";
const C3: &str = "59983c18f809e262923c53aec295d30383b54e39d609d160afcb1908d0bd8766";
const C2: &str = "21886ca989ca9c7d58087307ca93092d651efa";

fn tlv(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = match body.len() {
        short @ 0..128 => vec![short as u8],
        middle @ 128..256 => vec![0x81, middle as u8],
        long => vec![0x82, (long >> 8) as u8, long as u8],
    };
    [&[tag], length.as_slice(), body].concat()
}

fn integer(octets: &[u8]) -> Vec<u8> {
    let pad = octets.first().is_some_and(|octet| *octet >= 0x80);
    tlv(0x02, &[if pad { &[0][..] } else { &[] }, octets].concat())
}

fn example_cipher() -> Vec<u8> {
    let field = |text| hex::decode(text).unwrap();
    tlv(0x30, &[integer(&field(X1)), integer(&field(Y1)), tlv(0x04, &field(C3)), tlv(0x04, &field(C2))].concat())
}

/// Encrypts to a point with a second SM2 implementation, as DER.
fn independent_encrypt(point: &[u8], plain: &[u8]) -> Vec<u8> {
    sm_crypto::sm2::Encrypt::new(&hex::encode(point)).encrypt_asna1(plain)
}

fn decrypt_into(token: &Module, session: CK_SESSION_HANDLE, cipher: &[u8], room: usize) -> Result<Vec<u8>, CK_RV> {
    let mut plain = vec![0; room];
    let mut length = room as CK_ULONG;
    let cipher = (cipher.as_ptr().cast_mut(), cipher.len() as CK_ULONG);
    match call!(token, C_Decrypt(session, cipher.0, cipher.1, plain.as_mut_ptr(), &raw mut length)) {
        CKR_OK => {
            plain.truncate(length as usize);
            Ok(plain)
        }
        error => Err(error),
    }
}

fn decrypt(token: &Module, session: CK_SESSION_HANDLE, key: CK_OBJECT_HANDLE, cipher: &[u8]) -> Result<Vec<u8>, CK_RV> {
    let mut mechanism = mechanism(CIPHER);
    assert_eq!(call!(token, C_DecryptInit(session, &raw mut mechanism, key)), CKR_OK);
    decrypt_into(token, session, cipher, 4096)
}

fn unwrap(
    token: &Module,
    session: CK_SESSION_HANDLE,
    key: CK_OBJECT_HANDLE,
    wrapped: &[u8],
    template: &Template,
) -> Result<CK_OBJECT_HANDLE, CK_RV> {
    let mut mechanism = mechanism(CIPHER);
    let mut list = template.raw();
    let mut handle = 0;
    match call!(
        token,
        C_UnwrapKey(
            session,
            &raw mut mechanism,
            key,
            wrapped.as_ptr().cast_mut(),
            wrapped.len() as CK_ULONG,
            list.as_mut_ptr(),
            list.len() as CK_ULONG,
            &raw mut handle
        )
    ) {
        CKR_OK => Ok(handle),
        error => Err(error),
    }
}

fn opening() -> Template {
    Template::new().bool(CKA_DECRYPT, true).bool(CKA_UNWRAP, true)
}

#[test]
fn the_standards_encryption_example_decrypts() {
    let (token, session) = Token::user();
    let key = token.create(session, &private_import().bool(CKA_DECRYPT, true)).unwrap();
    assert_eq!(decrypt(&token, session, key, &example_cipher()), Ok(b"encryption standard".to_vec()));
}

#[test]
fn what_another_implementation_encrypts_is_decrypted() {
    let (token, session) = Token::user();
    let (public, private) = token.generate(session, &Template::new(), &opening()).unwrap();
    let point = token.point(session, public);
    for length in [1_usize, 16, 31, 32, 33, 1000] {
        let plain: Vec<u8> = (0..length).map(|index| index as u8 ^ 0x5C).collect();
        let cipher = independent_encrypt(&point, &plain);
        // A one-octet key stream is zero once in 256: an honest sender then draws again, a careless one does not.
        if cipher.ends_with(&plain) {
            continue;
        }
        assert_eq!(decrypt(&token, session, private, &cipher), Ok(plain));
    }
}

#[test]
fn the_length_can_be_asked_for_and_a_short_buffer_keeps_the_operation() {
    let (token, session) = Token::user();
    let key = token.create(session, &private_import().bool(CKA_DECRYPT, true)).unwrap();
    let cipher = example_cipher();
    let mut mechanism = mechanism(CIPHER);
    assert_eq!(call!(token, C_DecryptInit(session, &raw mut mechanism, key)), CKR_OK);
    let mut length = 0;
    let data = (cipher.as_ptr().cast_mut(), cipher.len() as CK_ULONG);
    assert_eq!(call!(token, C_Decrypt(session, data.0, data.1, std::ptr::null_mut(), &raw mut length)), CKR_OK);
    assert_eq!(length, 19);
    assert_eq!(decrypt_into(&token, session, &cipher, 18), Err(CKR_BUFFER_TOO_SMALL));
    assert_eq!(decrypt_into(&token, session, &cipher, 19), Ok(b"encryption standard".to_vec()));
    assert_eq!(decrypt_into(&token, session, &cipher, 19), Err(CKR_OPERATION_NOT_INITIALIZED));
}

#[test]
fn every_damaged_ciphertext_is_refused_the_same_way() {
    let (token, session) = Token::user();
    let key = token.create(session, &private_import().bool(CKA_DECRYPT, true)).unwrap();
    let good = example_cipher();
    for index in 0..good.len() {
        let mut bad = good.clone();
        bad[index] ^= 0x01;
        assert_eq!(decrypt(&token, session, key, &bad), Err(CKR_ENCRYPTED_DATA_INVALID), "octet {index}");
    }
    for bad in [&good[..good.len() - 1], &[good.as_slice(), &[0]].concat(), &[], b"\x30\x00"] {
        assert_eq!(decrypt(&token, session, key, bad), Err(CKR_ENCRYPTED_DATA_INVALID));
    }
    assert_eq!(decrypt(&token, session, key, &vec![0x30; 70_000]), Err(CKR_ENCRYPTED_DATA_LEN_RANGE));
}

#[test]
fn a_secret_key_is_unwrapped_and_readable_only_if_asked_for() {
    let (token, session) = Token::user();
    let (public, private) = token.generate(session, &Template::new(), &opening()).unwrap();
    let wrapped = independent_encrypt(&token.point(session, public), &[0x42; 16]);
    let secret = Template::class(CKO_SECRET_KEY).ulong(CKA_KEY_TYPE, CKK_GENERIC_SECRET);
    let closed = unwrap(&token, session, private, &wrapped, &secret).unwrap();
    assert_eq!(token.attribute(session, closed, CKA_VALUE), Err(CKR_ATTRIBUTE_SENSITIVE));
    assert_eq!(token.attribute(session, closed, CKA_VALUE_LEN), Ok(16_u64.to_ne_bytes().to_vec()));
    let open = secret.clone().bool(CKA_SENSITIVE, false).bool(CKA_EXTRACTABLE, true);
    let open = unwrap(&token, session, private, &wrapped, &open).unwrap();
    assert_eq!(token.attribute(session, open, CKA_VALUE), Ok(vec![0x42; 16]));

    let kept = secret.clone().bool(CKA_TOKEN, true).octets(CKA_LABEL, b"kept");
    unwrap(&token, session, private, &wrapped, &kept).unwrap();
    assert_eq!(unwrap(&token, session, private, &wrapped[1..], &secret), Err(CKR_WRAPPED_KEY_INVALID));
    assert_eq!(unwrap(&token, session, private, &wrapped, &Template::new()), Err(CKR_TEMPLATE_INCOMPLETE));
    assert_eq!(unwrap(&token, session, 424_242, &wrapped, &secret), Err(CKR_UNWRAPPING_KEY_HANDLE_INVALID));
    let (_, signing) = token.key_pair(session, "signing");
    assert_eq!(unwrap(&token, session, signing, &wrapped, &secret), Err(CKR_KEY_FUNCTION_NOT_PERMITTED));
    token.restart();
    let session = token.open_rw();
    assert!(token.find(session, &Template::class(CKO_SECRET_KEY)).is_empty());
    assert_eq!(token.login(session, CKU_USER, USER_PIN), CKR_OK);
    assert_eq!(token.find(session, &Template::class(CKO_SECRET_KEY)).len(), 1);
}

/// `SM2EnvelopedKey` of GM/T 0009 §7.4 around the example key.
fn enveloped(point: &[u8], algorithm: &[u8], inner_point: &[u8]) -> Vec<u8> {
    let sm4_key = [0x11; 16];
    let mut scalar = hex::decode(crate::keys::EXAMPLE_KEY).unwrap();
    let ecb = sm_crypto::sm4::CryptSM4ECB::new(&sm4_key);
    // The other implementation pads; two blocks without padding are the first two of its answer.
    scalar = ecb.encrypt_ecb(&scalar)[..32].to_vec();
    let bits = |octets: &[u8]| tlv(0x03, &[&[0], octets].concat());
    let algorithm = tlv(0x30, &tlv(0x06, algorithm));
    tlv(0x30, &[algorithm, independent_encrypt(point, &sm4_key), bits(inner_point), bits(&scalar)].concat())
}

#[test]
fn an_enveloped_private_key_is_unwrapped_and_works() {
    const SM4_ECB: &[u8] = &[0x2A, 0x81, 0x1C, 0xCF, 0x55, 0x01, 0x68, 0x01];
    const SM4_CBC: &[u8] = &[0x2A, 0x81, 0x1C, 0xCF, 0x55, 0x01, 0x68, 0x02];
    let (token, session) = Token::user();
    let (public, private) = token.generate(session, &Template::new(), &opening()).unwrap();
    let point = token.point(session, public);
    let example = hex::decode(EXAMPLE_POINT).unwrap();
    let template = Template::class(CKO_PRIVATE_KEY).bool(CKA_DECRYPT, true).bool(CKA_TOKEN, true);
    let key = unwrap(&token, session, private, &enveloped(&point, SM4_ECB, &example), &template).unwrap();
    assert_eq!(decrypt(&token, session, key, &example_cipher()), Ok(b"encryption standard".to_vec()));
    assert_eq!(token.attribute(session, key, CKA_NEVER_EXTRACTABLE), Ok(vec![0]));
    for wrong in [enveloped(&point, SM4_CBC, &example), enveloped(&point, SM4_ECB, &point), vec![0x30, 0]] {
        assert_eq!(unwrap(&token, session, private, &wrong, &template), Err(CKR_WRAPPED_KEY_INVALID));
    }
    let good = enveloped(&point, SM4_ECB, &example);
    for index in 0..good.len() {
        let mut bad = good.clone();
        bad[index] ^= 0x04;
        assert_eq!(unwrap(&token, session, private, &bad, &template), Err(CKR_WRAPPED_KEY_INVALID), "octet {index}");
    }
}
