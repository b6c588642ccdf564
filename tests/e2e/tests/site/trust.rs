//! What the trust store does not hold is not believed, from the moment it is taken away until it is put back; the daemon
//! runs on.

use std::path::PathBuf;
use std::time::Duration;

use time::OffsetDateTime;
use yanqian_harness::{Caller, Site};

use crate::support::{assert_verdict, good, site, within};

const SOON: Duration = Duration::from_secs(10);

async fn code(caller: &Caller) -> String {
    caller.ask(&good("trust")).await.unwrap().code()
}

/// Changes the store, sees that every check is refused for `reason`, changes it back, sees that checks succeed.
async fn refused_while(site: &Site, reason: &str, change: impl FnOnce(), restore: impl FnOnce()) {
    let caller = site.caller("core-banking").unwrap();
    let daemon = site.daemon_pid();
    assert_verdict(&caller.ask(&good("before")).await.unwrap(), "match");
    change();
    let refusal = within(SOON, "the change is seen")
        .until(async || {
            let reply = caller.ask(&good("during")).await.unwrap();
            // The store broke between a request and its answer; the next check tells.
            let between = reply.code() == "platform-unproven";
            Some(reply).filter(|reply| reply.status != 200 && !between)
        })
        .await;
    assert_eq!(refusal.code(), reason);
    for _ in 0..5 {
        assert_eq!(code(&caller).await, reason);
    }
    let record = site.records_of(&refusal.id()).unwrap().pop().expect("every refusal has a record");
    assert_eq!(record.reason(), reason);
    restore();
    within(SOON, "the store is whole again").until(async || (code(&caller).await == "match").then_some(())).await;
    assert_eq!(site.daemon_pid(), daemon, "nothing was restarted");
}

struct Moved {
    file: PathBuf,
    content: Vec<u8>,
}

impl Moved {
    fn of(file: PathBuf) -> Self {
        let content = std::fs::read(&file).unwrap();
        Self { file, content }
    }

    fn remove(&self) {
        std::fs::remove_file(&self.file).unwrap();
    }

    fn replace(&self, content: &[u8]) {
        let new = self.file.with_extension("new");
        std::fs::write(&new, content).unwrap();
        std::fs::rename(new, &self.file).unwrap();
    }

    fn restore(&self) {
        self.replace(&self.content);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_platforms_authority_every_check_is_refused() {
    let site = site().await;
    let anchor = Moved::of(site.places().trust().join("anchors/root.pem"));
    let tls_anchor = Moved::of(site.places().trust().join("tls-anchors/root.pem"));
    refused_while(
        &site,
        "platform-trust-unusable",
        || {
            anchor.remove();
            tls_anchor.remove();
        },
        || {
            anchor.restore();
            tls_anchor.restore();
        },
    )
    .await;
    let (status, reasons) = site.probe("/readyz").await.unwrap();
    assert_eq!(status, 200, "{reasons}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_under_another_authority_is_refused_by_its_chain() {
    let site = site().await;
    let other = std::fs::read(site.places().pki().platform("other-ca").certificate).unwrap();
    let anchor = Moved::of(site.places().trust().join("anchors/root.pem"));
    refused_while(&site, "platform-chain", || anchor.replace(&other), || anchor.restore()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tls_peer_under_another_authority_is_sent_nothing() {
    let site = site().await;
    let other = std::fs::read(site.places().pki().platform("other-ca").certificate).unwrap();
    let anchor = Moved::of(site.places().trust().join("tls-anchors/root.pem"));
    let before = site.sim().stats().await.unwrap().requests;
    refused_while(&site, "platform-identity", || anchor.replace(&other), || anchor.restore()).await;
    let seen = site.sim().seen().await.unwrap();
    assert!(seen.len() as u64 > before && seen.iter().all(|request| !request.refused));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signer_that_loses_its_pin_is_no_signer() {
    let site = site().await;
    let pins = Moved::of(site.places().trust().join("signers.toml"));
    let text = String::from_utf8(pins.content.clone()).unwrap();
    // The first entry is the signer in use; the second stays, so the file is still a list of pins.
    let second =
        text.find("[[signer]]").and_then(|first| text[first + 1..].find("[[signer]]").map(|next| first + 1 + next));
    let without = format!("format_version = 1\n\n{}", &text[second.expect("two pins")..]);
    refused_while(&site, "platform-signer-unknown", || pins.replace(without.as_bytes()), || pins.restore()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn revocation_lists_are_followed_and_an_overdue_one_means_refuse() {
    use yanqian_devpki::{Authority, reissue_crl, serial};
    let site = site().await;
    let pki = site.places().pki();
    let list = Moved::of(site.places().trust().join("crls/issuing.pem"));
    let signer = serial(&std::fs::read(pki.platform("signing").certificate).unwrap()).unwrap();
    // Seconds from now on, negative for the past.
    let issue = |serials: &[Vec<u8>], last: i64, next: i64| {
        let at = |seconds| OffsetDateTime::now_utc() + time::Duration::seconds(seconds);
        reissue_crl(&pki, Authority::Issuing, serials, at(last), at(next)).unwrap();
        std::fs::read(pki.trust_crl(Authority::Issuing)).unwrap()
    };
    let revoked = issue(std::slice::from_ref(&signer), -60, 86_400);
    refused_while(&site, "platform-signer-revoked", || list.replace(&revoked), || list.restore()).await;
    let overdue = issue(&[], -7200, -3600);
    refused_while(&site, "platform-revocation-stale", || list.replace(&overdue), || list.restore()).await;
    refused_while(&site, "platform-revocation-stale", || list.remove(), || list.restore()).await;
}
