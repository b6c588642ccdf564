//! `yanqian hsm probe`: what a module is, and a profile for it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use yanqian_hsm::probe::{self, Probe as Order, ProbeError, ProbeLogin};
use yanqian_hsm::worker::{EXIT_CREDENTIALS, PinSource, WorkerConfig};

use super::EXIT_CONFIG;
use super::output::{complain, note, write};
use crate::hardening;

/// Where packages put the profiles.
const PROFILES: &str = "/usr/share/yanqian/hsm-profiles";

#[derive(Args, Debug)]
pub(super) struct Probe {
    /// The worker's configuration file: module, environment, token, PIN and state directory are taken from it
    #[arg(long, value_name = "FILE", conflicts_with_all = ["module", "env", "token_label", "pin_file", "state_dir"])]
    config: Option<PathBuf>,
    /// The vendor's PKCS#11 module
    #[arg(long, value_name = "FILE", required_unless_present = "config")]
    module: Option<PathBuf>,
    /// Environment variable for the module; may be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = variable)]
    env: Vec<(String, String)>,
    /// Which token, when there are several
    #[arg(long, value_name = "LABEL")]
    token_label: Option<String>,
    /// File of the user PIN, readable by its owner only; without it only what is public is looked at
    #[arg(long, value_name = "FILE", requires = "state_dir")]
    pin_file: Option<PathBuf>,
    /// The worker's state directory: its PIN latch lies there, and a PIN is tried once by both together
    #[arg(long, value_name = "DIR", requires = "pin_file")]
    state_dir: Option<PathBuf>,
    /// User type of the login, where it is not the ordinary user
    #[arg(long, value_name = "NUMBER", default_value = "1", value_parser = number)]
    user: u64,
    /// Directory of known profiles
    #[arg(long, value_name = "DIR", default_value = PROFILES)]
    profiles: PathBuf,
    /// With no SM2 key in the token, make one that lives as long as the probe's session
    #[arg(long)]
    make_session_key: bool,
    /// Limit of one call into the module, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 10_000)]
    call_timeout_ms: u64,
}

fn variable(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

fn number(text: &str) -> Result<u64, String> {
    let parsed = text.strip_prefix("0x").map_or_else(|| text.parse(), |digits| u64::from_str_radix(digits, 16));
    parsed.map_err(|error| error.to_string())
}

impl Probe {
    fn order(self) -> Result<Order, String> {
        let families = if self.profiles.is_dir() {
            probe::families(&self.profiles)?
        } else {
            note(format_args!("no known profiles: {} is not there; see --profiles", self.profiles.display()));
            Vec::new()
        };
        let call_limit = Duration::from_millis(self.call_timeout_ms.clamp(100, 600_000));
        let (user, session_key) = (self.user, self.make_session_key);
        if let Some(config) = self.config {
            let config = WorkerConfig::load(&config).map_err(|error| error.to_string())?;
            let login = Some(ProbeLogin { pin: config.pin, state_dir: config.state_dir, user });
            return Ok(Order {
                module: config.module,
                module_env: config.module_env,
                token_label: Some(config.token_label),
                login,
                families,
                call_limit,
                session_key,
            });
        }
        let login = self.pin_file.zip(self.state_dir);
        Ok(Order {
            module: self.module.unwrap_or_default(),
            module_env: self.env.into_iter().collect::<BTreeMap<_, _>>(),
            token_label: self.token_label,
            login: login.map(|(pin, state_dir)| ProbeLogin { pin: PinSource::File(pin), state_dir, user }),
            families,
            call_limit,
            session_key,
        })
    }
}

pub(super) fn run(arguments: Probe) -> ExitCode {
    let failed = |code: u8, problem: &dyn std::fmt::Display| {
        complain(problem);
        ExitCode::from(code)
    };
    let order = match arguments.order() {
        Ok(order) => order,
        Err(problem) => return failed(EXIT_CONFIG, &problem),
    };
    // A latch that root made could not be read by the worker.
    if order.login.is_some()
        && let Err(problem) = hardening::refuse_root("yanqian hsm probe with a PIN")
    {
        return failed(EXIT_CONFIG, &problem);
    }
    let found = match probe::probe(&order) {
        Ok(found) => found,
        Err(error @ (ProbeError::Latch(_) | ProbeError::Pin(_))) => return failed(EXIT_CREDENTIALS, &error),
        Err(error) => return failed(1, &error),
    };
    for line in found.lines() {
        note(line);
    }
    match found.profile {
        Some(profile) => match write(profile.as_bytes()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => failed(1, &error),
        },
        None if found.keys.is_empty() => failed(
            1,
            &"no key to try: make one by the vendor's tool, log in with --pin-file, or give --make-session-key",
        ),
        None => failed(1, &"no mechanism of the token made an SM2 signature"),
    }
}
