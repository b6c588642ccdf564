//! Objects by handle, and how they follow the files.
//!
//! Handles are never used twice in the life of the process, not even after `C_Finalize`: a stale one names nothing.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};

use cryptoki_sys::{CK_OBJECT_HANDLE, CK_SESSION_HANDLE};

use crate::format::{Body, ObjectId, TokenId};
use crate::object::Object;
use crate::seal::{self, MasterKey};
use crate::store::{Locked, StoreError, Version};

static NEXT: AtomicU64 = AtomicU64::new(1);

/// A number that no session or object of this process has had.
pub(crate) fn fresh_handle() -> u64 {
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Where an object lives.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Home {
    /// In this file, at this version.
    Token(ObjectId, Version),
    /// In the memory of this process, until this session closes.
    Session(CK_SESSION_HANDLE),
}

/// An object with its place.
pub(crate) struct Entry {
    pub(crate) object: Object,
    pub(crate) home: Home,
}

/// All objects this application can see.
#[derive(Default)]
pub(crate) struct Table {
    entries: BTreeMap<CK_OBJECT_HANDLE, Entry>,
    files: HashMap<ObjectId, CK_OBJECT_HANDLE>,
    /// Private files that were there while no user was logged in, so that they are not read again and again.
    sealed: HashMap<ObjectId, Version>,
}

impl Table {
    pub(crate) fn get(&self, handle: CK_OBJECT_HANDLE) -> Option<&Entry> {
        self.entries.get(&handle)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (CK_OBJECT_HANDLE, &Entry)> {
        self.entries.iter().map(|(handle, entry)| (*handle, entry))
    }

    /// Adds an object under a fresh handle.
    pub(crate) fn insert(&mut self, object: Object, home: Home) -> CK_OBJECT_HANDLE {
        let handle = fresh_handle();
        if let Home::Token(id, _) = home {
            self.files.insert(id, handle);
        }
        self.entries.insert(handle, Entry { object, home });
        handle
    }

    /// Replaces the content behind a handle.
    pub(crate) fn update(&mut self, handle: CK_OBJECT_HANDLE, object: Object, home: Home) {
        self.entries.insert(handle, Entry { object, home });
    }

    pub(crate) fn remove(&mut self, handle: CK_OBJECT_HANDLE) {
        if let Some(Entry { home: Home::Token(id, _), .. }) = self.entries.remove(&handle) {
            self.files.remove(&id);
        }
    }

    /// Forgets everything private: their handles die with the login.
    pub(crate) fn forget_private(&mut self) {
        self.retain(|entry| !entry.object.private());
        self.sealed.clear();
    }

    /// Forgets the objects of a closed session.
    pub(crate) fn forget_session(&mut self, session: CK_SESSION_HANDLE) {
        self.retain(|entry| entry.home != Home::Session(session));
    }

    fn retain(&mut self, keep: impl Fn(&Entry) -> bool) {
        self.entries.retain(|_, entry| keep(entry));
        let entries = &self.entries;
        self.files.retain(|_, handle| entries.contains_key(handle));
    }

    /// Brings the table in line with the files; `master` opens the private ones.
    pub(crate) fn refresh(
        &mut self,
        store: &Locked<'_>,
        token: &TokenId,
        master: Option<&MasterKey>,
    ) -> Result<(), StoreError> {
        let present: HashMap<ObjectId, Version> = store.objects()?.into_iter().collect();
        self.retain(|entry| match entry.home {
            Home::Token(id, _) => present.contains_key(&id),
            Home::Session(_) => true,
        });
        self.sealed.retain(|id, version| present.get(id) == Some(version));
        for (id, version) in present {
            let known = self.files.get(&id).copied();
            let current = known.and_then(|handle| self.entries.get(&handle)).map(|entry| entry.home);
            if current == Some(Home::Token(id, version)) || (master.is_none() && self.sealed.contains_key(&id)) {
                continue;
            }
            let Some(file) = store.object(&id)? else { continue };
            if file.token != *token {
                continue;
            }
            let opened = match (&file.body, master) {
                (Body::Public { .. }, _) => seal::open_public(&file),
                (Body::Private { .. }, Some(master)) => master.open(&file),
                (Body::Private { .. }, None) => {
                    self.sealed.insert(id, version);
                    continue;
                }
            };
            let object = opened.ok_or_else(|| StoreError::Damaged {
                path: store.object_path(&id),
                reason: "its content does not open with this token's key or is not an object",
            })?;
            match known {
                Some(handle) => self.update(handle, object, Home::Token(id, version)),
                None => _ = self.insert(object, Home::Token(id, version)),
            }
        }
        Ok(())
    }
}
