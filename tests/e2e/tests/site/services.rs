//! All three services of art. 4, in one step and in two, many at once, and what must not come of them.

use std::time::Duration;

use serde_json::{Value, json};
use yanqian_harness::people::{self, Holder, NumberForm};
use yanqian_harness::{File, Form, Misbehaviour as M, Service, Site, Variant};

use crate::support::{Marks, assert_problem, assert_verdict, good, site, site_with, within};

/// Somebody with a chip, and another one of the same kind.
fn pair() -> (Holder, Holder) {
    let mut of_form = people::register().into_iter().filter(|holder| holder.form == NumberForm::PassportDigits);
    (of_form.next().unwrap(), of_form.next().unwrap())
}

fn person(holder: &Holder, jpeg: &[u8]) -> Value {
    people::with_portrait(&people::about(holder, "person"), jpeg)
}

async fn chip(site: &Site, holder: &Holder, variant: Variant) -> Value {
    people::chip_request(holder, "chip", &site.sim().chip(&holder.number, variant).await.unwrap())
}

/// A site on each platform that there is.
async fn on_every_platform(check: impl AsyncFn(&Site)) {
    for form in [Form::Reference, Form::Second, Form::TwoStep] {
        check(&site_with(|options| options.form(form)).await).await;
    }
}

/// Signatures and requests that one check takes.
fn steps(site: &Site) -> Marks {
    let steps = if site.options().form == Form::TwoStep { 2 } else { 1 };
    Marks { signatures: steps, requests: steps }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_portrait_matches_however_it_was_encoded_and_anothers_does_not() {
    on_every_platform(async |site: &Site| {
        let caller = site.caller("core-banking").unwrap();
        let (holder, other) = pair();
        let cases = [
            (people::portrait(&holder), "match", "match"),
            (people::portrait_reencoded(&holder), "match", "match"),
            (people::portrait(&other), "mismatch", "mismatch"),
        ];
        for (jpeg, verdict, portrait) in cases {
            let before = Marks::of(site).await;
            let reply = caller.ask(&person(&holder, &jpeg)).await.unwrap();
            assert_verdict(&reply, verdict);
            assert_eq!(reply.json()["fields"]["portrait"], portrait);
            assert_eq!(reply.json()["fields"]["name"], "match");
            assert_eq!(before.since(site).await, steps(site));
        }
        let seen = site.sim().seen().await.unwrap();
        let pictures = seen.iter().filter_map(|request| request.inner.clone()).map(|inner| inner.to_string());
        assert!(pictures.into_iter().all(|inner| inner.contains("picture of")), "each envelope held one");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_reaches_the_platform_without_its_metadata() {
    let site = site().await;
    let (holder, _) = pair();
    let jpeg = people::portrait_reencoded(&holder);
    assert!(jpeg.windows(11).any(|window| window == b"GPSLatitude"), "the picture tells where it was taken");
    let reply = site.caller("core-banking").unwrap().ask(&person(&holder, &jpeg)).await.unwrap();
    assert_verdict(&reply, "match");
    let inner = site.sim().seen().await.unwrap()[0].inner.clone().unwrap().to_string();
    let octets: usize = inner.split("picture of ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    assert!(octets < jpeg.len(), "{octets} of {}", jpeg.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn pictures_and_chip_files_that_are_none_are_refused_and_never_signed() {
    let site = site().await;
    let caller = site.caller("core-banking").unwrap();
    let (holder, _) = pair();
    let whole = people::portrait(&holder);
    let mut large = people::portrait_of_size(&holder, 1 << 20);
    large.resize((1 << 20) + 1, 0);
    let genuine = chip(&site, &holder, Variant::Genuine).await;
    let with_chip = |file: &str, value: &str| {
        let mut request = genuine.clone();
        request["chip"][file] = value.into();
        request
    };
    let permit = {
        let mut request = genuine.clone();
        request["document"]["type"] = "taiwan-permit".into();
        request
    };
    let cases = [
        (person(&holder, b"GIF89a"), "portrait-encoding", "portrait"),
        (person(&holder, &whole[..whole.len() / 2]), "portrait-encoding", "portrait"),
        (person(&holder, &large), "portrait-size", "portrait"),
        (with_chip("dg1", "YQA="), "chip-file", "chip.dg1"),
        (with_chip("sod", "no base64"), "chip-file", "chip.sod"),
        (permit, "chip-document-type", "chip.dg1"),
    ];
    let before = Marks::of(&site).await;
    for (request, code, field) in cases {
        let reply = caller.ask(&request).await.unwrap();
        assert_problem(&reply, 422, code);
        assert_eq!(reply.text("/field"), field);
        assert_eq!(site.records_of(&reply.id()).unwrap()[0].kind(), "refusal");
    }
    assert_eq!(before.since(&site).await, Marks::NOTHING);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_genuine_chip_is_read_and_a_false_one_is_not() {
    on_every_platform(async |site: &Site| {
        let caller = site.caller("core-banking").unwrap();
        for form in [NumberForm::PassportDigits, NumberForm::HongKongOld, NumberForm::ForeignResident2023] {
            let holder = people::holder(form);
            let before = Marks::of(site).await;
            let reply = caller.ask(&chip(site, &holder, Variant::Genuine).await).await.unwrap();
            assert_verdict(&reply, "match");
            let body = reply.json();
            assert_eq!(body["fields"], json!({ "chip": "match" }));
            let reading = &body["reading"];
            assert_eq!(
                (&reading["number"], &reading["name"], &reading["birth_date"], &reading["expiry"], &reading["type"]),
                (
                    &json!(holder.number),
                    &json!(holder.name),
                    &json!(holder.birth_date.to_string()),
                    &json!(holder.expiry_date.to_string()),
                    &json!(people::document_type(holder.kind)),
                )
            );
            assert!(reading["sex"] == "female" || reading["sex"] == "male");
            assert_eq!(before.since(site).await, steps(site));
        }
        let holder = people::holder(NumberForm::PassportLetter);
        for variant in [Variant::AlteredZone, Variant::ForeignSigner, Variant::OthersSecurityObject] {
            let reply = caller.ask(&chip(site, &holder, variant).await).await.unwrap();
            assert_verdict(&reply, "mismatch");
            assert_eq!(reply.json()["fields"], json!({ "chip": "mismatch" }));
            assert_eq!(reply.json().get("reading"), None);
        }
    })
    .await;
}

/// A reading goes to its caller once. What is kept for the key and the id, the ledger, and the state have none.
#[tokio::test(flavor = "multi_thread")]
async fn a_reading_is_given_once_and_kept_nowhere() {
    let site = site().await;
    let caller = site.caller("core-banking").unwrap();
    let (holder, _) = pair();
    let request = chip(&site, &holder, Variant::Genuine).await;
    let first = caller.ask_once("reading-1", &request).await.unwrap();
    assert_eq!(first.json()["reading"]["name"], holder.name.as_str());
    let again = caller.ask_once("reading-1", &request).await.unwrap();
    assert_verdict(&again, "match");
    assert_eq!(again.header("idempotency-replayed"), "true");
    let found = caller.look_up(&first.id()).await.unwrap();
    assert_verdict(&found, "match");
    let receipt = caller.receipt(&first.id()).await.unwrap();
    assert_eq!(receipt.status, 200);
    for kept in [&again, &found, &receipt] {
        assert_eq!(kept.json().get("reading"), None);
        let text = String::from_utf8_lossy(&kept.body).into_owned();
        assert!(!text.contains(&holder.name) && !text.contains(&holder.number), "{text}");
    }
    let outcome = site.records_of(&first.id()).unwrap().pop().unwrap();
    let answer = outcome.text("/body/answer");
    assert!(answer.ends_with("\"reading\":null}"), "not even the sealed one is kept: {answer}");
    assert!(answer.contains(&outcome.text("/body/reading")), "but its digest is, as the platform signed it");
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_lie_about_portraits_or_readings_are_refused() {
    const READINGS: [(M, &str); 7] = [
        (M::ReadingMissing, "platform-reading"),
        (M::ReadingDigest, "platform-reading"),
        (M::ReadingOtherKey, "platform-reading"),
        (M::ReadingAltered, "platform-reading"),
        (M::ReadingGarbage, "platform-reading"),
        (M::ReadingOtherDocument, "platform-reading"),
        (M::ReadingUnasked, "platform-reading"),
    ];
    assert_eq!(M::ALL.iter().filter(|one| !one.applies_to(Service::RealName)).count(), READINGS.len() + 1);
    for form in [Form::Reference, Form::Second] {
        let site = site_with(|options| options.form(form)).await;
        let caller = site.caller("core-banking").unwrap();
        let (holder, _) = pair();
        site.sim().misbehave(M::MissingPortrait, 1).await.unwrap();
        let reply = caller.ask(&person(&holder, &people::portrait(&holder))).await.unwrap();
        assert_problem(&reply, 502, "platform-schema");
        for (misbehaviour, code) in READINGS {
            let variant = if misbehaviour == M::ReadingUnasked { Variant::ForeignSigner } else { Variant::Genuine };
            site.sim().misbehave(misbehaviour, 1).await.unwrap();
            let reply = caller.ask(&chip(&site, &holder, variant).await).await.unwrap();
            assert_eq!((reply.status, reply.code()), (502, code.to_owned()), "{misbehaviour}");
            let records = site.records_of(&reply.id()).unwrap();
            assert_eq!(records[1].reason(), code, "{misbehaviour}");
            let text = records[1].0.to_string();
            let sealed = ["\\\"reading\\\":\\\"", "\\\"result\\\":\\\""];
            assert!(!sealed.iter().any(|member| text.contains(member)), "{misbehaviour}: a sealed reading was kept");
        }
        assert_verdict(&caller.ask(&chip(&site, &holder, Variant::Genuine).await).await.unwrap(), "match");
    }
}

/// Both steps stand in the ledger, in order, each with what was signed before it was.
#[tokio::test(flavor = "multi_thread")]
async fn both_steps_of_an_exchange_are_recorded_and_bound_to_each_other() {
    let site = site_with(|options| options.form(Form::TwoStep)).await;
    let caller = site.caller("core-banking").unwrap();
    let reply = caller.ask(&good("two")).await.unwrap();
    assert_verdict(&reply, "match");
    let records = site.records_of(&reply.id()).unwrap();
    let kinds: Vec<_> = records.iter().map(yanqian_harness::Record::kind).collect();
    assert_eq!(kinds, ["intent", "exchange", "outcome"]);
    let nonces = [records[0].text("/body/nonce"), records[1].text("/body/next/nonce")];
    assert_ne!(nonces[0], nonces[1]);
    let seen = site.sim().seen().await.unwrap();
    let sent: Vec<_> = seen.iter().map(|request| request.nonce.clone().unwrap()).collect();
    assert_eq!(sent, nonces, "each step had its own, as recorded");
    assert_eq!(seen[0].inner, None, "no personal data travels in the application");

    // An answer to the application that does not hold ends the check before anything about a person is signed.
    for (misbehaviour, code) in [
        (M::BrokenSignature, "platform-signature"),
        (M::OtherNonce, "platform-nonce"),
        (M::OtherDigest, "platform-digest"),
        (M::Suspended, "platform-refused"),
        (M::RevokedSigner, "platform-signer-revoked"),
    ] {
        let before = Marks::of(&site).await;
        site.sim().misbehave(misbehaviour, 1).await.unwrap();
        let reply = caller.ask(&good("refused")).await.unwrap();
        assert_problem(&reply, 502, code);
        assert_eq!(before.since(&site).await, Marks { signatures: 1, requests: 1 }, "{misbehaviour}");
        let kinds: Vec<_> = site.records_of(&reply.id()).unwrap().iter().map(yanqian_harness::Record::kind).collect();
        assert_eq!(kinds, ["intent", "outcome"], "{misbehaviour}");
    }
    assert_eq!(site.ledger_verify().unwrap().code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_used_up_once_the_application_may_have_been_sent() {
    let site = site_with(|options| options.form(Form::TwoStep)).await;
    let caller = site.caller("core-banking").unwrap();
    site.sim().misbehave(M::CloseBeforeAnswer, 1).await.unwrap();
    let first = caller.ask_once("applied", &good("applied")).await.unwrap();
    assert_problem(&first, 504, "outcome-unknown");
    let again = caller.ask_once("applied", &good("applied")).await.unwrap();
    assert_eq!((again.status, &again.body), (504, &first.body));
    assert_eq!(site.sim().stats().await.unwrap().requests, 1);
}

/// Of each service this many at once, and then again.
const AT_ONCE: u32 = 64;

/// Waits until so many checks are under way at the same moment.
async fn all_under_way(site: &Site, count: u32) {
    within(Duration::from_secs(50), "all checks are under way at once")
        .until(async || {
            let in_flight = site.metrics().await.unwrap().value("yanqian_checks_in_flight");
            in_flight.filter(|in_flight| *in_flight >= f64::from(count))
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_service_answers_many_at_once_without_mixing_them() {
    let site = site().await;
    let caller = site.caller("core-banking").unwrap();
    let (holder, other) = pair();
    let requests = [
        (good("at once"), "match"),
        (person(&holder, &people::portrait(&holder)), "match"),
        (person(&holder, &people::portrait(&other)), "mismatch"),
        (chip(&site, &holder, Variant::Genuine).await, "match"),
        (chip(&site, &other, Variant::Genuine).await, "match"),
        (chip(&site, &holder, Variant::ForeignSigner).await, "mismatch"),
    ];
    for pair in requests.chunks(2) {
        // Held back by the platform until all of them are there.
        site.sim().delay(4000).await.unwrap();
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..AT_ONCE {
            let (caller, (mut request, verdict)) = (caller.clone(), pair[number as usize % 2].clone());
            request["reference"] = format!("at-once-{number}").into();
            tasks.spawn(async move {
                let reply = caller.ask(&request).await.unwrap();
                assert_verdict(&reply, verdict);
                assert_eq!(reply.text("/reference"), format!("at-once-{number}"));
                reply.text("/reading/number")
            });
        }
        all_under_way(&site, AT_ONCE).await;
        let numbers: std::collections::BTreeSet<_> = tasks.join_all().await.into_iter().collect();
        assert!(numbers.iter().all(|read| read.is_empty() || *read == holder.number || *read == other.number));
    }
    assert_eq!(site.sim().stats().await.unwrap().duplicates, 0);
}

/// Kibibytes of a value in `/proc/PID/status`.
fn memory(pid: u32, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// With the largest pictures, as many at once as this many, all held back by the platform.
const LARGE: u32 = 200;
/// A request in base64 (1.34 MiB), the picture decoded from it (1 MiB), the body sealed and in base64 twice (1.9 MiB), and what
/// the allocator does not give back at once. The largest of these that stand together come to about 4 MiB.
const MIB_EACH: u64 = 5;

#[tokio::test(flavor = "multi_thread")]
async fn memory_stays_bounded_with_the_largest_pictures_in_flight() {
    // The platform, too, has so many pictures to look at.
    let site = site_with(|options| options.with(File::Profile, "limits.head_ms", 55_000)).await;
    let caller = site.caller("core-banking").unwrap();
    let pid = site.daemon_pid().unwrap();
    let (holder, _) = pair();
    let jpeg = people::portrait_of_size(&holder, 1 << 20);
    assert!(jpeg.len() > 900 << 10, "{}", jpeg.len());
    let body = bytes::Bytes::from(person(&holder, &jpeg).to_string());
    assert_verdict(&caller.ask(&good("warm")).await.unwrap(), "match");
    let before = memory(pid, "VmRSS:");

    // The last picture has come before the first is answered.
    site.sim().delay(8000).await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..LARGE {
        let (caller, body) = (caller.clone(), body.clone());
        let headers = [("content-type", "application/json")];
        tasks.spawn(async move { caller.send(http::Method::POST, yanqian_harness::REAL_PERSON, &headers, body).await });
    }
    all_under_way(&site, LARGE).await;
    for reply in tasks.join_all().await {
        assert_verdict(&reply.unwrap(), "match");
    }
    let peak = memory(pid, "VmHWM:");
    let each = (peak.saturating_sub(before)) / u64::from(LARGE);
    assert!(each <= MIB_EACH << 10, "{each} KiB for each of {LARGE}; {before} before, {peak} at most");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_readings_key_is_read_in_the_encoding_that_the_profile_declares_and_in_no_other() {
    for (declared, order) in [("c1c3c2", "reading/key-as-c1-c3-c2"), ("c1c2c3", "reading/key-as-c1-c2-c3")] {
        let site = site_with(|options| options.with(File::Profile, "answer.reading.encrypted_key", declared)).await;
        let caller = site.caller("core-banking").unwrap();
        let (holder, _) = pair();
        let request = chip(&site, &holder, Variant::Genuine).await;
        site.sim().enqueue(&[Some(order)]).await.unwrap();
        let reply = caller.ask(&request).await.unwrap();
        assert_verdict(&reply, "match");
        assert_eq!(reply.json()["reading"]["number"], holder.number.as_str());
        // What the standard says is not what was declared.
        assert_problem(&caller.ask(&request).await.unwrap(), 502, "platform-reading");
    }
}
