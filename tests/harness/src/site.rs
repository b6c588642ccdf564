//! A whole site of real processes on loopback: platform, HSM worker, daemon.

mod asked;

use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;
use yanqian_p11_chaos::Chaos;
use yanqian_platform_sim::NONCE_TWICE;

use crate::cli::{self, Output};
use crate::control::Control;
use crate::error::{Doing as _, HarnessError};
use crate::managed::Sockets;
use crate::options::{Nonces, Options};
use crate::places::{Places, write_public};
use crate::process::{LOOK, Process};
use crate::second::SecondToken;
use crate::start::{READY, address_of, addresses_of, start_daemon, start_platform, start_worker, unset, wait_for_file};
use crate::supervisor::Supervisor;
use crate::users::give_tree;
use crate::{binaries::Binaries, config, enrol, managed};

/// How long an orderly stop may take.
const STOP: Duration = Duration::from_secs(30);

/// Where a running daemon listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    /// The internal API.
    pub api: SocketAddr,
    pub metrics: SocketAddr,
}

/// A running site. Everything ends and is removed when this is dropped.
#[derive(Debug)]
pub struct Site {
    daemon: Option<Process>,
    worker: Option<Supervisor>,
    platform: Option<Process>,
    addresses: Addresses,
    control: Control,
    platform_address: SocketAddr,
    /// Everywhere that the platform listens, as the daemon is told.
    endpoints: Vec<String>,
    /// What the service manager holds, in a managed site.
    sockets: Option<Arc<Sockets>>,
    chaos: Option<Arc<Chaos>>,
    pub(crate) second: Option<SecondToken>,
    binaries: Binaries,
    options: Options,
    places: Places,
    directory: Option<TempDir>,
}

impl Site {
    /// Builds everything and starts it; returns when the daemon serves.
    pub async fn build(options: Options) -> Result<Self, HarnessError> {
        let say = options.progress;
        let directory = match &options.directory {
            Some(_) => None,
            None => {
                Some(tempfile::Builder::new().prefix("yanqian-").tempdir().doing(|| "making a directory".to_owned())?)
            }
        };
        let root = options.directory.as_deref().or(directory.as_ref().map(TempDir::path)).unwrap_or(Path::new("."));
        let places = Places::new(root);
        places.create(&options.users)?;
        let users = options.users;
        let binaries =
            if users.are_separate() { options.binaries.copy_to(&places.binaries())? } else { options.binaries.clone() };

        say("development PKI: platform, entity, internal callers");
        yanqian_devpki::generate(places.pki().directory(), &yanqian_devpki::Options::default())?;
        give_tree(&places.pki().directory().join("platform"), users.platform)?;
        give_tree(&places.pki().directory().join("entity"), users.platform)?;

        say("token: initialised through the PKCS#11 module");
        let pin_file = ("pin_file", places.pin().display().to_string().into());
        let chaos = options.chaos.then(|| Chaos::at(places.chaos()).map(Arc::new)).transpose();
        let chaos = chaos.doing(|| "orders to the PKCS#11 module".to_owned())?;
        options.token.prepare(&places, users.worker)?;
        config::write_worker(&places, &options, &binaries, pin_file)?;
        enrol::init_token(&binaries.yanqian, &places, users.worker)?;
        let mut sockets = None;
        if options.managed {
            managed::lay_credential(&places, users.worker)?;
            let credential = ("pin_credential", managed::CREDENTIAL.into());
            config::write_worker(&places, &options, &binaries, credential)?;
            sockets = Some(Arc::new(Sockets::open(&places)?));
        }

        say("platform simulator");
        let mut platform = start_platform(&places, &options, &binaries, unset())?;
        let ready = wait_for_file(&places.platform_ready(), &mut platform).await?;
        let control = Control::new(address_of(&ready, "control")?);
        let platform_address = address_of(&ready, "https")?;
        let endpoints = addresses_of(&ready).iter().map(|at| format!("https://localhost:{}", at.port())).collect();

        say("HSM worker");
        let worker = start_worker(&places, &options, &binaries, sockets.clone())?;
        let mut site = Self {
            daemon: None,
            worker: Some(worker),
            platform: Some(platform),
            addresses: Addresses { api: unset(), metrics: unset() },
            control,
            platform_address,
            endpoints,
            sockets,
            chaos,
            second: None,
            binaries,
            options,
            places,
            directory,
        };
        site.worker_ready().await?;

        say("signing key made in the token, certificate issued for it");
        let (program, places) = (&site.binaries.yanqian, &site.places);
        let enrolment = enrol::Enrolment { program, places, worker: users.worker, token: site.options.token };
        enrolment.first()?;
        if site.options.checkpoints.is_some() {
            say("ledger key made in the token");
            enrolment.ledger()?;
        }

        if site.options.second_token {
            say("second token: a copy of the first, with a worker of its own");
            site.second = Some(SecondToken::copied_from(&site.places, &site.options, &site.binaries)?);
            site.second_ready().await?;
        }

        say("daemon");
        config::write_daemon(&site.places, &site.options, &site.endpoints)?;
        if site.options.checkpoints.is_some() {
            site.hand_out_ledger_key()?;
        }
        site.start_daemon().await?;
        Ok(site)
    }

    /// The ledger key's public half to the daemon and to auditors.
    fn hand_out_ledger_key(&self) -> Result<(), HarnessError> {
        let config = self.places.daemon_config().display().to_string();
        let key = |more: &[&str]| {
            let arguments = [&["ledger", "key", "--config", &config], more].concat();
            cli::expect(&self.binaries.yanqian, &arguments, self.options.users.daemon)
        };
        write_public(&self.places.etc().join("ledger-key.pem"), key(&["--pem"])?.as_bytes())?;
        let ledgers = format!("format_version = 1\n\n{}", key(&[])?);
        write_public(&self.places.trust().join("ledgers.toml"), ledgers.as_bytes())
    }

    /// The appliance's executable as this site uses it.
    pub fn program(&self) -> &Path {
        &self.binaries.yanqian
    }

    /// The offline verifier as this site uses it.
    pub fn verifier(&self) -> &Path {
        &self.binaries.verifier
    }

    pub(crate) fn binaries(&self) -> &Binaries {
        &self.binaries
    }

    pub fn places(&self) -> &Places {
        &self.places
    }

    pub fn options(&self) -> &Options {
        &self.options
    }

    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// `https://localhost:PORT` of the platform.
    pub fn endpoint(&self) -> String {
        format!("https://localhost:{}", self.platform_address.port())
    }

    pub fn daemon_pid(&self) -> Option<u32> {
        self.daemon.as_ref().map(Process::pid)
    }

    pub fn worker_pid(&self) -> Option<u32> {
        self.worker.as_ref().map(Supervisor::pid)
    }

    /// Times that the worker was started.
    pub fn worker_starts(&self) -> usize {
        self.worker.as_ref().map_or(0, Supervisor::starts)
    }

    /// Why the worker is not started again, if it is not.
    pub fn worker_gave_up(&self) -> Option<String> {
        self.worker.as_ref().and_then(Supervisor::gave_up)
    }

    /// What `systemctl reload yanqian-hsm` runs: has the worker replaced.
    pub fn reload_worker(&self) -> Result<Output, HarnessError> {
        let config = self.places.worker_config().display().to_string();
        self.yanqian_as_worker(&["hsm", "reload", "--config", &config])
    }

    /// SIGKILL to the worker; its supervisor starts it again.
    pub fn kill_worker(&self) {
        if let Some(worker) = &self.worker {
            worker.kill();
        }
    }

    /// SIGTERM to the worker, and no new start.
    pub fn stop_worker(&mut self) -> Option<ExitStatus> {
        self.worker.take()?.stop(STOP)
    }

    /// Starts a worker that was stopped.
    pub async fn start_worker(&mut self) -> Result<(), HarnessError> {
        self.worker = Some(start_worker(&self.places, &self.options, &self.binaries, self.sockets.clone())?);
        self.worker_ready().await
    }

    /// Ends the platform; returns where it listened.
    pub fn stop_platform(&mut self) -> SocketAddr {
        if let Some(mut platform) = self.platform.take() {
            platform.stop(STOP);
        }
        self.platform_address
    }

    /// Starts the platform again where it was; it has forgotten what it saw.
    pub async fn start_platform_at(&mut self, address: SocketAddr) -> Result<(), HarnessError> {
        let _ = std::fs::remove_file(self.places.platform_ready());
        let mut platform = start_platform(&self.places, &self.options, &self.binaries, address)?;
        let ready = wait_for_file(&self.places.platform_ready(), &mut platform).await?;
        self.control = Control::new(address_of(&ready, "control")?);
        self.platform = Some(platform);
        Ok(())
    }

    /// SIGKILL to the daemon: no chance to tidy up.
    pub fn kill_daemon(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            daemon.kill();
        }
    }

    /// SIGTERM to the daemon; none when it did not end in time.
    pub fn stop_daemon(&mut self) -> Option<ExitStatus> {
        self.daemon.take()?.stop(STOP)
    }

    /// SIGTERM to the daemon without waiting.
    pub fn ask_daemon_to_stop(&self) {
        if let Some(daemon) = &self.daemon {
            daemon.signal(rustix::process::Signal::TERM);
        }
    }

    /// How the daemon ended, if it did.
    pub fn daemon_ended(&mut self) -> Option<ExitStatus> {
        self.daemon.as_mut()?.ended()
    }

    /// Starts the daemon (after an end of the present one, if any) and waits until it serves, on new ports.
    pub async fn start_daemon(&mut self) -> Result<(), HarnessError> {
        self.kill_daemon();
        let _ = std::fs::remove_file(self.places.daemon_ready());
        let mut daemon = start_daemon(&self.places, &self.options, &self.binaries, self.sockets.as_deref())?;
        let ready = wait_for_file(&self.places.daemon_ready(), &mut daemon).await?;
        self.daemon = Some(daemon);
        self.addresses = Addresses { api: address_of(&ready, "listen")?, metrics: address_of(&ready, "metrics")? };
        Ok(())
    }

    /// Changes a value of the daemon's configuration; it counts from the next start on.
    pub fn reconfigure(&self, key: &str, value: impl Into<toml::Value>) -> Result<(), HarnessError> {
        config::rewrite(&self.places.daemon_config(), key, value.into())
    }

    /// Ends everything in order, daemon first, and says how the daemon and the worker ended.
    pub fn stop(mut self) -> (Option<ExitStatus>, Option<ExitStatus>) {
        let daemon = self.stop_daemon();
        let worker = self.stop_worker();
        self.second = None;
        if let Some(mut platform) = self.platform.take() {
            platform.stop(STOP);
        }
        (daemon, worker)
    }

    pub(crate) fn status_of(&self, places: &Places) -> Result<Value, HarnessError> {
        let config = places.worker_config().display().to_string();
        let arguments = ["hsm", "status", "--config", &config, "--json"];
        let text = cli::expect(&self.binaries.yanqian, &arguments, self.options.users.worker)?;
        serde_json::from_str(&text).map_err(|error| HarnessError::Unexpected(format!("hsm status: {error}: {text}")))
    }

    /// Waits until the worker answers on its socket.
    pub async fn worker_ready(&self) -> Result<(), HarnessError> {
        self.until_ready(self.worker.as_ref(), &self.places).await
    }

    pub(crate) async fn until_ready(&self, worker: Option<&Supervisor>, places: &Places) -> Result<(), HarnessError> {
        let began = Instant::now();
        loop {
            let Some(worker) = worker else {
                return Err(HarnessError::Unexpected("the worker was stopped".to_owned()));
            };
            if let Some(reason) = worker.gave_up() {
                return Err(worker.failure(reason));
            }
            if std::os::unix::net::UnixStream::connect(places.socket()).is_ok() && self.status_of(places).is_ok() {
                return Ok(());
            }
            if began.elapsed() > READY {
                return Err(worker.failure("was not ready in time"));
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.tell_logs();
        }
        self.daemon = None;
        self.worker = None;
        self.second = None;
        self.platform = None;
        if !std::thread::panicking() && self.options.nonces == Nonces::EachOnce {
            // Whatever a test is about (I4). The log has it also of a platform that was started again since.
            let log = std::fs::read_to_string(self.places.platform_log()).unwrap_or_default();
            assert!(!log.contains(NONCE_TWICE), "the platform was sent a request twice:\n{log}");
        }
    }
}

impl Site {
    #[allow(clippy::print_stderr)] // for the reader of a failed test; the files go with the site
    fn tell_logs(&mut self) {
        let second = self.options.second_token.then(|| self.places.of_second_token().worker_log());
        let logs = [self.places.daemon_log(), self.places.worker_log(), self.places.platform_log()];
        for log in logs.into_iter().chain(second) {
            eprintln!("--- end of {}:\n{}", log.display(), crate::process::tail(&log));
        }
        if std::env::var_os("YANQIAN_KEEP").is_some()
            && let Some(directory) = self.directory.take()
        {
            eprintln!("--- kept: {}", directory.keep().display());
        }
    }
}
