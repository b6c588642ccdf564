//! OCSP responses as evidence: what they prove in a receipt, and what they do not.
#![allow(clippy::unwrap_used)]

mod support;

use openssl::asn1::Asn1Time;
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::PKey;
use openssl::x509::extension::ExtendedKeyUsage;
use openssl::x509::{X509, X509Builder, X509NameBuilder};
use support::{Site, Story};
use yanqian_devpki::{Authority, OcspResponder, OcspSingle, OcspStatus, platform_cert_id, reissue_crl, serial};
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

/// A responder of the issuing authority without `id-pkix-ocsp-nocheck`, with this serial number.
fn to_be_cleared(site: &Site, serial: u32) -> OcspResponder {
    let pair = site.layout.platform("issuing");
    let read = |file: &std::path::Path| std::fs::read(file).unwrap();
    let issuer = X509::from_pem(&read(&pair.certificate)).unwrap();
    let issuer_key = PKey::private_key_from_pem(&read(&pair.key)).unwrap();
    let key = PKey::from_ec_key(EcKey::generate(&EcGroup::from_curve_name(Nid::SM2).unwrap()).unwrap()).unwrap();
    let mut name = X509NameBuilder::new().unwrap();
    name.append_entry_by_text("CN", "Responder to be cleared").unwrap();
    let mut builder = X509Builder::new().unwrap();
    builder.set_version(2).unwrap();
    builder.set_serial_number(&BigNum::from_u32(serial).unwrap().to_asn1_integer().unwrap()).unwrap();
    builder.set_subject_name(&name.build()).unwrap();
    builder.set_issuer_name(issuer.subject_name()).unwrap();
    builder.set_pubkey(&key).unwrap();
    let seconds = |more: i64| Asn1Time::from_unix(site.now.unix_seconds() + more).unwrap();
    builder.set_not_before(&seconds(-3600)).unwrap();
    builder.set_not_after(&seconds(3600)).unwrap();
    let mut usage = ExtendedKeyUsage::new();
    builder.append_extension(usage.other("OCSPSigning").build().unwrap()).unwrap();
    builder.sign(&issuer_key, MessageDigest::sm3()).unwrap();
    let certificate = builder.build();
    OcspResponder { include: vec![certificate.clone()], ..OcspResponder::of(&certificate, &key) }
}

#[test]
fn a_list_beside_a_response_clears_the_responder_and_the_certificate() {
    let mut site = Site::new();
    let responder = to_be_cleared(&site, 0x1234);
    let with_list = |site: &Site, responder: &OcspResponder| {
        let mut story = by_responder(site, responder, OcspStatus::Good, -60, 60);
        story.outcome.revocation.insert(1, Story::of(site).outcome.revocation[0].clone());
        story.lists.push(site.lists[0].clone());
        story.failures(site)
    };
    let alone = by_responder(&site, &responder, OcspStatus::Good, -60, 60).failures(&site);
    assert_eq!(alone, ["revocation"], "nothing clears the responder");
    assert_eq!(with_list(&site, &responder), [""; 0]);
    for change in [
        |responder: &mut OcspResponder| responder.by_name = false,
        |responder: &mut OcspResponder| responder.null_parameters = true,
    ] {
        let mut other = responder.clone();
        change(&mut other);
        assert_eq!(with_list(&site, &other), [""; 0]);
    }
    let signer = serial(&std::fs::read(site.layout.platform("signing").certificate).unwrap()).unwrap();
    for revoked in [vec![0x12, 0x34], signer] {
        let now = time::OffsetDateTime::from_unix_timestamp(site.now.unix_seconds()).unwrap();
        let (last, next) = (now - time::Duration::HOUR, now + time::Duration::HOUR);
        reissue_crl(&site.layout, Authority::Issuing, std::slice::from_ref(&revoked), last, next).unwrap();
        site.lists[0] = support::read_list(&site.layout, Authority::Issuing);
        assert_eq!(with_list(&site, &responder), ["revocation"], "{revoked:?}");
    }
}
