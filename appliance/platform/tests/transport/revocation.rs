//! Revocation of the platform's TLS certificate: what the policy makes of it, and what it makes of connections that are there already.

use std::path::Path;
use std::time::Duration;

use time::OffsetDateTime;
use yanqian_devpki::{Authority, OcspResponder, OcspSingle, OcspStatus, platform_cert_id, reissue_crl, serial};
use yanqian_platform::{ConnectStage, SendError};
use yanqian_trust::{Decides, RevocationPolicy, TrustSettings, TrustStore};

use crate::support::World;

const HOUR: Duration = Duration::from_hours(1);

/// The store with this policy for TLS; what is in `fetched` is read beside it.
fn store(world: &World, tls: Option<Decides>, fetched: &Path) -> TrustStore {
    let revocation = RevocationPolicy { tls, ..RevocationPolicy::default() };
    let settings = TrustSettings { revocation, fetched: Some(fetched.to_owned()) };
    TrustStore::open(&world.layout.trust(), &settings).unwrap()
}

/// The issuing authority's list, valid for so long from a minute ago, with the TLS certificate on it or not.
fn list(world: &World, revoked: bool, valid: Duration) {
    let tls = std::fs::read(world.layout.platform("tls").certificate).unwrap();
    let serials = if revoked { vec![serial(&tls).unwrap()] } else { Vec::new() };
    let now = OffsetDateTime::now_utc();
    reissue_crl(&world.layout, Authority::Issuing, &serials, now - time::Duration::MINUTE, now + valid).unwrap();
}

/// Moves the authority's list from the trust store to where fetched ones lie, which the store's hash leaves out.
fn as_fetched(world: &World, fetched: &Path) {
    let place = world.layout.trust_crl(Authority::Issuing);
    let der = openssl::x509::X509Crl::from_pem(&std::fs::read(&place).unwrap()).unwrap().to_der().unwrap();
    std::fs::remove_file(place).unwrap();
    std::fs::create_dir_all(fetched.join("crls")).unwrap();
    std::fs::write(fetched.join("crls/issuing.der"), der).unwrap();
}

#[tokio::test]
async fn a_revoked_tls_certificate_or_one_without_a_word_is_sent_nothing_where_the_policy_asks() {
    let world = World::new();
    let fetched = tempfile::tempdir().unwrap();
    let platform = world.platform(|_| {}).await;
    for (what, good) in [("good", true), ("revoked", false), ("overdue", false), ("missing", false)] {
        list(&world, what == "revoked", if what == "overdue" { Duration::ZERO } else { HOUR });
        if what == "overdue" {
            tokio::time::sleep(Duration::from_millis(1_100)).await;
        }
        if what == "missing" {
            std::fs::remove_file(world.layout.trust_crl(Authority::Issuing)).unwrap();
        }
        for (policy, serves) in [(None, true), (Some(Decides::Crl), good)] {
            let before = platform.stats().requests;
            let client = world.client(|_| {}, &[platform.https_addr]);
            let sent = client.send(&world.request(), &store(&world, policy, fetched.path())).await;
            assert_eq!(
                sent.map(|answer| answer.status),
                serves.then_some(200).ok_or(SendError::Unidentified),
                "{what} {policy:?}"
            );
            assert_eq!(platform.stats().requests - before, u64::from(serves), "{what} {policy:?}");
            let failed = client.stats().endpoints[0].failed_connections[ConnectStage::Identity as usize];
            assert_eq!(failed, u64::from(!serves), "{what} {policy:?}");
        }
    }
}

#[tokio::test]
async fn no_connection_outlives_the_revocation_data_that_it_was_judged_by() {
    for http2 in [false, true] {
        for (policy, ends) in [(None, false), (Some(Decides::Crl), true)] {
            let world = World::new();
            let fetched = tempfile::tempdir().unwrap();
            let platform = world.platform(|_| {}).await;
            let client = world.client(|settings| settings.http2 = http2, &[platform.https_addr]);
            list(&world, false, HOUR);
            as_fetched(&world, fetched.path());
            let first = store(&world, policy, fetched.path());
            for _ in 0..2 {
                assert_eq!(client.send(&world.request(), &first).await.unwrap().status, 200);
            }
            let came_from: Vec<_> = platform.seen().into_iter().map(|seen| seen.remote).collect();
            assert_eq!(came_from[0], came_from[1], "a connection is used again");
            list(&world, true, HOUR);
            as_fetched(&world, fetched.path());
            let second = store(&world, policy, fetched.path());
            assert_eq!(first.hash(), second.hash(), "only fetched data changed");
            let sent = client.send(&world.request(), &second).await;
            assert_eq!(sent.map(|answer| answer.status), if ends { Err(SendError::Unidentified) } else { Ok(200) });
            assert_eq!(platform.stats().requests, if ends { 2 } else { 3 });
        }
    }
}

#[tokio::test]
async fn a_connection_is_judged_anew_once_the_list_is_over_that_spoke_for_it() {
    let world = World::new();
    let fetched = tempfile::tempdir().unwrap();
    let platform = world.platform(|_| {}).await;
    let client = world.client(|_| {}, &[platform.https_addr]);
    list(&world, false, Duration::from_secs(10));
    let store = store(&world, Some(Decides::Crl), fetched.path());
    assert_eq!(client.send(&world.request(), &store).await.unwrap().status, 200);
    let mut ended = false;
    for _ in 0..600 {
        if client.send(&world.request(), &store).await.is_err() {
            ended = true;
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(ended, "the kept connection went on without a list in force");
}

#[tokio::test]
async fn a_tls_certificate_that_was_met_is_asked_about_and_then_taken() {
    let world = World::new();
    let fetched = tempfile::tempdir().unwrap();
    let platform = world.platform(|_| {}).await;
    let client = world.client(|_| {}, &[platform.https_addr]);
    let before = store(&world, Some(Decides::Ocsp), fetched.path());
    let verifier = yanqian_trust::Verifier::new(yanqian_trust::VerifierSettings {
        table_octets: 0,
        shadow_every: std::num::NonZeroU32::MIN,
    });
    let now = OffsetDateTime::now_utc().unix_timestamp();
    let known = before.subjects(now, &verifier).len();
    assert_eq!(client.send(&world.request(), &before).await.err(), Some(SendError::Unidentified));
    let subjects = before.subjects(now, &verifier);
    assert_eq!(subjects.len(), known + 1);
    let asked = subjects.last().unwrap();

    let responder = OcspResponder::of_platform(&world.layout).unwrap();
    let cert_id = platform_cert_id(&world.layout, "tls").unwrap();
    let single =
        OcspSingle { cert_id, status: OcspStatus::Good, this_update: now - 60, next_update: Some(now + 3_600) };
    let response = responder.answer(&[single], None, now).unwrap();
    let taken = before.take_response(&response, asked, None, now, &verifier).unwrap();
    std::fs::create_dir_all(fetched.path().join("ocsp")).unwrap();
    std::fs::write(fetched.path().join("ocsp/tls.der"), taken.der).unwrap();
    let after = store(&world, Some(Decides::Ocsp), fetched.path());
    assert_eq!(client.send(&world.request(), &after).await.unwrap().status, 200);
    assert_eq!(platform.stats().requests, 1);
}
