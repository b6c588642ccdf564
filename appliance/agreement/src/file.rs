//! The agreement's file: TOML, strict, every error with file, line and key.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use yanqian_vocabulary::{
    CallerId, CivilDate, DocumentType, EntityId, Field, Mode, PlatformId, PurposeCode, Timestamp,
};

use crate::model::{Agreement, Caller, Parties, Purpose};

const FORMAT_VERSION: u32 = 1;
/// Characters of a purpose code in an agreement; leaves room for the rule's name in records.
const MAX_PURPOSE: usize = 48;

/// The agreement's file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AgreementError {
    /// Not TOML of the expected shape; the source names line and key.
    #[error("{file}: {source}")]
    Syntax { file: PathBuf, source: toml::de::Error },
    #[error("{file}: {key}: {problem}")]
    Value { file: PathBuf, key: String, problem: String },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAgreement {
    format_version: u32,
    version: String,
    entity: EntityId,
    platform: PlatformId,
    parties: RawParties,
    effective_from: toml::value::Datetime,
    effective_until: toml::value::Datetime,
    modes: Vec<Mode>,
    document_types: Vec<DocumentType>,
    #[serde(default)]
    purpose: Vec<RawPurpose>,
    #[serde(default)]
    caller: Vec<RawCaller>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawParties {
    using_entity: String,
    service_provider: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPurpose {
    code: PurposeCode,
    platform_code: String,
    business_field: String,
    legal_basis: String,
    retention_days: u32,
    modes: Vec<Mode>,
    document_types: Vec<DocumentType>,
    fields: Vec<Field>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCaller {
    id: CallerId,
    certificate_name: String,
    contact: String,
    purposes: Vec<PurposeCode>,
}

/// Collects errors' file and key in one place.
struct Check<'a> {
    file: &'a Path,
}

impl Check<'_> {
    fn fail(&self, key: impl Into<String>, problem: impl Into<String>) -> AgreementError {
        AgreementError::Value { file: self.file.to_owned(), key: key.into(), problem: problem.into() }
    }

    fn text(&self, key: impl Into<String>, text: &str, longest: usize) -> Result<String, AgreementError> {
        let length = text.chars().count();
        if length == 0 || length > longest || text.chars().any(char::is_control) {
            return Err(self.fail(key, format!("1 to {longest} characters without control characters")));
        }
        Ok(text.to_owned())
    }

    /// A non-empty list without repetitions, every member within `allowed` where that is given.
    fn set<T: Ord + Copy + std::fmt::Display>(
        &self,
        key: impl Into<String>,
        list: &[T],
        allowed: Option<&BTreeSet<T>>,
    ) -> Result<BTreeSet<T>, AgreementError> {
        let key = key.into();
        let set: BTreeSet<T> = list.iter().copied().collect();
        if set.is_empty() {
            return Err(self.fail(key, "must not be empty"));
        }
        if set.len() != list.len() {
            return Err(self.fail(key, "holds a value twice"));
        }
        match allowed.and_then(|allowed| set.iter().find(|value| !allowed.contains(value))) {
            Some(value) => Err(self.fail(key, format!("`{value}` is not in the agreement's own list"))),
            None => Ok(set),
        }
    }

    /// The start of a day in Asia/Shanghai (UTC+8), `days_later` days after the one written.
    fn day(&self, key: &str, value: &toml::value::Datetime, days_later: i64) -> Result<Timestamp, AgreementError> {
        let fail = || self.fail(key, "expected a date written yyyy-MM-dd, without a time");
        let (Some(date), None, None) = (value.date, value.time, value.offset) else { return Err(fail()) };
        let day = CivilDate::new(date.year, date.month, date.day).map_err(|_| fail())?;
        Ok(day.start_in_shanghai().plus_millis(days_later * 86_400_000))
    }

    fn purpose(&self, raw: &RawPurpose, agreement: &RawAgreement) -> Result<Purpose, AgreementError> {
        let key = |name: &str| format!("purpose `{}`: {name}", raw.code);
        if raw.code.as_str().len() > MAX_PURPOSE {
            return Err(self.fail(key("code"), format!("at most {MAX_PURPOSE} characters")));
        }
        let modes = agreement.modes.iter().copied().collect();
        let types = agreement.document_types.iter().copied().collect();
        Ok(Purpose {
            code: raw.code.clone(),
            platform_code: self.text(key("platform_code"), &raw.platform_code, 32)?,
            business_field: self.text(key("business_field"), &raw.business_field, 200)?,
            legal_basis: self.text(key("legal_basis"), &raw.legal_basis, 500)?,
            retention_days: raw.retention_days,
            modes: self.set(key("modes"), &raw.modes, Some(&modes))?,
            document_types: self.set(key("document_types"), &raw.document_types, Some(&types))?,
            fields: self.set(key("fields"), &raw.fields, None)?,
        })
    }

    fn caller(&self, raw: &RawCaller, purposes: &BTreeMap<PurposeCode, Purpose>) -> Result<Caller, AgreementError> {
        let key = |name: &str| format!("caller `{}`: {name}", raw.id);
        if raw.purposes.is_empty() {
            return Err(self.fail(key("purposes"), "must not be empty"));
        }
        if let Some(unknown) = raw.purposes.iter().find(|code| !purposes.contains_key(*code)) {
            return Err(self.fail(key("purposes"), format!("`{unknown}` is no purpose of this agreement")));
        }
        Ok(Caller {
            id: raw.id.clone(),
            certificate_name: self.text(key("certificate_name"), &raw.certificate_name, 253)?,
            contact: self.text(key("contact"), &raw.contact, 200)?,
            purposes: raw.purposes.iter().cloned().collect(),
        })
    }
}

impl Agreement {
    /// Parses and validates; `file` is named in errors.
    pub fn parse(text: &str, file: &Path) -> Result<Self, AgreementError> {
        let raw: RawAgreement =
            toml::from_str(text).map_err(|source| AgreementError::Syntax { file: file.to_owned(), source })?;
        let check = Check { file };
        if raw.format_version != FORMAT_VERSION {
            return Err(check.fail("format_version", "this version of yanqian reads format_version = 1"));
        }
        let effective_from = check.day("effective_from", &raw.effective_from, 0)?;
        let effective_until = check.day("effective_until", &raw.effective_until, 1)?;
        if effective_until <= effective_from {
            return Err(check.fail("effective_until", "lies before effective_from"));
        }
        let modes = check.set("modes", &raw.modes, None)?;
        let document_types = check.set("document_types", &raw.document_types, None)?;
        let mut purposes = BTreeMap::new();
        for purpose in &raw.purpose {
            if purposes.insert(purpose.code.clone(), check.purpose(purpose, &raw)?).is_some() {
                return Err(check.fail(format!("purpose `{}`", purpose.code), "stands twice"));
            }
        }
        let mut callers: BTreeMap<CallerId, Caller> = BTreeMap::new();
        for caller in &raw.caller {
            let read = check.caller(caller, &purposes)?;
            if callers.values().any(|other| other.certificate_name == read.certificate_name) {
                return Err(
                    check.fail(format!("caller `{}`: certificate_name", caller.id), "belongs to another caller")
                );
            }
            if callers.insert(caller.id.clone(), read).is_some() {
                return Err(check.fail(format!("caller `{}`", caller.id), "stands twice"));
            }
        }
        if purposes.is_empty() || callers.is_empty() {
            return Err(check.fail("purpose, caller", "at least one of each"));
        }
        let parties = Parties {
            using_entity: check.text("parties.using_entity", &raw.parties.using_entity, 200)?,
            service_provider: check.text("parties.service_provider", &raw.parties.service_provider, 200)?,
        };
        Ok(Self {
            version: check.text("version", &raw.version, 64)?,
            entity: raw.entity,
            platform: raw.platform,
            parties,
            effective_from,
            effective_until,
            modes,
            document_types,
            purposes,
            callers,
        })
    }
}
