use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use yanqian_platform::{ConnectStage, Endpoint, LinkSettings, Proxy, Security, SendError};

use crate::support::{World, loopback};

/// A proxy that opens tunnels to whoever has the password. Keeps the heads that it was sent.
async fn proxy() -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind(loopback()).await.unwrap();
    let (address, heads) = (listener.local_addr().unwrap(), Arc::<Mutex<Vec<String>>>::default());
    let kept = Arc::clone(&heads);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let kept = Arc::clone(&kept);
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.unwrap());
                }
                let head = String::from_utf8(head).unwrap();
                kept.lock().unwrap().push(head.clone());
                if !head.contains("\r\nProxy-Authorization: Basic dXNlcjpzZWNyZXQ=\r\n") {
                    let _ = stream.write_all(b"HTTP/1.1 407 Who are you\r\nContent-Length: 0\r\n\r\n").await;
                    return;
                }
                let target = head.split(' ').nth(1).unwrap();
                let mut onward = TcpStream::connect(target).await.unwrap();
                stream.write_all(b"HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n").await.unwrap();
                let _ = copy_bidirectional(&mut stream, &mut onward).await;
            });
        }
    });
    (address, heads)
}

fn through(proxy: SocketAddr, credentials: Option<&str>) -> impl FnOnce(&mut LinkSettings) {
    move |settings| settings.proxy = Some(Proxy::new(&format!("http://{proxy}"), credentials).unwrap())
}

#[tokio::test]
async fn tls_runs_end_to_end_through_a_proxy() {
    let world = World::new();
    let platform = world.platform(|_| {}).await;
    let (address, heads) = proxy().await;
    let client = world.client(through(address, Some("user:secret")), &[platform.https_addr]);
    assert_eq!(client.send(&world.request(), &world.trust).await.unwrap().status, 200);
    let head = heads.lock().unwrap().remove(0);
    assert!(head.starts_with(&format!("CONNECT {} HTTP/1.1\r\nHost: ", platform.https_addr)), "{head}");
}

#[tokio::test]
async fn a_proxy_that_refuses_got_nothing_of_the_request() {
    let world = World::new();
    let platform = world.platform(|_| {}).await;
    let (address, heads) = proxy().await;
    let client = world.client(through(address, None), &[platform.https_addr]);
    assert_eq!(client.send(&world.request(), &world.trust).await.err(), Some(SendError::NotSent));
    assert_eq!(client.stats().endpoints[0].failed_connections[ConnectStage::Proxy as usize], 1);
    assert_eq!((platform.stats().requests, heads.lock().unwrap().len()), (0, 1));
}

#[tokio::test]
async fn a_pinned_endpoint_is_asked_of_the_proxy_by_its_address() {
    let world = World::new();
    let platform = world.platform(|_| {}).await;
    let (address, heads) = proxy().await;
    let url = format!("https://localhost:{}", platform.https_addr.port());
    let endpoint = Endpoint::https(&url, vec!["127.0.0.1".parse().unwrap()]).unwrap();
    let with = |settings: &mut LinkSettings| {
        through(address, Some("user:secret"))(settings);
        settings.endpoints = vec![endpoint];
    };
    assert_eq!(world.client(with, &[]).send(&world.request(), &world.trust).await.unwrap().status, 200);
    assert!(heads.lock().unwrap()[0].starts_with("CONNECT 127.0.0.1:"));
}

/// The simulator behind a TLS-terminating gateway: the appliance speaks plain HTTP to it, nothing else changes.
#[tokio::test]
async fn a_gateway_nearby_is_spoken_to_in_plain_http() {
    let world = World::new();
    let platform = world.platform(|_| {}).await;
    let listener = TcpListener::bind(loopback()).await.unwrap();
    let (near, far) = (listener.local_addr().unwrap(), platform.https_addr);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut context = openssl::ssl::SslContext::builder(openssl::ssl::SslMethod::tls_client()).unwrap();
                context.set_verify(openssl::ssl::SslVerifyMode::NONE);
                let ssl = openssl::ssl::Ssl::new(&context.build()).unwrap();
                let onward = TcpStream::connect(far).await.unwrap();
                let mut onward = tokio_openssl::SslStream::new(ssl, onward).unwrap();
                std::pin::Pin::new(&mut onward).connect().await.unwrap();
                let _ = copy_bidirectional(&mut stream, &mut onward).await;
            });
        }
    });
    let with = |settings: &mut LinkSettings| {
        settings.security = Security::Gateway;
        settings.endpoints = vec![Endpoint::gateway(&format!("http://{near}"), &[], &[]).unwrap()];
    };
    let client = world.client(with, &[]);
    assert_eq!(client.send(&world.request(), &world.trust).await.unwrap().status, 200);
    assert_eq!(client.transport(), "gateway");
    assert_eq!(platform.stats().requests, 1);
}
