//! Writes a site's configuration files. Agreement and profiles are the repository's own, so that what runs here is what
//! the project ships; daemon and worker files say where this site's things are.

use std::path::Path;

use toml::{Table, Value};

use crate::binaries::Binaries;
use crate::error::{Doing as _, HarnessError};
use crate::options::{File, Form, Options};
use crate::places::{Places, copy_tree, write_private, write_public};
use crate::token::{self, Loaded};

/// Label of the signing key in the token.
pub(crate) const SIGNING_KEY: &str = "yanqian-sign";
/// Label of the encryption key in the token.
pub(crate) const ENCRYPTION_KEY: &str = "yanqian-encrypt";
/// Label of the key that signs checkpoints.
pub(crate) const LEDGER_KEY: &str = "yanqian-ledger";
/// Label of the token.
pub(crate) const TOKEN_LABEL: &str = "yanqian-dev";

fn table(members: impl IntoIterator<Item = (&'static str, Value)>) -> Value {
    Value::Table(members.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

fn text(path: &Path) -> Value {
    Value::String(path.display().to_string())
}

/// Everything that the daemon reads, the signing certificate excepted: that comes with the enrolment.
pub(crate) fn write_daemon(places: &Places, options: &Options, endpoints: &[String]) -> Result<(), HarnessError> {
    let pki = places.pki();
    let users = &options.users;
    let tls = places.etc().join("tls");
    let read = |path: &Path| std::fs::read(path).doing(|| path.display().to_string());
    write_public(&tls.join("server.pem"), &read(&pki.internal("server").certificate)?)?;
    write_private(&tls.join("server.key"), &read(&pki.internal("server").key)?, users.daemon)?;
    write_public(&tls.join("callers-ca.pem"), &read(&pki.internal("ca").certificate)?)?;
    write_public(&tls.join("platform.pem"), &read(&pki.entity("tls").certificate)?)?;
    write_private(&tls.join("platform.key"), &read(&pki.entity("tls").key)?, users.daemon)?;
    let mut key = [0; 32];
    random(&mut key)?;
    write_private(&places.state_key(), hex::encode(key).as_bytes(), users.daemon)?;
    copy_tree(&pki.trust(), &places.trust())?;
    let mut agreed = options.clone();
    if options.form != Form::Reference {
        agreed = agreed.with(File::Agreement, "platform", options.form.to_string());
    }
    copy_changed(&agreed, "samples/agreement.toml", Some(File::Agreement), &places.agreement())?;
    if !options.token.imports() || !options.form.reads_chips() {
        agree_on_no_readings(&places.agreement())?;
    }
    let profile = format!("platform-profiles/{}.toml", options.form);
    copy_changed(options, &profile, Some(File::Profile), &places.platform_profile())?;

    let ledger = options.checkpoints.map(|seconds| {
        let key = [("key", LEDGER_KEY.into()), ("public_key", "ledger-key.pem".into())];
        ("checkpoints", table(key.into_iter().chain([("interval_seconds", Value::from(i64::from(seconds)))])))
    });
    let members = [
        ("format_version", 1.into()),
        ("entity", table([("id", "example-bank".into()), ("node", "node-1".into())])),
        (
            "paths",
            table([
                ("state_dir", text(&places.state())),
                ("state_key_file", "state.key".into()),
                ("agreement", "agreement.toml".into()),
            ]),
        ),
        (
            "listen",
            table([
                ("address", "127.0.0.1:0".into()),
                ("certificate", "tls/server.pem".into()),
                ("key", "tls/server.key".into()),
                ("client_ca", "tls/callers-ca.pem".into()),
                ("ready_file", text(&places.daemon_ready())),
            ]),
        ),
        ("metrics", table([("address", "127.0.0.1:0".into())])),
        ("platform", platform(options, endpoints)),
        ("hsm", daemon_hsm(places, options)),
        // Every answer has a second opinion in tests.
        ("verification", table([("shadow_every", 1.into())])),
        ("limits", Value::Table(Table::new())),
    ];
    let config = table(members.into_iter().chain(ledger));
    let config = changed(config, options, File::Daemon)?;
    write_public(&places.daemon_config(), config.as_bytes())
}

/// Fresh octets for keys and PINs.
pub(crate) fn random(octets: &mut [u8]) -> Result<(), HarnessError> {
    getrandom::fill(octets).map_err(|error| HarnessError::Unexpected(format!("random octets: {error}")))
}

/// The worker's configuration and the soft token's profile. `pin` is the key that says where the PIN is, and its value.
pub(crate) fn write_worker(
    places: &Places,
    options: &Options,
    binaries: &Binaries,
    pin: (&'static str, Value),
) -> Result<(), HarnessError> {
    copy_changed(options, options.token.profile(), None, &places.hsm_profile())?;
    let Loaded { module, environment } = token::loaded(places, options, binaries)?;
    let clients = options.users.daemon.map(|user| Value::from(i64::from(user.uid)));
    let config = table([
        ("format_version", 1.into()),
        ("socket", text(&places.socket())),
        ("client_uids", Value::Array(clients.into_iter().collect())),
        ("profile", text(&places.hsm_profile())),
        ("module", text(&module)),
        ("module_env", table(environment)),
        ("token_label", TOKEN_LABEL.into()),
        pin,
        ("state_dir", text(&places.worker_state())),
    ]);
    write_public(&places.worker_config(), changed(config, options, File::Worker)?.as_bytes())
}

fn platform(options: &Options, endpoints: &[String]) -> Value {
    let mut members = vec![
        ("id", options.form.to_string().into()),
        ("profile", "platform-profile.toml".into()),
        ("trust", "trust".into()),
        ("customer_number", "YQ000001".into()),
        ("application", "yanqian".into()),
    ];
    match endpoints {
        [endpoint] => members.push(("endpoint", endpoint.as_str().into())),
        several => {
            let several = several.iter().map(|url| table([("url", url.as_str().into())]));
            members.push(("endpoints", Value::Array(several.collect())));
        }
    }
    if options.link.rfc8998 {
        members.extend([
            ("transport", "rfc8998".into()),
            ("tls_certificate", "tls/platform.pem".into()),
            ("tls_key", "tls/platform.key".into()),
        ]);
    }
    table(members)
}

fn daemon_hsm(places: &Places, options: &Options) -> Value {
    let mut hsm = table([("signing_key", SIGNING_KEY.into()), ("signing_certificate", "entity-signing.pem".into())]);
    // The kernel names who made the socket: the worker, or the service manager, which is this process here.
    let maker = options.users.worker.map(|user| user.uid);
    let maker = if options.managed { Some(rustix::process::geteuid().as_raw()) } else { maker };
    let encryption: [(_, Value); 2] =
        [("encryption_key", ENCRYPTION_KEY.into()), ("encryption_certificate", "entity-encryption.pem".into())];
    let encryption = options.token.imports().then_some(encryption).into_iter().flatten();
    let maker = maker.map(|uid| ("worker_uid", Value::from(i64::from(uid))));
    let worker = |places: &Places| [("socket", text(&places.socket()))].into_iter().chain(maker.clone());
    let mut add = |more: &mut dyn Iterator<Item = (&str, Value)>| {
        if let Value::Table(hsm) = &mut hsm {
            hsm.extend(more.map(|(key, value)| (key.to_owned(), value)));
        }
    };
    add(&mut encryption.into_iter());
    if options.second_token {
        let tokens = [("a", places.clone()), ("b", places.of_second_token())]
            .map(|(name, places)| table([("name", name.into())].into_iter().chain(worker(&places))));
        add(&mut [("tokens", Value::Array(tokens.to_vec()))].into_iter());
    } else {
        add(&mut worker(places));
    }
    hsm
}

/// A file of the repository, octet for octet unless the site wants a value otherwise.
fn copy_changed(options: &Options, from: &str, file: Option<File>, to: &Path) -> Result<(), HarnessError> {
    let source = options.repository.join(from);
    let mut content = std::fs::read_to_string(&source).doing(|| source.display().to_string())?;
    if let Some(file) = file.filter(|file| options.changes.iter().any(|change| change.file == *file)) {
        let value = toml::from_str(&content).map_err(|error| HarnessError::Unexpected(format!("{from}: {error}")))?;
        content = changed(Value::Table(value), options, file)?;
    }
    write_public(to, content.as_bytes())
}

fn changed(mut value: Value, options: &Options, file: File) -> Result<String, HarnessError> {
    for change in options.changes.iter().filter(|change| change.file == file) {
        put(&mut value, &change.key, change.value.clone())?;
    }
    toml::to_string(&value).map_err(|error| HarnessError::Unexpected(format!("{file:?}: {error}")))
}

/// Takes chip readings, which need an encryption key, out of an agreement.
fn agree_on_no_readings(path: &Path) -> Result<(), HarnessError> {
    fn without_readings(value: &mut Value) {
        match value {
            Value::Array(items) => {
                items.retain(|item| !matches!(item.as_str(), Some("chip-reading" | "chip")));
                items.iter_mut().for_each(without_readings);
            }
            Value::Table(table) => table.iter_mut().for_each(|(_, value)| without_readings(value)),
            _ => {}
        }
    }
    let wrong = |error: &dyn std::fmt::Display| HarnessError::Unexpected(format!("{}: {error}", path.display()));
    let content = std::fs::read_to_string(path).doing(|| path.display().to_string())?;
    let mut whole = toml::from_str(&content).map_err(|error| wrong(&error))?;
    without_readings(&mut whole);
    write_public(path, toml::to_string(&whole).map_err(|error| wrong(&error))?.as_bytes())
}

/// Changes one value of a file of a running site; a process sees it when it reads the file again.
pub(crate) fn rewrite(path: &Path, key: &str, value: Value) -> Result<(), HarnessError> {
    rewrite_with(path, |whole| put(whole, key, value))
}

/// Changes a file of a running site.
pub(crate) fn rewrite_with(
    path: &Path,
    change: impl FnOnce(&mut Value) -> Result<(), HarnessError>,
) -> Result<(), HarnessError> {
    let wrong = |error: &dyn std::fmt::Display| HarnessError::Unexpected(format!("{}: {error}", path.display()));
    let content = std::fs::read_to_string(path).doing(|| path.display().to_string())?;
    let mut whole: Value = toml::from_str(&content).map_err(|error| wrong(&error))?;
    change(&mut whole)?;
    write_public(path, toml::to_string(&whole).map_err(|error| wrong(&error))?.as_bytes())
}

fn put(whole: &mut Value, key: &str, value: Value) -> Result<(), HarnessError> {
    let mut place = whole;
    for part in key.split('.') {
        let table = place
            .as_table_mut()
            .ok_or_else(|| HarnessError::Unexpected(format!("`{key}` does not lead through tables")))?;
        place = table.entry(part).or_insert_with(|| Value::Table(Table::new()));
    }
    *place = value;
    Ok(())
}
