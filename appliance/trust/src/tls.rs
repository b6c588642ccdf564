//! The platform's TLS certificate, beyond what a handshake checks: pins, and revocation data where the policy asks for them. A
//! handshake proves the chain, its validity and the name; OpenSSL's own revocation checking is not used, for it knows no grace.

use yanqian_messages::{Certificate, PinRole};

use crate::error::SignerError;
use crate::store::TrustStore;
use crate::verdict::{Span, edges_of};
use crate::verifier::Verifier;

impl TrustStore {
    /// Whether the certificate may be the platform's end of a TLS connection: one that pins of this role name, where there are any.
    pub fn allows_tls(&self, peer: &Certificate) -> bool {
        !self.pins.restrict(PinRole::Tls) || self.pins.allow(PinRole::Tls, peer)
    }

    /// Whether there is anything to ask about a certificate that a handshake took.
    pub fn judges_tls(&self) -> bool {
        self.policy.tls.is_some() || self.pins.restrict(PinRole::Tls)
    }

    /// Whether a request may be written to a TLS peer at `now` (seconds since 1970). `chain`: as the handshake verified it, the peer's
    /// first, the anchor's last. Gives the last second for which the answer holds; connections end then and are judged anew.
    pub fn check_tls(&self, chain: &[Certificate], now: i64, verifier: &Verifier) -> Result<i64, SignerError> {
        let [peer, above @ ..] = chain else { return Err(SignerError::Chain) };
        if !self.allows_tls(peer) {
            return Err(SignerError::NotPinned);
        }
        let Some(decides) = self.policy.tls else { return Ok(i64::MAX) };
        // Also of one that is refused: its responder is asked about it, and it may be good a moment later.
        self.met.add(peer, above);
        self.ask_along(peer, above, decides, now, verifier)?;
        let edges = self.edges.iter().copied().chain(chain.iter().flat_map(edges_of));
        Ok(Span::around(now, edges).last())
    }

    /// What [`Self::check_tls`] depends on beside the time. Where TLS certificates are not asked about, revocation data are not part of
    /// it: new ones end no connection.
    pub const fn tls_hash(&self) -> &[u8; 32] {
        &self.tls_hash
    }
}
