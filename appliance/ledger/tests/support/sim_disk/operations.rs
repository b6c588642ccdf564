//! What the ledger does with the disk in memory, each operation with the fault that hits it.

use std::io;

use yanqian_ledger::storage::{FileId, FileState, NamesStamp, Storage, StoredFile};

use super::{Data, Fault, NameChange, Pending, SimDisk, put};

fn end(fault: Option<Fault>) -> io::Result<()> {
    match fault {
        None => Ok(()),
        Some(Fault::FullAfter) => Err(io::ErrorKind::StorageFull.into()),
        Some(_) => Err(io::Error::other("injected")),
    }
}

fn not_found() -> io::Error {
    io::ErrorKind::NotFound.into()
}

impl Storage for SimDisk {
    fn names(&self) -> io::Result<Vec<String>> {
        Ok(self.inner().names.keys().cloned().collect())
    }

    fn stamp(&self) -> io::Result<NamesStamp> {
        Ok(NamesStamp { seconds: self.inner().stamp, nanoseconds: 0 })
    }

    fn state(&self, name: &str) -> io::Result<FileState> {
        let inner = self.inner();
        let file = *inner.names.get(name).ok_or_else(not_found)?;
        let id = FileId { device: 1, inode: file as u64 };
        Ok(FileState { id, length: inner.files[file].live.len() as u64 })
    }

    fn open(&self, name: &str, _writable: bool) -> io::Result<Box<dyn StoredFile>> {
        let file = *self.inner().names.get(name).ok_or_else(not_found)?;
        Ok(Box::new(SimFile { disk: self.clone(), file }))
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn StoredFile>> {
        let mut inner = self.inner();
        let fault = inner.begin()?;
        if inner.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        inner.files.push(Data::default());
        let file = inner.files.len() - 1;
        inner.names.insert(name.to_owned(), file);
        inner.pending_names.push(NameChange::Set(name.to_owned(), file));
        inner.stamp += 1;
        end(fault)?;
        Ok(Box::new(SimFile { disk: self.clone(), file }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut inner = self.inner();
        let fault = inner.begin()?;
        let file = inner.names.remove(from).ok_or_else(not_found)?;
        inner.names.insert(to.to_owned(), file);
        inner.pending_names.push(NameChange::Rename(from.to_owned(), to.to_owned()));
        inner.stamp += 1;
        end(fault)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut inner = self.inner();
        let fault = inner.begin()?;
        inner.names.remove(name).ok_or_else(not_found)?;
        inner.pending_names.push(NameChange::Remove(name.to_owned()));
        inner.stamp += 1;
        end(fault)
    }

    fn sync_names(&self) -> io::Result<()> {
        let mut inner = self.inner();
        let fault = inner.begin()?;
        if fault != Some(Fault::Half) && !inner.syncs_are_lies {
            inner.durable_names = inner.names.clone();
            inner.pending_names.clear();
        }
        end(fault)
    }
}

struct SimFile {
    disk: SimDisk,
    file: usize,
}

impl StoredFile for SimFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let inner = self.disk.inner();
        let rest = inner.files[self.file].live.get(usize::try_from(offset).unwrap()..).unwrap_or_default();
        // Short reads are part of the contract.
        let length = rest.len().min(buffer.len()).min(100_000);
        buffer[..length].copy_from_slice(&rest[..length]);
        Ok(length)
    }

    fn write_at(&self, octets: &[u8], offset: u64) -> io::Result<usize> {
        let mut inner = self.disk.inner();
        let fault = inner.begin()?;
        // Short writes are part of the contract, too.
        let mut length = octets.len().min(1500);
        if fault == Some(Fault::Half) {
            length = length.div_ceil(2);
        }
        if !inner.has_room(self.file, offset + length as u64) {
            length /= 2;
            if length == 0 || !inner.has_room(self.file, offset + length as u64) {
                return Err(io::ErrorKind::StorageFull.into());
            }
        }
        let at = usize::try_from(offset).unwrap();
        let data = &mut inner.files[self.file];
        put(&mut data.live, at, &octets[..length]);
        data.pending.push(Pending::Write { at, octets: octets[..length].to_vec() });
        end(fault)?;
        Ok(length)
    }

    fn sync(&self) -> io::Result<()> {
        let mut inner = self.disk.inner();
        let fault = inner.begin();
        if inner.syncs_are_lies {
            return end(fault?);
        }
        let data = &mut inner.files[self.file];
        match fault {
            // As Linux does: the failed octets stay visible, count as clean, and never reach the disk.
            Err(error) => {
                data.pending.clear();
                return Err(error);
            }
            Ok(Some(Fault::Half)) => data.pending.clear(),
            Ok(_) => {
                for pending in std::mem::take(&mut data.pending) {
                    match pending {
                        Pending::Length(length) => data.durable.resize(length, 0),
                        Pending::Write { at, octets } => put(&mut data.durable, at, &octets),
                    }
                }
            }
        }
        end(fault?)
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        let mut inner = self.disk.inner();
        let fault = inner.begin()?;
        let length = usize::try_from(length).unwrap();
        let data = &mut inner.files[self.file];
        data.live.resize(length, 0);
        data.reserved = length as u64;
        data.pending.push(Pending::Length(length));
        end(fault)
    }

    fn reserve(&self, length: u64) -> io::Result<()> {
        let mut inner = self.disk.inner();
        let fault = inner.begin()?;
        if inner.cannot_reserve {
            return Err(io::ErrorKind::Unsupported.into());
        }
        if !inner.has_room(self.file, length) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let data = &mut inner.files[self.file];
        data.reserved = data.reserved.max(length);
        end(fault)
    }

    fn state(&self) -> io::Result<Option<FileState>> {
        let inner = self.disk.inner();
        let named = inner.names.values().any(|file| *file == self.file);
        let id = FileId { device: 1, inode: self.file as u64 };
        Ok(named.then(|| FileState { id, length: inner.files[self.file].live.len() as u64 }))
    }
}
