//! The steps that need the daemon's place: its ledger, its state, its keys and its way to the platform.

use std::sync::Arc;
use std::time::Duration;

use prometheus::Registry;
use yanqian_evidence::{Label, Management};
use yanqian_gateway::{Core, Departure, Metrics, PairState, TrialError, Tried};
use yanqian_hsm::TokenPool;
use yanqian_ledger::verify_dir;
use yanqian_trust::{SharedTrust, Verifier};
use yanqian_vocabulary::{Nonce, Timestamp};

use super::cases::{Case, Cases, RefusalCase, Wrong};
use super::report::{KeyFacts, LedgerFacts};
use super::script::{self, CLOCK, KEYS, LEDGER, Script};
use super::{facts, judge, stranger};
use crate::admin::Readiness;
use crate::clock::ClockTrust;
use crate::config::Config;
use crate::fetch::FetchMetrics;
use crate::gauges::Gauges;
use crate::parts;
use crate::serve::{self, Started};

/// For a worker to come and every key to prove itself.
const LONGEST_START: Duration = Duration::from_secs(30);
/// For threads that still write at the end.
pub(super) const LONGEST_END: Duration = Duration::from_secs(5);
/// How records name the run: it is no service to anybody.
const JOINT_DEBUGGING: Label = Label::new("joint-debugging");

struct Run<'a> {
    core: &'a Arc<Core>,
    cases: &'a Cases,
    script: &'a mut Script,
    /// What the platform's clock was ahead of ours, by each proven answer.
    differences: Vec<(i64, i64)>,
    /// Nonces of the cases' requests, in their order; none of one that was not sent.
    nonces: Vec<Option<Nonce>>,
}

pub(super) async fn run(config: &Config, cases: &Cases, script: &mut Script) {
    let verifier = Arc::new(Verifier::new(config.verification));
    let registry = Registry::new();
    let (metrics, fetches, gauges) = match registered(config, &registry) {
        Ok(registered) => registered,
        Err(error) => return script.fail(KEYS, error),
    };
    let readiness = Readiness::default();
    let clock = ClockTrust::begin(config.clock).await;
    let starting = serve::start(config, &registry, metrics, &fetches, &verifier, &clock, &readiness);
    let started = match tokio::time::timeout(LONGEST_START, starting).await {
        Ok(started) => started.map_err(|error| error.to_string()),
        Err(_) => Err(format!("not within {} s: {}", LONGEST_START.as_secs(), readiness.reasons())),
    };
    let Started { core, ledger, state_thread, trust, tokens, loaded: now, .. } = match started {
        Ok(started) => started,
        Err(why) => return script.fail(KEYS, why),
    };
    // What is known of the clock counts for half a minute, and a run may take longer.
    let watch = tokio::spawn(clock.watch(Arc::clone(&core), gauges));
    tell_keys(script, &core, &tokens, now);
    let state = Management::ServiceState { state: JOINT_DEBUGGING, reason: None };
    match core.append(state.into()).await {
        Ok(_) => {
            let mut run = Run { core: &core, cases, script, differences: Vec::new(), nonces: Vec::new() };
            run.steps(config, &trust).await;
        }
        Err(error) => script.fail(KEYS, format_args!("the ledger does not take the run's record: {error}")),
    }
    watch.abort();
    let _ = watch.await;
    drop((core, ledger));
    let _ = tokio::time::timeout(LONGEST_END, tokio::task::spawn_blocking(|| state_thread.join())).await;
}

/// What the daemon's parts count in; nobody asks for it here.
fn registered(config: &Config, registry: &Registry) -> Result<(Metrics, FetchMetrics, Gauges), prometheus::Error> {
    let names: Vec<_> = config.hsm.tokens.iter().map(|token| token.name.clone()).collect();
    Ok((Metrics::register(registry)?, FetchMetrics::register(registry)?, Gauges::register(registry, &names)?))
}

fn tell_keys(script: &mut Script, core: &Core, tokens: &TokenPool, now: Timestamp) {
    let pairs = core.pairs();
    let grade = pairs.at(now).context.grade.to_string();
    let told = |wanted: PairState| pairs.told(now).filter(move |(_, _, state)| *state == wanted).count();
    let names: Vec<_> = tokens.view().into_iter().map(|token| token.name).collect();
    let reason = format!("grade {grade}, {} in use, token {}", told(PairState::InUse), names.join(", "));
    script.end(KEYS, Ok(reason));
    let Some(step) = script.step(KEYS) else { return };
    step.keys = pairs
        .told(now)
        .map(|(usage, pair, state)| KeyFacts {
            usage: usage.as_str().to_owned(),
            state: state.as_str().to_owned(),
            key: pair.key_id().to_string(),
            certificate: facts::certificate(&pair.certificate),
            proven: pair.is_proven(),
            grade: grade.clone(),
        })
        .collect();
}

impl Run<'_> {
    async fn steps(&mut self, config: &Config, trust: &SharedTrust) {
        self.endpoints(trust).await;
        for case in &self.cases.checks {
            self.case(case).await;
        }
        for refusal in &self.cases.refusals {
            self.refusal(refusal).await;
        }
        let (ended, clock) = judge::clock(&self.differences, self.cases.max_clock_difference_millis);
        self.script.end(CLOCK, ended);
        if let Some(step) = self.script.step(CLOCK) {
            step.clock = clock;
        }
        self.ledger(config).await;
    }

    async fn endpoints(&mut self, trust: &SharedTrust) {
        let store = match trust.current() {
            Ok(store) => store,
            Err(error) => return self.script.fail(&script::endpoint(0), error),
        };
        for (index, looked) in self.core.platform_client().look(&store).await.iter().enumerate() {
            let addresses: Vec<_> = match &looked.addresses {
                Ok(all) => all.iter().map(|one| facts::address(one, &store)).collect(),
                Err(failed) => {
                    self.script.fail(&script::endpoint(index), facts::failure(*failed));
                    continue;
                }
            };
            self.script.end(&script::endpoint(index), judge::endpoint(&addresses));
            if let Some(step) = self.script.step(&script::endpoint(index)) {
                step.addresses = addresses;
            }
        }
    }

    async fn case(&mut self, case: &Case) {
        let tried = self.core.try_out(case.trial()).await;
        self.nonces.push(tried.as_ref().ok().and_then(facts::sent_nonce));
        let expected = case.expect.to_string();
        let most = self.cases.max_latency_millis;
        self.tell(&script::case(case), case, &expected, tried, |ending, facts| judge::case(case, ending, facts, most));
    }

    async fn refusal(&mut self, refusal: &RefusalCase) {
        let name = script::refusal(refusal);
        let Some(case) = self.cases.checks.get(refusal.case) else { return };
        let departure = match refusal.wrong {
            Wrong::BrokenSignature => Departure::BrokenSignature,
            Wrong::StaleTime { millis } => Departure::StaleTime { millis },
            Wrong::UnregisteredCertificate => match stranger::make() {
                Ok(stranger) => Departure::UnregisteredCertificate(Arc::new(stranger)),
                Err(why) => return self.script.fail(&name, why),
            },
            Wrong::RepeatedNonce => match self.nonces.get(refusal.case).copied().flatten() {
                Some(nonce) => Departure::RepeatedNonce(nonce),
                None => {
                    return self
                        .script
                        .leave(&name, "the case's own request was not sent, so there is no nonce to repeat");
                }
            },
        };
        // Before its intent, so that nobody who reads the ledger takes it for a fault.
        let state = Management::ServiceState { state: label(refusal.wrong), reason: None };
        if let Err(error) = self.core.append(state.into()).await {
            return self
                .script
                .fail(&name, format_args!("nothing was sent: the ledger does not take its record: {error}"));
        }
        let mut trial = case.trial();
        trial.departure = Some(departure);
        let tried = self.core.try_out(trial).await;
        self.tell(&name, case, "refused", tried, |ending, facts| judge::refusal(refusal, ending, facts));
    }

    fn tell(
        &mut self,
        name: &str,
        case: &Case,
        expected: &str,
        tried: Result<Tried, TrialError>,
        judge: impl FnOnce(Option<&facts::Ending>, &super::report::CheckFacts) -> Result<String, String>,
    ) {
        let tried = match tried {
            Ok(tried) => tried,
            Err(error) => return self.script.fail(name, error),
        };
        self.differences.extend(facts::clock_differences(&tried, self.core.platform_client().profile()));
        let facts = facts::check(case, expected, &tried);
        let ended = judge(facts::ending(&tried).as_ref(), &facts);
        self.script.end(name, ended);
        if let Some(step) = self.script.step(name) {
            step.check = Some(facts);
        }
    }

    async fn ledger(&mut self, config: &Config) {
        if let Err(error) = self.core.append(Management::Stopped { cause: JOINT_DEBUGGING }.into()).await {
            return self.script.fail(LEDGER, format_args!("the ledger does not take the end's record: {error}"));
        }
        let directory = parts::ledger_directory(config);
        let verified = tokio::task::spawn_blocking(move || verify_dir(&directory)).await;
        let verified = match verified {
            Ok(Ok(verified)) => verified.summary,
            Ok(Err(error)) => return self.script.fail(LEDGER, error),
            Err(error) => return self.script.fail(LEDGER, error),
        };
        let told = format!("{} records, {} checks without an end", verified.records, verified.open_intents);
        let ended = if verified.open_intents == 0 { Ok(told) } else { Err(told) };
        self.script.end(LEDGER, ended);
        if let Some(step) = self.script.step(LEDGER) {
            step.ledger = Some(LedgerFacts {
                records: verified.records,
                last_sequence: verified.last_sequence,
                tree_hash: verified.root.to_string(),
            });
        }
    }
}

/// How a record says that the next request is wrong on purpose.
const fn label(wrong: Wrong) -> Label {
    match wrong {
        Wrong::BrokenSignature => Label::new("joint-debugging.broken-signature"),
        Wrong::UnregisteredCertificate => Label::new("joint-debugging.unregistered-certificate"),
        Wrong::StaleTime { .. } => Label::new("joint-debugging.stale-time"),
        Wrong::RepeatedNonce => Label::new("joint-debugging.repeated-nonce"),
    }
}
