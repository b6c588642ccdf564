//! The worker's protocol: what may be asked of the process that holds the token, and what it answers.
//!
//! A Unix stream socket carries frames: a length of four octets big-endian, at most [`MAX_FRAME`], then one CBOR item
//! with integer keys. The first frame of a client is [`Hello`], the worker's is [`Welcome`]; afterwards [`Request`]s and
//! [`Reply`]s, paired by id, in any order. The vocabulary is small on purpose: `Sign` takes a digest and `Unseal` a
//! ciphertext, so that another backend than PKCS#11 (GM/T 0018, a remote signer) can answer the same questions.
//!
//! Unknown map keys are skipped, so fields may be added. Anything else changes [`PROTOCOL`].

mod frame;
mod secret;

use std::fmt;

use minicbor::{Decode, Encode};

pub use frame::{FrameError, decode, encode, read_frame, write_frame};
pub use secret::Secret;

/// Version of this protocol; both sides must have the same.
pub const PROTOCOL: u32 = 2;
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
    /// All SM2 keys of the token.
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
    /// Too many self-proofs.
    pub const RATE_LIMITED: &str = "rate-limited";
    /// The module refuses what the profile says; the message names the profile's key.
    pub const PROFILE: &str = "profile";
    /// The module refuses for a reason that lies in neither request nor profile.
    pub const TOKEN: &str = "token-refused";
    /// The key is not for this use: a signing key opens nothing, an encryption key signs nothing.
    pub const KEY_USAGE: &str = "key-usage";
    /// The token found that the ciphertext or the enveloped key cannot be opened with this key.
    pub const NOT_OPENED: &str = "not-opened";
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
}

/// What a key pair is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum KeyUsage {
    #[n(0)]
    Sign,
    #[n(1)]
    Encrypt,
}

impl KeyUsage {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sign => "sign",
            Self::Encrypt => "encrypt",
        }
    }
}

/// A key pair of the token.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct KeyEntry {
    /// `CKA_LABEL`.
    #[n(0)]
    pub label: String,
    /// `CKA_ID`, which links private key, public key and certificate.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub id: Vec<u8>,
    /// `04 ‖ x ‖ y`; none when the token does not give it.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub public_key: Option<[u8; 65]>,
    /// SM3 of the DER certificate stored with the key.
    #[cbor(n(3), with = "minicbor::bytes")]
    pub certificate_hash: Option<[u8; 32]>,
    /// Whether a self-proof has verified since the worker started.
    #[n(4)]
    pub proven: bool,
    /// Why the key cannot serve; none when it can.
    #[n(5)]
    pub problem: Option<String>,
    #[n(6)]
    pub usage: KeyUsage,
}

/// The state of a worker. Counters start at zero with the process.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
#[cbor(map)]
pub struct Status {
    #[n(0)]
    pub pid: u32,
    /// Name and version of the worker's software.
    #[n(1)]
    pub software: String,
    /// UTC milliseconds since 1970.
    #[n(2)]
    pub started_at_ms: u64,
    /// The profile's name.
    #[n(3)]
    pub profile: String,
    /// SM3 of the profile's file.
    #[cbor(n(4), with = "minicbor::bytes")]
    pub profile_hash: [u8; 32],
    /// `hsm`, `sealed` or `development`.
    #[n(5)]
    pub grade: String,
    #[n(6)]
    pub token_label: String,
    #[n(7)]
    pub token_serial: String,
    #[n(8)]
    pub token_model: String,
    #[n(9)]
    pub token_manufacturer: String,
    /// Every signature that the token made, self-proofs and certification requests included.
    #[n(10)]
    pub signatures_total: u64,
    /// Signatures asked of the token that it did not make.
    #[n(11)]
    pub sign_failures_total: u64,
    /// Calls of `C_Login`.
    #[n(12)]
    pub logins_total: u64,
    /// Self-proofs that the token signed, those at start included.
    #[n(13)]
    pub self_proofs_total: u64,
    /// Sessions opened again after an error.
    #[n(14)]
    pub sessions_reopened_total: u64,
    /// Requests answered with `Busy`.
    #[n(15)]
    pub busy_total: u64,
    /// Requests waiting now.
    #[n(16)]
    pub queue_depth: u32,
    #[n(17)]
    pub queue_capacity: u32,
    /// Threads that sign, each with one session.
    #[n(18)]
    pub threads: u32,
    /// Whether `Sign` needs the message as well as the digest.
    #[n(19)]
    pub needs_message: bool,
    /// Ciphertexts that the token opened, proofs of encryption keys included.
    #[n(20)]
    pub unseals_total: u64,
    /// Ciphertexts that were not opened: refused here before the token saw them, or by the token.
    #[n(21)]
    pub unseal_failures_total: u64,
    /// Times that the module was initialised again, and the token came back.
    #[n(22)]
    pub reinitialisations_total: u64,
    /// UTC milliseconds since 1970 of the last signature or opening; 0 before the first.
    #[n(23)]
    pub last_success_ms: u64,
    /// Why the token is away now; none while it is there.
    #[n(24)]
    pub away: Option<String>,
    /// What the module's functions answered, other than `CKR_OK`.
    #[n(25)]
    pub return_codes: Vec<CodeCount>,
    /// Signatures that the token made, that do not verify, and that went nowhere.
    #[n(26)]
    pub defective_signatures_total: u64,
}

/// How often a return code was seen.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct CodeCount {
    /// The standard's name, or the number of a code that the standard does not know.
    #[n(0)]
    pub name: String,
    #[n(1)]
    pub total: u64,
}

#[cfg(test)]
mod tests;
