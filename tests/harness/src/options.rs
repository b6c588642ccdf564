use std::path::PathBuf;

pub use yanqian_platform_sim::Form;
pub use yanqian_platform_sim::form::Service;

use crate::binaries::Binaries;
use crate::error::HarnessError;
use crate::users::Users;

/// A configuration file of a site that a test may want otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum File {
    /// `yanqian.toml`
    Daemon,
    /// The worker's configuration.
    Worker,
    /// The platform profile.
    Profile,
    /// `agreement.toml`
    Agreement,
}

/// One value that differs from the usual.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) file: File,
    /// Keys from the top, joined by dots.
    pub(crate) key: String,
    pub(crate) value: toml::Value,
}

/// What the worker's token is. Its module is among the [`Binaries`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Token {
    /// The soft token of this project.
    Soft,
    /// `SoftHSM` with SM2, as `tests/softhsm-sm2` builds it: a token that is not ours. It imports no wrapped pair, so the site has
    /// no encryption key and no service that needs one.
    SoftHsm,
    /// Stock `SoftHSM`, which has no SM2: it keeps the keys, and the worker uses them.
    Sealed,
}

/// The way from the daemon to the platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// At how many addresses the platform listens; the daemon knows them all.
    pub endpoints: usize,
    /// Whether the platform offers HTTP/2.
    pub http2: bool,
    /// Whether platform and daemon take RFC 8998 and nothing else.
    pub rfc8998: bool,
}

/// What the platform may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nonces {
    /// A site whose platform saw a nonce twice fails its test.
    EachOnce,
    /// The test repeats a request on purpose.
    SomeRepeated,
}

/// What kind of site to build.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where; none: a new temporary directory that goes with the site.
    pub directory: Option<PathBuf>,
    pub binaries: Binaries,
    pub token: Token,
    /// The platform's wire form, and with it the daemon's platform profile.
    pub form: Form,
    pub users: Users,
    /// Root of the source tree, for profiles and samples.
    pub repository: PathBuf,
    /// Level of the logs of daemon and worker, as `YANQIAN_LOG` takes it.
    pub log: &'static str,
    /// Run daemon and worker as their units would: listeners and the PIN from the service manager, logs in JSON.
    pub managed: bool,
    /// Put the module that fails on demand before the token's; [`crate::Site::chaos`] drives it.
    pub chaos: bool,
    /// A second token with the same keys, behind a worker of its own; [`crate::Site::second`] is its handle.
    pub second_token: bool,
    /// Seconds between checkpoints of the ledger, with a ledger key in the token; none: no key and no checkpoints.
    pub checkpoints: Option<u32>,
    pub nonces: Nonces,
    /// Told each step of [`crate::Site::build`].
    pub progress: fn(&str),
    pub link: Link,
    pub(crate) changes: Vec<Change>,
}

impl Options {
    /// The reference form, and separate users where this process may give them.
    pub fn new(binaries: Binaries) -> Self {
        Self {
            directory: None,
            binaries,
            token: Token::Soft,
            form: Form::Reference,
            users: Users::for_this_process(),
            repository: PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")),
            log: "info",
            managed: false,
            chaos: false,
            second_token: false,
            checkpoints: None,
            nonces: Nonces::EachOnce,
            progress: |_| {},
            link: Link { endpoints: 1, http2: false, rfc8998: false },
            changes: Vec::new(),
        }
    }

    /// As [`Self::new`] with the executables of the running test's build.
    pub fn for_test() -> Result<Self, HarnessError> {
        Ok(Self::new(Binaries::beside_this_test()?))
    }

    #[must_use]
    pub fn form(mut self, form: Form) -> Self {
        self.form = form;
        self
    }

    /// Changes one value of a configuration file, such as `limits.head_ms`.
    #[must_use]
    pub fn with(mut self, file: File, key: &str, value: impl Into<toml::Value>) -> Self {
        self.changes.push(Change { file, key: key.to_owned(), value: value.into() });
        self
    }
}
