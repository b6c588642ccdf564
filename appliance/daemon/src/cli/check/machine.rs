//! What the machine gives: disk, descriptors, the clock.

use std::path::Path;
use std::time::SystemTime;

use rustix::process::{Resource, getrlimit};
use yanqian_messages::Certificate;

use super::super::small_runtime;
use super::{DAY, Found, Level, SOON, now, timestamp, warn_if};
use crate::config::{ClockSource, Config};
use crate::gauges::free_space;
use crate::parts;

/// Descriptors that the daemon needs besides its connections.
const OTHER_FILES: u64 = 64;
/// Free octets below which the disk is told to be nearly full.
const SPACE_SOON: u64 = 2_000_000_000;
pub(super) fn state_directory(directory: &Path) -> Result<String, String> {
    let shown = directory.display();
    let metadata = std::fs::metadata(directory).map_err(|error| format!("{shown}: {error}"))?;
    if metadata.is_dir() { Ok(shown.to_string()) } else { Err(format!("{shown}: is not a directory")) }
}

/// Room, and a write that reaches the disk.
pub(super) fn disk(config: &Config) -> Found {
    let directory = config.state_dir.as_path();
    let probe = || -> std::io::Result<()> {
        let mut file = tempfile_in(directory)?;
        std::io::Write::write_all(&mut file, &[0; 4096])?;
        file.sync_all()
    };
    if let Err(error) = probe() {
        return Found(Level::Fail, format!("{}: cannot be written and synced: {error}", directory.display()));
    }
    match free_space(directory) {
        None => Found(Level::Warn, "the free space is not known".to_owned()),
        Some(free) => {
            let days = days_of_room(&parts::ledger_directory(config), free);
            let forecast =
                days.map_or_else(String::new, |days| format!(", full in {days} days at the ledger's pace so far"));
            let soon = free < SPACE_SOON || days.is_some_and(|days| days < SOON);
            warn_if(soon, format!("{} MB free{forecast}, writes reach the disk", free / 1_000_000))
        }
    }
}

/// Days until `free` octets are used, when the ledger has been growing for a day or more.
fn days_of_room(ledger: &Path, free: u64) -> Option<i64> {
    let growth = yanqian_ledger::growth(ledger).ok()??;
    let seconds = timestamp().millis_since(growth.since) / 1000;
    if seconds < DAY {
        return None;
    }
    let octets_a_day = i128::from(growth.octets) * i128::from(DAY) / i128::from(seconds);
    i64::try_from(i128::from(free) / octets_a_day.max(1)).ok()
}

/// A file without a name: nothing is left behind, whatever happens.
fn tempfile_in(directory: &Path) -> std::io::Result<std::fs::File> {
    use rustix::fs::{Mode, OFlags};
    let file = rustix::fs::open(directory, OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC, Mode::RUSR | Mode::WUSR)?;
    Ok(std::fs::File::from(file))
}

pub(super) fn open_files(config: &Config) -> Found {
    let needed = u64::try_from(config.limits.server.max_connections).unwrap_or(u64::MAX).saturating_add(OTHER_FILES);
    let allowed = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let note = format!("{allowed} allowed to this user, {needed} for limits.max_connections and the rest");
    if allowed >= needed {
        Found(Level::Ok, note)
    } else {
        Found(Level::Warn, format!("{note}; the unit sets LimitNOFILE, check it there"))
    }
}

/// A clock that is wrong makes every answer too old or too new.
pub(super) fn clock(config: &Config, signing: Option<&Certificate>) -> Found {
    let shown = timestamp();
    if signing.is_some_and(|certificate| now() < certificate.not_before()) {
        return Found(Level::Fail, format!("{shown} is before the signing certificate begins"));
    }
    if let Ok(metadata) = std::fs::metadata(&config.file)
        && metadata.modified().is_ok_and(|changed| changed > SystemTime::now() + std::time::Duration::from_mins(1))
    {
        return Found(Level::Warn, format!("{shown}, and the configuration was changed after that"));
    }
    if config.clock.source == ClockSource::None {
        return Found(Level::Warn, format!("{shown}; nobody is asked whether it is right (clock.source)"));
    }
    let asked = small_runtime().map_err(|error| error.to_string());
    let source = config.clock.source.as_str();
    match asked.and_then(|runtime| runtime.block_on(crate::clock::ask(&config.clock))) {
        Ok(Some(error)) => Found(Level::Ok, format!("{shown}; {source}: off by {} ms at most", error.as_millis())),
        Ok(None) => Found(Level::Ok, format!("{shown}; {source} has synchronised it")),
        Err(why) if config.clock.required => Found(Level::Fail, format!("{why}: every check is refused")),
        Err(why) => Found(Level::Warn, why),
    }
}
