//! Certificates as the platform's authority would never issue them.

use openssl::asn1::{Asn1Object, Asn1OctetString, Asn1Time};
use openssl::bn::{BigNum, MsbOption};
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, PKeyRef, Private, Public};
use openssl::x509::extension::{
    AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectAlternativeName, SubjectKeyIdentifier,
};
use openssl::x509::{X509, X509Builder, X509Extension, X509Name, X509Ref};

use crate::der::{self, BIT_STRING, SEQUENCE};
use crate::{SimError, sm};

/// Seconds before and after now between which a certificate is valid.
pub(super) type Validity = (i64, i64);

pub(super) const GOOD: Validity = (-3600, 86_400);
pub(super) const EXPIRED: Validity = (-86_400, -3600);
pub(super) const NOT_YET: Validity = (3600, 86_400);

/// What a certificate may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Usage {
    Sign,
    Encrypt,
    /// An authority's, with this many authorities below it; `signs`: and signs messages, too.
    Authority {
        below: u32,
        signs: bool,
    },
    /// Signs certificates, and says that it is no authority.
    Certify,
    /// Serves TLS.
    Server,
    /// Is a TLS client.
    Client,
    /// No word about it.
    None,
}

/// A certificate to be issued.
pub(super) struct Order<'a> {
    pub(super) name: &'a str,
    pub(super) public: &'a PKeyRef<Public>,
    pub(super) usage: Usage,
    pub(super) validity: Validity,
    /// With an extension that nobody knows, marked critical.
    pub(super) critical: bool,
    /// Names and addresses of an endpoint.
    pub(super) names: &'a [&'a str],
    pub(super) digest: MessageDigest,
}

impl<'a> Order<'a> {
    /// A signing certificate as it should be.
    pub(super) fn signing(public: &'a PKeyRef<Public>) -> Self {
        let digest = MessageDigest::sm3();
        Self {
            name: "Platform Signing",
            public,
            usage: Usage::Sign,
            validity: GOOD,
            critical: false,
            names: &[],
            digest,
        }
    }

    /// By an issuer, or by its own key.
    pub(super) fn by(&self, issuer: Option<&X509>, key: &PKeyRef<Private>) -> Result<X509, SimError> {
        let mut builder = X509::builder()?;
        builder.set_version(2)?;
        let mut serial = BigNum::new()?;
        serial.rand(127, MsbOption::ONE, false)?;
        builder.set_serial_number(&*serial.to_asn1_integer()?)?;
        let subject = name(self.name)?;
        builder.set_subject_name(&subject)?;
        builder.set_issuer_name(issuer.map_or(&*subject, |issuer| issuer.subject_name()))?;
        let now = time::OffsetDateTime::now_utc().unix_timestamp();
        builder.set_not_before(&*Asn1Time::from_unix(now + self.validity.0)?)?;
        builder.set_not_after(&*Asn1Time::from_unix(now + self.validity.1)?)?;
        builder.set_pubkey(self.public)?;
        let mut basic = BasicConstraints::new();
        let mut usage = KeyUsage::new();
        usage.critical();
        match self.usage {
            Usage::Sign => usage.digital_signature().non_repudiation(),
            Usage::Encrypt => usage.key_encipherment().data_encipherment().key_agreement(),
            Usage::Certify => usage.key_cert_sign().crl_sign(),
            Usage::Server | Usage::Client => usage.digital_signature(),
            Usage::None => &mut usage,
            Usage::Authority { below, signs } => {
                basic.critical().ca().pathlen(below);
                if signs { usage.digital_signature() } else { &mut usage }.key_cert_sign().crl_sign()
            }
        };
        builder.append_extension2(&*basic.build()?)?;
        if self.usage != Usage::None {
            builder.append_extension2(&*usage.build()?)?;
        }
        let own = issuer.map(|issuer| &**issuer);
        let key_id = SubjectKeyIdentifier::new().build(&builder.x509v3_context(own, None))?;
        builder.append_extension2(&key_id)?;
        if own.is_some() {
            let authority = AuthorityKeyIdentifier::new().keyid(true).build(&builder.x509v3_context(own, None))?;
            builder.append_extension2(&authority)?;
        }
        self.endpoint(&mut builder, own)?;
        if self.critical {
            let oid = Asn1Object::from_str("1.3.6.1.4.1.55555.1")?;
            let value = Asn1OctetString::new_from_bytes(&[5, 0])?;
            builder.append_extension2(&*X509Extension::new_from_der(&oid, true, &value)?)?;
        }
        builder.sign(key, self.digest)?;
        Ok(builder.build())
    }
}

impl Order<'_> {
    fn endpoint(&self, builder: &mut X509Builder, issuer: Option<&X509Ref>) -> Result<(), SimError> {
        if !self.names.is_empty() {
            let mut alternative = SubjectAlternativeName::new();
            for name in self.names {
                if name.parse::<std::net::IpAddr>().is_ok() {
                    alternative.ip(name)
                } else {
                    alternative.dns(name)
                };
            }
            let names = alternative.build(&builder.x509v3_context(issuer, None))?;
            builder.append_extension2(&names)?;
        }
        let mut extended = ExtendedKeyUsage::new();
        match self.usage {
            Usage::Server => extended.server_auth(),
            Usage::Client => extended.client_auth(),
            _ => return Ok(()),
        };
        builder.append_extension2(&*extended.build()?)?;
        Ok(())
    }
}

fn name(common: &str) -> Result<X509Name, SimError> {
    let mut name = X509Name::builder()?;
    name.append_entry_by_text("C", "CN")?;
    name.append_entry_by_text("O", "Yanqian Development Platform")?;
    name.append_entry_by_text("CN", common)?;
    Ok(name.build())
}

/// The public half of a key.
pub(super) fn public(key: &PKeyRef<Private>) -> Result<PKey<Public>, SimError> {
    Ok(PKey::public_key_from_der(&key.public_key_to_der()?)?)
}

/// A certificate with other octets inside what is signed, signed again by SM2.
pub(super) fn edited(certificate: &[u8], key: &PKeyRef<Private>, from: &[u8], to: &[u8]) -> Result<Vec<u8>, SimError> {
    let mut parts = der::single(certificate, SEQUENCE, "Certificate")?.reader();
    let (tbs, algorithm) = (parts.any()?.whole, parts.any()?.whole);
    let at = tbs.windows(from.len()).position(|window| window == from).ok_or(der::DerError("nothing to edit"))?;
    let tbs = [&tbs[..at], to, &tbs[at + from.len()..]].concat();
    let signature = sm::sign(key, &tbs)?;
    Ok(der::join(SEQUENCE, &[&tbs, algorithm, &der::tlv(BIT_STRING, &[&[0], &signature[..]].concat())]))
}

/// A certificate whose outer parts are others, its signature as it was.
pub(super) fn repacked(
    certificate: &[u8],
    change: impl FnOnce(&mut Vec<u8>, &mut Vec<u8>),
) -> Result<Vec<u8>, SimError> {
    let mut parts = der::single(certificate, SEQUENCE, "Certificate")?.reader();
    let tbs = parts.any()?.whole;
    let (mut algorithm, mut signature) = (parts.any()?.whole.to_vec(), parts.any()?.content.to_vec());
    change(&mut algorithm, &mut signature);
    Ok(der::join(SEQUENCE, &[tbs, &algorithm, &der::tlv(BIT_STRING, &signature)]))
}
