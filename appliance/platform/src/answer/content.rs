use std::collections::BTreeMap;

use serde_json::Value;
use yanqian_vocabulary::{Field, FieldVerdict, FieldVerdicts, Reason, Verdict};

use super::{AnswerChecker, Expected, StepName, Walk};
use crate::profile::ApplyForm;
use yanqian_messages::Members;

impl AnswerChecker<'_> {
    /// Reads what the platform says, once it is proven that it says it to this request.
    pub(super) fn check_content(
        &self,
        walk: &mut Walk,
        package: &Members<'_>,
        expected: &Expected<'_>,
    ) -> Result<(Verdict, FieldVerdicts), Reason> {
        let code = walk.step(StepName::Schema, self.check_members(package, expected))?;
        walk.note_code(&code);
        let form = &self.profile.answer;
        let overall = match form.verdicts.get(&code) {
            Some(verdict) => Ok(*verdict),
            None if form.refused.contains(&code) => Err(Reason::PlatformRefused),
            None => Err(Reason::PlatformCodeUnknown),
        };
        let overall = walk.step(StepName::Code, overall)?;
        let fields = walk.step(StepName::Fields, self.check_fields(package, overall, expected.fields))?;
        Ok((overall, fields))
    }

    /// Reads whether the platform accepted an application.
    pub(super) fn check_accepted(
        &self,
        walk: &mut Walk,
        package: &Members<'_>,
        apply: &ApplyForm,
    ) -> Result<(), Reason> {
        let form = &self.profile.answer;
        let mut named = [&apply.serial, &form.time, &form.nonce, &form.digest, &form.code].map(String::as_str).to_vec();
        named.extend(form.envelope.own_members());
        let code = check_shape(package, &named, &apply.constants, &apply.ignored)
            .and_then(|()| package.text(&form.code).ok_or(Reason::PlatformSchema));
        let code = walk.step(StepName::Schema, code)?;
        walk.note_code(&code);
        let accepted = if code == apply.accepted {
            Ok(())
        } else if form.refused.contains(&code) {
            Err(Reason::PlatformRefused)
        } else {
            Err(Reason::PlatformCodeUnknown)
        };
        walk.step(StepName::Code, accepted)
    }

    /// Only known members, constants as they must be; gives the result code.
    fn check_members(&self, package: &Members<'_>, expected: &Expected<'_>) -> Result<String, Reason> {
        let form = &self.profile.answer;
        let mut named = [&form.serial, &form.time, &form.nonce, &form.digest, &form.code, &form.fields]
            .map(String::as_str)
            .to_vec();
        if let Some(reading) = form.reading.as_ref().filter(|_| !expected.recipients.is_empty()) {
            named.push(&reading.digest);
        }
        named.extend(form.envelope.own_members());
        check_shape(package, &named, &form.constants, &form.ignored)?;
        package.text(&form.code).ok_or(Reason::PlatformSchema)
    }

    /// The field results, which must be about exactly the fields asked and must agree with the overall verdict: an
    /// answer that contradicts itself decides nothing.
    fn check_fields(&self, package: &Members<'_>, overall: Verdict, asked: &[Field]) -> Result<FieldVerdicts, Reason> {
        let form = &self.profile.answer;
        let Some(raw) = package.raw(&form.fields) else {
            return if overall == Verdict::NotFound { Ok(FieldVerdicts::new()) } else { Err(Reason::PlatformSchema) };
        };
        if overall == Verdict::NotFound {
            return Err(Reason::PlatformSchema);
        }
        let results = Members::parse(raw.as_bytes()).map_err(|_| Reason::PlatformSchema)?;
        let names: Vec<_> = asked.iter().filter_map(|field| form.field_names.get(field)).collect();
        if results.keys().any(|told| !names.iter().any(|name| *name == told)) {
            return Err(Reason::PlatformFieldUnasked);
        }
        let fields = self.read_fields(&results, asked).ok_or(Reason::PlatformSchema)?;
        if agrees(overall, &fields) { Ok(fields) } else { Err(Reason::PlatformSchema) }
    }

    /// The result of each field that was asked about.
    fn read_fields(&self, results: &Members<'_>, asked: &[Field]) -> Option<FieldVerdicts> {
        let form = &self.profile.answer;
        let mut fields = FieldVerdicts::new();
        for field in asked {
            let value: Value = serde_json::from_str(results.raw(form.field_names.get(field)?)?).ok()?;
            let (_, verdict) = form.field_results.iter().find(|(known, _)| *known == value)?;
            fields.insert(*field, *verdict);
        }
        Some(fields)
    }
}

fn check_shape(
    package: &Members<'_>,
    named: &[&str],
    constants: &BTreeMap<String, String>,
    ignored: &[String],
) -> Result<(), Reason> {
    let known =
        |key: &str| named.contains(&key) || constants.contains_key(key) || ignored.iter().any(|name| name == key);
    let constants_hold = constants.iter().all(|(name, text)| package.text(name).as_deref() == Some(text.as_str()));
    if package.keys().all(known) && constants_hold { Ok(()) } else { Err(Reason::PlatformSchema) }
}

fn agrees(overall: Verdict, fields: &FieldVerdicts) -> bool {
    let any = |verdict| fields.values().any(|found| *found == verdict);
    match overall {
        Verdict::Match => fields.values().all(|found| *found == FieldVerdict::Match),
        Verdict::Mismatch => any(FieldVerdict::Mismatch),
        Verdict::Undecided => any(FieldVerdict::Undecided) && !any(FieldVerdict::Mismatch),
        Verdict::NotFound => fields.is_empty(),
    }
}
