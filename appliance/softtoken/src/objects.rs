//! Finding, making, changing and destroying objects.

use cryptoki_sys::{
    CK_ATTRIBUTE_TYPE, CK_OBJECT_HANDLE, CK_SESSION_HANDLE, CKA_CLASS, CKA_PRIVATE, CKA_TOKEN, CKO_PRIVATE_KEY,
    CKO_SECRET_KEY, CKR_ACTION_PROHIBITED, CKR_GENERAL_ERROR, CKR_OBJECT_HANDLE_INVALID, CKR_OPERATION_ACTIVE,
    CKR_OPERATION_NOT_INITIALIZED, CKR_SESSION_READ_ONLY, CKR_TOKEN_NOT_RECOGNIZED, CKR_USER_NOT_LOGGED_IN,
};
use zeroize::Zeroizing;

use crate::attribute::Template;
use crate::dialect::Asked;
use crate::format::ObjectId;
use crate::key::PrivateKey;
use crate::making::{self, Origin};
use crate::module::{Module, State};
use crate::object::Object;
use crate::rv::{Outcome, Rv};
use crate::seal::{self, random};
use crate::store::{Exclusive, complain};
use crate::table::{Entry, Home};

impl State {
    /// The object behind a handle, as far as this application may see it now.
    pub(crate) fn object(&self, handle: CK_OBJECT_HANDLE) -> Outcome<&Entry> {
        let entry = self.objects.get(handle).ok_or(Rv(CKR_OBJECT_HANDLE_INVALID))?;
        if entry.object.private() && self.master().is_none() {
            return Err(Rv(CKR_OBJECT_HANDLE_INVALID));
        }
        Ok(entry)
    }
}

impl Module {
    /// `C_FindObjectsInit`. The only place, with login, where other processes' changes come into view.
    pub(crate) fn find_init(&self, session: CK_SESSION_HANDLE, template: &Template) -> Outcome<()> {
        let store = self.store.shared()?;
        let mut state = self.write()?;
        state.session(session)?;
        state.refresh(&store)?;
        let logged_in = state.master().is_some();
        let found = state
            .objects
            .iter()
            .filter(|(_, entry)| {
                (logged_in || !entry.object.private()) && entry.object.matches(&self.dialect, template)
            })
            .map(|(handle, _)| handle)
            .collect();
        drop((state, store));
        self.within(session, |operations| {
            if operations.find.is_some() {
                return Err(Rv(CKR_OPERATION_ACTIVE));
            }
            operations.find = Some(found);
            Ok(())
        })
    }

    /// `C_FindObjects`: up to `most` handles.
    pub(crate) fn find(&self, session: CK_SESSION_HANDLE, most: usize) -> Outcome<Vec<CK_OBJECT_HANDLE>> {
        self.within(session, |operations| {
            let found = operations.find.as_mut().ok_or(Rv(CKR_OPERATION_NOT_INITIALIZED))?;
            let count = most.min(found.len());
            Ok(found.drain(..count).collect())
        })
    }

    /// `C_FindObjectsFinal`.
    pub(crate) fn find_final(&self, session: CK_SESSION_HANDLE) -> Outcome<()> {
        self.within(session, |operations| match operations.find.take() {
            Some(_) => Ok(()),
            None => Err(Rv(CKR_OPERATION_NOT_INITIALIZED)),
        })
    }

    /// `C_GetAttributeValue`: one answer for each attribute asked for.
    pub(crate) fn attributes(
        &self,
        session: CK_SESSION_HANDLE,
        handle: CK_OBJECT_HANDLE,
        kinds: &[CK_ATTRIBUTE_TYPE],
    ) -> Outcome<Vec<Outcome<Zeroizing<Vec<u8>>>>> {
        let state = self.read()?;
        state.session(session)?;
        let entry = state.object(handle)?;
        Ok(kinds.iter().map(|kind| entry.object.read(&self.dialect, *kind)).collect())
    }

    /// `C_SetAttributeValue`.
    pub(crate) fn set_attributes(
        &self,
        session: CK_SESSION_HANDLE,
        handle: CK_OBJECT_HANDLE,
        template: &Template,
    ) -> Outcome<()> {
        let store = self.store.exclusive()?;
        let mut state = self.write()?;
        let entry = state.changeable(&store, session, handle)?;
        let changed = entry.object.changed(template)?;
        let home = match entry.home {
            Home::Token(id, _) => state.write_object(&store, &changed, id)?,
            session @ Home::Session(_) => session,
        };
        state.objects.update(handle, changed, home);
        Ok(())
    }

    /// `C_DestroyObject`.
    pub(crate) fn destroy(&self, session: CK_SESSION_HANDLE, handle: CK_OBJECT_HANDLE) -> Outcome<()> {
        let store = self.store.exclusive()?;
        let mut state = self.write()?;
        let entry = state.changeable(&store, session, handle)?;
        if !entry.object.destroyable() {
            return Err(Rv(CKR_ACTION_PROHIBITED));
        }
        if let Home::Token(id, _) = entry.home {
            store.remove_object(&id)?;
        }
        state.objects.remove(handle);
        Ok(())
    }

    /// `C_CreateObject`.
    pub(crate) fn create(&self, session: CK_SESSION_HANDLE, template: Template) -> Outcome<CK_OBJECT_HANDLE> {
        admissible(&*self.read()?, session, &template, false)?;
        let object = making::create(&self.dialect, template)?;
        self.add(session, vec![object])?.pop().ok_or(Rv(CKR_GENERAL_ERROR))
    }

    /// `C_GenerateKeyPair`: (public, private).
    pub(crate) fn generate_key_pair(
        &self,
        session: CK_SESSION_HANDLE,
        mechanism: &Asked,
        public: Template,
        private: Template,
    ) -> Outcome<(CK_OBJECT_HANDLE, CK_OBJECT_HANDLE)> {
        self.dialect.must_be_keygen(mechanism)?;
        {
            let state = self.read()?;
            admissible(&state, session, &public, false)?;
            admissible(&state, session, &private, true)?;
        }
        let key = PrivateKey::generate()?;
        let public = making::public_key(&self.dialect, public, key.public(), Origin::Generated)?;
        let private = making::private_key(&self.dialect, private, key, Origin::Generated)?;
        // The private key first: a crash in between leaves a key without its public object, not the reverse.
        match self.add(session, vec![private, public])?.as_slice() {
            [private, public] => Ok((*public, *private)),
            _ => Err(Rv(CKR_GENERAL_ERROR)),
        }
    }

    /// Stores new objects where they belong and gives them handles: all of them, or on an error none.
    pub(crate) fn add(&self, session: CK_SESSION_HANDLE, objects: Vec<Object>) -> Outcome<Vec<CK_OBJECT_HANDLE>> {
        let on_token = objects.iter().any(Object::on_token);
        let store = if on_token { Some(self.store.exclusive()?) } else { None };
        let mut state = self.write()?;
        let writable = state.session(session)?.writable;
        for object in &objects {
            if object.on_token() && !writable {
                return Err(Rv(CKR_SESSION_READ_ONLY));
            }
            if object.private() {
                state.user()?;
            }
        }
        let mut homes = Vec::with_capacity(objects.len());
        for object in &objects {
            let home = match &store {
                Some(store) if object.on_token() => random()
                    .map_err(Rv::from)
                    .and_then(|id| state.write_object(store, object, id))
                    .inspect_err(|_| undo(store, &homes))?,
                _ => Home::Session(session),
            };
            homes.push(home);
        }
        Ok(objects.into_iter().zip(homes).map(|(object, home)| state.objects.insert(object, home)).collect())
    }
}

/// Takes back what an incomplete `add` has written. The caller hears of the first error; this is a best effort.
fn undo(store: &Exclusive<'_>, homes: &[Home]) {
    for home in homes {
        if let Home::Token(id, _) = home
            && let Err(error) = store.remove_object(id)
        {
            complain(&error);
        }
    }
}

impl State {
    /// An object that this session may change, as it is on disk now.
    fn changeable(
        &mut self,
        store: &Exclusive<'_>,
        session: CK_SESSION_HANDLE,
        handle: CK_OBJECT_HANDLE,
    ) -> Outcome<&Entry> {
        self.session(session)?;
        self.refresh(store)?;
        let writable = self.session(session)?.writable;
        let entry = self.object(handle)?;
        if entry.object.on_token() && !writable { Err(Rv(CKR_SESSION_READ_ONLY)) } else { Ok(entry) }
    }

    fn write_object(&self, store: &Exclusive<'_>, object: &Object, id: ObjectId) -> Outcome<Home> {
        let token = store.token()?.ok_or(Rv(CKR_TOKEN_NOT_RECOGNIZED))?.token;
        if self.token.is_some_and(|known| known != token) {
            return Err(Rv(CKR_TOKEN_NOT_RECOGNIZED));
        }
        let file = if object.private() {
            self.user()?.close(&token, &id, object)?
        } else {
            seal::close_public(&token, &id, object)?
        };
        Ok(Home::Token(id, store.put_object(&file)?))
    }
}

/// Early refusals, so that nothing is generated in vain: read-only session, private object without a login.
pub(crate) fn admissible(
    state: &State,
    session: CK_SESSION_HANDLE,
    template: &Template,
    private_key: bool,
) -> Outcome<()> {
    let writable = state.session(session)?.writable;
    if template.peek_bool(CKA_TOKEN)?.unwrap_or(false) && !writable {
        return Err(Rv(CKR_SESSION_READ_ONLY));
    }
    let class = template.peek_ulong(CKA_CLASS)?;
    let private = private_key
        || matches!(class, Some(CKO_PRIVATE_KEY | CKO_SECRET_KEY))
        || template.peek_bool(CKA_PRIVATE)?.unwrap_or(false);
    if private && state.master().is_none() {
        return Err(Rv(CKR_USER_NOT_LOGGED_IN));
    }
    Ok(())
}
