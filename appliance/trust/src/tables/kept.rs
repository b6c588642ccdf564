use std::collections::BTreeSet;

use yanqian_sm::PublicKey;

use super::stock::KeyUse;

/// Who names keys that are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyOwner {
    /// The using entity: its own certificates.
    Entity,
    /// The platform's trust store.
    Platform,
}

/// Keys that are met at every check.
#[derive(Debug, Clone, Default)]
pub struct KnownKeys {
    /// Their signatures are verified.
    pub verifying: Vec<PublicKey>,
    /// The same, known by the SM3 of their `SubjectPublicKeyInfo` until they are first seen.
    pub pinned: BTreeSet<[u8; 32]>,
    /// Messages are sealed to them.
    pub sealing: Vec<PublicKey>,
}

/// Key ids by owner and use.
#[derive(Debug, Default)]
pub(super) struct Kept([[BTreeSet<[u8; 32]>; 2]; 2]);

impl Kept {
    pub(super) fn set(&mut self, owner: KeyOwner, keys: &KnownKeys) {
        let ids = |keys: &[PublicKey]| keys.iter().map(PublicKey::key_id).collect::<BTreeSet<_>>();
        let mut verifying = ids(&keys.verifying);
        verifying.extend(&keys.pinned);
        self.0[owner as usize] = [verifying, ids(&keys.sealing)];
    }

    pub(super) fn is_kept(&self, to: KeyUse, id: &[u8; 32]) -> bool {
        self.0.iter().any(|of_owner| of_owner[to as usize].contains(id))
    }

    /// Octets that tables of all of them take.
    pub(super) fn octets(&self) -> usize {
        let of = |to: KeyUse| {
            let ids: BTreeSet<_> = self.0.iter().flat_map(|of_owner| &of_owner[to as usize]).collect();
            ids.len().saturating_mul(to.octets())
        };
        of(KeyUse::Verify).saturating_add(of(KeyUse::Seal))
    }
}
