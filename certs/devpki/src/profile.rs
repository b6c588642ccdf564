//! Certificate profiles: one function that builds, and one description per kind of certificate, so that the extensions
//! of a kind stand in one place. SM2 certificates are signed with SM3 and the default distinguishing id
//! `1234567812345678` (OpenSSL 4 sets it), algorithm 1.2.156.10197.1.501.

use openssl::asn1::{Asn1Object, Asn1OctetString, Asn1Time};
use openssl::bn::{BigNum, MsbOption};
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{HasPublic, PKey, PKeyRef, Private, Public};
use openssl::x509::extension::{
    AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectAlternativeName, SubjectKeyIdentifier,
};
use openssl::x509::{X509, X509Extension, X509Name, X509NameRef, X509Ref};
use time::OffsetDateTime;

use crate::DevPkiError;

/// A certificate together with its private key.
pub(crate) struct Identity {
    pub(crate) certificate: X509,
    pub(crate) key: PKey<Private>,
}

/// What a certificate is for; decides its extensions.
pub(crate) enum Purpose<'a> {
    /// May issue certificates and CRLs, with this many authorities below it.
    Authority { path_length: u32 },
    /// Signs messages: digitalSignature, nonRepudiation (GB/T 20518).
    Signing,
    /// Receives envelopes: keyEncipherment, dataEncipherment, keyAgreement (GB/T 20518).
    Encryption,
    /// Answers OCSP requests in its issuer's place: id-kp-OCSPSigning, id-pkix-ocsp-nocheck (RFC 6960 §4.2.2.2).
    Responder,
    /// TLS server under these DNS names and addresses.
    Server { names: &'a [&'a str] },
    /// TLS client known by this DNS name.
    Client { name: &'a str },
}

/// First and last second in which a certificate is valid.
#[derive(Clone, Copy)]
pub(crate) struct Validity {
    pub(crate) not_before: OffsetDateTime,
    pub(crate) not_after: OffsetDateTime,
}

pub(crate) fn generate_key(curve: Nid) -> Result<PKey<Private>, DevPkiError> {
    let group = EcGroup::from_curve_name(curve)?;
    Ok(PKey::from_ec_key(EcKey::generate(&group)?)?)
}

/// C=CN, O, CN.
pub(crate) fn name(organisation: &str, common_name: &str) -> Result<X509Name, DevPkiError> {
    let mut name = X509Name::builder()?;
    name.append_entry_by_nid(Nid::COUNTRYNAME, "CN")?;
    name.append_entry_by_nid(Nid::ORGANIZATIONNAME, organisation)?;
    name.append_entry_by_nid(Nid::COMMONNAME, common_name)?;
    Ok(name.build())
}

/// `AlgorithmIdentifier { ecPublicKey, curve SM2 (1.2.156.10197.1.301) }`, with which the SPKI of an SM2 key begins.
const SM2_ALGORITHM: [u8; 21] = [
    0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x81, 0x1c, 0xcf, 0x55, 0x01,
    0x82, 0x2d,
];

/// Whether a key lies on the SM2 curve. Read from its encoding: OpenSSL 4 gives a key that it has read from a file neither the
/// legacy SM2 type nor an `EC_KEY` view, unlike one that it has made.
pub(crate) fn is_sm2<T: HasPublic>(key: &PKeyRef<T>) -> bool {
    key.public_key_to_der().is_ok_and(|spki| spki.get(2..23) == Some(&SM2_ALGORITHM[..]))
}

/// The digest that goes with a key: SM3 for SM2, SHA-256 otherwise.
pub(crate) fn digest_for(key: &PKeyRef<Private>) -> MessageDigest {
    if is_sm2(key) { MessageDigest::sm3() } else { MessageDigest::sha256() }
}

pub(crate) fn asn1_time(at: OffsetDateTime) -> Result<Asn1Time, DevPkiError> {
    Ok(Asn1Time::from_unix(at.unix_timestamp())?)
}

/// Makes a key pair on `curve` and its certificate; self-signed when there is no issuer.
pub(crate) fn create(
    curve: Nid,
    subject: &X509NameRef,
    purpose: &Purpose<'_>,
    validity: Validity,
    issuer: Option<&Identity>,
) -> Result<Identity, DevPkiError> {
    let key = generate_key(curve)?;
    let public = PKey::public_key_from_der(&key.public_key_to_der()?)?;
    let (issuer_certificate, issuer_key) = match issuer {
        Some(issuer) => (Some(issuer.certificate.as_ref()), &issuer.key),
        None => (None, &key),
    };
    let certificate = certify(subject, &public, purpose, validity, issuer_certificate, issuer_key)?;
    Ok(Identity { certificate, key })
}

/// Issues a certificate for a public key. `issuer` None means self-signed.
pub(crate) fn certify(
    subject: &X509NameRef,
    public: &PKeyRef<Public>,
    purpose: &Purpose<'_>,
    validity: Validity,
    issuer: Option<&X509Ref>,
    issuer_key: &PKeyRef<Private>,
) -> Result<X509, DevPkiError> {
    let mut builder = X509::builder()?;
    builder.set_version(2)?;
    // 127 random bits: positive in DER, and as long as the octet-wise serial comparison has to cope with.
    let mut serial = BigNum::new()?;
    serial.rand(127, MsbOption::ONE, false)?;
    let serial = serial.to_asn1_integer()?;
    builder.set_serial_number(&serial)?;
    builder.set_subject_name(subject)?;
    builder.set_issuer_name(issuer.map_or(subject, |issuer| issuer.subject_name()))?;
    builder.set_not_before(&*asn1_time(validity.not_before)?)?;
    builder.set_not_after(&*asn1_time(validity.not_after)?)?;
    builder.set_pubkey(public)?;

    let mut basic = BasicConstraints::new();
    basic.critical();
    let mut usage = KeyUsage::new();
    usage.critical();
    match purpose {
        Purpose::Authority { path_length } => {
            basic.ca().pathlen(*path_length);
            usage.key_cert_sign().crl_sign();
        }
        Purpose::Signing => {
            usage.digital_signature().non_repudiation();
        }
        Purpose::Encryption => {
            usage.key_encipherment().data_encipherment().key_agreement();
        }
        Purpose::Server { .. } | Purpose::Client { .. } | Purpose::Responder => {
            usage.digital_signature();
        }
    }
    builder.append_extension2(&*basic.build()?)?;
    builder.append_extension2(&*usage.build()?)?;

    let subject_key_id = SubjectKeyIdentifier::new().build(&builder.x509v3_context(issuer, None))?;
    builder.append_extension2(&subject_key_id)?;
    if issuer.is_some() {
        let authority_key_id =
            AuthorityKeyIdentifier::new().keyid(true).build(&builder.x509v3_context(issuer, None))?;
        builder.append_extension2(&authority_key_id)?;
    }

    if matches!(purpose, Purpose::Responder) {
        builder.append_extension2(&*ExtendedKeyUsage::new().other("OCSPSigning").build()?)?;
        let (oid, null) = (Asn1Object::from_str("1.3.6.1.5.5.7.48.1.5")?, Asn1OctetString::new_from_bytes(&[5, 0])?);
        builder.append_extension2(&*X509Extension::new_from_der(&oid, false, &null)?)?;
    }

    let mut alternative = SubjectAlternativeName::new();
    let mut extended = ExtendedKeyUsage::new();
    let endpoint = match purpose {
        Purpose::Server { names } => {
            for name in *names {
                if name.parse::<std::net::IpAddr>().is_ok() {
                    alternative.ip(name)
                } else {
                    alternative.dns(name)
                };
            }
            extended.server_auth();
            true
        }
        Purpose::Client { name } => {
            alternative.dns(name);
            extended.client_auth();
            true
        }
        _ => false,
    };
    if endpoint {
        let alternative = alternative.build(&builder.x509v3_context(issuer, None))?;
        builder.append_extension2(&alternative)?;
        builder.append_extension2(&*extended.build()?)?;
    }

    builder.sign(issuer_key, digest_for(issuer_key))?;
    Ok(builder.build())
}
