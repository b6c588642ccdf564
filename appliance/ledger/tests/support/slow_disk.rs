//! A real directory whose syncs can be made to hang.

use std::io;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};

use yanqian_ledger::storage::{Directory, FileState, NamesStamp, Storage, StoredFile};

#[derive(Debug, Default)]
struct Gate {
    shut: Mutex<bool>,
    opened: Condvar,
}

/// Handles share one gate.
#[derive(Debug, Clone)]
pub struct SlowDisk {
    directory: Arc<Mutex<Directory>>,
    gate: Arc<Gate>,
}

impl SlowDisk {
    pub fn new(directory: &Path) -> Self {
        let directory = Arc::new(Mutex::new(Directory::exclusive(directory).unwrap()));
        Self { directory, gate: Arc::default() }
    }

    /// From now on no sync ends.
    pub fn hang(&self) {
        *self.gate.shut.lock().unwrap() = true;
    }

    pub fn go_on(&self) {
        *self.gate.shut.lock().unwrap() = false;
        self.gate.opened.notify_all();
    }

    fn file(&self, inner: Box<dyn StoredFile>) -> Box<dyn StoredFile> {
        Box::new(SlowFile { inner, gate: Arc::clone(&self.gate) })
    }
}

impl Storage for SlowDisk {
    fn names(&self) -> io::Result<Vec<String>> {
        self.directory.lock().unwrap().names()
    }

    fn stamp(&self) -> io::Result<NamesStamp> {
        self.directory.lock().unwrap().stamp()
    }

    fn state(&self, name: &str) -> io::Result<FileState> {
        self.directory.lock().unwrap().state(name)
    }

    fn open(&self, name: &str, writable: bool) -> io::Result<Box<dyn StoredFile>> {
        self.directory.lock().unwrap().open(name, writable).map(|file| self.file(file))
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn StoredFile>> {
        self.directory.lock().unwrap().create(name).map(|file| self.file(file))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.directory.lock().unwrap().rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.directory.lock().unwrap().remove(name)
    }

    fn sync_names(&self) -> io::Result<()> {
        self.directory.lock().unwrap().sync_names()
    }
}

struct SlowFile {
    inner: Box<dyn StoredFile>,
    gate: Arc<Gate>,
}

impl StoredFile for SlowFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.inner.read_at(buffer, offset)
    }

    fn write_at(&self, octets: &[u8], offset: u64) -> io::Result<usize> {
        self.inner.write_at(octets, offset)
    }

    fn sync(&self) -> io::Result<()> {
        let shut = self.gate.shut.lock().unwrap();
        drop(self.gate.opened.wait_while(shut, |shut| *shut).unwrap());
        self.inner.sync()
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.inner.set_length(length)
    }

    fn reserve(&self, length: u64) -> io::Result<()> {
        self.inner.reserve(length)
    }

    fn state(&self) -> io::Result<Option<FileState>> {
        self.inner.state()
    }
}
