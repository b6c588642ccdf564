//! From a request's head to the pipeline. The body is not touched before the caller is known.

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use yanqian_vocabulary::VerificationId;

use super::body::discard;
use crate::core::Core;
use crate::metrics::RejectCause;
use crate::pipeline::{self, Received};
use crate::reply::{Rejected, Shed};

enum Route {
    RealName,
    Verification(VerificationId),
}

fn route(method: &Method, path: &str) -> Result<Route, RejectCause> {
    let Some(rest) = path.strip_prefix("/v1/verifications/") else { return Err(RejectCause::NotFound) };
    if rest == "real-name" {
        return if method == Method::POST { Ok(Route::RealName) } else { Err(RejectCause::MethodNotAllowed) };
    }
    let id = rest.parse().map_err(|_| RejectCause::NotFound)?;
    if method == Method::GET { Ok(Route::Verification(id)) } else { Err(RejectCause::MethodNotAllowed) }
}

/// Answers one request of a connection whose client certificate carries `names`.
pub(crate) async fn handle(core: Arc<Core>, request: Request<Incoming>, names: Arc<[String]>) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let route = match route(&head.method, head.uri.path()) {
        Ok(route) => route,
        Err(cause) => return reject(&core, cause, body).await,
    };
    let Some(slot) = core.take_slot() else {
        let shed = if core.is_accepting() { Shed::Overloaded } else { Shed::ShuttingDown };
        core.count_shed(shed);
        return shed.into_response();
    };
    match route {
        Route::Verification(id) => match pipeline::lookup(&core, &names, id).await {
            Ok(Ok(reply)) => reply.into_response(),
            Ok(Err(shed)) => shed.into_response(),
            Err(cause) => reject(&core, cause, body).await,
        },
        Route::RealName => {
            let check = match Received::new(head.headers, body).authenticate(&core, &names) {
                Ok(check) => check,
                Err((cause, body)) => return reject(&core, cause, body).await,
            };
            // A task of its own: a caller that hangs up in mid-flight must not stop the check half-way.
            let task = tokio::spawn(async move {
                let response = pipeline::run(&core, check).await;
                drop(slot);
                response
            });
            task.await.unwrap_or_else(|_| Shed::EvidenceUnavailable.into_response())
        }
    }
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

    #[test]
    fn only_the_two_resources_exist() {
        assert_eq!(cause(&Method::POST, "/v1/verifications/real-name"), None);
        assert_eq!(cause(&Method::GET, "/v1/verifications/00000000-0001-7000-8000-000000000000"), None);
        assert_eq!(cause(&Method::GET, "/v1/verifications/real-name"), Some(RejectCause::MethodNotAllowed));
        assert_eq!(
            cause(&Method::POST, "/v1/verifications/00000000-0001-7000-8000-000000000000"),
            Some(RejectCause::MethodNotAllowed)
        );
        for path in ["/", "/v1/verifications/", "/v1/verifications/real-name/", "/v1/verifications/../x", "//", "*"] {
            assert_eq!(cause(&Method::POST, path), Some(RejectCause::NotFound), "{path}");
        }
    }
}
