//! Bouncy Castle's messages, read by us, and ours, read by it: `tests/bouncycastle/Interop.java` is its side.

use std::path::{Path, PathBuf};
use std::process::Command;

use yanqian_messages::{
    Certificate, CipherEncoding, Encodings, EnvelopedData, MessageError, PlainVerifier, SignatureEncoding,
    SignedAndEnvelopedData, SignedAttributes, SignedData, encode_attached, encode_detached, seal, seal_signed,
};
use yanqian_sm::{DistinguishingId, sm3};

use crate::support::{Party, annex_key, unseal};

fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}

fn signed_messages_are_read(folder: &Path) {
    let file = |name: &str| std::fs::read(folder.join(name)).unwrap();
    let content = file("content");
    let signer = Certificate::from_der(&file("signer.der")).unwrap();
    let id = DistinguishingId::default();
    for (name, attached, attributes) in [
        ("cms-detached.der", false, true),
        ("cms-attached.der", true, true),
        ("gm-attached.der", true, true),
        ("gm-detached-plain.der", false, false),
    ] {
        let message = SignedData::parse(&file(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(message.signer_certificate().unwrap(), &signer, "{name}");
        assert_eq!(message.content().is_some(), attached, "{name}");
        let verified = if attached {
            assert_eq!(message.content(), Some(content.as_slice()), "{name}");
            message.verify_attached(&signer, &id, &PlainVerifier)
        } else {
            assert!(message.verify_detached(&signer, &id, b"other", &PlainVerifier).is_err(), "{name}");
            message.verify_detached(&signer, &id, &content, &PlainVerifier)
        };
        let verified = verified.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(verified.signing_time.is_some(), attributes, "{name}");
    }
    // The same message in BER, which Bouncy Castle writes unless it is told otherwise.
    assert!(matches!(SignedData::parse(&file("cms-attached.ber")), Err(MessageError::Der(_))));
}

fn sealed_messages_are_read(folder: &Path) {
    let file = |name: &str| std::fs::read(folder.join(name)).unwrap();
    let content = file("content");
    let recipient = Certificate::from_der(&file("recipient.der")).unwrap();
    let key = annex_key();
    // In CMS Bouncy Castle leaves the session key as its engine gives it.
    let raw = Encodings { signature: SignatureEncoding::Der, cipher: CipherEncoding::C1C2C3 };
    for (name, encodings) in [("cms-enveloped.der", raw), ("gm-enveloped.der", Encodings::default())] {
        let message = EnvelopedData::parse_with(&file(name), encodings).unwrap();
        let sealed = message.encrypted_key_for(&recipient).unwrap_or_else(|error| panic!("{name}: {error}"));
        let session = unseal(&key, sealed).unwrap_or_else(|| panic!("{name} does not open"));
        assert_eq!(message.open(&session).unwrap().as_slice(), content, "{name}");
    }
    let signer = Certificate::from_der(&file("signer.der")).unwrap();
    let message = SignedAndEnvelopedData::parse(&file("gm-signed-enveloped.der")).unwrap();
    assert_eq!(message.signer_certificate().unwrap(), &signer);
    let session = unseal(&key, message.encrypted_key_for(&recipient).unwrap()).unwrap();
    let opened = message.open(&session, &signer, &DistinguishingId::default(), &PlainVerifier).unwrap();
    assert_eq!(opened.as_slice(), content);
}

#[test]
fn golden_messages_of_bouncy_castle_are_read() {
    let folder = here().join("golden/bouncycastle");
    signed_messages_are_read(&folder);
    sealed_messages_are_read(&folder);
}

/// Runs Bouncy Castle over folders.
fn bouncy_castle(command: &str, folders: &[PathBuf]) {
    let classes = std::env::var("YANQIAN_BOUNCYCASTLE").unwrap();
    let program = here().join("bouncycastle/Interop.java");
    let ran = Command::new("java").arg("-cp").arg(classes).arg(program).arg(command).args(folders).output().unwrap();
    assert!(ran.status.success(), "{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
}

/// A folder for each content: of no block's length, of exactly one, of many.
fn folders(name: &str) -> Vec<PathBuf> {
    let contents: [&[u8]; 3] = ["给另一个实现".as_bytes(), &[0x30; 16], &[0xa5; 5000]];
    let folder = |content: &[u8]| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", content.len()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("content"), content).unwrap();
        folder
    };
    contents.into_iter().map(folder).collect()
}

#[test]
#[ignore = "appliance/messages/tests/bouncycastle/run"]
fn messages_that_bouncy_castle_makes_now_are_read() {
    let folders = folders("bouncycastle-makes");
    bouncy_castle("make", &folders);
    for folder in folders {
        signed_messages_are_read(&folder);
        sealed_messages_are_read(&folder);
    }
}

#[test]
#[ignore = "appliance/messages/tests/bouncycastle/run"]
fn bouncy_castle_reads_what_we_write() {
    let folders = folders("bouncycastle-reads");
    for folder in &folders {
        write_ours(folder);
    }
    bouncy_castle("read", &folders);
}

fn write_ours(folder: &Path) {
    let content = &std::fs::read(folder.join("content")).unwrap();
    let (signer, recipient) = (Party::new(0x80), Party::new(0x7fff_ffff));
    let rng = &mut getrandom::SysRng;
    let certificate = &signer.certificate;
    // Bouncy Castle asks whether the certificate was valid then.
    let attributes = SignedAttributes::new(sm3(&[content]), certificate.not_before() + 60).unwrap();
    let over_attributes = signer.sign(attributes.as_der());
    let plain = signer.sign(content);
    for (name, octets) in [
        ("signer.der", certificate.as_der().to_vec()),
        ("recipient.key", recipient.key.private_key_to_pkcs8().unwrap()),
        ("detached.der", encode_detached(certificate, Some(&attributes), &over_attributes).unwrap()),
        ("attached.der", encode_attached(certificate, content, Some(&attributes), &over_attributes).unwrap()),
        ("plain.der", encode_detached(certificate, None, &plain).unwrap()),
        ("enveloped.der", seal(&recipient.certificate, content, rng).unwrap()),
        ("signed-enveloped.der", seal_signed(&recipient.certificate, content, certificate, &plain, rng).unwrap()),
    ] {
        std::fs::write(folder.join(name), octets).unwrap();
    }
}
