//! From a request's head to the pipeline. The body is not touched before the caller is known.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, header};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::time::timeout;
use tracing::Instrument as _;
use yanqian_vocabulary::{Mode, VerificationId};

use super::body::discard;
use super::openapi;
use crate::core::Core;
use crate::metrics::RejectCause;
use crate::pipeline::{self, Received};
use crate::reply::{Rejected, Shed};

/// Beyond a check's own limit, for the records after the platform's answer. A disk that hangs holds no caller up for longer.
const LAST_RECORDS: Duration = Duration::from_secs(15);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Route {
    Check(Mode),
    Verification(VerificationId),
    Receipt(VerificationId),
    Description,
}

/// What stands under a path, and its one method.
pub(super) fn resource(path: &str) -> Option<(Route, Method)> {
    if path == openapi::PATH {
        return Some((Route::Description, Method::GET));
    }
    let rest = path.strip_prefix("/v1/verifications/")?;
    match (rest.parse(), rest.strip_suffix("/receipt")) {
        (Ok(mode), _) => Some((Route::Check(mode), Method::POST)),
        (Err(_), None) => Some((Route::Verification(rest.parse().ok()?), Method::GET)),
        (Err(_), Some(id)) => Some((Route::Receipt(id.parse().ok()?), Method::GET)),
    }
}

fn route(method: &Method, path: &str) -> Result<Route, RejectCause> {
    let (route, allowed) = resource(path).ok_or(RejectCause::NotFound)?;
    if *method == allowed { Ok(route) } else { Err(RejectCause::MethodNotAllowed) }
}

/// Answers one request of a connection whose client certificate carries `names`.
pub(crate) async fn handle(
    core: Arc<Core>,
    request: Request<Incoming>,
    names: Arc<[String]>,
    peer: IpAddr,
) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let route = match route(&head.method, head.uri.path()) {
        Ok(route) => route,
        Err(cause) => return reject(&core, cause, body).await,
    };
    let Some(slot) = core.take_slot() else {
        let shed = if core.is_accepting() { Shed::Overloaded } else { Shed::ShuttingDown };
        return turn_away(&core, shed, body).await;
    };
    match route {
        Route::Verification(id) => match pipeline::lookup(&core, &names, id).await {
            Ok(Ok(reply)) => reply.into_response(),
            Ok(Err(shed)) => shed.into_response(),
            Err(cause) => reject(&core, cause, body).await,
        },
        Route::Receipt(id) => match pipeline::receipt(&core, &names, id).await {
            Ok(Ok(json)) => document(json),
            Ok(Err(shed)) => shed.into_response(),
            Err(cause) => reject(&core, cause, body).await,
        },
        Route::Description => match core.caller(&names) {
            Ok(_) => openapi::answer(&head.headers),
            Err(cause) => reject(&core, cause, body).await,
        },
        Route::Check(mode) => {
            let check = match Received::new(head.headers, body).authenticate(&core, &names, peer, mode) {
                Ok(check) => check,
                Err((cause, body)) => return reject(&core, cause, body).await,
            };
            let limit = core.check_limit + LAST_RECORDS;
            let counted = Arc::clone(&core);
            // A task of its own: a caller that hangs up in mid-flight must not stop the check half-way.
            let work = async move {
                let response = pipeline::run(&core, check).await;
                drop(slot);
                response
            };
            // What the way of the check logs carries the request's id too.
            let ended = timeout(limit, tokio::spawn(work.in_current_span())).await;
            let Ok(ended) = ended else {
                tracing::error!("a check takes too long; it goes on, and its caller is told to come again");
                counted.count_shed(Shed::EvidenceUnavailable);
                return Shed::EvidenceUnavailable.into_response();
            };
            ended.unwrap_or_else(|_| Shed::EvidenceUnavailable.into_response())
        }
    }
}

fn document(json: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(json)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Overload: nothing is decided, and a body that is on its way is taken off the wire so that the answer arrives.
async fn turn_away(core: &Core, shed: Shed, body: Incoming) -> Response<Full<Bytes>> {
    core.count_shed(shed);
    discard(body).await;
    shed.into_response()
}

async fn reject(core: &Core, cause: RejectCause, body: Incoming) -> Response<Full<Bytes>> {
    core.count_rejected(cause);
    discard(body).await;
    Rejected(cause).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cause(method: &Method, path: &str) -> Option<RejectCause> {
        route(method, path).err()
    }

    const ID: &str = "00000000-0001-7000-8000-000000000000";

    #[test]
    fn only_the_documented_resources_exist() {
        for mode in Mode::ALL {
            let path = format!("/v1/verifications/{mode}");
            assert_eq!(route(&Method::POST, &path), Ok(Route::Check(*mode)));
            assert_eq!(cause(&Method::GET, &path), Some(RejectCause::MethodNotAllowed));
        }
        let id = ID.parse().expect("well formed");
        assert_eq!(route(&Method::GET, &format!("/v1/verifications/{ID}")), Ok(Route::Verification(id)));
        assert_eq!(route(&Method::GET, &format!("/v1/verifications/{ID}/receipt")), Ok(Route::Receipt(id)));
        for path in [format!("/v1/verifications/{ID}"), format!("/v1/verifications/{ID}/receipt")] {
            assert_eq!(cause(&Method::POST, &path), Some(RejectCause::MethodNotAllowed));
        }
        let absent = [
            "/",
            "/v1/verifications/",
            "/v1/verifications/real-name/",
            "/v1/verifications/../x",
            "//",
            "*",
            "/v1/verifications/receipt",
            "/v1/verifications/real-name/receipt",
            "/v1/verifications//receipt",
        ];
        for path in absent {
            assert_eq!(cause(&Method::POST, path), Some(RejectCause::NotFound), "{path}");
        }
    }
}
