use openssl::ec::{EcGroup, EcKey};
use openssl::nid::Nid;
use openssl::pkey::PKey;
use openssl::ssl::{SslContextBuilder, SslVersion};
use tokio::io::AsyncReadExt as _;
use yanqian_messages::certificates_from_pem_or_der;
use yanqian_platform::{ClientKey, ClientKeyError, ConnectStage, Security, SendError};

use crate::support::{TlsStream, World, tls_server, tls_server_with, trust_with_anchor};

fn client_hash(world: &World) -> String {
    let pem = std::fs::read(world.layout.entity("tls").certificate).unwrap();
    let certificate = certificates_from_pem_or_der(&pem).unwrap().remove(0);
    hex::encode(certificate.hash())
}

#[tokio::test]
async fn by_rfc8998_both_sides_see_its_suite_and_the_clients_certificate() {
    let world = World::new();
    let platform = world.platform(|config| config.rfc8998_only = true).await;
    let client = world
        .client(|settings| settings.security = Security::rfc8998(world.client_key()).unwrap(), &[platform.https_addr]);
    assert_eq!(client.send(&world.request(), &world.trust).await.unwrap().status, 200);
    let shaken = platform.seen().remove(0).handshake;
    assert_eq!((shaken.version.as_str(), shaken.suite.as_str()), ("TLSv1.3", "TLS_SM4_GCM_SM3"));
    assert_eq!(shaken.client, Some(client_hash(&world)));
    assert_eq!(client.transport(), "rfc8998");
}

#[tokio::test]
async fn a_platform_that_insists_on_rfc8998_gets_nothing_from_anybody_else() {
    let world = World::new();
    let platform = world.platform(|config| config.rfc8998_only = true).await;
    for client in [None, Some(world.client_key())] {
        let shown = client.is_some();
        let client = world.client(|settings| settings.security = Security::Tls { client }, &[platform.https_addr]);
        let sent = client.send(&world.request(), &world.trust).await;
        if shown {
            // OpenSSL's own defaults know the curve and the scheme, but not this suite.
            assert_eq!(sent.err(), Some(SendError::NotSent));
        } else {
            // Over TLS 1.3 a client learns only after its own end of the handshake that it was to show a certificate.
            assert!(sent.is_err());
        }
    }
    assert_eq!(platform.stats().requests, 0);
}

#[tokio::test]
async fn ordinary_tls_shows_a_certificate_where_one_is_configured() {
    let world = World::new();
    let platform = world.platform(|_| {}).await;
    let client = world.client(
        |settings| settings.security = Security::Tls { client: Some(world.client_key()) },
        &[platform.https_addr],
    );
    assert_eq!(client.send(&world.request(), &world.trust).await.unwrap().status, 200);
    let shaken = platform.seen().remove(0).handshake;
    assert_ne!(shaken.suite, "TLS_SM4_GCM_SM3");
    // The simulator asks for none unless it insists.
    assert_eq!(shaken.client, None);
}

#[tokio::test]
async fn by_rfc8998_a_server_with_another_kind_of_certificate_is_not_talked_to() {
    let world = World::new();
    let identity = world.layout.internal("server");
    let server = tls_server(&identity, b"\x08http/1.1", |mut stream| async move {
        let _ = stream.read(&mut [0; 4096]).await;
    });
    let server = server.await;
    let trust = trust_with_anchor(&world, &world.layout.internal("ca").certificate);
    let ordinary = world.client(|_| {}, &[server]);
    // It is trusted, so ordinary TLS gets as far as the request.
    assert_eq!(ordinary.send(&world.request(), &trust).await.err(), Some(SendError::Unanswered));
    let national =
        world.client(|settings| settings.security = Security::rfc8998(world.client_key()).unwrap(), &[server]);
    assert_eq!(national.send(&world.request(), &trust).await.err(), Some(SendError::NotSent));
    assert_eq!(national.stats().endpoints[0].failed_connections[ConnectStage::Tls as usize], 1);
}

#[tokio::test]
async fn ordinary_tls_is_spoken_from_1_2_on_and_nothing_older() {
    let world = World::new();
    let trust = trust_with_anchor(&world, &world.layout.internal("ca").certificate);
    for (most, spoken) in
        [(SslVersion::TLS1_1, None), (SslVersion::TLS1_2, Some("TLSv1.2")), (SslVersion::TLS1_3, Some("TLSv1.3"))]
    {
        let (told, mut heard) = tokio::sync::mpsc::unbounded_channel();
        let settings = |context: &mut SslContextBuilder| {
            context.set_security_level(0);
            context.set_min_proto_version(Some(SslVersion::TLS1)).unwrap();
            context.set_max_proto_version(Some(most)).unwrap();
        };
        let talk = move |mut stream: TlsStream| {
            let told = told.clone();
            async move {
                told.send(stream.ssl().version_str()).unwrap();
                let _ = stream.read(&mut [0; 4096]).await;
            }
        };
        let server = tls_server_with(&world.layout.internal("server"), b"\x08http/1.1", settings, talk).await;
        let client = world.client(|_| {}, &[server]);
        let sent = client.send(&world.request(), &trust).await.err();
        // One that was spoken to got the request and hung up.
        let expected = if spoken.is_some() { SendError::Unanswered } else { SendError::NotSent };
        assert_eq!((sent, heard.try_recv().ok()), (Some(expected), spoken), "{most:?}");
    }
}

#[test]
fn a_client_key_is_the_certificates_and_for_rfc8998_an_sm2_key() {
    let world = World::new();
    let read = |file| std::fs::read(file).unwrap();
    let (own, foreign) = (world.layout.entity("tls"), world.layout.internal("server"));
    let error = |certificate: &[u8], key: &[u8]| ClientKey::from_pem(certificate, key).err();
    assert_eq!(error(&read(&own.certificate), &read(&foreign.key)), Some(ClientKeyError::Pair));
    assert_eq!(error(b"", &read(&own.key)), Some(ClientKeyError::Certificate));
    assert_eq!(error(&read(&own.certificate), b"no key"), Some(ClientKeyError::Key));
    let encrypted = PKey::from_ec_key(EcKey::generate(&EcGroup::from_curve_name(Nid::SM2).unwrap()).unwrap()).unwrap();
    let encrypted =
        encrypted.private_key_to_pem_pkcs8_passphrase(openssl::symm::Cipher::aes_128_cbc(), b"secret").unwrap();
    assert_eq!(error(&read(&own.certificate), &encrypted), Some(ClientKeyError::Key));
    let ordinary = ClientKey::from_pem(&read(&foreign.certificate), &read(&foreign.key)).unwrap();
    assert_eq!(Security::rfc8998(ordinary).err(), Some(ClientKeyError::NotSm2));
}
