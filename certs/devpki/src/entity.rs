//! The platform's side of enrolment: a certificate for the using entity's signing key, which was made inside the token and
//! arrives as a PKCS#10 request.

use openssl::pkey::PKey;
use openssl::x509::{X509, X509Req};
use time::OffsetDateTime;

use crate::profile::{Purpose, Validity, certify, is_sm2};
use crate::{DevPkiError, Layout, files};

/// Issues an entity signing certificate from `entity/ca`, valid from one hour before `now` for `days` days, and returns it
/// as PEM.
///
/// `request` is PKCS#10, PEM or DER. The request proves possession of its key: SM2 with SM3 and the default distinguishing
/// id. The subject is taken as asked for, extensions in the request are not.
pub fn issue_entity_signing(
    layout: &Layout,
    request: &[u8],
    now: OffsetDateTime,
    days: u32,
) -> Result<Vec<u8>, DevPkiError> {
    let request = X509Req::from_pem(request)
        .or_else(|_| X509Req::from_der(request))
        .map_err(|_| DevPkiError::RequestUnreadable)?;
    let public = request.public_key().map_err(|_| DevPkiError::RequestUnreadable)?;
    if !is_sm2(&public) {
        return Err(DevPkiError::RequestKeyNotSm2);
    }
    if !request.verify(&public).unwrap_or(false) {
        return Err(DevPkiError::RequestSignature);
    }
    let pair = layout.entity("ca");
    let issuer = X509::from_pem(&files::read(&pair.certificate)?)?;
    let key = PKey::private_key_from_pem(&files::read(&pair.key)?)?;
    let validity =
        Validity { not_before: now - time::Duration::HOUR, not_after: now + time::Duration::days(days.into()) };
    let certificate = certify(request.subject_name(), &public, &Purpose::Signing, validity, Some(&issuer), &key)?;
    Ok(certificate.to_pem()?)
}
