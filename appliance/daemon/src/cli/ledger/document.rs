//! A document to look for. Its number is personal data: it comes from a file, standard input or a terminal, because the command
//! line of a process can be read by every user of the machine and stays in histories.

use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};

use clap::Args;
use yanqian_documents::{lifetime_number, read_number};
use yanqian_evidence::Search;
use yanqian_gateway::{Clock, SystemClock};
use yanqian_ledger::search::{Epoch, KeyRing};
use yanqian_vocabulary::{DocumentNumber, DocumentType};
use zeroize::Zeroizing;

use super::super::output::note;
use crate::hardening;

/// Octets of the file at most.
const MAX_INPUT: u64 = 1024;

/// Where the daemon keeps search keys unless it is told otherwise: beside the ledger.
pub(super) const KEYS: &str = "search-keys";

#[derive(Args, Debug)]
pub(super) struct DocumentArguments {
    /// The document's type; its number is read from standard input, or asked for on a terminal. TYPE:NUMBER is taken too, and
    /// warned of: other users of this machine can read command lines
    #[arg(long, value_name = "TYPE", conflicts_with = "document_file")]
    document: Option<Zeroizing<String>>,
    /// A file with one line TYPE:NUMBER, or - for standard input
    #[arg(long, value_name = "FILE")]
    document_file: Option<PathBuf>,
}

/// What the epochs' keys make of a document.
pub(super) struct Tags {
    pub(super) tags: Vec<Search>,
    /// Epochs whose key is destroyed.
    pub(super) destroyed: Vec<Epoch>,
}

impl DocumentArguments {
    /// The document's tag in each epoch whose key is there; none when no document was asked for.
    pub(super) fn tags(&self, keys: &Path) -> Result<Option<Tags>, String> {
        let Some((document_type, number)) = self.read()? else { return Ok(None) };
        let number = lifetime_number(document_type, &number);
        let ring = ring(keys)?;
        let mut found = Tags { tags: Vec::new(), destroyed: Vec::new() };
        for epoch in ring.epochs().map_err(|error| error.to_string())? {
            match ring.key(epoch.number).map_err(|error| error.to_string())? {
                Some(key) => found.tags.push(key.search(document_type, &number)),
                None => found.destroyed.push(epoch),
            }
        }
        if found.tags.is_empty() {
            return Err("no search key is there, so nothing can be found by a document".to_owned());
        }
        Ok(Some(found))
    }

    fn read(&self) -> Result<Option<(DocumentType, DocumentNumber)>, String> {
        if let Some(file) = &self.document_file {
            let text = read_file(file)?;
            let (document_type, number) =
                text.trim().split_once(':').ok_or_else(|| format!("{}: expected TYPE:NUMBER", file.display()))?;
            return parse(document_type, number).map(Some);
        }
        let Some(document) = &self.document else { return Ok(None) };
        if let Some((document_type, number)) = document.split_once(':') {
            note(
                "the number stands on the command line, where other users can read it; leave it out and type it when asked",
            );
            return parse(document_type, number).map(Some);
        }
        // Before anybody types a number in vain.
        read_type(document)?;
        if std::io::stdin().is_terminal() {
            note("number:");
        }
        let text = read_line()?;
        parse(document, text.trim()).map(Some)
    }
}

/// The keys in a directory, each as closed as the daemon demands.
pub(super) fn ring(directory: &Path) -> Result<KeyRing, String> {
    let ring = KeyRing::new(directory);
    for file in ring.key_files().map_err(|error| error.to_string())? {
        hardening::check_secret(&file)?;
    }
    Ok(ring)
}

/// A file of the state directory that holds this ledger.
pub(super) fn beside(ledger: &Path, name: &str) -> PathBuf {
    let whole = ledger.canonicalize().unwrap_or_else(|_| ledger.to_owned());
    whole.parent().unwrap_or(Path::new("")).join(name)
}

fn read_type(text: &str) -> Result<DocumentType, String> {
    let all = DocumentType::ALL.iter().map(|known| known.as_str()).collect::<Vec<_>>();
    // What was typed may be a number that stands where the type belongs.
    text.parse().map_err(|_| format!("document: expected a type, one of {}", all.join(", ")))
}

fn parse(document_type: &str, number: &str) -> Result<(DocumentType, DocumentNumber), String> {
    let document_type = read_type(document_type)?;
    let number = read_number(document_type, number, SystemClock.now()).map_err(|error| format!("document: {error}"))?;
    Ok((document_type, number))
}

fn read_file(file: &Path) -> Result<Zeroizing<String>, String> {
    let fail = |error: std::io::Error| format!("{}: {error}", file.display());
    let mut text = Zeroizing::new(String::with_capacity(1024));
    if file == Path::new("-") {
        std::io::stdin().take(MAX_INPUT).read_to_string(&mut text).map_err(fail)?;
    } else {
        std::fs::File::open(file).map_err(fail)?.take(MAX_INPUT).read_to_string(&mut text).map_err(fail)?;
    }
    Ok(text)
}

fn read_line() -> Result<Zeroizing<String>, String> {
    let mut text = Zeroizing::new(String::with_capacity(1024));
    std::io::stdin().read_line(&mut text).map_err(|error| format!("standard input: {error}"))?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_judged_by_its_type_and_never_repeated() {
        assert!(parse("prc-passport", "E12345678").is_ok());
        for (document_type, number) in
            [("prc-passport", "E1234567"), ("E12345678", "prc-passport"), ("passport", "E12345678")]
        {
            let error = parse(document_type, number).err().unwrap_or_default();
            assert!(error.starts_with("document: ") && !error.contains("E1234567"), "{error}");
        }
    }

    #[test]
    fn arguments_with_a_number_in_them_do_not_print_it() {
        let arguments = DocumentArguments {
            document: Some(Zeroizing::new("prc-passport:E12345678".to_owned())),
            document_file: None,
        };
        assert!(!format!("{arguments:?}").contains("E12345678"));
    }
}
