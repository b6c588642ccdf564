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

/// What an order did.
#[derive(Debug)]
pub(crate) struct Done {
    /// Of its record.
    pub(crate) sequence: u64,
    /// That was begun.
    pub(crate) epoch: Option<u32>,
    /// That was placed.
    pub(crate) hold: Option<u64>,
}

/// Gives an order and waits for its answer.
pub(crate) fn order(socket: &Path, order: &Order) -> Result<Done, OrderError> {
    match give(socket, order)? {
        Answer::Done { sequence, epoch, hold } => Ok(Done { sequence, epoch, hold }),
        Answer::Refused(why) => Err(OrderError::Refused(why)),
        Answer::Heard => Err(OrderError::NoAnswer("it was only heard".to_owned())),
    }
}

/// Gives an order that is carried out in its own time.
pub(crate) fn wake(socket: &Path, order: &Order) -> Result<(), OrderError> {
    match give(socket, order)? {
        Answer::Refused(why) => Err(OrderError::Refused(why)),
        Answer::Done { .. } | Answer::Heard => Ok(()),
    }
}

fn give(socket: &Path, order: &Order) -> Result<Answer, OrderError> {
    let unreachable = |source| OrderError::Unreachable { socket: socket.to_owned(), source };
    let stream = UnixStream::connect(socket).map_err(unreachable)?;
    let line = ask(&stream, order).map_err(|error| OrderError::NoAnswer(error.to_string()))?;
    serde_json::from_str(&line).map_err(|error| OrderError::NoAnswer(error.to_string()))
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
