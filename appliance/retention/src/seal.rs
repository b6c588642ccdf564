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
