use std::net::IpAddr;

use http::{HeaderMap, header};
use hyper::body::Incoming;
use yanqian_agreement::Source;
use yanqian_vocabulary::{CallerId, Mode, Reason, Timestamp, VerificationId};
use zeroize::Zeroizing;

use crate::core::Core;
use crate::metrics::RejectCause;

/// A request whose head has been read and whose body has not been touched.
pub(crate) struct Received {
    headers: HeaderMap,
    body: Incoming,
}

/// A check with a known caller. From here on every end is recorded.
pub(crate) struct Authenticated {
    pub(super) id: VerificationId,
    pub(super) caller: CallerId,
    pub(super) mode: Mode,
    pub(super) source: Source,
    pub(super) received_at: Timestamp,
    pub(super) headers: HeaderMap,
    pub(super) body: Incoming,
}

impl Received {
    pub(crate) fn new(headers: HeaderMap, body: Incoming) -> Self {
        Self { headers, body }
    }

    /// The caller is the one whose name the verified client certificate carries; no other part of the request counts.
    /// The body comes back unread when there is no such caller.
    pub(crate) fn authenticate(
        self,
        core: &Core,
        names: &[String],
        peer: IpAddr,
        mode: Mode,
    ) -> Result<Authenticated, (RejectCause, Incoming)> {
        let caller = match core.caller(names) {
            Ok(caller) => caller,
            Err(cause) => return Err((cause, self.body)),
        };
        let received_at = core.clock.now();
        let id = core.new_id(received_at);
        let source = Source::Peer(peer);
        Ok(Authenticated { id, caller, mode, source, received_at, headers: self.headers, body: self.body })
    }
}

/// Octets of an idempotency key at most.
const MAX_IDEMPOTENCY_KEY: usize = 128;

/// The `Idempotency-Key` header: absent, or exactly one of 1 to 128 printable ASCII characters.
pub(super) fn idempotency_key(headers: &HeaderMap) -> Result<Option<Zeroizing<String>>, Reason> {
    let mut values = headers.get_all("idempotency-key").iter();
    let Some(value) = values.next() else { return Ok(None) };
    let text = value.to_str().map_err(|_| Reason::IdempotencyKeyMalformed)?;
    let well_formed = (1..=MAX_IDEMPOTENCY_KEY).contains(&text.len()) && text.bytes().all(|c| c.is_ascii_graphic());
    if well_formed && values.next().is_none() {
        Ok(Some(Zeroizing::new(text.to_owned())))
    } else {
        Err(Reason::IdempotencyKeyMalformed)
    }
}

/// `Content-Type: application/json`, with no parameter but `charset=utf-8`, and no `Content-Encoding`: a body is never
/// expanded.
pub(super) fn check_content(headers: &HeaderMap) -> Result<(), Reason> {
    let encoded = |value: &http::HeaderValue| !value.as_bytes().eq_ignore_ascii_case(b"identity");
    if headers.get_all(header::CONTENT_ENCODING).iter().any(encoded) {
        return Err(Reason::ContentEncodingUnsupported);
    }
    let mut values = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return Err(Reason::ContentTypeUnsupported) };
    let text = value.to_str().map_err(|_| Reason::ContentTypeUnsupported)?;
    let mut parts = text.split(';').map(str::trim);
    let media = parts.next().is_some_and(|media| media.eq_ignore_ascii_case("application/json"));
    if media && parts.all(|parameter| parameter.eq_ignore_ascii_case("charset=utf-8")) {
        Ok(())
    } else {
        Err(Reason::ContentTypeUnsupported)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn with(name: &'static str, values: &[&'static str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn an_idempotency_key_stands_once_in_printable_ascii() {
        assert_eq!(idempotency_key(&HeaderMap::new()).unwrap(), None);
        assert_eq!(idempotency_key(&with("idempotency-key", &["a-1"])).unwrap().unwrap().as_str(), "a-1");
        let long: &'static str = Box::leak("k".repeat(129).into_boxed_str());
        for values in [&["a", "b"][..], &[""], &["a b"], &[long]] {
            assert_eq!(idempotency_key(&with("idempotency-key", values)), Err(Reason::IdempotencyKeyMalformed));
        }
    }

    #[test]
    fn only_json_is_a_content_type() {
        for good in ["application/json", "Application/JSON; charset=UTF-8"] {
            assert_eq!(check_content(&with("content-type", &[good])), Ok(()), "{good}");
        }
        assert_eq!(check_content(&HeaderMap::new()), Err(Reason::ContentTypeUnsupported));
        for bad in ["text/json", "application/json; charset=gbk", "application/jsonx", ""] {
            assert_eq!(check_content(&with("content-type", &[bad])), Err(Reason::ContentTypeUnsupported), "{bad}");
        }
        let mut encoded = with("content-type", &["application/json"]);
        encoded.append(header::CONTENT_ENCODING, "gzip".parse().unwrap());
        assert_eq!(check_content(&encoded), Err(Reason::ContentEncodingUnsupported));
    }
}
