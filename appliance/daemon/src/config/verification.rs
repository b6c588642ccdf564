//! `[verification]` of the configuration file.

use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::Deserialize;
use yanqian_trust::VerifierSettings;

const SHADOW_EVERY: NonZeroU32 = NonZeroU32::new(16).expect("above zero");

/// How signatures are verified; all optional.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawVerification {
    /// Octets that tables of public keys may take. A key that has one is verified several times as fast. The keys of the trust store
    /// and the entity's own come first; keys met in passing share a quarter at most. 0: no tables.
    table_memory_bytes: u32,
    /// Every n-th answer is verified by OpenSSL too, the first included. Where the two disagree, the route to the platform stops.
    shadow_every: NonZeroU32,
}

impl Default for RawVerification {
    fn default() -> Self {
        Self { table_memory_bytes: 32 * 1024 * 1024, shadow_every: SHADOW_EVERY }
    }
}

impl From<RawVerification> for VerifierSettings {
    fn from(raw: RawVerification) -> Self {
        Self {
            table_octets: usize::try_from(raw.table_memory_bytes).unwrap_or(usize::MAX),
            shadow_every: raw.shadow_every,
        }
    }
}
