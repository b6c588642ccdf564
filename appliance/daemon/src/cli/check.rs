//! `yanqian check`: every piece that a configuration names, looked at whether or not an earlier one failed, so that one run tells
//! everything that is wrong.

mod machine;
pub(super) mod pairs;

use std::path::Path;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;
use yanqian_agreement::Agreement;
use yanqian_gateway::PairUsage;
use yanqian_hsm::profile::Profile as TokenProfile;
use yanqian_hsm::worker::WorkerConfig;
use yanqian_messages::Certificate;
use yanqian_platform::{Profile, Route};
use yanqian_vocabulary::Timestamp;

use super::output::{complain, say};
use super::{EXIT_CONFIG, check_tokens};
use crate::config::{Config, Transport};
use crate::way::Way;
use crate::{anchoring, hardening, keys, link, parts};
use machine::{clock, disk, open_files, state_directory};
use pairs::{Placed, certificate_key, placed};

const DAY: i64 = 86_400;
/// Days before an end at which a warning begins.
const SOON: i64 = 30;
/// Days before the end of a revocation list at which a warning begins: lists are short-lived.
const LIST_SOON: i64 = 2;

/// How a piece was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    Ok,
    Warn,
    Fail,
}

impl Level {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "FAIL",
        }
    }
}

/// What was found, and why it matters or what to do about it.
pub(crate) struct Found(pub(crate) Level, pub(crate) String);

impl From<Result<String, String>> for Found {
    fn from(result: Result<String, String>) -> Self {
        match result {
            Ok(note) => Self(Level::Ok, note),
            Err(problem) => Self(Level::Fail, problem),
        }
    }
}

pub(super) fn warn_if(condition: bool, note: String) -> Found {
    Found(if condition { Level::Warn } else { Level::Ok }, note)
}

/// One line of the table. `key` is stable.
pub(crate) struct Row {
    pub(crate) key: String,
    pub(crate) found: Found,
}

pub(super) fn row(key: &str, found: impl Into<Found>) -> Row {
    Row { key: key.to_owned(), found: found.into() }
}

pub(super) fn run(file: &Path, worker: Option<&Path>, as_json: bool) -> ExitCode {
    let config = match Config::load(file) {
        Ok(config) => config,
        Err(error) => {
            complain(&error);
            return ExitCode::from(EXIT_CONFIG);
        }
    };
    let mut rows = rows(&config);
    rows.extend(worker.into_iter().flat_map(worker_rows));
    let count = |level| rows.iter().filter(|row| row.found.0 == level).count();
    let (warnings, failures) = (count(Level::Warn), count(Level::Fail));
    if as_json {
        let checks: Vec<_> = rows
            .iter()
            .map(|Row { key, found: Found(level, note) }| {
                json!({ "check": key, "result": level.as_str().to_lowercase(), "note": note })
            })
            .collect();
        say(json!({ "v": 1, "checks": checks, "warnings": warnings, "failures": failures }));
    } else {
        for Row { key, found: Found(level, note) } in &rows {
            say(format_args!("{:<5} {key:<23} {note}", level.as_str()));
        }
        say(format_args!("{} checks: {warnings} warnings, {failures} failures", rows.len()));
    }
    if failures == 0 { ExitCode::SUCCESS } else { ExitCode::from(EXIT_CONFIG) }
}

/// Every piece that the configuration names. Blocks, and asks the workers.
pub(crate) fn rows(config: &Config) -> Vec<Row> {
    let text = |error: parts::PartError| error.to_string();
    let agreement = parts::agreement(config).map_err(text);
    let profile = Profile::load(&config.platform.profile).map_err(|error| error.to_string());
    let services = match (&agreement, &profile) {
        (Ok((agreement, _)), Ok(profile)) => parts::services(config, agreement, profile)
            .map(|()| agreement.modes.iter().map(|mode| mode.as_str()).collect::<Vec<_>>().join(", "))
            .map_err(text),
        _ => Err("agreement or profile cannot be read".to_owned()),
    };
    let mut rows = vec![
        row("configuration", Ok(config.file.display().to_string())),
        row(
            "permissions",
            parts::permissions(config).map(|()| "nobody else can change or read what counts".to_owned()).map_err(text),
        ),
        row(
            "openssl",
            yanqian_trust::openssl_self_test()
                .map(|()| "SM2 with the default id".to_owned())
                .map_err(|error| error.to_string()),
        ),
        row("agreement", in_force(agreement.as_ref().map(|(agreement, _)| agreement))),
        row(
            "platform-profile",
            profile.as_ref().map(|profile| format!("{}, {}", profile.name(), profile.hash())).map_err(Clone::clone),
        ),
        row("services", services),
        row("platform-link", way(config, profile.as_ref())),
        row("trust-store", trust(config)),
        row("revocation-lists", lists(config)),
        row("platform-route", route(config)),
        row("internal-tls", internal_tls(config)),
        row("state-key", parts::state_keys(config).map(|_| config.state_key_file.display().to_string()).map_err(text)),
        row("state-directory", state_directory(&config.state_dir)),
        row("disk", disk(config)),
        row("checkpoints", checkpoints(config)),
        row("open-files", open_files(config)),
    ];
    if config.platform.revocation.asks_responders() {
        rows.push(row("ocsp-responses", responses(config)));
    }
    if config.chip_anchors.is_some() {
        let known = parts::chip_anchors(config).map(|anchors| anchors.map_or(0, |anchors| anchors.len()));
        rows.push(row("chip-authorities", known.map(|known| format!("{known}")).map_err(text)));
    }
    let mut pairs: Vec<Placed> = Vec::new();
    for usage in PairUsage::ALL {
        match keys::list(config, usage, timestamp()) {
            Ok(list) => pairs.extend(placed(usage, list, timestamp())),
            Err(problem) => rows.push(row(certificate_key(usage), Err(problem.to_string()))),
        }
        rows.extend(pairs.iter().filter(|pair| pair.is_for(usage)).map(Placed::certificate_row));
    }
    if let (false, Err(problem)) = (pairs.is_empty(), keys::load(config, timestamp()))
        && !rows.iter().any(|row| row.key.ends_with("-certificate") && row.found.0 == Level::Fail)
    {
        rows.push(row("encryption-certificate", Err(problem.to_string())));
    }
    let signing = pairs.iter().find(|pair| pair.is_for(PairUsage::Signing));
    rows.push(row("clock", clock(config, signing.map(Placed::certificate))));
    rows.extend(check_tokens::rows(config, &pairs));
    rows
}

/// The worker's own file and the token profile that it names.
fn worker_rows(file: &Path) -> Vec<Row> {
    let config = match WorkerConfig::load(file) {
        Ok(config) => config,
        Err(error) => return vec![row("worker-configuration", Err(error.to_string()))],
    };
    let profile = TokenProfile::load(&config.profile)
        .map(|profile| format!("{}, grade {}", profile.name, profile.grade.as_str()))
        .map_err(|error| error.to_string());
    let module = match std::fs::metadata(&config.module) {
        Ok(metadata) if metadata.is_file() => Ok(config.module.display().to_string()),
        Ok(_) => Err(format!("{}: is not a file", config.module.display())),
        Err(error) => Err(format!("{}: {error}", config.module.display())),
    };
    let public = hardening::check_public(file).and_then(|()| hardening::check_public(&config.profile));
    vec![
        row("worker-configuration", public.map(|()| file.display().to_string())),
        row("token-profile", profile),
        row("pkcs11-module", module),
    ]
}

fn checkpoints(config: &Config) -> Found {
    match anchoring::in_words(config) {
        Ok(Some(words)) => Found(Level::Ok, words),
        Ok(None) => Found(Level::Ok, "none: there is no `checkpoints.key`, so receipts stay pending".to_owned()),
        Err(problem) => Found(Level::Fail, problem.to_string()),
    }
}

fn now() -> i64 {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    i64::try_from(seconds).unwrap_or(i64::MAX)
}

fn timestamp() -> Timestamp {
    Timestamp::from_unix_millis(now().saturating_mul(1000))
}

fn days_left(end: i64) -> i64 {
    (end - now()).div_euclid(DAY)
}

fn in_force(agreement: Result<&Agreement, &String>) -> Found {
    let agreement = match agreement {
        Ok(agreement) => agreement,
        Err(problem) => return Found(Level::Fail, problem.clone()),
    };
    let now = timestamp();
    let left = days_left(agreement.effective_until.unix_seconds());
    if now < agreement.effective_from || now >= agreement.effective_until {
        return Found(
            Level::Fail,
            format!("version {} is not in force today: every check is refused", agreement.version),
        );
    }
    warn_if(left < SOON, format!("version {}, {left} days left", agreement.version))
}

fn certificate(found: Result<&Certificate, &String>) -> Found {
    let certificate = match found {
        Ok(certificate) => certificate,
        Err(problem) => return Found(Level::Fail, problem.clone()),
    };
    let left = days_left(certificate.not_after());
    if certificate.not_before() > now() {
        return Found(Level::Fail, format!("{}: not yet valid", certificate.subject()));
    }
    if certificate.not_after() < now() {
        return Found(Level::Fail, format!("{}: expired", certificate.subject()));
    }
    warn_if(left < SOON, format!("{}, {left} days left", certificate.subject()))
}

fn internal_tls(config: &Config) -> Found {
    if let Err(error) = crate::tls::server_config(&config.listen) {
        return Found(Level::Fail, error.to_string());
    }
    let leaf = parts::first_certificate(&config.listen.certificate).map_err(|error| error.to_string());
    certificate(leaf.as_ref())
}

fn trust(config: &Config) -> Found {
    let store = match parts::trust(config).map_err(|error| error.to_string()) {
        Ok(store) => store.current().map_err(|error| error.to_string()),
        Err(problem) => Err(problem),
    };
    let store = match store {
        Ok(store) => store,
        Err(problem) => return Found(Level::Fail, problem),
    };
    let Some(soonest) = store.certificates().iter().min_by_key(|certificate| certificate.not_after) else {
        return Found(Level::Fail, "holds no certificate".to_owned());
    };
    let left = days_left(soonest.not_after);
    let which = format!("{} `{}`", soonest.role, soonest.subject);
    if soonest.not_after < now() {
        return Found(Level::Fail, format!("{which} has expired"));
    }
    let count = store.certificates().len();
    warn_if(left < SOON, format!("{count} certificates, the first to end is {which}, {left} days left"))
}

fn lists(config: &Config) -> Found {
    let Ok(store) = parts::trust(config) else {
        return Found(Level::Fail, "the trust store cannot be read".to_owned());
    };
    let deadline = store.current().ok().and_then(|store| store.revocation_deadline());
    match deadline {
        None => Found(Level::Fail, "there is none: every answer would be refused".to_owned()),
        Some(deadline) if deadline < now() => {
            Found(Level::Fail, "one is overdue: every answer it is asked about is refused".to_owned())
        }
        Some(deadline) => {
            let left = days_left(deadline);
            warn_if(left < LIST_SOON, format!("the first to end serves {left} days more, its grace included"))
        }
    }
}

fn responses(config: &Config) -> Found {
    let store = parts::trust(config).ok().and_then(|store| store.current().ok());
    match store.and_then(|store| store.ocsp_deadline()) {
        None => Found(Level::Warn, "there is none yet: the daemon fetches them while it runs".to_owned()),
        Some(deadline) if deadline < now() => {
            Found(Level::Fail, "all are overdue: the responder is away, or nothing is fetched".to_owned())
        }
        Some(deadline) => {
            Found(Level::Ok, format!("the last serves {} minutes more, its grace included", (deadline - now()) / 60))
        }
    }
}

/// Endpoints and what protects the way to them; nothing is connected to.
fn way(config: &Config, profile: Result<&Profile, &String>) -> Found {
    let Ok(profile) = profile else { return Found(Level::Fail, "the profile cannot be read".to_owned()) };
    let way = Way::of(config, profile).and_then(|way| link::settings(config, &way).map(|_| way));
    match way {
        Err(problem) => Found(Level::Fail, problem.to_string()),
        Ok(way) => warn_if(way.transport == Transport::Gateway || way.is_for_tests(), way.in_words(config)),
    }
}

fn route(config: &Config) -> Result<String, String> {
    match Route::written(&parts::route_file(config)) {
        None => Ok("open".to_owned()),
        Some(why) => Err(format!("{why}: every check ends with 503 until `yanqian platform resume`")),
    }
}
