//! What the processes refuse before they read a secret, and what they deny themselves. The service manager's sandbox is the
//! second line; these hold wherever the programs are started.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::process::{DumpableBehavior, Resource, Rlimit, geteuid, set_dumpable_behavior, setrlimit};

/// Bits by which somebody else could change a file, and by which somebody else could read it.
const WRITABLE: u32 = 0o022;
const REACHABLE: u32 = 0o077;
const STICKY: u32 = 0o1000;

/// The superuser has every permission that the two users of `systemd/yanqian.sysusers.conf` exist to divide.
pub(crate) fn refuse_root(program: &str) -> Result<(), String> {
    if geteuid().is_root() {
        return Err(format!("{program} does not run as root: start it under its own user (systemd/README.md)"));
    }
    Ok(())
}

/// No core files, no tracing and no look into the memory by processes of the same user.
pub(crate) fn deny_core_dumps() -> Result<(), String> {
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })
        .map_err(|error| format!("core files cannot be switched off: {error}"))?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(|error| format!("the process stays dumpable: {error}"))
}

/// A file that decides what this program does: nobody but its owner may change it or put another in its place, and its
/// owner is this user or root.
pub(crate) fn check_public(file: &Path) -> Result<(), String> {
    let data = metadata(file)?;
    check_owner(file, data.uid())?;
    if data.mode() & WRITABLE != 0 {
        return Err(format!("{}: can be changed by group or others; make it mode 0644", file.display()));
    }
    let Some(directory) = file.parent().filter(|directory| !directory.as_os_str().is_empty()) else { return Ok(()) };
    let mode = metadata(directory)?.mode();
    if mode & WRITABLE != 0 && mode & STICKY == 0 {
        let problem = "group or others can put another file in its place; make the directory mode 0755";
        return Err(format!("{}: {problem}", file.display()));
    }
    Ok(())
}

/// A file that holds a secret: nobody but its owner may read it, and its owner is this user or root.
pub(crate) fn check_secret(file: &Path) -> Result<(), String> {
    let data = metadata(file)?;
    check_owner(file, data.uid())?;
    if data.mode() & REACHABLE != 0 {
        return Err(format!("{}: can be read by group or others; make it mode 0600", file.display()));
    }
    Ok(())
}

/// Every file below a directory, as [`check_public`] has it. Directories that cannot be listed are somebody else's to complain
/// about: whoever needs their files will.
pub(crate) fn check_public_tree(directory: &Path) -> Result<(), String> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Ok(()) };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() { check_public_tree(&path)? } else { check_public(&path)? }
    }
    Ok(())
}

fn metadata(path: &Path) -> Result<std::fs::Metadata, String> {
    std::fs::metadata(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn check_owner(file: &Path, owner: u32) -> Result<(), String> {
    let own = geteuid().as_raw();
    if owner == 0 || owner == own {
        return Ok(());
    }
    Err(format!("{}: belongs to uid {owner}; it must belong to this user ({own}) or to root", file.display()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn set_mode(path: &Path, mode: u32) {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn files_that_others_may_change_or_read_are_refused_by_name() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("some.toml");
        std::fs::write(&file, "").unwrap();
        for (mode, public, secret) in [
            (0o600, true, true),
            (0o640, true, false),
            (0o644, true, false),
            (0o664, false, false),
            (0o602, false, false),
        ] {
            set_mode(&file, mode);
            assert_eq!(check_public(&file).is_ok(), public, "{mode:o}");
            assert_eq!(check_secret(&file).is_ok(), secret, "{mode:o}");
        }
        assert!(check_public(&file).unwrap_err().contains("some.toml"));
        set_mode(&file, 0o600);
        set_mode(directory.path(), 0o777);
        assert!(check_public(&file).is_err(), "another could be put in its place");
        set_mode(directory.path(), 0o1777);
        assert!(check_public(&file).is_ok(), "not where only owners may replace");
        assert!(check_secret(&directory.path().join("absent")).is_err());
    }

    #[test]
    fn a_tree_is_as_good_as_its_worst_file() {
        let directory = tempfile::tempdir().unwrap();
        set_mode(directory.path(), 0o755);
        let deep = directory.path().join("crls");
        std::fs::create_dir(&deep).unwrap();
        set_mode(&deep, 0o755);
        std::fs::write(deep.join("root.pem"), "").unwrap();
        set_mode(&deep.join("root.pem"), 0o644);
        assert_eq!(check_public_tree(directory.path()), Ok(()));
        set_mode(&deep.join("root.pem"), 0o666);
        assert!(check_public_tree(directory.path()).unwrap_err().contains("root.pem"));
    }
}
