//! Finding, making, changing and destroying objects.

use cryptoki_sys::{
    CK_ATTRIBUTE_TYPE, CK_OBJECT_HANDLE, CK_SESSION_HANDLE, CKA_PRIVATE, CKA_TOKEN, CKO_PRIVATE_KEY, CKO_SECRET_KEY,
    CKR_ACTION_PROHIBITED, CKR_OBJECT_HANDLE_INVALID, CKR_OPERATION_ACTIVE, CKR_OPERATION_NOT_INITIALIZED,
    CKR_SESSION_READ_ONLY, CKR_TOKEN_NOT_RECOGNIZED, CKR_USER_NOT_LOGGED_IN,
};
use zeroize::Zeroizing;

use crate::attribute::Template;
use crate::key::PrivateKey;
use crate::making::{self, Origin};
use crate::module::{Module, State};
use crate::object::Object;
use crate::rv::{Outcome, Rv};
use crate::seal::{self, random};
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
        let mut state = self.write()?;
        state.session(session)?;
        state.refresh(&self.store.shared()?)?;
        let logged_in = state.master().is_some();
        let found = state
            .objects
            .iter()
            .filter(|(_, entry)| (logged_in || !entry.object.private()) && entry.object.matches(template))
            .map(|(handle, _)| handle)
            .collect();
        drop(state);
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
        Ok(kinds.iter().map(|kind| entry.object.read(*kind)).collect())
    }

    /// `C_SetAttributeValue`.
    pub(crate) fn set_attributes(
        &self,
        session: CK_SESSION_HANDLE,
        handle: CK_OBJECT_HANDLE,
        template: &Template,
    ) -> Outcome<()> {
        let mut state = self.write()?;
        let writable = state.session(session)?.writable;
        let entry = state.object(handle)?;
        if entry.object.on_token() && !writable {
            return Err(Rv(CKR_SESSION_READ_ONLY));
        }
        let changed = entry.object.changed(template)?;
        let home = match entry.home {
            Home::Token(id, _) => self.write_object(&state, &changed, id)?,
            session @ Home::Session(_) => session,
        };
        state.objects.update(handle, changed, home);
        Ok(())
    }

    /// `C_DestroyObject`.
    pub(crate) fn destroy(&self, session: CK_SESSION_HANDLE, handle: CK_OBJECT_HANDLE) -> Outcome<()> {
        let mut state = self.write()?;
        let writable = state.session(session)?.writable;
        let entry = state.object(handle)?;
        if entry.object.on_token() && !writable {
            return Err(Rv(CKR_SESSION_READ_ONLY));
        }
        if !entry.object.destroyable() {
            return Err(Rv(CKR_ACTION_PROHIBITED));
        }
        if let Home::Token(id, _) = entry.home {
            self.store.exclusive()?.remove_object(&id)?;
        }
        state.objects.remove(handle);
        Ok(())
    }

    /// `C_CreateObject`.
    pub(crate) fn create(&self, session: CK_SESSION_HANDLE, template: Template) -> Outcome<CK_OBJECT_HANDLE> {
        let mut state = self.write()?;
        admissible(&state, session, &template, false)?;
        let object = making::create(template)?;
        self.add(&mut state, session, vec![object])?.pop().ok_or(Rv(CKR_OBJECT_HANDLE_INVALID))
    }

    /// `C_GenerateKeyPair`: (public, private).
    pub(crate) fn generate_key_pair(
        &self,
        session: CK_SESSION_HANDLE,
        public: Template,
        private: Template,
    ) -> Outcome<(CK_OBJECT_HANDLE, CK_OBJECT_HANDLE)> {
        {
            let state = self.read()?;
            admissible(&state, session, &public, false)?;
            admissible(&state, session, &private, true)?;
        }
        let key = PrivateKey::generate()?;
        let public = making::public_key(public, key.public(), Origin::Generated)?;
        let private = making::private_key(private, key, Origin::Generated)?;
        let mut state = self.write()?;
        // The private key first: a crash in between leaves a key without its public object, not the reverse.
        match self.add(&mut state, session, vec![private, public])?.as_slice() {
            [private, public] => Ok((*public, *private)),
            _ => Err(Rv(CKR_OBJECT_HANDLE_INVALID)),
        }
    }

    /// Stores new objects where they belong and gives them handles.
    pub(crate) fn add(
        &self,
        state: &mut State,
        session: CK_SESSION_HANDLE,
        objects: Vec<Object>,
    ) -> Outcome<Vec<CK_OBJECT_HANDLE>> {
        let writable = state.session(session)?.writable;
        for object in &objects {
            if object.on_token() && !writable {
                return Err(Rv(CKR_SESSION_READ_ONLY));
            }
            if object.private() {
                state.user()?;
            }
        }
        let mut handles = Vec::with_capacity(objects.len());
        for object in objects {
            let home =
                if object.on_token() { self.write_object(state, &object, random()?)? } else { Home::Session(session) };
            handles.push(state.objects.insert(object, home));
        }
        Ok(handles)
    }

    fn write_object(&self, state: &State, object: &Object, id: crate::format::ObjectId) -> Outcome<Home> {
        let store = self.store.exclusive()?;
        let token = store.token()?.ok_or(Rv(CKR_TOKEN_NOT_RECOGNIZED))?.token;
        if state.token.is_some_and(|known| known != token) {
            return Err(Rv(CKR_TOKEN_NOT_RECOGNIZED));
        }
        let file = if object.private() {
            state.user()?.close(&token, &id, object)?
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
    let class = template.peek_ulong(cryptoki_sys::CKA_CLASS)?;
    let private = private_key
        || matches!(class, Some(CKO_PRIVATE_KEY | CKO_SECRET_KEY))
        || template.peek_bool(CKA_PRIVATE)?.unwrap_or(false);
    if private && state.master().is_none() {
        return Err(Rv(CKR_USER_NOT_LOGGED_IN));
    }
    Ok(())
}
