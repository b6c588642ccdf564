#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

pub mod owner;
pub mod sim_disk;
pub mod slow_disk;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use yanqian_evidence::{
    Answer, Context, Decision, Der, Exchange, Intent, Label, Management, NextRequest, Octets, Origin, Outcome, Refusal,
    RequestSignature, Search, Signer, SoftwareVersion, Times, ToBeSigned,
};
use yanqian_ledger::{Clock, LedgerConfig};
use yanqian_vocabulary::{
    AgreementHash, CallerId, CertificateHash, Commitment, ContentDigest, DocumentType, EntityId, Field, KeyId, Mode,
    NodeId, Nonce, PlatformId, ProfileHash, PurposeCode, Reason, RuleId, SearchTag, Timestamp, TokenGrade, TrustHash,
    Verdict, VerificationId,
};

pub fn config() -> LedgerConfig {
    LedgerConfig::new(NodeId::new("node-1").unwrap(), Origin::new("ledger.bank.example/node-1").unwrap())
}

/// A clock that moves one millisecond with every look.
pub fn clock() -> Clock {
    let now = AtomicI64::new(1_764_000_000_000);
    Clock::new(move || Timestamp::from_unix_millis(now.fetch_add(1, Ordering::Relaxed)))
}

pub fn software() -> SoftwareVersion {
    SoftwareVersion::new("0.1.0").unwrap()
}

pub fn context() -> Arc<Context> {
    Arc::new(Context {
        entity: EntityId::new("example-bank").unwrap(),
        node: NodeId::new("node-1").unwrap(),
        software: software(),
        agreement: AgreementHash::new([1; 32]),
        platform: PlatformId::new("reference").unwrap(),
        platform_profile: ProfileHash::new([2; 32]),
        key: KeyId::new([3; 32]),
        certificate: CertificateHash::new([4; 32]),
        grade: TokenGrade::Development,
        encryption_key: None,
        encryption_certificate: None,
    })
}

pub fn verification(n: u64) -> VerificationId {
    let mut random = [0; 10];
    random[2..].copy_from_slice(&n.to_be_bytes());
    VerificationId::new(Timestamp::from_unix_millis(1_764_000_000_000), random)
}

fn received() -> Timestamp {
    Timestamp::from_unix_millis(1_764_000_000_000)
}

pub fn intent(n: u64) -> Intent {
    Intent {
        verification: verification(n),
        caller: CallerId::new("core-banking").unwrap(),
        mode: Mode::RealName,
        purpose: PurposeCode::new("account-opening").unwrap(),
        document_type: DocumentType::PrcPassport,
        rule: RuleId::new("rule-1").unwrap(),
        fields: BTreeSet::from([Field::Number, Field::Name, Field::BirthDate]),
        request: ContentDigest::new([5; 32]),
        nonce: Nonce::new([6; 16]),
        to_be_signed: ToBeSigned::Attributes { der: Der::new([0x31, 0]).unwrap() },
        search: Some(Search { epoch: 1, tag: SearchTag::new([7; 32]) }),
        commitment: Commitment::new([8; 32]),
        idempotency: None,
        received: received(),
    }
}

pub fn outcome(n: u64, intent: u64) -> Outcome {
    Outcome {
        verification: verification(n),
        intent,
        decision: Decision::Verdict { overall: Verdict::NotFound, fields: std::collections::BTreeMap::new() },
        signature: None,
        answer: None,
        signer: None,
        chain: Vec::new(),
        revocation: Vec::new(),
        platform_time: None,
        platform_serial: None,
        steps: Vec::new(),
        times: Times { received: received(), signed: None, sent: None, answered: None },
        trust: None,
        platform_status: Some(200),
        exchange: None,
        reading: None,
    }
}

/// A proven first step of check `n`, whose intent has this sequence.
pub fn exchange(n: u64, intent: u64) -> Exchange {
    let der = |tag: u8| Der::new([tag, 0]).unwrap();
    Exchange {
        verification: verification(n),
        intent,
        step: Label::new("apply"),
        signature: RequestSignature { signature: der(0x30), attributes: Some(der(0x31)) },
        answer: Answer { octets: Octets::new(*b"{}"), signature: Some(der(0x30)), attributes: Some(der(0x31)) },
        signer: Signer { hash: CertificateHash::new([5; 32]), certificate: der(0x30) },
        chain: Vec::new(),
        revocation: Vec::new(),
        platform_time: None,
        platform_serial: None,
        steps: Vec::new(),
        times: Times { received: received(), signed: None, sent: None, answered: None },
        trust: TrustHash::new([6; 32]),
        platform_status: 200,
        next: NextRequest {
            request: ContentDigest::new([7; 32]),
            nonce: Nonce::new([8; 16]),
            to_be_signed: ToBeSigned::Attributes { der: der(0x31) },
        },
    }
}

pub fn refusal(n: u64) -> Refusal {
    Refusal {
        verification: verification(n),
        caller: CallerId::new("core-banking").unwrap(),
        mode: Mode::RealName,
        reason: Reason::AgreementPurpose,
        field: None,
        purpose: None,
        document_type: None,
        rule: None,
        idempotency: None,
        earlier: None,
        received: received(),
    }
}

pub fn stopped() -> Management {
    Management::Stopped { cause: Label::new("signal") }
}
