//! What is taken from peers that write a `SignedData` otherwise than the standard has it, and where that ends.

use crate::support::{GM, NULL, PKCS7, Party, SM2_SIGN, SM3, SignedParts, SignerParts, algorithm, oid, tlv};
use openssl::asn1::Asn1Time;
use yanqian_messages::{
    CipherEncoding, Encodings, MessageError, PlainVerifier, SignatureEncoding, SignedData, VerifiedSignature,
};
use yanqian_sm::{DistinguishingId, Signature, sm3};

const CONTENT: &[u8] = b"content";

fn signed(party: &Party) -> (SignedParts, SignerParts) {
    let signer = SignerParts::new(party, &party.sign(CONTENT));
    (SignedParts::new(party, &signer), signer)
}

fn read(party: &Party, message: &[u8]) -> Result<VerifiedSignature, MessageError> {
    let message = SignedData::parse(message)?;
    let certificate = message.signer_certificate()?;
    assert_eq!(certificate, &party.certificate);
    match message.content() {
        None => message.verify_detached(certificate, &DistinguishingId::default(), CONTENT, &PlainVerifier),
        Some(_) => message.verify_attached(certificate, &DistinguishingId::default(), &PlainVerifier),
    }
}

/// A signer that differs in one thing.
fn with(party: &Party, change: impl FnOnce(&mut SignerParts)) -> Vec<u8> {
    let (message, mut signer) = signed(party);
    change(&mut signer);
    SignedParts { signers: vec![signer.der()], ..message }.der()
}

#[test]
fn pkcs7_content_types_are_taken_outside_and_inside() {
    let party = Party::new(1);
    let (message, _) = signed(&party);
    for outer in [GM, PKCS7] {
        for inner in [GM, PKCS7] {
            let message =
                SignedParts { outer: format!("{outer}.2"), content_type: format!("{inner}.1"), ..message.clone() };
            read(&party, &message.der()).unwrap();
        }
        for other in [1, 3, 4, 5, 6] {
            let other = SignedParts { outer: format!("{outer}.{other}"), ..message.clone() };
            assert_eq!(read(&party, &other.der()).err(), Some(MessageError::ContentType("signedData")));
        }
        let other = SignedParts { content_type: format!("{outer}.2"), ..message.clone() };
        assert_eq!(read(&party, &other.der()).err(), Some(MessageError::ContentType("data")));
    }
}

#[test]
fn versions_of_cms_are_taken_and_no_others() {
    let party = Party::new(1);
    let (message, _) = signed(&party);
    for version in 0..=8 {
        let read = read(&party, &SignedParts { version, ..message.clone() }.der());
        assert_eq!(read.is_ok(), (1..=4).contains(&version), "{version}");
        let signer = with(&party, |signer| signer.version = version);
        assert_eq!(SignedData::parse(&signer).is_ok(), version == 1, "{version}");
    }
}

#[test]
fn absent_and_null_parameters_are_the_same_and_others_are_refused() {
    let party = Party::new(1);
    let (message, _) = signed(&party);
    for digests in [&[], NULL] {
        for digest in [&[], NULL] {
            for signature in [&[], NULL] {
                let signer = with(&party, |signer| {
                    signer.digest = algorithm(SM3, digest);
                    signer.algorithm = algorithm(SM2_SIGN, signature);
                });
                read(&party, &signer).unwrap();
            }
        }
        read(&party, &SignedParts { digests: algorithm(SM3, digests), ..message.clone() }.der()).unwrap();
    }
    for odd in [&[5, 1, 0][..], &[4, 0], &oid(SM3), &[5, 0, 5, 0]] {
        let digest = with(&party, |signer| signer.digest = algorithm(SM3, odd));
        let signature = with(&party, |signer| signer.algorithm = algorithm(SM2_SIGN, odd));
        let digests = SignedParts { digests: algorithm(SM3, odd), ..message.clone() }.der();
        for octets in [digest, signature, digests] {
            assert!(SignedData::parse(&octets).is_err(), "{odd:x?}");
        }
    }
}

#[test]
fn sm3_is_taken_by_its_longer_name_and_no_other_digest_is() {
    let party = Party::new(1);
    let (message, _) = signed(&party);
    for (name, good) in [
        ("1.2.156.10197.1.401.1", true),
        // Keyed SM3, SHA-256, SHA-1.
        ("1.2.156.10197.1.401.2", false),
        ("2.16.840.1.101.3.4.2.1", false),
        ("1.3.14.3.2.26", false),
    ] {
        let signer = with(&party, |signer| signer.digest = algorithm(name, &[]));
        let digests = SignedParts { digests: algorithm(name, &[]), ..message.clone() }.der();
        for octets in [signer, digests] {
            let result = read(&party, &octets).err();
            assert_eq!(result, (!good).then_some(MessageError::Algorithm("digest")), "{name}");
        }
    }
}

#[test]
fn sm2_is_taken_by_the_names_of_the_signature_and_of_the_key() {
    let party = Party::new(1);
    let curve = oid("1.2.156.10197.1.301");
    let other_curve = oid("1.2.840.10045.3.1.7");
    for (name, parameters, good) in [
        ("1.2.156.10197.1.501", &[][..], true),
        ("1.2.156.10197.1.501", NULL, true),
        ("1.2.840.10045.2.1", &[], true),
        ("1.2.840.10045.2.1", NULL, true),
        ("1.2.840.10045.2.1", &curve, true),
        ("1.2.840.10045.2.1", &other_curve, false),
        ("1.2.156.10197.1.501", &curve, false),
        // The curve, key exchange, encryption; RSA with SM3, ECDSA with SHA-256.
        ("1.2.156.10197.1.301", &[], false),
        ("1.2.156.10197.1.301.2", &[], false),
        ("1.2.156.10197.1.301.3", &[], false),
        ("1.2.156.10197.1.504", &[], false),
        ("1.2.840.10045.4.3.2", &[], false),
    ] {
        let result = read(&party, &with(&party, |signer| signer.algorithm = algorithm(name, parameters))).err();
        assert_eq!(result, (!good).then_some(MessageError::Algorithm("signature")), "{name} {parameters:x?}");
    }
}

#[test]
fn the_signers_certificate_is_found_among_others() {
    let (party, other) = (Party::new(1), Party::new(2));
    let (message, _) = signed(&party);
    let (ours, foreign) = (party.certificate.as_der(), other.certificate.as_der());
    for certificates in [&[foreign, ours][..], &[ours, foreign], &[foreign, foreign, ours, foreign]] {
        read(&party, &SignedParts { certificates: tlv(0xa0, certificates), ..message.clone() }.der()).unwrap();
    }
    let most: Vec<&[u8]> = [&[ours], &[foreign; 16][..]].concat();
    read(&party, &SignedParts { certificates: tlv(0xa0, &most[..16]), ..message.clone() }.der()).unwrap();
    let too_many = SignedParts { certificates: tlv(0xa0, &most), ..message.clone() }.der();
    assert_eq!(read(&party, &too_many).err(), Some(MessageError::TooMany("certificates", 16)));
    for none in [Vec::new(), tlv(0xa0, &[]), tlv(0xa0, &[foreign])] {
        let none = SignedParts { certificates: none, ..message.clone() }.der();
        assert_eq!(read(&party, &none).err(), Some(MessageError::SignerCertificateMissing));
        // Whoever has the certificate from elsewhere may still verify with it.
        let id = DistinguishingId::default();
        let message = SignedData::parse(&none).unwrap();
        message.verify_detached(&party.certificate, &id, CONTENT, &PlainVerifier).unwrap();
    }
}

#[test]
fn nothing_is_read_from_revocation_lists_and_unauthenticated_attributes() {
    let party = Party::new(1);
    let (message, _) = signed(&party);
    let crls = tlv(0xa1, &[&tlv(0x30, &[b"no list at all"])]);
    read(&party, &SignedParts { crls: crls.clone(), ..message.clone() }.der()).unwrap();
    read(&party, &with(&party, |signer| signer.unauthenticated = crls.clone())).unwrap();
    // Twice, or in the wrong place, they are something else.
    let twice = SignedParts { crls: crls.repeat(2), ..message.clone() }.der();
    let swapped = SignedParts { crls: message.certificates.clone(), certificates: crls, ..message }.der();
    for octets in [twice, swapped] {
        assert!(SignedData::parse(&octets).is_err());
    }
}

#[test]
fn a_signature_is_read_in_the_encoding_that_is_declared_for_the_peer() {
    let party = Party::new(1);
    let signature = party.sign(CONTENT);
    let raw = signature.to_raw();
    // Two integers of 32 octets each, without the zero that one in four would need, and with one too many.
    let (r, s) = raw.split_at(32);
    let lax = [
        tlv(0x30, &[&tlv(2, &[&[0, 0], r]), &tlv(2, &[&[0, 0, 0], s])]),
        tlv(0x30, &[&tlv(2, &[&[0], r]), &tlv(2, &[&[0, 0], s])]),
    ];
    let parse = |octets: &[u8], encoding| {
        let message = with(&party, |signer| signer.signature = octets.to_vec());
        let encodings = Encodings { signature: encoding, cipher: CipherEncoding::Der };
        SignedData::parse_with(&message, encodings).map(|message| *message.signer().signature())
    };
    let refused = Err(MessageError::Der("SM2Signature"));
    let (der, lax_der, as_raw) = (SignatureEncoding::Der, SignatureEncoding::LaxDer, SignatureEncoding::Raw);
    for encoding in [der, lax_der] {
        assert_eq!(parse(&signature.to_der(), encoding), Ok(signature));
        assert_eq!(parse(&raw, encoding), refused);
    }
    for octets in lax {
        assert_eq!(parse(&octets, lax_der), Ok(signature));
        assert_eq!(parse(&octets, der), refused);
        assert_eq!(parse(&octets, as_raw), refused);
    }
    assert_eq!(parse(&raw, as_raw), Ok(signature));
    assert_eq!(parse(&signature.to_der(), as_raw), refused);
    let trailing = [signature.to_der(), vec![0]].concat();
    let out_of_range = tlv(0x30, &[&[2, 1, 0], &[2, 1, 1]]);
    for octets in [&trailing[..], &out_of_range, &raw[..63], &[0; 64], &[]] {
        for encoding in [der, lax_der, as_raw] {
            assert_eq!(parse(octets, encoding), refused, "{octets:x?} {encoding:?}");
        }
    }
}

#[test]
fn exactly_one_signer_is_taken_and_only_by_issuer_and_serial() {
    let party = Party::with_key_id(1);
    let (message, signer) = signed(&party);
    for signers in [vec![], vec![signer.der(); 2]] {
        let octets = SignedParts { signers, ..message.clone() }.der();
        assert_eq!(read(&party, &octets).err(), Some(MessageError::NotExactlyOne("signer")));
    }
    let key_id = tlv(0x80, &[party.certificate.subject_key_id().unwrap()]);
    for version in [1, 3] {
        let by_key = with(&party, |signer| {
            signer.id = key_id.clone();
            signer.version = version;
        });
        assert!(SignedData::parse(&by_key).is_err());
    }
}

#[test]
fn indefinite_and_roundabout_lengths_are_refused() {
    let party = Party::new(1);
    let (message, _) = signed(&party);
    let octets = message.der();
    let content = &octets[4..];
    assert_eq!(octets[..2], [0x30, 0x82]);
    let indefinite = [&[0x30, 0x80], content, &[0, 0]].concat();
    let roundabout = [&[0x30, 0x83, 0], &octets[2..4], content].concat();
    let attached = |octets: &[u8]| SignedParts { content: tlv(0xa0, &[octets]), ..message.clone() }.der();
    read(&party, &attached(&tlv(4, &[CONTENT]))).unwrap();
    // An OCTET STRING in pieces, as BER has it.
    let pieces = [tlv(0x24, &[&tlv(4, &[CONTENT])]), [&[0x24, 0x80], &tlv(4, &[CONTENT])[..], &[0, 0]].concat()];
    for octets in [indefinite, roundabout, attached(&pieces[0]), attached(&pieces[1])] {
        assert!(matches!(SignedData::parse(&octets), Err(MessageError::Der(_))));
    }
}

#[test]
fn what_is_signed_is_the_content_octets_and_not_their_encoding() {
    let party = Party::new(1);
    let encoded = tlv(4, &[CONTENT]);
    for (signed, good) in [(CONTENT, true), (&encoded, false)] {
        let signer = SignerParts::new(&party, &party.sign(signed));
        let message = SignedParts { content: tlv(0xa0, &[&encoded]), ..SignedParts::new(&party, &signer) };
        assert_eq!(read(&party, &message.der()).err(), (!good).then_some(MessageError::Signature));
    }
    // Content that is no OCTET STRING has no value octets.
    let (message, _) = signed(&party);
    for odd in [tlv(0x30, &[CONTENT]), tlv(0x0c, &[CONTENT]), encoded.repeat(2), Vec::new()] {
        let message = SignedParts { content: tlv(0xa0, &[&odd]), ..message.clone() };
        assert!(SignedData::parse(&message.der()).is_err());
    }
}

fn attribute(kind: &str, values: &[&[u8]]) -> Vec<u8> {
    tlv(0x30, &[&oid(kind), &tlv(0x31, values)])
}

/// A message whose signer signed these attributes, in this order.
fn with_attributes(party: &Party, attributes: &[Vec<u8>], sent: &[Vec<u8>]) -> Vec<u8> {
    let signature = party.sign(&tlv(0x31, &[&attributes.concat()]));
    with(party, |signer| {
        signer.attributes = tlv(0xa0, &[&sent.concat()]);
        signer.signature = signature.to_der();
    })
}

#[test]
fn attributes_count_as_they_were_sent_and_unknown_ones_are_passed_over() {
    let party = Party::new(1);
    let digest = attribute("1.2.840.113549.1.9.4", &[&tlv(4, &[&sm3(&[CONTENT])])]);
    let kind = |name: &str| attribute("1.2.840.113549.1.9.3", &[&oid(name)]);
    let time = attribute("1.2.840.113549.1.9.5", &[&tlv(0x17, &[b"260102030405Z"])]);
    let unknown = attribute("1.2.3.4", &[NULL, NULL]);
    let twice = |message: &[Vec<u8>]| with_attributes(&party, message, message);

    for good in [
        vec![digest.clone()],
        vec![kind("1.2.840.113549.1.7.1"), digest.clone()],
        vec![kind("1.2.156.10197.6.1.4.2.1"), digest.clone(), time.clone()],
        vec![unknown.clone(), digest.clone(), unknown],
        // Not in the order of DER, but signed as sent.
        vec![time.clone(), digest.clone(), kind("1.2.840.113549.1.7.1")],
    ] {
        let expected = good.contains(&time).then(|| {
            let epoch = Asn1Time::from_unix(0).unwrap().diff(&Asn1Time::from_str("20260102030405Z").unwrap()).unwrap();
            i64::from(epoch.days) * 86400 + i64::from(epoch.secs)
        });
        assert_eq!(read(&party, &twice(&good)).unwrap().signing_time, expected);
    }
    let (sorted, sent) = ([digest.clone(), time.clone()], [time.clone(), digest.clone()]);
    assert_eq!(read(&party, &with_attributes(&party, &sorted, &sent)).err(), Some(MessageError::Signature));

    for bad in [
        vec![time.clone()],
        vec![digest.clone(), digest.clone()],
        vec![digest.clone(), time.clone(), time.clone()],
        vec![digest.clone(), kind("1.2.156.10197.6.1.4.2.2")],
        vec![attribute("1.2.840.113549.1.9.4", &[&tlv(4, &[&sm3(&[CONTENT])]), &tlv(4, &[&sm3(&[CONTENT])])])],
        vec![attribute("1.2.840.113549.1.9.4", &[])],
        vec![attribute("1.2.840.113549.1.9.4", &[&tlv(4, &[&[0; 31]])])],
        vec![digest.clone(), attribute("1.2.840.113549.1.9.5", &[&tlv(0x17, &[b"2601020304Z"])])],
    ] {
        assert!(SignedData::parse(&twice(&bad)).is_err(), "{bad:x?}");
    }
    let other = [attribute("1.2.840.113549.1.9.4", &[&tlv(4, &[&sm3(&[b"other"])])])];
    assert_eq!(read(&party, &twice(&other)).err(), Some(MessageError::ContentDigest));
    // A signature over the content is none over the attributes, nor the other way round.
    let plain: Signature = party.sign(CONTENT);
    let mixed = with(&party, |signer| {
        signer.attributes = tlv(0xa0, &[&digest]);
        signer.signature = plain.to_der();
    });
    assert_eq!(read(&party, &mixed).err(), Some(MessageError::Signature));
}
