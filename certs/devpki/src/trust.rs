//! The trust store of the reference platform, assembled from the platform's public files.

use std::fmt::Write as _;

use openssl::hash::{MessageDigest, hash};
use openssl::x509::X509;

use crate::{Authority, DevPkiError, Layout, files};

/// Signers that the store pins. The revoked one is pinned too: it must fall to its CRL and not to a missing pin.
const PINNED: [&str; 2] = ["signing", "signing-revoked"];

/// key id = SM3(DER `SubjectPublicKeyInfo`) in lowercase hex, of a certificate in PEM.
pub fn key_id(certificate_pem: &[u8]) -> Result<String, DevPkiError> {
    let public = X509::from_pem(certificate_pem)?.public_key()?.public_key_to_der()?;
    let digest = hash(MessageDigest::sm3(), &public)?;
    let mut hex = String::with_capacity(64);
    for octet in digest.iter() {
        let _ = write!(hex, "{octet:02x}");
    }
    Ok(hex)
}

pub(crate) fn write(layout: &Layout) -> Result<(), DevPkiError> {
    let trust = layout.trust();
    let copies = [
        (layout.platform("root").certificate, trust.join("anchors/root.pem")),
        (layout.platform("root").certificate, trust.join("tls-anchors/root.pem")),
        (layout.platform("issuing").certificate, trust.join("intermediates/issuing.pem")),
        (layout.entity("ca").certificate, trust.join("entity-anchors/ca.pem")),
        (layout.platform("encryption").certificate, trust.join("encryption.pem")),
        (layout.crl(Authority::Root), layout.trust_crl(Authority::Root)),
        (layout.crl(Authority::Issuing), layout.trust_crl(Authority::Issuing)),
    ];
    for (from, to) in copies {
        files::write_public(&to, &files::read(&from)?)?;
    }
    let mut signers = String::from(
        "# Keys that may sign this platform's answers: key_id = SM3(SubjectPublicKeyInfo).\nformat_version = 1\n",
    );
    for name in PINNED {
        let certificate = files::read(&layout.platform(name).certificate)?;
        let id = key_id(&certificate)?;
        files::write_public(&trust.join(format!("signing/{name}.pem")), &certificate)?;
        let _ = write!(signers, "\n[[signer]]\nname = \"{name}\"\nrole = \"signing\"\nkey_id = \"{id}\"\n");
    }
    files::write_public(&trust.join("signers.toml"), signers.as_bytes())
}
