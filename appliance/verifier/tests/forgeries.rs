//! What no receipt may get away with: each forgery keeps every hash right that its forger could, and fails at its step.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use support::{Identity, NONCE, Site, Story, entity, object, read_list, signer};
use time::{Duration, OffsetDateTime};
use yanqian_devpki::{Authority, reissue_crl, serial};
use yanqian_evidence::{Decision, Der, Label, Octets, PlatformSerial, SignedDigest, Step, ToBeSigned};
use yanqian_verify::{Asked, Options, Trust, verify};
use yanqian_vocabulary::{
    CertificateHash, ContentDigest, Field, FieldVerdict, KeyId, Mode, Nonce, PurposeCode, Reason, Timestamp, Verdict,
    VerificationId,
};

fn fails(site: &Site, story: &Story, step: &str) {
    let found = story.failures(site);
    assert!(found.contains(&step), "{step}: {found:?}");
}

#[test]
fn another_key_than_the_entitys_proves_no_request() {
    let site = Site::new();
    let stranger = entity(&site.layout);
    let good = Story::of(&site);

    let mut story = good.clone();
    let ToBeSigned::Attributes { der } = &story.intent.to_be_signed else { panic!("attributes") };
    let forged = Der::new(stranger.sign(der.as_bytes()).to_der()).unwrap();
    story.outcome.signature.as_mut().unwrap().signature = forged;
    assert_eq!(story.failures(&site), ["request-signature"]);

    let mut story = good.clone();
    story.context.key = KeyId::new(stranger.certificate.key_id());
    fails(&site, &story, "entity-certificate");

    let mut story = good.clone();
    story.context.certificate = stranger.hash();
    fails(&site, &story, "entity-certificate");
    story.certificates[0] = stranger.certificate.as_der().to_vec();
    story.context.key = KeyId::new(stranger.certificate.key_id());
    fails(&site, &story, "request-signature");

    // A certificate that is not for signing.
    let mut story = good.clone();
    let encryption = Identity::load(&site.layout.platform("encryption"));
    story.context.certificate = encryption.hash();
    story.context.key = KeyId::new(encryption.certificate.key_id());
    story.certificates[0] = encryption.certificate.as_der().to_vec();
    fails(&site, &story, "entity-certificate");

    let mut story = good.clone();
    story.context.encryption_certificate = Some(encryption.hash());
    fails(&site, &story, "entity-certificate");
    story.certificates.push(encryption.certificate.as_der().to_vec());
    assert!(story.report(&site).holds(), "the encryption certificate that the record names may be there");
    story.context.encryption_key = Some(KeyId::new([1; 32]));
    fails(&site, &story, "entity-certificate");
}

#[test]
fn what_was_signed_must_be_what_the_intent_announced() {
    let mut site = Site::new();
    let good = Story::of(&site);
    let (other, to_be_signed, signature) = site.request(b"another request");

    let mut story = good.clone();
    story.outcome.signature = Some(signature.clone());
    fails(&site, &story, "request-signature");
    story.intent.to_be_signed = to_be_signed;
    fails(&site, &story, "request-signature");
    story.intent.request = other;
    assert_eq!(story.failures(&site), ["answer-binding"], "the answer is to the other request");

    let mut story = good.clone();
    story.outcome.signature.as_mut().unwrap().attributes = None;
    fails(&site, &story, "request-signature");
    let mut story = good.clone();
    story.outcome.signature = None;
    fails(&site, &story, "request-signature");

    site.attributes = false;
    let mut story = Story::of(&site);
    story.intent.to_be_signed = ToBeSigned::Content { e: SignedDigest::new([1; 32]) };
    assert_eq!(story.failures(&site), ["request-signature"]);
}

#[test]
fn an_entity_that_nobody_vouches_for_is_not_proven() {
    let site = Site::new();
    let story = Story::of(&site);
    let anchors = site.layout.trust().join("entity-anchors");
    let foreign = std::fs::read(site.layout.platform("other-ca").certificate).unwrap();
    std::fs::write(anchors.join("ca.pem"), foreign).unwrap();
    assert_eq!(story.failures(&site), ["entity-chain"]);
    std::fs::remove_dir_all(anchors).unwrap();
    assert_eq!(story.failures(&site), ["entity-chain"]);
}

#[test]
fn an_answer_for_another_request_is_refused() {
    let site = Site::new();
    let good = Story::of(&site);
    for said in [
        object(&ContentDigest::new([9; 32]), NONCE, "S-1", ""),
        object(&good.intent.request, [9; 16], "S-1", ""),
        object(&good.intent.request, NONCE, "S-2", ""),
    ] {
        let mut story = good.clone();
        story.outcome.answer = Some(site.answer(&said, ""));
        assert_eq!(story.failures(&site), ["answer-binding"], "{said}");
    }
    let mut story = good.clone();
    story.intent.nonce = Nonce::new([3; 16]);
    assert_eq!(story.failures(&site), ["answer-binding"]);
    // In two requests, each answer is to its own.
    let mut story = Story::two_steps(&site);
    let exchange = story.exchange.as_mut().unwrap();
    std::mem::swap(&mut exchange.answer, story.outcome.answer.as_mut().unwrap());
    exchange.platform_serial = Some(PlatformSerial::new("S-2").unwrap());
    story.outcome.platform_serial = Some(PlatformSerial::new("S-1").unwrap());
    assert_eq!(story.failures(&site), ["answer-binding", "answer-binding"]);
}

#[test]
fn an_answer_whose_signature_does_not_cover_all_of_it_is_refused() {
    let site = Site::new();
    let good = Story::of(&site);
    let answer = good.outcome.answer.clone().unwrap();
    let text = String::from_utf8(answer.octets.as_bytes().to_vec()).unwrap();
    let object = text.split_once(r#""bizPackage":"#).unwrap().1.split_once(r#","sign""#).unwrap().0.to_owned();
    for changed in [
        text.replacen(r#""resultCode":"0000""#, r#""resultCode":"1001""#, 1),
        text.replacen(r#""sign":"#, r#""more":{},"sign":"#, 1),
        text.replacen(r#""sign":"#, r#""more":1,"sign":"#, 1),
        text.replacen(r#""sign":"#, r#""more":"a reading in base64","sign":"#, 1),
        text.replacen(r#""sign":"#, r#""more":[],"sign":"#, 1),
        text.replacen(r#""sign":"#, r#""bizPackage":null,"sign":"#, 1),
        text.replacen(r#""sign":"#, r#""sign" :"AA==","s":"#, 1),
        text.replacen(&object, "null", 1),
        text.replacen(&object, &format!(" {object} ").replacen(',', ", ", 1), 1),
        text.clone() + " x",
        "[]".to_owned(),
    ] {
        let mut story = good.clone();
        story.outcome.answer.as_mut().unwrap().octets = Octets::new(changed.clone());
        assert_eq!(story.failures(&site), ["answer-signature"], "{changed}");
    }
    // Another certificate of the same name in the answer.
    let renewed = text.split_once(r#""sign":""#).unwrap().1.split_once('"').unwrap().0;
    let der = STANDARD.decode(renewed).unwrap();
    let certificate = site.platform.certificate.as_der();
    let at = der.windows(certificate.len()).position(|window| window == certificate).unwrap();
    let mut changed = der.clone();
    changed[at + certificate.len() - 1] ^= 1;
    let mut story = good.clone();
    let changed = text.replacen(renewed, &STANDARD.encode(changed), 1);
    story.outcome.answer.as_mut().unwrap().octets = Octets::new(changed);
    assert_eq!(story.failures(&site), ["answer-signature"]);
    // The record's own copy must be the answer's.
    let other = site.answer(&object, "");
    let mut story = good.clone();
    story.outcome.answer.as_mut().unwrap().signature = other.signature;
    assert_eq!(story.failures(&site), ["answer-signature"]);
    let mut story = good.clone();
    story.outcome.answer.as_mut().unwrap().attributes = None;
    assert_eq!(story.failures(&site), ["answer-signature"]);
    let mut story = good.clone();
    story.outcome.answer = None;
    assert_eq!(story.failures(&site), ["answer-signature"]);
}

#[test]
fn an_answer_by_anyone_but_the_pinned_unrevoked_signer_is_refused() {
    let site = Site::new();
    let good = Story::of(&site);
    let by = |name: &str| {
        let identity = Identity::load(&site.layout.platform(name));
        let mut story = good.clone();
        story.outcome.answer = Some(site.answer_by(&identity, &object(&good.intent.request, NONCE, "S-1", ""), ""));
        story.outcome.signer = Some(signer(&identity));
        story.certificates[1] = identity.certificate.as_der().to_vec();
        story
    };
    assert_eq!(by("signing-unpinned").failures(&site), ["platform-signer"]);
    assert_eq!(by("signing-revoked").failures(&site), ["revocation"]);
    fails(&site, &by("signing-other-ca"), "platform-signer");
    fails(&site, &by("signing-other-ca"), "platform-chain");
    fails(&site, &by("encryption"), "platform-signer");
    // The right signer's name on another's signature.
    let mut story = by("signing-unpinned");
    story.outcome.signer = good.outcome.signer.clone();
    fails(&site, &story, "answer-signature");
    let mut story = good.clone();
    story.outcome.signer.as_mut().unwrap().hash = CertificateHash::new([1; 32]);
    fails(&site, &story, "platform-signer");
    let mut story = good.clone();
    story.outcome.signer = None;
    fails(&site, &story, "platform-signer");
}

#[test]
fn a_chain_with_a_link_missing_or_foreign_is_refused() {
    let site = Site::new();
    let good = Story::of(&site);
    let other = Identity::load(&site.layout.platform("other-ca")).certificate;
    let hash = |der: &[u8]| CertificateHash::new(yanqian_sm::sm3(&[der]));
    let mut story = good.clone();
    story.outcome.chain.pop();
    fails(&site, &story, "platform-chain");
    let mut story = good.clone();
    story.outcome.chain.clear();
    fails(&site, &story, "platform-chain");
    let mut story = good.clone();
    story.outcome.chain.remove(0);
    fails(&site, &story, "platform-chain");
    let mut story = good.clone();
    story.certificates.remove(2);
    fails(&site, &story, "platform-chain");
    let mut story = good.clone();
    story.outcome.chain[1] = hash(other.as_der());
    story.certificates[3] = other.as_der().to_vec();
    fails(&site, &story, "platform-chain");
    let trust = Trust { anchors: vec![other], ..site.trust() };
    let report = verify(&good.receipt(), &trust, &support::asked());
    assert_eq!(support::failures(&report), ["platform-chain"]);
}

#[test]
fn lists_that_are_missing_stale_forged_or_misquoted_are_refused() {
    let mut site = Site::new();
    let good = Story::of(&site);
    let mut story = good.clone();
    story.lists.pop();
    fails(&site, &story, "revocation");
    let mut story = good.clone();
    story.outcome.revocation.pop();
    fails(&site, &story, "revocation");
    let mut story = good.clone();
    story.outcome.revocation[0].next_update = None;
    assert_eq!(story.failures(&site), ["revocation"]);
    let mut story = good.clone();
    story.outcome.revocation.swap(0, 1);
    assert_eq!(story.failures(&site), ["revocation"]);
    let mut story = good.clone();
    story.outcome.revocation[0].kind = yanqian_evidence::RevocationKind::Ocsp;
    fails(&site, &story, "revocation");
    // A list whose hash the record names and that its issuer did not sign.
    let mut story = good.clone();
    let last = story.lists[0].len() - 1;
    story.lists[0][last] ^= 1;
    story.outcome.revocation[0].hash = ContentDigest::new(yanqian_sm::sm3(&[&story.lists[0]]));
    assert_eq!(story.failures(&site), ["revocation"]);

    let now = OffsetDateTime::from_unix_timestamp(site.now.unix_seconds()).unwrap();
    let pem = std::fs::read(site.layout.platform("signing").certificate).unwrap();
    let mut with_list = |last: Duration, next: Duration, serials: &[Vec<u8>]| {
        reissue_crl(&site.layout, Authority::Issuing, serials, now + last, now + next).unwrap();
        site.lists[0] = read_list(&site.layout, Authority::Issuing);
        Story::of(&site).failures(&site)
    };
    assert_eq!(with_list(-Duration::HOUR, Duration::HOUR, &[]), [""; 0]);
    assert_eq!(with_list(-Duration::HOUR, -Duration::MINUTE, &[]), ["revocation"], "it ended before");
    assert_eq!(with_list(Duration::MINUTE, Duration::HOUR, &[]), ["revocation"], "it begins after");
    assert_eq!(with_list(-Duration::HOUR, Duration::HOUR, &[serial(&pem).unwrap()]), ["revocation"], "it revokes");

    // The grace is the auditor's to give.
    let now = OffsetDateTime::from_unix_timestamp(site.now.unix_seconds()).unwrap();
    reissue_crl(&site.layout, Authority::Issuing, &[], now - Duration::HOUR, now - Duration::MINUTE).unwrap();
    site.lists[0] = read_list(&site.layout, Authority::Issuing);
    let trust = Trust { grace_seconds: 3600, ..site.trust() };
    assert!(verify(&Story::of(&site).receipt(), &trust, &support::asked()).holds());
}

#[test]
fn certificates_are_judged_as_of_the_time_that_is_asked_for() {
    let site = Site::new();
    let receipt = Story::of(&site).receipt();
    let at = |days: i64| {
        let at = Some(site.now.plus_millis(days * 86_400_000));
        support::failures(&verify(&receipt, &site.trust(), &Options { at, ..Options::default() }))
    };
    assert_eq!(at(10), [""; 0]);
    assert_eq!(at(29), [""; 0]);
    assert_eq!(at(31), ["entity-chain", "revocation"]);
    assert_eq!(
        at(400),
        ["entity-chain", "platform-chain", "revocation"].map(|step| step)[..2],
        "a chain that ended has no lists to ask"
    );
    assert_eq!(at(-1), ["entity-chain", "platform-chain"]);
}

#[test]
fn a_decision_that_its_records_do_not_carry_is_refused() {
    use FieldVerdict::{Match, Mismatch, Undecided};
    let site = Site::new();
    let good = Story::of(&site);
    let with = |change: &dyn Fn(&mut Story)| {
        let mut story = good.clone();
        change(&mut story);
        story.failures(&site)
    };
    let verdict = |overall, fields: &[(Field, FieldVerdict)]| Decision::Verdict {
        overall,
        fields: fields.iter().copied().collect::<BTreeMap<_, _>>(),
    };
    let all = |one| [(Field::Number, Match), (Field::Name, Match), (Field::BirthDate, one)];
    for (decision, holds) in [
        (verdict(Verdict::Match, &all(Match)), true),
        (verdict(Verdict::Mismatch, &all(Mismatch)), true),
        (verdict(Verdict::Undecided, &all(Undecided)), true),
        (verdict(Verdict::NotFound, &[]), true),
        (verdict(Verdict::Match, &all(Mismatch)), false),
        (verdict(Verdict::Mismatch, &all(Match)), false),
        (verdict(Verdict::Undecided, &all(Mismatch)), false),
        (verdict(Verdict::NotFound, &all(Match)), false),
        (verdict(Verdict::Match, &[(Field::Number, Match)]), false),
        (verdict(Verdict::Match, &[]), false),
    ] {
        let found = with(&|story| story.outcome.decision = decision.clone());
        let expected: &[&str] = if holds { &[] } else { &["decision"] };
        assert_eq!(found, expected, "{decision:?}");
    }
    for step in 0..good.outcome.steps.len() {
        assert_eq!(with(&|story| drop(story.outcome.steps.remove(step))), ["decision"], "{step}");
        assert_eq!(with(&|story| story.outcome.steps[step].refused = Some(Reason::PlatformTime)), ["decision"]);
    }
    let refused = |story: &mut Story, reason, last| {
        story.outcome.decision = Decision::Refused { reason };
        story.outcome.steps.push(Step { name: Label::new("schema"), refused: Some(last) });
    };
    assert_eq!(with(&|story| refused(story, Reason::PlatformSchema, Reason::PlatformSchema)), [""; 0]);
    assert_eq!(with(&|story| refused(story, Reason::PlatformSchema, Reason::PlatformNonce)), ["decision"]);
    assert_eq!(with(&|story| refused(story, Reason::AgreementPurpose, Reason::AgreementPurpose)), ["decision"]);
    let went_on = |story: &mut Story| {
        refused(story, Reason::PlatformSchema, Reason::PlatformSchema);
        story.outcome.steps.push(Step { name: Label::new("code"), refused: None });
    };
    assert_eq!(with(&went_on), ["decision"]);
    assert_eq!(with(&|story| story.intent.mode = Mode::RealPerson), ["decision", "commitment"]);
    // An exchange goes on only from an answer that passed.
    let mut story = Story::two_steps(&site);
    story.exchange.as_mut().unwrap().steps.pop();
    assert_eq!(story.failures(&site), ["decision"]);
}

#[test]
fn a_reading_that_the_platform_did_not_name_is_refused() {
    let site = Site::new();
    let good = Story::chip(&site);
    let failures = |story: &Story| support::failures(&verify(&story.receipt(), &site.trust(), &Options::default()));
    let mut story = good.clone();
    story.outcome.reading = Some(ContentDigest::new([1; 32]));
    assert_eq!(failures(&story), ["reading"]);
    let mut story = good.clone();
    story.outcome.reading = None;
    assert_eq!(failures(&story), ["reading"]);
    let mut story = Story::of(&site);
    story.outcome.reading = Some(ContentDigest::new([0xee; 32]));
    assert_eq!(failures(&story), ["reading"]);
}

#[test]
fn records_of_different_checks_and_contexts_are_no_receipt() {
    let site = Site::new();
    let good = Story::of(&site);
    let mut receipt = good.receipt();
    receipt.verification = VerificationId::new(Timestamp::from_unix_millis(1), [1; 10]);
    assert_eq!(support::failures(&support::report(&receipt, &site)), ["story"]);
    let mut receipt = good.receipt();
    receipt.records.swap(0, 1);
    assert_eq!(support::failures(&support::report(&receipt, &site)), ["story"]);
    let mut receipt = Story::two_steps(&site).receipt();
    receipt.records.remove(1);
    assert_eq!(support::failures(&support::report(&receipt, &site)), ["story"]);
    let mut records = good.records();
    records[1].context.node = yanqian_vocabulary::NodeId::new("node-2").unwrap();
    let octets = records.iter().map(yanqian_evidence::Record::encode).collect();
    let receipt = yanqian_evidence::Receipt::new(octets, good.certificates.clone(), good.lists.clone(), None).unwrap();
    assert_eq!(support::failures(&support::report(&receipt, &site)), ["story"]);
}

#[test]
fn what_no_record_leads_to_is_not_let_ride_along() {
    let site = Site::new();
    let mut story = Story::of(&site);
    story.certificates.push(Identity::load(&site.layout.platform("other-ca")).certificate.as_der().to_vec());
    assert_eq!(story.failures(&site), ["evidence"]);
    let mut story = Story::of(&site);
    story.lists.push(vec![0x30, 0]);
    assert_eq!(story.failures(&site), ["evidence"]);
    // An authority above the entity's certificate is led to.
    let mut story = Story::of(&site);
    story.certificates.push(Identity::load(&site.layout.entity("ca")).certificate.as_der().to_vec());
    assert_eq!(story.failures(&site), [""; 0]);
}

#[test]
fn a_commitment_opens_only_for_what_was_asked() {
    let site = Site::new();
    let story = Story::of(&site);
    let failures = |story: &Story, asked: &str| {
        let options = Options { at: None, asked: Some(Asked::from_json(asked.as_bytes()).unwrap()) };
        support::failures(&verify(&story.receipt(), &site.trust(), &options))
    };
    assert_eq!(failures(&story, support::ASKED), [""; 0]);
    let bare = r#"{"document":{"type":"prc-passport","number":"E12345678","name":"张伟","birth_date":"1990-01-02"}}"#;
    assert_eq!(failures(&story, bare), [""; 0], "purpose and reference may be left out");
    for (from, to) in [
        ("E12345678", "E12345679"),
        ("张伟", "张玮"),
        ("1990-01-02", "1990-01-03"),
        (r#""birth_date""#, r#""expiry":"2031-01-01","birth_date""#),
        ("account-opening", "other-purpose"),
        ("prc-passport", "taiwan-permit"),
        ("1990-01-02", "2990-01-02"),
        (r#""name":"张伟","#, ""),
        (r#""document""#, r#""portrait":"AAAA","document""#),
    ] {
        assert!(support::ASKED.contains(from));
        assert_eq!(failures(&story, &support::ASKED.replacen(from, to, 1)), ["commitment"], "{from} {to}");
    }
    let mut other = story.clone();
    other.salt = Some([1; 32]);
    assert_eq!(failures(&other, support::ASKED), ["commitment"]);
    other.salt = None;
    assert_eq!(failures(&other, support::ASKED), ["commitment"]);
    let mut other = story.clone();
    other.intent.purpose = PurposeCode::new("loan").unwrap();
    assert_eq!(failures(&other, support::ASKED), ["commitment"]);
}
