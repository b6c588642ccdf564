//! `yanqian-platform-sim`: the platform as a process.

#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use yanqian_platform_sim::{Config, DEFAULT_SEED, Form, Running, Simulator};

/// Platform simulator: answers identity checks about invented people, and misbehaves on demand.
///
/// Example: yanqian-platform-sim --pki target/pki --form reference --ready-file /tmp/platform.json --verbose
#[derive(Parser)]
#[command(name = "yanqian-platform-sim", version)]
struct Arguments {
    /// Directory made by `yanqian-devpki generate`
    #[arg(long)]
    pki: PathBuf,
    /// Wire form: reference, second, two-step, attached, sorted-pairs, canonical-json or signed-body
    #[arg(long, default_value = "reference")]
    form: Form,
    /// HTTPS listener
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// One more HTTPS listener of the same platform; repeat for more
    #[arg(long)]
    also_listen: Vec<SocketAddr>,
    /// Offer HTTP/2
    #[arg(long)]
    http2: bool,
    /// Take RFC 8998 with a client certificate, and nothing else
    #[arg(long)]
    rfc8998_only: bool,
    /// Control listener: GET /seen, GET /stats, POST /control {"misbehave":"broken-signature","times":1}, POST /reset
    #[arg(long, default_value = "127.0.0.1:0")]
    control: SocketAddr,
    /// Seed of the register of invented holders
    #[arg(long, default_value_t = DEFAULT_SEED)]
    seed: u64,
    /// Known customer number; repeat for more; none given: any
    #[arg(long)]
    customer: Vec<String>,
    /// Known purpose code; repeat for more; none given: any
    #[arg(long)]
    purpose: Vec<String>,
    /// The entity's encryption certificate (PEM), to which readings are sealed; may appear later
    #[arg(long)]
    entity_encryption: Option<PathBuf>,
    /// The entity's signing certificate (PEM), for forms in which requests bring none along; may appear later
    #[arg(long)]
    entity_signing: Option<PathBuf>,
    /// File to write where it listens to, as JSON (https, addresses, control), once it does
    #[arg(long)]
    ready_file: Option<PathBuf>,
    /// Log each request on standard error
    #[arg(long)]
    verbose: bool,
}

fn write_ready(path: &Path, running: &Running) -> std::io::Result<()> {
    let ready = serde_json::json!({
        "https": running.https_addr.to_string(),
        "addresses": running.addresses,
        "control": running.control_addr.to_string(),
    });
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    std::fs::write(&temporary, ready.to_string())?;
    std::fs::rename(&temporary, path)
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let level = if arguments.verbose { tracing::Level::INFO } else { tracing::Level::WARN };
    tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::stderr).with_target(false).init();
    match run(arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("yanqian-platform-sim: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), Box<dyn std::error::Error>> {
    // Before the ready file appears: whoever waits for it may send a signal at once.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let config = Config {
        listen: arguments.listen,
        also_listen: arguments.also_listen,
        http2: arguments.http2,
        rfc8998_only: arguments.rfc8998_only,
        control: arguments.control,
        seed: arguments.seed,
        customers: arguments.customer,
        purposes: arguments.purpose,
        entity_encryption: arguments.entity_encryption,
        entity_signing: arguments.entity_signing,
        ..Config::new(arguments.pki, arguments.form)
    };
    let running = Simulator::start(config).await?;
    println!("platform on https://{}, control on http://{}", running.https_addr, running.control_addr);
    if let Some(path) = &arguments.ready_file {
        write_ready(path, &running).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    running.shutdown().await;
    Ok(())
}
