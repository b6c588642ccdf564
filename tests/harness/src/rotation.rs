//! New key pairs for a running site, and the lists that put them in their places.

use std::path::PathBuf;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use toml::{Table, Value};

use crate::cli::{self, Output};
use crate::config::{ENCRYPTION_KEY, SIGNING_KEY, rewrite_with};
use crate::enrol::Enrolment;
use crate::error::{Doing as _, HarnessError};
use crate::options::Options;
use crate::places::write_public;
use crate::site::Site;

/// One pair of a list in the daemon's configuration. Its certificate is in the file that has its label as a name.
#[derive(Debug, Clone)]
pub struct Entry {
    label: String,
    certificate: String,
    from: Option<OffsetDateTime>,
    until: Option<OffsetDateTime>,
}

impl Entry {
    pub fn new(label: &str) -> Self {
        Self { label: label.to_owned(), certificate: format!("{label}.pem"), from: None, until: None }
    }

    #[must_use]
    pub fn from(mut self, from: OffsetDateTime) -> Self {
        self.from = Some(from);
        self
    }

    #[must_use]
    pub fn until(mut self, until: OffsetDateTime) -> Self {
        self.until = Some(until);
        self
    }

    /// With the certificate of another pair.
    #[must_use]
    pub fn with_certificate_of(mut self, label: &str) -> Self {
        self.certificate = format!("{label}.pem");
        self
    }

    fn table(&self) -> Result<Value, HarnessError> {
        let mut table = Table::new();
        table.insert("key".to_owned(), self.label.clone().into());
        table.insert("certificate".to_owned(), self.certificate.clone().into());
        for (name, instant) in [("from", self.from), ("until", self.until)] {
            let Some(instant) = instant else { continue };
            let text = instant.format(&Rfc3339).map_err(|error| HarnessError::Unexpected(error.to_string()))?;
            table.insert(name.to_owned(), text.into());
        }
        Ok(table.into())
    }
}

impl Site {
    /// Labels of the pairs that every site has: signing and encryption.
    pub const FIRST_PAIRS: (&'static str, &'static str) = (SIGNING_KEY, ENCRYPTION_KEY);

    fn enrolment(&self) -> Enrolment<'_> {
        let Options { users, token, .. } = self.options();
        Enrolment { program: self.program(), places: self.places(), worker: users.worker, token: *token }
    }

    fn certificate_of(&self, label: &str) -> PathBuf {
        self.places().etc().join(format!("{label}.pem"))
    }

    /// Makes a signing pair in the token, with a certificate.
    pub fn make_signing_pair(&self, label: &str) -> Result<(), HarnessError> {
        self.enrolment().signing(label, &self.certificate_of(label))
    }

    /// Imports an encryption pair, with its certificate. The platform is not told of it.
    pub fn make_encryption_pair(&self, label: &str) -> Result<(), HarnessError> {
        let signing = self.places().signing_certificate();
        self.enrolment().encryption(label, &self.certificate_of(label), SIGNING_KEY, &signing)
    }

    /// Puts lists into the daemon's configuration in the place of what it says of pairs.
    pub fn list_pairs(&self, signing: &[Entry], encryption: &[Entry]) -> Result<(), HarnessError> {
        // The platform reads the site's own encryption certificate; the lists name copies.
        let first = [
            (SIGNING_KEY, self.places().signing_certificate()),
            (ENCRYPTION_KEY, self.places().encryption_certificate()),
        ];
        for (label, file) in first {
            let copy = self.certificate_of(label);
            if !copy.exists() {
                write_public(&copy, &std::fs::read(&file).doing(|| file.display().to_string())?)?;
            }
        }
        let list = |entries: &[Entry]| entries.iter().map(Entry::table).collect::<Result<Vec<_>, _>>();
        let (signing, encryption) = (list(signing)?, list(encryption)?);
        rewrite_with(&self.places().daemon_config(), |whole| {
            let hsm = whole.get_mut("hsm").and_then(Value::as_table_mut);
            let hsm = hsm.ok_or_else(|| HarnessError::Unexpected("the configuration has no [hsm]".to_owned()))?;
            for (usage, list) in [("signing", signing), ("encryption", encryption)] {
                hsm.remove(&format!("{usage}_key"));
                hsm.remove(&format!("{usage}_certificate"));
                hsm.insert(usage.to_owned(), list.into());
            }
            Ok(())
        })
    }

    /// Tells the platform to which pair's certificate it seals from now on.
    pub fn platform_seals_to(&self, label: &str) -> Result<(), HarnessError> {
        let file = self.certificate_of(label);
        let pem = std::fs::read(&file).doing(|| file.display().to_string())?;
        write_public(&self.places().encryption_certificate(), &pem)
    }

    /// `yanqian reload`, as the daemon's unit runs it.
    pub fn reload(&self) -> Result<Output, HarnessError> {
        let pid = self.daemon_pid().ok_or_else(|| HarnessError::Unexpected("no daemon runs".to_owned()))?;
        let config = self.places().daemon_config().display().to_string();
        self.yanqian(&["reload", "--config", &config, "--pid", &pid.to_string()])
    }

    /// SM3 of a key's `SubjectPublicKeyInfo`, as the token lists it: lowercase hex.
    pub fn key_id(&self, label: &str) -> Result<String, HarnessError> {
        let config = self.places().worker_config().display().to_string();
        let arguments = ["hsm", "list", "--config", &config, "--json"];
        let text = cli::expect(self.program(), &arguments, self.options().users.worker)?;
        let keys = text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        let found = keys.into_iter().find(|key| key["label"] == label);
        found
            .and_then(|key| key["key_id"].as_str().map(str::to_owned))
            .ok_or_else(|| HarnessError::Unexpected(format!("hsm list has no key id of `{label}`: {text}")))
    }

    /// `yanqian hsm destroy`.
    pub fn destroy_pair(&self, label: &str) -> Result<(), HarnessError> {
        let config = self.places().worker_config().display().to_string();
        let key_id = self.key_id(label)?;
        let arguments = ["hsm", "destroy", "--config", &config, "--label", label, "--confirm", &key_id];
        cli::expect(self.program(), &arguments, self.options().users.worker).map(drop)
    }
}
