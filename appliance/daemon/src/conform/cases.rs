//! The cases, judged: each is a request that the agreement allows, so that a run is about the platform and not about the file.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use yanqian_agreement::Agreement;
use yanqian_gateway::Trial;
use yanqian_vocabulary::{
    CallerId, DocumentType, Field, FieldVerdict, FieldVerdicts, KeyLine, Mode, Timestamp, Verdict,
};
use zeroize::Zeroizing;

use super::body::{self, Chip};
use super::file::{self, FORMAT_VERSION, RawCase, RawCases, RawChip, RawDeparture, RawRefusal};
use crate::hardening;

/// The cases file cannot be used. Says where, and never what stands there.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CasesError {
    #[error("{0}")]
    File(String),
    #[error("{file}{line}: key `{key}`: {problem}")]
    Syntax { file: PathBuf, line: KeyLine, key: String, problem: String },
    #[error("{file}{line}: {table}key `{key}`: {problem}")]
    Value { file: PathBuf, line: KeyLine, table: String, key: String, problem: String },
}

/// The script of a run.
pub(crate) struct Cases {
    pub(crate) caller: CallerId,
    pub(crate) left_out: BTreeSet<Mode>,
    pub(crate) max_clock_difference_millis: i64,
    pub(crate) max_latency_millis: Option<i64>,
    pub(crate) checks: Vec<Case>,
    pub(crate) refusals: Vec<RefusalCase>,
}

/// A check with what must come of it.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) mode: Mode,
    pub(crate) document_type: DocumentType,
    pub(crate) purpose: String,
    pub(crate) expect: Verdict,
    pub(crate) expect_fields: FieldVerdicts,
    caller: CallerId,
    body: Zeroizing<Vec<u8>>,
}

/// A request that must be refused.
pub(crate) struct RefusalCase {
    pub(crate) name: String,
    /// Place of the case whose data it sends.
    pub(crate) case: usize,
    pub(crate) wrong: Wrong,
    pub(crate) code: Option<String>,
}

/// What is wrong with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrong {
    BrokenSignature,
    UnregisteredCertificate,
    StaleTime { millis: i64 },
    RepeatedNonce,
}

impl Case {
    pub(crate) fn trial(&self) -> Trial {
        Trial { caller: self.caller.clone(), mode: self.mode, body: self.body.clone(), departure: None }
    }
}

/// Octets of a portrait or a chip's file at most; what belongs in them is judged more closely afterwards.
const MAX_FILE: u64 = 4 << 20;

struct Check<'a> {
    file: &'a Path,
    text: &'a str,
    agreement: &'a Agreement,
    caller: &'a CallerId,
    now: Timestamp,
}

impl Check<'_> {
    fn top(&self, key: &str, problem: impl Into<String>) -> CasesError {
        let line = KeyLine::find(self.text, key);
        self.fault(line, String::new(), key, problem)
    }

    /// About a key of the `index`-th table of its kind.
    fn within(&self, table: &str, index: usize, key: &str, problem: impl Into<String>) -> CasesError {
        let line = KeyLine::find_in(self.text, table, index, key);
        self.fault(line, format!("{table} {}: ", index + 1), key, problem)
    }

    fn fault(&self, line: KeyLine, table: String, key: &str, problem: impl Into<String>) -> CasesError {
        let (file, key) = (self.file.to_owned(), key.to_owned());
        CasesError::Value { file, line, table, key, problem: problem.into() }
    }

    fn case(&self, index: usize, raw: RawCase) -> Result<Case, CasesError> {
        let fault = |key: &str, problem: String| self.within("case", index, key, problem);
        let RawCase { name, mode, purpose, expect, expect_fields, portrait, document, chip } = raw;
        is_name(&name).map_err(|problem| fault("name", problem))?;
        let expect: Verdict =
            expect.parse().map_err(|_| fault("expect", expected(Verdict::ALL, |word| word.as_str())))?;
        let expect_fields = expect_fields
            .iter()
            .map(|(field, verdict)| {
                let field = Field::ALL.iter().find(|known| known.as_str() == field);
                Some((*field?, verdict.parse::<FieldVerdict>().ok()?))
            })
            .collect::<Option<FieldVerdicts>>();
        let expect_fields = expect_fields.ok_or_else(|| {
            fault("expect_fields", "expected fields of the API, each match, mismatch or undecided".into())
        })?;
        let portrait = portrait.map(|picture| self.base64(&picture)).transpose();
        let portrait = portrait.map_err(|problem| fault("portrait", problem))?;
        let chip = chip.map(|files| self.chip(&files)).transpose();
        let chip = chip.map_err(|(key, problem)| fault(&format!("chip.{key}"), problem))?;
        let document_type = document.r#type;
        let reference = format!("conform-{name}");
        let case = Case {
            name,
            mode,
            document_type,
            purpose: purpose.as_str().to_owned(),
            expect,
            expect_fields,
            caller: self.caller.clone(),
            body: body::write(
                purpose.as_str(),
                &reference,
                document,
                portrait.as_ref().map(|text| text.as_str()),
                chip.as_ref(),
            ),
        };
        match case.trial().examine(self.agreement, self.now) {
            Ok(_) => Ok(case),
            Err((reason, field)) => Err(fault(field.unwrap_or("mode"), reason.code().to_owned())),
        }
    }

    fn chip(&self, files: &RawChip) -> Result<Chip, (&'static str, String)> {
        let read = |key, file: &Path| self.base64(file).map_err(|problem| (key, problem));
        Ok(Chip {
            com: read("com", &files.com)?,
            dg1: read("dg1", &files.dg1)?,
            dg2: read("dg2", &files.dg2)?,
            sod: read("sod", &files.sod)?,
        })
    }

    /// A file beside the cases file.
    fn base64(&self, name: &Path) -> Result<Zeroizing<String>, String> {
        let path = self.file.parent().unwrap_or(Path::new("")).join(name);
        let fail = |problem: &dyn std::fmt::Display| format!("{}: {problem}", path.display());
        let metadata = std::fs::metadata(&path).map_err(|error| fail(&error))?;
        if !metadata.is_file() || metadata.len() > MAX_FILE {
            return Err(fail(&"is no file of at most 4 MiB"));
        }
        let octets = Zeroizing::new(std::fs::read(&path).map_err(|error| fail(&error))?);
        Ok(Zeroizing::new(STANDARD.encode(octets.as_slice())))
    }

    fn refusal(&self, index: usize, raw: RawRefusal, cases: &[Case]) -> Result<RefusalCase, CasesError> {
        let fault = |key: &str, problem: &str| self.within("refusal", index, key, problem);
        let RawRefusal { name, case, departure, behind_seconds, code } = raw;
        is_name(&name).map_err(|problem| fault("name", &problem))?;
        let case = cases.iter().position(|known| known.name == case);
        let case = case.ok_or_else(|| fault("case", "is the name of no case"))?;
        let wrong = match (departure, behind_seconds) {
            (RawDeparture::StaleTime, Some(seconds @ 1..=31_536_000)) => {
                Wrong::StaleTime { millis: i64::from(seconds) * 1000 }
            }
            (RawDeparture::StaleTime, _) => {
                return Err(fault(
                    "behind_seconds",
                    "stands with stale-time: 1 to 31536000, more than the platform allows",
                ));
            }
            (_, Some(_)) => return Err(fault("behind_seconds", "stands with stale-time only")),
            (RawDeparture::BrokenSignature, None) => Wrong::BrokenSignature,
            (RawDeparture::UnregisteredCertificate, None) => Wrong::UnregisteredCertificate,
            (RawDeparture::RepeatedNonce, None) => Wrong::RepeatedNonce,
        };
        let code_is_word = code
            .as_ref()
            .is_none_or(|code| (1..=64).contains(&code.len()) && code.bytes().all(|c| c.is_ascii_graphic()));
        if !code_is_word {
            return Err(fault("code", "expected 1 to 64 printable ASCII characters"));
        }
        Ok(RefusalCase { name, case, wrong, code })
    }
}

impl Wrong {
    /// What is done, for the report.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::BrokenSignature => RawDeparture::BrokenSignature.as_str(),
            Self::UnregisteredCertificate => RawDeparture::UnregisteredCertificate.as_str(),
            Self::StaleTime { .. } => RawDeparture::StaleTime.as_str(),
            Self::RepeatedNonce => RawDeparture::RepeatedNonce.as_str(),
        }
    }
}

fn expected<T>(all: &[T], word: impl Fn(&T) -> &'static str) -> String {
    format!("expected one of {}", all.iter().map(word).collect::<Vec<_>>().join(", "))
}

/// Names stand in the report, so nothing can be one that might be a person's data by mistake.
fn is_name(name: &str) -> Result<(), String> {
    let is_word = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    let digits = name.bytes().filter(u8::is_ascii_digit).count();
    match (1..=40).contains(&name.len()) && name.bytes().all(is_word) {
        true if digits <= 4 => Ok(()),
        true => Err("expected at most 4 digits: a name stands in the report and tells nothing of a person".to_owned()),
        false => Err("expected 1 to 40 characters of a-z, 0-9, '-'".to_owned()),
    }
}

impl Cases {
    /// Reads and judges the file. `endpoints`: the configured ones.
    pub(crate) fn load(
        file: &Path,
        agreement: &Agreement,
        endpoints: &[String],
        now: Timestamp,
    ) -> Result<Self, CasesError> {
        hardening::check_secret(file).map_err(CasesError::File)?;
        let text = std::fs::read_to_string(file);
        let text = Zeroizing::new(text.map_err(|error| CasesError::File(format!("{}: {error}", file.display())))?);
        Self::parse(&text, file, agreement, endpoints, now)
    }

    fn parse(
        text: &str,
        file: &Path,
        agreement: &Agreement,
        endpoints: &[String],
        now: Timestamp,
    ) -> Result<Self, CasesError> {
        let raw: RawCases = file::read(text, file)?;
        let check = Check { file, text, agreement, caller: &raw.caller, now };
        if raw.format_version != FORMAT_VERSION {
            return Err(check.top("format_version", "this version of yanqian reads format_version = 1"));
        }
        if raw.endpoints != endpoints {
            let configured = endpoints.join(", ");
            let problem = format!("nothing is sent: these are not the endpoints of the configuration, {configured}");
            return Err(check.top("endpoints", problem));
        }
        if !agreement.callers().any(|known| known.id == raw.caller) {
            return Err(check.top("caller", "is no caller of the agreement"));
        }
        if !(1..=3600).contains(&raw.max_clock_difference_seconds) {
            return Err(check.top("max_clock_difference_seconds", "expected 1 to 3600"));
        }
        let cases = raw.case.into_iter().enumerate().map(|(index, case)| check.case(index, case));
        let cases: Vec<Case> = cases.collect::<Result<_, _>>()?;
        if cases.is_empty() {
            return Err(check.top("case", "at least one"));
        }
        let refusals = raw.refusal.into_iter().enumerate().map(|(index, one)| check.refusal(index, one, &cases));
        let refusals: Vec<RefusalCase> = refusals.collect::<Result<_, _>>()?;
        let mut names = BTreeSet::new();
        for (index, case) in cases.iter().enumerate() {
            if !names.insert(case.name.as_str()) {
                return Err(check.within("case", index, "name", "stands twice"));
            }
        }
        for (index, refusal) in refusals.iter().enumerate() {
            if !names.insert(refusal.name.as_str()) {
                return Err(check.within("refusal", index, "name", "stands twice"));
            }
        }
        Ok(Self {
            left_out: raw.left_out.into_iter().collect(),
            max_clock_difference_millis: i64::from(raw.max_clock_difference_seconds) * 1000,
            max_latency_millis: raw.max_latency_ms.map(i64::from),
            caller: raw.caller.clone(),
            checks: cases,
            refusals,
        })
    }
}

#[cfg(test)]
#[path = "cases/tests.rs"]
mod tests;
