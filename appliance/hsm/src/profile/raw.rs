//! The file's own shape, and the one way from it to a [`Profile`].

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CString;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{Error, Visitor};
use yanqian_vocabulary::KeyLine;

use super::algorithms::{self, RawAlgorithm};
use super::sealed::{self, RawSealed, SealedForm};
use super::{
    CipherForm, Device, EcParams, EcPoint, Evidence, Grade, ImportForm, ImportKeyForm, KEEP_ALIVE_RANGE, KeyForm,
    LengthQuery, Locator, ModuleForm, Profile, ProfileError, Recovery, SessionForm, SignEncoding, SignForm, SignInput,
    SignParameter, Threads, UnsealForm, Version, VersionRange,
};
use crate::binding::{Remedy, code_from_name, default_remedy};

const FORMAT_VERSION: u32 = 1;
/// A certification request and a self-proof, with Z before them, must fit.
const SHORTEST_INPUT: usize = 1024;
/// Octets of `module.init_args`.
const LONGEST_ARGS: usize = 4096;
const MOST_INPUT: usize = 64 * 1024 * 1024;

/// Attributes that a template can do without.
const OMITTABLE: [&str; 10] = [
    "CKA_PRIVATE",
    "CKA_SENSITIVE",
    "CKA_EXTRACTABLE",
    "CKA_SIGN",
    "CKA_VERIFY",
    "CKA_UNWRAP",
    "CKA_KEY_TYPE",
    "CKA_SUBJECT",
    "CKA_ISSUER",
    "CKA_SERIAL_NUMBER",
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawProfile {
    format_version: u32,
    name: String,
    pub(super) grade: Grade,
    evidence: Evidence,
    device: Device,
    source: String,
    #[serde(default, rename = "match")]
    matching: RawMatch,
    #[serde(default)]
    module: RawModule,
    pub(super) key: RawKey,
    pub(super) sign: Option<RawSign>,
    pub(super) unseal: Option<RawUnseal>,
    pub(super) import: Option<RawImport>,
    pub(super) sealed: Option<RawSealed>,
    #[serde(default)]
    algorithms: Vec<RawAlgorithm>,
    session: RawSession,
    #[serde(default)]
    login: RawLogin,
    #[serde(default)]
    errors: BTreeMap<String, String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct RawMatch {
    manufacturer: String,
    model: String,
    library_min: Option<Version>,
    library_max: Option<Version>,
    firmware_min: Option<Version>,
    firmware_max: Option<Version>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct RawModule {
    init_args: Option<String>,
    os_locking: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawKey {
    #[serde(rename = "type")]
    key_type: Number,
    pub(super) keygen_mechanism: Option<Number>,
    ec_params: EcParams,
    ec_point: EcPoint,
    x_attribute: Option<Number>,
    y_attribute: Option<Number>,
    #[serde(default)]
    locator: Locator,
    #[serde(default)]
    never_send: BTreeSet<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSign {
    mechanism: Number,
    input: SignInput,
    encoding: SignEncoding,
    #[serde(default)]
    parameter: SignParameter,
    length_query: LengthQuery,
    max_input: Option<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawUnseal {
    mechanism: Number,
    ciphertext: CipherForm,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawImport {
    mechanism: Number,
    form: ImportForm,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSession {
    max: Option<u32>,
    call_timeout_ms: u64,
    threads: Threads,
    #[serde(default)]
    recovery: Recovery,
    #[serde(default)]
    keep_alive_seconds: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawLogin {
    user: Number,
}

impl Default for RawLogin {
    fn default() -> Self {
        Self { user: Number(cryptoki_sys::CKU_USER) }
    }
}

/// An unsigned number of 64 bits: TOML's integers end at 2^63 - 1, so larger ones are strings such as
/// `"0xFFFFFFFF80008105"`.
pub(super) struct Number(pub(super) u64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NumberVisitor;
        impl Visitor<'_> for NumberVisitor {
            type Value = Number;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number from 0 to 2^64 - 1, or such a number in a string that starts with 0x")
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<Number, E> {
                u64::try_from(value)
                    .map(Number)
                    .map_err(|_| E::invalid_value(serde::de::Unexpected::Signed(value), &self))
            }

            fn visit_u64<E: Error>(self, value: u64) -> Result<Number, E> {
                Ok(Number(value))
            }

            fn visit_str<E: Error>(self, value: &str) -> Result<Number, E> {
                hexadecimal(value).map(Number).ok_or_else(|| E::invalid_value(serde::de::Unexpected::Str(value), &self))
            }
        }
        deserializer.deserialize_any(NumberVisitor)
    }
}

fn hexadecimal(text: &str) -> Option<u64> {
    let digits = text.strip_prefix("0x")?;
    // `from_str_radix` would take a sign.
    if digits.starts_with(['+', '-']) { None } else { u64::from_str_radix(digits, 16).ok() }
}

/// Whether the forms of keys and signatures fit each other; gives the attributes of x and y. Else the key that is wrong, and why.
fn check_forms(raw: &RawProfile) -> Result<Option<(u64, u64)>, (&'static str, String)> {
    if raw.grade == Grade::Hsm && raw.device == Device::Software {
        return Err(("grade", "a token in software is no HSM".into()));
    }
    sealed::check(raw)?;
    if let Some(sign) = &raw.sign {
        if sign.max_input.is_some_and(|most| !(SHORTEST_INPUT..=MOST_INPUT).contains(&most)) {
            return Err(("sign.max_input", format!("{SHORTEST_INPUT} to {MOST_INPUT}, or left out")));
        }
        if sign.parameter == SignParameter::UserId && sign.input != SignInput::MessageWithZ {
            return Err(("sign.parameter", "an id goes with sign.input = \"message-with-z\" only".into()));
        }
    }
    match (&raw.key.x_attribute, &raw.key.y_attribute) {
        (Some(x), Some(y)) if raw.key.ec_point == EcPoint::Coordinates => Ok(Some((x.0, y.0))),
        (None, None) if raw.key.ec_point != EcPoint::Coordinates => Ok(None),
        _ => Err(("key.ec_point", "\"coordinates\" needs x_attribute and y_attribute, and nothing else does".into())),
    }
}

/// How the module is initialised. Else the key that is wrong, and why.
fn module_form(raw: &RawProfile) -> Result<ModuleForm, (&'static str, &'static str)> {
    let init_args = match &raw.module.init_args {
        Some(text) if text.is_empty() || text.len() > LONGEST_ARGS || text.chars().any(char::is_control) => {
            return Err(("module.init_args", "1 to 4096 octets without control characters; leave it out for none"));
        }
        // No control characters, so no NUL either.
        Some(text) => CString::new(text.as_str()).ok(),
        None => None,
    };
    let os_locking = raw.module.os_locking.unwrap_or(true);
    if !os_locking && raw.session.threads != Threads::Serialise {
        return Err(("module.os_locking", "a module without locks needs session.threads = \"serialise\""));
    }
    Ok(ModuleForm { init_args, os_locking })
}

/// Remedies by code. Else the key that is wrong, and why.
fn error_map(raw: &BTreeMap<String, String>) -> Result<BTreeMap<u64, Remedy>, (String, String)> {
    let mut errors = BTreeMap::new();
    for (code, word) in raw {
        let key = format!("errors.{code:?}");
        let wrong = |problem: &str| (key.clone(), problem.to_owned());
        let number = code_from_name(code)
            .or_else(|| hexadecimal(code))
            .filter(|number| *number != 0)
            .ok_or_else(|| wrong("a name such as \"CKR_DEVICE_ERROR\" or a number such as \"0x80000384\""))?;
        let remedy = Remedy::from_word(word).ok_or_else(|| {
            let words: Vec<_> = Remedy::ALL.iter().map(|remedy| format!("{:?}", remedy.as_str())).collect();
            wrong(&format!("one of {}", words.join(", ")))
        })?;
        if default_remedy(number) == Remedy::NeverRetry && remedy != Remedy::NeverRetry {
            return Err(wrong("a refused PIN is never tried again, whatever the family"));
        }
        if errors.insert(number, remedy).is_some() {
            return Err(wrong("this code is there already, in its other spelling"));
        }
    }
    Ok(errors)
}

pub(super) fn parse(text: &str, file: &Path, hash: [u8; 32]) -> Result<Profile, ProfileError> {
    let raw: RawProfile = toml::from_str(text)
        .map_err(|source| ProfileError::Syntax { file: file.to_owned(), source: Box::new(source) })?;
    let wrong = |key: &str, problem: &str| ProfileError::Value {
        file: file.to_owned(),
        line: KeyLine::find(text, key),
        key: key.to_owned(),
        problem: problem.to_owned(),
    };
    if raw.format_version != FORMAT_VERSION {
        return Err(wrong("format_version", "this version of yanqian reads format_version = 1"));
    }
    for (key, text, longest) in [("name", &raw.name, 64), ("source", &raw.source, 512)] {
        if text.is_empty() || text.len() > longest || text.chars().any(char::is_control) {
            return Err(wrong(key, &format!("1 to {longest} octets without control characters")));
        }
    }
    if raw.import.is_some() && raw.unseal.is_none() {
        return Err(wrong("import", "an imported key is there to open ciphertexts: [unseal] must stand, too"));
    }
    let coordinates = check_forms(&raw).map_err(|(key, problem)| wrong(key, &problem))?;
    if raw.login.user.0 == cryptoki_sys::CKU_SO || raw.login.user.0 > u64::from(u32::MAX) {
        return Err(wrong("login.user", "a user's number of 32 bits, not the security officer's"));
    }
    if raw.session.max == Some(0) {
        return Err(wrong("session.max", "at least 1; leave it out when the token sets no limit"));
    }
    if !(100..=600_000).contains(&raw.session.call_timeout_ms) {
        return Err(wrong("session.call_timeout_ms", "100 to 600000"));
    }
    if raw.session.keep_alive_seconds != 0 && !KEEP_ALIVE_RANGE.contains(&raw.session.keep_alive_seconds) {
        return Err(wrong("session.keep_alive_seconds", "10 to 86400; leave it out when idle sessions stay"));
    }
    if let Some(unknown) = raw.key.never_send.iter().find(|name| !OMITTABLE.contains(&name.as_str())) {
        let known = OMITTABLE.join(", ");
        return Err(wrong("key.never_send", &format!("{unknown:?} cannot be left out; these can: {known}")));
    }
    let errors = error_map(&raw.errors).map_err(|(key, problem)| wrong(&key, &problem))?;
    let (library, firmware) = (
        VersionRange { min: raw.matching.library_min, max: raw.matching.library_max },
        VersionRange { min: raw.matching.firmware_min, max: raw.matching.firmware_max },
    );
    for (key, range) in [("match.library_min", library), ("match.firmware_min", firmware)] {
        if range.min.zip(range.max).is_some_and(|(min, max)| min > max) {
            return Err(wrong(key, "at most the max beside it"));
        }
    }
    let module = module_form(&raw).map_err(|(key, problem)| wrong(key, problem))?;
    let algorithms = algorithms::read(raw.algorithms).map_err(|(key, problem)| wrong(key, &problem))?;
    Ok(Profile {
        name: raw.name,
        grade: raw.grade,
        evidence: raw.evidence,
        device: raw.device,
        source: raw.source,
        manufacturer: raw.matching.manufacturer,
        model: raw.matching.model,
        library,
        firmware,
        module,
        key: KeyForm {
            key_type: raw.key.key_type.0,
            keygen_mechanism: raw.key.keygen_mechanism.map(|number| number.0),
            ec_params: raw.key.ec_params,
            ec_point: raw.key.ec_point,
            coordinates,
            locator: raw.key.locator,
            never_send: raw.key.never_send,
            sealed: raw.sealed.map(SealedForm::from),
        },
        sign: raw.sign.map(|sign| SignForm {
            mechanism: sign.mechanism.0,
            input: sign.input,
            encoding: sign.encoding,
            parameter: sign.parameter,
            length_query: sign.length_query,
            max_input: sign.max_input,
        }),
        unseal: raw.unseal.map(|unseal| UnsealForm { mechanism: unseal.mechanism.0, ciphertext: unseal.ciphertext }),
        import: raw.import.map(|import| ImportKeyForm { mechanism: import.mechanism.0, form: import.form }),
        algorithms,
        session: SessionForm {
            max: raw.session.max,
            call_timeout: Duration::from_millis(raw.session.call_timeout_ms),
            threads: raw.session.threads,
            recovery: raw.session.recovery,
            keep_alive: Duration::from_secs(raw.session.keep_alive_seconds),
        },
        login_user: raw.login.user.0,
        errors,
        file: file.to_owned(),
        hash,
    })
}
