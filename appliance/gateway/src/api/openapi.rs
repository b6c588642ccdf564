//! The description of the internal API.

/// The methods of a path that exists, as `Allow` has them.
pub(crate) fn methods(path: &str) -> &'static str {
    match path {
        "/v1/verifications/real-name" | "/v1/verifications/real-person" | "/v1/verifications/chip-reading" => "POST",
        _ => "GET",
    }
}
