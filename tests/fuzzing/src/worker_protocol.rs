use std::cell::OnceCell;
use std::fmt::Debug;
use std::time::Duration;

use minicbor::{Decode, Encode};
use tokio::runtime::{Builder, Runtime};
use yanqian_hsm::protocol::{
    FrameError, Hello, MAX_CIPHER, MAX_FRAME, MAX_IMPORT, MAX_LABEL, MAX_RANDOM, MAX_TBS, NONCE_RANGE, Operation,
    Reply, Request, Welcome, codes, decode, encode, read_frame,
};

use crate::input::Input;

/// What stands in a frame between daemon and worker, and the frame itself.
pub fn worker_protocol(octets: &[u8]) {
    let mut input = Input(octets);
    let form = input.octet();
    let content = input.rest();
    match form % 5 {
        0 => {
            if let Some(request) = survives::<Request>(content) {
                checked(&request.operation);
            }
        }
        1 => drop(survives::<Reply>(content)),
        2 => drop(survives::<Hello>(content)),
        3 => drop(survives::<Welcome>(content)),
        _ => frames(content),
    }
}

/// What is read is written, and read as the same again.
fn survives<T: for<'a> Decode<'a, ()> + Encode<()> + PartialEq + Debug>(content: &[u8]) -> Option<T> {
    let value: T = decode(content).ok()?;
    // What came in a frame may have been shorter than we write it, by keys that were left out.
    match encode(&value) {
        Ok(frame) => assert_eq!(decode::<T>(&frame[4..]).expect("what was written is read"), value),
        Err(error) => assert!(matches!(error, FrameError::TooLarge(length) if length > MAX_FRAME)),
    }
    Some(value)
}

/// What passes is within every bound that the token's side relies on; what does not names the request as the culprit.
fn checked(operation: &Operation) {
    if let Err(refusal) = operation.check() {
        assert_eq!(refusal.code, codes::BAD_REQUEST);
        assert!(!refusal.message.is_empty());
        return;
    }
    let named = |label: &str| {
        assert!((1..=MAX_LABEL).contains(&label.len()) && !label.chars().any(char::is_control));
    };
    match operation {
        Operation::Sign { label, tbs, .. } | Operation::SignDigest { label, tbs, .. } => {
            named(label);
            assert!(tbs.as_ref().is_none_or(|tbs| tbs.len() <= MAX_TBS));
        }
        Operation::SelfProof { label, nonce } => {
            named(label);
            assert!(NONCE_RANGE.contains(&nonce.len()));
        }
        Operation::Unseal { label, cipher } => {
            named(label);
            assert!((1..=MAX_CIPHER).contains(&cipher.len()));
        }
        Operation::ImportEncryptionKey { label, wrapping_label, enveloped_key, certificate } => {
            named(label);
            assert!(label != wrapping_label && !wrapping_label.is_empty() && wrapping_label.len() <= MAX_LABEL);
            assert!([enveloped_key, certificate].iter().all(|octets| (1..=MAX_IMPORT).contains(&octets.len())));
        }
        Operation::Random { count } => assert!((1..=MAX_RANDOM).contains(count)),
        Operation::PublicKey { label }
        | Operation::GenerateKey { label, .. }
        | Operation::Csr { label, .. }
        | Operation::ImportCertificate { label, .. }
        | Operation::DestroyKey { label, .. } => named(label),
        Operation::ListKeys | Operation::Status | Operation::Journal { .. } => {}
    }
}

thread_local! {
    /// Reading has limits in time, which need one.
    static RUNTIME: OnceCell<Runtime> = const { OnceCell::new() };
}

/// A stream gives the frames that its lengths say, then the end or the error that its rest is.
fn frames(stream: &[u8]) {
    RUNTIME.with(|runtime| {
        let runtime = runtime
            .get_or_init(|| Builder::new_current_thread().enable_time().build().expect("no resource is missing"));
        runtime.block_on(async {
            let mut left = stream;
            loop {
                let before = left;
                let read = read_frame(&mut left, Duration::MAX, Duration::MAX).await;
                let Some(prefix) = before.first_chunk::<4>() else {
                    match read {
                        Ok(None) => assert!(before.is_empty()),
                        Err(FrameError::Io(_)) => assert!(!before.is_empty()),
                        other => panic!("{other:?}"),
                    }
                    return;
                };
                let length = u32::from_be_bytes(*prefix) as usize;
                match read {
                    Ok(Some(content)) => assert_eq!(before[4..].get(..length), Some(content.as_slice())),
                    Err(FrameError::Empty) => return assert_eq!(length, 0),
                    Err(FrameError::TooLarge(told)) => return assert!(told == length && length > MAX_FRAME),
                    Err(FrameError::Io(_)) => return assert!(before.len() - 4 < length && length <= MAX_FRAME),
                    other => panic!("{other:?}"),
                }
            }
        });
    });
}
