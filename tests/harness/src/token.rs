//! The PKCS#11 module of a site and what stands before it, and the PIN.

use std::path::{Path, PathBuf};

use toml::Value;
use yanqian_p11_chaos as chaos;

use crate::binaries::Binaries;
use crate::error::{Doing as _, HarnessError};
use crate::options::{Options, Token};
use crate::places::{Places, write_private, write_public};
use crate::site::Site;
use crate::users::{User, give};

impl Token {
    /// Its profile, in the repository.
    pub(crate) const fn profile(self) -> &'static str {
        match self {
            Self::Soft => "hsm-profiles/softtoken.toml",
            Self::SoftHsm => "hsm-profiles/softhsm-sm2.toml",
            Self::Sealed => "hsm-profiles/softhsm-sealed.toml",
        }
    }

    /// Whether an encryption pair can be imported.
    pub(crate) const fn imports(self) -> bool {
        matches!(self, Self::Soft | Self::Sealed)
    }

    /// Makes what the module does not make itself.
    pub(crate) fn prepare(self, places: &Places, worker: Option<User>) -> Result<(), HarnessError> {
        if self == Self::Soft {
            return Ok(());
        }
        std::fs::create_dir(places.token()).doing(|| "the token's directory".to_owned())?;
        give(&places.token(), worker)?;
        self.configure(places)
    }

    /// Writes the module's own configuration, where it has one.
    pub(crate) fn configure(self, places: &Places) -> Result<(), HarnessError> {
        if self == Self::Soft {
            return Ok(());
        }
        let config = format!("directories.tokendir = {}\nlog.level = ERROR\n", places.token().display());
        write_public(&configuration(places), config.as_bytes())
    }
}

/// `SoftHSM`'s own configuration.
fn configuration(places: &Places) -> PathBuf {
    places.hsm().join("softhsm2.conf")
}

/// What the worker loads, and the environment that this reads.
pub(crate) struct Loaded {
    pub(crate) module: PathBuf,
    pub(crate) environment: Vec<(&'static str, Value)>,
}

fn text(path: &Path) -> Value {
    Value::String(path.display().to_string())
}

pub(crate) fn loaded(places: &Places, options: &Options, binaries: &Binaries) -> Result<Loaded, HarnessError> {
    let variable = match options.token {
        Token::Soft => ("YANQIAN_SOFTTOKEN_DIR", text(&places.token())),
        Token::SoftHsm | Token::Sealed => ("SOFTHSM2_CONF", text(&configuration(places))),
    };
    let token = Loaded { module: binaries.token_module.clone(), environment: vec![variable] };
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
