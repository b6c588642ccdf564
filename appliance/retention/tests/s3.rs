//! The same against S3-compatible storage: a real server, which `tests/s3/run` starts.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;
use std::time::Duration;

use support::{DAY, Node, keys};
use yanqian_retention::{ArchiveError, Expirable, Keep, Kind, Name, S3, Site, Store, expire, restore, verify};
use zeroize::Zeroizing;

const NEEDS: &str = "YANQIAN_S3_ENDPOINT: appliance/retention/tests/s3/run starts a server and sets it";

fn site(bucket: &str) -> Site {
    Site::S3(S3 {
        bucket: bucket.to_owned(),
        prefix: "evidence".to_owned(),
        endpoint: std::env::var("YANQIAN_S3_ENDPOINT").expect(NEEDS),
        region: "us-east-1".to_owned(),
        credentials: Zeroizing::new("key-id:secret".to_owned()),
        ca_file: None,
    })
}

/// A bucket is made by a plain PUT of its name.
async fn make(bucket: &str) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let endpoint = std::env::var("YANQIAN_S3_ENDPOINT").expect(NEEDS);
    let address = endpoint.strip_prefix("http://").unwrap();
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let scope = "Credential=key-id/20260101/us-east-1/s3/aws4_request";
    let head = format!(
        "PUT /{bucket} HTTP/1.1\r\nhost: {address}\r\ncontent-length: 0\r\nconnection: close\r\nauthorization: AWS4-HMAC-SHA256 {scope}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
#[ignore = "needs a server: tests/s3/run"]
async fn a_ledger_goes_to_s3_is_proven_there_and_comes_back() {
    make("whole").await;
    let mut node = Node::new();
    let archive = node.archive(&site("whole"), keys(1));
    node.fill(4).await;
    node.export(&archive).await.unwrap();
    node.export(&archive).await.unwrap();
    let verified = verify(&archive, Some(&node.checkpoint_key()), &mut |_| {}).await.unwrap();
    assert_eq!((verified.ends.len(), verified.checkpoints), (4, 4));
    for segment in [1, 2] {
        node.remove(&archive, segment).await.unwrap();
    }
    node.open();
    let line = node.list().of(1).unwrap().clone();
    restore(&archive, &node.path("ledger"), &line).await.unwrap();
    let late = node.time().plus_millis(1096 * DAY);
    let keep = Keep { access_days: 1095, management_days: 1095 };
    assert_eq!(expire(&archive, &line, &keep, late, || async { Ok(()) }).await.unwrap(), Expirable::Now);
    assert_eq!(archive.numbers(Kind::Segment).await.unwrap(), [2, 3, 4]);
    assert_eq!(verify(&archive, None, &mut |_| {}).await.unwrap().expired, 1);
}

#[tokio::test]
#[ignore = "needs a server: tests/s3/run"]
async fn of_two_writers_of_one_name_the_second_is_refused_by_the_storage_itself() {
    make("twice").await;
    let node = Node::new();
    let (one, other) = (node.archive(&site("twice"), keys(1)), node.archive(&site("twice"), keys(1)));
    let name = Name::Hold(1);
    let (first, second) = tokio::join!(
        one.put(name, (0, 0), Arc::new(b"one".to_vec())),
        other.put(name, (0, 0), Arc::new(b"two".to_vec())),
    );
    let differs = |result: &Result<(), ArchiveError>| matches!(result, Err(ArchiveError::Differs(_)));
    assert!(first.is_ok() != second.is_ok() && (differs(&first) || differs(&second)), "{first:?} {second:?}");
    let there = one.read(name).await.unwrap().unwrap().content;
    assert_eq!(there, if first.is_ok() { b"one" } else { b"two" });
}

#[tokio::test]
#[ignore = "needs a server: tests/s3/run"]
async fn a_bucket_that_is_not_there_is_an_error_with_an_end() {
    let mut node = Node::new();
    let archive = node.archive(&site("nowhere"), keys(1));
    node.fill(1).await;
    assert_eq!(node.export(&archive).await.unwrap_err().code(), "store");
    assert!(node.list().segments.is_empty());
}

#[tokio::test]
#[ignore = "with the others of this file"]
async fn a_server_that_never_answers_is_given_up() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let Site::S3(s3) = site("any") else { unreachable!() };
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    let store = Store::open(&Site::S3(S3 { endpoint, ..s3 }), "bank/node-1", Duration::from_millis(300)).unwrap();
    let node = Node::new();
    let archive = yanqian_retention::Archive::new(
        store,
        keys(1),
        node.origin(),
        yanqian_vocabulary::NodeId::new("node-1").unwrap(),
    );
    assert_eq!(archive.numbers(Kind::Segment).await.unwrap_err().code(), "slow");
}
