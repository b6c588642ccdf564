//! Writing JSON; reading it is [`yanqian_messages::Members`].

/// A JSON string with quotes and escapes.
pub(crate) fn quote(text: &str) -> String {
    // Strings always serialise.
    serde_json::to_string(text).unwrap_or_default()
}
