//! The executables of a site. They are built by `make`, not by the test crates: cargo does not build another package's
//! binaries for a test, and a test that silently used none would prove nothing.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::error::{Doing as _, HarnessError};

const MODULE: &str = "libyanqian_softtoken.so";
const CHAOS: &str = "libyanqian_p11_chaos.so";

/// Where the executables lie.
#[derive(Debug, Clone)]
pub struct Binaries {
    /// The appliance: daemon, worker and command line in one.
    pub yanqian: PathBuf,
    /// The offline verifier of receipts.
    pub verifier: PathBuf,
    /// The platform simulator.
    pub platform_sim: PathBuf,
    /// The soft token's PKCS#11 module.
    pub token_module: PathBuf,
    /// The module that fails on demand; only some sites need it.
    chaos_module: Option<PathBuf>,
}

impl Binaries {
    /// Looks in a directory such as `target/checked`; says how to build what is missing.
    pub fn locate(directory: &Path) -> Result<Self, HarnessError> {
        let there = |name: &str| {
            let file = directory.join(name);
            if file.is_file() { Ok(file) } else { Err(missing(directory, file)) }
        };
        Ok(Self {
            yanqian: there("yanqian")?,
            verifier: there("yanqian-verify")?,
            platform_sim: there("yanqian-platform-sim")?,
            token_module: module(directory, MODULE).ok_or_else(|| missing(directory, directory.join(MODULE)))?,
            chaos_module: module(directory, CHAOS),
        })
    }

    /// The directory two levels above the running test: `target/<profile>` of `target/<profile>/deps/NAME-HASH`.
    pub fn beside_this_test() -> Result<Self, HarnessError> {
        let test = std::env::current_exe().doing(|| "finding the running test".to_owned())?;
        let directory = test.parent().and_then(Path::parent).unwrap_or(Path::new("."));
        Self::locate(directory)
    }

    /// The directory of the running program: `target/<profile>` of `target/<profile>/yanqian-demo`.
    pub fn beside_this_program() -> Result<Self, HarnessError> {
        let program = std::env::current_exe().doing(|| "finding the running program".to_owned())?;
        Self::locate(program.parent().unwrap_or(Path::new(".")))
    }

    /// The module that fails on demand.
    pub(crate) fn chaos_module(&self) -> Result<&Path, HarnessError> {
        let directory = self.yanqian.parent().unwrap_or(Path::new("."));
        self.chaos_module.as_deref().ok_or_else(|| missing(directory, directory.join(CHAOS)))
    }

    /// Puts copies into `directory`, for users who may not look into the build directory. Hard links where the file
    /// system allows them: the files are large.
    pub(crate) fn copy_to(&self, directory: &Path) -> Result<Self, HarnessError> {
        let copy = |from: &Path| {
            let to = directory.join(from.file_name().unwrap_or_default());
            if std::fs::hard_link(from, &to).is_err() {
                std::fs::copy(from, &to).doing(|| format!("copying {}", from.display()))?;
            }
            Ok::<_, HarnessError>(to)
        };
        Ok(Self {
            yanqian: copy(&self.yanqian)?,
            verifier: copy(&self.verifier)?,
            platform_sim: copy(&self.platform_sim)?,
            token_module: copy(&self.token_module)?,
            chaos_module: self.chaos_module.as_deref().map(copy).transpose()?,
        })
    }
}

/// `cargo build` leaves the module beside the executables, `cargo test` only in `deps`: the newer one counts.
fn module(directory: &Path, name: &str) -> Option<PathBuf> {
    let built = |file: &PathBuf| file.metadata().and_then(|data| data.modified()).ok();
    let places = [directory.join(name), directory.join("deps").join(name)];
    let newest: Option<(SystemTime, PathBuf)> = places.into_iter().filter_map(|file| Some((built(&file)?, file))).max();
    newest.map(|(_, file)| file)
}

fn missing(directory: &Path, file: PathBuf) -> HarnessError {
    let profile = match directory.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(profile) => profile,
    };
    HarnessError::Missing {
        file,
        command: format!(
            "`cargo build --profile {profile} -p yanqian -p yanqian-verify -p yanqian-platform-sim -p yanqian-softtoken \
             -p yanqian-p11-chaos` (`make test` and `make demo` do)"
        ),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_missing_executable_is_named_with_the_command_that_builds_it() {
        let directory = tempfile::tempdir().unwrap();
        let profile = directory.path().join("checked");
        std::fs::create_dir(&profile).unwrap();
        std::fs::write(profile.join("yanqian"), "").unwrap();
        std::fs::write(profile.join("yanqian-verify"), "").unwrap();
        let error = Binaries::locate(&profile).unwrap_err().to_string();
        assert!(error.contains("checked/yanqian-platform-sim") && error.contains("--profile checked"), "{error}");
    }
}
