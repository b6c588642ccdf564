//! A worker process with a token of its own, in a temporary directory.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use yanqian_hsm::{ClientConfig, WorkerClient};
use yanqian_sm::{DistinguishingId, E, PublicKey, Signature};

pub(crate) const LABEL: &str = "worker test";
pub(crate) const SO_PIN: &str = "so-pin-12345678";
pub(crate) const PIN: &str = "user-pin-4711";

fn build_directory() -> PathBuf {
    std::env::current_exe().unwrap().parent().unwrap().to_owned()
}

/// What cargo has built: beside the test, or where examples go.
fn built(names: &[&str]) -> PathBuf {
    let deps = build_directory();
    let candidates = names.iter().flat_map(|name| [deps.join(name), deps.join("..").join(name)]);
    let found = candidates.clone().find(|path| path.exists());
    found.unwrap_or_else(|| panic!("cargo has not built {:?}", candidates.collect::<Vec<_>>()))
}

pub(crate) fn softtoken() -> PathBuf {
    built(&["libyanqian_softtoken.so"])
}

pub(crate) fn program() -> Command {
    let mut command = Command::new(built(&["examples/hsm"]));
    command.env_remove("CREDENTIALS_DIRECTORY");
    command
}

pub(crate) struct Site {
    pub(crate) directory: tempfile::TempDir,
    /// Lines put in front of the worker's configuration, and behind it.
    pub(crate) extra: String,
    pub(crate) environment: Vec<(&'static str, String)>,
    pub(crate) module: PathBuf,
    /// Of the worker's process itself.
    pub(crate) process_environment: Vec<(&'static str, OsString)>,
}

impl Site {
    /// A directory with an initialised soft token and the right PIN in its file.
    pub(crate) fn new() -> Self {
        let site = Self::bare();
        site.write_pin(PIN);
        let output = site.init_token(&[]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        site
    }

    pub(crate) fn bare() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let profile = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../hsm-profiles/softtoken.toml");
        std::fs::copy(profile, directory.path().join("profile.toml")).unwrap();
        Self {
            directory,
            extra: String::new(),
            environment: Vec::new(),
            module: softtoken(),
            process_environment: Vec::new(),
        }
    }

    /// A site whose module fails on demand.
    pub(crate) fn faulty() -> Self {
        Self::new().with_faults()
    }

    fn with_faults(mut self) -> Self {
        let site = &mut self;
        site.environment = vec![
            ("FAULTY_TARGET", softtoken().to_str().unwrap().to_owned()),
            ("FAULTY_ORDERS", site.path("orders").to_str().unwrap().to_owned()),
            ("FAULTY_CALLS", site.path("calls").to_str().unwrap().to_owned()),
        ];
        site.module = built(&["examples/libfaulty_module.so"]);
        self
    }

    /// Another site whose token holds the same keys under the same PIN: a copy, as a vendor's replication makes it.
    pub(crate) fn twin(&self) -> Self {
        let twin = Self::bare().with_faults();
        let copied = Command::new("cp").arg("-r").args([self.path("token"), twin.path("token")]).status().unwrap();
        assert!(copied.success());
        twin.write_pin(PIN);
        twin
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Initialises the token, the security officer's PIN from the file `so-pin`, which is there afterwards.
    pub(crate) fn init_token(&self, rest: &[&str]) -> Output {
        if !self.path("so-pin").exists() {
            self.write_secret("so-pin", SO_PIN);
        }
        let [module, so_pin, pin, state] =
            [self.module.clone(), self.path("so-pin"), self.path("pin"), self.path("state")];
        program()
            .env("YANQIAN_SOFTTOKEN_DIR", self.path("token"))
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .arg("init-token")
            .args([module.as_os_str(), OsStr::new(LABEL), so_pin.as_os_str(), pin.as_os_str(), state.as_os_str()])
            .args(rest)
            .output()
            .unwrap()
    }

    pub(crate) fn write_pin(&self, pin: &str) {
        self.write_secret("pin", pin);
    }

    pub(crate) fn write_secret(&self, name: &str, pin: &str) {
        let path = self.path(name);
        std::fs::write(&path, format!("{pin}\n")).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// Orders for the faulty module.
    pub(crate) fn order(&self, orders: &str) {
        std::fs::write(self.path("orders.new"), orders).unwrap();
        std::fs::rename(self.path("orders.new"), self.path("orders")).unwrap();
    }

    /// How often the faulty module's function was called.
    pub(crate) fn calls(&self, function: &str) -> usize {
        let calls = std::fs::read_to_string(self.path("calls")).unwrap_or_default();
        calls.lines().filter(|line| *line == function).count()
    }

    pub(crate) fn change_profile(&self, from: &str, to: &str) {
        let path = self.path("profile.toml");
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{from:?} is not in the profile");
        std::fs::write(path, text.replacen(from, to, 1)).unwrap();
    }

    /// Puts a shipped profile in place. One for hardware becomes one for the token in software that plays it here.
    pub(crate) fn use_profile(&self, name: &str) {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../hsm-profiles/{name}.toml"));
        let text = std::fs::read_to_string(file).unwrap();
        let text = text
            .replacen("grade = \"hsm\"", "grade = \"development\"", 1)
            .replacen("manufacturer = \"SoftHSM project\"", "", 1)
            .replacen("model = \"SoftHSM v2\"", "", 1);
        std::fs::write(self.path("profile.toml"), text).unwrap();
    }

    /// The soft token speaks this text's dialect from the next start on.
    pub(crate) fn speak(&mut self, dialect: &str) {
        std::fs::write(self.path("dialect.toml"), dialect).unwrap();
        let file = self.path("dialect.toml").to_str().unwrap().to_owned();
        self.environment.retain(|(name, _)| *name != "YANQIAN_SOFTTOKEN_DIALECT");
        self.environment.push(("YANQIAN_SOFTTOKEN_DIALECT", file));
    }

    pub(crate) fn write_config(&self) -> PathBuf {
        let mut environment = String::new();
        for (name, value) in &self.environment {
            writeln!(environment, "{name} = {value:?}").unwrap();
        }
        let text = format!(
            "format_version = 1\nsocket = \"worker.sock\"\nprofile = \"profile.toml\"\nmodule = {:?}\n\
             token_label = {LABEL:?}\npin_file = \"pin\"\nstate_dir = \"state\"\n{}\n\
             [module_env]\nYANQIAN_SOFTTOKEN_DIR = {:?}\n{environment}",
            self.module.to_str().unwrap(),
            self.extra,
            self.path("token").to_str().unwrap(),
        );
        std::fs::write(self.path("worker.toml"), text).unwrap();
        self.path("worker.toml")
    }

    /// Starts a worker and does not wait.
    pub(crate) fn spawn(&self) -> Worker {
        let log = std::fs::File::options().create(true).append(true).open(self.path("log")).unwrap();
        let child = program()
            .args(["worker", self.write_config().to_str().unwrap()])
            .envs(self.process_environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        Worker { child, log: self.path("log") }
    }

    /// Starts a worker and waits until it serves.
    pub(crate) fn start(&self) -> Worker {
        let mut worker = self.spawn();
        let deadline = Instant::now() + Duration::from_mins(1);
        while std::os::unix::net::UnixStream::connect(self.path("worker.sock")).is_err() {
            if let Some(status) = worker.child.try_wait().unwrap() {
                panic!("the worker ended with {status}:\n{}", worker.log());
            }
            assert!(Instant::now() < deadline, "the worker does not serve:\n{}", worker.log());
            std::thread::sleep(Duration::from_millis(10));
        }
        worker
    }

    pub(crate) fn client(&self) -> WorkerClient {
        WorkerClient::new(ClientConfig::new(self.path("worker.sock")))
    }
}

pub(crate) struct Worker {
    pub(crate) child: Child,
    log: PathBuf,
}

impl Worker {
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// Waits for the end.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        let deadline = Instant::now() + Duration::from_mins(1);
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "the worker does not end:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A dialect of the soft token's directory.
pub(crate) fn dialect(name: &str) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../softtoken/dialects/{name}.toml"));
    std::fs::read_to_string(file).unwrap()
}

/// A message and its digest for a key.
pub(crate) fn digest(key: &PublicKey, message: &[u8]) -> E {
    E::of_message(key, &DistinguishingId::default(), &[message])
}

pub(crate) fn verifies(key: &PublicKey, e: &E, raw: &[u8; 64]) -> bool {
    Signature::from_raw(raw).is_ok_and(|signature| yanqian_sm::verify(key, e, &signature).is_ok())
}
