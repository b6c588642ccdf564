//! Certificate revocation lists of the platform's authorities (RFC 5280 §5, SM2 with SM3).

use openssl::asn1::{Asn1Integer, Asn1Object, Asn1OctetString};
use openssl::bn::BigNum;
use openssl::pkey::{PKey, PKeyRef, Private};
use openssl::x509::extension::CrlNumber;
use openssl::x509::{X509, X509CrlBuilder, X509Extension, X509Ref, X509RevokedBuilder};
use time::OffsetDateTime;

use crate::profile::{asn1_time, digest_for};
use crate::{Authority, DevPkiError, Layout, files};

/// Makes a CRL and returns it as PEM.
///
/// `serials` are certificate serial numbers as big-endian octets; `last_update` is also each entry's revocation date.
pub(crate) fn build(
    issuer: &X509Ref,
    key: &PKeyRef<Private>,
    serials: &[Vec<u8>],
    last_update: OffsetDateTime,
    next_update: OffsetDateTime,
) -> Result<Vec<u8>, DevPkiError> {
    let mut builder = X509CrlBuilder::new()?;
    builder.set_issuer_name(issuer.subject_name())?;
    let last = asn1_time(last_update)?;
    builder.set_last_update(&last)?;
    builder.set_next_update(&*asn1_time(next_update)?)?;
    for serial in serials {
        let mut revoked = X509RevokedBuilder::new()?;
        revoked.set_serial_number(&*Asn1Integer::from_bn(&*BigNum::from_slice(serial)?)?)?;
        revoked.set_revocation_date(&last)?;
        builder.add_revoked(revoked.build())?;
    }
    if !serials.is_empty() {
        builder.sort()?;
    }
    builder.append_extension(authority_key_id(issuer)?)?;
    // Grows with real time even when a test asks for an old lastUpdate, so that a re-issued list is the newer one.
    let number = OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000;
    builder.append_extension(CrlNumber::new(BigNum::from_dec_str(&number.to_string())?)?.build()?)?;
    builder.sign(key, digest_for(key))?;
    Ok(builder.build()?.to_pem()?)
}

/// `AuthorityKeyIdentifier ::= SEQUENCE { keyIdentifier [0] IMPLICIT OCTET STRING }`; the crate's own builder only serves
/// certificates.
fn authority_key_id(issuer: &X509Ref) -> Result<X509Extension, DevPkiError> {
    let id = issuer.subject_key_id().ok_or(DevPkiError::IssuerWithoutKeyId)?.as_slice();
    let length = u8::try_from(id.len()).ok().filter(|n| *n < 0x7e).ok_or(DevPkiError::IssuerWithoutKeyId)?;
    let mut der = vec![0x30, length + 2, 0x80, length];
    der.extend_from_slice(id);
    let oid = Asn1Object::from_str("2.5.29.35")?;
    Ok(X509Extension::new_from_der(&oid, false, &*Asn1OctetString::new_from_bytes(&der)?)?)
}

/// Issues a new CRL of `authority` in place of the old one, in `platform/` and in the trust store.
///
/// `serials` (big-endian octets, see [`serial`]) is the whole new list: what is not named is no longer revoked. Times may lie
/// anywhere, which is how tests make a stale list.
pub fn reissue_crl(
    layout: &Layout,
    authority: Authority,
    serials: &[Vec<u8>],
    last_update: OffsetDateTime,
    next_update: OffsetDateTime,
) -> Result<(), DevPkiError> {
    let pair = layout.platform(authority.name());
    let certificate = X509::from_pem(&files::read(&pair.certificate)?)?;
    let key = PKey::private_key_from_pem(&files::read(&pair.key)?)?;
    let pem = build(&certificate, &key, serials, last_update, next_update)?;
    files::write_public(&layout.crl(authority), &pem)?;
    files::write_public(&layout.trust_crl(authority), &pem)
}

/// The serial number of a certificate in PEM, as big-endian octets without leading zeros.
pub fn serial(certificate_pem: &[u8]) -> Result<Vec<u8>, DevPkiError> {
    Ok(X509::from_pem(certificate_pem)?.serial_number().to_bn()?.to_vec())
}
