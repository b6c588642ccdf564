//! A platform simulator, a profile, and answers on their way to be proven.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::{Arc, Mutex};

use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::sign::Signer;
use openssl::x509::{X509NameBuilder, X509ReqBuilder};
use yanqian_devpki::{Layout, Options, generate, issue_entity_signing};
use yanqian_messages::{Certificate, certificates_from_pem_or_der, pem_encode};
use yanqian_platform::{
    AnswerChecker, Applied, CheckedAnswer, Expected, Outbound, PlatformClient, PlatformVerdict, Profile, RawAnswer,
    ReplayError, ReplayGuard, RequestContext, SendError, SignedRequest,
};
use yanqian_platform_sim::registry::{Holder, first_with, seeded};
use yanqian_platform_sim::{Config, DEFAULT_SEED, Running, Simulator, form::Form, numbers::NumberForm};
use yanqian_sm::Signature;
use yanqian_trust::{TrustStore, Verifier, VerifierSettings};
use yanqian_vocabulary::{
    BirthDate, CivilDate, Claim, DocumentClaim, DocumentNumber, DocumentType, Field, Mode, Nonce, PersonalName,
    Timestamp,
};

pub(crate) const SETTINGS: VerifierSettings = VerifierSettings { table_octets: 4 << 20, shadow_every: NonZeroU32::MIN };
pub(crate) const FIELDS: &[Field] = &[Field::Number, Field::Name, Field::BirthDate];

#[derive(Default)]
pub(crate) struct Memory(Mutex<BTreeSet<String>>);

impl ReplayGuard for Memory {
    fn accept_once(&self, nonce: Nonce, serial: &str, _expires: Timestamp) -> Result<bool, ReplayError> {
        let mut seen = self.0.lock().map_err(|_| ReplayError)?;
        Ok(seen.insert(format!("n{nonce}")) & seen.insert(format!("s{serial}")))
    }
}

pub(crate) struct Site {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) profile: Arc<Profile>,
    pub(crate) trust: TrustStore,
    pub(crate) key: PKey<Private>,
    pub(crate) certificate: Certificate,
    pub(crate) simulator: Running,
    pub(crate) client: PlatformClient,
    pub(crate) memory: Memory,
    pub(crate) verifier: Verifier,
}

fn entity(layout: &Layout, now: time::OffsetDateTime) -> (PKey<Private>, Certificate) {
    let group = EcGroup::from_curve_name(Nid::SM2).unwrap();
    let key = PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap();
    let mut name = X509NameBuilder::new().unwrap();
    name.append_entry_by_text("CN", "entity").unwrap();
    let mut request = X509ReqBuilder::new().unwrap();
    request.set_subject_name(&name.build()).unwrap();
    request.set_pubkey(&key).unwrap();
    request.sign(&key, MessageDigest::sm3()).unwrap();
    let pem = issue_entity_signing(layout, &request.build().to_pem().unwrap(), now, 30).unwrap();
    (key, certificates_from_pem_or_der(&pem).unwrap().remove(0))
}

pub(crate) async fn site(form: Form) -> Site {
    let directory = tempfile::tempdir().unwrap();
    let options = Options::default();
    let layout = generate(&directory.path().join("pki"), &options).unwrap();
    let (key, certificate) = entity(&layout, options.now);
    let registered = directory.path().join("entity.pem");
    std::fs::write(&registered, pem_encode("CERTIFICATE", certificate.as_der())).unwrap();
    let config = Config { entity_signing: Some(registered), ..Config::new(layout.directory(), form) };
    let simulator = Simulator::start(config).await.unwrap();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../platform-profiles/{form}.toml"));
    // The tests' own limits, so that hanging answers are told from slow machines within seconds.
    let text = std::fs::read_to_string(&file).unwrap();
    let text = text.replace("head_ms = 10000", "head_ms = 2000").replace("body_ms = 5000", "body_ms = 1500");
    let profile = Arc::new(Profile::parse(&text, &file).unwrap());
    let client = PlatformClient::new(Arc::clone(&profile), &format!("https://{}", simulator.https_addr)).unwrap();
    let trust = TrustStore::load(&layout.trust(), 0).unwrap();
    Site {
        directory,
        profile,
        trust,
        key,
        certificate,
        simulator,
        client,
        memory: Memory::default(),
        verifier: Verifier::new(SETTINGS),
    }
}

pub(crate) fn now() -> Timestamp {
    Timestamp::from_utc(time::OffsetDateTime::now_utc()).unwrap()
}

pub(crate) fn holder() -> Holder {
    first_with(&seeded(DEFAULT_SEED), NumberForm::ALL[0]).unwrap().clone()
}

pub(crate) fn claim_of(holder: &Holder) -> DocumentClaim {
    let date = holder.birth_date.to_string();
    DocumentClaim {
        document_type: DocumentType::PrcPassport,
        number: DocumentNumber::new(holder.number.clone()),
        name: PersonalName::new(holder.name.clone()),
        birth_date: BirthDate(CivilDate::parse_iso(&date).unwrap()),
        nationality: None,
        expiry: None,
    }
}

impl Site {
    fn context<'a>(&'a self, applied: Option<&'a Applied>) -> RequestContext<'a> {
        let mut nonce = [0; 16];
        getrandom::fill(&mut nonce).unwrap();
        RequestContext {
            customer: "YQ000001",
            application: "yanqian",
            purpose_code: "P001",
            mode: Mode::RealName,
            now: now(),
            nonce: Nonce::new(nonce),
            applied,
            certificate: &self.certificate,
        }
    }

    fn signed(&self, outbound: Outbound) -> SignedRequest {
        let mut signer = Signer::new(MessageDigest::sm3(), &self.key).unwrap();
        signer.update(outbound.to_be_signed()).unwrap();
        let signature = Signature::from_der(&signer.sign_to_vec().unwrap()).unwrap();
        outbound.finish(&self.profile, &signature, &self.certificate).unwrap()
    }

    pub(crate) fn request(&self, claim: &DocumentClaim) -> SignedRequest {
        self.request_after(claim, None)
    }

    /// The second of two steps, behind an application.
    pub(crate) fn request_after(&self, claim: &DocumentClaim, applied: Option<&Applied>) -> SignedRequest {
        let recipient = self.trust.encryption_certificate().into();
        let claim = Claim::RealName(claim.clone());
        let outbound = self.profile.encode(&self.context(applied), &claim, recipient, &mut getrandom::SysRng);
        self.signed(outbound.unwrap())
    }

    /// The first of two steps.
    pub(crate) fn application(&self) -> SignedRequest {
        self.signed(self.profile.encode_application(&self.context(None)).unwrap())
    }

    /// What proves answers, and remembers those that it accepts here.
    pub(crate) fn checker<'a>(&'a self, replay: &'a dyn ReplayGuard) -> AnswerChecker<'a> {
        AnswerChecker { profile: &self.profile, trust: &self.trust, verifier: &self.verifier, replay }
    }

    pub(crate) fn check(&self, request: &SignedRequest, answer: &RawAnswer) -> CheckedAnswer<PlatformVerdict> {
        self.checker(&self.memory).check(answer, &expected(request), now())
    }

    /// Asks once and proves the answer.
    pub(crate) async fn ask(&self, claim: &DocumentClaim) -> Result<CheckedAnswer<PlatformVerdict>, SendError> {
        let request = self.request(claim);
        let answer = self.client.send(&request, &self.trust).await?;
        Ok(self.check(&request, &answer))
    }
}

/// What a request makes its answer owe.
pub(crate) fn expected(request: &SignedRequest) -> Expected<'static> {
    Expected { nonce: request.nonce(), digest: request.digest(), fields: FIELDS, recipients: &[] }
}
