//! The platform's authorities and responders, and others that call themselves so: what they sign about revocation, right or wrong.
//! OpenSSL and the development PKI's own DER code make all of it.

use std::sync::LazyLock;

use openssl::asn1::{Asn1Integer, Asn1Object, Asn1OctetString, Asn1Time};
use openssl::bn::{BigNum, MsbOption};
use openssl::ec::{EcGroup, EcKey};
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::x509::extension::{BasicConstraints, CrlNumber, ExtendedKeyUsage, KeyUsage};
use openssl::x509::{X509, X509Crl, X509CrlBuilder, X509Extension, X509Name, X509RevokedBuilder};
use time::OffsetDateTime;
use yanqian_devpki::{DevPkiError, Layout, OcspResponder, OcspSingle, OcspStatus, cert_id};
use yanqian_harness::HarnessError;

pub(crate) const HOUR: i64 = 3600;

pub(crate) fn failed(what: &str, error: &dyn std::fmt::Display) -> HarnessError {
    HarnessError::Unexpected(format!("{what}: {error}"))
}

/// Seconds since 1970, the same for all that is signed: of two words made a second apart, one would be the older.
pub(crate) fn moment() -> i64 {
    static BEGAN: LazyLock<i64> = LazyLock::new(|| OffsetDateTime::now_utc().unix_timestamp());
    *BEGAN
}

/// A certificate with its key.
pub(crate) struct Authority {
    pub(crate) certificate: X509,
    pub(crate) key: PKey<Private>,
}

impl Authority {
    fn read(pki: &Layout, name: &str) -> Result<Self, HarnessError> {
        let pair = pki.platform(name);
        let read = |file: &std::path::Path| std::fs::read(file).map_err(|error| failed(name, &error));
        let (certificate, key) = (read(&pair.certificate)?, read(&pair.key)?);
        let made = || {
            Ok::<_, ErrorStack>(Self {
                certificate: X509::from_pem(&certificate)?,
                key: PKey::private_key_from_pem(&key)?,
            })
        };
        made().map_err(|error| failed(name, &error))
    }

    /// Answers under its own name.
    pub(crate) fn responder(&self) -> OcspResponder {
        OcspResponder::of(&self.certificate, &self.key)
    }
}

/// Who can sign something, and whom it is about.
pub(crate) struct Bench {
    pub(crate) root: Authority,
    pub(crate) issuing: Authority,
    /// Of nobody's trust.
    pub(crate) other: Authority,
    /// The platform's signer, which the issuing authority issued.
    pub(crate) signer: Authority,
    /// Another certificate of the issuing authority.
    pub(crate) sibling: X509,
    /// Called as the issuing authority is, with another key, below the root.
    pub(crate) namesake: Authority,
    /// Answers for the issuing authority, needs its list, and stands on it where [`Self::list_with_responder`] is in force.
    pub(crate) revoked_responder: OcspResponder,
}

impl Bench {
    pub(crate) fn of(pki: &Layout) -> Result<Self, HarnessError> {
        let read = |name| Authority::read(pki, name);
        let (root, issuing) = (read("root")?, read("issuing")?);
        let namesake = Certify { authority: true, ..Certify::by(&root) };
        let namesake = namesake.named(issuing.certificate.subject_name());
        let namesake = namesake.map_err(|error| failed("an authority of the same name", &error))?;
        let revoked = Certify { nocheck: false, ..Certify::by(&issuing) }.responder();
        Ok(Self {
            other: read("other-ca")?,
            signer: read("signing")?,
            sibling: read("signing-unpinned")?.certificate,
            revoked_responder: revoked.map_err(|error| failed("a responder", &error))?,
            namesake,
            root,
            issuing,
        })
    }

    pub(crate) fn serial(&self) -> Result<BigNum, ErrorStack> {
        self.signer.certificate.serial_number().to_bn()
    }

    /// What a responder says of the signer. Seconds from [`moment`].
    pub(crate) fn says(&self, status: OcspStatus, this: i64, next: i64) -> Result<OcspSingle, DevPkiError> {
        let cert_id = cert_id(MessageDigest::sm3(), &self.signer.certificate, &self.issuing.certificate)?;
        Ok(OcspSingle { cert_id, status, this_update: moment() + this, next_update: Some(moment() + next) })
    }

    pub(crate) fn good(&self) -> Result<OcspSingle, DevPkiError> {
        self.says(OcspStatus::Good, -60, 24 * HOUR)
    }

    /// A list of the issuing authority with nobody on it but [`Self::revoked_responder`].
    pub(crate) fn list_with_responder(&self) -> Result<Vec<u8>, ErrorStack> {
        let revoked = vec![self.revoked_responder.certificate.serial_number().to_bn()?];
        List { revoked, ..List::of(&self.issuing) }.pem()
    }
}

/// A certificate for a fresh key, as a responder of the issuing authority has it unless it is told otherwise.
pub(crate) struct Certify<'a> {
    pub(crate) issuer: &'a Authority,
    /// Extended key usage.
    pub(crate) usage: Option<&'static str>,
    pub(crate) encrypts: bool,
    pub(crate) authority: bool,
    /// Seconds from [`moment`].
    pub(crate) validity: (i64, i64),
    /// id-pkix-ocsp-nocheck: no list needs to clear it.
    pub(crate) nocheck: bool,
}

impl<'a> Certify<'a> {
    pub(crate) fn by(issuer: &'a Authority) -> Self {
        let validity = (-HOUR, 24 * HOUR);
        Self { issuer, usage: Some("OCSPSigning"), encrypts: false, authority: false, validity, nocheck: true }
    }

    /// The responder, with its certificate along.
    pub(crate) fn responder(self) -> Result<OcspResponder, ErrorStack> {
        let mut name = X509Name::builder()?;
        name.append_entry_by_nid(Nid::COMMONNAME, "Responder")?;
        let Authority { certificate, key } = self.named(&name.build())?;
        Ok(OcspResponder { include: vec![certificate.clone()], ..OcspResponder::of(&certificate, &key) })
    }

    fn named(self, name: &openssl::x509::X509NameRef) -> Result<Authority, ErrorStack> {
        let group = EcGroup::from_curve_name(Nid::SM2)?;
        let key = PKey::from_ec_key(EcKey::generate(&group)?)?;
        let mut builder = X509::builder()?;
        builder.set_version(2)?;
        let mut serial = BigNum::new()?;
        serial.rand(120, MsbOption::ONE, false)?;
        builder.set_serial_number(&*serial.to_asn1_integer()?)?;
        builder.set_subject_name(name)?;
        builder.set_issuer_name(self.issuer.certificate.subject_name())?;
        builder.set_not_before(&*Asn1Time::from_unix(moment() + self.validity.0)?)?;
        builder.set_not_after(&*Asn1Time::from_unix(moment() + self.validity.1)?)?;
        builder.set_pubkey(&key)?;
        let (mut basic, mut usage) = (BasicConstraints::new(), KeyUsage::new());
        basic.critical();
        if self.authority {
            basic.ca();
            usage.key_cert_sign().crl_sign();
        }
        if self.encrypts {
            usage.key_encipherment()
        } else {
            usage.digital_signature()
        };
        builder.append_extension2(&*basic.build()?)?;
        builder.append_extension2(&*usage.critical().build()?)?;
        if let Some(usage) = self.usage {
            builder.append_extension2(&*ExtendedKeyUsage::new().other(usage).build()?)?;
        }
        if self.nocheck {
            builder.append_extension2(&*extension("1.3.6.1.5.5.7.48.1.5", false, &[5, 0])?)?;
        }
        builder.sign(&self.issuer.key, MessageDigest::sm3())?;
        Ok(Authority { certificate: builder.build(), key })
    }
}

fn extension(oid: &str, critical: bool, der: &[u8]) -> Result<X509Extension, ErrorStack> {
    X509Extension::new_from_der(&*Asn1Object::from_str(oid)?, critical, &*Asn1OctetString::new_from_bytes(der)?)
}

/// A revocation list before it is signed.
pub(crate) struct List<'a> {
    /// In whose name.
    pub(crate) issuer: &'a Authority,
    /// Whose key signs.
    pub(crate) by: &'a Authority,
    pub(crate) revoked: Vec<BigNum>,
    /// Seconds from [`moment`].
    pub(crate) last: i64,
    pub(crate) next: i64,
    pub(crate) number: u32,
    /// One extension more, marked critical: OID and DER.
    pub(crate) critical: Option<(&'static str, &'static [u8])>,
}

/// RFC 5280 §5.2.4, base number 1.
pub(crate) const DELTA: Option<(&str, &[u8])> = Some(("2.5.29.27", &[2, 1, 1]));
/// RFC 5280 §5.2.5: indirectCRL.
pub(crate) const INDIRECT: Option<(&str, &[u8])> = Some(("2.5.29.28", &[0x30, 3, 0x84, 1, 0xff]));
/// RFC 5280 §5.2.5: onlySomeReasons, keyCompromise.
pub(crate) const SOME_REASONS: Option<(&str, &[u8])> = Some(("2.5.29.28", &[0x30, 4, 0x83, 2, 6, 0x40]));
/// RFC 5280 §5.2.5: onlyContainsCACerts.
pub(crate) const AUTHORITIES_ONLY: Option<(&str, &[u8])> = Some(("2.5.29.28", &[0x30, 3, 0x82, 1, 0xff]));

impl<'a> List<'a> {
    pub(crate) fn of(issuer: &'a Authority) -> Self {
        Self { issuer, by: issuer, revoked: Vec::new(), last: -60, next: 24 * HOUR, number: 2, critical: None }
    }

    pub(crate) fn expired(self) -> Self {
        Self { last: -2 * HOUR, next: -HOUR, ..self }
    }

    pub(crate) fn pem(self) -> Result<Vec<u8>, ErrorStack> {
        self.signed()?.to_pem()
    }

    pub(crate) fn der(self) -> Result<Vec<u8>, ErrorStack> {
        self.signed()?.to_der()
    }

    fn signed(self) -> Result<X509Crl, ErrorStack> {
        let mut builder = X509CrlBuilder::new()?;
        builder.set_issuer_name(self.issuer.certificate.subject_name())?;
        let last = Asn1Time::from_unix(moment() + self.last)?;
        builder.set_last_update(&last)?;
        builder.set_next_update(&*Asn1Time::from_unix(moment() + self.next)?)?;
        for serial in &self.revoked {
            let mut revoked = X509RevokedBuilder::new()?;
            revoked.set_serial_number(&*Asn1Integer::from_bn(serial)?)?;
            revoked.set_revocation_date(&last)?;
            builder.add_revoked(revoked.build())?;
        }
        if !self.revoked.is_empty() {
            builder.sort()?;
        }
        let id = self.issuer.certificate.subject_key_id().map(|id| id.as_slice().to_vec()).unwrap_or_default();
        let length = u8::try_from(id.len()).unwrap_or(0);
        builder.append_extension(extension(
            "2.5.29.35",
            false,
            &[&[0x30, length + 2, 0x80, length][..], &id].concat(),
        )?)?;
        builder.append_extension(CrlNumber::new(BigNum::from_u32(self.number)?)?.build()?)?;
        if let Some((oid, der)) = self.critical {
            builder.append_extension(extension(oid, true, der)?)?;
        }
        builder.sign(&self.by.key, MessageDigest::sm3())?;
        builder.build()
    }
}

/// So many serial numbers that are nobody's.
pub(crate) fn thousands() -> Result<Vec<BigNum>, ErrorStack> {
    (1..=20_000).map(BigNum::from_u32).collect()
}
