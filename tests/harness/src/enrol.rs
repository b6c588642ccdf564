//! What is done once before an appliance can serve: token, PIN, key, certificate. The same commands as in production; only
//! the certificate comes from the development PKI in place of the platform's authority.

use std::path::Path;

use time::OffsetDateTime;

use crate::cli;
use crate::config::{ENCRYPTION_KEY, SIGNING_KEY, TOKEN_LABEL, random};
use crate::error::{Doing as _, HarnessError};
use crate::places::{Places, write_private, write_public};
use crate::users::User;

const SUBJECT: &str = "C=CN, O=Example Bank, CN=Example Bank Signing";

fn path(path: &Path) -> String {
    path.display().to_string()
}

fn digits(count: usize) -> Result<String, HarnessError> {
    let mut octets = vec![0; count];
    random(&mut octets)?;
    Ok(octets.iter().map(|octet| char::from(b'0' + octet % 10)).collect())
}

/// PIN files, and a fresh token under them. The worker does not run yet.
pub(crate) fn init_token(program: &Path, places: &Places, worker: Option<User>) -> Result<(), HarnessError> {
    write_private(&places.pin(), digits(12)?.as_bytes(), worker)?;
    write_private(&places.so_pin(), digits(12)?.as_bytes(), worker)?;
    let (config, so_pin) = (path(&places.worker_config()), path(&places.so_pin()));
    let arguments = ["hsm", "init-token", "--config", &config, "--label", TOKEN_LABEL, "--so-pin-file", &so_pin];
    cli::expect(program, &arguments, worker).map(drop)
}

/// Key pair in the token, request, certificate, and the certificate beside its key and in the daemon's configuration. All
/// of it through the running worker.
pub(crate) fn enrol(program: &Path, places: &Places, worker: Option<User>, imports: bool) -> Result<(), HarnessError> {
    let config = path(&places.worker_config());
    let request = path(&places.hsm().join("entity.csr"));
    let certificate = path(&places.signing_certificate());
    let hsm = |arguments: &[&str]| {
        let mut all = vec!["hsm", arguments[0], "--config", &config];
        all.extend_from_slice(&arguments[1..]);
        cli::expect(program, &all, worker)
    };
    hsm(&["keygen", "--label", SIGNING_KEY])?;
    hsm(&["csr", "--label", SIGNING_KEY, "--subject", SUBJECT, "--out", &request])?;
    let octets = std::fs::read(&request).doing(|| request.clone())?;
    let pem = yanqian_devpki::issue_entity_signing(&places.pki(), &octets, OffsetDateTime::now_utc(), 365)?;
    write_public(&places.signing_certificate(), &pem)?;
    hsm(&["import-cert", "--label", SIGNING_KEY, "--cert", &certificate])?;

    if !imports {
        return Ok(());
    }
    // The second of the dual certificates: made by the authority, wrapped to the key that the token has just made.
    let issued = yanqian_devpki::issue_entity_encryption(&places.pki(), &pem, OffsetDateTime::now_utc(), 365)?;
    let enveloped = places.hsm().join("entity-encryption.env");
    let certificate = path(&places.encryption_certificate());
    write_public(&places.encryption_certificate(), &issued.certificate)?;
    write_public(&enveloped, &issued.enveloped_key)?;
    let (label, wrapping) = (["--label", ENCRYPTION_KEY], ["--wrapping-label", SIGNING_KEY]);
    let files = ["--enveloped-key", &path(&enveloped), "--cert", &certificate];
    hsm(&[&["import-encryption-key"][..], &label, &wrapping, &files].concat())?;
    Ok(())
}
