//! The entity's key pairs in the table of `yanqian check`: one row for each certificate and one for each key.

use std::sync::Arc;

use yanqian_gateway::{KeyPair, PairState, PairUsage};
use yanqian_hsm::KeyEntry;
use yanqian_hsm::protocol::KeyUsage;
use yanqian_messages::Certificate;
use yanqian_sm::PublicKey;
use yanqian_vocabulary::Timestamp;

use super::{Found, Level, Row, certificate, days_left, row, warn_if};
use crate::config::Token;
use crate::keys::is_needed;

/// A pair and where it stands in its list.
pub(in crate::cli) struct Placed {
    usage: PairUsage,
    pair: Arc<KeyPair>,
    state: PairState,
    /// Whether there are others for the same use, so that notes must say which.
    one_of_several: bool,
    needed: bool,
}

/// The row about certificates for one use.
pub(super) const fn certificate_key(usage: PairUsage) -> &'static str {
    match usage {
        PairUsage::Signing => "signing-certificate",
        PairUsage::Encryption => "encryption-certificate",
    }
}

pub(super) fn placed(usage: PairUsage, pairs: Vec<Arc<KeyPair>>, now: Timestamp) -> impl Iterator<Item = Placed> {
    let begun = pairs.iter().skip(1).take_while(|pair| pair.from.is_some_and(|from| from <= now)).count();
    let one_of_several = pairs.len() > 1;
    pairs.into_iter().enumerate().map(move |(place, pair)| {
        let state = PairState::of(place, begun);
        let needed = is_needed(usage, &pair, state, now);
        Placed { usage, pair, state, one_of_several, needed }
    })
}

impl Placed {
    pub(super) fn is_for(&self, usage: PairUsage) -> bool {
        self.usage == usage
    }

    pub(super) fn certificate(&self) -> &Certificate {
        &self.pair.certificate
    }

    fn told(&self, Found(level, note): Found) -> Found {
        if !self.one_of_several {
            return Found(level, note);
        }
        let since = self.pair.from.map_or_else(String::new, |from| format!(" from {from}"));
        Found(level, format!("{}{since}: {note}", self.state.as_str()))
    }

    pub(super) fn certificate_row(&self) -> Row {
        let certificate_of = &self.pair.certificate;
        let found = match self.state {
            PairState::InUse => certificate(Ok(certificate_of)),
            // Valid when its time comes, or it would not have been read.
            PairState::Next => {
                let left = days_left(certificate_of.not_after());
                Found(Level::Ok, format!("{}, ends in {left} days", certificate_of.subject()))
            }
            PairState::Former => Found(Level::Ok, certificate_of.subject().to_owned()),
        };
        row(certificate_key(self.usage), self.told(found))
    }

    /// None when nothing asks for the key any more.
    pub(in crate::cli) fn key_row(&self, keys: &[KeyEntry], token: &Token) -> Option<Row> {
        let (key, usage) = match self.usage {
            PairUsage::Signing => ("signing-key", KeyUsage::Sign),
            PairUsage::Encryption => ("encryption-key", KeyUsage::Encrypt),
        };
        self.needed.then(|| row(key, self.told(held(keys, usage, &self.pair, token))))
    }
}

fn held(keys: &[KeyEntry], usage: KeyUsage, pair: &KeyPair, token: &Token) -> Found {
    let KeyPair { label, certificate, public_key: key, .. } = pair;
    let label = token.labels.get(label).unwrap_or(label);
    let fail = |problem: String| Found(Level::Fail, problem);
    let Some(entry) = keys.iter().find(|entry| entry.label == *label) else {
        return fail(format!("the token has no key `{label}`"));
    };
    if entry.usage != usage {
        return fail(format!("key `{label}` is there to {}, not to {}", entry.usage.as_str(), usage.as_str()));
    }
    if entry.public_key != Some(key.to_sec1()) {
        let found = entry.public_key.and_then(|sec1| PublicKey::from_sec1(&sec1).ok());
        let found = found.map_or("unknown".to_owned(), |key| hex::encode(key.key_id()));
        return fail(format!("key `{label}` is {found}, the certificate's is {}", hex::encode(key.key_id())));
    }
    if let Some(problem) = &entry.problem {
        return fail(format!("key `{label}` does not serve: {problem}"));
    }
    let beside = entry.certificate_hash == Some(certificate.hash());
    let note = format!("`{label}` is the certificate's and {}", if entry.proven { "proven" } else { "not proven yet" });
    let note = if beside { note } else { note + "; another certificate or none lies beside it in the token" };
    warn_if(!beside || !entry.proven, note)
}
