//! What a test asks of a site: callers, commands, records, figures.

use std::path::Path;
use std::sync::Arc;

use serde_json::Value;
use yanqian_devpki::Pair;
use yanqian_p11_chaos::Chaos;

use crate::caller::Caller;
use crate::cli::{self, Output};
use crate::config;
use crate::control::{Control, plain};
use crate::error::HarnessError;
use crate::ledger::Record;
use crate::metrics::Metrics;
use crate::start::may_read;

impl super::Site {
    /// An internal system by its name in the development PKI: `core-banking`, `branch-kiosk` or `stranger`. It keeps the
    /// daemon's present address: ask again after a restart.
    pub fn caller(&self, name: &str) -> Result<Caller, HarnessError> {
        self.caller_with(name, Some(&self.places.pki().caller(name)))
    }

    /// A client without a certificate.
    pub fn nobody(&self) -> Result<Caller, HarnessError> {
        self.caller_with("nobody", None)
    }

    /// A client with any certificate and key.
    pub fn caller_with(&self, name: &str, identity: Option<&Pair>) -> Result<Caller, HarnessError> {
        Caller::new(name, self.addresses.api, &self.places.pki().internal("ca").certificate, identity)
    }

    /// Whether the daemon's user may read a file; asked of the kernel, not of the mode bits.
    pub fn daemon_may_read(&self, file: &Path) -> bool {
        may_read(file, self.options.users.daemon)
    }

    /// Whether the worker's user may read a file.
    pub fn worker_may_read(&self, file: &Path) -> bool {
        may_read(file, self.options.users.worker)
    }

    /// The platform's controls.
    pub fn sim(&self) -> Control {
        self.control
    }

    /// Drives the module that fails on demand, in a site with [`Options::chaos`].
    pub fn chaos(&self) -> Option<Arc<Chaos>> {
        self.chaos.clone()
    }

    /// Runs the appliance's command line under the daemon's user.
    pub fn yanqian(&self, arguments: &[&str]) -> Result<Output, HarnessError> {
        cli::run(&self.binaries.yanqian, arguments, self.options.users.daemon)
    }

    /// Runs the appliance's command line under the worker's user.
    pub fn yanqian_as_worker(&self, arguments: &[&str]) -> Result<Output, HarnessError> {
        cli::run(&self.binaries.yanqian, arguments, self.options.users.worker)
    }

    /// Runs the offline verifier over a receipt, against this site's trust store, as an auditor would: no daemon, no token.
    pub fn verify_receipt(&self, receipt: &Path, more: &[&str]) -> Result<Output, HarnessError> {
        let (receipt, trust) = (receipt.display().to_string(), self.places.trust().display().to_string());
        let mut arguments = vec![receipt.as_str(), "--trust", &trust];
        arguments.extend_from_slice(more);
        cli::run(&self.binaries.verifier, &arguments, None)
    }

    /// The worker's state and counters, as `yanqian hsm status --json` prints them.
    pub fn worker_status(&self) -> Result<Value, HarnessError> {
        self.status_of(&self.places)
    }

    /// Signatures that the token made for requests since the worker started: all but self-proofs.
    pub fn signatures(&self) -> Result<u64, HarnessError> {
        let status = self.worker_status()?;
        let count = |name: &str| status.get(name).and_then(Value::as_u64);
        match (count("signatures_total"), count("self_proofs_total")) {
            (Some(all), Some(proofs)) => Ok(all.saturating_sub(proofs)),
            _ => Err(HarnessError::Unexpected(format!("hsm status lacks its counters: {status}"))),
        }
    }

    /// As [`Self::signatures`] without those of the ledger key, which signs when it is time. Its self-proofs, made when the daemon
    /// starts, are taken off twice: for differences only.
    pub fn signatures_beside_checkpoints(&self) -> Result<i64, HarnessError> {
        // One status: between two, a checkpoint may be signed.
        let status = self.worker_status()?;
        let count = |value: &Value| value.as_i64().unwrap_or(0);
        let mut keys = status["keys"].as_array().into_iter().flatten();
        let ledger = keys.find(|key| key["label"] == config::LEDGER_KEY);
        let ledger = ledger.map_or(0, |key| count(&key["signatures_total"]));
        Ok(count(&status["signatures_total"]) - count(&status["self_proofs_total"]) - ledger)
    }

    /// All records, oldest first.
    pub fn ledger_records(&self) -> Result<Vec<Record>, HarnessError> {
        let ledger = self.places.ledger().display().to_string();
        let text =
            cli::expect(&self.binaries.yanqian, &["ledger", "show", "--json", &ledger], self.options.users.daemon)?;
        Record::parse_all(&text)
    }

    /// The records that name a verification.
    pub fn records_of(&self, id: &str) -> Result<Vec<Record>, HarnessError> {
        Ok(self.ledger_records()?.into_iter().filter(|record| record.verification() == id).collect())
    }

    /// `yanqian ledger verify`, whatever it says.
    pub fn ledger_verify(&self) -> Result<Output, HarnessError> {
        self.yanqian(&["ledger", "verify", &self.places.ledger().display().to_string()])
    }

    /// One scrape of `/metrics`.
    pub async fn metrics(&self) -> Result<Metrics, HarnessError> {
        let reply = plain(self.addresses.metrics, "GET", "/metrics", &Value::Null).await?;
        Ok(Metrics::parse(&String::from_utf8_lossy(&reply.body)))
    }

    /// Status and text of `/healthz` or `/readyz`.
    pub async fn probe(&self, path: &str) -> Result<(u16, String), HarnessError> {
        let reply = plain(self.addresses.metrics, "GET", path, &Value::Null).await?;
        Ok((reply.status, String::from_utf8_lossy(&reply.body).into_owned()))
    }
}
