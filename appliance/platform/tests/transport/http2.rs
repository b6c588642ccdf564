//! What proves, over HTTP/2, that the platform has nothing of a request, and what does not.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use yanqian_platform::{RawAnswer, SendError};

use crate::support::{TlsStream, World, tls_server};

const SETTINGS: u8 = 4;
const RST_STREAM: u8 = 3;
const GOAWAY: u8 = 7;
const HEADERS: u8 = 1;
const DATA: u8 = 0;

const REFUSED_STREAM: u32 = 7;
const INTERNAL_ERROR: u32 = 2;
const CANCEL: u32 = 8;

async fn frame(stream: &mut TlsStream, kind: u8, id: u32, payload: &[u8]) {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut octets = vec![length[1], length[2], length[3], kind, 0];
    octets.extend(id.to_be_bytes());
    octets.extend(payload);
    let _ = stream.write_all(&octets).await;
}

/// Reads up to the first frame of this kind; gives its stream.
async fn until(stream: &mut TlsStream, wanted: u8) -> u32 {
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await.unwrap();
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        stream.read_exact(&mut vec![0; usize::try_from(length).unwrap()]).await.unwrap();
        if head[3] == wanted {
            return u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        }
    }
}

/// How a server ends the first request of a connection.
#[derive(Debug, Clone, Copy)]
enum End {
    /// `RST_STREAM` with this code, after the frame of this kind.
    Reset(u8, u32),
    /// GOAWAY with this last-stream-id and code, after the frame of this kind; then the connection ends.
    GoAway(u8, u32, u32),
    /// The connection ends.
    Close,
}

async fn server(world: &World, end: End) -> SocketAddr {
    let talk = move |mut stream: TlsStream| async move {
        stream.read_exact(&mut [0; 24]).await.unwrap();
        frame(&mut stream, SETTINGS, 0, &[]).await;
        match end {
            End::Reset(after, code) => {
                let id = until(&mut stream, after).await;
                frame(&mut stream, RST_STREAM, id, &code.to_be_bytes()).await;
                // Stays, as a server does that refuses one stream.
                while stream.read(&mut [0; 4096]).await.is_ok_and(|octets| octets > 0) {}
            }
            End::GoAway(after, last, code) => {
                until(&mut stream, after).await;
                frame(&mut stream, GOAWAY, 0, &[last.to_be_bytes(), code.to_be_bytes()].concat()).await;
                let _ = stream.shutdown().await;
            }
            End::Close => {
                until(&mut stream, DATA).await;
            }
        }
    };
    tls_server(&world.layout.platform("tls"), b"\x02h2", talk).await
}

async fn sent(end: End) -> (Result<RawAnswer, SendError>, u64) {
    let world = World::new();
    let platform = world.platform(|config| config.http2 = true).await;
    let client = world.client(|_| {}, &[server(&world, end).await, platform.https_addr]);
    let result = client.send(&world.request(), &world.trust).await;
    (result, platform.stats().requests)
}

#[tokio::test]
async fn a_stream_that_the_server_refused_goes_to_the_next_endpoint() {
    for end in [
        End::Reset(HEADERS, REFUSED_STREAM),
        End::Reset(DATA, REFUSED_STREAM),
        End::GoAway(HEADERS, 0, 0),
        End::GoAway(DATA, 0, INTERNAL_ERROR),
    ] {
        let (result, asked) = sent(end).await;
        assert_eq!(result.map(|answer| answer.status), Ok(200), "{end:?}");
        assert_eq!(asked, 1, "{end:?}");
    }
}

#[tokio::test]
async fn any_other_end_over_http2_proves_nothing_and_goes_nowhere_else() {
    for end in [
        End::Reset(DATA, INTERNAL_ERROR),
        End::Reset(DATA, CANCEL),
        End::Reset(DATA, 0),
        End::GoAway(DATA, 1, 0),
        End::GoAway(DATA, 1, REFUSED_STREAM),
        End::GoAway(DATA, 0x7fff_ffff, INTERNAL_ERROR),
        End::Close,
    ] {
        let (result, asked) = sent(end).await;
        assert_eq!(result.map(|answer| answer.status), Err(SendError::Unanswered), "{end:?}");
        assert_eq!(asked, 0, "{end:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_share_an_http2_connection_and_http1_ones_do_not() {
    for http2 in [true, false] {
        let world = Arc::new(World::new());
        let platform = world.platform(|config| config.http2 = true).await;
        let client = Arc::new(world.client(|settings| settings.http2 = http2, &[platform.https_addr]));
        client.send(&world.request(), &world.trust).await.unwrap();
        platform.delay(std::time::Duration::from_millis(300));
        let ask = |_| {
            let (world, client) = (Arc::clone(&world), Arc::clone(&client));
            tokio::spawn(async move { client.send(&world.request(), &world.trust).await.unwrap().status })
        };
        for task in (0..16).map(ask).collect::<Vec<_>>() {
            assert_eq!(task.await.unwrap(), 200);
        }
        let seen = platform.seen();
        let mut peers: Vec<_> = seen.iter().map(|seen| seen.remote.clone()).collect();
        peers.sort();
        peers.dedup();
        let protocol = if http2 { "h2" } else { "http/1.1" };
        assert!(seen.iter().all(|seen| seen.handshake.protocol == protocol));
        // Over HTTP/1.1 the first one may or may not be ready for another by then.
        assert!(if http2 { peers.len() == 1 } else { peers.len() >= 16 }, "{peers:?}");
    }
}

#[tokio::test]
async fn a_connection_that_is_too_old_or_of_another_trust_store_is_not_used_again() {
    let world = World::new();
    for http2 in [true, false] {
        let platform = world.platform(|config| config.http2 = true).await;
        let connections = |stats: &yanqian_platform_sim::Running| {
            let mut peers: Vec<_> = stats.seen().into_iter().map(|seen| seen.remote).collect();
            peers.dedup();
            peers.len()
        };
        let young = world.client(|settings| settings.http2 = http2, &[platform.https_addr]);
        for _ in 0..3 {
            young.send(&world.request(), &world.trust).await.unwrap();
        }
        assert_eq!(connections(&platform), 1);
        let other = world.layout.platform("other-ca").certificate;
        let other = crate::support::trust_with_anchor(&world, &other);
        young.send(&world.request(), &other).await.unwrap();
        assert_eq!(connections(&platform), 2);
        std::fs::remove_file(world.layout.trust().join("tls-anchors").join("another.pem")).unwrap();
        let age = |settings: &mut yanqian_platform::LinkSettings| {
            (settings.http2, settings.age) = (http2, std::time::Duration::ZERO);
        };
        let old = world.client(age, &[platform.https_addr]);
        for _ in 0..3 {
            old.send(&world.request(), &world.trust).await.unwrap();
        }
        assert_eq!(connections(&platform), 5);
    }
}
