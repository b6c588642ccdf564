//! What the platform remembers of each request, for tests to look at. All people in it are invented.

use serde::{Deserialize, Serialize};

use crate::platform::{KEPT, Platform, State};

/// One request that arrived over HTTPS.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct Seen {
    /// Base64 of the decrypted HTTP octets as they came: request line, headers and body. The envelope in it is still sealed.
    pub raw: String,
    /// JSON from the opened envelope; none when it did not open or was not reached.
    pub inner: Option<serde_json::Value>,
    /// The request's nonce.
    pub nonce: Option<String>,
    /// Customer number.
    pub customer: Option<String>,
    /// Purpose code.
    pub purpose: Option<String>,
    /// The form's code of the honest answer (`0000`, `MATCH`, …), or `http-400` and the like.
    pub verdict: String,
    /// Why it was refused, in words.
    pub reason: Option<String>,
    /// Whether it was refused.
    pub refused: bool,
    /// Whether the signature verified (the certificate may still have been refused).
    pub signature_ok: bool,
    /// Name of the misbehaviour with which it was answered.
    pub misbehaviour: Option<String>,
    /// The peer's address.
    pub remote: String,
    /// The connection on which it came.
    pub handshake: Handshake,
}

/// What the two sides of a connection agreed on.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct Handshake {
    /// `TLSv1.3` and the like.
    pub version: String,
    /// The cipher suite's name.
    pub suite: String,
    /// `http/1.1` or `h2`.
    pub protocol: String,
    /// SM3 of the client's certificate in DER, hexadecimal; none when it showed none.
    pub client: Option<String>,
}

/// What the log says of a request whose nonce came before. No appliance sends one twice, so a test site that finds this in the log fails.
pub const NONCE_TWICE: &str = "A NONCE CAME TWICE";

/// Counters since the start or the last reset.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct Stats {
    /// Requests that arrived.
    pub requests: u64,
    /// Different nonces.
    pub nonces: u64,
    /// Requests whose nonce came before.
    pub duplicates: u64,
    /// Requests refused.
    pub refused: u64,
}

impl Platform {
    pub(crate) fn record(&self, seen: Seen) {
        let mut state = self.state();
        state.stats.requests += 1;
        state.stats.refused += u64::from(seen.refused);
        if state.seen.len() == KEPT {
            state.seen.pop_front();
        }
        state.seen.push_back(seen);
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.state().seen.iter().cloned().collect()
    }

    pub(crate) fn stats(&self) -> Stats {
        self.state().stats
    }

    pub(crate) fn reset(&self) {
        *self.state() = State::default();
    }
}
