//! How many files this process and its children may hold open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the limit of open files as far as `wanted` where the system lets us; returns what it is then. Processes started
/// afterwards have it too.
pub fn raise_open_files(wanted: u64) -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let present = current.unwrap_or(u64::MAX);
    let target = wanted.min(maximum.unwrap_or(u64::MAX));
    if target > present && setrlimit(Resource::Nofile, Rlimit { current: Some(target), maximum }).is_ok() {
        return target;
    }
    present
}
