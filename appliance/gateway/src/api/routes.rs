//! From a request's head to the pipeline. The body is not touched before the caller is known.

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use yanqian_vocabulary::VerificationId;

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
    match handle_inner(&core, request, &names).await {
        Ok(response) => response,
        Err(cause) => {
            core.count_rejected(cause);
            Rejected(cause).into_response()
        }
    }
}

async fn handle_inner(
    core: &Arc<Core>,
    request: Request<Incoming>,
    names: &[String],
) -> Result<Response<Full<Bytes>>, RejectCause> {
    let route = route(request.method(), request.uri().path())?;
    let Some(slot) = core.take_slot() else {
        let shed = if core.is_accepting() { Shed::Overloaded } else { Shed::ShuttingDown };
        core.count_shed(shed);
        return Ok(shed.into_response());
    };
    match route {
        Route::Verification(id) => match pipeline::lookup(core, names, id).await? {
            Ok(reply) => Ok(reply.into_response()),
            Err(shed) => Ok(shed.into_response()),
        },
        Route::RealName => {
            let check = Received::new(request).authenticate(core, names)?;
            let core = Arc::clone(core);
            // A task of its own: a caller that hangs up in mid-flight must not stop the check half-way.
            let task = tokio::spawn(async move {
                let response = pipeline::run(&core, check).await;
                drop(slot);
                response
            });
            Ok(task.await.unwrap_or_else(|_| Shed::EvidenceUnavailable.into_response()))
        }
    }
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
