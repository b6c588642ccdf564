use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use yanqian_gateway::Core;
use yanqian_vocabulary::VerificationId;

use super::{Answer, MAX_LINE, Order};
use crate::config::Config;
use crate::parts;
use crate::retention::{Keeping, Retention};
use crate::search_keys::SearchKeys;

/// For an order to arrive, and for its answer to be taken.
const PATIENCE: Duration = Duration::from_secs(5);

/// For an order that needs the archive; less than the client waits.
const ARCHIVE: Duration = Duration::from_secs(45);

/// Takes orders, one after the other.
struct Control {
    core: Arc<Core>,
    search_keys: Arc<Mutex<SearchKeys>>,
    /// None without an archive.
    keeping: Option<Keeping>,
}

/// Makes the socket and takes orders in a task of its own; gives the search keys back, which the task shares.
pub(crate) fn start(
    config: &Config,
    core: &Arc<Core>,
    search_keys: SearchKeys,
    retention: Option<&Retention>,
) -> Result<(JoinHandle<()>, Arc<Mutex<SearchKeys>>), String> {
    let socket = parts::control_socket(config);
    let listener = bind(&socket).map_err(|error| format!("{}: {error}", socket.display()))?;
    let search_keys = Arc::new(Mutex::new(search_keys));
    let control = Control {
        core: Arc::clone(core),
        search_keys: Arc::clone(&search_keys),
        keeping: retention.map(Retention::keeping),
    };
    Ok((tokio::spawn(control.run(listener)), search_keys))
}

fn done(sequence: u64, epoch: Option<u32>, hold: Option<u64>) -> Answer {
    Answer::Done { sequence, epoch, hold }
}

/// An archive that hangs does not keep other orders waiting for long. What was begun is whole when it is given again.
async fn in_time<T>(work: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    timeout(ARCHIVE, work)
        .await
        .unwrap_or_else(|_| Err("the archive did not answer in time; give the order again".to_owned()))
}

/// Makes the socket, which only the daemon's own user and root reach. One that a former run left is taken away: the lock of the
/// ledger keeps two daemons from one state directory.
fn bind(socket: &Path) -> io::Result<UnixListener> {
    match std::fs::remove_file(socket) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(socket)?;
    std::fs::set_permissions(socket, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

impl Control {
    /// Runs until its task is aborted.
    async fn run(self, listener: UnixListener) {
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            if let Err(error) = self.serve(stream).await {
                tracing::debug!(%error, "an operator's connection");
            }
        }
    }

    async fn serve(&self, stream: UnixStream) -> io::Result<()> {
        let operator = stream.peer_cred()?.uid();
        let own = rustix::process::geteuid().as_raw();
        let (reading, mut writing) = stream.into_split();
        let mut line = String::new();
        let mut reading = BufReader::new(reading.take(MAX_LINE));
        timeout(PATIENCE, reading.read_line(&mut line)).await.map_err(|_| io::ErrorKind::TimedOut)??;
        let answer = if operator != own && operator != 0 {
            Answer::Refused(format!("uid {operator} gives no orders here; this user ({own}) and root do"))
        } else {
            match serde_json::from_str(&line) {
                Ok(order) => self.carry_out(order, operator).await,
                Err(error) => Answer::Refused(format!("not an order: {error}")),
            }
        };
        let mut text = serde_json::to_vec(&answer).map_err(io::Error::other)?;
        text.push(b'\n');
        timeout(PATIENCE, writing.write_all(&text)).await.map_err(|_| io::ErrorKind::TimedOut)?
    }

    fn keeping(&self) -> Result<&Keeping, String> {
        self.keeping.as_ref().ok_or_else(|| "there is no archive: key `retention.archive` is not set".to_owned())
    }

    async fn carry_out(&self, order: Order, operator: u32) -> Answer {
        let result = match order {
            Order::BeginEpoch {} => {
                let begun = self.search_keys.lock().await.begin_next(Some(operator)).await;
                begun.map(|(epoch, sequence)| done(sequence, Some(epoch), None)).map_err(|error| error.to_string())
            }
            Order::DestroyEpoch { epoch } => {
                let destroyed = self.search_keys.lock().await.destroy(epoch, operator).await;
                destroyed.map(|sequence| done(sequence, None, None)).map_err(|error| error.to_string())
            }
            Order::Forget { verification } => match verification.parse::<VerificationId>() {
                Ok(id) => self
                    .core
                    .forget(id, operator)
                    .await
                    .map(|sequence| done(sequence, None, None))
                    .map_err(|error| error.to_string()),
                Err(error) => Err(format!("verification: {error}")),
            },
            Order::Export {} => self.keeping().map(|keeping| {
                keeping.export_now();
                Answer::Heard
            }),
            Order::Hold { range, reason } => match self.keeping() {
                Ok(keeping) => in_time(keeping.apart(move |keeping| keeping.hold(range, reason, operator)))
                    .await
                    .map(|(hold, sequence)| done(sequence, None, Some(hold))),
                Err(why) => Err(why),
            },
            Order::Release { hold, reason } => match self.keeping() {
                Ok(keeping) => in_time(keeping.apart(move |keeping| keeping.release(hold, reason, operator)))
                    .await
                    .map(|sequence| done(sequence, None, None)),
                Err(why) => Err(why),
            },
            Order::Expire { segment } => match self.keeping() {
                Ok(keeping) => in_time(keeping.apart(move |keeping| keeping.expire(segment, operator)))
                    .await
                    .map(|sequence| done(sequence, None, None)),
                Err(why) => Err(why),
            },
        };
        match result {
            Ok(answer) => answer,
            Err(why) => {
                tracing::warn!(operator, why, "an operator's order is refused");
                Answer::Refused(why)
            }
        }
    }
}
