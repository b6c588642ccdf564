//! What is done once before an appliance can serve: token, PIN, key, certificate. The same commands as in production; only
//! the certificate comes from the development PKI in place of the platform's authority.

use std::path::Path;

use time::OffsetDateTime;

use crate::cli;
use crate::config::{ENCRYPTION_KEY, LEDGER_KEY, SIGNING_KEY, TOKEN_LABEL, random};
use crate::error::{Doing as _, HarnessError};
use crate::options::Token;
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

/// Who enrols: the appliance's command line, where its files lie, and the user of the worker.
pub(crate) struct Enrolment<'a> {
    pub(crate) program: &'a Path,
    pub(crate) places: &'a Places,
    pub(crate) worker: Option<User>,
    pub(crate) token: Token,
}

impl Enrolment<'_> {
    fn hsm(&self, arguments: &[&str]) -> Result<(), HarnessError> {
        let config = path(&self.places.worker_config());
        let mut all = vec!["hsm", arguments[0], "--config", &config];
        all.extend_from_slice(&arguments[1..]);
        cli::expect(self.program, &all, self.worker).map(drop)
    }

    /// Key pair in the token, request, certificate, and the certificate beside its key and in `file`.
    pub(crate) fn signing(&self, label: &str, file: &Path) -> Result<(), HarnessError> {
        let request = path(&self.places.hsm().join(format!("{label}.csr")));
        self.hsm(&["keygen", "--label", label])?;
        self.hsm(&["csr", "--label", label, "--subject", SUBJECT, "--out", &request])?;
        let octets = std::fs::read(&request).doing(|| request.clone())?;
        let pem = yanqian_devpki::issue_entity_signing(&self.places.pki(), &octets, OffsetDateTime::now_utc(), 365)?;
        write_public(file, &pem)?;
        self.hsm(&["import-cert", "--label", label, "--cert", &path(file)])
    }

    /// The second of the dual certificates: made by the authority, wrapped to a signing key, whose certificate is `signing`.
    pub(crate) fn encryption(
        &self,
        label: &str,
        file: &Path,
        wrapping: &str,
        signing: &Path,
    ) -> Result<(), HarnessError> {
        let pem = std::fs::read(signing).doing(|| path(signing))?;
        let now = OffsetDateTime::now_utc();
        let issued = yanqian_devpki::issue_entity_encryption(&self.places.pki(), &pem, now, 365)?;
        let enveloped = self.places.hsm().join(format!("{label}.env"));
        write_public(file, &issued.certificate)?;
        // One kind of site gets what authorities hand to smart keys.
        let blob = self.token == Token::Sealed;
        write_public(&enveloped, if blob { &issued.enveloped_key_blob } else { &issued.enveloped_key })?;
        let (label, wrapping) = (["--label", label], ["--wrapping-label", wrapping]);
        let files = ["--enveloped-key", &path(&enveloped), "--cert", &path(file)];
        self.hsm(&[&["import-encryption-key"][..], &label, &wrapping, &files].concat())
    }

    /// The key that signs checkpoints; nobody certifies it.
    pub(crate) fn ledger(&self) -> Result<(), HarnessError> {
        self.hsm(&["keygen", "--label", LEDGER_KEY])
    }

    /// What a new site has, through the running worker.
    pub(crate) fn first(&self) -> Result<(), HarnessError> {
        let certificate = self.places.signing_certificate();
        self.signing(SIGNING_KEY, &certificate)?;
        if self.token.imports() {
            self.encryption(ENCRYPTION_KEY, &self.places.encryption_certificate(), SIGNING_KEY, &certificate)?;
        }
        Ok(())
    }
}
