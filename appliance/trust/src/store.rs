use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use openssl::x509::X509;
use serde::Deserialize;
use yanqian_messages::{Certificate, certificates_from_pem_or_der};
use yanqian_sm::PublicKey;

use crate::error::TrustError;
use crate::revocation::Crl;
use crate::tables::KnownKeys;

/// Files of one directory at most.
const MAX_FILES: usize = 256;
/// Octets of one file at most.
const MAX_FILE: u64 = 16 * 1024 * 1024;

/// One platform's trust store, loaded and checked as a whole.
pub struct TrustStore {
    pub(crate) anchors: Vec<X509>,
    pub(crate) intermediates: Vec<Certificate>,
    pub(crate) crls: Vec<Crl>,
    pub(crate) pinned: BTreeSet<[u8; 32]>,
    /// Seconds that a list may be used past its `nextUpdate`.
    pub(crate) grace_seconds: i64,
    tls_anchors: Vec<X509>,
    encryption: Certificate,
    signing: Vec<Certificate>,
    /// SM2 keys of anchors and intermediates.
    authorities: Vec<PublicKey>,
    named: Vec<NamedCertificate>,
    hash: [u8; 32],
}

/// A certificate of the store with its role, for expiry monitoring.
#[derive(Debug, Clone)]
pub struct NamedCertificate {
    /// `anchor`, `intermediate`, `tls-anchor`, `platform-signing` or `platform-encryption`.
    pub role: &'static str,
    pub subject: String,
    /// Seconds since 1970.
    pub not_after: i64,
}

impl std::fmt::Debug for TrustStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TrustStore({})", hex::encode(self.hash))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSigners {
    format_version: u32,
    signer: Vec<RawSigner>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSigner {
    #[serde(rename = "name")]
    _name: String,
    role: SignerRole,
    key_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum SignerRole {
    Signing,
}

impl TrustStore {
    /// Loads a store: `anchors/`, `intermediates/`, `crls/`, `tls-anchors/`, `signing/`, `encryption.pem`, `signers.toml`.
    pub fn load(directory: &Path, grace_seconds: u32) -> Result<Self, TrustError> {
        let mut content = Vec::new();
        let mut named = Vec::new();
        let anchors = certificates(&directory.join("anchors"), "anchor", &mut content, &mut named)?;
        if anchors.is_empty() {
            return Err(TrustError::Empty { directory: directory.join("anchors"), what: "anchor certificate" });
        }
        let intermediates = certificates(&directory.join("intermediates"), "intermediate", &mut content, &mut named)?;
        let tls = certificates(&directory.join("tls-anchors"), "tls-anchor", &mut content, &mut named)?;
        let crls = crls(&directory.join("crls"), &mut content)?;
        let encryption = encryption(&directory.join("encryption.pem"), &mut content, &mut named)?;
        let signing = signing(&directory.join("signing"), &mut content, &mut named)?;
        let pinned = pins(&directory.join("signers.toml"), &mut content)?;
        let authorities = anchors.iter().chain(&intermediates).filter_map(Certificate::public_key).copied().collect();
        Ok(Self {
            anchors: to_openssl(&anchors)?,
            intermediates,
            crls,
            pinned,
            grace_seconds: grace_seconds.into(),
            tls_anchors: to_openssl(&tls)?,
            encryption,
            signing,
            authorities,
            named,
            hash: yanqian_sm::sm3(&[&content]),
        })
    }

    /// SM3 over the store's files in a fixed order.
    pub const fn hash(&self) -> &[u8; 32] {
        &self.hash
    }

    /// The certificate to which personal data is sealed.
    pub const fn encryption_certificate(&self) -> &Certificate {
        &self.encryption
    }

    /// The platform's signing certificates, for answers whose signature brings none along. Being here gives no trust.
    pub fn signing_certificates(&self) -> &[Certificate] {
        &self.signing
    }

    /// Anchors for the platform's TLS certificate.
    pub fn tls_anchors(&self) -> &[X509] {
        &self.tls_anchors
    }

    /// When the list that ends soonest stops serving, its grace included: seconds since 1970. None without a list, which
    /// means that every signer is refused.
    pub fn revocation_deadline(&self) -> Option<i64> {
        self.crls.iter().map(|crl| crl.next_update().saturating_add(self.grace_seconds)).min()
    }

    /// The DER of a list of this store by its SM3, for evidence.
    pub fn crl(&self, hash: &[u8; 32]) -> Option<Vec<u8>> {
        self.crls.iter().find(|crl| crl.hash() == hash).and_then(Crl::to_der)
    }

    /// The keys that every check meets: authorities, pinned signers, and the key to which claims are sealed.
    pub fn known_keys(&self) -> KnownKeys {
        KnownKeys {
            verifying: self.authorities.clone(),
            pinned: self.pinned.clone(),
            sealing: self.encryption.public_key().copied().into_iter().collect(),
        }
    }

    pub fn certificates(&self) -> &[NamedCertificate] {
        &self.named
    }
}

fn to_openssl(certificates: &[Certificate]) -> Result<Vec<X509>, TrustError> {
    certificates
        .iter()
        .map(|certificate| X509::from_der(certificate.as_der()))
        .collect::<Result<_, _>>()
        .map_err(|error| TrustError::OpenSsl(error.to_string()))
}

#[allow(clippy::needless_pass_by_value)] // texts and errors alike, as `map_err` gives them
fn file_error(file: &Path, problem: impl std::fmt::Display) -> TrustError {
    TrustError::File { file: file.to_owned(), problem: format!("{problem}") }
}

fn read(file: &Path, content: &mut Vec<u8>) -> Result<Vec<u8>, TrustError> {
    let size = std::fs::metadata(file).map_err(|error| file_error(file, error))?.len();
    if size > MAX_FILE {
        return Err(file_error(file, "larger than 16 MiB"));
    }
    let octets = std::fs::read(file).map_err(|error| file_error(file, error))?;
    let name = file.file_name().unwrap_or_default().as_encoded_bytes();
    for part in [name, &octets] {
        content.extend_from_slice(&(part.len() as u64).to_be_bytes());
        content.extend_from_slice(part);
    }
    Ok(octets)
}

/// The regular files of a directory in the order of their names. A directory that is missing is an error: an empty one
/// has to be meant.
/// Optional: only platforms whose answers bring no certificate along need it.
fn signing(
    directory: &Path,
    content: &mut Vec<u8>,
    named: &mut Vec<NamedCertificate>,
) -> Result<Vec<Certificate>, TrustError> {
    let mut all = Vec::new();
    if !directory.exists() {
        return Ok(all);
    }
    for file in files(directory)? {
        let octets = read(&file, content)?;
        for certificate in certificates_from_pem_or_der(&octets).map_err(|error| file_error(&file, error))? {
            if certificate.is_ca() || certificate.public_key().is_none() {
                return Err(file_error(&file, "is not a signing certificate with an SM2 key"));
            }
            named.push(name("platform-signing", &certificate));
            all.push(certificate);
        }
    }
    Ok(all)
}

fn files(directory: &Path) -> Result<Vec<PathBuf>, TrustError> {
    let entries = std::fs::read_dir(directory).map_err(|error| file_error(directory, error))?;
    let mut files = Vec::new();
    for entry in entries {
        let file = entry.map_err(|error| file_error(directory, error))?.path();
        let hidden = file.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if !hidden && file.is_file() {
            files.push(file);
        }
        if files.len() > MAX_FILES {
            return Err(file_error(directory, "more than 256 files"));
        }
    }
    files.sort();
    Ok(files)
}

fn certificates(
    directory: &Path,
    role: &'static str,
    content: &mut Vec<u8>,
    named: &mut Vec<NamedCertificate>,
) -> Result<Vec<Certificate>, TrustError> {
    let mut all = Vec::new();
    for file in files(directory)? {
        let octets = read(&file, content)?;
        for certificate in certificates_from_pem_or_der(&octets).map_err(|error| file_error(&file, error))? {
            if !certificate.is_ca() {
                return Err(file_error(&file, "is not the certificate of a certification authority"));
            }
            named.push(name(role, &certificate));
            all.push(certificate);
        }
    }
    Ok(all)
}

fn name(role: &'static str, certificate: &Certificate) -> NamedCertificate {
    NamedCertificate { role, subject: certificate.subject().to_owned(), not_after: certificate.not_after() }
}

fn encryption(
    file: &Path,
    content: &mut Vec<u8>,
    named: &mut Vec<NamedCertificate>,
) -> Result<Certificate, TrustError> {
    let octets = read(file, content)?;
    let certificates = certificates_from_pem_or_der(&octets).map_err(|error| file_error(file, error))?;
    let [certificate] = certificates.as_slice() else { return Err(file_error(file, "expected one certificate")) };
    let may_encrypt = certificate
        .key_usage()
        .is_some_and(|usage| usage.key_encipherment || usage.data_encipherment || usage.key_agreement);
    if !may_encrypt || certificate.public_key().is_none() {
        return Err(file_error(file, "is not an SM2 encryption certificate"));
    }
    named.push(name("platform-encryption", certificate));
    Ok(certificate.clone())
}

fn crls(directory: &Path, content: &mut Vec<u8>) -> Result<Vec<Crl>, TrustError> {
    let mut all = Vec::new();
    for file in files(directory)? {
        let octets = read(&file, content)?;
        all.push(Crl::read(&octets).map_err(|problem| file_error(&file, problem))?);
    }
    Ok(all)
}

fn pins(file: &Path, content: &mut Vec<u8>) -> Result<BTreeSet<[u8; 32]>, TrustError> {
    let octets = read(file, content)?;
    let text = std::str::from_utf8(&octets).map_err(|error| file_error(file, error))?;
    let raw: RawSigners = toml::from_str(text).map_err(|error| file_error(file, error))?;
    if raw.format_version != 1 {
        return Err(file_error(file, "key `format_version`: expected 1"));
    }
    raw.signer
        .iter()
        .map(|signer| {
            let SignerRole::Signing = signer.role;
            let mut id = [0; 32];
            hex::decode_to_slice(&signer.key_id, &mut id)
                .map_err(|_| file_error(file, "key `key_id`: expected 64 hexadecimal digits"))?;
            Ok(id)
        })
        .collect()
}
