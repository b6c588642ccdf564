//! Faults through the ledger's own seam to the disk, for machines where no process may trace another: the real file system, with
//! the n-th operation failing or killing the process.

use std::io;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use yanqian_ledger::storage::{Directory, FileState, NamesStamp, Storage, StoredFile};

/// What befalls a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    Eio,
    Enospc,
    Kill,
}

impl Fault {
    pub(crate) const ALL: [Self; 3] = [Self::Eio, Self::Enospc, Self::Kill];

    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Eio => "EIO",
            Self::Enospc => "ENOSPC",
            Self::Kill => "KILL",
        }
    }
}

/// The operation with this number, from 1, meets this fault: `7:EIO`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Order {
    pub(crate) at: u64,
    pub(crate) fault: Fault,
}

impl FromStr for Order {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (at, word) = text.split_once(':').ok_or("expected NUMBER:FAULT")?;
        let at = at.parse().map_err(|error| format!("{at:?}: {error}"))?;
        let fault = Fault::ALL.into_iter().find(|fault| fault.word() == word);
        Ok(Self { at, fault: fault.ok_or("the fault is EIO, ENOSPC or KILL")? })
    }
}

#[derive(Debug, Clone)]
struct Counter {
    order: Order,
    operations: Arc<AtomicU64>,
}

impl Counter {
    fn count(&self) -> io::Result<()> {
        if self.operations.fetch_add(1, Ordering::Relaxed) + 1 != self.order.at {
            return Ok(());
        }
        let error = match self.order.fault {
            Fault::Eio => rustix::io::Errno::IO,
            Fault::Enospc => rustix::io::Errno::NOSPC,
            Fault::Kill => {
                let this = rustix::process::getpid();
                return Err(rustix::process::kill_process(this, rustix::process::Signal::KILL).err().map_or_else(
                    // The signal is delivered before the call returns to this program.
                    || io::ErrorKind::Interrupted.into(),
                    io::Error::from,
                ));
            }
        };
        Err(error.into())
    }
}

/// A directory one of whose operations fails.
#[derive(Debug)]
pub(crate) struct Faulty {
    directory: Directory,
    counter: Counter,
}

impl Faulty {
    pub(crate) fn new(directory: Directory, order: Order) -> Self {
        Self { directory, counter: Counter { order, operations: Arc::default() } }
    }

    fn file(&self, inner: Box<dyn StoredFile>) -> Box<dyn StoredFile> {
        Box::new(FaultyFile { inner, counter: self.counter.clone() })
    }
}

impl Storage for Faulty {
    fn names(&self) -> io::Result<Vec<String>> {
        self.counter.count()?;
        self.directory.names()
    }

    fn stamp(&self) -> io::Result<NamesStamp> {
        self.counter.count()?;
        self.directory.stamp()
    }

    fn state(&self, name: &str) -> io::Result<FileState> {
        self.counter.count()?;
        self.directory.state(name)
    }

    fn open(&self, name: &str, writable: bool) -> io::Result<Box<dyn StoredFile>> {
        self.counter.count()?;
        self.directory.open(name, writable).map(|file| self.file(file))
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn StoredFile>> {
        self.counter.count()?;
        self.directory.create(name).map(|file| self.file(file))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.counter.count()?;
        self.directory.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.counter.count()?;
        self.directory.remove(name)
    }

    fn sync_names(&self) -> io::Result<()> {
        self.counter.count()?;
        self.directory.sync_names()
    }
}

struct FaultyFile {
    inner: Box<dyn StoredFile>,
    counter: Counter,
}

impl StoredFile for FaultyFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.counter.count()?;
        self.inner.read_at(buffer, offset)
    }

    fn write_at(&self, octets: &[u8], offset: u64) -> io::Result<usize> {
        self.counter.count()?;
        self.inner.write_at(octets, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.counter.count()?;
        self.inner.sync()
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.counter.count()?;
        self.inner.set_length(length)
    }

    fn reserve(&self, length: u64) -> io::Result<()> {
        self.counter.count()?;
        self.inner.reserve(length)
    }

    fn state(&self) -> io::Result<Option<FileState>> {
        self.counter.count()?;
        self.inner.state()
    }
}
