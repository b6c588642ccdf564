//! The platform, as data. A profile says how its messages look; this crate builds requests by it, carries them, and proves
//! answers: over the octets as received, step by step, each failure with its own reason. Nothing after a failed step is
//! believed or even looked at.
#![forbid(unsafe_code)]

mod answer;
mod encoding;
mod forms;
mod json;
mod payload;
mod profile;
mod request;
mod route;
mod times;
mod transport;

pub use answer::{
    AnswerChecker, Applied, CheckedAnswer, Expected, Found, PlatformVerdict, ReplayError, ReplayGuard, SealedReading,
    Step, StepName,
};
pub use profile::{Profile, ProfileError, Speaks};
pub use request::{EncodeError, Outbound, RequestContext, SignedRequest};
pub use route::{Route, Stop};
pub use transport::{
    AttemptResult, BreakerSettings, ClientKey, ClientKeyError, ConnectStage, Endpoint, EndpointError, EndpointState,
    EndpointStats, LinkSettings, LinkStats, LookFailure, Looked, LookedAddress, PROTOCOLS, PlatformClient, Proxy,
    ProxyError, RawAnswer, RetrySettings, Security, SendError, TlsFacts,
};
