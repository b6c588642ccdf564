//! `[clock]` of the configuration file.

use std::num::NonZeroU32;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::limits::n32;

/// Who knows how far the clock is off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ClockSource {
    Chrony,
    Timesyncd,
    #[default]
    None,
}

impl ClockSource {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Chrony => "chrony",
            Self::Timesyncd => "timesyncd",
            Self::None => "none",
        }
    }
}

/// Whether the clock can be trusted; all optional. An answer's freshness is worth what the clock is.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawClock {
    /// Who is asked: chrony at its command port on this machine, systemd-timesyncd by the file that it leaves, or nobody.
    source: ClockSource,
    /// Milliseconds that the clock may be off by the source's own bound; timesyncd tells none.
    max_error_ms: NonZeroU32,
    /// Whether checks are refused while the clock is not known to be within the bound; otherwise there are warnings only.
    required: bool,
    /// Port of chrony's commands.
    chrony_port: u16,
}

impl Default for RawClock {
    fn default() -> Self {
        Self { source: ClockSource::None, max_error_ms: n32(1000), required: true, chrony_port: 323 }
    }
}

/// How the clock is judged.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ClockConfig {
    pub(crate) source: ClockSource,
    pub(crate) max_error: Duration,
    pub(crate) required: bool,
    pub(crate) chrony_port: u16,
}

impl From<RawClock> for ClockConfig {
    fn from(raw: RawClock) -> Self {
        Self {
            source: raw.source,
            max_error: Duration::from_millis(raw.max_error_ms.get().into()),
            required: raw.required,
            chrony_port: raw.chrony_port,
        }
    }
}
