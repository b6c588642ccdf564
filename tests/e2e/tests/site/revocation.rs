//! Revocation data that the daemon fetches itself, ahead of need, and what it does when they are not to be had.

use std::time::Duration;

use time::OffsetDateTime;
use yanqian_devpki::{Authority, Layout, OcspStatus, reissue_crl, serial};
use yanqian_harness::{Caller, Publisher, Site};

use crate::support::{assert_problem, assert_verdict, good, site, within};

const SOON: Duration = Duration::from_mins(1);

async fn code(caller: &Caller) -> String {
    caller.ask(&good("revocation")).await.unwrap().code()
}

async fn comes_to(caller: &Caller, wanted: &str) {
    within(SOON, wanted).until(async || (code(caller).await == wanted).then_some(())).await;
}

/// Restarts the daemon with these values of `[platform.revocation]`.
async fn configure(site: &mut Site, values: &[(&str, toml::Value)]) {
    for (key, value) in values {
        site.reconfigure(&format!("platform.revocation.{key}"), value.clone()).unwrap();
    }
    site.stop_daemon();
    site.start_daemon().await.unwrap();
}

fn responder(publisher: &Publisher, nonce: &str) -> toml::Value {
    let mut table = toml::Table::new();
    table.insert("url".to_owned(), publisher.url("ocsp").into());
    table.insert("nonce".to_owned(), nonce.into());
    toml::Value::Array(vec![table.into()])
}

/// The platform's signer as a certificate that is known ahead.
fn know_the_signer(site: &Site) {
    let folder = site.places().trust().join("signing");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::copy(site.places().pki().platform("signing").certificate, folder.join("signing.pem")).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_responder_is_asked_ahead_of_need_and_its_word_is_in_the_receipt() {
    let mut site = site().await;
    let publisher = Publisher::start(&site.places().pki()).await.unwrap();
    know_the_signer(&site);
    let settings =
        [("signer", "ocsp".into()), ("refresh_seconds", 10.into()), ("responder", responder(&publisher, "require"))];
    configure(&mut site, &settings).await;
    within(SOON, "the responder is asked").until(async || (publisher.seen().0 > 0).then_some(())).await;
    let caller = site.caller("core-banking").unwrap();
    comes_to(&caller, "match").await;
    let asked = publisher.seen().0;
    let mut last = None;
    for _ in 0..20 {
        last = Some(caller.ask(&good("many")).await.unwrap());
    }
    let reply = last.unwrap();
    assert_verdict(&reply, "match");
    assert!(publisher.seen().0 <= asked + 2, "no check asks the responder");

    let record = site.records_of(&reply.id()).unwrap().pop().unwrap();
    assert_eq!(record.text("/body/revocation/0/kind"), "ocsp", "{:?}", record.0);
    assert_eq!(record.text("/body/revocation/1/kind"), "crl");
    let receipt = caller.receipt(&reply.id()).await.unwrap();
    let file = site.places().root().join("receipt.json");
    std::fs::write(&file, &receipt.body).unwrap();
    let verified = site.verify_receipt(&file, &[]).unwrap();
    assert_eq!(verified.code, Some(0), "{}", verified.all());

    publisher.says(OcspStatus::Revoked);
    comes_to(&caller, "platform-signer-revoked").await;
    let page = site.metrics().await.unwrap();
    assert!(page.value("yanqian_revocation_fetches_total{result=\"ok\",source=\"ocsp\"}").unwrap() >= 2.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_responder_that_is_away_is_outlived_by_its_last_word_and_a_restart_and_then_answers_are_refused() {
    let mut site = site().await;
    let publisher = Publisher::start(&site.places().pki()).await.unwrap();
    publisher.serves_for(30);
    let settings =
        [("signer", "ocsp".into()), ("refresh_seconds", 10.into()), ("responder", responder(&publisher, "offer"))];
    configure(&mut site, &settings).await;
    let caller = site.caller("core-banking").unwrap();
    // Nobody knew the signer ahead: the first answer is refused, and makes it known.
    assert_problem(&caller.ask(&good("first")).await.unwrap(), 502, "platform-revocation-stale");
    comes_to(&caller, "match").await;
    publisher.answers(false);
    site.stop_daemon();
    site.start_daemon().await.unwrap();
    let caller = site.caller("core-banking").unwrap();
    assert_verdict(&caller.ask(&good("kept")).await.unwrap(), "match");
    comes_to(&caller, "platform-revocation-stale").await;
    publisher.answers(true);
    publisher.gives_nonces_back(false);
    comes_to(&caller, "match").await;
}

fn reissue(pki: &Layout, serials: &[Vec<u8>], last: i64) -> Vec<u8> {
    let at = |seconds| OffsetDateTime::now_utc() + time::Duration::seconds(seconds);
    let kept = std::fs::read(pki.trust_crl(Authority::Issuing)).unwrap();
    reissue_crl(pki, Authority::Issuing, serials, at(last), at(86_400)).unwrap();
    // It is published, not put into the store.
    std::fs::write(pki.trust_crl(Authority::Issuing), kept).unwrap();
    std::fs::read(pki.crl(Authority::Issuing)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_fetched_and_an_old_one_played_back_takes_nothing_away() {
    let mut site = site().await;
    let pki = site.places().pki();
    let publisher = Publisher::start(&pki).await.unwrap();
    let old = std::fs::read(pki.crl(Authority::Issuing)).unwrap();
    let urls = toml::Value::Array(vec![publisher.url("issuing.crl").into()]);
    configure(&mut site, &[("refresh_seconds", 10.into()), ("crl_urls", urls)]).await;
    let caller = site.caller("core-banking").unwrap();
    comes_to(&caller, "match").await;
    let signer = serial(&std::fs::read(pki.platform("signing").certificate).unwrap()).unwrap();
    reissue(&pki, std::slice::from_ref(&signer), -1);
    comes_to(&caller, "platform-signer-revoked").await;
    std::fs::write(pki.crl(Authority::Issuing), old).unwrap();
    let older = "yanqian_revocation_fetches_total{result=\"older\",source=\"crl\"}";
    let refused = async || site.metrics().await.unwrap().value(older).filter(|count| *count > 0.0);
    within(SOON, "the old list is refused").until(refused).await;
    assert_eq!(code(&caller).await, "platform-signer-revoked");
    reissue(&pki, &[], 0);
    comes_to(&caller, "match").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_platform_whose_tls_certificate_is_revoked_is_sent_nothing_until_it_is_vouched_for_again() {
    let mut site = site().await;
    let pki = site.places().pki();
    let publisher = Publisher::start(&pki).await.unwrap();
    let urls = toml::Value::Array(vec![publisher.url("issuing.crl").into()]);
    configure(&mut site, &[("tls", "crl".into()), ("refresh_seconds", 10.into()), ("crl_urls", urls)]).await;
    let caller = site.caller("core-banking").unwrap();
    comes_to(&caller, "match").await;
    let tls = serial(&std::fs::read(pki.platform("tls").certificate).unwrap()).unwrap();
    reissue(&pki, std::slice::from_ref(&tls), -1);
    // Also over the connection that was there already.
    comes_to(&caller, "platform-identity").await;
    let sent = site.sim().stats().await.unwrap().requests;
    assert_problem(&caller.ask(&good("revoked")).await.unwrap(), 502, "platform-identity");
    assert_eq!(site.sim().stats().await.unwrap().requests, sent, "nothing is sent");
    let log = std::fs::read_to_string(site.places().daemon_log()).unwrap();
    assert!(log.contains("a TLS certificate is revoked"), "{log}");
    reissue(&pki, &[], 0);
    comes_to(&caller, "match").await;
}
