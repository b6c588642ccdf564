//! The report of a run, to hand over: what was claimed, what was done, what came of it and why. Nothing of any person is in it.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use schemars::{JsonSchema, Schema, schema_for};
use serde::Serialize;
use yanqian_sm::sm3;

use super::markdown;

/// The form of `report.json`.
const VERSION: u32 = 1;

/// A run of `yanqian platform conform`. Times are RFC 3339 in UTC; hashes are SM3, hexadecimal.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "report.json")]
pub(crate) struct Report {
    /// Version of this form: 1.
    pub(super) v: u32,
    /// Of this appliance.
    pub(super) software: String,
    pub(super) entity: String,
    /// The entity's unified social credit code, where the configuration has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) credit_code: Option<String>,
    pub(super) node: String,
    pub(super) platform: String,
    /// In whose name it asked.
    pub(super) caller: String,
    pub(super) profile: NamedHash,
    pub(super) agreement: NamedHash,
    /// Hash of the configuration file.
    pub(super) configuration: String,
    /// Hash of the trust store; none when it cannot be used.
    pub(super) trust: Option<String>,
    /// What protects the way to the platform, and where it leads.
    pub(super) way: String,
    pub(super) began: String,
    pub(super) ended: String,
    /// In the order in which they are made.
    pub(super) steps: Vec<Step>,
    pub(super) summary: Summary,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct NamedHash {
    pub(super) name: String,
    pub(super) hash: String,
}

#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
pub(crate) struct Summary {
    pub(super) passed: usize,
    pub(super) failed: usize,
    pub(super) not_done: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum StepResult {
    Pass,
    Fail,
    /// Something before it that it needs did not come about.
    NotDone,
}

impl StepResult {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "FAIL",
            Self::NotDone => "not done",
        }
    }
}

/// One step.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Step {
    /// Stable, such as `site/trust-store`, `endpoint/1`, `case/NAME`.
    pub(super) name: String,
    /// What passes when it is true.
    pub(super) claim: String,
    /// What was done to find that out.
    pub(super) done: String,
    pub(super) result: StepResult,
    /// Why so.
    pub(super) reason: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) keys: Vec<KeyFacts>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) addresses: Vec<AddressFacts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) check: Option<CheckFacts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) clock: Option<ClockFacts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ledger: Option<LedgerFacts>,
}

/// One of the entity's key pairs.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct KeyFacts {
    /// `signing` or `encryption`.
    pub(super) usage: String,
    /// `in-use`, `next` or `former`.
    pub(super) state: String,
    /// SM3 of the public key (`SubjectPublicKeyInfo`).
    pub(super) key: String,
    pub(super) certificate: CertificateFacts,
    pub(super) proven: bool,
    /// What protects the key: `hsm`, `sealed` or `development`.
    pub(super) grade: String,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct CertificateFacts {
    pub(super) subject: String,
    pub(super) issuer: String,
    /// Hexadecimal.
    pub(super) serial: String,
    pub(super) not_before: String,
    pub(super) not_after: String,
    /// SM3 of its DER.
    pub(super) hash: String,
}

/// An address of an endpoint.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct AddressFacts {
    pub(super) address: String,
    /// Whether a connection was made.
    pub(super) connected: bool,
    /// How far it came where none was: `resolve`, `tcp`, `proxy`, `tls`; and why no further.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) problem: Option<String>,
    /// `TLSv1.3` and the like; none in plain HTTP to a gateway.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tls: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) suite: Option<String>,
    /// `h2` or `http/1.1`, where the server chose one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) protocol: Option<String>,
    /// Whether a pin of the trust store names the server's certificate; otherwise its chain alone speaks for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pinned: Option<bool>,
    /// The server's own certificate first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) chain: Vec<CertificateFacts>,
}

/// A check, as the ledger holds it.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct CheckFacts {
    pub(super) mode: String,
    pub(super) document_type: String,
    pub(super) purpose: String,
    /// A verdict, or `refused`.
    pub(super) expected: String,
    /// A verdict, or the reason code of a refusal.
    pub(super) found: String,
    /// What was found of each field.
    pub(super) fields: BTreeMap<String, String>,
    /// The id by which the caller can fetch its receipt.
    pub(super) verification: String,
    /// From its acceptance to the last octet of the last answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) latency_ms: Option<i64>,
    /// The platform's result code in its last answer, once that was proven to be its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) code: Option<String>,
    /// One, or two where the platform wants an application first.
    pub(super) exchanges: Vec<ExchangeFacts>,
    pub(super) records: Vec<RecordFacts>,
}

/// A request and what came back.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ExchangeFacts {
    /// `apply` or `check`.
    pub(super) step: String,
    /// SM3 of the request's signed content.
    pub(super) request: String,
    pub(super) nonce: String,
    /// The key that signed, as `key` of a pair.
    pub(super) key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) latency_ms: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) http_status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) platform_serial: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) platform_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) signer: Option<CertificateFacts>,
    /// Hashes of the certificates above it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) chain: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) revocation: Vec<RevocationFacts>,
    /// Every check of the answer, in order; the first that refuses is the last.
    pub(super) checks: Vec<AnswerCheck>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct RevocationFacts {
    /// `crl` or `ocsp`.
    pub(super) kind: String,
    pub(super) hash: String,
    pub(super) this_update: String,
    pub(super) next_update: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct AnswerCheck {
    /// As docs/platform-protocol.md names it.
    pub(super) name: String,
    pub(super) result: StepResult,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct RecordFacts {
    pub(super) kind: String,
    pub(super) sequence: u64,
    pub(super) leaf_hash: String,
}

/// How far the platform's clock is ahead of this machine's, negative for behind.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
pub(crate) struct ClockFacts {
    pub(super) at_least_ms: i64,
    pub(super) at_most_ms: i64,
    /// Proven answers that this rests on.
    pub(super) answers: usize,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct LedgerFacts {
    pub(super) records: u64,
    pub(super) last_sequence: u64,
    /// RFC 6962 tree hash with SM3 over all records.
    pub(super) tree_hash: String,
}

/// The JSON Schema of `report.json`.
pub(crate) fn schema() -> Schema {
    schema_for!(Report)
}

impl Report {
    pub(super) const fn version() -> u32 {
        VERSION
    }

    /// Writes `report.json`, `report.md` and `SM3SUMS`, which has their SM3, into the directory.
    pub(super) fn write(&self, directory: &Path) -> io::Result<()> {
        let mut json = serde_json::to_string_pretty(self)?;
        json.push('\n');
        let mut sums = String::new();
        for (name, text) in [("report.json", json), ("report.md", markdown::render(self))] {
            put(&directory.join(name), &text)?;
            sums.extend([hex::encode(sm3(&[text.as_bytes()])).as_str(), "  ", name, "\n"]);
        }
        put(&directory.join("SM3SUMS"), &sums)
    }
}

/// Makes the directory of a report; one that is there already is another report's.
pub(super) fn make_directory(directory: &Path) -> io::Result<PathBuf> {
    DirBuilder::new().mode(0o750).create(directory)?;
    directory.canonicalize()
}

fn put(file: &Path, text: &str) -> io::Result<()> {
    let mut out = OpenOptions::new().write(true).create_new(true).mode(0o640).open(file)?;
    out.write_all(text.as_bytes())?;
    out.sync_all()
}
