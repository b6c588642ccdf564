//! A hostile platform: each misbehaviour does what its name says, and only that.

#![allow(clippy::unwrap_used)]

mod common;

use common::World;
use openssl::ssl::SslFiletype;
use openssl::stack::Stack;
use openssl::x509::store::{X509Lookup, X509StoreBuilder};
use openssl::x509::verify::X509VerifyFlags;
use openssl::x509::{X509, X509StoreContext};
use yanqian_devpki::Authority;
use yanqian_platform_sim::Misbehaviour as M;
use yanqian_platform_sim::form::Service;
use yanqian_platform_sim::numbers::NumberForm;
use yanqian_platform_sim::{Form, Running};

/// The check of an honest reader at which each misbehaviour must fail; None for answers that are right, but not a match.
fn expected(misbehaviour: M) -> Option<&'static str> {
    Some(match misbehaviour {
        M::BrokenSignature | M::AlteredAfterSigning => "signature",
        M::WrongRequest | M::OtherNonce | M::Replay => "nonce",
        M::OtherDigest => "digest",
        M::RevokedSigner | M::UnpinnedSigner | M::ChainedUnpinnedSigner | M::EncryptionCertSigns => "signer",
        M::AttributesMissing => "attributes",
        M::StaleTime | M::FutureTime => "time",
        M::UnknownCode => "code unknown",
        M::MissingMember => "code missing",
        M::DuplicateMember => "twice",
        M::DuplicatePackage => "package twice",
        M::MissingFields => "fields missing",
        M::Contradiction => "contradiction",
        M::Suspended | M::Busy => return None,
        M::NotJson | M::TrailingGarbage => "json",
        M::MissingSign => "signature missing",
        M::TruncatedDer | M::DerTrailingGarbage => "der",
        M::HugeBody | M::EndlessBody => "size",
        M::SlowBody | M::Hang => "deadline",
        M::CutBody | M::CloseBeforeAnswer => "transport",
        M::Status500 | M::Status503 | M::Redirect => "status",
        M::WrongContentType => "content-type",
        other => panic!("{other} is of another service"),
    })
}

fn misbehaves_as_named(form: Form) {
    let world = World::new(form);
    let ask = || world.ask(world.holder(NumberForm::HongKongOld));
    for misbehaviour in M::ALL.iter().copied().filter(|one| one.applies_to(Service::RealName)) {
        // Something to replay, and proof that the misbehaviour before is over.
        world.check(&ask()).unwrap_or_else(|label| panic!("before {misbehaviour}: {label}"));
        world.running.misbehave(misbehaviour, Some(1));
        let failed = world.check(&ask()).err();
        // The second form has no signing time, and the reader of these tests looks at no other.
        let unseen = form == Form::Second && matches!(misbehaviour, M::StaleTime | M::FutureTime);
        assert_eq!(failed, expected(misbehaviour).filter(|_| !unseen), "{misbehaviour}");
        let seen = world.running.seen().pop().unwrap();
        assert_eq!((seen.misbehaviour.as_deref(), seen.refused), (Some(misbehaviour.name()), false));
    }
    world.check(&ask()).unwrap();
}

#[test]
fn each_misbehaviour_fails_one_check_of_the_reference_form() {
    misbehaves_as_named(Form::Reference);
}

#[test]
fn each_misbehaviour_fails_one_check_of_the_second_form() {
    misbehaves_as_named(Form::Second);
}

#[test]
fn a_signed_error_is_a_good_answer_with_a_known_code() {
    let world = World::new(Form::Reference);
    let ask = || world.ask(world.holder(NumberForm::HongKongOld));
    world.running.misbehave(M::Suspended, Some(2));
    for code in ["2001", "2001", "0000"] {
        assert_eq!(world.check(&ask()).unwrap()["resultCode"], code);
    }
    world.running.misbehave(M::Busy, None);
    for _ in 0..3 {
        assert_eq!(world.check(&ask()).unwrap()["resultCode"], "2999");
    }
    world.running.behave();
    assert_eq!(world.check(&ask()).unwrap()["resultCode"], "0000");
}

#[test]
fn stale_and_future_answers_say_so_in_their_package() {
    for form in [Form::Reference, Form::Second] {
        let world = World::new(form);
        for misbehaviour in [M::StaleTime, M::FutureTime] {
            world.running.misbehave(misbehaviour, Some(1));
            let sent = world.write(&world.ask(world.holder(NumberForm::TaiwanNew)));
            let got = world.send(&sent.body).unwrap();
            let honest = world.send(&world.write(&world.ask(world.holder(NumberForm::TaiwanNew))).body).unwrap();
            let hour = |body: &[u8]| {
                let body: serde_json::Value = serde_json::from_slice(body).unwrap();
                match form {
                    Form::Reference => body["bizPackage"]["timeStamp"].as_str().unwrap()[..10].to_owned(),
                    _ => body["data"]["time"].as_str().unwrap()[..13].to_owned(),
                }
            };
            assert_eq!(hour(&got.body) < hour(&honest.body), misbehaviour == M::StaleTime);
            assert_ne!(hour(&got.body), hour(&honest.body));
        }
    }
}

#[test]
fn openssl_finds_the_revoked_signer_on_the_list() {
    let world = World::new(Form::Reference);
    let mut store = X509StoreBuilder::new().unwrap();
    store.add_cert(world.certificate("root")).unwrap();
    store.set_flags(X509VerifyFlags::CRL_CHECK).unwrap();
    let lookup = store.add_lookup(X509Lookup::file()).unwrap();
    lookup.load_crl_file(world.layout.trust_crl(Authority::Issuing), SslFiletype::PEM).unwrap();
    let store = store.build();
    let mut chain: Stack<X509> = Stack::new().unwrap();
    chain.push(world.certificate("issuing")).unwrap();
    for (name, verdict) in [("signing-revoked", "certificate revoked"), ("signing", "ok")] {
        let mut context = X509StoreContext::new().unwrap();
        let error = context.init(&store, &world.certificate(name), &chain, |context| {
            context.verify_cert()?;
            Ok(context.error())
        });
        assert_eq!(error.unwrap().error_string(), verdict);
    }
}

#[test]
fn a_delay_holds_back_an_honest_answer() {
    let world = World::new(Form::Reference);
    world.running.delay(std::time::Duration::from_millis(300));
    let began = std::time::Instant::now();
    world.check(&world.ask(world.holder(NumberForm::HongKongOld))).unwrap();
    assert!(began.elapsed() >= std::time::Duration::from_millis(300));
}

#[test]
fn a_stopped_platform_refuses_connections_even_while_one_hangs() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let world = World::new(Form::Reference);
    world.running.misbehave(M::Hang, None);
    let body = world.write(&world.ask(world.holder(NumberForm::HongKongOld))).body;
    assert_eq!(world.send(&body).err(), Some("deadline"));
    let World { running, layout, .. } = world;
    let to = running.https_addr;
    runtime.block_on(Running::shutdown(running));
    let got = common::https(to, &layout, "POST", "/auth/real-name", "application/json", &body);
    assert_eq!(got.err(), Some("transport"));
}
