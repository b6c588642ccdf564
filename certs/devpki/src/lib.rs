//! The recipe for a development PKI: everything that a platform, a using entity and its internal systems need to hold, made
//! fresh in one directory, so that no private key ever has to be committed. The layout and the trust store are described in
//! `certs/README.md`.
//!
//! It is a tool of development and tests. It is built on OpenSSL and shares no code with the appliance, so what it issues is
//! an independent check of the appliance's reading.

#![forbid(unsafe_code)]

mod caller;
mod compressed;
mod crl;
mod entity;
mod error;
mod files;
mod layout;
mod ocsp;
mod profile;
mod skf;
mod trust;

use std::path::Path;

use openssl::nid::Nid;
use time::{Duration, OffsetDateTime};

pub use caller::issue_caller;
pub use compressed::{Compressed, Reissued, with_compressed_key};
pub use crl::{reissue_crl, serial};
pub use entity::{EntityEncryption, issue_entity_encryption, issue_entity_signing};
pub use error::DevPkiError;
pub use layout::{Authority, CALLERS, Layout, Pair};
pub use ocsp::{OcspResponder, OcspSingle, OcspStatus, cert_id, ocsp_asked, ocsp_error, ocsp_serial, platform_cert_id};
pub use trust::key_id;

use profile::{Identity, Purpose, Validity, create, name};

/// Names and addresses under which development servers listen.
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "::1"];
const PLATFORM: &str = "Yanqian Development Platform";
const OTHER: &str = "Some Other Authority";
const INTERNAL: &str = "Yanqian Development Bank Internal";

/// When the certificates and CRLs of a new PKI are valid.
#[derive(Debug, Clone)]
pub struct Options {
    /// Certificates start one hour earlier; CRLs say `lastUpdate` = one minute earlier.
    pub now: OffsetDateTime,
    /// Lifetime of end-entity certificates, in days (authorities: three times that).
    pub days: u32,
    /// `nextUpdate` − `now` of the CRLs.
    pub crl_lifetime: Duration,
}

impl Default for Options {
    /// Valid from now, certificates for a year, CRLs for 30 days.
    fn default() -> Self {
        Self { now: OffsetDateTime::now_utc(), days: 365, crl_lifetime: Duration::days(30) }
    }
}

/// Makes the whole PKI below `directory`, which may exist but must not hold one already.
pub fn generate(directory: &Path, options: &Options) -> Result<Layout, DevPkiError> {
    let layout = Layout::at(directory);
    if layout.platform("root").key.exists() {
        return Err(DevPkiError::AlreadyExists(directory.to_owned()));
    }
    let span = |days: i64| Validity {
        not_before: options.now - Duration::HOUR,
        not_after: options.now + Duration::days(days),
    };
    let (leaf, authority) = (span(options.days.into()), span(i64::from(options.days) * 3));
    platform(&layout, options, leaf, authority)?;

    let ca = create(Nid::SM2, &*name(PLATFORM, "Using Entities CA")?, &AUTHORITY, authority, None)?;
    save(&layout.entity("ca"), &ca)?;
    // For the platform's TLS, where it wants the entity to show a certificate there too.
    let client = Purpose::Client { name: "yanqian.entity.example" };
    let tls = create(Nid::SM2, &*name(PLATFORM, "Example Bank TLS")?, &client, leaf, Some(&ca))?;
    save(&layout.entity("tls"), &tls)?;

    internal(&layout, leaf, authority)?;
    trust::write(&layout)?;
    Ok(layout)
}

const AUTHORITY: Purpose<'static> = Purpose::Authority { path_length: 0 };

fn platform(layout: &Layout, options: &Options, leaf: Validity, authority: Validity) -> Result<(), DevPkiError> {
    let keep = |stem: &str, organisation: &str, common_name: &str, purpose: &Purpose<'_>, issuer: Option<&Identity>| {
        let validity = if matches!(purpose, Purpose::Authority { .. }) { authority } else { leaf };
        let identity = create(Nid::SM2, &*name(organisation, common_name)?, purpose, validity, issuer)?;
        save(&layout.platform(stem), &identity)?;
        Ok::<_, DevPkiError>(identity)
    };
    let root = keep("root", PLATFORM, "Platform Root CA", &Purpose::Authority { path_length: 1 }, None)?;
    let issuing = keep("issuing", PLATFORM, "Platform Issuing CA", &AUTHORITY, Some(&root))?;
    keep("signing", PLATFORM, "Platform Signing", &Purpose::Signing, Some(&issuing))?;
    keep("encryption", PLATFORM, "Platform Encryption", &Purpose::Encryption, Some(&issuing))?;
    keep("ocsp", PLATFORM, "Platform OCSP Responder", &Purpose::Responder, Some(&issuing))?;
    keep("tls", PLATFORM, "localhost", &Purpose::Server { names: &LOOPBACK }, Some(&issuing))?;
    let revoked = keep("signing-revoked", PLATFORM, "Platform Signing (revoked)", &Purpose::Signing, Some(&issuing))?;
    // Chains to the platform's root like a real signer, but no pin names its key.
    keep("signing-unpinned", PLATFORM, "Platform Signing (unpinned)", &Purpose::Signing, Some(&issuing))?;
    let other = keep("other-ca", OTHER, "Other Root CA", &AUTHORITY, None)?;
    keep("signing-other-ca", OTHER, "Platform Signing", &Purpose::Signing, Some(&other))?;

    let last_update = options.now - Duration::MINUTE;
    let next_update = options.now + options.crl_lifetime;
    let serials = [revoked.certificate.serial_number().to_bn()?.to_vec()];
    for (which, identity, serials) in [(Authority::Root, &root, &[][..]), (Authority::Issuing, &issuing, &serials[..])]
    {
        let pem = crl::build(&identity.certificate, &identity.key, serials, last_update, next_update)?;
        files::write_public(&layout.crl(which), &pem)?;
    }
    Ok(())
}

fn internal(layout: &Layout, leaf: Validity, authority: Validity) -> Result<(), DevPkiError> {
    let curve = Nid::X9_62_PRIME256V1;
    let ca = create(curve, &*name(INTERNAL, "Internal CA")?, &AUTHORITY, authority, None)?;
    save(&layout.internal("ca"), &ca)?;
    let server = create(curve, &*name(INTERNAL, "localhost")?, &Purpose::Server { names: &LOOPBACK }, leaf, Some(&ca))?;
    save(&layout.internal("server"), &server)?;
    for caller in CALLERS {
        let full = format!("{caller}.callers.example");
        let identity = create(curve, &*name(INTERNAL, &full)?, &Purpose::Client { name: &full }, leaf, Some(&ca))?;
        save(&layout.caller(caller), &identity)?;
    }
    Ok(())
}

fn save(pair: &Pair, identity: &Identity) -> Result<(), DevPkiError> {
    files::write_public(&pair.certificate, &identity.certificate.to_pem()?)?;
    files::write_private(&pair.key, &identity.key.private_key_to_pem_pkcs8()?)
}
