//! OCSP responses as evidence: what they prove in a receipt, and what they do not.
#![allow(clippy::unwrap_used)]

mod support;

use support::{Site, Story};
use yanqian_devpki::{OcspResponder, OcspSingle, OcspStatus, platform_cert_id};
use yanqian_evidence::RevocationKind;
use yanqian_vocabulary::{ContentDigest, Timestamp};

/// The signer's state by its authority's responder in the place of its list.
fn by_responder(site: &Site, responder: &OcspResponder, status: OcspStatus, from: i64, to: i64) -> Story {
    let mut story = Story::of(site);
    let now = site.now.unix_seconds();
    let cert_id = platform_cert_id(&site.layout, "signing").unwrap();
    let single = OcspSingle { cert_id, status, this_update: now + from, next_update: Some(now + to) };
    story.lists[0] = responder.answer(&[single], None, now).unwrap();
    let recorded = &mut story.outcome.revocation[0];
    recorded.kind = RevocationKind::Ocsp;
    recorded.hash = ContentDigest::new(yanqian_sm::sm3(&[&story.lists[0]]));
    let time = |seconds: i64| Timestamp::from_unix_millis((now + seconds) * 1000);
    (recorded.this_update, recorded.next_update) = (time(from), Some(time(to)));
    story
}

#[test]
fn a_response_proves_the_signers_state_as_of_the_records_time_and_nobody_elses_does() {
    use OcspStatus::{Good, Revoked, Unknown};
    let site = Site::new();
    let responder = OcspResponder::of_platform(&site.layout).unwrap();
    let none: [&str; 0] = [];
    assert_eq!(by_responder(&site, &responder, Good, -60, 60).failures(&site), none);
    for (status, from, to) in [(Good, -120, -60), (Good, 60, 120), (Revoked, -60, 60), (Unknown, -60, 60)] {
        let story = by_responder(&site, &responder, status, from, to);
        assert_eq!(story.failures(&site), ["revocation"], "{status:?} {from} {to}");
    }
    let of = |name: &str| {
        let pair = site.layout.platform(name);
        let read = |file| std::fs::read(file).unwrap();
        let certificate = openssl::x509::X509::from_pem(&read(pair.certificate)).unwrap();
        let key = openssl::pkey::PKey::private_key_from_pem(&read(pair.key)).unwrap();
        OcspResponder { include: vec![certificate.clone()], ..OcspResponder::of(&certificate, &key) }
    };
    assert_eq!(by_responder(&site, &of("issuing"), Good, -60, 60).failures(&site), none, "the issuer itself");
    for name in ["root", "signing", "tls", "other-ca", "signing-other-ca"] {
        assert_eq!(by_responder(&site, &of(name), Good, -60, 60).failures(&site), ["revocation"], "{name}");
    }

    let good = by_responder(&site, &responder, Good, -60, 60);
    let mut story = good.clone();
    story.outcome.revocation[0].this_update = site.now;
    assert_eq!(story.failures(&site), ["revocation"], "misquoted");
    let mut story = good.clone();
    story.outcome.revocation[0].kind = RevocationKind::Crl;
    assert_eq!(story.failures(&site), ["revocation"], "a response is no list");
    for place in (0..good.lists[0].len()).step_by(7) {
        let mut story = good.clone();
        story.lists[0][place] ^= 1;
        story.outcome.revocation[0].hash = ContentDigest::new(yanqian_sm::sm3(&[&story.lists[0]]));
        assert_eq!(story.failures(&site), ["revocation"], "octet {place}");
    }

    // Where list and responder both had to speak, both are held.
    let mut story = good.clone();
    story.outcome.revocation.insert(1, Story::of(&site).outcome.revocation[0].clone());
    story.lists.push(site.lists[0].clone());
    assert_eq!(story.failures(&site), none);
    story.outcome.revocation.push(story.outcome.revocation[1].clone());
    assert_eq!(story.failures(&site), ["revocation"], "one too many");
}
