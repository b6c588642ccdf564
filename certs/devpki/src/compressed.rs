//! A certificate that is in order and yet unreadable to who keeps to GB/T 20518: its key is written as a compressed point.

use openssl::pkey::{PKey, PKeyRef, Private, Public};
use openssl::x509::X509;
use time::{Duration, OffsetDateTime};

use crate::profile::{Identity, Purpose, Validity, certify};
use crate::{AUTHORITY, DevPkiError, Layout, files};

/// DER of `SubjectPublicKeyInfo` of an SM2 key up to a point of 33 octets.
const SPKI: [u8; 26] = [
    0x30, 0x39, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x81, 0x1c, 0xcf,
    0x55, 0x01, 0x82, 0x2d, 0x03, 0x22, 0x00,
];

/// Whose key is written as a compressed point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compressed {
    Signing,
    Issuing,
}

/// The platform's signing certificate and its issuing authority's, PEM.
#[derive(Debug, Clone)]
pub struct Reissued {
    pub signing: Vec<u8>,
    pub issuing: Vec<u8>,
}

/// Issues both anew for the same keys, one key as a compressed point, valid for a day from `now`. Nothing is written.
pub fn with_compressed_key(layout: &Layout, whose: Compressed, now: OffsetDateTime) -> Result<Reissued, DevPkiError> {
    let identity = |name: &str| {
        let pair = layout.platform(name);
        let key = PKey::private_key_from_pem(&files::read(&pair.key)?)?;
        Ok::<_, DevPkiError>(Identity { certificate: X509::from_pem(&files::read(&pair.certificate)?)?, key })
    };
    let (root, mut issuing, signing) = (identity("root")?, identity("issuing")?, identity("signing")?);
    let validity = Validity { not_before: now - Duration::HOUR, not_after: now + Duration::DAY };
    let again = |subject: &Identity, purpose: Purpose<'_>, issuer: &Identity, compress: bool| {
        let public = if compress { compressed(&subject.key)? } else { subject.certificate.public_key()? };
        let name = subject.certificate.subject_name();
        certify(name, &public, &purpose, validity, Some(&issuer.certificate), &issuer.key)
    };
    issuing.certificate = again(&issuing, AUTHORITY, &root, whose == Compressed::Issuing)?;
    let signing = again(&signing, Purpose::Signing, &issuing, whose == Compressed::Signing)?;
    Ok(Reissued { signing: signing.to_pem()?, issuing: issuing.certificate.to_pem()? })
}

fn compressed(key: &PKeyRef<Private>) -> Result<PKey<Public>, DevPkiError> {
    let spki = key.public_key_to_der()?;
    // It ends with 04 ‖ x ‖ y, and the parity of y stands for y.
    let (x, y) = spki.get(spki.len().saturating_sub(64)..).unwrap_or_default().split_at(32);
    let sign = 2 + y.last().map_or(0, |last| last & 1);
    // OpenSSL writes a key as it read it.
    Ok(PKey::public_key_from_der(&[SPKI.as_slice(), &[sign], x].concat())?)
}
