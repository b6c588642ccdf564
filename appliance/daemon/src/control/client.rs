use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Answer, MAX_LINE, Order};

/// For the daemon to do what it is told; a disk may be slow.
const LIMIT: Duration = Duration::from_mins(1);

/// Why an order was not carried out, or why nobody knows whether it was.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OrderError {
    #[error("{}: {source}; does the daemon run, and does this user reach it?", .socket.display())]
    Unreachable { socket: PathBuf, source: io::Error },
    #[error("the daemon gave no answer ({0}); see the ledger's last records for what it did")]
    NoAnswer(String),
    #[error("{0}")]
    Refused(String),
}

/// Gives an order and waits for its answer: the record's sequence, and the epoch that was begun.
pub(crate) fn order(socket: &Path, order: &Order) -> Result<(u64, Option<u32>), OrderError> {
    let unreachable = |source| OrderError::Unreachable { socket: socket.to_owned(), source };
    let stream = UnixStream::connect(socket).map_err(unreachable)?;
    let line = ask(&stream, order).map_err(|error| OrderError::NoAnswer(error.to_string()))?;
    match serde_json::from_str(&line) {
        Ok(Answer::Done { sequence, epoch }) => Ok((sequence, epoch)),
        Ok(Answer::Refused(why)) => Err(OrderError::Refused(why)),
        Err(error) => Err(OrderError::NoAnswer(error.to_string())),
    }
}

fn ask(mut stream: &UnixStream, order: &Order) -> io::Result<String> {
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    let mut text = serde_json::to_vec(order)?;
    text.push(b'\n');
    stream.write_all(&text)?;
    let mut line = String::new();
    BufReader::new(stream.take(MAX_LINE)).read_line(&mut line)?;
    Ok(line)
}
