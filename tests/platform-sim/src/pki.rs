//! The platform's own keys and its judgement of an entity's certificate.

use std::fs;
use std::path::{Path, PathBuf};

use openssl::pkey::{PKey, Private};
use openssl::stack::Stack;
use openssl::x509::store::{X509Store, X509StoreBuilder};
use openssl::x509::{X509, X509KeyUsage, X509StoreContext, X509VerifyResult};

use crate::der::{self, DerError, INTEGER, Reader, SEQUENCE};
use crate::{Refusal, SimError, sm};

/// A certificate with its private key.
pub struct Identity {
    /// The certificate.
    pub certificate: X509,
    /// DER of the certificate.
    pub der: Vec<u8>,
    /// Its key.
    pub key: PKey<Private>,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").field("subject", &self.certificate.subject_name()).finish_non_exhaustive()
    }
}

fn read(path: &Path) -> Result<Vec<u8>, SimError> {
    fs::read(path).map_err(|source| SimError::File { path: path.to_owned(), source })
}

impl Identity {
    /// Reads `STEM.pem` and `STEM.key`.
    pub fn load(stem: &Path) -> Result<Self, SimError> {
        let with = |extension: &str| -> PathBuf { stem.with_extension(extension) };
        let certificate = X509::from_pem(&read(&with("pem"))?)?;
        let key = PKey::private_key_from_pem(&read(&with("key"))?)?;
        Self::new(certificate, key)
    }

    /// From parts in memory.
    pub fn new(certificate: X509, key: PKey<Private>) -> Result<Self, SimError> {
        Ok(Self { der: certificate.to_der()?, certificate, key })
    }
}

/// Everything that the platform holds. Laid out as `certs/README.md` says.
#[derive(Debug)]
pub struct Pki {
    /// Signs honest answers.
    pub signing: Identity,
    /// Opens envelopes.
    pub encryption: Identity,
    /// TLS server certificate (SM2).
    pub tls: Identity,
    /// Issues the platform's certificates; sent along with the TLS certificate.
    pub issuing: Identity,
    /// Above the issuing authority.
    pub root: Identity,
    /// Pinned, but on the CRL.
    pub revoked: Identity,
    /// Good chain, no pin.
    pub unpinned: Identity,
    /// Under an authority that nobody trusts.
    pub other_authority: Identity,
    entities: X509,
}

impl Pki {
    /// Reads the platform's files below `directory`.
    pub fn load(directory: &Path) -> Result<Self, SimError> {
        let platform = |name: &str| Identity::load(&directory.join("platform").join(name));
        Ok(Self {
            signing: platform("signing")?,
            encryption: platform("encryption")?,
            tls: platform("tls")?,
            issuing: platform("issuing")?,
            root: platform("root")?,
            revoked: platform("signing-revoked")?,
            unpinned: platform("signing-unpinned")?,
            other_authority: platform("signing-other-ca")?,
            entities: X509::from_pem(&read(&directory.join("entity").join("ca.pem"))?)?,
        })
    }

    pub(crate) fn entity_store(&self) -> Result<X509Store, SimError> {
        let mut store = X509StoreBuilder::new()?;
        store.add_cert(self.entities.clone())?;
        Ok(store.build())
    }

    /// The certificate must chain to the CA for using entities, be valid now, and be one for signing.
    pub fn check_entity(&self, certificate: &X509) -> Result<(), Refusal> {
        let internal = Refusal::Certificate("the platform cannot check it");
        let store = self.entity_store().map_err(|_| internal)?;
        let chain = Stack::new().map_err(|_| internal)?;
        let mut context = X509StoreContext::new().map_err(|_| internal)?;
        // The context is emptied after the closure, so the reason has to be taken inside.
        let result = context.init(&store, certificate, &chain, |context| {
            context.verify_cert()?;
            Ok(context.error())
        });
        let result = result.map_err(|_| internal)?;
        if result != X509VerifyResult::OK {
            return Err(Refusal::Certificate(result.error_string()));
        }
        let usage = certificate.key_usage().unwrap_or(X509KeyUsage::empty());
        if !usage.contains(X509KeyUsage::DIGITAL_SIGNATURE) {
            return Err(Refusal::Certificate("not for digital signatures"));
        }
        match certificate.public_key() {
            Ok(key) if sm::is_sm2(&key) => Ok(()),
            _ => Err(Refusal::Certificate("not an SM2 key")),
        }
    }
}

/// `issuerAndSerialNumber` (PKCS#7) of a certificate in DER: its issuer and serial exactly as they stand there.
pub fn issuer_and_serial(certificate: &[u8]) -> Result<Vec<u8>, DerError> {
    let outer = der::single(certificate, SEQUENCE, "Certificate")?;
    let mut tbs: Reader<'_> = outer.reader().expect(SEQUENCE, "TBSCertificate")?.reader();
    tbs.optional(der::context(0))?;
    let serial = tbs.expect(INTEGER, "serialNumber")?;
    tbs.expect(SEQUENCE, "signature")?;
    let issuer = tbs.expect(SEQUENCE, "issuer")?;
    Ok(der::join(SEQUENCE, &[issuer.whole, serial.whole]))
}
