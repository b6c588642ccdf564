//! Nothing that a peer sends makes a parser panic, and nothing but the signed octets passes as signed.

#![allow(clippy::unwrap_used)]

mod common;

use std::sync::OnceLock;

use common::{Got, World};
use openssl::ssl::{SslConnector, SslMethod};
use proptest::prelude::*;
use yanqian_platform_sim::numbers::NumberForm;
use yanqian_platform_sim::pki::{Identity, issuer_and_serial};
use yanqian_platform_sim::{Form, envelope, signed_data};

struct Valid {
    message: Vec<u8>,
    bare: Vec<u8>,
    envelope: Vec<u8>,
    recipient: Identity,
    request: String,
    package: String,
    world: World,
}

const CONTENT: &[u8] = b"{\"a\":1}";
const OTHER: &[u8] = b"{\"a\":2}";

fn valid() -> &'static Valid {
    static VALID: OnceLock<Valid> = OnceLock::new();
    VALID.get_or_init(|| {
        let world = World::new(Form::Reference);
        let recipient = Identity::load(&world.layout.platform("encryption").certificate.with_extension("")).unwrap();
        let request = world.write(&world.ask(world.holder(NumberForm::HongKongNew)));
        Valid {
            message: signed_data::build(CONTENT, false, &world.entity, Some(time::OffsetDateTime::now_utc())).unwrap(),
            bare: signed_data::build(CONTENT, false, &world.entity, None).unwrap(),
            envelope: envelope::seal(CONTENT, &recipient.der).unwrap(),
            recipient,
            request: request.body,
            package: request.package,
            world,
        }
    })
}

fn mutate(input: &[u8], at: usize, with: u8, how: u8) -> Vec<u8> {
    let mut octets = input.to_vec();
    let at = at % octets.len();
    match how {
        0 => octets[at] ^= with,
        1 => octets.truncate(at),
        2 => octets.insert(at, with),
        _ => drop(octets.remove(at)),
    }
    octets
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_damaged_signature_message_never_panics_and_never_signs_other_content(
        at in any::<usize>(), with in 1u8.., how in 0u8..4, attributes in any::<bool>(),
    ) {
        let original = if attributes { &valid().message } else { &valid().bare };
        let damaged = mutate(original, at, with, how);
        if let Ok(message) = signed_data::read(&damaged) && let Ok(signer) = message.signer() {
            prop_assert!(message.verify(&signer, OTHER, attributes).is_err());
            prop_assert!(message.verify(&signer, CONTENT, !attributes).is_err());
            // Damage that is not noticed lies outside what the signature covers, inside the embedded certificate's own
            // signature or in the unsigned headers' choice of forms, so the right content still verifies.
            let _ = message.verify(&signer, CONTENT, attributes);
        }
        let _ = issuer_and_serial(&damaged);
    }

    #[test]
    fn a_damaged_envelope_never_panics(at in any::<usize>(), with in 1u8.., how in 0u8..4) {
        let _ = envelope::open(&mutate(&valid().envelope, at, with, how), &valid().recipient);
    }

    #[test]
    fn arbitrary_octets_are_neither_message_nor_envelope(input in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(signed_data::read(&input).is_err());
        prop_assert!(envelope::open(&input, &valid().recipient).is_err());
        prop_assert!(issuer_and_serial(&input).is_err());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn a_damaged_request_is_refused_and_the_platform_lives(at in any::<usize>(), with in 1u8..32, how in 0u8..4) {
        let valid = valid();
        let damaged = String::from_utf8_lossy(&mutate(valid.request.as_bytes(), at, with, how)).into_owned();
        let Got { status, .. } = valid.world.send(&damaged).unwrap();
        prop_assert!(status == 200 || status == 400);
        let seen = valid.world.running.seen().pop().unwrap();
        // Damage outside the package may leave a good request; one octet of the package may not be touched.
        prop_assert!(seen.refused || damaged.contains(&valid.package));
    }
}

#[test]
fn an_opened_envelope_gives_back_what_was_sealed() {
    assert_eq!(envelope::open(&valid().envelope, &valid().recipient).unwrap(), CONTENT);
}

#[test]
fn a_client_that_asks_for_it_gets_the_national_suite() {
    let world = World::new(Form::Reference);
    let mut connector = SslConnector::builder(SslMethod::tls_client()).unwrap();
    connector.set_ca_file(world.layout.trust().join("tls-anchors/root.pem")).unwrap();
    connector.set_ciphersuites("TLS_SM4_GCM_SM3").unwrap();
    connector.set_groups_list("curveSM2").unwrap();
    connector.set_sigalgs_list("sm2sig_sm3").unwrap();
    let stream = std::net::TcpStream::connect(world.running.https_addr).unwrap();
    let stream = connector.build().connect("127.0.0.1", stream).unwrap();
    assert_eq!(stream.ssl().current_cipher().unwrap().standard_name(), Some("TLS_SM4_GCM_SM3"));
}
