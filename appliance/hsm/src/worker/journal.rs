//! What administrators had this worker do, for the daemon to put on record: one line each in the file `journal` of the state directory,
//! one before anything is done and one when it ended. Nothing is done whose first line is not durable.
//!
//! The file only grows; a place in it is an offset. Lines of two workers that replace each other do not mix, because each is one write at
//! the end. What a crash cut off is no line.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::engine::now_ms;
use crate::protocol::{Act, JournalPage};

const FILE: &str = "journal";
/// Acts in one page: far below a frame.
const PAGE: usize = 64;
/// Octets of a line, with room.
const MAX_LINE: u64 = 1024;

/// The file. Opened for each use: administrators are rare.
#[derive(Debug)]
pub(super) struct Journal {
    file: PathBuf,
}

impl Journal {
    pub(super) fn new(state_dir: &Path) -> Self {
        Self { file: state_dir.join(FILE) }
    }

    /// Adds an act, durable when this returns.
    pub(super) fn note(&self, act: &Act) -> io::Result<()> {
        let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(&self.file)?;
        let mut length = file.metadata()?.len();
        if length > 0 && !begins_whole(&mut file)? {
            // A crash cut the very first write off: nothing was done after it, and nobody knows the journal by its id.
            file.set_len(0)?;
            length = 0;
        }
        let mut text = String::new();
        if length == 0 {
            let mut id = [0; 16];
            getrandom::fill(&mut id).map_err(io::Error::other)?;
            text = format!("{HEAD}{}\n", hex::encode(id));
        } else {
            let mut last = [0];
            file.seek(SeekFrom::Start(length - 1))?;
            file.read_exact(&mut last)?;
            if last != *b"\n" {
                // The rest of a line that a crash cut off.
                text.push('\n');
            }
        }
        text.push_str(&line(act));
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        File::open(self.file.parent().unwrap_or(Path::new(".")))?.sync_all()
    }

    /// Up to a page of acts from an offset on; from the beginning when the journal is another than the reader knows.
    pub(super) fn read(&self, known: Option<[u8; 16]>, from: u64) -> io::Result<JournalPage> {
        let file = match File::open(&self.file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(JournalPage::default()),
            file => file?,
        };
        let length = file.metadata()?.len();
        let mut reader = BufReader::new(file);
        let mut head = Vec::new();
        reader.by_ref().take(MAX_LINE).read_until(b'\n', &mut head)?;
        let id = std::str::from_utf8(&head).ok().and_then(|head| hex::decode(head.strip_prefix(HEAD)?.trim_end()).ok());
        let Some(id) = id.and_then(|id| <[u8; 16]>::try_from(id).ok()) else {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "is no journal"));
        };
        let mut at = u64::try_from(head.len()).unwrap_or(u64::MAX);
        if known == Some(id) && (at..=length).contains(&from) {
            at = reader.seek(SeekFrom::Start(from))?;
        }
        let mut page = JournalPage { id: Some(id), next: at, acts: Vec::new() };
        let mut text = Vec::new();
        while page.acts.len() < PAGE {
            text.clear();
            reader.by_ref().take(MAX_LINE).read_until(b'\n', &mut text)?;
            // Being written, or cut off by a crash: the next line will tell.
            if !text.ends_with(b"\n") {
                break;
            }
            page.next += u64::try_from(text.len()).unwrap_or_default();
            page.acts.extend(std::str::from_utf8(&text).ok().and_then(parse));
        }
        Ok(page)
    }
}

/// Whether the first line is there to its end.
fn begins_whole(file: &mut File) -> io::Result<bool> {
    let mut head = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.take(MAX_LINE).read_to_end(&mut head)?;
    Ok(head.contains(&b'\n'))
}

const HEAD: &str = "yanqian worker journal 1 ";

fn line(act: &Act) -> String {
    let hash = |hash: Option<[u8; 32]>| hash.map_or_else(|| "-".to_owned(), hex::encode);
    let Act { at_ms, operator, operation, result, key_id, object } = act;
    format!("{at_ms} {operator} {operation} {result} {} {}\n", hash(*key_id), hash(*object))
}

fn parse(line: &str) -> Option<Act> {
    let hash = |text: &str| match text {
        "-" => Some(None),
        digits => hex::decode(digits).ok()?.try_into().ok().map(Some),
    };
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let [at_ms, operator, operation, result, key_id, object] = words[..] else { return None };
    Some(Act {
        at_ms: at_ms.parse().ok()?,
        operator: operator.parse().ok()?,
        operation: operation.to_owned(),
        result: result.to_owned(),
        key_id: hash(key_id)?,
        object: hash(object)?,
    })
}

impl Act {
    /// What is about to be done, now.
    pub(super) fn now(operator: u32, operation: &str, result: &str) -> Self {
        let (operation, result) = (operation.to_owned(), result.to_owned());
        Self { at_ms: now_ms(), operator, operation, result, key_id: None, object: None }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn act(n: u32) -> Act {
        Act { key_id: Some([7; 32]), object: n.is_multiple_of(2).then_some([8; 32]), ..Act::now(n, "csr", "done") }
    }

    fn journal() -> (tempfile::TempDir, Journal) {
        let directory = tempfile::tempdir().unwrap();
        let journal = Journal::new(directory.path());
        (directory, journal)
    }

    #[test]
    fn acts_are_read_back_page_by_page_and_each_once() {
        let (_directory, journal) = journal();
        assert_eq!(journal.read(None, 0).unwrap(), JournalPage::default());
        let acts: Vec<Act> = (0..150).map(act).collect();
        for act in &acts {
            journal.note(act).unwrap();
        }
        let (mut read, mut page) = (Vec::new(), journal.read(None, 0).unwrap());
        while !page.acts.is_empty() {
            read.append(&mut page.acts);
            page = journal.read(page.id, page.next).unwrap();
        }
        assert_eq!(read, acts);
        let last = act(150);
        journal.note(&last).unwrap();
        assert_eq!(journal.read(page.id, page.next).unwrap().acts, [last]);
    }

    #[test]
    fn a_journal_whose_first_write_was_cut_off_begins_anew() {
        let (directory, journal) = journal();
        std::fs::write(directory.path().join(FILE), &HEAD.as_bytes()[..11]).unwrap();
        assert!(journal.read(None, 0).is_err());
        let noted = act(3);
        journal.note(&noted).unwrap();
        assert_eq!(journal.read(None, 0).unwrap().acts, [noted]);
    }

    #[test]
    fn half_a_line_is_no_act_and_does_not_spoil_the_next() {
        let (directory, journal) = journal();
        journal.note(&act(0)).unwrap();
        let file = directory.path().join(FILE);
        OpenOptions::new().append(true).open(&file).unwrap().write_all(b"1764000000000 0 destroy-k").unwrap();
        let page = journal.read(None, 0).unwrap();
        assert_eq!(page.acts.len(), 1);
        journal.note(&act(1)).unwrap();
        let rest = journal.read(page.id, page.next).unwrap().acts;
        assert_eq!(rest.iter().map(|act| act.operator).collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn another_journal_is_read_from_its_beginning_and_what_is_none_is_refused() {
        let (directory, journal) = journal();
        for n in 0..3 {
            journal.note(&act(n)).unwrap();
        }
        let known = journal.read(None, 0).unwrap();
        std::fs::remove_file(directory.path().join(FILE)).unwrap();
        journal.note(&act(9)).unwrap();
        assert_eq!(journal.read(known.id, known.next).unwrap().acts[0].operator, 9);
        std::fs::write(directory.path().join(FILE), "something\n").unwrap();
        assert!(journal.read(None, 0).is_err());
    }
}
