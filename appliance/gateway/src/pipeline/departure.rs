//! How a request of joint debugging (Measures art. 7(3)) departs on purpose from what the platform may expect, so that both sides see
//! it refused. Such a request goes the way of every other: its intent is durable before anything signs it, and names the key that does.

use std::fmt;
use std::sync::Arc;

use yanqian_evidence::Context;
use yanqian_messages::Certificate;
use yanqian_sm::Signature;
use yanqian_vocabulary::{Nonce, Timestamp, TokenGrade};

use crate::keys::{InForce, KeyPair};

/// What is wrong with a request.
#[derive(Debug, Clone)]
pub enum Departure {
    /// The signature that is sent is not the one that the token made, which is recorded.
    BrokenSignature,
    /// The request, its signed attributes included, says that it was made so many milliseconds ago.
    StaleTime { millis: i64 },
    /// The nonce was sent before.
    RepeatedNonce(Nonce),
    /// A key signs that the platform does not know.
    UnregisteredCertificate(Arc<Stranger>),
}

/// Signs octets with Z of the default distinguishing id.
type Sign = dyn Fn(&[u8]) -> Option<Signature> + Send + Sync;

/// A key pair that is not the entity's, and who signs with it.
pub struct Stranger {
    pair: Arc<KeyPair>,
    sign: Box<Sign>,
}

impl fmt::Debug for Stranger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Stranger({})", self.pair.label)
    }
}

impl Stranger {
    /// `sign` signs octets with Z of the default distinguishing id. None when the certificate holds no SM2 key.
    pub fn new(
        certificate: Certificate,
        sign: impl Fn(&[u8]) -> Option<Signature> + Send + Sync + 'static,
    ) -> Option<Self> {
        let pair = KeyPair::new("stranger".to_owned(), certificate, None, None)?;
        pair.set_proven(true);
        Some(Self { pair: Arc::new(pair), sign: Box::new(sign) })
    }

    pub(super) fn certificate(&self) -> &Certificate {
        &self.pair.certificate
    }

    pub(super) fn sign(&self, octets: &[u8]) -> Option<Signature> {
        (self.sign)(octets)
    }

    /// What is in force with this pair for signing, so that records name the key that signs.
    pub(super) fn in_place_of(&self, entity: &InForce) -> Arc<InForce> {
        let context = Context {
            key: self.pair.key_id(),
            certificate: self.pair.certificate_hash(),
            grade: TokenGrade::Development,
            ..(*entity.context).clone()
        };
        Arc::new(InForce {
            signing: Arc::clone(&self.pair),
            encryption: entity.encryption.clone(),
            openers: entity.openers.clone(),
            agreement: Arc::clone(&entity.agreement),
            context: Arc::new(context),
        })
    }
}

impl Departure {
    pub(super) fn stranger(&self) -> Option<&Stranger> {
        match self {
            Self::UnregisteredCertificate(stranger) => Some(stranger),
            _ => None,
        }
    }

    /// The time that a request says.
    pub(super) fn time(&self, now: Timestamp) -> Timestamp {
        match self {
            Self::StaleTime { millis } => now.plus_millis(millis.saturating_neg()),
            _ => now,
        }
    }

    pub(super) const fn nonce(&self) -> Option<Nonce> {
        match self {
            Self::RepeatedNonce(nonce) => Some(*nonce),
            _ => None,
        }
    }

    /// The signature that is sent in the place of the one that was made.
    pub(super) fn signature(&self, made: Signature) -> Signature {
        match self {
            Self::BrokenSignature => broken(made),
            _ => made,
        }
    }
}

/// Another signature in the same form: one bit of s, or of r where that leaves the range.
fn broken(made: Signature) -> Signature {
    let turned = |at: usize| {
        let mut raw = made.to_raw();
        raw[at] ^= 1;
        Signature::from_raw(&raw).ok()
    };
    turned(63).or_else(|| turned(31)).unwrap_or(made)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_broken_signature_is_another_one_that_every_form_can_carry() {
        let mut raw = [7; 64];
        for last in [1, 7] {
            raw[32..63].fill(if last == 1 { 0 } else { 7 });
            raw[63] = last;
            let made = Signature::from_raw(&raw).unwrap();
            let sent = Departure::BrokenSignature.signature(made);
            assert_ne!(sent.to_raw(), made.to_raw());
            assert_eq!(Signature::from_der(&sent.to_der()).unwrap(), sent);
        }
    }

    #[test]
    fn each_departure_changes_one_thing() {
        let now = Timestamp::from_unix_millis(1_000_000);
        let made = Signature::from_raw(&[7; 64]).unwrap();
        let nonce = Nonce::new([3; 16]);
        for departure in
            [Departure::BrokenSignature, Departure::StaleTime { millis: 1000 }, Departure::RepeatedNonce(nonce)]
        {
            let changed = [
                departure.signature(made) != made,
                departure.time(now) != now,
                departure.nonce().is_some(),
                departure.stranger().is_some(),
            ];
            assert_eq!(changed.into_iter().filter(|changed| *changed).count(), 1, "{departure:?}");
        }
        assert_eq!(Departure::StaleTime { millis: 1000 }.time(now).unix_millis(), 999_000);
    }
}
