//! What is taken from peers that write an envelope otherwise than the standard has it, and where that ends.

use crate::support::{
    EnvelopedParts, GM, NULL, PKCS7, Party, RecipientParts, SM2_ENCRYPT, SM4_CBC, algorithm, oid, tlv,
};
use openssl::symm::{Cipher, encrypt};
use yanqian_messages::{CipherEncoding, Encodings, EnvelopedData, MessageError, SignatureEncoding};
use yanqian_sm::{Sm2Ciphertext, Sm4Key, sm2_encrypt};

const CONTENT: &[u8] = b"content of more than one block";
const SESSION: [u8; 16] = [7; 16];
const IV: [u8; 16] = [9; 16];

fn sealed_key(party: &Party) -> Sm2Ciphertext {
    sm2_encrypt(party.certificate.public_key().unwrap(), &SESSION, &mut getrandom::SysRng).unwrap()
}

fn recipient(party: &Party) -> RecipientParts {
    RecipientParts::new(party, &sealed_key(party))
}

fn enveloped(party: &Party) -> EnvelopedParts {
    let ciphertext = encrypt(Cipher::sm4_cbc(), &SESSION, Some(&IV), CONTENT).unwrap();
    EnvelopedParts::new(&recipient(party), &IV, ciphertext)
}

/// Opens it as its recipient does.
fn open(party: &Party, message: &[u8]) -> Result<Vec<u8>, MessageError> {
    let message = EnvelopedData::parse(message)?;
    let session = party.unseal(message.encrypted_key_for(&party.certificate)?).unwrap();
    message.open(&session).map(|content| content.to_vec())
}

#[test]
fn pkcs7_content_types_are_taken_outside_and_inside() {
    let party = Party::new(1);
    let message = enveloped(&party);
    for outer in [GM, PKCS7] {
        for inner in [GM, PKCS7] {
            let message =
                EnvelopedParts { outer: format!("{outer}.3"), content_type: format!("{inner}.1"), ..message.clone() };
            assert_eq!(open(&party, &message.der()).unwrap(), CONTENT);
        }
        let other = EnvelopedParts { outer: format!("{outer}.2"), ..message.clone() };
        assert_eq!(open(&party, &other.der()).err(), Some(MessageError::ContentType("envelopedData")));
        let other = EnvelopedParts { content_type: format!("{outer}.2"), ..message.clone() };
        assert_eq!(open(&party, &other.der()).err(), Some(MessageError::ContentType("data")));
    }
}

#[test]
fn versions_of_the_field_and_of_cms_are_taken_and_no_others() {
    let party = Party::with_key_id(1);
    let message = enveloped(&party);
    let key_id = tlv(0x80, &[party.certificate.subject_key_id().unwrap()]);
    for version in 0..=4 {
        let whole = EnvelopedParts { version, ..message.clone() }.der();
        assert_eq!(open(&party, &whole).is_ok(), version <= 2, "{version}");
        let by_name = RecipientParts { version, ..recipient(&party) };
        let by_key = RecipientParts { id: key_id.clone(), ..by_name.clone() };
        for (recipient, highest) in [(by_name, 1), (by_key, 2)] {
            let octets = EnvelopedParts { recipients: vec![recipient.der()], ..message.clone() }.der();
            assert_eq!(open(&party, &octets).is_ok(), version <= highest, "{version}");
        }
    }
}

#[test]
fn a_recipient_is_named_by_issuer_and_serial_or_by_key_identifier() {
    let (party, other, without) = (Party::with_key_id(1), Party::with_key_id(1), Party::new(2));
    let message = enveloped(&party);
    let named_by = |party: &Party| {
        let id = tlv(0x80, &[party.certificate.subject_key_id().unwrap()]);
        EnvelopedParts { recipients: vec![RecipientParts { id, ..recipient(party) }.der()], ..message.clone() }.der()
    };
    assert_eq!(open(&party, &named_by(&party)).unwrap(), CONTENT);
    let not_ours = Err(MessageError::NotExactlyOne("recipient that is this certificate"));
    for stranger in [&other, &without] {
        assert_eq!(open(stranger, &named_by(&party)), not_ours);
    }
    // A certificate without the extension is not named by an empty one.
    let empty = RecipientParts { id: tlv(0x80, &[]), ..recipient(&without) };
    let empty = EnvelopedParts { recipients: vec![empty.der()], ..message }.der();
    assert_eq!(open(&without, &empty), not_ours);
}

#[test]
fn ours_is_found_among_several_recipients_whatever_the_others_are() {
    let (party, other) = (Party::with_key_id(1), Party::new(2));
    let message = enveloped(&party);
    let (ours, theirs) = (recipient(&party).der(), recipient(&other).der());
    let rsa = RecipientParts { algorithm: algorithm("1.2.840.113549.1.1.1", NULL), ..recipient(&other) };
    let odd = RecipientParts { encrypted_key: vec![1, 2, 3], ..recipient(&other) };
    let with = |recipients: &[&[u8]]| {
        let recipients = recipients.iter().map(|recipient| recipient.to_vec()).collect();
        EnvelopedParts { recipients, ..message.clone() }.der()
    };
    for others in [&theirs, &rsa.der(), &odd.der()] {
        assert_eq!(open(&party, &with(&[&ours, others])).unwrap(), CONTENT);
        assert_eq!(open(&party, &with(&[others, &ours])).unwrap(), CONTENT);
        // Two for one certificate, or none, are refused, the second of them by key identifier too.
        let not_one = Err(MessageError::NotExactlyOne("recipient that is this certificate"));
        assert_eq!(open(&party, &with(&[&ours, others, &ours])), not_one);
        let by_key = tlv(0x80, &[party.certificate.subject_key_id().unwrap()]);
        let by_key = RecipientParts { id: by_key, ..recipient(&party) }.der();
        assert_eq!(open(&party, &with(&[&ours, others, &by_key])), not_one);
        assert_eq!(open(&party, &with(&[others])), not_one);
    }
    assert_eq!(open(&other, &with(&[&ours, &rsa.der()])), Err(MessageError::Algorithm("key encryption")));
    assert_eq!(open(&other, &with(&[&ours, &odd.der()])), Err(MessageError::Der("SM2Cipher")));
    assert_eq!(open(&party, &with(&[])), Err(MessageError::Der("recipientInfos")));
    let many: Vec<&[u8]> = [&[ours.as_slice()][..], &[theirs.as_slice(); 16]].concat();
    assert_eq!(open(&party, &with(&many[..16])).unwrap(), CONTENT);
    assert_eq!(open(&party, &with(&many)), Err(MessageError::TooMany("recipients", 16)));
    // Another kind of recipient, which the standard does not have.
    assert_eq!(open(&party, &with(&[&ours, &tlv(0xa1, &[&ours])])), Err(MessageError::Der("recipientInfos")));
}

#[test]
fn absent_and_null_parameters_are_the_same_and_others_are_refused() {
    let party = Party::new(1);
    let message = enveloped(&party);
    let with = |parameters: &[u8]| {
        let recipient = RecipientParts { algorithm: algorithm(SM2_ENCRYPT, parameters), ..recipient(&party) };
        EnvelopedParts { recipients: vec![recipient.der()], ..message.clone() }.der()
    };
    for parameters in [&[], NULL] {
        assert_eq!(open(&party, &with(parameters)).unwrap(), CONTENT);
    }
    for parameters in [&[5, 1, 0][..], &oid("1.2.156.10197.1.301"), &[4, 0]] {
        assert_eq!(open(&party, &with(parameters)), Err(MessageError::Algorithm("key encryption")));
    }
}

#[test]
fn a_session_key_is_read_in_the_encoding_that_is_declared_for_the_peer() {
    let party = Party::new(1);
    let message = enveloped(&party);
    let sealed = sealed_key(&party);
    let Sm2Ciphertext { x, y, hash, ciphertext } = &sealed;
    let (new_order, old_order) = ([&x[..], y, hash, ciphertext].concat(), [&x[..], y, ciphertext, hash].concat());
    let parse = |octets: &[u8], cipher| {
        let recipient = RecipientParts { encrypted_key: octets.to_vec(), ..recipient(&party) };
        let octets = EnvelopedParts { recipients: vec![recipient.der()], ..message.clone() }.der();
        let encodings = Encodings { signature: SignatureEncoding::Der, cipher };
        EnvelopedData::parse_with(&octets, encodings).unwrap().encrypted_key_for(&party.certificate).cloned()
    };
    let (der, c1c3c2, c1c2c3) = (CipherEncoding::Der, CipherEncoding::C1C3C2, CipherEncoding::C1C2C3);
    let in_der = yanqian_messages::sm2_cipher_to_der(&sealed);
    assert_eq!(parse(&in_der, der).as_ref(), Ok(&sealed));
    for (octets, declared, other) in [(&new_order, c1c3c2, c1c2c3), (&old_order, c1c2c3, c1c3c2)] {
        for octets in [octets.clone(), [&[4], &octets[..]].concat()] {
            assert_eq!(parse(&octets, declared).as_ref(), Ok(&sealed));
            assert_eq!(parse(&octets, der), Err(MessageError::Der("SM2Cipher")));
            // The other order reads as another key, which does not open: C3 is over what is inside.
            assert!(party.unseal(&parse(&octets, other).unwrap()).is_none());
        }
        assert_eq!(parse(&in_der, declared), Err(MessageError::Der("SM2Cipher")));
        for odd in [&octets[..111], &[&octets[..], &[0]].concat(), &[&[2], &octets[..]].concat(), &[4], &[]] {
            assert_eq!(parse(odd, declared), Err(MessageError::Der("SM2Cipher")), "{odd:x?}");
        }
    }
    // An x that begins as an uncompressed point does.
    let four = Sm2Ciphertext { x: [4; 32], ..sealed.clone() };
    let octets = [&four.x[..], &four.y, &four.hash, &four.ciphertext].concat();
    assert_eq!(parse(&octets, c1c3c2).as_ref(), Ok(&four));
    assert_eq!(parse(&[&[4], &octets[..]].concat(), c1c3c2), Ok(four));
}

#[test]
fn sm4_is_taken_by_its_bare_name_with_an_initial_vector_as_cbc_and_without_one_as_ecb() {
    let party = Party::new(1);
    let message = enveloped(&party);
    let ecb = encrypt(Cipher::sm4_ecb(), &SESSION, None, CONTENT).unwrap();
    let with = |name: &str, parameters: &[u8], ciphertext: &[u8]| {
        let algorithm = algorithm(name, parameters);
        open(&party, &EnvelopedParts { algorithm, ciphertext: ciphertext.to_vec(), ..message.clone() }.der())
    };
    let (bare, named_ecb) = ("1.2.156.10197.1.104", "1.2.156.10197.1.104.1");
    let iv = tlv(4, &[&IV]);
    for name in [SM4_CBC, bare] {
        assert_eq!(with(name, &iv, &message.ciphertext).unwrap(), CONTENT);
        for odd in
            [&tlv(4, &[&IV[..15]])[..], &tlv(4, &[&IV, &[0]]), &tlv(0x30, &[&iv]), &[iv.clone(), iv.clone()].concat()]
        {
            assert!(with(name, odd, &message.ciphertext).is_err(), "{odd:x?}");
        }
    }
    for name in [named_ecb, bare] {
        for parameters in [&[], NULL] {
            assert_eq!(with(name, parameters, &ecb).unwrap(), CONTENT);
        }
    }
    let refused = Err(MessageError::Algorithm("content encryption"));
    assert_eq!(with(SM4_CBC, &[], &message.ciphertext), refused);
    assert_eq!(with(named_ecb, &iv, &ecb), refused);
    // OFB, CFB, MAC; SM1; AES-128-CBC.
    for other in [
        "1.2.156.10197.1.104.3",
        "1.2.156.10197.1.104.4",
        "1.2.156.10197.1.104.7",
        "1.2.156.10197.1.102.2",
        "2.16.840.1.101.3.4.1.2",
    ] {
        assert_eq!(with(other, &iv, &message.ciphertext), refused, "{other}");
    }
}

#[test]
fn nothing_is_read_from_shared_infos() {
    let party = Party::new(1);
    let message = enveloped(&party);
    let (first, second) = (tlv(0x81, &[b"one"]), tlv(0x82, &[b"two"]));
    for shared in [first.clone(), second.clone(), [first.clone(), second.clone()].concat()] {
        assert_eq!(open(&party, &EnvelopedParts { shared, ..message.clone() }.der()).unwrap(), CONTENT);
    }
    for shared in [first.repeat(2), [second, first].concat(), tlv(0x83, &[b"three"])] {
        assert!(open(&party, &EnvelopedParts { shared, ..message.clone() }.der()).is_err());
    }
}

#[test]
fn indefinite_lengths_and_ciphertext_in_pieces_are_refused() {
    let party = Party::new(1);
    let message = enveloped(&party);
    let octets = message.der();
    assert_eq!(octets[..2], [0x30, 0x82]);
    let indefinite = [&[0x30, 0x80], &octets[4..], &[0, 0]].concat();
    let pieces =
        EnvelopedParts { ciphertext: Vec::new(), shared: tlv(0xa0, &[&tlv(4, &[&message.ciphertext])]), ..message };
    for octets in [indefinite, pieces.der()] {
        assert!(matches!(EnvelopedData::parse(&octets), Err(MessageError::Der(_))));
    }
}

#[test]
fn whatever_keeps_an_envelope_from_opening_is_one_error() {
    let party = Party::new(1);
    let message = enveloped(&party);
    let ecb = encrypt(Cipher::sm4_ecb(), &SESSION, None, CONTENT).unwrap();
    let in_ecb =
        EnvelopedParts { algorithm: algorithm("1.2.156.10197.1.104", &[]), ciphertext: ecb, ..message.clone() };
    for message in [message, in_ecb] {
        let octets = EnvelopedData::parse(&message.der()).unwrap();
        assert_eq!(octets.open(&Sm4Key::new(SESSION)).unwrap().as_slice(), CONTENT);
        let mut spoilt = Vec::new();
        for length in 0..message.ciphertext.len() {
            spoilt.push(message.ciphertext[..length].to_vec());
        }
        // Any last octet but one decrypts to padding that does not fit, or to other content.
        for change in 1..=255 {
            let mut changed = message.ciphertext.clone();
            let place = changed.len() - 17;
            changed[place] ^= change;
            spoilt.push(changed);
        }
        let mut refused = 0;
        for ciphertext in spoilt {
            let octets = EnvelopedParts { ciphertext, ..message.clone() }.der();
            match EnvelopedData::parse(&octets).unwrap().open(&Sm4Key::new(SESSION)) {
                Ok(content) => assert_ne!(content.as_slice(), CONTENT),
                Err(error) => {
                    assert_eq!(error, MessageError::Seal);
                    refused += 1;
                }
            }
        }
        assert!(refused > 28);
    }
}
