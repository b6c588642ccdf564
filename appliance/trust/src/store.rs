use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use openssl::x509::X509;
use yanqian_messages::{Certificate, KeyUsage, PinRole, Pins, certificates_from_pem_or_der};

use crate::crl::Crl;
use crate::error::TrustError;
use crate::fetched::{Met, fetched_files};
use crate::ocsp::Ocsp;
use crate::revocation::RevocationPolicy;
use crate::strength::weakness;
use crate::tables::KnownKeys;
use crate::verdict::{Verdicts, edges_of};

/// Files of one directory at most.
const MAX_FILES: usize = 256;
/// Octets of one file at most.
const MAX_FILE: u64 = 16 * 1024 * 1024;

/// One platform's trust store, loaded and checked as a whole.
pub struct TrustStore {
    pub(crate) anchors: Vec<X509>,
    pub(crate) intermediates: Vec<Certificate>,
    pub(crate) crls: Vec<Crl>,
    pub(crate) responses: Vec<Ocsp>,
    pub(crate) pins: Pins,
    pub(crate) policy: RevocationPolicy,
    pub(crate) met: Met,
    /// When anything begins or ends on which a verdict may rest, in no order.
    pub(crate) edges: Vec<i64>,
    pub(crate) verdicts: Verdicts,
    tls_anchors: Vec<X509>,
    pub(crate) tls_authorities: Vec<Certificate>,
    encryption: Certificate,
    pub(crate) signing: Vec<Certificate>,
    /// Anchors and intermediates.
    pub(crate) authorities: Vec<Certificate>,
    named: Vec<NamedCertificate>,
    hash: [u8; 32],
    pub(crate) tls_hash: [u8; 32],
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

/// How a store is used.
#[derive(Debug, Clone, Default)]
pub struct TrustSettings {
    pub revocation: RevocationPolicy,
    /// Where lists (`crls/`) and responses (`ocsp/`) lie that the daemon fetched itself.
    pub fetched: Option<PathBuf>,
}

impl TrustSettings {
    /// Lists decide, and may be used for so many seconds past their `nextUpdate`.
    pub fn with_grace(grace_seconds: u32) -> Self {
        Self { revocation: RevocationPolicy { grace_seconds, ..RevocationPolicy::default() }, fetched: None }
    }
}

impl std::fmt::Debug for TrustStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TrustStore({})", hex::encode(self.hash))
    }
}

impl TrustStore {
    /// Loads a store with lists only, see [`Self::open`].
    pub fn load(directory: &Path, grace_seconds: u32) -> Result<Self, TrustError> {
        Self::open(directory, &TrustSettings::with_grace(grace_seconds))
    }

    /// Loads a store: `anchors/`, `intermediates/`, `crls/`, `tls-anchors/`, `encryption.pem`, `signers.toml`; where they are
    /// there, `ocsp/` and `signing/`; and what was fetched.
    pub fn open(directory: &Path, settings: &TrustSettings) -> Result<Self, TrustError> {
        let mut content = Vec::new();
        let mut named = Vec::new();
        let anchors = certificates(&directory.join("anchors"), "anchor", &mut content, &mut named)?;
        if anchors.is_empty() {
            return Err(TrustError::Empty { directory: directory.join("anchors"), what: "anchor certificate" });
        }
        let intermediates = certificates(&directory.join("intermediates"), "intermediate", &mut content, &mut named)?;
        let tls = certificates(&directory.join("tls-anchors"), "tls-anchor", &mut content, &mut named)?;
        let mut crls = each(&directory.join("crls"), &mut content, Crl::read)?;
        let optional = |folder: &str| Some(directory.join(folder)).filter(|folder| folder.is_dir());
        let mut responses = match optional("ocsp") {
            Some(folder) => each(&folder, &mut content, Ocsp::read)?,
            None => Vec::new(),
        };
        let encryption = encryption(&directory.join("encryption.pem"), &mut content, &mut named)?;
        let signing = signing(&directory.join("signing"), &mut content, &mut named)?;
        let pins = pins(&directory.join("signers.toml"), &mut content)?;
        if pins.restrict(PinRole::Encryption) && !pins.allow(PinRole::Encryption, &encryption) {
            let problem = "is not pinned for encryption, and signers.toml holds pins of this role";
            return Err(file_error(&directory.join("encryption.pem"), problem));
        }
        if let Some(fetched) = &settings.fetched {
            crls.extend(fetched_files(&fetched.join("crls"), Crl::read));
            responses.extend(fetched_files(&fetched.join("ocsp"), Ocsp::read));
        }
        let grace = settings.revocation.grace_seconds.into();
        let authorities: Vec<_> = anchors.iter().chain(&intermediates).cloned().collect();
        let mut edges: Vec<_> = authorities.iter().flat_map(edges_of).collect();
        edges.extend(crls.iter().flat_map(|list| list.edges(grace)));
        edges.extend(responses.iter().flat_map(|response| response.edges(grace)));
        let hash = yanqian_sm::sm3(&[&content]);
        let tls_hash = if settings.revocation.tls.is_some() {
            let data = crls.iter().map(Crl::hash).chain(responses.iter().map(Ocsp::hash));
            let mut data: Vec<[u8; 32]> = data.copied().collect();
            data.sort_unstable();
            yanqian_sm::sm3(&[&hash, data.as_flattened()])
        } else {
            hash
        };
        Ok(Self {
            anchors: to_openssl(&anchors)?,
            intermediates,
            crls,
            responses,
            pins,
            policy: settings.revocation,
            met: Met::default(),
            edges,
            verdicts: Verdicts::default(),
            tls_anchors: to_openssl(&tls)?,
            tls_authorities: tls,
            encryption,
            signing,
            authorities,
            named,
            hash,
            tls_hash,
        })
    }

    /// SM3 over the store's files in a fixed order, without what was fetched.
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

    /// Whether pins of that role restrict which certificates may be the platform's end of a TLS connection.
    pub fn pins_tls(&self) -> bool {
        self.pins.restrict(PinRole::Tls)
    }

    /// When the first authority is left without a list in force, grace included: seconds since 1970. None without a list.
    pub fn revocation_deadline(&self) -> Option<i64> {
        let first = self.newest_of_lists(Crl::next_update).min();
        first.map(|end| end.saturating_add(self.grace_seconds()))
    }

    /// Of each authority's lists the greatest time. What stayed of an authority that nobody knows any more is not asked, as long as others
    /// are there: it only grows old.
    pub(crate) fn newest_of_lists(&self, time: impl Fn(&Crl) -> i64) -> impl Iterator<Item = i64> {
        let known = self.may_list();
        let is_known = |list: &&Crl| known.iter().any(|authority| authority.subject_der() == list.issuer());
        let any_known = self.crls.iter().any(|list| is_known(&list));
        let mut newest = BTreeMap::<&[u8], i64>::new();
        for list in self.crls.iter().filter(|list| !any_known || is_known(list)) {
            let greatest = newest.entry(list.issuer()).or_insert(i64::MIN);
            *greatest = time(list).max(*greatest);
        }
        newest.into_values()
    }

    /// The same of OCSP responses: when the last one for any certificate ends.
    pub fn ocsp_deadline(&self) -> Option<i64> {
        let end = self.responses.iter().filter_map(Ocsp::next_update).max();
        end.map(|end| end.saturating_add(self.grace_seconds()))
    }

    /// DER of a list or response of this store by its SM3, for evidence.
    pub fn revocation_data(&self, hash: &[u8; 32]) -> Option<Vec<u8>> {
        let list = self.crls.iter().find(|list| list.hash() == hash);
        let response = self.responses.iter().find(|response| response.hash() == hash);
        list.and_then(Crl::to_der).or_else(|| response.map(|response| response.der().to_vec()))
    }

    /// The keys that every check meets: authorities, pinned signers, and the key to which claims are sealed.
    pub fn known_keys(&self) -> KnownKeys {
        KnownKeys {
            verifying: self.authorities.iter().filter_map(Certificate::public_key).copied().collect(),
            pinned: self.pins.key_ids(PinRole::Signing).collect(),
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
            if let Some(weakness) = weakness(&certificate) {
                return Err(file_error(&file, format!("holds {weakness}")));
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
    let may_encrypt = certificate.key_usage().is_some_and(KeyUsage::only_receives);
    if !may_encrypt || certificate.public_key().is_none() {
        return Err(file_error(file, "is not an SM2 encryption certificate"));
    }
    named.push(name("platform-encryption", certificate));
    Ok(certificate.clone())
}

/// One item from every file of a folder.
fn each<T>(
    directory: &Path,
    content: &mut Vec<u8>,
    item: impl Fn(&[u8]) -> Result<T, String>,
) -> Result<Vec<T>, TrustError> {
    let mut all = Vec::new();
    for file in files(directory)? {
        let octets = read(&file, content)?;
        all.push(item(&octets).map_err(|problem| file_error(&file, problem))?);
    }
    Ok(all)
}

fn pins(file: &Path, content: &mut Vec<u8>) -> Result<Pins, TrustError> {
    let octets = read(file, content)?;
    let text = std::str::from_utf8(&octets).map_err(|error| file_error(file, error))?;
    Pins::from_toml(text).map_err(|error| file_error(file, error))
}
