//! The agreement's file: TOML, strict, every error with file, line and key.

use std::collections::{BTreeMap, BTreeSet};
use std::num::{NonZeroU32, NonZeroU64};
use std::ops::Range;
use std::path::{Path, PathBuf};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema, schema_for};
use serde::Deserialize;
use toml::Spanned;
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
    /// TOML of the right shape with a value that cannot stand; `line` counts from 1.
    #[error("{file}:{line}: {key}: {problem}")]
    Value { file: PathBuf, line: usize, key: String, problem: String },
}

/// The use, security and confidentiality agreement as data (Measures arts. 7(4), 9). What it does not allow is refused before
/// anything is signed.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "agreement.toml")]
struct RawAgreement {
    /// Version of this file's form: 1.
    #[schemars(with = "u32")]
    format_version: Spanned<u32>,
    /// The parties' own name for this version; 1 to 64 characters.
    #[schemars(with = "String")]
    version: Spanned<String>,
    /// Must equal `entity.id` of yanqian.toml.
    #[schemars(with = "String")]
    entity: EntityId,
    /// Must equal `platform.id` of yanqian.toml.
    #[schemars(with = "String")]
    platform: PlatformId,
    parties: RawParties,
    /// First day of effect, Asia/Shanghai.
    #[schemars(schema_with = "date")]
    effective_from: Spanned<toml::value::Datetime>,
    /// Last day of effect, Asia/Shanghai.
    #[schemars(schema_with = "date")]
    effective_until: Spanned<toml::value::Datetime>,
    /// Services that may be used at all (Measures art. 4).
    #[schemars(schema_with = "modes")]
    modes: Spanned<Vec<Mode>>,
    /// Documents that may be asked about at all.
    #[schemars(schema_with = "document_types")]
    document_types: Spanned<Vec<DocumentType>>,
    /// Checks of all callers in a day of Asia/Shanghai; not limited where it is left out.
    #[schemars(with = "Option<NonZeroU64>")]
    checks_per_day: Option<Spanned<u64>>,
    /// Checks of all callers a second, 1 to 1000000; not limited where it is left out. Over any n seconds there are at most n times as many, and
    /// `burst` more.
    #[schemars(with = "Option<NonZeroU32>")]
    checks_per_second: Option<Spanned<u32>>,
    /// Of them at once after a pause, 1 to 1000000; `checks_per_second` where it is left out.
    #[schemars(with = "Option<NonZeroU32>")]
    burst: Option<Spanned<u32>>,
    #[schemars(with = "Vec<RawPurpose>")]
    purpose: Spanned<Vec<RawPurpose>>,
    #[schemars(with = "Vec<RawCaller>")]
    caller: Spanned<Vec<RawCaller>>,
}

/// Who agreed.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RawParties {
    /// 1 to 200 characters.
    #[schemars(with = "String")]
    using_entity: Spanned<String>,
    /// 1 to 200 characters.
    #[schemars(with = "String")]
    service_provider: Spanned<String>,
}

/// One block for each purpose within the agreed scope of business (art. 9(1)).
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RawPurpose {
    /// What callers send as `purpose`; 1 to 48 characters of `a-z 0-9 - _ .`, the first a letter or digit.
    #[schemars(with = "String")]
    code: Spanned<PurposeCode>,
    /// The code that the platform knows; 1 to 32 characters.
    #[schemars(with = "String")]
    platform_code: Spanned<String>,
    /// 1 to 200 characters.
    #[schemars(with = "String")]
    business_field: Spanned<String>,
    /// 1 to 500 characters.
    #[schemars(with = "String")]
    legal_basis: Spanned<String>,
    /// Days for which the business may keep the result.
    retention_days: u32,
    /// Of the agreement's own `modes`.
    #[schemars(schema_with = "modes")]
    modes: Spanned<Vec<Mode>>,
    /// Of the agreement's own `document_types`.
    #[schemars(schema_with = "document_types")]
    document_types: Spanned<Vec<DocumentType>>,
    /// What may be compared. `portrait` belongs to real-person, `chip` to chip-reading.
    #[schemars(schema_with = "fields")]
    fields: Spanned<Vec<Field>>,
    /// Checks for this purpose in a day of Asia/Shanghai; not limited where it is left out.
    #[schemars(with = "Option<NonZeroU64>")]
    checks_per_day: Option<Spanned<u64>>,
    /// Checks for this purpose a second, 1 to 1000000; not limited where it is left out. Over any n seconds there are at most n times as many, and
    /// `burst` more.
    #[schemars(with = "Option<NonZeroU32>")]
    checks_per_second: Option<Spanned<u32>>,
    /// Of them at once after a pause, 1 to 1000000; `checks_per_second` where it is left out.
    #[schemars(with = "Option<NonZeroU32>")]
    burst: Option<Spanned<u32>>,
}

/// One block for each internal system. The name is that of its client certificate; nothing else identifies it.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RawCaller {
    /// In every record; 1 to 64 characters of `a-z 0-9 - _ .`, the first a letter or digit.
    #[schemars(with = "String")]
    id: Spanned<CallerId>,
    /// The one DNS name of the certificate, or its common name when there is none; 1 to 253 characters. Of one caller only.
    #[schemars(with = "String")]
    certificate_name: Spanned<String>,
    /// Whom to call; 1 to 200 characters.
    #[schemars(with = "String")]
    contact: Spanned<String>,
    /// Codes of the purposes that this caller may state.
    #[schemars(with = "Vec<String>")]
    purposes: Spanned<Vec<PurposeCode>>,
    /// Where it connects from: addresses, or networks such as `10.20.0.0/16`. From anywhere where it is left out.
    #[schemars(with = "Option<Vec<String>>")]
    networks: Option<Spanned<Vec<String>>>,
    /// When it may ask, Asia/Shanghai: parts of a day such as `08:00-20:00`. At any time where it is left out.
    #[schemars(with = "Option<Vec<String>>")]
    hours: Option<Spanned<Vec<String>>>,
    /// Checks of this caller in a day of Asia/Shanghai; not limited where it is left out.
    #[schemars(with = "Option<NonZeroU64>")]
    checks_per_day: Option<Spanned<u64>>,
    /// Checks of this caller a second, 1 to 1000000; not limited where it is left out. Over any n seconds there are at most n times as many, and
    /// `burst` more.
    #[schemars(with = "Option<NonZeroU32>")]
    checks_per_second: Option<Spanned<u32>>,
    /// Of them at once after a pause, 1 to 1000000; `checks_per_second` where it is left out.
    #[schemars(with = "Option<NonZeroU32>")]
    burst: Option<Spanned<u32>>,
}

fn date(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "format": "date" })
}

fn words(words: impl Iterator<Item = &'static str>) -> Schema {
    json_schema!({ "type": "array", "items": { "enum": words.collect::<Vec<_>>() }, "minItems": 1, "uniqueItems": true })
}

fn modes(_: &mut SchemaGenerator) -> Schema {
    words(Mode::ALL.iter().map(|word| word.as_str()))
}

fn document_types(_: &mut SchemaGenerator) -> Schema {
    words(DocumentType::ALL.iter().map(|word| word.as_str()))
}

fn fields(_: &mut SchemaGenerator) -> Schema {
    words(Field::ALL.iter().map(|word| word.as_str()))
}

/// Turns what is wrong into an error with file, line and key.
pub(crate) struct Check<'a> {
    file: &'a Path,
    /// The file's own text, to count lines in.
    source: &'a str,
}

impl Check<'_> {
    /// `at` is where the value stands in the source, in octets.
    pub(crate) fn fail(&self, at: Range<usize>, key: impl Into<String>, problem: impl Into<String>) -> AgreementError {
        let before = self.source.get(..at.start).unwrap_or_default();
        AgreementError::Value {
            file: self.file.to_owned(),
            line: 1 + before.matches('\n').count(),
            key: key.into(),
            problem: problem.into(),
        }
    }

    fn text(&self, key: impl Into<String>, text: &Spanned<String>, longest: usize) -> Result<String, AgreementError> {
        let length = text.get_ref().chars().count();
        if length == 0 || length > longest || text.get_ref().chars().any(char::is_control) {
            let problem = format!("1 to {longest} characters without control characters");
            return Err(self.fail(text.span(), key, problem));
        }
        Ok(text.get_ref().clone())
    }

    /// A non-empty list without repetitions, every member within `allowed` where that is given.
    fn set<T: Ord + Clone + std::fmt::Display>(
        &self,
        key: impl Into<String>,
        list: &Spanned<Vec<T>>,
        allowed: Option<&BTreeSet<T>>,
    ) -> Result<BTreeSet<T>, AgreementError> {
        let fail = |problem: String| Err(self.fail(list.span(), key, problem));
        let mut set = BTreeSet::new();
        if list.get_ref().is_empty() {
            return fail("must not be empty".to_owned());
        }
        for value in list.get_ref() {
            if allowed.is_some_and(|allowed| !allowed.contains(value)) {
                return fail(format!("`{value}` is not in the agreement's own list"));
            }
            if !set.insert(value.clone()) {
                return fail(format!("holds `{value}` twice"));
            }
        }
        Ok(set)
    }

    /// The start of a day in Asia/Shanghai (UTC+8), `days_later` days after the one written.
    fn day(
        &self,
        key: &str,
        value: &Spanned<toml::value::Datetime>,
        days_later: i64,
    ) -> Result<Timestamp, AgreementError> {
        let fail = || self.fail(value.span(), key, "expected a date written yyyy-MM-dd, without a time");
        let written = value.get_ref();
        let (Some(date), None, None) = (written.date, written.time, written.offset) else { return Err(fail()) };
        let day = CivilDate::new(date.year, date.month, date.day).map_err(|_| fail())?;
        Ok(day.start_in_shanghai().plus_millis(days_later * 86_400_000))
    }

    fn purpose(
        &self,
        raw: &RawPurpose,
        modes: &BTreeSet<Mode>,
        document_types: &BTreeSet<DocumentType>,
    ) -> Result<Purpose, AgreementError> {
        let code = raw.code.get_ref();
        let key = |name: &str| format!("purpose `{code}`: {name}");
        if code.as_str().len() > MAX_PURPOSE {
            return Err(self.fail(raw.code.span(), key("code"), format!("at most {MAX_PURPOSE} characters")));
        }
        Ok(Purpose {
            code: code.clone(),
            platform_code: self.text(key("platform_code"), &raw.platform_code, 32)?,
            business_field: self.text(key("business_field"), &raw.business_field, 200)?,
            legal_basis: self.text(key("legal_basis"), &raw.legal_basis, 500)?,
            retention_days: raw.retention_days,
            modes: self.set(key("modes"), &raw.modes, Some(modes))?,
            document_types: self.set(key("document_types"), &raw.document_types, Some(document_types))?,
            fields: self.set(key("fields"), &raw.fields, None)?,
            quota: self.quota(key, [&raw.checks_per_second, &raw.burst], raw.checks_per_day.as_ref())?,
        })
    }

    fn caller(&self, raw: &RawCaller, purposes: &BTreeSet<PurposeCode>) -> Result<Caller, AgreementError> {
        let key = |name: &str| format!("caller `{}`: {name}", raw.id.get_ref());
        Ok(Caller {
            id: raw.id.get_ref().clone(),
            certificate_name: self.text(key("certificate_name"), &raw.certificate_name, 253)?,
            contact: self.text(key("contact"), &raw.contact, 200)?,
            purposes: self.set(key("purposes"), &raw.purposes, Some(purposes))?,
            networks: self.texts(key("networks"), raw.networks.as_ref())?,
            hours: self.texts(key("hours"), raw.hours.as_ref())?,
            quota: self.quota(key, [&raw.checks_per_second, &raw.burst], raw.checks_per_day.as_ref())?,
        })
    }

    fn purposes(
        &self,
        raw: &Spanned<Vec<RawPurpose>>,
        modes: &BTreeSet<Mode>,
        document_types: &BTreeSet<DocumentType>,
    ) -> Result<BTreeMap<PurposeCode, Purpose>, AgreementError> {
        let mut purposes = BTreeMap::new();
        for purpose in raw.get_ref() {
            let read = self.purpose(purpose, modes, document_types)?;
            if purposes.insert(read.code.clone(), read).is_some() {
                let key = format!("purpose `{}`", purpose.code.get_ref());
                return Err(self.fail(purpose.code.span(), key, "stands twice"));
            }
        }
        if purposes.is_empty() { Err(self.fail(raw.span(), "purpose", "at least one")) } else { Ok(purposes) }
    }

    fn callers(
        &self,
        raw: &Spanned<Vec<RawCaller>>,
        purposes: &BTreeMap<PurposeCode, Purpose>,
    ) -> Result<BTreeMap<CallerId, Caller>, AgreementError> {
        let codes = purposes.keys().cloned().collect();
        let mut callers: BTreeMap<CallerId, Caller> = BTreeMap::new();
        for caller in raw.get_ref() {
            let read = self.caller(caller, &codes)?;
            let key = format!("caller `{}`", read.id);
            if callers.values().any(|other| other.certificate_name == read.certificate_name) {
                let key = format!("{key}: certificate_name");
                return Err(self.fail(caller.certificate_name.span(), key, "belongs to another caller"));
            }
            if callers.insert(read.id.clone(), read).is_some() {
                return Err(self.fail(caller.id.span(), key, "stands twice"));
            }
        }
        if callers.is_empty() { Err(self.fail(raw.span(), "caller", "at least one")) } else { Ok(callers) }
    }
}

impl Agreement {
    /// What may stand in the file, as JSON Schema.
    pub fn schema() -> Schema {
        schema_for!(RawAgreement)
    }

    /// Parses and validates; `file` is named in errors, with line and key.
    pub fn parse(text: &str, file: &Path) -> Result<Self, AgreementError> {
        let raw: RawAgreement =
            toml::from_str(text).map_err(|source| AgreementError::Syntax { file: file.to_owned(), source })?;
        let check = Check { file, source: text };
        if *raw.format_version.get_ref() != FORMAT_VERSION {
            let problem = "this version of yanqian reads format_version = 1";
            return Err(check.fail(raw.format_version.span(), "format_version", problem));
        }
        let effective_from = check.day("effective_from", &raw.effective_from, 0)?;
        let effective_until = check.day("effective_until", &raw.effective_until, 1)?;
        if effective_until <= effective_from {
            return Err(check.fail(raw.effective_until.span(), "effective_until", "lies before effective_from"));
        }
        let modes = check.set("modes", &raw.modes, None)?;
        let document_types = check.set("document_types", &raw.document_types, None)?;
        let purposes = check.purposes(&raw.purpose, &modes, &document_types)?;
        let callers = check.callers(&raw.caller, &purposes)?;
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
            quota: check.quota(str::to_owned, [&raw.checks_per_second, &raw.burst], raw.checks_per_day.as_ref())?,
            modes,
            document_types,
            purposes,
            callers,
        })
    }
}
