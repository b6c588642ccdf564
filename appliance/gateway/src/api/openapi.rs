//! The description of the internal API: `docs/openapi.json`, which is its one source. It is written by hand, served as it
//! stands, held against the router and the reasons by the tests below, and against a running site by `tests/openapi`.

use std::sync::LazyLock;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use yanqian_vocabulary::ContentDigest;

/// Where it is served.
pub(crate) const PATH: &str = "/v1/openapi.json";

static DOCUMENT: &str = include_str!("../../../../docs/openapi.json");

/// The entity tag: a hash, so that two appliances of one version agree.
static TAG: LazyLock<String> = LazyLock::new(|| {
    let digest = ContentDigest::new(yanqian_sm::sm3(&[DOCUMENT.as_bytes()]));
    format!("\"{digest}\"")
});

/// The description, or 304 when the caller has it.
pub(crate) fn answer(request: &HeaderMap) -> Response<Full<Bytes>> {
    let known = request.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok()).any(names_it);
    let body = if known { Bytes::new() } else { Bytes::from_static(DOCUMENT.as_bytes()) };
    let mut response = Response::new(Full::new(body));
    let headers = response.headers_mut();
    if let Ok(tag) = HeaderValue::from_str(&TAG) {
        headers.insert(header::ETAG, tag);
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, max-age=3600"));
    if known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    } else {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    response
}

/// Whether an `If-None-Match` names this description (RFC 9110 13.1.2, weak comparison).
fn names_it(list: &str) -> bool {
    list.split(',').map(str::trim).any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == *TAG)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::{BTreeMap, BTreeSet};

    use serde_json::Value;
    use yanqian_vocabulary::{DocumentType, Field, FieldVerdict, Mode, Reason, Verdict};

    use super::*;
    use crate::api::problem::Problem;
    use crate::api::routes::{Route, resource};
    use crate::metrics::RejectCause;
    use crate::reply::Rejected;

    const ID: &str = "00000000-0001-7000-8000-000000000000";

    fn document() -> Value {
        serde_json::from_str(DOCUMENT).unwrap()
    }

    fn at<'a>(document: &'a Value, pointer: &str) -> &'a Value {
        document.pointer(pointer).unwrap_or_else(|| panic!("{pointer} is not in the description"))
    }

    fn members(value: &Value) -> BTreeMap<&str, &Value> {
        value.as_object().unwrap().iter().map(|(name, value)| (name.as_str(), value)).collect()
    }

    fn words(value: &Value) -> Vec<&str> {
        value.as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect()
    }

    /// The path under which a route is described. A new route must find its place here.
    fn template(route: &Route) -> &'static str {
        match route {
            Route::Check(Mode::RealName) => "/v1/verifications/real-name",
            Route::Check(Mode::RealPerson) => "/v1/verifications/real-person",
            Route::Check(Mode::ChipReading) => "/v1/verifications/chip-reading",
            Route::Verification(_) => "/v1/verifications/{id}",
            Route::Receipt(_) => "/v1/verifications/{id}/receipt",
            Route::Description => PATH,
        }
    }

    #[test]
    fn every_route_is_described_and_nothing_else_is() {
        let document = document();
        let paths = members(at(&document, "/paths"));
        let mut described = BTreeSet::new();
        for (path, item) in &paths {
            let (route, method) = resource(&path.replace("{id}", ID)).expect("what is described is routed");
            assert_eq!(template(&route), *path);
            let operations: Vec<_> = members(item).into_keys().collect();
            assert_eq!(operations, [method.as_str().to_lowercase()], "{path}");
            described.insert(*path);
        }
        let modes = Mode::ALL.iter().map(|mode| template(&Route::Check(*mode)));
        let id = ID.parse().unwrap();
        let others = [Route::Verification(id), Route::Receipt(id), Route::Description];
        let expected: BTreeSet<_> = modes.chain(others.iter().map(template)).collect();
        assert_eq!(described, expected);
    }

    #[test]
    fn the_codes_of_every_status_are_those_of_the_reasons_and_rejections() {
        let reasons = Reason::ALL.iter().map(|reason| Problem::of_reason(*reason, None, None));
        // The other causes end their connection and have no reply.
        let answered = [
            RejectCause::CallerUnknown,
            RejectCause::NotFound,
            RejectCause::MethodNotAllowed,
            RejectCause::HttpMalformed,
            RejectCause::HeadTooLarge,
        ];
        let rejections = answered.into_iter().map(|cause| Rejected(cause).problem());
        let mut expected: BTreeMap<u16, BTreeSet<&str>> = BTreeMap::new();
        for problem in reasons.chain(rejections) {
            expected.entry(problem.status.as_u16()).or_default().insert(problem.code);
        }
        let document = document();
        let mut described = BTreeMap::new();
        for (name, response) in members(at(&document, "/components/responses")) {
            let Some(status) = name.strip_prefix("Problem") else { continue };
            let status: u16 = status.parse().unwrap();
            let own = at(response, "/content/application~1problem+json/schema/allOf/1/properties");
            assert_eq!(at(own, "/status/const"), status);
            let codes = words(at(own, "/code/enum"));
            let set: BTreeSet<&str> = codes.iter().copied().collect();
            assert_eq!(set.len(), codes.len(), "a code stands twice under {status}");
            described.insert(status, set);
        }
        assert_eq!(described, expected);
    }

    #[test]
    fn words_are_those_of_the_vocabulary() {
        let document = document();
        let schema = |name: &str, rest: &str| at(&document, &format!("/components/schemas/{name}{rest}")).clone();
        let types: Vec<_> = DocumentType::ALL.iter().map(|word| word.as_str()).collect();
        assert_eq!(words(&schema("DocumentType", "/enum")), types);
        assert_eq!(schema("Document", "/oneOf").as_array().unwrap().len(), types.len());
        let verdicts: Vec<_> = Verdict::ALL.iter().map(|word| word.as_str()).collect();
        assert_eq!(words(&schema("Verdict", "/enum")), verdicts);
        let verdicts: Vec<_> = FieldVerdict::ALL.iter().map(|word| word.as_str()).collect();
        assert_eq!(words(&schema("FieldVerdict", "/enum")), verdicts);
        let fields: BTreeSet<_> = Field::ALL.iter().map(|word| word.as_str()).collect();
        let described = schema("FieldVerdicts", "/properties");
        assert_eq!(members(&described).into_keys().collect::<BTreeSet<_>>(), fields);
    }

    /// Calls `visit` with every object of the document that is one in JSON Schema, and with every reference.
    fn walk(value: &Value, path: &str, visit: &mut impl FnMut(&str, &Value)) {
        visit(path, value);
        match value {
            Value::Object(members) => {
                members.iter().for_each(|(name, value)| walk(value, &format!("{path}/{name}"), visit));
            }
            Value::Array(items) => items.iter().for_each(|value| walk(value, path, visit)),
            _ => {}
        }
    }

    #[test]
    fn every_schema_is_strict_and_every_reference_leads_somewhere() {
        let document = document();
        let mut objects = 0;
        walk(&document, "", &mut |path, value| {
            if let Some(reference) = value.get("$ref").and_then(Value::as_str) {
                assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{path}: {reference}");
            }
            // The description of itself is OpenAPI's business.
            if value.get("type").is_some_and(|kind| kind == "object") && !path.starts_with("/paths//v1/openapi.json") {
                objects += 1;
                assert_eq!(value["additionalProperties"], false, "{path}");
                assert!(value["properties"].is_object() && value["required"].is_array(), "{path}");
            }
        });
        assert!(objects > 10, "{objects}");
    }

    #[test]
    fn a_caller_that_has_the_description_is_told_so() {
        let with = |tag: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::IF_NONE_MATCH, HeaderValue::from_str(tag).unwrap());
            answer(&headers).status().as_u16()
        };
        assert_eq!(answer(&HeaderMap::new()).status(), 200);
        assert_eq!([with(&TAG), with("*"), with(&format!("\"other\", W/{}", *TAG))], [304; 3]);
        assert_eq!([with("\"other\""), with(""), with(TAG.trim_matches('"'))], [200; 3]);
    }
}
