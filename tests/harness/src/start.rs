//! Starting the processes of a site and waiting until they are ready.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::binaries::Binaries;
use crate::cli;
use crate::error::{Doing as _, HarnessError};
use crate::managed::{Sockets, activated};
use crate::notify::Notify;
use crate::options::Options;
use crate::places::Places;
use crate::process::{LOOK, Process};
use crate::supervisor::{Policy, Supervisor};
use crate::users::User;

/// How long a process may take until it is ready; generous, because test machines are busy.
pub(crate) const READY: Duration = Duration::from_mins(1);
/// Says when the worker is started again.
const WORKER_UNIT: &str = "systemd/yanqian-hsm.service";

pub(crate) fn may_read(file: &Path, user: Option<User>) -> bool {
    let file = file.display().to_string();
    cli::run(Path::new("/bin/cat"), &[&file], user).is_ok_and(|output| output.code == Some(0))
}

pub(crate) fn unset() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

pub(crate) fn start_platform(
    places: &Places,
    options: &Options,
    binaries: &Binaries,
    listen: SocketAddr,
) -> Result<Process, HarnessError> {
    let mut command = Command::new(&binaries.platform_sim);
    command.arg("--pki").arg(places.pki().directory());
    command.arg("--form").arg(options.form.to_string()).arg("--ready-file").arg(places.platform_ready());
    command.arg("--listen").arg(listen.to_string());
    for _ in 1..options.link.endpoints {
        command.args(["--also-listen", "127.0.0.1:0"]);
    }
    command.args(options.link.http2.then_some("--http2")).args(options.link.rfc8998.then_some("--rfc8998-only"));
    // Read when the first reading is sealed; the authority issues it after the platform has started.
    command.arg("--entity-encryption").arg(places.encryption_certificate());
    command.arg("--entity-signing").arg(places.signing_certificate());
    command.args(["--customer", "YQ000001", "--purpose", "P001", "--purpose", "P002"]);
    Process::start("platform simulator", &mut command, &places.platform_log(), options.users.platform)
}

pub(crate) fn start_worker(
    places: &Places,
    options: &Options,
    binaries: &Binaries,
    sockets: Option<Arc<Sockets>>,
) -> Result<Supervisor, HarnessError> {
    let (program, places, level) = (binaries.yanqian.clone(), places.clone(), options.log);
    let user = options.users.worker;
    let unit = std::fs::read_to_string(options.repository.join(WORKER_UNIT)).doing(|| WORKER_UNIT.to_owned())?;
    let policy = Policy::of_unit(&unit)
        .ok_or_else(|| HarnessError::Unexpected(format!("{WORKER_UNIT} does not say when to start again")))?;
    let notify = Notify::listen(&places.notify_socket())?;
    let notify_socket = notify.path().to_owned();
    Supervisor::start(policy, Some(notify), move || {
        let mut command = program_command(&program, sockets.as_ref().map(|sockets| sockets.worker()).transpose()?);
        command.args(["hsm-worker", "--config"]).arg(places.worker_config()).env("YANQIAN_LOG", level);
        command.env("NOTIFY_SOCKET", &notify_socket);
        if sockets.is_some() {
            command.env("CREDENTIALS_DIRECTORY", places.credentials());
        }
        Process::start_with_input("HSM worker", &mut command, &places.worker_log(), user)
    })
}

pub(crate) fn start_daemon(
    places: &Places,
    options: &Options,
    binaries: &Binaries,
    sockets: Option<&Sockets>,
) -> Result<Process, HarnessError> {
    let mut command = program_command(&binaries.yanqian, sockets.map(Sockets::api).transpose()?);
    command.args(["serve", "--config"]).arg(places.daemon_config()).env("YANQIAN_LOG", options.log);
    Process::start_with_input("daemon", &mut command, &places.daemon_log(), options.users.daemon)
}

/// The appliance's program; with a listener, as the service manager would start it.
fn program_command(program: &Path, listener: Option<OwnedFd>) -> Command {
    let Some(listener) = listener else {
        let mut command = Command::new(program);
        command.stdin(Stdio::null());
        return command;
    };
    let mut command = activated(program, listener);
    command.env("YANQIAN_LOG_FORMAT", "json");
    command
}

pub(crate) async fn wait_for_file(file: &Path, process: &mut Process) -> Result<Value, HarnessError> {
    let began = Instant::now();
    loop {
        if let Some(value) = std::fs::read(file).ok().and_then(|text| serde_json::from_slice(&text).ok()) {
            return Ok(value);
        }
        if let Some(status) = process.ended() {
            return Err(process.failure(format!("ended with {status} before it was ready")));
        }
        if began.elapsed() > READY {
            return Err(process.failure("was not ready in time"));
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Everywhere that the platform listens.
pub(crate) fn addresses_of(ready: &Value) -> Vec<SocketAddr> {
    ready.get("addresses").and_then(|list| serde_json::from_value(list.clone()).ok()).unwrap_or_default()
}

pub(crate) fn address_of(ready: &Value, name: &str) -> Result<SocketAddr, HarnessError> {
    let text = ready.get(name).and_then(Value::as_str).unwrap_or_default();
    text.parse().map_err(|_| HarnessError::Unexpected(format!("a ready file without {name}: {ready}")))
}
