#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

mod later;
mod segments;

use std::collections::{BTreeMap, BTreeSet};

use yanqian_evidence::segment::SegmentHeader;
use yanqian_evidence::{
    Aggregate, Answer, Body, ChainValue, Context, Decision, Der, Exchange, Frame, IdempotencyTag, Intent, Label,
    LeafHash, Management, Mark, NextRequest, Octets, Origin, Outcome, OutcomeUnknown, PlatformSerial, Record, Refusal,
    Rejected, RequestSignature, Revocation, RevocationKind, Schema, Search, SegmentHash, Shed, SignedDigest, Signer,
    SoftwareVersion, Step, Times, ToBeSigned,
};
use yanqian_vocabulary::{
    AgreementHash, CallerId, CertificateHash, Commitment, ContentDigest, DocumentType, EntityId, Field, FieldVerdict,
    KeyId, Mode, NodeId, Nonce, PlatformId, ProfileHash, PurposeCode, Reason, RuleId, SearchTag, Timestamp, TokenGrade,
    TrustHash, Verdict, VerificationId,
};

#[allow(unused_imports)] // each test uses some
pub use later::{bodies_2, bodies_3, bodies_4, records_2, records_2_later, records_3, records_4};
#[allow(unused_imports)]
pub use segments::{Ledger, ledger, ledger_2};

pub const T0: i64 = 1_764_000_000_000;

pub fn time(after: i64) -> Timestamp {
    Timestamp::from_unix_millis(T0 + after)
}

pub fn verification(n: u8) -> VerificationId {
    VerificationId::new(time(0), [n; 10])
}

pub fn context() -> Context {
    Context {
        entity: EntityId::new("example-bank").unwrap(),
        node: NodeId::new("node-1").unwrap(),
        software: SoftwareVersion::new("0.1.0").unwrap(),
        agreement: AgreementHash::new([0xa1; 32]),
        platform: PlatformId::new("reference").unwrap(),
        platform_profile: ProfileHash::new([0xa2; 32]),
        key: KeyId::new([0xa3; 32]),
        certificate: CertificateHash::new([0xa4; 32]),
        grade: TokenGrade::Development,
        encryption_key: None,
        encryption_certificate: None,
    }
}

fn der(tag: u8, content: &[u8]) -> Der {
    let length = u8::try_from(content.len()).unwrap();
    Der::new([&[tag, length][..], content].concat()).unwrap()
}

pub fn intent() -> Intent {
    Intent {
        verification: verification(1),
        caller: CallerId::new("core-banking").unwrap(),
        mode: Mode::RealName,
        purpose: PurposeCode::new("account-opening").unwrap(),
        document_type: DocumentType::PrcPassport,
        rule: RuleId::new("rule-1").unwrap(),
        fields: BTreeSet::from([Field::Number, Field::Name, Field::BirthDate, Field::Expiry]),
        request: ContentDigest::new([0xb1; 32]),
        nonce: Nonce::new([0xb2; 16]),
        to_be_signed: ToBeSigned::Attributes { der: der(0x31, b"attributes") },
        search: Some(Search { epoch: 1, tag: SearchTag::new([0xb3; 32]) }),
        commitment: Commitment::new([0xb4; 32]),
        idempotency: Some(IdempotencyTag::new([0xb5; 32])),
        received: time(-5),
    }
}

fn intent_without_options() -> Intent {
    Intent {
        verification: verification(2),
        document_type: DocumentType::ForeignPermanentResidentCard,
        to_be_signed: ToBeSigned::Content { e: SignedDigest::new([0xb6; 32]) },
        search: None,
        idempotency: None,
        ..intent()
    }
}

fn step(name: &'static str, refused: Option<Reason>) -> Step {
    Step { name: Label::new(name), refused }
}

fn outcome() -> Outcome {
    Outcome {
        verification: verification(1),
        intent: 1,
        decision: Decision::Verdict {
            overall: Verdict::Mismatch,
            fields: BTreeMap::from([
                (Field::Number, FieldVerdict::Match),
                (Field::Name, FieldVerdict::Mismatch),
                (Field::BirthDate, FieldVerdict::Match),
                (Field::Expiry, FieldVerdict::Undecided),
            ]),
        },
        signature: Some(RequestSignature {
            signature: der(0x30, &[2, 1, 1, 2, 1, 2]),
            attributes: Some(der(0x31, b"attributes")),
        }),
        answer: Some(Answer {
            octets: Octets::new(*br#"{"bizPackage":{"version":"1.0"},"sign":"MA=="}"#),
            signature: Some(der(0x30, &[2, 1, 3, 2, 1, 4])),
            attributes: Some(der(0x31, b"theirs")),
        }),
        signer: Some(Signer { hash: CertificateHash::new([0xc1; 32]), certificate: der(0x30, b"certificate") }),
        chain: vec![CertificateHash::new([0xc2; 32]), CertificateHash::new([0xc3; 32])],
        revocation: vec![
            Revocation {
                kind: RevocationKind::Crl,
                hash: ContentDigest::new([0xc4; 32]),
                issuer: der(0x30, b"issuing"),
                this_update: time(-86_400_000),
                next_update: Some(time(86_400_000)),
            },
            Revocation {
                kind: RevocationKind::Ocsp,
                hash: ContentDigest::new([0xc5; 32]),
                issuer: der(0x30, b"root"),
                this_update: time(-1000),
                next_update: None,
            },
        ],
        platform_time: Some(time(90)),
        platform_serial: Some(PlatformSerial::new("R20251124-000001").unwrap()),
        steps: vec![step("status", None), step("signature", None), step("nonce", None)],
        times: Times { received: time(-5), signed: Some(time(20)), sent: Some(time(30)), answered: Some(time(100)) },
        trust: Some(TrustHash::new([0xc6; 32])),
        platform_status: Some(200),
        exchange: None,
        reading: None,
    }
}

fn outcome_refused() -> Outcome {
    Outcome {
        verification: verification(2),
        intent: 2,
        decision: Decision::Refused { reason: Reason::PlatformUnreachable },
        signature: Some(RequestSignature { signature: der(0x30, &[2, 1, 1, 2, 1, 2]), attributes: None }),
        answer: None,
        signer: None,
        chain: Vec::new(),
        revocation: Vec::new(),
        platform_time: None,
        platform_serial: None,
        steps: vec![step("status", Some(Reason::PlatformUnreachable))],
        times: Times { received: time(-5), signed: Some(time(20)), sent: None, answered: None },
        trust: None,
        platform_status: None,
        exchange: None,
        reading: None,
    }
}

fn refusal() -> Refusal {
    Refusal {
        verification: verification(4),
        caller: CallerId::new("branch-kiosk").unwrap(),
        mode: Mode::RealName,
        reason: Reason::DocumentCheckDigit,
        field: Some(Label::new("document.number")),
        purpose: Some(PurposeCode::new("account-opening").unwrap()),
        document_type: Some(DocumentType::TaiwanPermit),
        rule: Some(RuleId::new("rule-2").unwrap()),
        idempotency: Some(IdempotencyTag::new([0xd1; 32])),
        earlier: Some(verification(1)),
        received: time(150),
    }
}

fn refusal_without_options() -> Refusal {
    Refusal {
        verification: verification(5),
        reason: Reason::AgreementPurpose,
        field: None,
        purpose: None,
        document_type: None,
        rule: None,
        idempotency: None,
        earlier: None,
        ..refusal()
    }
}

/// One body of every kind and every form, by fixture name, in an order in which a ledger could hold them.
pub fn bodies() -> Vec<(&'static str, Body)> {
    vec![
        ("intent", intent().into()),
        ("intent-without-options", intent_without_options().into()),
        ("intent-left-open", Intent { verification: verification(3), ..intent() }.into()),
        ("outcome-verdict", outcome().into()),
        ("outcome-refused", outcome_refused().into()),
        ("outcome-unknown", OutcomeUnknown { verification: verification(3), intent: 3 }.into()),
        ("refusal", refusal().into()),
        ("refusal-without-options", refusal_without_options().into()),
        (
            "aggregate",
            Aggregate {
                from: time(-60_000),
                until: time(0),
                rejected: vec![Rejected { cause: Label::new("tls-handshake"), count: 17 }],
                shed: vec![Shed { reason: Reason::Overloaded, count: 70_000 }],
            }
            .into(),
        ),
        ("management-started", Management::Started {}.into()),
        ("management-stopped", Management::Stopped { cause: Label::new("signal") }.into()),
        (
            "management-configuration-loaded",
            Management::ConfigurationLoaded {
                configuration: ContentDigest::new([0xe1; 32]),
                trust: Some(TrustHash::new([0xe2; 32])),
                certificate: Some(der(0x30, b"our certificate")),
                transport: None,
                tls_key: None,
                tls_key_grade: None,
            }
            .into(),
        ),
        ("management-trust-loaded", Management::TrustLoaded { trust: TrustHash::new([0xe3; 32]) }.into()),
        ("management-self-proof", Management::SelfProof { refused: None }.into()),
        ("management-self-proof-refused", Management::SelfProof { refused: Some(Reason::SignatureDefective) }.into()),
        (
            "management-certificate-requested",
            Management::CertificateRequested { request: ContentDigest::new([0xe4; 32]) }.into(),
        ),
        ("management-key-generated", Management::KeyGenerated { key: KeyId::new([0xe5; 32]) }.into()),
        (
            "management-certificate-imported",
            Management::CertificateImported { certificate: CertificateHash::new([0xe6; 32]) }.into(),
        ),
        ("management-clock-stepped", Management::ClockStepped { milliseconds: -3_600_000 }.into()),
        (
            "management-service-state",
            Management::ServiceState { state: Label::new("suspended"), reason: Some(Reason::PlatformRefused) }.into(),
        ),
        ("management-reserve-released", Management::ReserveReleased {}.into()),
        ("management-reserve-restored", Management::ReserveRestored {}.into()),
        ("management-tail-repaired", Management::TailRepaired { segment: 2, offset: 4096, octets: 77 }.into()),
    ]
}

/// The samples as the first records of a ledger.
pub fn records() -> Vec<(&'static str, Record)> {
    numbered(bodies(), Schema::One)
}

fn numbered(bodies: Vec<(&'static str, Body)>, schema: Schema) -> Vec<(&'static str, Record)> {
    let record = |sequence: u64, body| {
        let time = time(i64::try_from(sequence).unwrap() * 10);
        Record { schema, sequence, time, context: context(), body }
    };
    bodies.into_iter().zip(1..).map(|((name, body), sequence)| (name, record(sequence, body))).collect()
}
