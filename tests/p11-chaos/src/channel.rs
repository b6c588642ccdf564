//! The module's end of the directory. Everything is in files that several processes read and append to without locks, so
//! that a process which is killed in the middle of a call leaves nothing half-done.

use std::fs::{File, OpenOptions};
use std::io::{Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::function::Function;
use crate::order::Order;

/// One order a line.
pub(crate) const ORDERS: &str = "orders";
/// One octet a call: the number of its function.
pub(crate) const CALLS: &str = "calls";

/// The file that gets one octet for each call that an order was asked about.
pub(crate) fn tickets(directory: &Path, id: u64) -> PathBuf {
    directory.join(format!("asked-{id}"))
}

/// Opens a file to append to; others may read it.
fn append(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

/// The orders of one moment, by id.
pub(crate) type Orders = Arc<Vec<(u64, Order)>>;

pub(crate) struct Channel {
    directory: PathBuf,
    read: Mutex<(String, Orders)>,
}

impl Channel {
    pub(crate) fn new(directory: PathBuf) -> Self {
        Self { directory, read: Mutex::default() }
    }

    /// Counts a call.
    pub(crate) fn count(&self, function: Function) -> std::io::Result<()> {
        append(&self.directory.join(CALLS))?.write_all(&[function as u8])
    }

    /// The orders as they stand. Read each time: file times are too coarse to tell whether they have changed.
    pub(crate) fn orders(&self) -> Result<Orders, String> {
        let text = match std::fs::read_to_string(self.directory.join(ORDERS)) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(format!("{ORDERS}: {error}")),
        };
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if read.0 != text {
            let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'));
            let orders = lines
                .map(|(number, line)| {
                    Order::parse(line).map_err(|error| format!("{ORDERS}, line {}: {error}", number + 1))
                })
                .collect::<Result<_, _>>()?;
            *read = (text, Arc::new(orders));
        }
        Ok(Arc::clone(&read.1))
    }

    /// The number, from 1, of this call among those that the order was asked about, in all processes. A file opened for this
    /// one octet knows where the octet went, whoever else appends.
    pub(crate) fn ticket(&self, id: u64) -> std::io::Result<u64> {
        let mut file = append(&tickets(&self.directory, id))?;
        file.write_all(&[1])?;
        file.stream_position()
    }
}
