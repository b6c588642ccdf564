use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use yanqian_evidence::CheckpointKey;
use yanqian_messages::certificates_from_pem_or_der;
use yanqian_sm::PublicKey;
use yanqian_verify::Ledgers;

use super::read_text;
use crate::config::{CheckpointConfig, Config};
use crate::parts::{self, PartError};

/// The ledger key with its name: the ledger's own.
pub(crate) fn checkpoint_key(config: &Config, settings: &CheckpointConfig) -> Result<CheckpointKey, PartError> {
    Ok(CheckpointKey { name: parts::origin(config)?, public: public_key(&settings.public_key)? })
}

/// Reads a certificate or a `SubjectPublicKeyInfo`, PEM or DER.
pub(crate) fn public_key(file: &Path) -> Result<PublicKey, PartError> {
    let octets = std::fs::read(file).map_err(|error| PartError::file(file, error))?;
    let certificates = certificates_from_pem_or_der(&octets).unwrap_or_default();
    if let Some(certificate) = certificates.first() {
        let key = certificate.public_key().copied();
        return key.ok_or_else(|| PartError::file(file, "the certificate does not hold an SM2 key"));
    }
    let der = pem_body(&octets).unwrap_or(octets);
    PublicKey::from_spki_der(&der).map_err(|error| PartError::file(file, error))
}

fn pem_body(octets: &[u8]) -> Option<Vec<u8>> {
    let (_, rest) = std::str::from_utf8(octets).ok()?.split_once("-----BEGIN PUBLIC KEY-----")?;
    let (body, _) = rest.split_once("-----END PUBLIC KEY-----")?;
    STANDARD.decode(body.split_ascii_whitespace().collect::<String>()).ok()
}

/// Ledgers that this node cosigns, and witnesses whose cosignatures it takes; none without `checkpoints.trust`.
pub(crate) fn ledgers(config: &Config, settings: &CheckpointConfig) -> Result<Ledgers, PartError> {
    let Some(file) = &settings.trust else {
        return Err(PartError::file(
            &config.file,
            "key `checkpoints.trust`: is missing: it names the ledgers and witnesses",
        ));
    };
    Ledgers::from_toml(&read_text(file)?).map_err(|problem| PartError::file(file, problem))
}
