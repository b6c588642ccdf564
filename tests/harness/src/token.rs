//! The PKCS#11 module of a site and what stands before it, and the PIN.

use std::path::{Path, PathBuf};

use toml::Value;
use yanqian_p11_chaos as chaos;

use crate::binaries::Binaries;
use crate::error::{Doing as _, HarnessError};
use crate::options::Options;
use crate::places::{Places, write_private};
use crate::site::Site;

/// The profile of the soft token, in the repository.
pub(crate) const PROFILE: &str = "hsm-profiles/softtoken.toml";

/// What the worker loads, and the environment that this reads.
pub(crate) struct Loaded {
    pub(crate) module: PathBuf,
    pub(crate) environment: Vec<(&'static str, Value)>,
}

fn text(path: &Path) -> Value {
    Value::String(path.display().to_string())
}

pub(crate) fn loaded(places: &Places, options: &Options, binaries: &Binaries) -> Result<Loaded, HarnessError> {
    let token = Loaded {
        module: binaries.token_module.clone(),
        environment: vec![("YANQIAN_SOFTTOKEN_DIR", text(&places.token()))],
    };
    if !options.chaos {
        return Ok(token);
    }
    let Loaded { module: behind, mut environment } = token;
    environment.extend([(chaos::MODULE, text(&behind)), (chaos::DIRECTORY, text(&places.chaos()))]);
    Ok(Loaded { module: binaries.chaos_module()?.to_owned(), environment })
}

impl Site {
    /// The PIN in the worker's file.
    pub fn pin(&self) -> Result<String, HarnessError> {
        std::fs::read_to_string(self.places().pin()).doing(|| "the PIN's file".to_owned())
    }

    /// Puts another PIN into the worker's file; a worker reads it at its start.
    pub fn put_pin(&self, pin: &str) -> Result<(), HarnessError> {
        write_private(&self.places().pin(), pin.as_bytes(), self.options().users.worker)
    }
}
