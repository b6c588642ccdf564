use std::fmt;

use tokio::sync::watch;

/// The worker was stopped in order.
pub const EXIT_STOPPED: u8 = 0;
/// The token or the module is in trouble; starting again is the cure (`EX_UNAVAILABLE`).
pub const EXIT_TOKEN: u8 = 69;
/// The socket cannot be made, or another worker has it (`EX_CANTCREAT`).
pub const EXIT_SOCKET: u8 = 73;
/// A call into the module went beyond its limit; starting again is the cure (`EX_TEMPFAIL`).
pub const EXIT_HANG: u8 = 75;
/// The PIN was refused or cannot be used. Starting again does not help: `RestartPreventExitStatus=77` (`EX_NOPERM`).
pub const EXIT_CREDENTIALS: u8 = 77;
/// Configuration or profile are wrong. Starting again does not help: `RestartPreventExitStatus=78` (`EX_CONFIG`).
pub const EXIT_CONFIG: u8 = 78;

/// Why a worker ended by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorkerExit {
    /// Configuration or profile are wrong.
    Config(String),
    /// The PIN was refused or cannot be used.
    Credentials(String),
    /// The token or the module is in trouble.
    Token(String),
    /// The socket cannot be made.
    Socket(String),
}

impl WorkerExit {
    /// The exit status that says so to the service manager.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) => EXIT_CONFIG,
            Self::Credentials(_) => EXIT_CREDENTIALS,
            Self::Token(_) => EXIT_TOKEN,
            Self::Socket(_) => EXIT_SOCKET,
        }
    }

    /// A stable label.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Config(_) => "config",
            Self::Credentials(_) => "credentials",
            Self::Token(_) => "token",
            Self::Socket(_) => "socket",
        }
    }
}

impl fmt::Display for WorkerExit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(why) | Self::Credentials(why) | Self::Token(why) | Self::Socket(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for WorkerExit {}

/// Lets any thread end the worker; the first reason counts.
#[derive(Debug)]
pub(super) struct ExitSignal(watch::Sender<Option<WorkerExit>>);

impl ExitSignal {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(None))
    }

    pub(super) fn request(&self, exit: WorkerExit) {
        self.0.send_if_modified(|current| {
            if current.is_some() {
                return false;
            }
            tracing::error!(code = exit.code(), reason = %exit, "the HSM worker ends itself");
            *current = Some(exit);
            true
        });
    }

    pub(super) fn reason(&self) -> Option<WorkerExit> {
        self.0.borrow().clone()
    }

    /// Waits for a reason.
    pub(super) async fn requested(&self) -> WorkerExit {
        let mut receiver = self.0.subscribe();
        loop {
            if let Some(exit) = receiver.borrow_and_update().clone() {
                return exit;
            }
            // The sender lives as long as `self`.
            if receiver.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}
