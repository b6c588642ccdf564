//! Content to object and back: zstd, then XChaCha20-Poly1305 in chunks whose order and end are bound (STREAM), with the header
//! as associated data of each.

use std::io::Read as _;

use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use yanqian_sm::sm3;

use crate::header::{Header, HeaderError};
use crate::key::{ArchiveKey, ArchiveKeys};

/// Octets of a chunk before it is sealed; the last may have fewer.
pub(crate) const CHUNK: usize = 1 << 16;
const TAG: usize = 16;
/// Octets of any content at most: the largest segment that a ledger reads.
pub(crate) const MAX_CONTENT: u64 = 2 << 30;
const LEVEL: i32 = 3;

/// Why an object does not open.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ObjectError {
    #[error(transparent)]
    Header(#[from] HeaderError),
    #[error("it is sealed with key {0}, which is not here")]
    UnknownKey(String),
    #[error("it is of another ledger: {0}")]
    OtherOrigin(String),
    #[error("another object lies there: {0}")]
    OtherObject(String),
    #[error("it is cut off: its last chunk is missing")]
    CutOff,
    #[error("chunk {0} was altered, or is not in its place")]
    Altered(u64),
    #[error("its content is not what its header says")]
    Content,
    #[error("its content is larger than {MAX_CONTENT} octets")]
    TooLarge,
}

impl ObjectError {
    /// Stable code for labels and reports.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Header(_) => "header",
            Self::UnknownKey(_) => "unknown-key",
            Self::OtherOrigin(_) => "other-origin",
            Self::OtherObject(_) => "other-object",
            Self::CutOff => "cut-off",
            Self::Altered(_) => "altered",
            Self::Content => "content",
            Self::TooLarge => "too-large",
        }
    }
}

fn nonce(prefix: &[u8; 19], chunk: u32, last: bool) -> XNonce {
    let mut nonce = [0; 24];
    nonce[..19].copy_from_slice(prefix);
    nonce[19..23].copy_from_slice(&chunk.to_be_bytes());
    nonce[23] = u8::from(last);
    nonce.into()
}

fn wide(octets: usize) -> u64 {
    u64::try_from(octets).unwrap_or(u64::MAX)
}

/// The object of `content`. Key, prefix, hash and length of the header are set here.
pub(crate) fn seal(mut header: Header, content: &[u8], key: &ArchiveKey) -> Result<Vec<u8>, ObjectError> {
    if wide(content.len()) > MAX_CONTENT {
        return Err(ObjectError::TooLarge);
    }
    header.octets = wide(content.len());
    header.hash = sm3(&[content]);
    header.key = *key.id();
    // Without randomness the operating system cannot run this program at all.
    getrandom::fill(&mut header.prefix).expect("the operating system gives randomness");
    let head = header.encode();
    let packed = zstd::bulk::compress(content, LEVEL).map_err(|_| ObjectError::Content)?;
    let cipher = XChaCha20Poly1305::new(key.secret().into());
    let mut object = head.clone();
    object.reserve(packed.len() + (packed.len() / CHUNK + 1) * TAG);
    let chunks = packed.len().div_ceil(CHUNK);
    for (number, chunk) in (0u32..).zip(packed.chunks(CHUNK)) {
        let last = usize::try_from(number).is_ok_and(|number| number + 1 == chunks);
        let payload = Payload { msg: chunk, aad: &head };
        object
            .extend(cipher.encrypt(&nonce(&header.prefix, number, last), payload).map_err(|_| ObjectError::TooLarge)?);
    }
    Ok(object)
}

/// The content of an object, once every chunk of it is proven and it hashes to what the header says.
pub(crate) fn open(object: &[u8], keys: &ArchiveKeys) -> Result<(Header, Vec<u8>), ObjectError> {
    let (header, head) = Header::decode(object)?;
    let key = keys.find(&header.key).ok_or_else(|| ObjectError::UnknownKey(hex::encode(header.key)))?;
    if header.octets > MAX_CONTENT {
        return Err(ObjectError::TooLarge);
    }
    let (aad, sealed) = object.split_at(head);
    let cipher = XChaCha20Poly1305::new(key.secret().into());
    let mut packed = Vec::with_capacity(sealed.len());
    let chunks = sealed.len().div_ceil(CHUNK + TAG);
    for (number, chunk) in (0u32..).zip(sealed.chunks(CHUNK + TAG)) {
        let last = usize::try_from(number).is_ok_and(|number| number + 1 == chunks);
        let open = |last| cipher.decrypt(&nonce(&header.prefix, number, last), Payload { msg: chunk, aad });
        match open(last) {
            Ok(octets) => packed.extend(octets),
            Err(_) if last && open(false).is_ok() => return Err(ObjectError::CutOff),
            Err(_) => return Err(ObjectError::Altered(number.into())),
        }
    }
    if chunks == 0 {
        return Err(ObjectError::CutOff);
    }
    let mut content = Vec::new();
    let unpacking = zstd::Decoder::new(packed.as_slice()).map_err(|_| ObjectError::Content)?;
    unpacking.take(header.octets + 1).read_to_end(&mut content).map_err(|_| ObjectError::Content)?;
    if wide(content.len()) != header.octets || sm3(&[&content]) != header.hash {
        return Err(ObjectError::Content);
    }
    Ok((header, content))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;
    use zeroize::Zeroizing;

    use super::*;

    fn keys() -> ArchiveKeys {
        ArchiveKeys { current: ArchiveKey::new(Zeroizing::new([1; 32])), former: Vec::new() }
    }

    fn header() -> Header {
        Header {
            kind: 1,
            origin: "bank/node-1".to_owned(),
            node: "node-1".to_owned(),
            number: 1,
            first: 1,
            last: 2,
            hash: [0; 32],
            octets: 0,
            key: [0; 16],
            prefix: [0; 19],
        }
    }

    /// Octets that zstd does not make shorter.
    fn noise(length: usize) -> Vec<u8> {
        let mut state = 1u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state.to_be_bytes()[0]
        };
        (0..length).map(|_| next()).collect()
    }

    #[test]
    fn chunks_that_are_cut_off_moved_or_repeated_are_refused() {
        let content = noise(3 * CHUNK + 100);
        let object = seal(header(), &content, &keys().current).unwrap();
        assert_eq!(open(&object, &keys()).unwrap().1, content);
        let head = Header::decode(&object).unwrap().1;
        let chunks: Vec<&[u8]> = object[head..].chunks(CHUNK + TAG).collect();
        assert!(chunks.len() >= 4);
        let put = |order: &[usize]| {
            let moved: Vec<u8> = order.iter().flat_map(|at| chunks[*at]).copied().collect();
            open(&[&object[..head], &moved].concat(), &keys()).unwrap_err()
        };
        assert_eq!(put(&[0, 1, 2]), ObjectError::CutOff);
        assert_eq!(put(&[1, 0, 2, 3]), ObjectError::Altered(0));
        assert_eq!(put(&[0, 2, 1, 3]), ObjectError::Altered(1));
        assert_eq!(put(&[0, 1, 1, 3]), ObjectError::Altered(2));
        assert_eq!(put(&[]), ObjectError::CutOff);
    }

    #[test]
    fn the_head_is_bound_to_the_content() {
        let object = seal(header(), b"content", &keys().current).unwrap();
        let (header, head) = Header::decode(&object).unwrap();
        for changed in [
            Header { number: 2, ..header.clone() },
            Header { origin: "bank/node-2".to_owned(), ..header.clone() },
            Header { hash: [9; 32], ..header.clone() },
            Header { kind: 2, ..header },
        ] {
            let forged = [&changed.encode()[..], &object[head..]].concat();
            assert_eq!(open(&forged, &keys()).unwrap_err(), ObjectError::Altered(0));
        }
    }

    proptest! {
        #[test]
        fn any_content_comes_back(content in proptest::collection::vec(any::<u8>(), 0..5000)) {
            let object = seal(header(), &content, &keys().current).unwrap();
            prop_assert_eq!(open(&object, &keys()).unwrap().1, content);
        }

        #[test]
        fn no_octets_make_the_reader_panic(octets in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = open(&octets, &keys());
            let _ = open(&[b"YQARCHIV\0\0\0\x01\0\0\0", &octets[..]].concat(), &keys());
        }

        #[test]
        fn no_changed_octet_opens(at in any::<prop::sample::Index>(), to in any::<u8>()) {
            let mut object = seal(header(), b"what was sealed", &keys().current).unwrap();
            let at = at.index(object.len());
            prop_assume!(object[at] != to);
            object[at] = to;
            prop_assert!(open(&object, &keys()).is_err());
        }
    }
}
