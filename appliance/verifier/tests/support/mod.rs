//! A development PKI made fresh, an entity key, and receipts of every shape signed with them. Signatures are OpenSSL's, so
//! that the verifier's arithmetic is checked by another hand.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

pub mod corpus;
pub mod ledger;
pub mod story;

use std::collections::{BTreeMap, BTreeSet};

use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::sign::Signer as OpenSigner;
use openssl::x509::{X509Crl, X509NameBuilder, X509ReqBuilder};
use yanqian_devpki::{Authority, Layout, Options as PkiOptions, Pair, generate, issue_entity_signing};
use yanqian_evidence::{
    Answer, Body, Context, Decision, Der, Exchange, Intent, Label, NextRequest, Octets, Outcome, PlatformSerial,
    Receipt, Record, RequestSignature, Revocation, RevocationKind, Schema, SignedDigest, Signer, SoftwareVersion, Step,
    Times, ToBeSigned, commitment,
};
use yanqian_messages::{Certificate, SignedAttributes, certificates_from_pem_or_der, encode_detached};
use yanqian_sm::{DistinguishingId, E, Signature, sm3};
use yanqian_verify::{Asked, Finding, Options, Report, Trust, verify_json};
use yanqian_vocabulary::{
    AgreementHash, BirthDate, CallerId, CertificateHash, CivilDate, Claim, ContentDigest, DocumentClaim,
    DocumentNumber, DocumentType, EntityId, Field, FieldVerdict, KeyId, Mode, NodeId, Nonce, PersonalName, PlatformId,
    ProfileHash, PurposeCode, RuleId, Timestamp, TokenGrade, TrustHash, Verdict, VerificationId,
};

pub use story::Story;

pub const SALT: [u8; 32] = [0x5a; 32];
pub const ASKED: &str = r#"{"purpose":"account-opening","reference":"r-1","document":{"type":"prc-passport",
    "number":"E12345678","name":"张伟","birth_date":"1990-01-02"}}"#;

/// A key and its certificate.
pub struct Identity {
    pub key: PKey<Private>,
    pub certificate: Certificate,
}

impl Identity {
    pub fn load(pair: &Pair) -> Self {
        let key = PKey::private_key_from_pem(&std::fs::read(&pair.key).unwrap()).unwrap();
        Self { key, certificate: read_certificate(&std::fs::read(&pair.certificate).unwrap()) }
    }

    pub fn sign(&self, message: &[u8]) -> Signature {
        let mut signer = OpenSigner::new(MessageDigest::sm3(), &self.key).unwrap();
        signer.update(message).unwrap();
        Signature::from_der(&signer.sign_to_vec().unwrap()).unwrap()
    }

    pub fn hash(&self) -> CertificateHash {
        CertificateHash::new(self.certificate.hash())
    }
}

fn read_certificate(pem: &[u8]) -> Certificate {
    certificates_from_pem_or_der(pem).unwrap().remove(0)
}

/// Everything that receipts are made from.
pub struct Site {
    directory: tempfile::TempDir,
    pub layout: Layout,
    pub now: Timestamp,
    pub entity: Identity,
    pub platform: Identity,
    /// Issuing authority, root.
    pub chain: Vec<Certificate>,
    /// Their lists.
    pub lists: Vec<Vec<u8>>,
    /// Whether requests and answers are signed over attributes.
    pub attributes: bool,
}

impl Site {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let options = PkiOptions::default();
        let layout = generate(&directory.path().join("pki"), &options).unwrap();
        let anchors = layout.trust().join("entity-anchors");
        std::fs::create_dir_all(&anchors).unwrap();
        std::fs::copy(layout.entity("ca").certificate, anchors.join("ca.pem")).unwrap();
        let chain = ["issuing", "root"].map(|name| Identity::load(&layout.platform(name)).certificate).to_vec();
        let lists = [Authority::Issuing, Authority::Root].map(|authority| read_list(&layout, authority)).to_vec();
        Self {
            now: Timestamp::from_utc(options.now).unwrap(),
            entity: entity(&layout),
            platform: Identity::load(&layout.platform("signing")),
            chain,
            lists,
            attributes: true,
            layout,
            directory,
        }
    }

    pub fn path(&self) -> &std::path::Path {
        self.directory.path()
    }

    pub fn trust(&self) -> Trust {
        Trust::load(&self.layout.trust(), 0).unwrap()
    }

    pub fn context(&self) -> Context {
        Context {
            entity: EntityId::new("example-bank").unwrap(),
            node: NodeId::new("node-1").unwrap(),
            software: SoftwareVersion::new("0.1.0").unwrap(),
            agreement: AgreementHash::new([0xa1; 32]),
            platform: PlatformId::new("reference").unwrap(),
            platform_profile: ProfileHash::new([0xa2; 32]),
            key: KeyId::new(self.entity.certificate.key_id()),
            certificate: self.entity.hash(),
            grade: TokenGrade::Development,
            encryption_key: None,
            encryption_certificate: None,
        }
    }

    /// A request with these octets as its signed content: what will be signed, and our signature of it.
    pub fn request(&self, content: &[u8]) -> (ContentDigest, ToBeSigned, RequestSignature) {
        let digest = ContentDigest::new(sm3(&[content]));
        let der = |octets: &[u8]| Der::new(octets).unwrap();
        if self.attributes {
            let attributes = SignedAttributes::new(*digest.as_bytes(), self.now.unix_seconds()).unwrap();
            let signature = der(&self.entity.sign(attributes.as_der()).to_der());
            let attributes = der(attributes.as_der());
            let signed = RequestSignature { signature, attributes: Some(attributes.clone()) };
            (digest, ToBeSigned::Attributes { der: attributes }, signed)
        } else {
            let key = self.entity.certificate.public_key().unwrap();
            let e = E::of_message(key, &DistinguishingId::default(), &[content]);
            let signature = der(&self.entity.sign(content).to_der());
            let signed = RequestSignature { signature, attributes: None };
            (digest, ToBeSigned::Content { e: SignedDigest::new(*e.as_bytes()) }, signed)
        }
    }

    /// An answer with this signed object and, where given, another member after the signature.
    pub fn answer(&self, object: &str, more: &str) -> Answer {
        self.answer_by(&self.platform, object, more)
    }

    pub fn answer_by(&self, signer: &Identity, object: &str, more: &str) -> Answer {
        use base64::Engine as _;
        let digest = sm3(&[object.as_bytes()]);
        let attributes = self.attributes.then(|| SignedAttributes::new(digest, self.now.unix_seconds()).unwrap());
        let signature = signer.sign(attributes.as_ref().map_or(object.as_bytes(), SignedAttributes::as_der));
        let message = encode_detached(&signer.certificate, attributes.as_ref(), &signature).unwrap();
        let text = base64::engine::general_purpose::STANDARD.encode(message);
        Answer {
            octets: Octets::new(format!(r#"{{"bizPackage":{object},"sign":"{text}"{more}}}"#)),
            signature: Some(Der::new(signature.to_der()).unwrap()),
            attributes: attributes.map(|attributes| Der::new(attributes.as_der()).unwrap()),
        }
    }

    pub fn revocation(&self) -> Vec<Revocation> {
        let crls = self.lists.iter().map(|der| X509Crl::from_der(der).unwrap());
        let time = |text: &openssl::asn1::Asn1TimeRef| {
            let epoch = openssl::asn1::Asn1Time::from_unix(0).unwrap();
            let since = epoch.diff(text).unwrap();
            Timestamp::from_unix_millis((i64::from(since.days) * 86_400 + i64::from(since.secs)) * 1000)
        };
        crls.zip(&self.lists)
            .map(|(crl, der)| Revocation {
                kind: RevocationKind::Crl,
                hash: ContentDigest::new(sm3(&[der])),
                issuer: Der::new(crl.issuer_name().to_der().unwrap()).unwrap(),
                this_update: time(crl.last_update()),
                next_update: crl.next_update().map(time),
            })
            .collect()
    }

    /// The certificates of a receipt: ours, the signer's, and those above it.
    pub fn certificates(&self) -> Vec<Vec<u8>> {
        let ours = [&self.entity.certificate, &self.platform.certificate];
        ours.into_iter().chain(&self.chain).map(|certificate| certificate.as_der().to_vec()).collect()
    }
}

pub fn read_list(layout: &Layout, authority: Authority) -> Vec<u8> {
    X509Crl::from_pem(&std::fs::read(layout.crl(authority)).unwrap()).unwrap().to_der().unwrap()
}

pub fn entity(layout: &Layout) -> Identity {
    entity_named(layout, "Example Bank signing")
}

pub fn entity_named(layout: &Layout, common_name: &str) -> Identity {
    let group = EcGroup::from_curve_name(Nid::SM2).unwrap();
    let key = PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap();
    let mut name = X509NameBuilder::new().unwrap();
    name.append_entry_by_text("CN", common_name).unwrap();
    let mut request = X509ReqBuilder::new().unwrap();
    request.set_subject_name(&name.build()).unwrap();
    request.set_pubkey(&key).unwrap();
    request.sign(&key, MessageDigest::sm3()).unwrap();
    let now = time::OffsetDateTime::now_utc();
    let pem = issue_entity_signing(layout, &request.build().to_pem().unwrap(), now, 30).unwrap();
    Identity { key, certificate: read_certificate(&pem) }
}

pub const NONCE: [u8; 16] = [0x17; 16];
pub const REQUEST: &[u8] = br#"{"version":"1.0","nonce":"17171717171717171717171717171717"}"#;
pub const STEPS: [&str; 13] = [
    "status",
    "envelope",
    "signer",
    "key-usage",
    "chain",
    "revocation",
    "signature",
    "nonce",
    "digest",
    "time",
    "replay",
    "schema",
    "code",
];

pub fn steps() -> Vec<Step> {
    STEPS.iter().map(|name| Step { name: Label::new(name), refused: None }).collect()
}

/// The object that the platform signs in answer to a request.
pub fn object(request: &ContentDigest, nonce: [u8; 16], serial: &str, more: &str) -> String {
    let nonce = Nonce::new(nonce);
    format!(
        r#"{{"version":"1.0","bizSerialNum":"{serial}","nonce":"{nonce}","requestDigest":"{request}","resultCode":"0000"{more}}}"#
    )
}

pub fn claim() -> Claim {
    Claim::RealName(DocumentClaim {
        document_type: DocumentType::PrcPassport,
        number: DocumentNumber::new("E12345678"),
        name: PersonalName::new("张伟"),
        birth_date: BirthDate(CivilDate::new(1990, 1, 2).unwrap()),
        nationality: None,
        expiry: None,
    })
}

pub fn signer(identity: &Identity) -> Signer {
    Signer { hash: identity.hash(), certificate: Der::new(identity.certificate.as_der()).unwrap() }
}

pub fn report(receipt: &Receipt, site: &Site) -> Report {
    let json = receipt.to_json();
    let report = verify_json(json.as_bytes(), &site.trust(), &asked());
    let how = corpus::Judged { asked: Some(ASKED), ..Default::default() };
    corpus::write(json.as_bytes(), &site.layout.trust(), &how, &report);
    report
}

pub fn asked() -> Options {
    Options { at: None, asked: Some(Asked::from_json(ASKED.as_bytes()).unwrap()) }
}

pub fn failures(report: &Report) -> Vec<&'static str> {
    assert_eq!(report.holds(), report.checks.iter().all(|check| check.finding != Finding::Failed));
    report.checks.iter().filter(|check| check.finding == Finding::Failed).map(|check| check.step).collect()
}
