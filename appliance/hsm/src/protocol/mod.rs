//! The worker's protocol: what may be asked of the process that holds the token, and what it answers.
//!
//! A Unix stream socket carries frames: a length of four octets big-endian, at most [`MAX_FRAME`], then one CBOR item
//! with integer keys. The first frame of a client is [`Hello`], the worker's is [`Welcome`]; afterwards [`Request`]s and
//! [`Reply`]s, paired by id, in any order. The vocabulary is small on purpose: `Sign` takes a digest and `Unseal` a
//! ciphertext, so that another backend than PKCS#11 (GM/T 0018, a remote signer) can answer the same questions.
//!
//! Unknown map keys are skipped, so fields may be added. Anything else changes [`PROTOCOL`].

mod algorithm;
mod check;
mod frame;
mod journal;
mod secret;
mod state;

use std::fmt;

use minicbor::{Decode, Encode};

pub use algorithm::{KeyAlgorithm, Scheme};
pub use frame::{FrameError, decode, encode, read_frame, write_frame};
pub use journal::{Act, JournalPage};
pub use secret::Secret;
pub use state::{CodeCount, KeyCount, KeyEntry, KeyUsage, LATENCY_BOUNDS, Latency, Status, TIMED_OPERATIONS};

/// Version of this protocol; both sides must have the same.
pub const PROTOCOL: u32 = 5;
/// Octets of one frame's content at most.
pub const MAX_FRAME: usize = 64 * 1024;
/// Octets of a message that comes with its digest, for modules that cannot sign a digest.
pub const MAX_TBS: usize = 8 * 1024;
/// Octets of an `SM2Cipher` at most: it wraps a session key.
pub const MAX_CIPHER: usize = 512;
/// Octets that an `Unseal` gives at most.
pub const MAX_OPENED: usize = 64;
/// Octets of an enveloped key, and of a certificate, at most.
pub const MAX_IMPORT: usize = 8 * 1024;
/// Octets of a key label at most: what every known token takes.
pub const MAX_LABEL: usize = 64;
/// Random octets in one answer at most.
pub const MAX_RANDOM: u32 = 1024;
/// Octets of a self-proof nonce, least and most.
pub const NONCE_RANGE: std::ops::RangeInclusive<usize> = 16..=64;

/// A client's first frame.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Hello {
    #[n(0)]
    pub protocol: u32,
    /// Name and version of the client's software, for the worker's log; at most 64 octets are used.
    #[n(1)]
    pub software: String,
}

/// The worker's first frame. With a refusal the connection ends here.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Welcome {
    #[n(0)]
    pub protocol: u32,
    #[n(1)]
    pub software: String,
    #[n(2)]
    pub refusal: Option<Refusal>,
}

/// One question.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Request {
    /// Chosen by the client; the reply carries the same. Unique among those in flight on the connection.
    #[n(0)]
    pub id: u64,
    #[n(1)]
    pub operation: Operation,
}

/// What the worker can be asked to do.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub enum Operation {
    /// An SM2 signature over a digest.
    #[n(0)]
    Sign {
        #[n(0)]
        label: String,
        /// e = SM3(Z ‖ M), 32 octets.
        #[cbor(n(1), with = "minicbor::bytes")]
        e: [u8; 32],
        /// M, at most [`MAX_TBS`] octets. Must hash to e; needed only when the profile signs messages.
        #[cbor(n(2), with = "minicbor::bytes")]
        tbs: Option<Vec<u8>>,
    },
    /// All key pairs of the token, those that are never used included.
    #[n(1)]
    ListKeys,
    #[n(2)]
    PublicKey {
        #[n(0)]
        label: String,
    },
    /// A new key pair in the token. A label in use is refused. Management.
    #[n(3)]
    GenerateKey {
        #[n(0)]
        label: String,
        #[n(1)]
        algorithm: KeyAlgorithm,
    },
    /// A PKCS #10 request, made and signed here so that nobody needs to send its octets as a digest. Management.
    #[n(4)]
    Csr {
        #[n(0)]
        label: String,
        /// `KEY=value` pairs as [`yanqian_messages::Subject::parse`] reads them.
        #[n(1)]
        subject: String,
    },
    /// Stores a certificate beside its key, replacing the one that is there. Management.
    #[n(5)]
    ImportCertificate {
        #[n(0)]
        label: String,
        /// DER.
        #[cbor(n(1), with = "minicbor::bytes")]
        certificate: Vec<u8>,
    },
    /// Octets of the token's random number generator, at most [`MAX_RANDOM`].
    #[n(6)]
    Random {
        #[n(0)]
        count: u32,
    },
    /// A signature over [`crate::self_proof_message`] of the nonce; rate-limited. The asker verifies it.
    #[n(7)]
    SelfProof {
        #[n(0)]
        label: String,
        /// Octets within [`NONCE_RANGE`].
        #[cbor(n(1), with = "minicbor::bytes")]
        nonce: Vec<u8>,
    },
    #[n(8)]
    Status,
    /// Opens a session key that was sealed to an encryption key. A signing key opens nothing.
    #[n(9)]
    Unseal {
        #[n(0)]
        label: String,
        /// DER `SM2Cipher` (GB/T 35276-2017 §7.2), at most [`MAX_CIPHER`] octets.
        #[cbor(n(1), with = "minicbor::bytes")]
        cipher: Vec<u8>,
    },
    /// Unwraps the encryption pair that an authority made for the entity and stores its certificate with it. A label in use
    /// is refused. Management.
    #[n(10)]
    ImportEncryptionKey {
        #[n(0)]
        label: String,
        /// The signing key to which the pair was wrapped.
        #[n(1)]
        wrapping_label: String,
        /// DER `SM2EnvelopedKey` (GB/T 35276-2017 §7.4), at most [`MAX_IMPORT`] octets.
        #[cbor(n(2), with = "minicbor::bytes")]
        enveloped_key: Vec<u8>,
        /// DER, for the same key; at most [`MAX_IMPORT`] octets.
        #[cbor(n(3), with = "minicbor::bytes")]
        certificate: Vec<u8>,
    },
    /// Destroys a key pair and its certificates. The id must be the key's: what is destroyed is what was looked at. Management.
    #[n(11)]
    DestroyKey {
        #[n(0)]
        label: String,
        /// SM3 of the key's `SubjectPublicKeyInfo`.
        #[cbor(n(1), with = "minicbor::bytes")]
        key_id: [u8; 32],
    },
    /// A signature by a key of another algorithm than SM2.
    #[n(12)]
    SignDigest {
        #[n(0)]
        label: String,
        #[n(1)]
        scheme: Scheme,
        /// SHA-256 of the message.
        #[cbor(n(2), with = "minicbor::bytes")]
        digest: [u8; 32],
        /// The message, at most [`MAX_TBS`] octets. Must hash to the digest; needed only when the profile signs messages.
        #[cbor(n(3), with = "minicbor::bytes")]
        tbs: Option<Vec<u8>>,
    },
    /// What administrators had this worker do, from a place in its journal on.
    #[n(13)]
    Journal {
        /// The journal that the place is in; none at first.
        #[cbor(n(0), with = "minicbor::bytes")]
        id: Option<[u8; 16]>,
        #[n(1)]
        from: u64,
    },
}

impl Operation {
    /// A stable name for logs and metrics.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Sign { .. } => "sign",
            Self::ListKeys => "list-keys",
            Self::PublicKey { .. } => "public-key",
            Self::GenerateKey { .. } => "generate-key",
            Self::Csr { .. } => "csr",
            Self::ImportCertificate { .. } => "import-certificate",
            Self::Random { .. } => "random",
            Self::SelfProof { .. } => "self-proof",
            Self::Status => "status",
            Self::Unseal { .. } => "unseal",
            Self::ImportEncryptionKey { .. } => "import-encryption-key",
            Self::DestroyKey { .. } => "destroy-key",
            Self::SignDigest { .. } => "sign-digest",
            Self::Journal { .. } => "journal",
        }
    }
}

impl fmt::Debug for Operation {
    /// The name only: a message to be signed may hold what must not be printed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Operation({})", self.name())
    }
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Reply {
    #[n(0)]
    pub id: u64,
    #[n(1)]
    pub outcome: Outcome,
}

/// How a request ended.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Outcome {
    #[n(0)]
    Done(#[n(0)] Answer),
    /// The queue is full or the token has no room; nothing was done.
    #[n(1)]
    Busy,
    /// The token cannot be used now; the worker recovers or starts again.
    #[n(2)]
    Unavailable(#[n(0)] String),
    /// The same request will be refused again.
    #[n(3)]
    Refused(#[n(0)] Refusal),
}

/// Why something is refused.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Refusal {
    /// One of [`codes`].
    #[n(0)]
    pub code: String,
    /// For people; names the field or the profile key to change.
    #[n(1)]
    pub message: String,
}

impl Refusal {
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), message: message.into() }
    }
}

/// Stable codes of refusals.
pub mod codes {
    /// The peer's uid may not connect.
    pub const PEER: &str = "peer-refused";
    /// The peer's uid may connect but not manage.
    pub const NOT_PERMITTED: &str = "not-permitted";
    /// The two sides speak different versions.
    pub const PROTOCOL_VERSION: &str = "protocol-version";
    /// A field of the request is out of range.
    pub const BAD_REQUEST: &str = "bad-request";
    /// No key has this label.
    pub const UNKNOWN_KEY: &str = "unknown-key";
    /// More than one key has this label.
    pub const DUPLICATE_LABEL: &str = "duplicate-label";
    /// A new key asks for a label that is there already.
    pub const LABEL_IN_USE: &str = "label-in-use";
    /// The key to be imported is there already, under whichever label.
    pub const KEY_PRESENT: &str = "key-present";
    /// The profile signs messages, and no message came with the digest.
    pub const TBS_REQUIRED: &str = "tbs-required";
    /// The message does not hash to the digest.
    pub const TBS_MISMATCH: &str = "tbs-mismatch";
    /// The public key of a key pair cannot be found or read.
    pub const PUBLIC_KEY: &str = "public-key";
    /// The certificate is not one for this key.
    pub const CERTIFICATE: &str = "certificate";
    /// The token's signatures with this key do not verify.
    pub const SELF_PROOF: &str = "self-proof-failed";
    /// The key has made as many signatures as it may make.
    pub const KEY_LIMIT: &str = "key-limit";
    /// Too many self-proofs.
    pub const RATE_LIMITED: &str = "rate-limited";
    /// The module refuses what the profile says; the message names the profile's key.
    pub const PROFILE: &str = "profile";
    /// The module refuses for a reason that lies in neither request nor profile.
    pub const TOKEN: &str = "token-refused";
    /// The key is not for this use: a signing key opens nothing, an encryption key signs nothing.
    pub const KEY_USAGE: &str = "key-usage";
    /// The key has another id than the one to be destroyed.
    pub const OTHER_KEY: &str = "other-key";
    /// The token found that the ciphertext or the enveloped key cannot be opened with this key.
    pub const NOT_OPENED: &str = "not-opened";
    /// The key is of an algorithm that is weak, not among the worker's `algorithms`, or not for this operation.
    pub const ALGORITHM: &str = "key-algorithm";
    /// A sealed key cannot be read or is not what it should be, or memory for it cannot be locked.
    pub const SEALED: &str = "sealed-key";
    /// The worker's keys are protected worse than its client demands. Said by the client's side.
    pub const GRADE: &str = "token-grade";
    /// The worker cannot write its journal; nothing was done.
    pub const JOURNAL: &str = "journal";
    /// The token refused the PIN; no login will be tried again before it changes.
    pub const CREDENTIALS: &str = "credentials";
}

/// What a [`Outcome::Done`] holds.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Answer {
    /// `r ‖ s`, 32 octets big-endian each.
    #[n(0)]
    Signature(#[cbor(n(0), with = "minicbor::bytes")] [u8; 64]),
    #[n(1)]
    Keys(#[n(0)] Vec<KeyEntry>),
    /// `04 ‖ x ‖ y`.
    #[n(2)]
    PublicKey(#[cbor(n(0), with = "minicbor::bytes")] [u8; 65]),
    #[n(3)]
    Key(#[n(0)] Box<KeyEntry>),
    /// DER `CertificationRequest`.
    #[n(4)]
    Csr(#[cbor(n(0), with = "minicbor::bytes")] Vec<u8>),
    #[n(5)]
    Imported,
    #[n(6)]
    Random(#[cbor(n(0), with = "minicbor::bytes")] Vec<u8>),
    #[n(7)]
    Status(#[n(0)] Box<Status>),
    /// What an `Unseal` opened.
    #[n(8)]
    Opened(#[n(0)] Secret),
    #[n(9)]
    Destroyed,
    /// In the form that the scheme says.
    #[n(10)]
    DigestSignature(#[cbor(n(0), with = "minicbor::bytes")] Vec<u8>),
    #[n(11)]
    Journal(#[n(0)] JournalPage),
}

#[cfg(test)]
mod tests;
