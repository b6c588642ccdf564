//! Sealed segments that go: noted once an archive holds them, and removed where nothing here needs them any more.

use std::io;

use yanqian_evidence::segment::{file_name, number_of};

use crate::error::{Doing as _, OpenError};
use crate::exported::{Exported, ExportedList};
use crate::files::Files;
use crate::read::read_header;
use crate::storage::Storage;

impl Files {
    /// See [`crate::Ledger::note_exported`].
    pub(crate) fn note_exported(&mut self, storage: &dyn Storage, exported: &Exported) -> Result<(), OpenError> {
        let segment = exported.segment;
        let refused = |why| Err(OpenError::NotRemovable { segment, why });
        let mut list = ExportedList::read(storage)?;
        if list.of(segment) == Some(exported) {
            return Ok(());
        }
        if segment >= self.current.header.segment {
            return refused("is not sealed");
        }
        let next = read_header(storage, segment + 1)?;
        let same = next.previous_segment == exported.hash && next.previous_chain == exported.chain;
        if !same || next.first_sequence != exported.last + 1 {
            return refused("is not the one that was exported");
        }
        if list.segments.len() as u64 + 1 != segment {
            return refused("is not the next on the list of exported segments");
        }
        let noted = list.export(storage, exported);
        self.names_changed(storage).and(noted).doing("noting an exported segment")
    }

    /// See [`crate::Ledger::removable`]; gives the list.
    pub(crate) fn removable(&self, storage: &dyn Storage, segment: u64) -> Result<ExportedList, OpenError> {
        let refused = |why| Err(OpenError::NotRemovable { segment, why });
        let list = ExportedList::read(storage)?;
        let Some(exported) = list.of(segment) else { return refused("was not exported") };
        let names = storage.names().doing("listing the ledger's directory")?;
        if names.iter().filter_map(|name| number_of(name)).min() != Some(segment) {
            return refused("is not the oldest here");
        }
        // A start reads the last two, those of open checks as the last header names them, and where the mark stands.
        let current = &self.current.header;
        if segment + 2 > current.segment || segment >= self.mark.segment {
            return refused("is one of the newest");
        }
        let open = self.open.keys().next().copied().unwrap_or(u64::MAX);
        if current.oldest_open.min(open) <= exported.last {
            return refused("holds a check that had not ended when the newest segment began");
        }
        Ok(list)
    }

    /// See [`crate::Ledger::remove_sealed`].
    pub(crate) fn remove_sealed(&mut self, storage: &dyn Storage, segment: u64) -> Result<(), OpenError> {
        let mut list = self.removable(storage, segment)?;
        // Each step is durable before the next: the list says that the file may be missing before it is.
        list.remove(storage, segment).doing("noting a removed segment")?;
        let name = file_name(segment);
        let known = self.watched.remove(&name);
        let removed = storage.remove(&name).and_then(|()| storage.sync_names());
        if let (Err(_), Some(known)) = (&removed, known)
            && storage.state(&name).is_ok()
        {
            self.watched.insert(name, known);
        }
        self.names_changed(storage).and(removed).doing("removing a segment")
    }

    /// After names were changed by this hand.
    fn names_changed(&mut self, storage: &dyn Storage) -> io::Result<()> {
        self.check_watched(storage)?;
        self.stamp = storage.stamp()?;
        Ok(())
    }
}
