//! Receipts that hold, of every shape, and what their reports say.
#![allow(clippy::unwrap_used)]

mod support;

use support::{SALT, Site, Story, failures, report};
use yanqian_evidence::{Decision, OutcomeUnknown, Receipt, Record, Refusal, Schema};
use yanqian_verify::{Finding, Options, Report, verify, verify_json};
use yanqian_vocabulary::{CallerId, Mode, Reason};

fn findings(report: &Report) -> Vec<(&str, Option<&str>, Finding)> {
    report.checks.iter().map(|check| (check.step, check.part.as_deref(), check.finding)).collect()
}

#[test]
fn a_check_in_one_request_is_proven_step_by_step() {
    for attributes in [true, false] {
        let mut site = Site::new();
        site.attributes = attributes;
        let report = Story::of(&site).report(&site);
        let proven = [
            "format",
            "records",
            "story",
            "entity-certificate",
            "request-signature",
            "entity-chain",
            "answer-signature",
            "answer-binding",
            "platform-signer",
            "platform-chain",
            "revocation",
            "decision",
            "evidence",
            "commitment",
        ];
        let mut expected: Vec<_> = proven.iter().map(|step| (*step, None, Finding::Proven)).collect();
        expected.push(("anchor", None, Finding::NotApplicable));
        assert_eq!(findings(&report), expected, "{report:?}");
        assert!(report.holds());
        assert!(report.platform_said.unwrap().starts_with(r#"{"version":"1.0","bizSerialNum":"S-1""#));
    }
}

#[test]
fn a_check_in_two_requests_is_proven_request_by_request() {
    let site = Site::new();
    let report = Story::two_steps(&site).report(&site);
    assert_eq!(failures(&report), [""; 0], "{report:?}");
    for step in
        ["request-signature", "answer-signature", "answer-binding", "platform-signer", "platform-chain", "revocation"]
    {
        let parts: Vec<_> = findings(&report).into_iter().filter(|(name, ..)| *name == step).collect();
        let expected = ["apply", "final"].map(|part| (step, Some(part), Finding::Proven));
        assert_eq!(parts, expected);
    }
}

#[test]
fn a_delivered_reading_is_named_by_the_platforms_signature_and_is_not_in_the_receipt() {
    let site = Site::new();
    let receipt = Story::chip(&site).receipt();
    let report = verify(&receipt, &site.trust(), &Options::default());
    assert_eq!(failures(&report), [""; 0], "{report:?}");
    assert!(findings(&report).contains(&("reading", None, Finding::Proven)));
    assert!(findings(&report).contains(&("commitment", None, Finding::NotApplicable)));
}

#[test]
fn refusals_at_every_step_of_the_answer_are_proven_as_far_as_they_went() {
    use yanqian_evidence::{Label, Step};
    let site = Site::new();
    for (at, step) in support::STEPS.iter().enumerate() {
        let reason = Reason::PlatformDigest; // any of the platform's: the record says which step gave it
        let mut story = Story::of(&site);
        story.outcome.decision = Decision::Refused { reason };
        story.outcome.steps.truncate(at);
        story.outcome.steps.push(Step { name: Label::new(step), refused: Some(reason) });
        if at < 2 {
            story.outcome.signer = None;
        }
        if at < 5 {
            story.outcome.chain.clear();
        }
        if at < 6 {
            story.outcome.revocation.clear();
        }
        let named = |hash: [u8; 32]| story.outcome.chain.iter().any(|known| *known.as_bytes() == hash);
        let signer = story.outcome.signer.is_some();
        let platform = site.platform.certificate.as_der();
        story.certificates = site
            .certificates()
            .into_iter()
            .filter(|der| {
                (*der == platform && signer)
                    || *der == site.entity.certificate.as_der()
                    || named(yanqian_sm::sm3(&[der]))
            })
            .collect();
        story.lists.retain(|_| at >= 6);
        let report = story.report(&site);
        assert_eq!(failures(&report), [""; 0], "{step}: {report:?}");
    }
}

#[test]
fn checks_that_ended_without_an_answer_have_receipts_that_hold() {
    let site = Site::new();
    let mut unreachable = Story::of(&site);
    unreachable.outcome.decision = Decision::Refused { reason: Reason::PlatformUnreachable };
    unreachable.outcome.answer = None;
    unreachable.outcome.signer = None;
    unreachable.outcome.chain.clear();
    unreachable.outcome.revocation.clear();
    unreachable.outcome.steps.clear();
    unreachable.outcome.platform_serial = None;
    unreachable.certificates.truncate(1);
    unreachable.lists.clear();
    let shown = unreachable.report(&site);
    assert_eq!(failures(&shown), [""; 0], "{shown:?}");
    assert!(findings(&shown).contains(&("request-signature", None, Finding::Proven)));

    let mut unsigned = unreachable.clone();
    unsigned.outcome.decision = Decision::Refused { reason: Reason::SignerUnavailable };
    unsigned.outcome.signature = None;
    let shown = unsigned.report(&site);
    assert_eq!(failures(&shown), [""; 0], "{shown:?}");
    assert!(findings(&shown).contains(&("entity-chain", None, Finding::NotApplicable)));

    let [intent, ..] = &unreachable.records()[..] else { panic!("records") };
    let unknown = OutcomeUnknown { verification: unreachable.intent.verification, intent: 41 };
    let unknown = Record { sequence: 90, body: unknown.into(), ..intent.clone() };
    for records in [vec![intent.encode(), unknown.encode()], vec![unknown.encode()]] {
        let whole = records.len() > 1;
        let receipt = Receipt::new(records, unreachable.certificates.clone(), vec![], Some(SALT)).unwrap();
        let options = if whole { support::asked() } else { Options::default() };
        let shown = verify_json(receipt.to_json().as_bytes(), &site.trust(), &options);
        assert_eq!(failures(&shown), [""; 0], "{shown:?}");
    }
}

#[test]
fn a_refusal_before_anything_was_signed_has_a_receipt_that_holds() {
    let site = Site::new();
    let story = Story::of(&site);
    let refusal = Refusal {
        verification: story.intent.verification,
        caller: CallerId::new("core-banking").unwrap(),
        mode: Mode::RealName,
        reason: Reason::AgreementPurpose,
        field: None,
        purpose: None,
        document_type: None,
        rule: None,
        idempotency: None,
        earlier: None,
        received: site.now,
    };
    let record =
        Record { schema: Schema::Two, sequence: 7, time: site.now, context: site.context(), body: refusal.into() };
    let ours = vec![site.entity.certificate.as_der().to_vec()];
    let receipt = Receipt::new(vec![record.encode()], ours, vec![], None).unwrap();
    let shown = verify(&receipt, &site.trust(), &Options::default());
    assert_eq!(failures(&shown), [""; 0], "{shown:?}");
    let with_claim = report(&receipt, &site);
    assert_eq!(failures(&with_claim), ["commitment"], "nothing was committed to");
}

#[test]
fn a_report_prints_signs_and_sentences_and_nothing_that_moves_a_cursor() {
    let mut site = Site::new();
    site.entity = support::entity_named(&site.layout, "银行\u{1b}[2J\u{202e}");
    let mut story = Story::of(&site);
    let said = support::object(&story.intent.request, support::NONCE, "S-1", ",\"resultMsg\":\"\u{9b}2J\u{202e}一致\"");
    story.outcome.answer = Some(site.answer(&said, ""));
    let report = story.report(&site);
    assert!(report.holds());
    let mut text = Vec::new();
    report.write_text(&mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains("✔ request-signature") && text.contains("– anchor") && text.contains("\nproven: "), "{text}");
    assert!(
        text.contains("一致")
            && text.contains("银行")
            && !text.contains('\u{1b}')
            && !text.contains('\u{9b}')
            && !text.contains('\u{202e}'),
        "{text}"
    );
    for secret in ["E12345678", "张伟", "1990-01-02"] {
        assert!(!text.contains(secret) && !report.to_json().to_string().contains(secret));
    }
}

#[test]
fn a_signature_in_any_spelling_that_a_profile_may_declare_is_read() {
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
    use yanqian_evidence::Octets;
    use yanqian_messages::SignedData;
    let site = Site::new();
    let story = Story::of(&site);
    let octets = story.outcome.answer.as_ref().unwrap().octets.as_bytes().to_vec();
    let text = String::from_utf8(octets).unwrap();
    let (object, signature) = text.rsplit_once(r#","sign":""#).unwrap();
    let message = STANDARD.decode(signature.strip_suffix("\"}").unwrap()).unwrap();
    assert!(SignedData::parse(&message).is_ok());
    let mut lines = STANDARD.encode(&message);
    lines.insert_str(64, "\\r\\n");
    let hex = hex::encode(&message);
    for spelled in [STANDARD_NO_PAD.encode(&message), lines, hex.to_uppercase(), hex.clone()] {
        let mut other = story.clone();
        let mut respell = |text: &str| {
            let octets = Octets::new(format!(r#"{object},"sign":"{text}"}}"#));
            other.outcome.answer.as_mut().unwrap().octets = octets;
            failures(&other.report(&site))
        };
        assert_eq!(respell(&spelled), [""; 0], "{spelled}");
        assert!(respell(&spelled[4..]).contains(&"answer-signature"), "{spelled}");
    }
}
