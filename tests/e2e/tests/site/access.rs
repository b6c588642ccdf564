//! Who may ask, and who may look.

use http::Method;
use tokio_rustls::rustls::HandshakeKind;
use yanqian_harness::REAL_NAME;

use crate::support::{Marks, assert_problem, assert_verdict, good, site, site_with};

#[tokio::test(flavor = "multi_thread")]
async fn without_a_client_certificate_there_is_no_conversation() {
    let site = site().await;
    let nobody = site.nobody().unwrap();
    assert!(nobody.ask(&good("r")).await.is_err());
    assert!(nobody.get(REAL_NAME).await.is_err());
    let rejected = site.metrics().await.unwrap().by_label("yanqian_rejected_total", "cause");
    assert_eq!(rejected.get("tls-handshake"), Some(&2), "{rejected:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_another_authority_is_no_certificate() {
    let site = site().await;
    let elsewhere = tempfile::tempdir().unwrap();
    let foreign = yanqian_devpki::generate(elsewhere.path(), &yanqian_devpki::Options::default()).unwrap();
    // The right name in it changes nothing.
    let caller = site.caller_with("core-banking", Some(&foreign.caller("core-banking"))).unwrap();
    assert!(caller.ask(&good("r")).await.is_err());
    assert_eq!(Marks::of(&site).await.requests, 0);
}

/// A session that is taken up again would carry its certificate on beyond its end: every connection shows it anew.
#[tokio::test(flavor = "multi_thread")]
async fn no_connection_takes_up_an_earlier_ones_certificate() {
    let site = site().await;
    let caller = site.caller("core-banking").unwrap();
    for _ in 0..3 {
        assert_verdict(&caller.ask(&good("r")).await.unwrap(), "match");
        let handshake = caller.connect().await.unwrap().get_ref().1.handshake_kind();
        assert_eq!(handshake, Some(HandshakeKind::Full));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_the_agreement_does_not_name_is_turned_away_unread() {
    let site = site().await;
    let before = Marks::of(&site).await;
    let stranger = site.caller("stranger").unwrap();
    for body in [good("r").to_string(), "{".to_owned(), "x".repeat(1 << 20)] {
        assert_problem(&stranger.post(body, &[]).await.unwrap(), 403, "caller-unknown");
    }
    assert_eq!(before.since(&site).await, Marks::NOTHING);
    let kinds: Vec<_> = site.ledger_records().unwrap().iter().map(yanqian_harness::Record::kind).collect();
    assert!(!kinds.iter().any(|kind| kind == "refusal" || kind == "intent"), "{kinds:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_is_shown_to_the_caller_who_asked_and_to_nobody_else() {
    let site = site().await;
    let asker = site.caller("core-banking").unwrap();
    let reply = asker.ask(&good("r")).await.unwrap();
    assert_verdict(&reply, "match");
    assert_eq!(asker.look_up(&reply.id()).await.unwrap().body, reply.body);
    let other = site.caller("branch-kiosk").unwrap();
    assert_problem(&other.look_up(&reply.id()).await.unwrap(), 404, "not-found");
    assert_problem(&site.caller("stranger").unwrap().look_up(&reply.id()).await.unwrap(), 403, "caller-unknown");

    let absent = "01890000-0000-7000-8000-000000000000";
    let mut missing = asker.look_up(absent).await.unwrap();
    assert_problem(&missing, 404, "not-found");
    // A foreign check and an absent one look the same.
    let foreign = other.look_up(&reply.id()).await.unwrap();
    let mut headers = foreign.headers.clone();
    for own in ["date", "x-request-id"] {
        missing.headers.remove(own);
        headers.remove(own);
    }
    assert_eq!((missing.headers, missing.body), (headers, foreign.body));
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_and_methods_that_do_not_exist_are_told_so() {
    let site = site().await;
    let caller = site.caller("core-banking").unwrap();
    for path in ["/", "/v1/verifications", "/v1/verifications/", "/metrics", "/healthz", "/v1/verifications/../../x"] {
        assert_problem(&caller.get(path).await.unwrap(), 404, "not-found");
    }
    assert_problem(&caller.get(REAL_NAME).await.unwrap(), 405, "method-not-allowed");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_beyond_the_limit_wait_outside() {
    use yanqian_harness::File;
    let site = site_with(|options| options.with(File::Daemon, "limits.max_connections", 3)).await;
    let caller = site.caller("core-banking").unwrap();
    let mut open = Vec::new();
    for _ in 0..3 {
        // With a reply the daemon has surely come to the end of the handshake; before, it may give the place to another.
        let connection = caller.open().await.unwrap();
        connection.send(Method::GET, "/", &[], "").await.unwrap();
        open.push(connection);
    }
    assert!(caller.ask(&good("fourth")).await.is_err());
    open.pop();
    crate::support::within(std::time::Duration::from_secs(5), "a freed place is given away")
        .until(async || caller.ask(&good("fourth")).await.ok().filter(|reply| reply.status == 200))
        .await;
}
