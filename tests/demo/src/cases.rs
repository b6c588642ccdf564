//! What is asked, and what must come of it.

use serde_json::Value;
use yanqian_harness::Misbehaviour;
use yanqian_harness::people::{self, NumberForm};

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

    /// Signatures that the token makes for it, which is also how often the platform is asked.
    pub(crate) fn signatures(self) -> u64 {
        u64::from(!matches!(self, Self::RefusedUnsigned(..)))
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
}

fn about(form: NumberForm) -> Value {
    people::document(&people::holder(form))
}

fn case(title: &'static str, story: &'static str, document: &Value, expected: Expected) -> Case {
    let request = people::request("account-opening", "demo", document);
    Case { title, story, caller: "core-banking", request, misbehaviour: None, expected }
}

fn wrong(mut document: Value, field: &str, value: &str) -> Value {
    document[field] = value.into();
    document
}

/// All of them, in the order in which they are shown.
pub(crate) fn all() -> Vec<Case> {
    let passport = about(NumberForm::PassportDigits);
    let mut cases = checks(&passport);
    cases.extend(refusals(&passport));
    for (number, case) in (1..).zip(&mut cases) {
        case.request["reference"] = format!("demo-{number}").into();
    }
    cases
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
