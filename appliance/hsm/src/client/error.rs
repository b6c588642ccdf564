use std::time::Duration;

/// A call to the worker gave no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WorkerError {
    /// The worker cannot be reached, went away during the call, or its token cannot be used now. Trying again later may
    /// succeed; whether this call's work was done is not known.
    #[error("the HSM worker is unavailable: {0}")]
    Unavailable(String),
    /// The worker has no room; nothing was done.
    #[error("the HSM worker is busy")]
    Busy,
    /// No reply in time; whether the work was done is not known.
    #[error("the HSM worker did not answer within {0:?}")]
    Timeout(Duration),
    /// Refused for a reason that trying again does not change; `code` is one of [`crate::protocol::codes`].
    #[error("the HSM worker refused ({code}): {message}")]
    Refused { code: String, message: String },
    /// A signature that does not verify against the key that was asked for.
    #[error("the token's signature does not verify")]
    Defective,
    /// The other side does not speak this protocol, or is not who it should be.
    #[error("the HSM worker's protocol: {0}")]
    Protocol(String),
}

impl WorkerError {
    /// A stable label.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unavailable(_) => "worker-unavailable",
            Self::Busy => "worker-busy",
            Self::Timeout(_) => "worker-timeout",
            Self::Refused { .. } => "worker-refused",
            Self::Defective => "worker-defective",
            Self::Protocol(_) => "worker-protocol",
        }
    }

    /// Whether the same call may succeed later without anybody changing anything.
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Busy | Self::Timeout(_))
    }
}
