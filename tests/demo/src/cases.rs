//! What is asked, and what must come of it.

use serde_json::Value;
use yanqian_harness::people::{self, Holder, NumberForm};
use yanqian_harness::{Form, HarnessError, Misbehaviour, Service, Site, Variant, service_of};

/// How a case must end.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Expected {
    /// A verdict; the second names the only field that does not match, if any.
    Verdict(&'static str, Option<&'static str>),
    /// Refused before anything is signed: status and code.
    RefusedUnsigned(u16, &'static str),
    /// Asked, answered, and the answer refused: status and code.
    AnswerRefused(u16, &'static str),
}

impl Expected {
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::Verdict(code, _) | Self::RefusedUnsigned(_, code) | Self::AnswerRefused(_, code) => code,
        }
    }

    pub(crate) fn status(self) -> u16 {
        match self {
            Self::Verdict(..) => 200,
            Self::RefusedUnsigned(status, _) | Self::AnswerRefused(status, _) => status,
        }
    }
}

/// One check.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) title: &'static str,
    /// What is behind it, in a sentence.
    pub(crate) story: &'static str,
    pub(crate) caller: &'static str,
    pub(crate) request: Value,
    pub(crate) misbehaviour: Option<Misbehaviour>,
    pub(crate) expected: Expected,
    /// Steps of an exchange with the platform.
    steps: u64,
}

impl Case {
    /// The word for the service that is asked.
    pub(crate) fn service(&self) -> &'static str {
        service_of(&self.request).rsplit('/').next().unwrap_or_default()
    }

    /// Signatures that the token makes for it, which is also how often the platform is asked. An answer that is not believed
    /// comes to the first step.
    pub(crate) fn signatures(&self) -> u64 {
        match self.expected {
            Expected::Verdict(..) => self.steps,
            Expected::AnswerRefused(..) => 1,
            Expected::RefusedUnsigned(..) => 0,
        }
    }
}

fn about(form: NumberForm) -> Value {
    people::document(&people::holder(form))
}

fn case(title: &'static str, story: &'static str, document: &Value, expected: Expected) -> Case {
    let request = people::request("account-opening", "demo", document);
    Case { title, story, caller: "core-banking", request, misbehaviour: None, expected, steps: 1 }
}

fn wrong(mut document: Value, field: &str, value: &str) -> Value {
    document[field] = value.into();
    document
}

/// All of them, in the order in which they are shown.
pub(crate) async fn all(site: &Site) -> Result<Vec<Case>, HarnessError> {
    let (holder, other) = (people::holder(NumberForm::PassportDigits), people::holder(NumberForm::PassportLetter));
    let two_step = site.options().form == Form::TwoStep;
    let mut cases = printed();
    cases.extend(portraits(&holder, &other));
    let genuine = site.sim().chip(&holder.number, Variant::Genuine).await?;
    let altered = site.sim().chip(&holder.number, Variant::AlteredZone).await?;
    cases.extend(chips(&holder, &genuine, &altered));
    // In a two-step exchange the application has no reading that could be altered.
    cases.retain(|case| !two_step || case.misbehaviour.is_none_or(|one| one.applies_to(Service::RealName)));
    for (number, case) in (1..).zip(&mut cases) {
        case.request["reference"] = format!("demo-{number}").into();
        case.steps = if two_step { 2 } else { 1 };
    }
    Ok(cases)
}

/// Those about printed fields.
pub(crate) fn printed() -> Vec<Case> {
    let passport = about(NumberForm::PassportDigits);
    let mut cases = checks(&passport);
    cases.extend(refusals(&passport));
    cases
}

fn portraits(holder: &Holder, other: &Holder) -> Vec<Case> {
    let document = people::document(holder);
    let person = |title, story, jpeg: &[u8], expected| {
        let mut case = case(title, story, &document, expected);
        case.request = people::with_portrait(&case.request, jpeg);
        case
    };
    vec![
        person(
            "The holder's portrait",
            "A camera's picture, larger and compressed harder than the platform's, with its place in EXIF: cut out on the way.",
            &people::portrait_reencoded(holder),
            Expected::Verdict("match", None),
        ),
        person(
            "Somebody else's portrait",
            "The same passport, shown by another person.",
            &people::portrait(other),
            Expected::Verdict("mismatch", Some("portrait")),
        ),
        person(
            "No picture at all",
            "A file that only calls itself a picture.",
            b"GIF89a, perhaps",
            Expected::RefusedUnsigned(422, "portrait-encoding"),
        ),
    ]
}

fn chips(holder: &Holder, genuine: &Value, altered: &Value) -> Vec<Case> {
    let chip = |title, story, files: &Value, expected| {
        let mut case = case(title, story, &Value::Null, expected);
        case.request = people::chip_request(holder, "demo", files);
        case
    };
    vec![
        chip(
            "A chip is read",
            "The passport lies on a reader; the platform sends back what it read, sealed to a key in the token.",
            genuine,
            Expected::Verdict("match", None),
        ),
        chip(
            "A chip with altered data",
            "Another date of birth in the chip: its issuer did not sign that.",
            altered,
            Expected::Verdict("mismatch", Some("chip")),
        ),
        Case {
            misbehaviour: Some(Misbehaviour::ReadingDigest),
            ..chip(
                "A reading that nobody signed",
                "A good answer beside which somebody has put another sealed reading.",
                genuine,
                Expected::AnswerRefused(502, "platform-reading"),
            )
        },
    ]
}

fn checks(passport: &Value) -> Vec<Case> {
    let matches = Expected::Verdict("match", None);
    vec![
        case("Everything matches", "A customer opens an account and shows a PRC passport.", passport, matches),
        case(
            "One field does not match",
            "The same passport with another date of birth.",
            &wrong(passport.clone(), "birth_date", "1949-10-01"),
            Expected::Verdict("mismatch", Some("birth_date")),
        ),
        case(
            "No such document",
            "A well-formed passport number that was never issued.",
            &wrong(passport.clone(), "number", &people::free_passport_number()),
            Expected::Verdict("not-found", None),
        ),
        Case {
            caller: "branch-kiosk",
            ..case(
                "Travel permit, old form",
                "A Hong Kong resident's permit as issued until 2012: eleven characters.",
                &about(NumberForm::HongKongOld),
                matches,
            )
        },
        Case {
            caller: "branch-kiosk",
            ..case(
                "Travel permit, new form",
                "A Taiwan resident's permit in the card form: eight digits.",
                &about(NumberForm::TaiwanNew),
                matches,
            )
        },
    ]
}

fn refusals(passport: &Value) -> Vec<Case> {
    let answer = |title, story, misbehaviour, code| Case {
        misbehaviour: Some(misbehaviour),
        ..case(title, story, passport, Expected::AnswerRefused(502, code))
    };
    let mut marketing = case(
        "Purpose outside the agreement",
        "Somebody wants to use the platform for marketing, which the agreement does not name.",
        passport,
        Expected::RefusedUnsigned(403, "agreement-purpose"),
    );
    marketing.request["purpose"] = "marketing".into();
    let malformed = case(
        "Malformed document",
        "A permanent resident's card whose check digit does not fit.",
        &with_wrong_check_digit(about(NumberForm::ForeignResident2023)),
        Expected::RefusedUnsigned(422, "document-check-digit"),
    );
    vec![
        marketing,
        malformed,
        answer(
            "Broken platform signature",
            "The answer says what it should; its signature is not the platform's.",
            Misbehaviour::BrokenSignature,
            "platform-signature",
        ),
        answer(
            "Answer to another request",
            "A genuine, well-signed answer of the platform, but to an earlier request.",
            Misbehaviour::WrongRequest,
            "platform-nonce",
        ),
        answer(
            "Platform signer revoked",
            "A good signature by a key whose certificate the platform's authority has revoked.",
            Misbehaviour::RevokedSigner,
            "platform-signer-revoked",
        ),
    ]
}

fn with_wrong_check_digit(mut document: Value) -> Value {
    let mut number = document["number"].as_str().unwrap_or_default().to_owned();
    let digit = if number.pop() == Some('0') { '1' } else { '0' };
    number.push(digit);
    document["number"] = number.into();
    document
}
