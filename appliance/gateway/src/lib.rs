//! The internal API and the pipeline behind it: from a caller's request to a reply that only durable evidence permits.
//!
//! The pipeline is the heart of the appliance; `pipeline` describes it. Around it stand the HTTP edge (`api`), the state
//! that must outlive a restart ([`StateStore`]), and the keys derived for it ([`StateKeys`]).
#![forbid(unsafe_code)]

mod api;
mod clock;
mod core;
mod keys;
mod metrics;
mod pipeline;
mod quotas;
mod reply;
mod secrets;
mod state;
mod turns;
mod upkeep;

pub use api::{BodyLimits, FrameLimits, Http2Limits, ServerLimits, Waits, serve};
pub use clock::{Clock, ClockHealth, SystemClock};
pub use core::{Core, CoreLimits, CoreParts, PlatformLink, Signer};
pub use keys::{InForce, KeyPair, PairState, PairUsage, Pairs, PairsError};
pub use metrics::{COMPONENTS, Metrics, RejectCause};
pub use pipeline::{Departure, ForgetError, Place, Stranger, Trial, TrialError, Tried};
pub use secrets::StateKeys;
pub use state::{Orphan, SqliteState, StateError, StateHandle, StateStore, StateThread};
