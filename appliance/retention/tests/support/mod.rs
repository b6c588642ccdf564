//! A real ledger with checkpoints, its certificates, and an archive for it.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use sm2::dsa::signature::Signer as _;
use yanqian_evidence::{
    CheckpointKey, Context, Decision, Der, Intent, Label, Management, Origin, Outcome, SignedCheckpoint,
    SoftwareVersion, Times, ToBeSigned,
};
use yanqian_ledger::tree::{TreeKeeper, TreePlaces};
use yanqian_ledger::{Archive as Kept, Archived, Clock, ExportedList, Ledger, LedgerConfig, exported_list};
use yanqian_retention::{Archive, ArchiveError, ArchiveKey, ArchiveKeys, Exporter, Places, Site, Store, still_there};
use yanqian_sm::{PublicKey, Signature};
use yanqian_vocabulary::{
    AgreementHash, CallerId, CertificateHash, Commitment, ContentDigest, DocumentType, EntityId, Field, KeyId, Mode,
    NodeId, Nonce, PlatformId, ProfileHash, PurposeCode, RuleId, Timestamp, TokenGrade, Verdict, VerificationId,
};
use zeroize::Zeroizing;

pub const BEGAN: i64 = 1_764_000_000_000;
pub const DAY: i64 = 86_400_000;

pub struct Node {
    pub directory: tempfile::TempDir,
    pub ledger: Option<Ledger>,
    pub name: &'static str,
    now: Arc<AtomicI64>,
    context: Arc<Context>,
    checks: u64,
}

pub fn key(octet: u8) -> ArchiveKey {
    ArchiveKey::new(Zeroizing::new([octet; 32]))
}

pub fn keys(octet: u8) -> ArchiveKeys {
    ArchiveKeys { current: key(octet), former: Vec::new() }
}

fn signing() -> sm2::dsa::SigningKey {
    sm2::dsa::SigningKey::new("1234567812345678", &sm2::SecretKey::from_slice(&[7; 32]).unwrap()).unwrap()
}

impl Node {
    pub fn new() -> Self {
        Self::named("node-1")
    }

    pub fn named(name: &'static str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let kept = Kept::open(&directory.path().join("archive")).unwrap();
        let certificate = CertificateHash::new(kept.put(Archived::Certificate, b"our certificate").unwrap());
        let context = Arc::new(Context {
            entity: EntityId::new("bank").unwrap(),
            node: NodeId::new(name).unwrap(),
            software: SoftwareVersion::new("0.1.0").unwrap(),
            agreement: AgreementHash::new([1; 32]),
            platform: PlatformId::new("reference").unwrap(),
            platform_profile: ProfileHash::new([2; 32]),
            key: KeyId::new([3; 32]),
            certificate,
            grade: TokenGrade::Development,
            encryption_key: None,
            encryption_certificate: None,
        });
        let mut node = Self { directory, ledger: None, name, now: Arc::new(AtomicI64::new(BEGAN)), context, checks: 0 };
        node.open();
        node
    }

    pub fn origin(&self) -> Origin {
        Origin::new(format!("bank/{}", self.name)).unwrap()
    }

    pub fn open(&mut self) {
        drop(self.ledger.take());
        let now = Arc::clone(&self.now);
        let clock = Clock::new(move || Timestamp::from_unix_millis(now.fetch_add(1, Ordering::Relaxed)));
        let config = LedgerConfig {
            segment_octets: 20_000,
            reserve_octets: 4096,
            // Far apart: these tests change the files by the ledger's own hand only.
            watch: Duration::from_millis(20),
            open_check_octets: 1,
            ..LedgerConfig::new(NodeId::new(self.name).unwrap(), self.origin())
        };
        self.ledger = Some(Ledger::open(&self.path("ledger"), config, clock).unwrap().0);
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn ledger(&self) -> &Ledger {
        self.ledger.as_ref().unwrap()
    }

    pub fn tree(&self) -> TreePlaces {
        TreePlaces::in_state(self.directory.path())
    }

    pub fn pass(&self, millis: i64) {
        self.now.fetch_add(millis, Ordering::Relaxed);
    }

    pub fn time(&self) -> Timestamp {
        Timestamp::from_unix_millis(self.now.load(Ordering::Relaxed))
    }

    pub fn verification(n: u64) -> VerificationId {
        let mut random = [0; 10];
        random[2..].copy_from_slice(&n.to_be_bytes());
        VerificationId::new(Timestamp::from_unix_millis(BEGAN), random)
    }

    /// Checks with their ends, until `segments` are sealed; then a checkpoint over all.
    pub async fn fill(&mut self, segments: u64) {
        while self.ledger().stats().segment <= segments {
            self.check().await;
        }
        self.checkpoint();
    }

    /// A check with its end.
    pub async fn check(&mut self) {
        let received = Timestamp::from_unix_millis(BEGAN);
        let verification = Self::verification(self.checks);
        self.checks += 1;
        let intent = Intent {
            verification,
            caller: CallerId::new("core-banking").unwrap(),
            mode: Mode::RealName,
            purpose: PurposeCode::new("account-opening").unwrap(),
            document_type: DocumentType::PrcPassport,
            rule: RuleId::new("rule-1").unwrap(),
            fields: [Field::Number].into(),
            request: ContentDigest::new([5; 32]),
            nonce: Nonce::new([6; 16]),
            to_be_signed: ToBeSigned::Attributes { der: Der::new([0x31, 0]).unwrap() },
            search: None,
            commitment: Commitment::new([8; 32]),
            idempotency: None,
            received,
        };
        let intent = self.ledger().append(Arc::clone(&self.context), intent).await.unwrap().sequence;
        let outcome = Outcome {
            verification,
            intent,
            decision: Decision::Verdict { overall: Verdict::Match, fields: [].into() },
            signature: None,
            answer: None,
            signer: None,
            chain: Vec::new(),
            revocation: Vec::new(),
            platform_time: None,
            platform_serial: None,
            steps: Vec::new(),
            times: Times { received, signed: None, sent: None, answered: None },
            trust: None,
            platform_status: Some(200),
            exchange: None,
            reading: None,
        };
        self.ledger().append(Arc::clone(&self.context), outcome).await.unwrap();
    }

    pub async fn append(&self, event: Management) {
        self.ledger().append(Arc::clone(&self.context), event).await.unwrap();
    }

    pub async fn stopped(&self) {
        self.append(Management::Stopped { cause: Label::new("signal") }).await;
    }

    pub fn checkpoint_key(&self) -> CheckpointKey {
        let point = signing().verifying_key().to_sec1_bytes();
        CheckpointKey { name: self.origin(), public: PublicKey::from_sec1(&point).unwrap() }
    }

    pub fn checkpoint(&self) {
        let durable = self.ledger().stats().last_sequence;
        let mut keeper = TreeKeeper::open(self.tree(), self.origin(), durable).unwrap();
        if let Some(checkpoint) = keeper.advance(durable, self.time()).unwrap() {
            let signature: sm2::dsa::Signature = signing().sign(checkpoint.to_string().as_bytes());
            let signature = Signature::from_raw(&signature.to_bytes().into()).unwrap();
            keeper.publish(SignedCheckpoint::new(checkpoint, self.checkpoint_key().line(&signature))).unwrap();
        }
    }

    pub fn exporter(&self) -> Exporter {
        let (ledger, evidence) = (self.path("ledger"), self.path("archive"));
        Exporter::new(Places { ledger, evidence, tree: Some(self.tree()) })
    }

    pub fn list(&self) -> ExportedList {
        exported_list(&self.path("ledger")).unwrap()
    }

    /// As the daemon does it: exports everything sealed.
    pub async fn export(&self, archive: &Archive) -> Result<(), ArchiveError> {
        let mut exporter = self.exporter();
        for segment in self.list().segments.len() as u64 + 1..self.ledger().stats().segment {
            let line = exporter.export(archive, segment).await?;
            self.ledger().note_exported(line).await?;
        }
        Ok(())
    }

    /// As the daemon does it: reads the archive's copy back, puts the removal on record, and removes the file.
    pub async fn remove(&self, archive: &Archive, segment: u64) -> Result<(), ArchiveError> {
        let list = self.list();
        let line = list.of(segment).unwrap();
        self.ledger().removable(segment).await?;
        still_there(archive, line).await?;
        self.append(Management::SegmentRemoved { segment, hash: line.hash }).await;
        Ok(self.ledger().remove_sealed(segment).await?)
    }

    pub fn archive(&self, site: &Site, keys: ArchiveKeys) -> Archive {
        let store = Store::open(site, self.origin().as_str(), Duration::from_secs(20)).unwrap();
        Archive::new(store, keys, self.origin(), NodeId::new(self.name).unwrap())
    }
}

/// Every object of a directory.
pub fn objects(directory: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { all.extend(objects(&path)) } else { all.push(path) }
    }
    all.sort();
    all
}
