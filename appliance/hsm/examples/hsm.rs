//! The room's entry points as a program, for its tests: a worker in a process of its own, and a token to give it.
//!
//! `hsm worker CONFIG` runs a worker; `hsm init-token MODULE LABEL SO-PIN USER-PIN [force]` initialises a token.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use yanqian_hsm::provision::{InitToken, init_token};
use yanqian_hsm::worker::{self, EXIT_CONFIG, WorkerConfig};

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
        ["init-token", module, label, so_pin, user_pin, rest @ ..] => {
            let order = InitToken {
                module: PathBuf::from(module),
                module_env: std::collections::BTreeMap::new(),
                label: (*label).to_owned(),
                so_pin: (*so_pin).to_owned().into(),
                user_pin: (*user_pin).to_owned().into(),
                force: rest == ["force"],
            };
            report(init_token(&order).map(|_| ()).map_err(|error| (1, format!("{}: {error}", error.code()))))
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
