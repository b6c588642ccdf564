//! The room's entry points as a program, for its tests: a worker in a process of its own, and a token to give it.
//!
//! `hsm worker CONFIG` runs a worker; `hsm init-token MODULE LABEL SO-PIN-FILE USER-PIN-FILE STATE-DIR [force]` initialises
//! a token;
//! `hsm probe MODULE LABEL PIN-FILE STATE-DIR PROFILES [make]` prints the profile that it finds;
//! `hsm bench CONFIG` measures.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use yanqian_hsm::bench::{self, Bench};
use yanqian_hsm::probe::{self, Probe, ProbeError, ProbeLogin};
use yanqian_hsm::profile::ModuleForm;
use yanqian_hsm::provision::{InitToken, init_token};
use yanqian_hsm::worker::{self, EXIT_CONFIG, EXIT_CREDENTIALS, PinSource, WorkerConfig};

fn main() -> ExitCode {
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).init();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["worker", config] => {
            let result = WorkerConfig::load(Path::new(config))
                .map_err(|error| (EXIT_CONFIG, error.to_string()))
                .and_then(|config| {
                    worker::run(&config, worker::terminated()).map_err(|exit| (exit.exit_code(), exit.to_string()))
                });
            report(result)
        }
        ["init-token", module, label, so_pin, user_pin, state_dir, rest @ ..] => {
            let order = InitToken {
                module: PathBuf::from(module),
                module_env: std::collections::BTreeMap::new(),
                init: ModuleForm::default(),
                label: (*label).to_owned(),
                so_pin: PinSource::File(PathBuf::from(so_pin)),
                user_pin: PinSource::File(PathBuf::from(user_pin)),
                state_dir: PathBuf::from(state_dir),
                force: rest == ["force"],
            };
            report(init_token(&order).map(|_| ()).map_err(|error| (1, format!("{}: {error}", error.code()))))
        }
        ["probe", module, label, pin, state, families, rest @ ..] => {
            let order = Probe {
                module: PathBuf::from(module),
                module_env: std::collections::BTreeMap::new(),
                token_label: Some((*label).to_owned()),
                login: Some(ProbeLogin {
                    pin: PinSource::File(PathBuf::from(pin)),
                    state_dir: PathBuf::from(state),
                    user: 1,
                }),
                families: probe::families(Path::new(families)).unwrap_or_default(),
                call_limit: Duration::from_mins(1),
                session_key: rest == ["make"],
            };
            let found = probe::probe(&order).map_err(|error| match error {
                ProbeError::Latch(error) => (EXIT_CREDENTIALS, error.to_string()),
                other => (1, other.to_string()),
            });
            report(found.and_then(|found| {
                let text = found.lines().join("\n");
                let mut out = std::io::stdout();
                let written = found.profile.map(|profile| out.write_all(profile.as_bytes()));
                tracing::info!("{text}");
                match written {
                    Some(Ok(())) => Ok(()),
                    Some(Err(error)) => Err((1, error.to_string())),
                    None => Err((2, "no mechanism makes SM2 signatures".into())),
                }
            }))
        }
        ["bench", config] => {
            let config = WorkerConfig::load(Path::new(config)).map_err(|error| (EXIT_CONFIG, error.to_string()));
            let steps = config.and_then(|config| {
                let order = Bench { config, key: None, most: 8, time: Duration::from_millis(200) };
                bench::bench(&order).map_err(|error| (1, error.to_string()))
            });
            report(steps.and_then(|steps| {
                let mut text = String::new();
                for step in &steps {
                    let _ = writeln!(text, "{} {} {}", step.sessions, step.signatures, step.failures);
                }
                let _ = writeln!(text, "threads = {}", bench::advice(&steps).unwrap_or_default());
                std::io::stdout().write_all(text.as_bytes()).map_err(|error| (1, error.to_string()))
            }))
        }
        _ => report(Err((EXIT_CONFIG, "unknown arguments".into()))),
    }
}

fn report(result: Result<(), (u8, String)>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err((code, why)) => {
            tracing::error!(code, "{why}");
            ExitCode::from(code)
        }
    }
}
