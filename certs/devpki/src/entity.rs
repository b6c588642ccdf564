//! The platform's side of enrolment: a certificate for the using entity's signing key, which was made inside the token and
//! arrives as a PKCS#10 request; and the encryption pair, which the authority makes and wraps to that signing key (dual
//! certificates, GB/T 20518).

use openssl::nid::Nid;
use openssl::pkey::{PKey, PKeyRef, Private, Public};
use openssl::pkey_ctx::PkeyCtx;
use openssl::rand::rand_bytes;
use openssl::symm::{Cipher, Crypter, Mode};
use openssl::x509::{X509, X509KeyUsage, X509NameRef, X509Ref, X509Req};
use time::OffsetDateTime;

use crate::profile::{Identity, Purpose, Validity, certify, create, is_sm2};
use crate::{DevPkiError, Layout, files, skf};

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
    let (request, public) = proven_request(request)?;
    let issuer = authority(layout)?;
    let subject = request.subject_name();
    let (issuer, key) = (&issuer.certificate, &issuer.key);
    let certificate = certify(subject, &public, &Purpose::Signing, span(now, days), Some(issuer), key)?;
    Ok(certificate.to_pem()?)
}

/// A request whose key is SM2 and signs it.
fn proven_request(octets: &[u8]) -> Result<(X509Req, PKey<Public>), DevPkiError> {
    let request =
        X509Req::from_pem(octets).or_else(|_| X509Req::from_der(octets)).map_err(|_| DevPkiError::RequestUnreadable)?;
    let public = request.public_key().map_err(|_| DevPkiError::RequestUnreadable)?;
    if !is_sm2(&public) {
        return Err(DevPkiError::RequestKeyNotSm2);
    }
    if !request.verify(&public).unwrap_or(false) {
        return Err(DevPkiError::RequestSignature);
    }
    Ok((request, public))
}

/// What an authority sends to an entity for its encryption pair.
#[derive(Debug, Clone)]
pub struct EntityEncryption {
    /// PEM.
    pub certificate: Vec<u8>,
    /// DER `SM2EnvelopedKey` (GB/T 35276-2017 §7.4): the private key, readable with the signing key only.
    pub enveloped_key: Vec<u8>,
    /// The same as `ENVELOPEDKEYBLOB` (GM/T 0016-2012 §6.4.10).
    pub enveloped_key_blob: Vec<u8>,
}

/// Makes an encryption pair under `entity/ca`, valid as [`issue_entity_signing`] has it, with the subject of the entity's
/// signing key, and wraps its private key to that key. Nothing of the pair is kept here.
///
/// `signing` tells the signing key: its certificate from `entity/ca`, or the PKCS#10 request for it; PEM or DER.
pub fn issue_entity_encryption(
    layout: &Layout,
    signing: &[u8],
    now: OffsetDateTime,
    days: u32,
) -> Result<EntityEncryption, DevPkiError> {
    let issuer = authority(layout)?;
    let (recipient, pair) = if let Ok(certificate) = X509::from_pem(signing).or_else(|_| X509::from_der(signing)) {
        let recipient = signing_key(&certificate, &issuer)?;
        (recipient, encryption_pair(certificate.subject_name(), span(now, days), &issuer)?)
    } else {
        let (request, recipient) = proven_request(signing)?;
        (recipient, encryption_pair(request.subject_name(), span(now, days), &issuer)?)
    };
    let (enveloped_key, enveloped_key_blob) = envelop(&pair.key, &recipient)?;
    Ok(EntityEncryption { certificate: pair.certificate.to_pem()?, enveloped_key, enveloped_key_blob })
}

/// The key of a certificate that this authority issued for signing: nobody else gets a pair.
fn signing_key(certificate: &X509Ref, issuer: &Identity) -> Result<PKey<Public>, DevPkiError> {
    let ours = certificate.verify(issuer.key.as_ref()).unwrap_or(false);
    let signs = certificate.key_usage().is_some_and(|usage| usage.contains(X509KeyUsage::DIGITAL_SIGNATURE));
    let key = certificate.public_key()?;
    if ours && signs && is_sm2(&key) { Ok(key) } else { Err(DevPkiError::SigningCertificate) }
}

fn encryption_pair(subject: &X509NameRef, validity: Validity, issuer: &Identity) -> Result<Identity, DevPkiError> {
    create(Nid::SM2, subject, &Purpose::Encryption, validity, Some(issuer))
}

fn authority(layout: &Layout) -> Result<Identity, DevPkiError> {
    let pair = layout.entity("ca");
    Ok(Identity {
        certificate: X509::from_pem(&files::read(&pair.certificate)?)?,
        key: PKey::private_key_from_pem(&files::read(&pair.key)?)?,
    })
}

fn span(now: OffsetDateTime, days: u32) -> Validity {
    Validity { not_before: now - time::Duration::HOUR, not_after: now + time::Duration::days(days.into()) }
}

/// `AlgorithmIdentifier { SM4-ECB (1.2.156.10197.1.104.1) }`.
const SM4_ECB: [u8; 12] = [0x30, 0x0a, 0x06, 0x08, 0x2a, 0x81, 0x1c, 0xcf, 0x55, 0x01, 0x68, 0x01];

/// `SM2EnvelopedKey ::= SEQUENCE { symAlgID, symEncryptedKey SM2Cipher, sm2PublicKey BIT STRING, sm2EncryptedPrivateKey BIT
/// STRING }`: an SM4 key under SM2, the private key under SM4. And the same as a smart key's blob.
fn envelop(key: &PKeyRef<Private>, recipient: &PKeyRef<Public>) -> Result<(Vec<u8>, Vec<u8>), DevPkiError> {
    let mut content_key = [0; 16];
    rand_bytes(&mut content_key)?;
    let mut wrapped = Vec::new();
    let mut encryption = PkeyCtx::new(recipient)?;
    encryption.encrypt_init()?;
    // With SM3, OpenSSL's default for SM2; the output is a DER SM2Cipher.
    encryption.encrypt_to_vec(&content_key, &mut wrapped)?;

    let scalar = key.ec_key()?.private_key().to_vec_padded(32)?;
    let mut sealed = vec![0; 48];
    let mut crypter = Crypter::new(Cipher::sm4_ecb(), Mode::Encrypt, &content_key, None)?;
    crypter.pad(false);
    let length = crypter.update(&scalar, &mut sealed)?;
    sealed.truncate(length);

    // An SPKI ends with its BIT STRING: 03 42 00 04 x y.
    let spki = key.public_key_to_der()?;
    let public = spki.get(spki.len().saturating_sub(68)..).unwrap_or_default();
    let point = spki.get(spki.len().saturating_sub(64)..).unwrap_or_default();
    let blob = skf::blob(&skf::Parts { private: &sealed, public: point, session_key: &wrapped })?;
    let private = [&[0x03, 0x21, 0x00], sealed.as_slice()].concat();
    let content = [&SM4_ECB, wrapped.as_slice(), public, &private].concat();
    let header = match u8::try_from(content.len()) {
        Ok(length @ 0x80..) => vec![0x30, 0x81, length],
        Ok(length) => vec![0x30, length],
        Err(_) => [&[0x30, 0x82], u16::try_from(content.len()).unwrap_or(u16::MAX).to_be_bytes().as_slice()].concat(),
    };
    Ok(([header, content].concat(), blob))
}
