use std::path::Path;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use yanqian_hsm::profile::Profile;
use yanqian_hsm::worker::WorkerConfig;
use yanqian_hsm::{ClientConfig, WorkerClient};
use yanqian_messages::Certificate;
use yanqian_sm::PublicKey;

use super::output::{complain, say};
use super::{EXIT_CONFIG, small_runtime};
use crate::config::Config;
use crate::parts;

/// One line of the table.
struct Row {
    what: &'static str,
    result: Result<String, String>,
}

/// `yanqian check`: every piece, whether or not an earlier one failed.
pub(super) fn run(file: &Path, worker: Option<&Path>) -> ExitCode {
    let config = match Config::load(file) {
        Ok(config) => config,
        Err(error) => {
            complain(&error);
            return ExitCode::from(EXIT_CONFIG);
        }
    };
    let mut rows = rows(&config);
    rows.extend(worker.into_iter().flat_map(worker_rows));
    let mut wrong = 0;
    for row in &rows {
        match &row.result {
            Ok(note) => say(format_args!("ok     {:<22} {note}", row.what)),
            Err(problem) => {
                wrong += 1;
                say(format_args!("WRONG  {:<22} {problem}", row.what));
            }
        }
    }
    if wrong == 0 {
        say(format_args!("{} checks, all well", rows.len()));
        ExitCode::SUCCESS
    } else {
        say(format_args!("{} checks, {wrong} wrong", rows.len()));
        ExitCode::from(EXIT_CONFIG)
    }
}

fn rows(config: &Config) -> Vec<Row> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let certificate = parts::signing_certificate(config).map_err(|error| text(&error));
    vec![
        Row { what: "configuration", result: Ok(config.file.display().to_string()) },
        Row {
            what: "OpenSSL self-test",
            result: yanqian_trust::openssl_self_test()
                .map(|()| "SM2 with the default id".to_owned())
                .map_err(|error| text(&error)),
        },
        Row {
            what: "agreement",
            result: parts::agreement(config)
                .map(|(agreement, hash)| format!("version {}, {hash}", agreement.version))
                .map_err(|error| text(&error)),
        },
        Row {
            what: "platform profile",
            result: parts::platform(config)
                .map(|(profile, _)| format!("{}, {}", profile.name(), profile.hash()))
                .map_err(|error| text(&error)),
        },
        Row { what: "trust store", result: trust(config) },
        Row {
            what: "internal TLS",
            result: crate::tls::server_config(&config.listen)
                .map(|_| config.listen.certificate.display().to_string())
                .map_err(|error| text(&error)),
        },
        Row {
            what: "state key",
            result: parts::state_keys(config)
                .map(|_| config.state_key_file.display().to_string())
                .map_err(|error| text(&error)),
        },
        Row { what: "state directory", result: state_directory(&config.state_dir) },
        Row {
            what: "signing certificate",
            result: certificate.as_ref().map_err(Clone::clone).and_then(|(certificate, _)| validity(certificate)),
        },
        Row {
            what: "token",
            result: certificate.as_ref().map_err(Clone::clone).and_then(|(_, key)| token(config, key)),
        },
    ]
}

/// The worker's own file and the token profile that it names.
fn worker_rows(file: &Path) -> Vec<Row> {
    let config = match WorkerConfig::load(file) {
        Ok(config) => config,
        Err(error) => return vec![Row { what: "worker configuration", result: Err(error.to_string()) }],
    };
    let profile = Profile::load(&config.profile)
        .map(|profile| format!("{}, grade {}", profile.name, profile.grade.as_str()))
        .map_err(|error| error.to_string());
    let module = match std::fs::metadata(&config.module) {
        Ok(metadata) if metadata.is_file() => Ok(config.module.display().to_string()),
        Ok(_) => Err(format!("{}: is not a file", config.module.display())),
        Err(error) => Err(format!("{}: {error}", config.module.display())),
    };
    vec![
        Row { what: "worker configuration", result: Ok(file.display().to_string()) },
        Row { what: "token profile", result: profile },
        Row { what: "PKCS#11 module", result: module },
    ]
}

fn now() -> i64 {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    i64::try_from(seconds).unwrap_or(i64::MAX)
}

fn days_left(not_after: i64) -> i64 {
    (not_after - now()).div_euclid(86_400)
}

fn validity(certificate: &Certificate) -> Result<String, String> {
    let left = days_left(certificate.not_after());
    if certificate.not_before() > now() {
        return Err(format!("{}: not yet valid", certificate.subject()));
    }
    if certificate.not_after() < now() {
        return Err(format!("{}: expired", certificate.subject()));
    }
    Ok(format!("{}, {left} days left", certificate.subject()))
}

fn trust(config: &Config) -> Result<String, String> {
    let store = parts::trust(config).map_err(|error| error.to_string())?;
    let store = store.current().map_err(|error| error.to_string())?;
    if let Some(expired) = store.certificates().iter().find(|certificate| certificate.not_after < now()) {
        return Err(format!("{} `{}` has expired", expired.role, expired.subject));
    }
    let lists = match store.revocation_deadline() {
        None => return Err("holds no revocation list: every answer would be refused".to_owned()),
        Some(deadline) if deadline < now() => return Err("a revocation list is overdue".to_owned()),
        Some(deadline) => days_left(deadline),
    };
    let soonest = store.certificates().iter().map(|certificate| days_left(certificate.not_after)).min();
    let count = store.certificates().len();
    Ok(format!("{count} certificates, {} days left; revocation lists, {lists} days left", soonest.unwrap_or(0)))
}

fn state_directory(directory: &Path) -> Result<String, String> {
    let shown = directory.display();
    let metadata = std::fs::metadata(directory).map_err(|error| format!("{shown}: {error}"))?;
    if metadata.is_dir() { Ok(shown.to_string()) } else { Err(format!("{shown}: is not a directory")) }
}

/// Reaches the token through the worker and sees that it holds the certificate's key.
fn token(config: &Config, key: &PublicKey) -> Result<String, String> {
    let runtime = small_runtime().map_err(|error| error.to_string())?;
    runtime.block_on(async {
        let mut client = ClientConfig::new(&config.hsm.socket);
        client.expected_uid = config.hsm.worker_uid;
        let worker = WorkerClient::new(client);
        let status = worker.status().await.map_err(|error| error.to_string())?;
        let held = worker.public_key(&config.hsm.signing_key).await.map_err(|error| error.to_string())?;
        if held != *key {
            return Err(format!(
                "key `{}` in the token is not the signing certificate's: {} and {}",
                config.hsm.signing_key,
                hex::encode(held.key_id()),
                hex::encode(key.key_id())
            ));
        }
        Ok(format!("`{}` ({}), grade {}", status.token_label, status.token_model, status.grade))
    })
}
