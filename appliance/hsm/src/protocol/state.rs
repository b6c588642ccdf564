use std::time::Duration;

use minicbor::{Decode, Encode};

use super::KeyAlgorithm;

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
    /// `04 ‖ x ‖ y` of an SM2 key; none when the token does not give it.
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
    /// Signatures that the key was asked for, ever, as far as this worker's state directory knows.
    #[n(7)]
    pub signatures: Option<u64>,
    /// How many it may make, if that is limited.
    #[n(8)]
    pub signature_limit: Option<u64>,
    /// None for keys that are of none that is used.
    #[n(9)]
    pub algorithm: Option<KeyAlgorithm>,
    /// SM3 of the DER `SubjectPublicKeyInfo`; none when the public key cannot be found or is of no algorithm that is used.
    #[cbor(n(10), with = "minicbor::bytes")]
    pub key_id: Option<[u8; 32]>,
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
    /// Successors that did not come up, so that this worker went on.
    #[cbor(n(27), default)]
    pub replacement_failures_total: u64,
    /// Why the last of them did not.
    #[n(28)]
    pub replacement_problem: Option<String>,
    /// Of the keys that this worker has used.
    #[cbor(n(29), default)]
    pub keys: Vec<KeyCount>,
    /// What the module's calls took, for each of [`TIMED_OPERATIONS`].
    #[cbor(n(40), default)]
    pub latencies: Vec<Latency>,
    /// Sessions that are open now.
    #[cbor(n(41), default)]
    pub sessions: u32,
    /// Sessions that the worker opens at most.
    #[cbor(n(42), default)]
    pub sessions_limit: u32,
}

/// How often a key has signed. Goes on across restarts.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct KeyCount {
    /// `CKA_LABEL`.
    #[n(0)]
    pub label: String,
    /// SM3 of the `SubjectPublicKeyInfo`.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub key_id: [u8; 32],
    /// Never too low; too high by what a worker that was killed had set aside.
    #[n(2)]
    pub signatures_total: u64,
    /// At which the key signs no more.
    #[n(3)]
    pub limit: Option<u64>,
    /// From which on the limit is near.
    #[n(4)]
    pub warns_at: Option<u64>,
}

/// Operations whose calls into the module are timed. A profile has one mechanism for each.
pub const TIMED_OPERATIONS: [&str; 2] = ["sign", "unseal"];

/// Upper bounds of the buckets of [`Latency`]; beyond the last there is one more.
pub const LATENCY_BOUNDS: [Duration; 16] = {
    const fn micros(n: u64) -> Duration {
        Duration::from_micros(n)
    }
    [
        micros(100),
        micros(250),
        micros(500),
        micros(1_000),
        micros(2_500),
        micros(5_000),
        micros(10_000),
        micros(25_000),
        micros(50_000),
        micros(100_000),
        micros(250_000),
        micros(500_000),
        micros(1_000_000),
        micros(2_500_000),
        micros(5_000_000),
        micros(10_000_000),
    ]
};

/// How often the module's calls for an operation took how long, those that failed included.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
#[cbor(map)]
pub struct Latency {
    /// One of [`TIMED_OPERATIONS`].
    #[n(0)]
    pub operation: String,
    /// Calls in each bucket by itself; one more than there are [`LATENCY_BOUNDS`].
    #[n(1)]
    pub counts: Vec<u64>,
    /// Of all calls, in microseconds.
    #[n(2)]
    pub sum_us: u64,
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
