//! The cases file as it is written. It holds personal data of test persons, so nothing of a value is ever repeated: a fault is told
//! by line and key.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema, schema_for};
use serde::Deserialize;
use yanqian_vocabulary::{CallerId, DocumentType, KeyLine, Mode, PurposeCode};

use super::cases::CasesError;

pub(super) const FORMAT_VERSION: u32 = 1;

/// What `yanqian platform conform` does at the platform's endpoints for tests, and what must come of it (Measures art. 7(3)).
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "conform-cases.toml")]
pub(super) struct RawCases {
    /// Version of this file's form: 1.
    pub(super) format_version: u32,
    /// In whose name it asks: a caller of the agreement.
    #[schemars(with = "String")]
    pub(super) caller: CallerId,
    /// The endpoints that the platform has named for tests. Nothing is sent unless they are exactly those of yanqian.toml, so that this
    /// file is of no effect beside a configuration for production.
    pub(super) endpoints: Vec<String>,
    /// Services of the agreement that this run leaves out. For every other there must be a case that is expected to match.
    #[serde(default)]
    #[schemars(schema_with = "modes")]
    pub(super) left_out: Vec<Mode>,
    /// How far the platform's clock may be from this machine's.
    #[serde(default = "clock_difference")]
    pub(super) max_clock_difference_seconds: u32,
    /// How long a check may take from end to end; without this key it is told and not judged.
    pub(super) max_latency_ms: Option<u32>,
    /// The order is theirs.
    pub(super) case: Vec<RawCase>,
    #[serde(default)]
    pub(super) refusal: Vec<RawRefusal>,
}

/// One check, and what the platform must say of it.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawCase {
    /// In the report; 1 to 40 characters of `a-z 0-9 -`, and nothing of the person's.
    pub(super) name: String,
    /// The service.
    #[schemars(schema_with = "mode")]
    pub(super) mode: Mode,
    /// A purpose code of the agreement.
    #[schemars(with = "String")]
    pub(super) purpose: PurposeCode,
    /// `match`, `mismatch`, `not-found` or `undecided`.
    pub(super) expect: String,
    /// What must be said of single fields, such as `{ name = "mismatch" }`; of those that are not named, nothing is expected.
    #[serde(default)]
    pub(super) expect_fields: BTreeMap<String, String>,
    /// A JPEG picture, for real-person; relative to this file.
    pub(super) portrait: Option<PathBuf>,
    pub(super) document: RawDocument,
    #[serde(default)]
    #[schemars(with = "RawChip")]
    pub(super) chip: Option<RawChip>,
}

/// What is asked about, as the internal API takes it; for chip-reading `type`, and what else is to be held against the chip.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawDocument {
    /// The document's type.
    #[schemars(schema_with = "document_type")]
    pub(super) r#type: DocumentType,
    /// As printed.
    pub(super) number: Option<String>,
    /// As printed.
    pub(super) name: Option<String>,
    /// `yyyy-MM-dd`.
    pub(super) birth_date: Option<String>,
    /// ISO 3166-1 alpha-3; compared only when it stands here.
    pub(super) nationality: Option<String>,
    /// `yyyy-MM-dd`; compared only when it stands here.
    pub(super) expiry: Option<String>,
}

/// The files of a chip, for chip-reading; relative to this file.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawChip {
    /// EF.COM.
    pub(super) com: PathBuf,
    /// EF.DG1.
    pub(super) dg1: PathBuf,
    /// EF.DG2.
    pub(super) dg2: PathBuf,
    /// EF.SOD.
    pub(super) sod: PathBuf,
}

/// A request that the platform must refuse. Each is something that suspends the service in production (Measures art. 13): leave out
/// whatever the platform's people have not agreed to.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRefusal {
    /// In the report; as the name of a case, and of none.
    pub(super) name: String,
    /// The case whose data it sends.
    pub(super) case: String,
    /// What is wrong with it.
    #[schemars(schema_with = "departure")]
    pub(super) departure: RawDeparture,
    /// With `stale-time`: how old it says that it is, in seconds.
    pub(super) behind_seconds: Option<u32>,
    /// The platform's code that must come, signed. Without this key any of the profile's `refused` will do, and HTTP 400 to 499 too.
    pub(super) code: Option<String>,
}

#[derive(Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RawDeparture {
    BrokenSignature,
    UnregisteredCertificate,
    StaleTime,
    RepeatedNonce,
}

impl RawDeparture {
    const ALL: [Self; 4] = [Self::BrokenSignature, Self::UnregisteredCertificate, Self::StaleTime, Self::RepeatedNonce];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::BrokenSignature => "broken-signature",
            Self::UnregisteredCertificate => "unregistered-certificate",
            Self::StaleTime => "stale-time",
            Self::RepeatedNonce => "repeated-nonce",
        }
    }
}

const fn clock_difference() -> u32 {
    5
}

fn mode(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "enum": Mode::ALL.iter().map(|word| word.as_str()).collect::<Vec<_>>() })
}

fn modes(generator: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "array", "items": mode(generator) })
}

fn document_type(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "enum": DocumentType::ALL.iter().map(|word| word.as_str()).collect::<Vec<_>>() })
}

fn departure(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "enum": RawDeparture::ALL.map(RawDeparture::as_str) })
}

/// What may stand in the file, as JSON Schema.
pub(crate) fn schema() -> Schema {
    schema_for!(RawCases)
}

pub(super) fn read(text: &str, file: &Path) -> Result<RawCases, CasesError> {
    toml::from_str(text).map_err(|error| {
        let octet = error.span().map_or(0, |span| span.start);
        CasesError::Syntax {
            file: file.to_owned(),
            line: KeyLine::at(text, octet),
            key: key_at(text, octet),
            problem: without_values(error.message()),
        }
    })
}

/// The key of the line in which an octet stands; `?` where the line is nothing but a value.
fn key_at(text: &str, octet: usize) -> String {
    let before = text.get(..octet).unwrap_or_default();
    let start = before.rfind('\n').map_or(0, |at| at + 1);
    let line = text[start..].lines().next().unwrap_or_default().trim();
    let key = line.split_once('=').map_or(line, |(key, _)| key).trim().trim_matches(['[', ']']);
    let is_word = |c: char| c.is_ascii_lowercase() || c == '_' || c == '.';
    if (1..=40).contains(&key.len()) && key.chars().all(is_word) { key.to_owned() } else { "?".to_owned() }
}

/// A reader's message without what stood in the file: those that quote it say at their end what was expected.
fn without_values(message: &str) -> String {
    if message.starts_with("missing field") || !message.contains(['"', '`']) {
        return message.to_owned();
    }
    let quoting = ["invalid type", "invalid value", "invalid length", "unknown variant", "unknown field"];
    match message.rsplit_once(", expected ") {
        Some((_, expected)) if quoting.iter().any(|start| message.starts_with(start)) => {
            format!("expected {expected}")
        }
        _ => "cannot stand as it is written".to_owned(),
    }
}
