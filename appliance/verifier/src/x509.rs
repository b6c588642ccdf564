//! Chains and revocation lists with SM2 signatures, judged at one time. Certificates and lists are read with
//! `x509-parser`; signatures are verified by the SM room, for SM2 with SM3 only.

use x509_parser::certificate::X509Certificate;
use x509_parser::der_parser::asn1_rs::BitString;
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::CertificateRevocationList;
use x509_parser::x509::AlgorithmIdentifier;
use yanqian_messages::Certificate;
use yanqian_sm::{DistinguishingId, E, Signature, verify};
use yanqian_vocabulary::Timestamp;

/// SM2 with SM3 (GM/T 0006-2012).
const SM2_WITH_SM3: &str = "1.2.156.10197.1.501";

/// Why a certificate or a list is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Disbelief {
    #[error("it cannot be read as X.509")]
    Unreadable,
    #[error("its signature algorithm is not supported by this verifier, which verifies SM2 with SM3 only")]
    Algorithm,
    #[error("its issuer's signature does not verify")]
    Signature,
    #[error("it does not name its issuer")]
    Issuer,
    #[error("its issuer is no authority that may sign it")]
    IssuerUsage,
    #[error("a critical extension in it is not supported by this verifier")]
    Critical,
    #[error("it is valid from {0} until {1}")]
    Validity(Timestamp, Timestamp),
    #[error("its issuer allows fewer authorities below it")]
    PathLength,
    #[error("it covers {0} until {1}")]
    Coverage(Timestamp, Timestamp),
    #[error("it says that the certificate is revoked")]
    Revoked,
    #[error("it has no nextUpdate")]
    NoNextUpdate,
    #[error("it says nothing about the certificate")]
    NotAbout,
    #[error("its signer is no responder that the issuer let answer")]
    Responder,
}

fn seconds(seconds: i64) -> Timestamp {
    Timestamp::from_unix_millis(seconds.saturating_mul(1000))
}

/// Verifies one signature of the issuer's key over `signed`.
fn signed_by(
    issuer: &Certificate,
    signed: &[u8],
    inner: &AlgorithmIdentifier<'_>,
    outer: &AlgorithmIdentifier<'_>,
    signature: &BitString<'_>,
) -> Result<(), Disbelief> {
    if inner != outer {
        return Err(Disbelief::Signature);
    }
    let key = issuer.public_key().filter(|_| outer.algorithm.to_id_string() == SM2_WITH_SM3);
    let key = key.ok_or(Disbelief::Algorithm)?;
    if signature.unused_bits != 0 {
        return Err(Disbelief::Signature);
    }
    let signature = Signature::from_der(&signature.data).map_err(|_| Disbelief::Signature)?;
    let e = E::of_message(key, &DistinguishingId::default(), &[signed]);
    verify(key, &e, &signature).map_err(|_| Disbelief::Signature)
}

/// Whether `issuer` signed `certificate`.
pub(crate) fn is_issued_by(certificate: &Certificate, issuer: &Certificate) -> Result<(), Disbelief> {
    if certificate.issuer_der() != issuer.subject_der() {
        return Err(Disbelief::Issuer);
    }
    let may_sign = issuer.is_ca() && issuer.key_usage().is_none_or(|usage| usage.key_cert_sign);
    if !may_sign {
        return Err(Disbelief::IssuerUsage);
    }
    let (_, parsed) = X509Certificate::from_der(certificate.as_der()).map_err(|_| Disbelief::Unreadable)?;
    let tbs = &parsed.tbs_certificate;
    signed_by(issuer, tbs.as_ref(), &tbs.signature, &parsed.signature_algorithm, &parsed.signature_value)
}

/// Whether the certificate says anything that must be understood and is not, and whether it is valid at `at`.
pub(crate) fn check_itself(certificate: &Certificate, at: Timestamp) -> Result<(), Disbelief> {
    let (_, parsed) = X509Certificate::from_der(certificate.as_der()).map_err(|_| Disbelief::Unreadable)?;
    let understood = |extension: &ParsedExtension<'_>| {
        matches!(
            extension,
            ParsedExtension::BasicConstraints(_) | ParsedExtension::KeyUsage(_) | ParsedExtension::ExtendedKeyUsage(_)
        )
    };
    if parsed.extensions().iter().any(|extension| extension.critical && !understood(extension.parsed_extension())) {
        return Err(Disbelief::Critical);
    }
    let (from, until) = (certificate.not_before(), certificate.not_after());
    let inside = (from..=until).contains(&at.unix_seconds());
    if inside { Ok(()) } else { Err(Disbelief::Validity(seconds(from), seconds(until))) }
}

/// Whether `authority` allows that many authorities below it, the end entity not counted (RFC 5280 §4.2.1.9).
pub(crate) fn allows_below(authority: &Certificate, below: usize) -> Result<(), Disbelief> {
    let (_, parsed) = X509Certificate::from_der(authority.as_der()).map_err(|_| Disbelief::Unreadable)?;
    let limit = parsed.basic_constraints().ok().flatten().and_then(|extension| extension.value.path_len_constraint);
    let within = limit.and_then(|limit| usize::try_from(limit).ok()).is_none_or(|limit| below <= limit);
    if within { Ok(()) } else { Err(Disbelief::PathLength) }
}

/// From when until when revocation data say something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Coverage {
    pub(crate) this_update: Timestamp,
    pub(crate) next_update: Option<Timestamp>,
}

impl Coverage {
    /// Seconds since 1970.
    pub(crate) fn of(this_update: i64, next_update: Option<i64>) -> Self {
        Self { this_update: seconds(this_update), next_update: next_update.map(seconds) }
    }

    /// Whether they count at `at`, the grace included.
    pub(crate) fn covers(self, at: Timestamp, grace_seconds: u32) -> Result<(), Disbelief> {
        let (from, until) = (self.this_update, self.next_update.ok_or(Disbelief::NoNextUpdate)?);
        let covered = (from..=until.plus_millis(i64::from(grace_seconds) * 1000)).contains(&at);
        if covered { Ok(()) } else { Err(Disbelief::Coverage(from, until)) }
    }
}

/// Whether DER is a sequence of what was signed, SM2 with SM3, and the signature, octet by octet: no signature covers the
/// algorithm and the tags out there, and the parser is lenient about them.
fn is_frame_of(der: &[u8], signed: &[u8], signature: &[u8]) -> bool {
    const NAME: [u8; 10] = [0x06, 0x08, 0x2a, 0x81, 0x1c, 0xcf, 0x55, 0x01, 0x83, 0x75];
    [&[][..], &[0x05, 0x00]].iter().any(|parameters| {
        let algorithm = value(0x30, &[&NAME, parameters]);
        value(0x30, &[signed, &algorithm, &value(0x03, &[&[0], signature])]) == der
    })
}

/// A DER value of a tag and its content.
fn value(tag: u8, content: &[&[u8]]) -> Vec<u8> {
    let content = content.concat();
    let length = content.len().to_be_bytes();
    let significant =
        length.iter().position(|octet| *octet != 0).map_or(&length[length.len() - 1..], |at| &length[at..]);
    let mut head = vec![tag];
    if content.len() >= 0x80 {
        head.push(0x80 | u8::try_from(significant.len()).unwrap_or(u8::MAX));
    }
    [&head, significant, &content].concat()
}

/// A revocation list as read.
pub(crate) struct Crl<'a> {
    der: &'a [u8],
    parsed: CertificateRevocationList<'a>,
}

impl<'a> Crl<'a> {
    /// Reads one DER list with nothing after it: complete and direct, which is to say without critical extensions.
    pub(crate) fn read(der: &'a [u8]) -> Result<Self, Disbelief> {
        let (rest, parsed) = CertificateRevocationList::from_der(der).map_err(|_| Disbelief::Unreadable)?;
        if !rest.is_empty() {
            return Err(Disbelief::Unreadable);
        }
        let entries = parsed.iter_revoked_certificates().flat_map(|entry| entry.extensions());
        if parsed.extensions().iter().chain(entries).any(|extension| extension.critical) {
            return Err(Disbelief::Critical);
        }
        Ok(Self { der, parsed })
    }

    /// DER `Name` of the issuer, as in the list.
    pub(crate) fn issuer(&self) -> &[u8] {
        self.parsed.issuer().as_raw()
    }

    pub(crate) fn coverage(&self) -> Coverage {
        let next = self.parsed.next_update().map(|time| time.timestamp());
        Coverage::of(self.parsed.last_update().timestamp(), next)
    }

    /// Signed by its issuer, covering `at`, and without the certificate in it.
    pub(crate) fn clears(
        &self,
        certificate: &Certificate,
        issuer: &Certificate,
        at: Timestamp,
        grace_seconds: u32,
    ) -> Result<(), Disbelief> {
        if self.issuer() != issuer.subject_der() || certificate.issuer_der() != issuer.subject_der() {
            return Err(Disbelief::Issuer);
        }
        if !issuer.key_usage().is_none_or(|usage| usage.crl_sign) {
            return Err(Disbelief::IssuerUsage);
        }
        let tbs = &self.parsed.tbs_cert_list;
        let (outer, signature) = (&self.parsed.signature_algorithm, &self.parsed.signature_value);
        signed_by(issuer, tbs.as_ref(), &tbs.signature, outer, signature)?;
        if !is_frame_of(self.der, tbs.as_ref(), &signature.data) {
            return Err(Disbelief::Unreadable);
        }
        if self.parsed.iter_revoked_certificates().any(|entry| entry.raw_serial() == certificate.serial()) {
            return Err(Disbelief::Revoked);
        }
        self.coverage().covers(at, grace_seconds)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use yanqian_devpki::{Authority, Layout, Options, Pair, generate};

    fn made() -> (tempfile::TempDir, Layout) {
        let directory = tempfile::tempdir().unwrap();
        let layout = generate(directory.path(), &Options::default()).unwrap();
        (directory, layout)
    }

    fn read(pair: &Pair) -> Certificate {
        let pem = std::fs::read(&pair.certificate).unwrap();
        yanqian_messages::certificates_from_pem_or_der(&pem).unwrap().remove(0)
    }

    #[test]
    fn only_the_issuer_vouches_and_only_an_authority_may() {
        let (_directory, layout) = made();
        let [root, issuing, signing] = ["root", "issuing", "signing"].map(|name| read(&layout.platform(name)));
        assert_eq!(is_issued_by(&signing, &issuing), Ok(()));
        assert_eq!(is_issued_by(&issuing, &root), Ok(()));
        assert_eq!(is_issued_by(&root, &root), Ok(()));
        assert_eq!(is_issued_by(&signing, &root), Err(Disbelief::Issuer));
        let (_elsewhere, other) = made();
        assert_eq!(is_issued_by(&signing, &read(&other.platform("issuing"))), Err(Disbelief::Signature), "same name");
        assert_eq!(allows_below(&root, 1), Ok(()));
        assert_eq!(allows_below(&root, 2), Err(Disbelief::PathLength));
        assert_eq!(allows_below(&issuing, 1), Err(Disbelief::PathLength));
    }

    #[test]
    fn another_algorithm_is_told_apart_from_a_bad_signature() {
        let (_directory, layout) = made();
        let (ca, server) = (read(&layout.internal("ca")), read(&layout.internal("server")));
        assert_eq!(is_issued_by(&server, &ca), Err(Disbelief::Algorithm));
    }

    #[test]
    fn a_list_clears_only_below_its_own_issuer() {
        let (_directory, layout) = made();
        let [root, issuing, signing, revoked] =
            ["root", "issuing", "signing", "signing-revoked"].map(|name| read(&layout.platform(name)));
        let pem = std::fs::read(layout.crl(Authority::Issuing)).unwrap();
        let der = openssl::x509::X509Crl::from_pem(&pem).unwrap().to_der().unwrap();
        let list = Crl::read(&der).unwrap();
        let now = list.coverage().this_update;
        assert_eq!(list.clears(&signing, &issuing, now, 0), Ok(()));
        assert_eq!(list.clears(&revoked, &issuing, now, 0), Err(Disbelief::Revoked));
        assert_eq!(list.clears(&issuing, &root, now, 0), Err(Disbelief::Issuer));
        assert!(matches!(list.clears(&signing, &issuing, now.plus_millis(-1), 0), Err(Disbelief::Coverage(..))));
        assert!(Crl::read(&[&der[..], &[0]].concat()).is_err());
    }

    #[test]
    fn no_octet_of_a_list_can_be_another() {
        let (_directory, layout) = made();
        let [root, issuing] = ["root", "issuing"].map(|name| read(&layout.platform(name)));
        let pem = std::fs::read(layout.crl(Authority::Root)).unwrap();
        let der = openssl::x509::X509Crl::from_pem(&pem).unwrap().to_der().unwrap();
        let now = Crl::read(&der).unwrap().coverage().this_update;
        for at in 0..der.len() {
            for bit in [0x01, 0x20, 0x40, 0x80] {
                let mut changed = der.clone();
                changed[at] ^= bit;
                let clears = Crl::read(&changed).and_then(|list| list.clears(&issuing, &root, now, 0));
                assert!(clears.is_err(), "octet {at}, bit {bit}");
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_octets_are_no_list_and_never_panic(octets: Vec<u8>) {
            proptest::prop_assert!(Crl::read(&octets).is_err());
        }
    }
}
