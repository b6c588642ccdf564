//! The profile that follows from what was found, with the findings as comments before it.

use std::fmt::Write as _;

use super::trial::{Meaning, Trial};
use super::{Findings, KeyFound, PointForm};
use crate::profile::{Profile, SignEncoding, SignInput, SignParameter};
use crate::worker::SOFTWARE_TOKENS;

/// None when no mechanism made a signature that a profile can use.
pub(super) fn profile(findings: &Findings, families: &[Profile]) -> Option<String> {
    let key = findings.tried.as_ref()?;
    let (mechanism, meaning) = best(&findings.trials)?;
    let listed = |number: u64| findings.mechanisms.iter().any(|found| found.number == number);
    let of_type = |family: &&Profile| Some(family.key.key_type) == key.key_type;
    // What cannot be seen comes from a family: one with this very mechanism, else one that makes keys of this type.
    let family = families
        .iter()
        .filter(of_type)
        .find(|family| family.sign.as_ref().is_some_and(|sign| sign.mechanism == mechanism))
        .or_else(|| families.iter().filter(of_type).find(|family| family.key.keygen_mechanism.is_some_and(listed)));
    let software = SOFTWARE_TOKENS.contains(&findings.manufacturer.as_str());
    let (grade, device) = if software { ("development", "software") } else { ("hsm", "network") };

    let mut text = comments(findings);
    let mut line = |content: &str| {
        text.push_str(content);
        text.push('\n');
    };
    line("format_version = 1");
    line(&format!("name = {:?}", name(&findings.manufacturer, &findings.model)));
    line(&format!("grade = {grade:?}"));
    line("evidence = \"proven\"                 # a signature verified in software");
    let hint = if software { "" } else { "                   # or \"usb\", \"pci\"" };
    line(&format!("device = {device:?}{hint}"));
    line(&format!("source = {:?}", plain(&format!("yanqian hsm probe: {}", findings.library))));
    line("\n[match]");
    line(&format!("manufacturer = {:?}", plain(&findings.manufacturer)));
    line(&format!("model = {:?}", plain(&findings.model)));
    line("\n[key]");
    line(&format!("type = {}", number(key.key_type?)));
    match family.and_then(|family| family.key.keygen_mechanism).filter(|number| listed(*number)) {
        Some(keygen) => line(&format!("keygen_mechanism = {}       # of a known family; not tried", number(keygen))),
        None => {
            line("# keygen_mechanism =                # not known: make keys by the vendor's tool, or ask its header");
        }
    }
    line(&format!("ec_params = {:?}", if key.has_params { "oid" } else { "absent" }));
    for entry in point(key) {
        line(&entry);
    }
    line("\n[sign]");
    line(&format!("mechanism = {}", number(mechanism)));
    line(&format!("input = {:?}", meaning.input?.as_str()));
    line(&format!("encoding = {:?}", meaning.encoding?.as_str()));
    if meaning.parameter == SignParameter::UserId {
        line("parameter = \"user-id\"");
    }
    line("length_query = \"never\"");
    if let Some(unseal) = family.and_then(|family| family.unseal).filter(|unseal| listed(unseal.mechanism)) {
        line("\n# Of a known family; not tried.");
        line("[unseal]");
        line(&format!("mechanism = {}", number(unseal.mechanism)));
        line(&format!("ciphertext = {:?}", unseal.ciphertext.as_str()));
    }
    line("\n[session]");
    if let Some(most) = findings.max_sessions.filter(|most| (1..=1024).contains(most)) {
        line(&format!("max = {most}"));
    }
    let timeout = family.map_or(5000, |family| family.session.call_timeout.as_millis());
    line(&format!("call_timeout_ms = {timeout}"));
    line(
        "threads = \"serialise\"               # cautious: `yanqian hsm bench` tells whether \"parallel\" is faster and right",
    );
    Some(text)
}

/// The mechanism to use.
fn best(trials: &[Trial]) -> Option<(u64, &Meaning)> {
    let usable = trials.iter().filter_map(|trial| {
        let meaning = trial.meaning.as_ref().ok()?;
        Some((meaning.rank()?, trial.mechanism, meaning))
    });
    usable.min_by_key(|(rank, mechanism, _)| (*rank, *mechanism)).map(|(_, mechanism, meaning)| (mechanism, meaning))
}

fn point(key: &KeyFound) -> Vec<String> {
    match key.point {
        Some(PointForm::OctetString) => vec!["ec_point = \"octet-string\"".into()],
        Some(PointForm::Uncompressed) => vec!["ec_point = \"uncompressed\"".into()],
        Some(PointForm::Raw) => vec!["ec_point = \"raw\"".into()],
        Some(PointForm::Coordinates(x, y)) => vec![
            "ec_point = \"coordinates\"".into(),
            format!("x_attribute = {}", number(x)),
            format!("y_attribute = {}", number(y)),
        ],
        Some(PointForm::StrayOctet) | None => vec!["ec_point = \"any\"".into()],
    }
}

/// Findings as comments of the profile.
fn comments(findings: &Findings) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "# Library: {}", plain(&findings.library));
    for slot in &findings.slots {
        let _ = writeln!(text, "# {}", plain(slot));
    }
    for trial in &findings.trials {
        let _ = writeln!(text, "# mechanism {:#010x}: {}", trial.mechanism, plain(&words(trial)));
    }
    text
}

/// A trial in words.
fn words(trial: &Trial) -> String {
    match &trial.meaning {
        Err(why) => why.clone(),
        Ok(Meaning { other_key: Some(label), .. }) => format!("signs with another key, {label:?}"),
        Ok(Meaning { is_sm2: false, .. }) => "ECDSA over the SM2 curve, which is no SM2 signature".into(),
        Ok(meaning) => {
            let input = meaning.input.map_or("a Z of an empty id", SignInput::as_str);
            let encoding = meaning.encoding.map_or("another order of octets", SignEncoding::as_str);
            let parameter = if meaning.parameter == SignParameter::UserId { ", with the id as parameter" } else { "" };
            format!("SM2 over {input}, {encoding}{parameter}")
        }
    }
}

impl Findings {
    /// What was found, for people: one line each.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!("library   {}", self.library)];
        lines.extend(self.slots.iter().cloned());
        for found in &self.mechanisms {
            let flags = found.flags.map_or_else(|| "unknown".to_owned(), |flags| format!("{flags:#x}"));
            lines.push(format!("mechanism {:#010x}  flags {flags}", found.number));
        }
        for key in &self.keys {
            let kind = if key.private { "private" } else { "public" };
            let key_type = key.key_type.map_or_else(|| "unknown".to_owned(), |number| format!("{number:#x}"));
            let curve = if key.public.is_some() { "SM2" } else { "not an SM2 key, or its point is not shown" };
            lines.push(format!("key       {:?}  {kind}  type {key_type}  {curve}", key.label));
        }
        for trial in &self.trials {
            lines.push(format!("signing   {:#010x}  {}", trial.mechanism, words(trial)));
        }
        if !self.families.is_empty() {
            lines.push(format!("families  {}", self.families.join(", ")));
        }
        lines
    }
}

fn name(manufacturer: &str, model: &str) -> String {
    let name: String = format!("probed-{manufacturer}-{model}")
        .to_lowercase()
        .chars()
        .map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' })
        .collect();
    name.chars().take(64).collect()
}

/// Text that a TOML string or comment holds whatever a module says of itself.
fn plain(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).take(400).collect()
}

/// TOML's integers end at 2^63 - 1.
fn number(number: u64) -> String {
    if i64::try_from(number).is_ok() { format!("{number:#010x}") } else { format!("\"{number:#x}\"") }
}
