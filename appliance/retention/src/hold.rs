//! Legal holds: what they cover is kept whatever the policy says. They lie in the archive itself, so that whoever has the archive has
//! them, and are never deleted; a release ends one.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use yanqian_evidence::Record;
use yanqian_sm::sm3;
use yanqian_vocabulary::{ContentDigest, Timestamp, VerificationId};

use crate::archive::Archive;
use crate::error::ArchiveError;
use crate::header::Kind;
use crate::name::Name;

/// Characters of a reason at most.
const MAX_REASON: usize = 500;

/// Which records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Range {
    /// By their time, from one on and before the other; RFC 3339.
    Time { from: String, until: String },
    /// By their sequence, both ends included.
    Sequences { first: u64, last: u64 },
    /// Those of one check.
    Verification { id: String },
}

impl Range {
    /// Whether it says something at all, in words for who wrote it.
    pub fn check(&self) -> Result<(), ArchiveError> {
        let wrong = |what: &str| Err(ArchiveError::Hold(format!("are by a range: {what}")));
        match self {
            Self::Time { from, until } => match (Timestamp::from_rfc3339(from), Timestamp::from_rfc3339(until)) {
                (Ok(from), Ok(until)) if from < until => Ok(()),
                _ => wrong("`from` and `until` are times in RFC 3339, one before the other"),
            },
            Self::Sequences { first, last } if *first == 0 || first > last => {
                wrong("`first` and `last` are sequences from 1 on")
            }
            Self::Verification { id } if id.parse::<VerificationId>().is_err() => wrong("`id` is no verification id"),
            Self::Sequences { .. } | Self::Verification { .. } => Ok(()),
        }
    }

    /// What cannot be read covers everything: nothing is deleted for a hold that nobody understands.
    pub fn covers(&self, record: &Record) -> bool {
        match self {
            Self::Time { from, until } => match (Timestamp::from_rfc3339(from), Timestamp::from_rfc3339(until)) {
                (Ok(from), Ok(until)) => (from..until).contains(&record.time),
                _ => true,
            },
            Self::Sequences { first, last } => (*first..=*last).contains(&record.sequence),
            Self::Verification { id } => {
                id.parse::<VerificationId>().map_or(true, |id| record.body.verification() == Some(id))
            }
        }
    }
}

/// A hold as it stands in the archive, in JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hold {
    pub v: u32,
    pub hold: u64,
    pub placed: String,
    /// Uid.
    pub operator: u32,
    pub reason: String,
    pub range: Range,
}

/// The end of a hold as it stands in the archive, in JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    pub v: u32,
    pub hold: u64,
    pub released: String,
    pub operator: u32,
    pub reason: String,
}

fn check_reason(reason: &str) -> Result<(), ArchiveError> {
    let length = reason.chars().count();
    if length == 0 || length > MAX_REASON || reason.chars().any(char::is_control) {
        return Err(ArchiveError::Hold(format!("need a reason of 1 to {MAX_REASON} characters on one line")));
    }
    Ok(())
}

/// Every hold that was ever placed, with its release.
pub async fn holds(archive: &Archive) -> Result<BTreeMap<u64, (Hold, Option<Release>)>, ArchiveError> {
    let mut found = BTreeMap::new();
    let released = archive.numbers(Kind::Release).await?;
    for number in archive.numbers(Kind::Hold).await? {
        let hold: Hold = parse(&archive.must(Name::Hold(number)).await?.content)?;
        let release = if released.contains(&number) {
            Some(parse::<Release>(&archive.must(Name::Release(number)).await?.content)?)
        } else {
            None
        };
        found.insert(number, (hold, release));
    }
    Ok(found)
}

fn parse<'a, T: Deserialize<'a>>(octets: &'a [u8]) -> Result<T, ArchiveError> {
    serde_json::from_slice(octets)
        .map_err(|error| ArchiveError::Hold(format!("that this program does not know: {error}")))
}

/// Places a hold; gives its number and the SM3 of its text, which goes on record.
pub async fn place(
    archive: &Archive,
    range: Range,
    reason: &str,
    operator: u32,
    now: Timestamp,
) -> Result<(u64, ContentDigest), ArchiveError> {
    range.check()?;
    check_reason(reason)?;
    let number = archive.numbers(Kind::Hold).await?.last().copied().unwrap_or(0).saturating_add(1);
    let (placed, reason) = (now.to_string(), reason.to_owned());
    let hold = Hold { v: 1, hold: number, placed, operator, reason, range };
    let digest = put(archive, Name::Hold(number), &hold).await?;
    Ok((number, digest))
}

/// Ends a hold; gives the SM3 of the release's text.
pub async fn release(
    archive: &Archive,
    hold: u64,
    reason: &str,
    operator: u32,
    now: Timestamp,
) -> Result<ContentDigest, ArchiveError> {
    check_reason(reason)?;
    if !holds(archive).await?.get(&hold).is_some_and(|(_, release)| release.is_none()) {
        return Err(ArchiveError::NoHold(hold));
    }
    let (released, reason) = (now.to_string(), reason.to_owned());
    put(archive, Name::Release(hold), &Release { v: 1, hold, released, operator, reason }).await
}

async fn put(archive: &Archive, name: Name, text: &impl Serialize) -> Result<ContentDigest, ArchiveError> {
    let text = serde_json::to_vec(text).map_err(|error| ArchiveError::Hold(error.to_string()))?;
    let digest = ContentDigest::new(sm3(&[&text]));
    archive.put(name, (0, 0), Arc::new(text)).await?;
    Ok(digest)
}
