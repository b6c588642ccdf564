//! The profiles against the simulator, honest and hostile. The simulator shares no code with this crate.
#![allow(clippy::unwrap_used)]

mod altered;
mod encodings;
mod order;
mod support;

use std::num::NonZeroU32;
use std::sync::Arc;

use yanqian_devpki::Layout;
use yanqian_platform::{PlatformClient, SendError, StepName};
use yanqian_platform_sim::Misbehaviour;
use yanqian_platform_sim::form::{Form, Service};
use yanqian_sm::sm3;
use yanqian_trust::{SecondOpinion, SignedContent, Subject, TrustStore, Verifier, VerifierSettings};
use yanqian_vocabulary::{DocumentNumber, Field, FieldVerdict, PersonalName, Reason, Verdict};

use crate::support::{SETTINGS, claim_of, holder, site};

async fn honest_checks(form: Form) {
    let site = site(form).await;
    let holder = holder();
    let good = site.ask(&claim_of(&holder)).await.unwrap();
    let verdict = good.result.unwrap();
    assert_eq!(verdict.overall, Verdict::Match, "{:?}", good.found.steps);
    assert!(verdict.fields.values().all(|field| *field == FieldVerdict::Match));
    order::assert_kept(&good.found.steps, None);
    assert!(good.found.serial.is_some() && good.found.time.is_some() && good.found.revocation.len() == 2);

    let mut other = claim_of(&holder);
    other.name = PersonalName::new("赵不是");
    let verdict = site.ask(&other).await.unwrap().result.unwrap();
    assert_eq!(verdict.overall, Verdict::Mismatch);
    assert_eq!(verdict.fields[&Field::Name], FieldVerdict::Mismatch);

    other.number = DocumentNumber::new("E00000000");
    let verdict = site.ask(&other).await.unwrap().result.unwrap();
    assert_eq!(verdict.overall, Verdict::NotFound);
}

/// The forms in which a check is one exchange.
const ONE_STEP: [Form; 6] =
    [Form::Reference, Form::Second, Form::Attached, Form::SortedPairs, Form::CanonicalJson, Form::SignedBody];

#[tokio::test]
async fn every_profile_asks_and_proves_answers_without_recompiling() {
    for form in ONE_STEP {
        honest_checks(form).await;
    }
}

/// What each misbehaviour must come to: nothing sent back, or a refusal with this reason.
fn expectation(misbehaviour: &str, form: Form) -> Result<Reason, SendError> {
    let inside = matches!(form, Form::SortedPairs | Form::CanonicalJson);
    Ok(match misbehaviour {
        // The signed octets are made from the members, so they must be readable first.
        "duplicate-member" if inside => Reason::PlatformEnvelope,
        // Nothing names the signer: no known key verifies.
        "unpinned-signer" | "chained-unpinned-signer" | "encryption-cert-signs" if form == Form::CanonicalJson => {
            Reason::PlatformSignature
        }
        "broken-signature" | "altered-after-signing" => Reason::PlatformSignature,
        "wrong-request" | "other-nonce" | "replay" => Reason::PlatformNonce,
        "other-digest" => Reason::PlatformDigest,
        "revoked-signer" => Reason::PlatformSignerRevoked,
        "unpinned-signer" | "chained-unpinned-signer" | "encryption-cert-signs" => Reason::PlatformSignerUnknown,
        "stale-time" | "future-time" => Reason::PlatformTime,
        "unknown-code" => Reason::PlatformCodeUnknown,
        "slow-body" => return Err(SendError::Refused(Reason::PlatformDeadline)),
        "huge-body" | "endless-body" => return Err(SendError::Refused(Reason::PlatformAnswerTooLarge)),
        "status-500" | "status-503" | "redirect" => Reason::PlatformStatus,
        "close-before-answer" | "hang" | "cut-body" => return Err(SendError::Unanswered),
        "suspended" | "busy" => Reason::PlatformRefused,
        "missing-member" | "missing-fields" | "contradiction" | "duplicate-member" => Reason::PlatformSchema,
        "not-json"
        | "missing-sign"
        | "duplicate-package"
        | "attributes-missing"
        | "wrong-content-type"
        | "trailing-garbage"
        | "truncated-der"
        | "der-trailing-garbage" => Reason::PlatformEnvelope,
        other => panic!("no expectation for {other}: say what it must come to"),
    })
}

async fn every_misbehaviour_is_refused(form: Form) {
    let site = site(form).await;
    let claim = claim_of(&holder());
    // One honest answer first, so that there is something to replay.
    assert!(site.ask(&claim).await.unwrap().result.is_ok());
    let of_form = |one: &&Misbehaviour| one.applies_to(Service::RealName) && one.fits(form);
    for misbehaviour in Misbehaviour::ALL.iter().filter(of_form) {
        site.simulator.misbehave(*misbehaviour, Some(1));
        let came = site.ask(&claim).await.map(|checked| match checked.result {
            Err(reason) => {
                order::assert_kept(&checked.found.steps, Some(reason));
                reason
            }
            Ok(verdict) => panic!("{}: accepted {verdict:?}", misbehaviour.name()),
        });
        let expected = expectation(misbehaviour.name(), form);
        let limit = [SendError::Refused(Reason::PlatformAnswerTooLarge), SendError::Refused(Reason::PlatformDeadline)];
        let either_limit =
            expected.is_err_and(|error| limit.contains(&error)) && came.is_err_and(|error| limit.contains(&error));
        assert!(came == expected || either_limit, "{}: {came:?}, expected {expected:?}", misbehaviour.name());
        site.simulator.behave();
        assert!(site.ask(&claim).await.unwrap().result.is_ok(), "healed after {}", misbehaviour.name());
    }
    assert_eq!(site.simulator.stats().duplicates, 0, "no nonce was ever sent twice");
}

#[tokio::test]
async fn every_misbehaviour_of_the_reference_form_is_refused_for_its_reason() {
    every_misbehaviour_is_refused(Form::Reference).await;
}

#[tokio::test]
async fn every_misbehaviour_of_the_second_form_is_refused_for_its_reason() {
    every_misbehaviour_is_refused(Form::Second).await;
}

#[tokio::test]
async fn every_misbehaviour_of_the_attached_form_is_refused_for_its_reason() {
    every_misbehaviour_is_refused(Form::Attached).await;
}

#[tokio::test]
async fn every_misbehaviour_of_sorted_pairs_is_refused_for_its_reason() {
    every_misbehaviour_is_refused(Form::SortedPairs).await;
}

#[tokio::test]
async fn every_misbehaviour_of_canonical_json_is_refused_for_its_reason() {
    every_misbehaviour_is_refused(Form::CanonicalJson).await;
}

#[tokio::test]
async fn every_misbehaviour_of_a_signed_body_is_refused_for_its_reason() {
    every_misbehaviour_is_refused(Form::SignedBody).await;
}

#[tokio::test]
async fn an_answer_is_accepted_once() {
    let site = site(Form::Reference).await;
    let request = site.request(&claim_of(&holder()));
    let answer = site.client.send(&request, &site.trust).await.unwrap();
    assert!(site.check(&request, &answer).result.is_ok());
    let again = site.check(&request, &answer);
    assert_eq!(again.result, Err(Reason::PlatformReplay));
    assert_eq!(again.found.steps.last().map(|step| step.name), Some(StepName::Replay));
}

/// An implementation that says the same of everything.
struct Stubborn(bool);

impl SecondOpinion for Stubborn {
    fn holds(&self, _: &SignedContent<'_>) -> bool {
        self.0
    }
}

#[tokio::test]
async fn an_answer_that_two_implementations_judge_differently_is_refused_whichever_accepts_it() {
    let mut site = site(Form::Reference).await;
    let request = site.request(&claim_of(&holder()));
    let good = site.client.send(&request, &site.trust).await.unwrap();
    site.simulator.misbehave(Misbehaviour::BrokenSignature, Some(1));
    let bad = site.client.send(&site.request(&claim_of(&holder())), &site.trust).await.unwrap();
    for (second, answer, reason) in [
        (false, &good, Reason::PlatformSignatureDisputed),
        (true, &bad, Reason::PlatformSignatureDisputed),
        (false, &bad, Reason::PlatformSignature),
    ] {
        site.verifier = Verifier::with_second_opinion(SETTINGS, Box::new(Stubborn(second)));
        let checked = site.check(&request, answer);
        assert_eq!(checked.result, Err(reason));
        assert_eq!(checked.found.steps.last().map(|step| step.name), Some(StepName::Signature));
        assert!(checked.found.serial.is_none(), "nothing of it is read");
        let disputed = u64::from(reason == Reason::PlatformSignatureDisputed);
        assert_eq!(site.verifier.stats().disputed[Subject::Answer as usize], disputed);
    }
}

#[tokio::test]
async fn every_nth_answer_has_a_second_opinion() {
    let mut site = site(Form::Reference).await;
    let every = NonZeroU32::new(3).unwrap();
    site.verifier = Verifier::new(VerifierSettings { shadow_every: every, ..SETTINGS });
    for _ in 0..7 {
        site.ask(&claim_of(&holder())).await.unwrap().result.unwrap();
    }
    let stats = site.verifier.stats();
    assert_eq!((stats.agreed[Subject::Answer as usize], stats.disputed), (3, [0; 4]), "the first, fourth and seventh");
}

#[tokio::test]
async fn personal_data_leaves_only_inside_the_envelope() {
    let site = site(Form::Reference).await;
    let holder = holder();
    let request = site.request(&claim_of(&holder));
    let body = String::from_utf8(request.body().to_vec()).unwrap();
    assert!(!body.contains(&holder.number) && !body.contains(&holder.name), "{body}");
    assert!(!format!("{request:?}").contains(&holder.name));
    assert_ne!(sm3(&[request.body()]), [0; 32]);
}

#[tokio::test]
async fn nothing_is_sent_where_nobody_listens_or_the_certificate_is_not_trusted() {
    let mut site = site(Form::Reference).await;
    let request = site.request(&claim_of(&holder()));
    let nobody = PlatformClient::new(Arc::clone(&site.profile), "https://127.0.0.1:1").unwrap();
    assert_eq!(nobody.send(&request, &site.trust).await.err(), Some(SendError::NotSent));
    let layout = Layout::at(site.directory.path().join("pki"));
    std::fs::copy(layout.internal("ca").certificate, layout.trust().join("tls-anchors/root.pem")).unwrap();
    site.trust = TrustStore::load(&layout.trust(), 0).unwrap();
    assert_eq!(site.client.send(&request, &site.trust).await.err(), Some(SendError::Unidentified));
    assert_eq!(site.simulator.stats().requests, 0);
}
