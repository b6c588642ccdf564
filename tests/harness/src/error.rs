use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;

/// A site could not be built, started, asked or stopped. The text is meant for the person who ran the test or the demo.
#[derive(Debug, thiserror::Error)]
pub enum HarnessError {
    #[error("{} is missing; build it first: {command}", file.display())]
    Missing { file: PathBuf, command: String },
    #[error("{what}: {source}")]
    Io { what: String, source: io::Error },
    #[error("development PKI: {0}")]
    Pki(#[from] yanqian_devpki::DevPkiError),
    #[error("`{command}` ended with {status}:\n{output}")]
    Command { command: String, status: ExitStatus, output: String },
    #[error("{process} {problem}; its log ends:\n{log}")]
    Process { process: &'static str, problem: String, log: String },
    #[error("{peer}: {problem}")]
    Http { peer: String, problem: String },
    #[error("{0}")]
    Unexpected(String),
}

impl HarnessError {
    pub(crate) fn http(peer: impl Into<String>, problem: &dyn std::fmt::Display) -> Self {
        Self::Http { peer: peer.into(), problem: problem.to_string() }
    }
}

/// Says what was being done when an I/O error came.
pub(crate) trait Doing<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, HarnessError>;
}

impl<T> Doing<T> for io::Result<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, HarnessError> {
        self.map_err(|source| HarnessError::Io { what: what(), source })
    }
}

impl<T> Doing<T> for Result<T, rustix::io::Errno> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, HarnessError> {
        self.map_err(|errno| HarnessError::Io { what: what(), source: errno.into() })
    }
}
