//! The profiles against the simulator, honest and hostile. The simulator shares no code with this crate.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::{Arc, Mutex};

use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::sign::Signer;
use openssl::x509::{X509NameBuilder, X509ReqBuilder};
use yanqian_devpki::{Layout, Options, generate, issue_entity_signing};
use yanqian_messages::{Certificate, certificates_from_pem_or_der, pem_encode};
use yanqian_platform::{
    AnswerChecker, CheckedAnswer, Expected, Outbound, PlatformClient, PlatformVerdict, Profile, RawAnswer, ReplayError,
    ReplayGuard, RequestContext, SendError, SignedRequest, StepName,
};
use yanqian_platform_sim::form::Service;
use yanqian_platform_sim::registry::{Holder, first_with, seeded};
use yanqian_platform_sim::{Config, DEFAULT_SEED, Misbehaviour, Running, Simulator, form::Form, numbers::NumberForm};
use yanqian_sm::{Signature, sm3};
use yanqian_trust::{SecondOpinion, SignedContent, Subject, TrustStore, Verifier, VerifierSettings};
use yanqian_vocabulary::{
    BirthDate, CivilDate, Claim, DocumentClaim, DocumentNumber, DocumentType, Field, FieldVerdict, Mode, Nonce,
    PersonalName, Reason, Timestamp, Verdict,
};

#[path = "simulator/encodings.rs"]
mod encodings;

const SETTINGS: VerifierSettings = VerifierSettings { table_octets: 4 << 20, shadow_every: NonZeroU32::MIN };
const FIELDS: &[Field] = &[Field::Number, Field::Name, Field::BirthDate];

#[derive(Default)]
struct Memory(Mutex<BTreeSet<String>>);

impl ReplayGuard for Memory {
    fn accept_once(&self, nonce: Nonce, serial: &str, _expires: Timestamp) -> Result<bool, ReplayError> {
        let mut seen = self.0.lock().map_err(|_| ReplayError)?;
        Ok(seen.insert(format!("n{nonce}")) & seen.insert(format!("s{serial}")))
    }
}

struct Site {
    directory: tempfile::TempDir,
    profile: Arc<Profile>,
    trust: TrustStore,
    key: PKey<Private>,
    certificate: Certificate,
    simulator: Running,
    client: PlatformClient,
    memory: Memory,
    verifier: Verifier,
}

fn entity(layout: &Layout, now: time::OffsetDateTime) -> (PKey<Private>, Certificate) {
    let group = EcGroup::from_curve_name(Nid::SM2).unwrap();
    let key = PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap();
    let mut name = X509NameBuilder::new().unwrap();
    name.append_entry_by_text("CN", "entity").unwrap();
    let mut request = X509ReqBuilder::new().unwrap();
    request.set_subject_name(&name.build()).unwrap();
    request.set_pubkey(&key).unwrap();
    request.sign(&key, MessageDigest::sm3()).unwrap();
    let pem = issue_entity_signing(layout, &request.build().to_pem().unwrap(), now, 30).unwrap();
    (key, certificates_from_pem_or_der(&pem).unwrap().remove(0))
}

async fn site(form: Form) -> Site {
    let directory = tempfile::tempdir().unwrap();
    let options = Options::default();
    let layout = generate(&directory.path().join("pki"), &options).unwrap();
    let (key, certificate) = entity(&layout, options.now);
    let registered = directory.path().join("entity.pem");
    std::fs::write(&registered, pem_encode("CERTIFICATE", certificate.as_der())).unwrap();
    let config = Config { entity_signing: Some(registered), ..Config::new(layout.directory(), form) };
    let simulator = Simulator::start(config).await.unwrap();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../platform-profiles/{form}.toml"));
    // The tests' own limits, so that hanging answers are told from slow machines within seconds.
    let text = std::fs::read_to_string(&file).unwrap();
    let text = text.replace("head_ms = 10000", "head_ms = 2000").replace("body_ms = 5000", "body_ms = 1500");
    let profile = Arc::new(Profile::parse(&text, &file).unwrap());
    let client = PlatformClient::new(Arc::clone(&profile), &format!("https://{}", simulator.https_addr)).unwrap();
    let trust = TrustStore::load(&layout.trust(), 0).unwrap();
    Site {
        directory,
        profile,
        trust,
        key,
        certificate,
        simulator,
        client,
        memory: Memory::default(),
        verifier: Verifier::new(SETTINGS),
    }
}

fn now() -> Timestamp {
    Timestamp::from_utc(time::OffsetDateTime::now_utc()).unwrap()
}

fn holder() -> Holder {
    first_with(&seeded(DEFAULT_SEED), NumberForm::ALL[0]).unwrap().clone()
}

fn claim_of(holder: &Holder) -> DocumentClaim {
    let date = holder.birth_date.to_string();
    DocumentClaim {
        document_type: DocumentType::PrcPassport,
        number: DocumentNumber::new(holder.number.clone()),
        name: PersonalName::new(holder.name.clone()),
        birth_date: BirthDate(CivilDate::parse_iso(&date).unwrap()),
        nationality: None,
        expiry: None,
    }
}

impl Site {
    fn outbound(&self, claim: &DocumentClaim) -> Outbound {
        let mut nonce = [0; 16];
        getrandom::fill(&mut nonce).unwrap();
        let context = RequestContext {
            customer: "YQ000001",
            application: "yanqian",
            purpose_code: "P001",
            mode: Mode::RealName,
            now: now(),
            nonce: Nonce::new(nonce),
            applied: None,
            certificate: &self.certificate,
        };
        let recipient = self.trust.encryption_certificate().into();
        self.profile.encode(&context, &Claim::RealName(claim.clone()), recipient, &mut getrandom::SysRng).unwrap()
    }

    fn request(&self, claim: &DocumentClaim) -> SignedRequest {
        let outbound = self.outbound(claim);
        let mut signer = Signer::new(MessageDigest::sm3(), &self.key).unwrap();
        signer.update(outbound.to_be_signed()).unwrap();
        let signature = Signature::from_der(&signer.sign_to_vec().unwrap()).unwrap();
        outbound.finish(&self.profile, &signature, &self.certificate).unwrap()
    }

    fn check(&self, request: &SignedRequest, answer: &RawAnswer) -> CheckedAnswer<PlatformVerdict> {
        let checker = AnswerChecker {
            profile: &self.profile,
            trust: &self.trust,
            verifier: &self.verifier,
            replay: &self.memory,
        };
        checker.check(
            answer,
            &Expected { nonce: request.nonce(), digest: request.digest(), fields: FIELDS, recipients: &[] },
            now(),
        )
    }

    /// Asks once and proves the answer.
    async fn ask(&self, claim: &DocumentClaim) -> Result<CheckedAnswer<PlatformVerdict>, SendError> {
        let request = self.request(claim);
        let answer = self.client.send(&request, &self.trust).await?;
        Ok(self.check(&request, &answer))
    }
}

async fn honest_checks(form: Form) {
    let site = site(form).await;
    let holder = holder();
    let good = site.ask(&claim_of(&holder)).await.unwrap();
    let verdict = good.result.unwrap();
    assert_eq!(verdict.overall, Verdict::Match, "{:?}", good.found.steps);
    assert!(verdict.fields.values().all(|field| *field == FieldVerdict::Match));
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
            Err(reason) => reason,
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

impl Site {
    /// As [`Site::check`], remembering nothing, so that replay does not hide an acceptance.
    fn check_afresh(&self, request: &SignedRequest, answer: &RawAnswer) -> CheckedAnswer<PlatformVerdict> {
        let memory = Memory::default();
        let checker =
            AnswerChecker { profile: &self.profile, trust: &self.trust, verifier: &self.verifier, replay: &memory };
        let expected = Expected { nonce: request.nonce(), digest: request.digest(), fields: FIELDS, recipients: &[] };
        checker.check(answer, &expected, now())
    }
}

async fn no_altered_octet_changes_a_verdict(form: Form) {
    let site = site(form).await;
    let request = site.request(&claim_of(&holder()));
    let answer = site.client.send(&request, &site.trust).await.unwrap();
    let verdict = site.check_afresh(&request, &answer).result.unwrap();
    let mut refused = 0;
    let mut same_or_refused =
        |altered: &RawAnswer, what: &dyn std::fmt::Display| match site.check_afresh(&request, altered).result {
            Ok(accepted) => assert_eq!(accepted, verdict, "{form}: {what}"),
            Err(_) => refused += 1,
        };
    // Every octet, each with three alterations.
    for index in 0..answer.body.len() {
        for flip in [0x01u8, 0x20, 0x80] {
            let mut altered = answer.clone();
            altered.body[index] ^= flip;
            same_or_refused(&altered, &format_args!("octet {index} ^ {flip:#x}"));
        }
    }
    for (name, value) in &answer.headers {
        for index in 0..value.len() {
            let mut octets = value.as_bytes().to_vec();
            octets[index] ^= 1;
            let Ok(changed) = http::HeaderValue::from_bytes(&octets) else { continue };
            let mut altered = answer.clone();
            altered.headers.insert(name, changed);
            same_or_refused(&altered, &format_args!("{name}, octet {index}"));
        }
    }
    assert!(refused > answer.body.len(), "{form}: {refused} of {} octets", answer.body.len());
    let disputed = site.verifier.stats().disputed;
    assert_eq!(disputed, [0; 4], "{form}: whatever was altered, both implementations said the same of it");
}

#[tokio::test]
async fn no_altered_octet_of_an_answer_changes_a_verdict() {
    for form in ONE_STEP {
        no_altered_octet_changes_a_verdict(form).await;
    }
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
    assert_eq!(site.client.send(&request, &site.trust).await.err(), Some(SendError::NotSent));
    assert_eq!(site.simulator.stats().requests, 0);
}
