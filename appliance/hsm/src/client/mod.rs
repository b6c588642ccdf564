//! The daemon's side of the worker's socket.
//!
//! A [`WorkerClient`] outlives its worker: it connects when first used, shares one connection between all callers, and
//! connects again after the worker has been away. A call never waits longer than its deadline.

mod connection;
mod error;
mod grade;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use yanqian_messages::{SignatureVerifier, sm2_cipher_to_der};
use yanqian_sm::{DistinguishingId, E, PublicKey, Signature, Sm2Ciphertext};
use yanqian_vocabulary::TokenGrade;

pub use error::WorkerError;

use self::connection::Connection;
use crate::protocol::{
    Answer, JournalPage, KeyAlgorithm, KeyEntry, MAX_TBS, Operation, Outcome, Scheme, Secret, Status,
};
use crate::self_proof::self_proof_message;

/// What this side calls itself.
pub(crate) const SOFTWARE: &str = concat!("yanqian/", env!("CARGO_PKG_VERSION"));

/// New connections for a request that could not be sent; more than one when workers replace each other in quick succession.
const RETRIES: usize = 3;

/// How to reach a worker. Durations bound the whole call, connecting included.
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// The worker's socket.
    pub socket: PathBuf,
    /// The uid that must listen there; none accepts any.
    pub expected_uid: Option<u32>,
    /// The least that must protect the worker's keys, looked at on every connection; none accepts anything.
    pub least_grade: Option<TokenGrade>,
    /// For connecting and greeting.
    pub connect_timeout: Duration,
    /// For operations on existing keys.
    pub call_timeout: Duration,
    /// For making keys and other management, which some tokens do slowly.
    pub management_timeout: Duration,
    /// A connection unused for longer is replaced before use. Less than the worker's own limit of 10 minutes.
    pub idle_limit: Duration,
}

impl ClientConfig {
    /// Defaults: connect 2 s, call 10 s, management 60 s, idle 5 minutes, any uid.
    pub fn new(socket: impl Into<PathBuf>) -> Self {
        Self {
            socket: socket.into(),
            expected_uid: None,
            least_grade: None,
            connect_timeout: Duration::from_secs(2),
            call_timeout: Duration::from_secs(10),
            management_timeout: Duration::from_mins(1),
            idle_limit: Duration::from_mins(5),
        }
    }
}

/// A handle to the worker; clones share one connection.
#[derive(Clone)]
pub struct WorkerClient {
    inner: Arc<Inner>,
}

struct Inner {
    config: ClientConfig,
    connection: Mutex<Option<Arc<Connection>>>,
}

impl fmt::Debug for WorkerClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WorkerClient({})", self.inner.config.socket.display())
    }
}

impl WorkerClient {
    /// Makes a client; nothing is connected yet.
    pub fn new(config: ClientConfig) -> Self {
        Self { inner: Arc::new(Inner { config, connection: Mutex::new(None) }) }
    }

    /// Signs a digest: `r ‖ s`, 32 octets big-endian each. The caller verifies it before use.
    ///
    /// `message` is what the digest was made of, for modules that cannot sign digests ([`Status::needs_message`]). One
    /// longer than [`MAX_TBS`] is not sent; a worker that needs it then refuses with [`crate::protocol::codes::TBS_REQUIRED`].
    pub async fn sign(&self, label: &str, e: &E, message: Option<&[u8]>) -> Result<[u8; 64], WorkerError> {
        let tbs = message.filter(|message| message.len() <= MAX_TBS).map(<[u8]>::to_vec);
        let operation = Operation::Sign { label: label.to_owned(), e: *e.as_bytes(), tbs };
        match self.call(operation, self.inner.config.call_timeout).await? {
            Answer::Signature(signature) => Ok(signature),
            other => Err(unexpected(&other)),
        }
    }

    /// Signs a SHA-256 digest with a key of another algorithm than SM2, in the form that the scheme says. The caller verifies it before
    /// use. `message` as for [`Self::sign`].
    pub async fn sign_digest(
        &self,
        label: &str,
        scheme: Scheme,
        digest: &[u8; 32],
        message: Option<&[u8]>,
    ) -> Result<Vec<u8>, WorkerError> {
        let tbs = message.filter(|message| message.len() <= MAX_TBS).map(<[u8]>::to_vec);
        let operation = Operation::SignDigest { label: label.to_owned(), scheme, digest: *digest, tbs };
        match self.call(operation, self.inner.config.call_timeout).await? {
            Answer::DigestSignature(signature) => Ok(signature),
            other => Err(unexpected(&other)),
        }
    }

    /// Opens a session key that was sealed to an encryption key: 1 to [`crate::protocol::MAX_OPENED`] octets.
    pub async fn unseal(&self, label: &str, cipher: &Sm2Ciphertext) -> Result<Secret, WorkerError> {
        let operation = Operation::Unseal { label: label.to_owned(), cipher: sm2_cipher_to_der(cipher) };
        match self.call(operation, self.inner.config.call_timeout).await? {
            Answer::Opened(secret) => Ok(secret),
            other => Err(unexpected(&other)),
        }
    }

    /// Imports the encryption pair that an authority wrapped to a signing key: DER `SM2EnvelopedKey` and DER certificate.
    pub async fn import_encryption_key(
        &self,
        label: &str,
        wrapping_label: &str,
        enveloped_key: &[u8],
        certificate: &[u8],
    ) -> Result<KeyEntry, WorkerError> {
        let operation = Operation::ImportEncryptionKey {
            label: label.to_owned(),
            wrapping_label: wrapping_label.to_owned(),
            enveloped_key: enveloped_key.to_vec(),
            certificate: certificate.to_vec(),
        };
        match self.call(operation, self.inner.config.management_timeout).await? {
            Answer::Key(key) => Ok(*key),
            other => Err(unexpected(&other)),
        }
    }

    /// State and counters.
    pub async fn status(&self) -> Result<Status, WorkerError> {
        match self.call(Operation::Status, self.inner.config.call_timeout).await? {
            Answer::Status(status) => Ok(*status),
            other => Err(unexpected(&other)),
        }
    }

    /// What administrators had the worker do, from a place in its journal on; `id` is the journal that the place is in.
    pub async fn journal(&self, id: Option<[u8; 16]>, from: u64) -> Result<JournalPage, WorkerError> {
        match self.call(Operation::Journal { id, from }, self.inner.config.call_timeout).await? {
            Answer::Journal(page) => Ok(page),
            other => Err(unexpected(&other)),
        }
    }

    /// All SM2 keys of the token, those that cannot serve included.
    pub async fn list_keys(&self) -> Result<Vec<KeyEntry>, WorkerError> {
        match self.call(Operation::ListKeys, self.inner.config.management_timeout).await? {
            Answer::Keys(keys) => Ok(keys),
            other => Err(unexpected(&other)),
        }
    }

    /// The public half of a key.
    pub async fn public_key(&self, label: &str) -> Result<PublicKey, WorkerError> {
        let operation = Operation::PublicKey { label: label.to_owned() };
        match self.call(operation, self.inner.config.call_timeout).await? {
            Answer::PublicKey(sec1) => PublicKey::from_sec1(&sec1)
                .map_err(|error| WorkerError::Protocol(format!("the worker's public key: {error}"))),
            other => Err(unexpected(&other)),
        }
    }

    /// Makes a key pair in the token and proves it by a signature.
    pub async fn generate_key(&self, label: &str) -> Result<KeyEntry, WorkerError> {
        self.generate_key_of(KeyAlgorithm::Sm2, label).await
    }

    /// As [`Self::generate_key`], of any algorithm that the worker's configuration allows.
    pub async fn generate_key_of(&self, algorithm: KeyAlgorithm, label: &str) -> Result<KeyEntry, WorkerError> {
        let operation = Operation::GenerateKey { label: label.to_owned(), algorithm };
        match self.call(operation, self.inner.config.management_timeout).await? {
            Answer::Key(key) => Ok(*key),
            other => Err(unexpected(&other)),
        }
    }

    /// A DER certification request for `subject`, such as `C=CN, O=Example Bank, CN=Example Bank signing`.
    pub async fn csr(&self, label: &str, subject: &str) -> Result<Vec<u8>, WorkerError> {
        let operation = Operation::Csr { label: label.to_owned(), subject: subject.to_owned() };
        match self.call(operation, self.inner.config.management_timeout).await? {
            Answer::Csr(der) => Ok(der),
            other => Err(unexpected(&other)),
        }
    }

    /// Stores a DER certificate beside its key.
    pub async fn import_certificate(&self, label: &str, certificate: &[u8]) -> Result<(), WorkerError> {
        let operation = Operation::ImportCertificate { label: label.to_owned(), certificate: certificate.to_vec() };
        match self.call(operation, self.inner.config.management_timeout).await? {
            Answer::Imported => Ok(()),
            other => Err(unexpected(&other)),
        }
    }

    /// Destroys a key pair and its certificates, if the key has this id: SM3 of its `SubjectPublicKeyInfo`.
    pub async fn destroy_key(&self, label: &str, key_id: [u8; 32]) -> Result<(), WorkerError> {
        let operation = Operation::DestroyKey { label: label.to_owned(), key_id };
        match self.call(operation, self.inner.config.management_timeout).await? {
            Answer::Destroyed => Ok(()),
            other => Err(unexpected(&other)),
        }
    }

    /// Random octets of the token, at most [`crate::protocol::MAX_RANDOM`].
    pub async fn random(&self, count: u32) -> Result<Vec<u8>, WorkerError> {
        match self.call(Operation::Random { count }, self.inner.config.call_timeout).await? {
            Answer::Random(octets) if octets.len() == count as usize => Ok(octets),
            other => Err(unexpected(&other)),
        }
    }

    /// Lets the key sign a fresh nonce, and `verifier` verify the signature against `key`, which the caller knows from
    /// elsewhere (its certificate). [`WorkerError::Defective`] when the worker holds another key or signs wrongly.
    pub async fn self_proof(
        &self,
        label: &str,
        key: &PublicKey,
        verifier: &dyn SignatureVerifier,
    ) -> Result<(), WorkerError> {
        let mut nonce = [0; 32];
        getrandom::fill(&mut nonce)
            .map_err(|error| WorkerError::Unavailable(format!("the system's random numbers: {error}")))?;
        let operation = Operation::SelfProof { label: label.to_owned(), nonce: nonce.to_vec() };
        let Answer::Signature(raw) = self.call(operation, self.inner.config.call_timeout).await? else {
            return Err(WorkerError::Protocol("a self-proof answered by something else than a signature".into()));
        };
        let e = E::of_message(key, &DistinguishingId::default(), &[&self_proof_message(&nonce)]);
        let proven = Signature::from_raw(&raw).is_ok_and(|raw| verifier.verify(key, &e, &raw).is_ok());
        if proven {
            return Ok(());
        }
        Err(WorkerError::Defective)
    }

    async fn call(&self, operation: Operation, limit: Duration) -> Result<Answer, WorkerError> {
        let outcome =
            tokio::time::timeout(limit, self.exchange(operation)).await.map_err(|_| WorkerError::Timeout(limit))??;
        match outcome {
            Outcome::Done(answer) => Ok(answer),
            Outcome::Busy => Err(WorkerError::Busy),
            Outcome::Unavailable(reason) => Err(WorkerError::Unavailable(reason)),
            Outcome::Refused(refusal) => Err(WorkerError::Refused { code: refusal.code, message: refusal.message }),
        }
    }

    /// A connection that died since it was last used, or whose worker is being replaced, shows only when it is used; what was not
    /// sent goes to a new one.
    async fn exchange(&self, operation: Operation) -> Result<Outcome, WorkerError> {
        for _ in 0..RETRIES {
            match self.connection().await?.call(operation.clone()).await {
                Err(lost) if !lost.sent => {}
                other => return other.map_err(|lost| lost.error),
            }
        }
        self.connection().await?.call(operation).await.map_err(|lost| lost.error)
    }

    /// The connection in use, or a new one when there is none or it has ended.
    async fn connection(&self) -> Result<Arc<Connection>, WorkerError> {
        let config = &self.inner.config;
        let mut current = self.inner.connection.lock().await;
        if let Some(connection) = current.as_ref().filter(|connection| connection.usable(config.idle_limit)) {
            return Ok(Arc::clone(connection));
        }
        *current = None;
        let opening = async {
            let connection = Connection::open(&config.socket, config.expected_uid).await?;
            if let Some(least) = config.least_grade {
                grade::must_be_at_least(least, &connection).await?;
            }
            Ok::<_, WorkerError>(connection)
        };
        let connection = tokio::time::timeout(config.connect_timeout, opening)
            .await
            .map_err(|_| WorkerError::Timeout(config.connect_timeout))??;
        Ok(Arc::clone(current.insert(Arc::new(connection))))
    }
}

fn unexpected(answer: &Answer) -> WorkerError {
    let kind = match answer {
        Answer::Signature(_) => "signature",
        Answer::Keys(_) => "key list",
        Answer::PublicKey(_) => "public key",
        Answer::Key(_) => "key",
        Answer::Csr(_) => "certification request",
        Answer::Imported => "import",
        Answer::Random(_) => "random octets of another count",
        Answer::Status(_) => "status",
        Answer::Opened(_) => "opened secret",
        Answer::Destroyed => "destruction",
        Answer::DigestSignature(_) => "signature of a digest",
        Answer::Journal(_) => "journal",
    };
    WorkerError::Protocol(format!("the reply answers another question ({kind})"))
}
