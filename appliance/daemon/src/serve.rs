//! `yanqian serve`: start-up in the order in which things depend on each other, then serving, then an orderly end.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use listenfd::ListenFd;
use prometheus::Registry;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;
use yanqian_evidence::{Label, Management};
use yanqian_gateway::{
    Clock, Core, CoreLimits, CoreParts, Metrics, PairUsage, Pairs, PlatformLink, Signer, SqliteState, StateHandle,
    StateThread, SystemClock,
};
use yanqian_hsm::TokenPool;
use yanqian_ledger::tree::Anchors;
use yanqian_ledger::{Archive, Archived, Ledger, LedgerConfig};
use yanqian_platform::Route;
use yanqian_trust::{SharedTrust, Verifier};
use yanqian_vocabulary::Timestamp;

use crate::admin::{self, Readiness};
use crate::anchoring::{self, Anchoring, Unopened};
use crate::cli::{EXIT_CONFIG, start_logging};
use crate::clock::ClockTrust;
use crate::config::{Config, LedgerFiles};
use crate::control;
use crate::fetch::{FetchMetrics, Fetcher};
use crate::gauges::Gauges;
use crate::grade::GradeGauge;
use crate::hardening;
use crate::key_gauges::KeyGauges;
use crate::key_usage::KeyUsage;
use crate::keys::{self, Lists, Prover};
use crate::link::LinkMetrics;
use crate::orphans;
use crate::parts;
use crate::reload::{Reloader, configuration_loaded};
use crate::retention::{self, Retention};
use crate::rotation::Rotation;
use crate::search_keys::{self, First, SearchKeys};
use crate::tls;
use crate::token_acts::TokenActs;
use crate::tokens;
use crate::verification::VerificationMetrics;
use crate::watch::{Watch, follow_store};

/// Why the daemon ended or did not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServeError {
    /// Starting again without a change would fail again.
    #[error("{0}")]
    Configuration(String),
    #[error("{0}")]
    Failed(String),
}

fn configuration(error: impl std::fmt::Display) -> ServeError {
    ServeError::Configuration(error.to_string())
}

fn failed(error: impl std::fmt::Display) -> ServeError {
    ServeError::Failed(error.to_string())
}

pub(crate) fn run(file: &Path) -> ExitCode {
    start_logging();
    let served = Config::load(file).map_err(configuration).and_then(|config| {
        let runtime = tokio::runtime::Runtime::new().map_err(failed)?;
        let served = runtime.block_on(serve(config));
        runtime.shutdown_timeout(Duration::from_secs(5));
        served
    });
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            let code = if matches!(error, ServeError::Configuration(_)) { EXIT_CONFIG } else { 1 };
            ExitCode::from(code)
        }
    }
}

/// For the last records at a stop: a disk that hangs does not hold the stop up.
const LAST_RECORDS: Duration = Duration::from_secs(5);

async fn serve(config: Config) -> Result<(), ServeError> {
    hardening::refuse_root("yanqian serve").map_err(configuration)?;
    hardening::deny_core_dumps().map_err(failed)?;
    parts::permissions(&config).map_err(configuration)?;
    yanqian_trust::openssl_self_test().map_err(failed)?;
    let mut stop = Box::pin(stop_signal()?);
    // From here on: a reload that is asked for during the start follows it.
    let hangup = signal(SignalKind::hangup()).map_err(failed)?;
    let readiness = Readiness::default();
    readiness.set(vec!["starting".to_owned()]);
    let registry = Registry::new();
    let _ = registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()));
    let metrics = Metrics::register(&registry).map_err(failed)?;
    let names: Vec<_> = config.hsm.tokens.iter().map(|token| token.name.clone()).collect();
    let gauges = Gauges::register(&registry, &names).map_err(failed)?;
    let key_gauges = KeyGauges::register(&registry, metrics.clone()).map_err(failed)?;
    let key_usage = KeyUsage::register(&registry, &names).map_err(failed)?;
    let grade = GradeGauge::register(&registry, &names).map_err(failed)?;
    let fetch_metrics = FetchMetrics::register(&registry).map_err(failed)?;
    let verifier = Arc::new(Verifier::new(config.verification));
    registry.register(Box::new(VerificationMetrics::new(&verifier).map_err(failed)?)).map_err(failed)?;
    let admin = TcpListener::bind(config.metrics_address).await.map_err(failed)?;
    let admin_address = admin.local_addr().map_err(failed)?;
    let admin = tokio::spawn(admin::serve(admin, registry.clone(), readiness.clone()));

    let clock = ClockTrust::begin(config.clock).await;
    let Started { core, ledger, state_thread, trust, route, tokens, search_keys, anchoring, loaded } = tokio::select! {
        started = start(&config, &registry, metrics.clone(), &fetch_metrics, &verifier, &clock, &readiness) => started?,
        () = &mut stop => return Ok(()),
    };
    let tls = tls::server_config(&config.listen).map_err(configuration)?;
    let listener = listener(config.listen.address).await?;
    let retention = Retention::start(&config, &core, &ledger, &registry).map_err(configuration)?;
    let (control, search_keys) = control::start(&config, &core, search_keys, retention.as_ref()).map_err(failed)?;
    let search_keys = tokio::spawn(SearchKeys::tend(search_keys));
    let address = listener.local_addr().map_err(failed)?;
    core.append(Management::Started {}.into()).await.map_err(failed)?;
    let acts = TokenActs::new(&config, Arc::clone(&core)).begin().await;
    let prover = Prover { tokens: tokens.clone(), verifier: Arc::clone(&verifier) };
    let rotation = Rotation::new(Arc::clone(&core), prover.clone(), key_gauges, readiness.clone(), loaded);
    // The workers were there a moment ago: their keys' series exist from the start.
    tokens.view().iter().for_each(|view| {
        key_usage.tell(view);
        grade.tell(view);
    });
    readiness.set(Vec::new());
    if let Some(file) = &config.listen.ready_file {
        write_ready(file, address, admin_address).map_err(failed)?;
    }
    tracing::info!(%address, metrics = %admin_address, "serving");
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);

    let fetching = Fetcher {
        settings: config.platform.revocation.clone(),
        directory: parts::fetched_directory(&config),
        trust: Arc::clone(&trust),
        verifier: Arc::clone(&verifier),
        metrics: fetch_metrics.clone(),
    };
    let fetching = config.platform.revocation.fetches().then(|| tokio::spawn(fetching.run()));
    let anchoring = anchoring.map(|anchoring| tokio::spawn(anchoring.run()));
    let (ready_file, state_dir, server) =
        (config.listen.ready_file.clone(), config.state_dir.clone(), config.limits.server);
    let reloader = Reloader::new(config, Arc::clone(&core), prover, Arc::clone(&trust));
    let acts = tokio::spawn(acts.run());
    let rotation = tokio::spawn(rotation.run(reloader, hangup));
    let watch = Watch {
        core: Arc::clone(&core),
        ledger: Arc::clone(&ledger),
        trust,
        route,
        verifier,
        tokens,
        clock: Arc::clone(&clock),
        metrics,
        fetches: fetch_metrics,
        gauges: gauges.clone(),
        key_usage,
        grade,
        state_dir,
        readiness: readiness.clone(),
    };
    let watch = tokio::spawn(watch.run());
    let clock = tokio::spawn(clock.watch(Arc::clone(&core), gauges));
    yanqian_gateway::serve(Arc::clone(&core), listener, tls, server, &mut stop).await;
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    readiness.set(vec!["stopping".to_owned()]);
    let tasks = [control, search_keys, acts, watch, rotation, clock, admin];
    tasks.iter().for_each(JoinHandle::abort);
    [fetching, anchoring].iter().flatten().for_each(JoinHandle::abort);
    retention::stop(retention).await;
    for task in tasks {
        let _ = task.await;
    }
    let stopped = tokio::time::timeout(LAST_RECORDS, record_stop(&core)).await;
    if let Some(file) = &ready_file {
        let _ = std::fs::remove_file(file);
    }
    drop(core);
    drop(ledger);
    // Checks that outlived the shutdown limit still hold the state store; the runtime's own timeout ends them.
    let _ = tokio::time::timeout(Duration::from_secs(5), tokio::task::spawn_blocking(|| state_thread.join())).await;
    tracing::info!("stopped");
    stopped.map_err(|_| failed("the ledger did not take the stop's record in time"))?
}

async fn record_stop(core: &Core) -> Result<(), ServeError> {
    if let Err(error) = core.return_leases().await {
        tracing::error!(%error, "what is left of the day's quotas cannot be returned");
    }
    if let Err(error) = core.record_aggregate().await {
        tracing::error!(%error, "last aggregate cannot be recorded");
    }
    core.append(Management::Stopped { cause: Label::new("signal") }.into()).await.map(|_| ()).map_err(failed)
}

/// The listener that the service manager passed (`LISTEN_FDS`), so that ports below 1024 need no privilege and no connection is
/// refused during a restart; else a new one at the configured address.
async fn listener(address: std::net::SocketAddr) -> Result<TcpListener, ServeError> {
    let Some(passed) = ListenFd::from_env().take_tcp_listener(0).map_err(configuration)? else {
        return TcpListener::bind(address).await.map_err(failed);
    };
    passed.set_nonblocking(true).map_err(failed)?;
    TcpListener::from_std(passed).map_err(failed)
}

fn stop_signal() -> Result<impl Future<Output = ()>, ServeError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// What runs behind the listeners.
pub(crate) struct Started {
    pub(crate) core: Arc<Core>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) state_thread: StateThread,
    pub(crate) trust: Arc<SharedTrust>,
    pub(crate) route: Arc<Route>,
    pub(crate) tokens: TokenPool,
    pub(crate) search_keys: SearchKeys,
    /// What makes checkpoints; none without a key for them.
    pub(crate) anchoring: Option<Anchoring>,
    /// When the lists of pairs were read.
    pub(crate) loaded: Timestamp,
}

/// Everything behind the listeners, in the order in which things depend on each other. Waits for the worker for as long as it takes.
pub(crate) async fn start(
    config: &Config,
    registry: &Registry,
    metrics: Metrics,
    fetches: &FetchMetrics,
    verifier: &Arc<Verifier>,
    clock: &Arc<ClockTrust>,
    readiness: &Readiness,
) -> Result<Started, ServeError> {
    let (agreement, agreement_hash) = parts::agreement(config).map_err(configuration)?;
    let (profile, way, client) = parts::platform(config, verifier).map_err(configuration)?;
    let client = Arc::new(client);
    registry.register(Box::new(LinkMetrics::new(&client).map_err(failed)?)).map_err(failed)?;
    way.tell(config);
    parts::services(config, &agreement, &profile).map_err(configuration)?;
    let chip_anchors = parts::chip_anchors(config).map_err(configuration)?.map(Arc::new);
    let trust = Arc::new(parts::trust(config).map_err(configuration)?);
    let Lists { signing, encryption } = keys::load(config, SystemClock.now()).map_err(configuration)?;
    let state_keys = parts::state_keys(config).map_err(configuration)?;
    tls::server_config(&config.listen).map_err(configuration)?;
    create_private(&config.state_dir).map_err(failed)?;

    let first = signing.first().ok_or_else(|| failed("there is no signing pair"))?;
    let tokens = tokens::pool(config, Vec::new(), verifier);
    let grade = tokens::reach(&tokens, readiness).await.map_err(configuration)?;
    let base = parts::context(config, agreement_hash, &profile, first, grade).map_err(failed)?;
    let agreement = Arc::new(agreement);
    let pairs = Pairs::new(&base, &agreement, signing, encryption).map_err(failed)?;
    let now = SystemClock.now();
    tokens.keep(tokens::needed(&pairs, now));
    let (ledger, recovery) = open_ledger(config).map_err(failed)?;
    let ledger = Arc::new(ledger);
    let closed = ledger.close_dangling(&recovery, &base.software).await.map_err(failed)?;
    if closed > 0 {
        tracing::warn!(
            closed,
            "checks that the last run left open are now outcome-unknown: reconcile with the platform"
        );
    }
    let anchoring =
        Anchoring::open(config, &ledger, verifier, registry, readiness).await.map_err(|error| match error {
            Unopened::Lasting(error) => configuration(error),
            Unopened::Passing(error) => failed(error),
        })?;
    let store = SqliteState::open(&config.state_dir.join("state.sqlite"), config.entity.clone(), config.node.clone());
    let (state, state_thread) = StateHandle::start(Box::new(store.map_err(failed)?)).map_err(failed)?;

    let First { key: search_key, is_new } = search_keys::first(config, &recovery, now).map_err(failed)?;

    let loaded = configuration_loaded(config, &trust, &pairs.at(now).signing, &client);
    let server = parts::first_certificate(&config.listen.certificate).map_err(configuration)?;
    let archive = Archive::open(&config.state_dir.join("archive")).map_err(failed)?;
    metrics.certificate_expiry.with_label_values(&["server"]).set(server.not_after());
    archive.put(Archived::Certificate, server.as_der()).map_err(failed)?;
    keys::keep_tables(verifier, pairs.of(PairUsage::Signing));
    if let Ok(store) = trust.current() {
        follow_store(&metrics, fetches, verifier, &store);
    }
    let route = Arc::new(Route::new(parts::route_file(config)));
    let core = Core::new(CoreParts {
        clock: Arc::new(SystemClock),
        clock_health: Arc::<ClockTrust>::clone(clock),
        pairs,
        ledger: Arc::clone(&ledger),
        ledger_directory: parts::ledger_directory(config),
        archive,
        anchors: anchoring.is_some().then(|| Anchors::new(anchoring::places(config))),
        chip_anchors,
        state,
        keys: state_keys,
        search_key,
        signing: Signer { tokens: tokens.clone() },
        platform: PlatformLink {
            profile,
            client,
            trust: Arc::clone(&trust),
            route: Arc::clone(&route),
            customer_number: config.platform.customer_number.clone(),
            application: config.platform.application.clone(),
        },
        verifier: Arc::clone(verifier),
        metrics,
        limits: CoreLimits {
            max_in_flight: config.limits.max_in_flight,
            check: config.limits.check,
            body: config.limits.body,
            reply_retention_millis: millis(config.limits.reply_retention),
            receipt_retention_millis: millis(config.limits.receipt_retention),
        },
    });
    core.archive_pairs(&core.pairs()).map_err(failed)?;
    core.append_under(&core.pairs().at(now).context, loaded.into()).await.map_err(failed)?;
    orphans::settle(config, &core).await.map_err(failed)?;
    let search_keys = SearchKeys::begin(Arc::clone(&core), Arc::<ClockTrust>::clone(clock) as _, config, is_new);
    let search_keys = search_keys.await.map_err(failed)?;
    tokens::admit(&core, &tokens, readiness, now).await.map_err(failed)?;
    Ok(Started { core, ledger, state_thread, trust, route, tokens, search_keys, anchoring, loaded: now })
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn open_ledger(config: &Config) -> Result<(Ledger, yanqian_ledger::Recovery), String> {
    let directory = parts::ledger_directory(config);
    create_private(&directory).map_err(|error| error.to_string())?;
    let origin = parts::origin(config).map_err(|error| error.to_string())?;
    let clock = yanqian_ledger::Clock::new(|| SystemClock.now());
    let LedgerFiles { segment_octets, segment_age, reserve_octets, patience } = config.ledger;
    let settings = LedgerConfig {
        segment_octets,
        segment_age,
        reserve_octets,
        patience,
        ..LedgerConfig::new(config.node.clone(), origin)
    };
    Ledger::open(&directory, settings, clock).map_err(|error| format!("{}: {error}", directory.display()))
}

fn create_private(directory: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)
}

/// Tells a supervisor where the daemon listens. Written under another name first, so that no reader sees half a file.
fn write_ready(file: &Path, listen: std::net::SocketAddr, metrics: std::net::SocketAddr) -> std::io::Result<()> {
    let mut unfinished = file.as_os_str().to_owned();
    unfinished.push(".new");
    let text = serde_json::json!({ "listen": listen.to_string(), "metrics": metrics.to_string() });
    let mut out = std::fs::File::create(&unfinished)?;
    writeln!(out, "{text}")?;
    std::fs::rename(unfinished, file)
}
