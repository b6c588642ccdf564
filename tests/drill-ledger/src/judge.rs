//! What must hold after a fault: everything acknowledged is there, and everything there verifies.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use yanqian_ledger::{Archive, Archived, read_records, verify_dir};

pub(crate) fn ledger_of(root: &Path) -> PathBuf {
    root.join("ledger")
}

pub(crate) fn archive_of(root: &Path) -> PathBuf {
    root.join("archive")
}

/// What a drill has come to.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) rounds: u64,
    pub(crate) acknowledged: u64,
    pub(crate) lost: u64,
    pub(crate) unverifiable: u64,
    /// What went wrong, or did not happen as it should.
    pub(crate) problems: Vec<String>,
}

impl Tally {
    pub(crate) fn add(&mut self, other: Self) {
        self.rounds += other.rounds;
        self.acknowledged += other.acknowledged;
        self.lost += other.lost;
        self.unverifiable += other.unverifiable;
        self.problems.extend(other.problems);
    }

    pub(crate) fn is_good(&self) -> bool {
        self.acknowledged > 0 && self.lost == 0 && self.unverifiable == 0 && self.problems.is_empty()
    }

    /// `rounds N acknowledged N lost N unverifiable N`.
    pub(crate) fn line(&self) -> String {
        let Self { rounds, acknowledged, lost, unverifiable, .. } = self;
        format!("rounds {rounds} acknowledged {acknowledged} lost {lost} unverifiable {unverifiable}")
    }
}

/// What the appender said was durable.
#[derive(Debug, Default)]
pub(crate) struct Acknowledged {
    /// Leaf hash by sequence.
    pub(crate) records: BTreeMap<u64, String>,
    archived: Vec<(Archived, String)>,
    /// Size and root of each checkpoint.
    pub(crate) published: Vec<(u64, String)>,
    /// What no fault may bring about.
    pub(crate) wrong: Vec<String>,
}

impl Acknowledged {
    /// Reads the appender's lines; a last line without an end is nothing that anybody was told.
    pub(crate) fn read(&mut self, said: &str) {
        let whole = said.rsplit_once('\n').map_or("", |(whole, _)| whole);
        for line in whole.lines() {
            match line.split(' ').collect::<Vec<_>>()[..] {
                ["acknowledged", sequence, leaf] => {
                    if let Ok(sequence) = sequence.parse() {
                        self.records.insert(sequence, leaf.to_owned());
                    }
                }
                ["archived", hash] => self.archived.push((Archived::Certificate, hash.to_owned())),
                ["list", hash] => self.archived.push((Archived::Crl, hash.to_owned())),
                ["published", size, root] => self.published.extend(size.parse().map(|size| (size, root.to_owned()))),
                ["wrong", ..] => self.wrong.push(line.to_owned()),
                _ => {}
            }
        }
    }

    pub(crate) fn count(&self) -> u64 {
        u64::try_from(self.records.len() + self.archived.len() + self.published.len()).unwrap_or(u64::MAX)
    }

    /// Looks for each of them in `root`; `ended` also asks that no check is open any more.
    pub(crate) fn judge(&self, root: &Path, ended: bool, what: &str) -> Tally {
        let mut tally = Tally::default();
        let mut bad = |problem: String| tally.problems.push(format!("{what}: {problem}"));
        let found = found(&ledger_of(root));
        match &found {
            Ok((_, 1..)) if ended => bad("a check is still open".to_owned()),
            Ok(_) => {}
            // A ledger that was not even begun has nothing to prove, and must not have acknowledged anything.
            Err(_) if self.records.is_empty() && !ended => {}
            Err(error) => {
                tally.unverifiable += 1;
                tally.problems.push(format!("{what}: {error}"));
            }
        }
        let records = found.map(|(records, _)| records).unwrap_or_default();
        for (sequence, leaf) in &self.records {
            if records.get(sequence) != Some(leaf) {
                tally.lost += 1;
                tally.problems.push(format!("{what}: acknowledged record {sequence} is not there"));
            }
        }
        let archive = Archive::read_only(&archive_of(root));
        for (kind, hash) in &self.archived {
            let octets: Option<[u8; 32]> = decode(hash);
            if octets.is_none_or(|hash| archive.get(*kind, &hash).is_err()) {
                tally.lost += 1;
                tally.problems.push(format!("{what}: archived file {hash} is not there or not whole"));
            }
        }
        if let Err(error) = archive.verify() {
            tally.unverifiable += 1;
            tally.problems.push(format!("{what}: {error}"));
        }
        tally
    }
}

/// Leaf hashes by sequence, and the number of open checks, of a ledger that verifies.
fn found(ledger: &Path) -> Result<(BTreeMap<u64, String>, u64), String> {
    let verified = verify_dir(ledger).map_err(|error| error.to_string())?;
    let records = read_records(ledger).map_err(|error| error.to_string())?;
    let records = records
        .map(|entry| entry.map(|entry| (entry.record.sequence, entry.leaf.to_string())))
        .collect::<Result<_, _>>()
        .map_err(|error| error.to_string())?;
    Ok((records, verified.summary.open_intents))
}

fn decode(hexadecimal: &str) -> Option<[u8; 32]> {
    let mut octets = [0; 32];
    for (at, octet) in octets.iter_mut().enumerate() {
        *octet = u8::from_str_radix(hexadecimal.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    (hexadecimal.len() == 64).then_some(octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_acknowledged_record_that_is_not_there_is_lost() {
        let root = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
        let mut acknowledged = Acknowledged::default();
        acknowledged.read("opened\nacknowledged 1 aa\narchived 00\nacknowledged 2 b");
        assert_eq!(acknowledged.count(), 2, "the last line was not whole");
        let tally = acknowledged.judge(root.path(), false, "nothing there");
        assert_eq!((tally.lost, tally.unverifiable), (2, 1));
        assert!(!tally.is_good());
    }
}
