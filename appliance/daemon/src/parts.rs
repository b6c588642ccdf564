//! The pieces that a configuration names, loaded and checked one by one: `check` tables them, `serve` puts them together.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use yanqian_agreement::Agreement;
use yanqian_evidence::{Context, Origin, SoftwareVersion};
use yanqian_gateway::{KeyPair, StateKeys};
use yanqian_ledger::search::KeyRing;
use yanqian_messages::{Certificate, certificates_from_pem_or_der};
use yanqian_platform::{LinkSettings, PlatformClient, Profile};
use yanqian_retention::{ArchiveKey, ArchiveKeys, S3, Site, Store};
use yanqian_sm::sm3;
use yanqian_trust::{RevocationPolicy, SharedTrust, TrustSettings, Verifier};
use yanqian_vocabulary::{AgreementHash, Mode, TokenGrade};
use zeroize::Zeroizing;

use crate::config::{ArchiveSite, Config, ConfigError};
use crate::way::Way;
use crate::{hardening, link};

/// A piece cannot be used; the text names the file.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct PartError(String);

impl PartError {
    pub(crate) fn file(file: &Path, problem: impl std::fmt::Display) -> Self {
        Self(format!("{}: {problem}", file.display()))
    }
}

impl From<ConfigError> for PartError {
    fn from(error: ConfigError) -> Self {
        Self(error.to_string())
    }
}

impl From<String> for PartError {
    fn from(text: String) -> Self {
        Self(text)
    }
}

/// The agreement, which must be this entity's with this platform, and the hash of its file.
pub(crate) fn agreement(config: &Config) -> Result<(Agreement, AgreementHash), PartError> {
    let file = &config.agreement;
    let text = std::fs::read_to_string(file).map_err(|error| PartError::file(file, error))?;
    let agreement = Agreement::parse(&text, file).map_err(|error| PartError(error.to_string()))?;
    if agreement.entity != config.entity {
        return Err(PartError::file(
            file,
            format!("key `entity`: is `{}`, but {} says `{}`", agreement.entity, config.file.display(), config.entity),
        ));
    }
    if agreement.platform != config.platform.id {
        return Err(PartError::file(
            file,
            format!(
                "key `platform`: is `{}`, but {} says `{}`",
                agreement.platform,
                config.file.display(),
                config.platform.id
            ),
        ));
    }
    Ok((agreement, AgreementHash::new(sm3(&[text.as_bytes()]))))
}

/// The platform profile, the way to the platform, and a client that takes it.
pub(crate) fn platform(
    config: &Config,
    verifier: &Arc<Verifier>,
) -> Result<(Arc<Profile>, Way, PlatformClient), PartError> {
    let profile = Profile::load(&config.platform.profile).map_err(|error| PartError(error.to_string()))?;
    let profile = Arc::new(profile);
    let way = Way::of(config, &profile)?;
    let settings = LinkSettings { verifier: Arc::clone(verifier), ..link::settings(config, &way)? };
    let client = PlatformClient::with_settings(Arc::clone(&profile), settings)
        .map_err(|error| PartError::file(&config.file, format!("key `platform.endpoint`: {error}")))?;
    Ok((profile, way, client))
}

pub(crate) fn trust(config: &Config) -> Result<SharedTrust, PartError> {
    let revocation = &config.platform.revocation;
    let settings = TrustSettings {
        revocation: RevocationPolicy {
            signer: revocation.signer,
            authorities: revocation.authorities,
            tls: revocation.tls,
            grace_seconds: config.platform.revocation_grace_seconds,
        },
        fetched: revocation.fetches().then(|| fetched_directory(config)),
    };
    SharedTrust::open(&config.platform.trust, settings).map_err(|error| PartError(error.to_string()))
}

/// Where lists and responses lie that the daemon fetched itself.
pub(crate) fn fetched_directory(config: &Config) -> PathBuf {
    config.state_dir.join("revocation")
}

/// The first certificate of a file, which is the leaf's.
pub(crate) fn first_certificate(file: &Path) -> Result<Certificate, PartError> {
    let octets = std::fs::read(file).map_err(|error| PartError::file(file, error))?;
    let certificates = certificates_from_pem_or_der(&octets).map_err(|error| PartError::file(file, error))?;
    certificates.into_iter().next().ok_or_else(|| PartError::file(file, "holds no certificate"))
}

/// Nobody but the daemon's own user and root may decide what the daemon does or know its secrets.
pub(crate) fn permissions(config: &Config) -> Result<(), PartError> {
    let decide = [
        &config.file,
        &config.agreement,
        &config.platform.profile,
        &config.listen.certificate,
        &config.listen.client_ca,
    ];
    let pairs = config.hsm.pairs.signing.iter().chain(&config.hsm.pairs.encryption).map(|pair| &pair.certificate);
    let ledger = config.checkpoints.iter().flat_map(|ledger| std::iter::once(&ledger.public_key).chain(&ledger.trust));
    // Whoever can exchange it can hide that the ledger was rolled back. It may not be there yet.
    let cosigned = config.checkpoints.iter().filter_map(|ledger| ledger.cosigned.as_ref()).filter(|file| file.exists());
    let ledger = ledger.chain(cosigned);
    decide.into_iter().chain(pairs).chain(ledger).try_for_each(|file| hardening::check_public(file))?;
    hardening::check_public_tree(&config.platform.trust)?;
    search_keys(config)?;
    let retention = &config.retention;
    if let Some((site, key)) = &retention.archive {
        std::iter::once(key).chain(&retention.former_keys).try_for_each(|file| hardening::check_secret(file))?;
        if let ArchiveSite::S3 { credentials, ca, .. } = site {
            hardening::check_secret(credentials)?;
            ca.iter().try_for_each(|file| hardening::check_public(file))?;
        }
    }
    let link = &config.platform.link;
    if let Some((certificate, _)) = &link.client {
        hardening::check_public(certificate)?;
    }
    let proxy = link.proxy.as_ref().and_then(|(_, credentials)| credentials.as_ref());
    let secrets = [&config.state_key_file, &config.listen.key].into_iter();
    secrets
        .chain(link.client.as_ref().map(|(_, key)| key))
        .chain(proxy)
        .try_for_each(|file| hardening::check_secret(file))?;
    Ok(())
}

/// The directory of search keys, each of which only its owner can read or replace.
pub(crate) fn search_keys(config: &Config) -> Result<KeyRing, PartError> {
    let ring = KeyRing::new(&config.search.keys_dir);
    for file in ring.key_files().map_err(|error| PartError(error.to_string()))? {
        hardening::check_secret(&file).and_then(|()| hardening::check_public(&file))?;
    }
    Ok(ring)
}

/// What the agreement allows must be possible: each service and each document has a form in the profile, and readings have somebody to be
/// sealed to.
pub(crate) fn services(config: &Config, agreement: &Agreement, profile: &Profile) -> Result<(), PartError> {
    let missing = agreement.modes.iter().find(|mode| !profile.modes().any(|known| known == **mode));
    if let Some(mode) = missing {
        let problem = format!("key `modes`: platform profile `{}` has no form for `{mode}`", profile.name());
        return Err(PartError::file(&config.agreement, problem));
    }
    let missing = agreement.document_types.iter().find(|kind| !profile.document_types().any(|known| known == **kind));
    if let Some(kind) = missing {
        let problem = format!("key `document_types`: platform profile `{}` has no word for `{kind}`", profile.name());
        return Err(PartError::file(&config.agreement, problem));
    }
    if agreement.modes.contains(&Mode::ChipReading) && config.hsm.pairs.encryption.is_empty() {
        return Err(PartError::file(
            &config.file,
            "keys `hsm.encryption_key` and `hsm.encryption_certificate`, or `[[hsm.encryption]]`, are needed: the agreement allows \
             chip-reading",
        ));
    }
    Ok(())
}

/// The country signing authorities for chips, where the configuration names a directory of them.
pub(crate) fn chip_anchors(config: &Config) -> Result<Option<yanqian_chip::Anchors>, PartError> {
    let Some(directory) = &config.chip_anchors else { return Ok(None) };
    hardening::check_public(directory)?;
    yanqian_chip::Anchors::read(directory).map(Some).map_err(|error| PartError(error.to_string()))
}

/// The state key: 64 hexadecimal digits in a file that only its owner can read.
pub(crate) fn state_keys(config: &Config) -> Result<StateKeys, PartError> {
    let file = &config.state_key_file;
    let fail = |problem: &str| PartError::file(file, problem);
    hardening::check_secret(file)?;
    let text = Zeroizing::new(std::fs::read_to_string(file).map_err(|error| PartError::file(file, error))?);
    let mut key = Zeroizing::new([0; 32]);
    hex::decode_to_slice(text.trim(), key.as_mut_slice()).map_err(|_| fail("expected 64 hexadecimal digits"))?;
    Ok(StateKeys::derive(&key))
}

/// The archive of sealed segments, where there is one.
pub(crate) fn archive(config: &Config) -> Result<Option<yanqian_retention::Archive>, PartError> {
    let retention = &config.retention;
    let Some((site, key_file)) = &retention.archive else { return Ok(None) };
    let secret = |file: &Path| {
        hardening::check_secret(file)?;
        let text = std::fs::read_to_string(file).map(Zeroizing::new);
        text.map_err(|error| PartError::file(file, error))
    };
    let key = |file: &PathBuf| ArchiveKey::from_hex(&secret(file)?).map_err(|error| PartError::file(file, error));
    let former = retention.former_keys.iter().map(key).collect::<Result<_, _>>()?;
    let keys = ArchiveKeys { current: key(key_file)?, former };
    let site = match site {
        ArchiveSite::Directory(directory) => Site::Directory(directory.clone()),
        ArchiveSite::S3 { bucket, prefix, endpoint, region, credentials, ca } => Site::S3(S3 {
            bucket: bucket.clone(),
            prefix: prefix.clone(),
            endpoint: endpoint.clone(),
            region: region.clone(),
            credentials: secret(credentials)?,
            ca_file: ca.clone(),
        }),
    };
    let origin = origin(config)?;
    let store = Store::open(&site, origin.as_str(), retention.patience);
    let store = store.map_err(|error| PartError::file(&config.file, error))?;
    Ok(Some(yanqian_retention::Archive::new(store, keys, origin, config.node.clone())))
}

/// What every record says of the conditions under which it was written, as long as this signing pair is the only one.
pub(crate) fn context(
    config: &Config,
    agreement: AgreementHash,
    profile: &Profile,
    signing: &KeyPair,
    grade: TokenGrade,
) -> Result<Context, PartError> {
    Ok(Context {
        entity: config.entity.clone(),
        node: config.node.clone(),
        software: software()?,
        agreement,
        platform: config.platform.id.clone(),
        platform_profile: profile.hash(),
        key: signing.key_id(),
        certificate: signing.certificate_hash(),
        grade,
        encryption_key: None,
        encryption_certificate: None,
    })
}

pub(crate) fn software() -> Result<SoftwareVersion, PartError> {
    SoftwareVersion::new(env!("CARGO_PKG_VERSION")).map_err(|error| PartError(error.to_string()))
}

/// The file that stops the platform's route while it exists.
pub(crate) fn route_file(config: &Config) -> PathBuf {
    config.state_dir.join("platform-stopped.json")
}

/// Where operators' orders are taken.
pub(crate) fn control_socket(config: &Config) -> PathBuf {
    config.state_dir.join("control.sock")
}

/// The ledger's name, and that of the key that signs its checkpoints.
pub(crate) fn origin(config: &Config) -> Result<Origin, PartError> {
    Origin::new(format!("{}/{}", config.entity, config.node)).map_err(|error| PartError(error.to_string()))
}

pub(crate) fn ledger_directory(config: &Config) -> PathBuf {
    config.state_dir.join("ledger")
}
