//! The change of keys under a clock that the test turns, over the real pipeline and ledger. There is no token: a check ends at the
//! latest when it is asked for a signature, and its records say under which key.
#![allow(clippy::unwrap_used)]

use std::num::NonZeroU32;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

use prometheus::Registry;
use tempfile::TempDir;
use yanqian_agreement::{Agreement, Source};
use yanqian_documents::{RawDocument, validate};
use yanqian_evidence::{Context, Kind, Origin, SoftwareVersion};
use yanqian_hsm::TokenPool;
use yanqian_ledger::search::EpochKey;
use yanqian_ledger::{Archive, Ledger, LedgerConfig, read_records};
use yanqian_messages::{Certificate, PlainVerifier};
use yanqian_platform::{PlatformClient, Profile, Route};
use yanqian_trust::{SharedTrust, Verifier, VerifierSettings};
use yanqian_vocabulary::{
    AgreementHash, Claim, DocumentType, KeyId, Mode, NodeId, PurposeCode, Reason, RuleId, Timestamp, TokenGrade,
    VerificationId,
};

use super::dossier::Dossier;
use super::scope::InScope;
use super::*;
use crate::keys::tests::certificates;
use crate::{
    BodyLimits, Clock, CoreLimits, CoreParts, KeyPair, Metrics, Pairs, PlatformLink, Signer, SqliteState, StateHandle,
    StateKeys,
};

struct Hand(AtomicI64);

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_millis(self.0.load(Ordering::SeqCst))
    }
}

/// Whether somebody vouches for the clock.
struct Vouched(AtomicBool);

impl crate::ClockHealth for Vouched {
    fn is_trusted(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// A gateway with a token that nobody answers for.
struct Bench {
    core: Arc<Core>,
    hand: Arc<Hand>,
    vouched: Arc<Vouched>,
    agreement: Arc<Agreement>,
    base: Context,
    certificates: Vec<Certificate>,
    directory: TempDir,
}

impl Bench {
    fn new() -> Self {
        Self::agreed(str::to_owned)
    }

    /// With the sample agreement changed.
    fn agreed(change: impl FnOnce(&str) -> String) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let layout = yanqian_devpki::generate(&at("pki"), &yanqian_devpki::Options::default()).unwrap();
        let agreement = repository.join("samples/agreement.toml");
        let agreement = Agreement::parse(&change(&std::fs::read_to_string(&agreement).unwrap()), &agreement).unwrap();
        let profile = Arc::new(Profile::load(&repository.join("platform-profiles/reference.toml")).unwrap());
        let certificates = certificates();
        let base = Context {
            entity: agreement.entity.clone(),
            node: NodeId::new("node-1").unwrap(),
            software: SoftwareVersion::new("1").unwrap(),
            agreement: AgreementHash::new([1; 32]),
            platform: agreement.platform.clone(),
            platform_profile: profile.hash(),
            key: KeyId::new([0; 32]),
            certificate: yanqian_vocabulary::CertificateHash::new([0; 32]),
            grade: TokenGrade::Development,
            encryption_key: None,
            encryption_certificate: None,
        };
        let hand = Arc::new(Hand(AtomicI64::new(0)));
        let vouched = Arc::new(Vouched(AtomicBool::new(true)));
        let settings = VerifierSettings { table_octets: 0, shadow_every: NonZeroU32::MIN };
        let origin = Origin::new("example-bank/node-1").unwrap();
        let time = Arc::clone(&hand);
        let clock = yanqian_ledger::Clock::new(move || time.now());
        std::fs::create_dir(at("ledger")).unwrap();
        let config = LedgerConfig::new(base.node.clone(), origin);
        let (ledger, _) = Ledger::open(&at("ledger"), config, clock).unwrap();
        let store = SqliteState::open(&at("state.sqlite"), base.entity.clone(), base.node.clone()).unwrap();
        let (state, _thread) = StateHandle::start(Box::new(store)).unwrap();
        let body = BodyLimits { max_bytes: 1, deadline: Duration::MAX, idle: Duration::MAX };
        let agreement = Arc::new(agreement);
        let pairs = Self::listed(&base, &agreement, &certificates, &[("old", None)]);
        let core = Core::new(CoreParts {
            clock: Arc::clone(&hand) as Arc<dyn Clock>,
            clock_health: Arc::clone(&vouched) as Arc<dyn crate::ClockHealth>,
            pairs,
            ledger: Arc::new(ledger),
            ledger_directory: at("ledger"),
            archive: Archive::open(&at("archive")).unwrap(),
            anchors: None,
            chip_anchors: None,
            state,
            keys: StateKeys::derive(&[7; 32]),
            search_key: EpochKey::new(1, Timestamp::from_unix_millis(0), [8; 32]),
            signing: Signer { tokens: TokenPool::new(Vec::new(), Vec::new(), Arc::new(PlainVerifier)) },
            platform: PlatformLink {
                client: PlatformClient::new(Arc::clone(&profile), "https://localhost:1").unwrap().into(),
                profile,
                trust: Arc::new(SharedTrust::open(&layout.trust(), yanqian_trust::TrustSettings::default()).unwrap()),
                route: Arc::new(Route::new(at("stopped.json"))),
                customer_number: "YQ000001".to_owned(),
                application: "yanqian".to_owned(),
            },
            verifier: Arc::new(Verifier::new(settings)),
            metrics: Metrics::register(&Registry::new()).unwrap(),
            limits: CoreLimits {
                max_in_flight: 1,
                check: Duration::from_mins(1),
                body,
                reply_retention_millis: 1_000_000,
                receipt_retention_millis: 1_000_000,
            },
        });
        Self { core, hand, vouched, agreement, base, certificates, directory }
    }

    /// Signing pairs by label and begin, each with a certificate of its own, all proven.
    fn listed(
        base: &Context,
        agreement: &Arc<Agreement>,
        certificates: &[Certificate],
        entries: &[(&str, Option<i64>)],
    ) -> Pairs {
        let signing = entries.iter().map(|(label, from)| {
            let certificate = certificates[usize::from(*label != "old")].clone();
            let from = from.map(Timestamp::from_unix_millis);
            let pair = KeyPair::new((*label).to_owned(), certificate, from, None).unwrap();
            pair.set_proven(true);
            Arc::new(pair)
        });
        Pairs::new(base, agreement, signing.collect(), Vec::new()).unwrap()
    }

    fn load(&self, entries: &[(&str, Option<i64>)]) {
        self.core.replace_pairs(Arc::new(Self::listed(&self.base, &self.agreement, &self.certificates, entries)));
    }

    fn turn(&self, millis: i64) {
        self.hand.0.store(millis, Ordering::SeqCst);
    }

    /// A check that may go on to its intent.
    fn scoped(&self) -> InScope {
        let now = self.hand.now();
        let caller = self.agreement.callers().next().unwrap().id.clone();
        let id = VerificationId::new(now, self.core.random());
        let mut dossier =
            Dossier::new(id, caller, Mode::RealName, Source::Operator, now, Instant::now(), self.core.in_force());
        dossier.purpose = Some(PurposeCode::new("account-opening").unwrap());
        dossier.rule = Some(RuleId::new("rule-1").unwrap());
        let raw = RawDocument {
            document_type: DocumentType::PrcPassport,
            number: "E12345678",
            name: "测试",
            birth_date: "1990-01-01",
            nationality: None,
            expiry: None,
        };
        let claim = Claim::RealName(validate(&raw, now).unwrap_or_else(|error| panic!("{:?}", error.reason)));
        dossier.fields = claim.fields();
        InScope { dossier, claim, platform_code: "01".to_owned() }
    }

    fn key(&self, label: &str) -> KeyId {
        KeyId::new(self.certificates[usize::from(label != "old")].key_id())
    }

    /// Kinds and keys of the records, from the first.
    fn records(&self) -> Vec<(Kind, KeyId)> {
        let records = read_records(&self.directory.path().join("ledger")).unwrap();
        records.map(|entry| entry.unwrap().record).map(|record| (record.body.kind(), record.context.key)).collect()
    }
}

/// When the new key begins: inside the validity of the development certificates.
fn change() -> i64 {
    crate::SystemClock.now().unix_millis() + 1_000_000
}

async fn refused_at_the_token<S>(core: &Arc<Core>, intent: intent::RecordedIntent<S>) -> Box<Refused> {
    let Err(refused) = intent.sign(core).await else { panic!("there is no token") };
    assert_eq!(refused.reason, Reason::SignerUnavailable);
    refused
}

#[tokio::test]
async fn nothing_is_forgotten_while_nobody_vouches_for_the_clock() {
    const DAY: i64 = 86_400_000;
    let bench = Bench::new();
    let left = || bench.core.state.call(|store| store.lease("agreement", 0, 3, 3));
    assert_eq!(left().await.unwrap(), 3);
    bench.turn(500 * DAY);
    bench.vouched.0.store(false, Ordering::SeqCst);
    assert_eq!(bench.core.purge().await.unwrap(), 0);
    assert_eq!(left().await.unwrap(), 0, "the day's quota is as used as it was");
    bench.vouched.0.store(true, Ordering::SeqCst);
    assert_eq!(bench.core.purge().await.unwrap(), 1);
    assert_eq!(left().await.unwrap(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_intent_at_the_moment_of_change_is_of_the_new_key_and_one_before_keeps_the_old_to_its_end() {
    let bench = Bench::new();
    let change = change();
    bench.load(&[("old", None), ("new", Some(change))]);
    bench.turn(change - 1);
    // Both are received in time; one makes its intent a millisecond later.
    let (before, after) = (bench.scoped(), bench.scoped());
    let before = before.record_intent(&bench.core).await.ok().unwrap();
    bench.turn(change);
    let after = after.record_intent(&bench.core).await.ok().unwrap();
    bench.turn(change + 60_000);
    for intent in [before, after] {
        refused_at_the_token(&bench.core, intent).await.conclude(&bench.core).await.ok().unwrap();
    }
    let (old, new) = (bench.key("old"), bench.key("new"));
    let expected = [(Kind::Intent, old), (Kind::Intent, new), (Kind::Outcome, old), (Kind::Outcome, new)];
    assert_eq!(bench.records(), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_that_ends_before_it_is_sent_is_not_counted_and_one_beyond_the_quota_has_no_intent() {
    let bench = Bench::agreed(|sample| sample.replacen("# checks_per_day = 200000", "checks_per_day = 1", 1));
    bench.turn(change());
    let counted = bench.scoped().count(&bench.core).await.ok().unwrap();
    let Err(refused) = bench.scoped().count(&bench.core).await else { panic!("the day has one check") };
    assert_eq!((refused.reason, refused.dossier.limited.unwrap().quota), (Reason::AgreementQuota, 1));
    assert_eq!(refused.dossier.rule.as_ref().unwrap().as_str(), "agreement.checks_per_day");
    refused.conclude(&bench.core).await.ok().unwrap();
    let intent = counted.record_intent(&bench.core).await.ok().unwrap();
    refused_at_the_token(&bench.core, intent).await.conclude(&bench.core).await.ok().unwrap();
    assert!(bench.scoped().count(&bench.core).await.is_ok(), "nothing was sent, so the day has it again");
    let kinds: Vec<_> = bench.records().into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, [Kind::Refusal, Kind::Intent, Kind::Outcome]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_that_was_counted_keeps_its_agreement_when_another_comes_into_force() {
    let bench = Bench::new();
    bench.turn(change());
    let counted = bench.scoped().count(&bench.core).await.ok().unwrap();
    let base = Context { agreement: AgreementHash::new([2; 32]), ..bench.base.clone() };
    let other = Arc::new(Agreement::clone(&bench.agreement));
    bench.core.replace_pairs(Arc::new(Bench::listed(&base, &other, &bench.certificates, &[("old", None)])));
    let under = |intent: &intent::RecordedIntent<intent::Check>| intent.dossier.in_force.context.agreement;
    let intent = counted.record_intent(&bench.core).await.ok().unwrap();
    assert_eq!(under(&intent), bench.base.agreement);
    let later = bench.scoped().count(&bench.core).await.ok().unwrap().record_intent(&bench.core).await.ok().unwrap();
    assert_eq!(under(&later), base.agreement);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_under_way_keeps_its_key_when_the_list_loses_it() {
    let bench = Bench::new();
    bench.turn(change());
    let intent = bench.scoped().record_intent(&bench.core).await.ok().unwrap();
    bench.load(&[("new", None)]);
    refused_at_the_token(&bench.core, intent).await.conclude(&bench.core).await.ok().unwrap();
    let old = bench.key("old");
    assert_eq!(bench.records(), [(Kind::Intent, old), (Kind::Outcome, old)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_does_not_prove_itself_signs_nothing_and_no_other_stands_in_for_it() {
    let bench = Bench::new();
    let change = change();
    bench.load(&[("old", None), ("new", Some(change))]);
    bench.turn(change - 1);
    let scoped = bench.scoped();
    bench.turn(change);
    bench.core.in_force().signing.set_proven(false);
    let Err(refused) = scoped.record_intent(&bench.core).await else { panic!("the new key is not proven") };
    assert_eq!(refused.reason, Reason::SignerUnavailable);
    refused.conclude(&bench.core).await.ok().unwrap();
    assert_eq!(bench.records(), [(Kind::Refusal, bench.key("new"))]);
    bench.core.in_force().signing.set_proven(true);
    assert!(bench.scoped().record_intent(&bench.core).await.is_ok());
}
