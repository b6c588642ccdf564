use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use yanqian_hsm::profile::Profile;
use yanqian_hsm::protocol::{KeyCount, KeyUsage};
use yanqian_hsm::provision::{self, InitToken as Order, ProvisionError};
use yanqian_hsm::worker::{self, EXIT_CREDENTIALS, PinSource, WorkerConfig};
use yanqian_hsm::{ClientConfig, KeyAlgorithm, KeyEntry, WorkerClient, WorkerError};
use yanqian_messages::{Certificate, certificates_from_pem_or_der, pem_encode};

use super::enveloped::{self, Form};
use super::output::{complain, say, write};
use super::{EXIT_CONFIG, small_runtime};
use crate::hardening;

#[derive(Subcommand, Debug)]
pub(super) enum Command {
    /// Initialise a blank token: label, security officer's PIN, user PIN (the worker must not run)
    #[command(
        after_help = "The user PIN is the one that the worker's configuration names. The security officer's PIN is tried once: one that was refused is not tried again before it changes. Run it under the worker's user.\n\nExample:\n  yanqian hsm init-token --config worker.toml --label yanqian --so-pin-file so.pin"
    )]
    InitToken(InitToken),
    /// Make a key pair in the token: SM2 unless another algorithm is named
    #[command(after_help = "Example:\n  yanqian hsm keygen --config worker.toml --label yanqian-sign")]
    Keygen(Keygen),
    /// List keys and certificates
    #[command(after_help = "Example:\n  yanqian hsm list --config worker.toml")]
    List(ListArgument),
    /// Make a certification request (PKCS #10), signed by the key
    #[command(
        after_help = "Example:\n  yanqian hsm csr --config worker.toml --label yanqian-sign --subject 'C=CN, O=Example Bank, CN=Example Bank signing' --out entity.csr"
    )]
    Csr(Csr),
    /// Put a certificate beside its key
    #[command(
        after_help = "Example:\n  yanqian hsm import-cert --config worker.toml --label yanqian-sign --cert entity-signing.pem"
    )]
    ImportCert(ImportCert),
    /// Import the encryption pair that the authority made and wrapped to a signing key
    #[command(
        after_help = "The wrapped key is a DER SM2EnvelopedKey (GB/T 35276-2017) or an ENVELOPEDKEYBLOB as smart keys take it (GM/T 0016-2012, with numbers of 32 or 64 bits). It opens only with the signing key to which it was wrapped.\n\nExample:\n  yanqian hsm import-encryption-key --config worker.toml --label yanqian-encrypt --wrapping-label yanqian-sign --enveloped-key entity-encryption.env --cert entity-encryption.pem"
    )]
    ImportEncryptionKey(ImportEncryptionKey),
    /// Destroy a key pair and its certificates
    #[command(
        after_help = "There is no way back. The key's id stands in `hsm list`; it must be given, so that what is destroyed is what was looked at.\n\nExample:\n  yanqian hsm destroy --config worker.toml --label old-sign --confirm 5d0c…"
    )]
    Destroy(Destroy),
    /// Find out what a module is and does, and print a profile for it
    #[command(
        after_help = "Writes nothing and destroys nothing. Findings go to standard error, the profile to standard output. A PIN is tried once, behind the worker's own latch; run it under the worker's user.\n\nExamples:\n  yanqian hsm probe --module /opt/vendor/libpkcs11.so\n  yanqian hsm probe --config worker.toml >vendor.toml"
    )]
    Probe(super::probe::Probe),
    /// Measure signatures a second by sessions, and say how many threads to give the worker
    #[command(
        after_help = "Signs with a key pair that is gone with the measurement's session, and loads the module in a process of its own: the worker may run meanwhile, and what it does is missing from the figures.\n\nExample:\n  yanqian hsm bench --config worker.toml"
    )]
    Bench(super::bench::Bench),
    /// Replace the worker by one from the program, configuration, profile, module and PIN that are on disk now
    #[command(
        after_help = "The successor loads, logs in and proves its keys before it takes over, and no request is lost. If it does not come up, the worker goes on serving and this command fails. Run it as root or as the worker's user; `systemctl reload yanqian-hsm` does.\n\nExample:\n  yanqian hsm reload --config worker.toml"
    )]
    Reload(super::hsm_reload::Reload),
    /// Show the worker's state and counters
    #[command(after_help = "Example:\n  yanqian hsm status --config worker.toml --json")]
    Status(ListArgument),
}

#[derive(Args, Debug)]
pub(super) struct InitToken {
    /// The worker's configuration file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Label for the token, at most 32 octets
    #[arg(long)]
    label: String,
    /// File with the security officer's PIN, readable by its owner only
    #[arg(long, value_name = "FILE")]
    so_pin_file: PathBuf,
}

#[derive(Args, Debug)]
pub(super) struct KeyArgument {
    /// The worker's configuration file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Label of the key pair
    #[arg(long)]
    label: String,
}

#[derive(Args, Debug)]
pub(super) struct Keygen {
    #[command(flatten)]
    key: KeyArgument,
    /// What to make; the worker's configuration must allow it
    #[arg(long, value_name = "ALGORITHM", default_value = "sm2", value_parser = PossibleValuesParser::new(KeyAlgorithm::ALL.map(KeyAlgorithm::as_str)))]
    algorithm: String,
}

#[derive(Args, Debug)]
pub(super) struct ListArgument {
    /// The worker's configuration file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
pub(super) struct Destroy {
    #[command(flatten)]
    key: KeyArgument,
    /// The key's id, as `hsm list` prints it: 64 hexadecimal digits
    #[arg(long, value_name = "KEY-ID")]
    confirm: String,
}

#[derive(Args, Debug)]
pub(super) struct Csr {
    #[command(flatten)]
    key: KeyArgument,
    /// Subject: KEY=value pairs separated by commas; keys C, ST, L, O, OU, CN
    #[arg(long)]
    subject: String,
    /// Where to write the request (PEM); standard output when absent
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(super) struct ImportCert {
    #[command(flatten)]
    key: KeyArgument,
    /// Certificate file, PEM or DER
    #[arg(long, value_name = "FILE")]
    cert: PathBuf,
}

#[derive(Args, Debug)]
pub(super) struct ImportEncryptionKey {
    #[command(flatten)]
    key: KeyArgument,
    /// Label of the signing key to which the pair was wrapped
    #[arg(long)]
    wrapping_label: String,
    /// The wrapped private key
    #[arg(long, value_name = "FILE")]
    enveloped_key: PathBuf,
    /// How it is written
    #[arg(long, value_enum, default_value = "auto")]
    form: Form,
    /// Certificate of the pair, PEM or DER
    #[arg(long, value_name = "FILE")]
    cert: PathBuf,
}

/// Why a command of this group failed, with its exit code.
struct Failure(u8, String);

impl Failure {
    #[allow(clippy::needless_pass_by_value)] // the form that `map_err` takes
    fn config(error: impl ToString) -> Self {
        Self(EXIT_CONFIG, error.to_string())
    }

    #[allow(clippy::needless_pass_by_value)]
    fn of(error: impl ToString) -> Self {
        Self(1, error.to_string())
    }
}

impl From<WorkerError> for Failure {
    fn from(error: WorkerError) -> Self {
        Self::of(error)
    }
}

pub(super) fn run(command: Command) -> ExitCode {
    let result = match command {
        Command::InitToken(arguments) => init_token(&arguments),
        Command::Probe(arguments) => return super::probe::run(arguments),
        Command::Bench(arguments) => return super::bench::run(arguments),
        Command::Reload(arguments) => return super::hsm_reload::run(&arguments),
        other => small_runtime().map_err(Failure::of).and_then(|runtime| runtime.block_on(through_worker(other))),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure(code, problem)) => {
            complain(&problem);
            ExitCode::from(code)
        }
    }
}

fn client(config: &Path) -> Result<WorkerClient, Failure> {
    let config = WorkerConfig::load(config).map_err(Failure::config)?;
    Ok(WorkerClient::new(ClientConfig::new(config.socket)))
}

async fn through_worker(command: Command) -> Result<(), Failure> {
    match command {
        Command::InitToken(_) | Command::Probe(_) | Command::Bench(_) | Command::Reload(_) => Ok(()),
        Command::Destroy(arguments) => destroy(&arguments).await,
        Command::Keygen(arguments) => {
            let algorithm =
                KeyAlgorithm::from_word(&arguments.algorithm).ok_or_else(|| Failure::of("--algorithm: unknown"))?;
            let entry = client(&arguments.key.config)?.generate_key_of(algorithm, &arguments.key.label).await?;
            print_keys(&[entry], false);
            Ok(())
        }
        Command::List(arguments) => {
            print_keys(&client(&arguments.config)?.list_keys().await?, arguments.json);
            Ok(())
        }
        Command::Csr(arguments) => {
            let der = client(&arguments.key.config)?.csr(&arguments.key.label, &arguments.subject).await?;
            let pem = pem_encode("CERTIFICATE REQUEST", &der);
            match arguments.out {
                Some(file) => {
                    std::fs::write(&file, pem).map_err(|error| Failure::of(format!("{}: {error}", file.display())))
                }
                None => write(pem.as_bytes()).map_err(Failure::of),
            }
        }
        Command::ImportCert(arguments) => {
            let leaf = leaf_certificate(&arguments.cert)?;
            client(&arguments.key.config)?.import_certificate(&arguments.key.label, leaf.as_der()).await?;
            say(format_args!("{}: {}", arguments.key.label, leaf.subject()));
            Ok(())
        }
        Command::ImportEncryptionKey(arguments) => {
            let leaf = leaf_certificate(&arguments.cert)?;
            let file = &arguments.enveloped_key;
            let enveloped = enveloped::to_der(arguments.form, read(file)?, file).map_err(Failure::of)?;
            let (label, wrapping) = (&arguments.key.label, &arguments.wrapping_label);
            let client = client(&arguments.key.config)?;
            let entry = client.import_encryption_key(label, wrapping, &enveloped, leaf.as_der()).await?;
            print_keys(&[entry], false);
            Ok(())
        }
        Command::Status(arguments) => status(&arguments).await,
    }
}

async fn destroy(arguments: &Destroy) -> Result<(), Failure> {
    let wrong = || Failure::of("--confirm: a key's id has 64 hexadecimal digits; `yanqian hsm list` prints it");
    let id = hex::decode(&arguments.confirm).ok().and_then(|id| <[u8; 32]>::try_from(id).ok()).ok_or_else(wrong)?;
    client(&arguments.key.config)?.destroy_key(&arguments.key.label, id).await?;
    say(format_args!("{}: destroyed", arguments.key.label));
    Ok(())
}

fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(file).map_err(|error| Failure::of(format!("{}: {error}", file.display())))
}

fn leaf_certificate(file: &Path) -> Result<Certificate, Failure> {
    let fail = |problem: &dyn std::fmt::Display| Failure::of(format!("{}: {problem}", file.display()));
    let certificates = certificates_from_pem_or_der(&read(file)?).map_err(|error| fail(&error))?;
    certificates.into_iter().next().ok_or_else(|| fail(&"holds no certificate"))
}

fn print_keys(keys: &[KeyEntry], as_json: bool) {
    for key in keys {
        let id = key.key_id.map(hex::encode).unwrap_or_default();
        let algorithm = key.algorithm.map_or("unknown", KeyAlgorithm::as_str);
        let certificate = key.certificate_hash.map(hex::encode).unwrap_or_default();
        if as_json {
            say(
                json!({ "label": key.label, "usage": key.usage.as_str(), "algorithm": algorithm, "key_id": id, "certificate": certificate, "proven": key.proven, "problem": key.problem, "signatures": key.signatures, "signature_limit": key.signature_limit }),
            );
        } else {
            let proven = if key.proven { "proven" } else { "not proven" };
            let certificate = if certificate.is_empty() { "no certificate" } else { "certificate" };
            let made = match (key.signatures, key.signature_limit) {
                (Some(made), Some(limit)) => format!("  {made} of {limit} signatures"),
                (Some(made), None) if key.usage == KeyUsage::Sign => format!("  {made} signatures"),
                _ => String::new(),
            };
            say(format_args!(
                "{}  {}  {algorithm}  {id}  {proven}  {certificate}{made}",
                key.label,
                key.usage.as_str()
            ));
            if let Some(problem) = &key.problem {
                say(format_args!("    {problem}"));
            }
        }
    }
}

fn key_count(key: &KeyCount) -> Value {
    json!({
        "label": key.label,
        "key_id": hex::encode(key.key_id),
        "signatures_total": key.signatures_total,
        "limit": key.limit,
        "warns_at": key.warns_at,
    })
}

async fn status(arguments: &ListArgument) -> Result<(), Failure> {
    let status = client(&arguments.config)?.status().await?;
    let values = json!({
        "pid": status.pid,
        "software": status.software,
        "profile": status.profile,
        "grade": status.grade,
        "token_label": status.token_label,
        "token_serial": status.token_serial,
        "token_model": status.token_model,
        "token_manufacturer": status.token_manufacturer,
        "signatures_total": status.signatures_total,
        "sign_failures_total": status.sign_failures_total,
        "unseals_total": status.unseals_total,
        "unseal_failures_total": status.unseal_failures_total,
        "logins_total": status.logins_total,
        "self_proofs_total": status.self_proofs_total,
        "sessions_reopened_total": status.sessions_reopened_total,
        "busy_total": status.busy_total,
        "queue_depth": status.queue_depth,
        "queue_capacity": status.queue_capacity,
        "threads": status.threads,
        "sessions": status.sessions,
        "sessions_limit": status.sessions_limit,
        "reinitialisations_total": status.reinitialisations_total,
        "defective_signatures_total": status.defective_signatures_total,
        "last_success_ms": status.last_success_ms,
        "replacement_failures_total": status.replacement_failures_total,
        "replacement_problem": status.replacement_problem,
        "away": status.away,
        "keys": status.keys.iter().map(key_count).collect::<Vec<_>>(),
        "return_codes": status.return_codes.iter().map(|code| (code.name.clone(), code.total.into())).collect::<serde_json::Map<_, _>>(),
    });
    if arguments.json {
        say(values);
    } else if let Some(values) = values.as_object() {
        for (name, value) in values {
            say(format_args!("{name:24} {}", value.as_str().map_or_else(|| value.to_string(), str::to_owned)));
        }
    }
    Ok(())
}

fn init_token(arguments: &InitToken) -> Result<(), Failure> {
    let config = WorkerConfig::load(&arguments.config).map_err(Failure::config)?;
    // Latches that root made could not be read by the worker.
    hardening::refuse_root("yanqian hsm init-token").map_err(Failure::config)?;
    if let PinSource::Credential(_) = config.pin {
        return Err(Failure::config("init-token needs `pin_file`: credentials exist under systemd only"));
    }
    let profile = Profile::load(&config.profile).map_err(Failure::config)?;
    let order = Order {
        init: profile.module,
        module: config.module,
        module_env: config.module_env,
        label: arguments.label.clone(),
        so_pin: PinSource::File(arguments.so_pin_file.clone()),
        user_pin: config.pin,
        state_dir: config.state_dir,
        force: false,
    };
    let token = provision::init_token(&order).map_err(|error| match error {
        ProvisionError::Pin(_) | ProvisionError::Latch(_) => Failure(EXIT_CREDENTIALS, error.to_string()),
        other => Failure::of(other),
    })?;
    say(format_args!(
        "token `{}` initialised: {} {}, serial {}",
        token.label, token.manufacturer, token.model, token.serial
    ));
    Ok(())
}

/// `yanqian hsm-worker`: the exit code says what a supervisor should do.
pub(super) fn run_worker(config: &Path) -> ExitCode {
    super::start_logging();
    let loaded = hardening::refuse_root("yanqian hsm-worker")
        .and_then(|()| hardening::check_public(config))
        .and_then(|()| WorkerConfig::load(config).map_err(|error| error.to_string()))
        .and_then(|config| hardening::check_public(&config.profile).map(|()| config));
    match loaded {
        Ok(config) => match worker::run(&config, worker::terminated()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(exit) => {
                complain(&exit);
                ExitCode::from(exit.exit_code())
            }
        },
        Err(error) => {
            complain(&error);
            ExitCode::from(EXIT_CONFIG)
        }
    }
}
