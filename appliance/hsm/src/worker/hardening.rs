//! What a process that holds a PIN denies itself. Each step that fails is logged; the service manager's sandbox is the
//! second line.

use std::path::Path;

use rustix::fs::Mode;
use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit, umask};

/// No core files, no ptrace and no `/proc/PID/mem` by the same uid, files for the owner only.
pub(crate) fn apply() {
    umask(Mode::RWXG | Mode::RWXO);
    if let Err(error) = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }) {
        tracing::warn!(%error, "core files cannot be switched off by RLIMIT_CORE");
    }
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        tracing::warn!(%error, "the process stays dumpable");
    }
}

/// Makes the state directory where there is none. The umask leaves it to its owner.
pub(crate) fn prepare_directory(directory: &Path) -> Result<(), String> {
    std::fs::create_dir_all(directory).map_err(|error| format!("state_dir {}: {error}", directory.display()))
}
