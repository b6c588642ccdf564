//! The way of one check, as types that each consume the one before:
//!
//! `Received → Authenticated → InScope → Recorded<Intent> → Signed → Answered → Verified → Unsealed → Recorded<Outcome> → Reply`
//!
//! Where the platform wants an application first, `Recorded<Intent> → Signed → Answered` is walked twice: the record of the
//! proven first answer is the intent of the second request.
//!
//! The compiler keeps the order: nothing is signed that has no durable intent (I2), and nothing is answered that has no
//! durable outcome (I1), because the later types cannot be made from anything but the earlier ones. A failure at any
//! stage after authentication leaves the way with the [`Dossier`] gathered so far, and becomes an outcome too.

mod claim;
mod departure;
mod dossier;
mod exchange;
mod forget;
mod intent;
mod receipt;
mod received;
mod record;
mod scope;
mod trial;
mod verify;

pub use departure::{Departure, Stranger};
pub use dossier::Place;
pub use forget::ForgetError;
pub(crate) use receipt::receipt;
pub(crate) use received::{Authenticated, Received};
pub(crate) use record::{lookup, unknown_reply};
pub use trial::{Trial, TrialError, Tried};

use std::sync::Arc;

use bytes::Bytes;
use http::Response;
use http_body_util::Full;

use crate::core::Core;
use crate::metrics::Present;
use crate::reply::{Reply, Shed};
use dossier::Refused;
use scope::Entry;

/// Takes an authenticated check to its reply.
pub(crate) async fn run(core: &Arc<Core>, check: Authenticated) -> Response<Full<Bytes>> {
    let _timer = core.metrics.check_seconds.start_timer();
    let _present = Present::in_gauge(&core.metrics.in_flight);
    match decide(core, check).await {
        Ok(reply) => reply.into_response(),
        Err(shed) => {
            core.count_shed(shed);
            shed.into_response()
        }
    }
}

async fn decide(core: &Arc<Core>, check: Authenticated) -> Result<Reply, Shed> {
    let scoped = match check.scope(core).await {
        Ok(Entry::New(scoped)) => scoped,
        Ok(Entry::Replayed(reply)) => return Ok(reply),
        Ok(Entry::Shed(shed)) => return Err(shed),
        Err(refused) => return refused.conclude(core).await,
    };
    match way(core, *scoped).await {
        Ok(unsealed) => unsealed.conclude(core).await,
        Err(refused) => refused.conclude(core).await,
    }
}

async fn way(core: &Arc<Core>, scoped: scope::InScope) -> Result<verify::Unsealed, Box<Refused>> {
    let scoped = scoped.count(core).await?;
    let intent = if core.platform.profile.applies_first() {
        let application = scoped.record_application(core).await?;
        let answered = application.sign(core).await?.send(core).await?;
        answered.verify(core).await?.record_exchange(core).await?
    } else {
        scoped.record_intent(core).await?
    };
    let answered = intent.sign(core).await?.send(core).await?;
    answered.verify(core).await?.unseal(core).await
}

#[cfg(test)]
mod tests;
