//! Whatever the platform, or somebody in its place, answers: refused with its own reason, in the reply, the ledger and the
//! metrics alike.

use yanqian_harness::Misbehaviour as M;
use yanqian_harness::{File, Form, Service, Site};

use crate::support::{Marks, assert_problem, assert_verdict, good, site_with};

/// What each way of misbehaving leads to.
#[rustfmt::skip]
const EXPECTED: &[(M, u16, &str)] = &[
    (M::BrokenSignature, 502, "platform-signature"),
    (M::AlteredAfterSigning, 502, "platform-signature"),
    (M::WrongRequest, 502, "platform-nonce"),
    (M::OtherNonce, 502, "platform-nonce"),
    (M::OtherDigest, 502, "platform-digest"),
    (M::Replay, 502, "platform-nonce"),
    (M::RevokedSigner, 502, "platform-signer-revoked"),
    (M::UnpinnedSigner, 502, "platform-signer-unknown"),
    (M::ChainedUnpinnedSigner, 502, "platform-signer-unknown"),
    (M::EncryptionCertSigns, 502, "platform-signer-unknown"),
    (M::AttributesMissing, 502, "platform-envelope"),
    (M::StaleTime, 502, "platform-time"),
    (M::FutureTime, 502, "platform-time"),
    (M::UnknownCode, 502, "platform-code-unknown"),
    (M::MissingMember, 502, "platform-schema"),
    (M::DuplicateMember, 502, "platform-schema"),
    (M::DuplicatePackage, 502, "platform-envelope"),
    (M::MissingFields, 502, "platform-schema"),
    (M::Contradiction, 502, "platform-schema"),
    (M::Suspended, 502, "platform-refused"),
    (M::Busy, 502, "platform-refused"),
    (M::NotJson, 502, "platform-envelope"),
    (M::MissingSign, 502, "platform-envelope"),
    (M::TrailingGarbage, 502, "platform-envelope"),
    (M::TruncatedDer, 502, "platform-envelope"),
    (M::DerTrailingGarbage, 502, "platform-envelope"),
    (M::HugeBody, 502, "platform-answer-too-large"),
    (M::SlowBody, 502, "platform-deadline"),
    (M::EndlessBody, 502, "platform-answer-too-large"),
    (M::CutBody, 504, "outcome-unknown"),
    (M::Status500, 502, "platform-status"),
    (M::Status503, 502, "platform-status"),
    (M::Redirect, 502, "platform-status"),
    (M::WrongContentType, 502, "platform-envelope"),
    (M::CloseBeforeAnswer, 504, "outcome-unknown"),
    (M::Hang, 504, "outcome-unknown"),
];

fn impatient(options: yanqian_harness::Options) -> yanqian_harness::Options {
    let options = options.with(File::Profile, "limits.head_ms", 1500).with(File::Profile, "limits.body_ms", 1000);
    // One wrong answer after the other, and none of them is why the next is not asked for.
    options.with(File::Daemon, "link.breaker_failures", 10_000).with(File::Daemon, "link.breaker_samples", 10_000)
}

async fn every_misbehaviour_is_refused(site: &Site) {
    let of_real_name = M::ALL.iter().filter(|one| one.applies_to(Service::RealName)).count();
    assert_eq!(EXPECTED.len(), of_real_name, "a misbehaviour is missing from the table");
    let caller = site.caller("core-banking").unwrap();
    // So that a replay has something to repeat.
    assert_verdict(&caller.ask(&good("first")).await.unwrap(), "match");
    for (misbehaviour, status, code) in EXPECTED {
        let before = Marks::of(site).await;
        site.sim().misbehave(*misbehaviour, 1).await.unwrap();
        let reply = caller.ask(&good(misbehaviour.name())).await.unwrap();
        assert_eq!((reply.status, reply.code()), (*status, (*code).to_owned()), "{misbehaviour}");
        assert_problem(&reply, *status, code);
        assert_eq!(before.since(site).await, Marks { signatures: 1, requests: 1 }, "{misbehaviour}");

        let records = site.records_of(&reply.id()).unwrap();
        let kinds: Vec<_> = records.iter().map(yanqian_harness::Record::kind).collect();
        assert_eq!(kinds, ["intent", "outcome"], "{misbehaviour}");
        assert_eq!(records[1].reason(), *code, "{misbehaviour}");
        if let Some((_, refused)) = records[1].steps().last() {
            assert_eq!(refused, code, "{misbehaviour}: the last step is the one that refused");
        }
        let again = caller.look_up(&reply.id()).await.unwrap();
        assert_eq!((again.status, again.body), (reply.status, reply.body), "{misbehaviour}");
    }
    assert_verdict(&caller.ask(&good("last")).await.unwrap(), "match");
    assert_eq!(site.sim().stats().await.unwrap().duplicates, 0);

    let refused = site.metrics().await.unwrap().by_label("yanqian_refusals_total", "reason");
    for (_, _, code) in EXPECTED {
        let expected = EXPECTED.iter().filter(|(_, _, other)| other == code).count();
        assert_eq!(refused.get(*code).copied(), u64::try_from(expected).ok(), "{code}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_wrong_answer_of_the_reference_platform_is_refused_with_its_reason() {
    every_misbehaviour_is_refused(&site_with(impatient).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_wrong_answer_of_a_platform_with_another_profile_is_refused_with_its_reason() {
    every_misbehaviour_is_refused(&site_with(|options| impatient(options.form(Form::Second))).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_accepted_once_even_across_a_restart() {
    let mut site = site_with(|options| options).await;
    let caller = site.caller("core-banking").unwrap();
    assert_verdict(&caller.ask(&good("first")).await.unwrap(), "match");
    site.stop_daemon().expect("an orderly stop");
    site.start_daemon().await.unwrap();
    site.sim().misbehave(M::Replay, 1).await.unwrap();
    let reply = site.caller("core-banking").unwrap().ask(&good("second")).await.unwrap();
    assert_problem(&reply, 502, "platform-nonce");
}
