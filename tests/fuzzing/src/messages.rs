use std::num::NonZeroU32;
use std::sync::LazyLock;

use openssl::cms::{CMSOptions, CmsContentInfo};
use openssl::x509::X509;
use openssl::x509::store::X509StoreBuilder;
use yanqian_messages::{
    Certificate, CipherEncoding, Encodings, EnvelopedData, MessageError, PlainVerifier, Sealer, SignatureEncoding,
    SignedAndEnvelopedData, SignedAttributes, SignedData, encode_attached, encode_detached, seal, seal_signed,
    sealed_length,
};
use yanqian_sm::DistinguishingId;
use yanqian_trust::{SignedContent, Verifier, VerifierSettings};

use crate::party::{CONTENTS, Chain, certificate, sign, unseal};
use crate::strict::{content_info, elements, with_tags};

static VERIFIER: LazyLock<Verifier> =
    LazyLock::new(|| Verifier::new(VerifierSettings { table_octets: 1 << 20, shadow_every: NonZeroU32::MIN }));

/// Signed attributes: what is read is DER by the letter, is kept as it was, and states the digest that stands in it.
pub fn attributes(octets: &[u8]) {
    let Ok(read) = SignedAttributes::from_der(octets) else { return };
    assert_eq!(read.as_der(), octets);
    assert_eq!(SignedAttributes::from_der(read.as_der()).as_ref(), Ok(&read));
    let [set] = with_tags(octets, [0x31]).expect("a SET and nothing else");
    let mut digests = 0;
    for (tag, attribute) in elements(set).expect("DER inside") {
        assert_eq!(tag, 0x30);
        let [kind, values] = with_tags(attribute, [6, 0x31]).expect("a name and its values");
        if kind == b"\x2a\x86\x48\x86\xf7\x0d\x01\x09\x04" {
            assert_eq!(with_tags(values, [4]), Some([read.message_digest().as_slice()]));
            digests += 1;
        }
    }
    assert_eq!(digests, 1);
}

/// Signed messages: what is read is DER by the letter where it is read, and written anew it says the same and verifies the
/// same; OpenSSL reads the same content and is of the same opinion about the signature.
pub fn signed_data(octets: &[u8]) {
    let lax = Encodings { signature: SignatureEncoding::LaxDer, cipher: CipherEncoding::Der };
    let Ok(read) = SignedData::parse(octets) else { return };
    let body = elements(content_info(octets).expect("a ContentInfo")).expect("DER inside");
    assert!((4..=6).contains(&body.len()));
    let signer = read.signer();
    let laxly = SignedData::parse_with(octets, lax).expect("the lax reader refuses what the strict one takes");
    assert_eq!((laxly.content(), laxly.signer().signature()), (read.content(), signer.signature()));
    for certificate in read.certificates() {
        assert_eq!(Certificate::from_der(certificate.as_der()).as_ref(), Ok(certificate));
    }
    if let (Some(ours), Some(theirs)) = (read.content(), content_by_openssl(octets)) {
        assert_eq!(ours, theirs, "OpenSSL reads other content");
    }
    let Ok(certificate) = read.signer_certificate() else { return };
    let write = |message: &SignedData| {
        let signer = message.signer();
        match message.content() {
            Some(content) => encode_attached(certificate, content, signer.attributes(), signer.signature()),
            None => encode_detached(certificate, signer.attributes(), signer.signature()),
        }
    };
    let written = write(&read).expect("what was read can be written");
    let again = SignedData::parse(&written).expect("what is written is read");
    assert_eq!(write(&again).as_ref(), Ok(&written));
    assert_eq!((again.content(), again.certificates()), (read.content(), std::slice::from_ref(certificate)));
    assert_eq!((again.signer().attributes(), again.signer().signature()), (signer.attributes(), signer.signature()));
    let content = read.content().unwrap_or(CONTENTS[0]);
    let verdict = verdict(&read, certificate, content);
    assert_eq!(self::verdict(&again, certificate, content), verdict);
    // Whoever is to be believed is read by OpenSSL first: a chain is built.
    if verdict == Err(MessageError::NotSm2) || X509::from_der(certificate.as_der()).is_err() {
        return;
    }
    let question = SignedContent {
        certificate: certificate.as_der(),
        content,
        attributes: signer.attributes().map(SignedAttributes::as_der),
        signature: &signer.signature().to_der(),
    };
    VERIFIER.shadow(&question, verdict.is_ok()).expect("OpenSSL is of another opinion");
}

/// The signing time, where the signature verifies.
fn verdict(message: &SignedData, certificate: &Certificate, content: &[u8]) -> Result<Option<i64>, MessageError> {
    let id = DistinguishingId::default();
    let verified = match message.content() {
        Some(_) => message.verify_attached(certificate, &id, &PlainVerifier),
        None => message.verify_detached(certificate, &id, content, &PlainVerifier),
    };
    verified.map(|verified| verified.signing_time)
}

/// None where OpenSSL cannot read the message, as it cannot where the names are those of GB/T 35275.
fn content_by_openssl(octets: &[u8]) -> Option<Vec<u8>> {
    let mut message = CmsContentInfo::from_der(octets).ok()?;
    let store = X509StoreBuilder::new().ok()?.build();
    let mut content = Vec::new();
    let unverified = CMSOptions::BINARY
        | CMSOptions::NO_SIGNER_CERT_VERIFY
        | CMSOptions::NO_ATTR_VERIFY
        | CMSOptions::NO_CONTENT_VERIFY;
    message.verify(None, Some(&store), None, Some(&mut content), unverified).ok()?;
    Some(content)
}

const ENCODINGS: [CipherEncoding; 3] = [CipherEncoding::Der, CipherEncoding::C1C3C2, CipherEncoding::C1C2C3];

/// Envelopes: what is read is DER by the letter where it is read, opens or fails with one error, and opens only to the end of
/// its padding. And octets that are no SEQUENCE, sealed, open to themselves, in one piece or in two.
pub fn enveloped_data(octets: &[u8]) {
    for cipher in ENCODINGS {
        let encodings = Encodings { signature: SignatureEncoding::Der, cipher };
        let Ok(read) = EnvelopedData::parse_with(octets, encodings) else { continue };
        let [_, _, content] =
            with_tags(content_info(octets).expect("a ContentInfo"), [2, 0x31, 0x30]).expect("its parts");
        let (_, ciphertext) = *elements(content).expect("DER inside").get(2).expect("a ciphertext");
        if let Ok(sealed) = read.encrypted_key_for(certificate())
            && let Some(session) = unseal(sealed)
        {
            match read.open(&session) {
                Ok(content) => assert!((1..=16).contains(&(ciphertext.len() - content.len()))),
                Err(error) => assert_eq!(error, MessageError::Seal),
            }
        }
    }
    if octets.starts_with(&[0x30]) {
        return;
    }
    let sealed = seal(certificate(), octets, &mut Chain::from(octets)).expect("it is short");
    let mut pieces = Vec::new();
    let (first, second) = octets.split_at(octets.len() / 3);
    let sink = |piece: &[u8]| pieces.extend_from_slice(piece);
    let mut writer = Sealer::new(certificate(), octets.len(), &mut Chain::from(octets), sink).expect("it is short");
    writer.push(first).and_then(|()| writer.push(second)).expect("as long as was said");
    writer.finish().expect("as long as was said");
    assert_eq!(pieces, sealed);
    assert!(sealed.len() <= sealed_length(certificate().into(), octets.len()));
    let read = EnvelopedData::parse(&sealed).expect("what is written is read");
    let session =
        unseal(read.encrypted_key_for(certificate()).expect("it is to this one")).expect("RustCrypto opens it");
    assert_eq!(read.open(&session).expect("the right key").as_slice(), octets);
}

/// Signed envelopes: nothing opens but what the one signer signed. And octets that are no SEQUENCE, signed and sealed, open to
/// themselves, and with another signature they do not.
pub fn signed_and_enveloped_data(octets: &[u8]) {
    let id = DistinguishingId::default();
    for cipher in ENCODINGS {
        let encodings = Encodings { signature: SignatureEncoding::Der, cipher };
        let Ok(read) = SignedAndEnvelopedData::parse_with(octets, encodings) else { continue };
        let body = elements(content_info(octets).expect("a ContentInfo")).expect("DER inside");
        assert!((5..=7).contains(&body.len()));
        let Some(session) = read.encrypted_key_for(certificate()).ok().and_then(unseal) else { continue };
        match read.open(&session, certificate(), &id, &PlainVerifier) {
            Ok(content) => assert!(CONTENTS.contains(&content.as_slice()), "nobody signed this"),
            Err(error) => assert!(matches!(error, MessageError::Seal | MessageError::SignerCertificateMissing)),
        }
    }
    if octets.starts_with(&[0x30]) {
        return;
    }
    let signature = sign(octets);
    for (over, good) in [(octets, true), (&[octets, &[0]].concat(), false)] {
        let sealed = seal_signed(certificate(), over, certificate(), &signature, &mut Chain::from(octets));
        let read = SignedAndEnvelopedData::parse(&sealed.expect("it is short")).expect("what is written is read");
        let session = unseal(read.encrypted_key_for(certificate()).expect("it is to this one")).expect("it opens");
        match read.open(&session, read.signer_certificate().expect("it is there"), &id, &PlainVerifier) {
            Ok(content) => assert!(good && content.as_slice() == octets),
            Err(error) => assert!(!good && error == MessageError::Seal),
        }
    }
}
