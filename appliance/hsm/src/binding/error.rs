use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;

use super::outcomes::{Mark, Remedy, code_name, is_marked};

/// A PKCS#11 function answered something else than `CKR_OK`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pkcs11Error {
    /// Such as `C_Sign`.
    pub function: Cow<'static, str>,
    /// The `CK_RV`.
    pub rv: u64,
    /// By the profile, or by the table.
    pub remedy: Remedy,
}

impl fmt::Display for Pkcs11Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.function, code_name(self.rv))
    }
}

impl std::error::Error for Pkcs11Error {}

/// The module could not be used as wanted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BindingError {
    #[error(transparent)]
    Pkcs11(#[from] Pkcs11Error),
    #[error("the module {path} cannot be loaded: {reason}", path = path.display())]
    Load { path: PathBuf, reason: String },
    /// A module keeps state for the life of a process; a second initialisation would share it.
    #[error("this process has initialised a module already")]
    AlreadyLoaded,
    #[error("a thread to watch calls: {0}")]
    Watch(String),
    #[error("the module does not have {0}")]
    MissingFunction(&'static str),
    #[error("{function} gave {what}")]
    Nonsense { function: &'static str, what: String },
}

impl BindingError {
    /// What is done about it.
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::Pkcs11(error) => error.remedy,
            Self::Nonsense { .. } => Remedy::Reinitialise,
            Self::Watch(_) => Remedy::Respawn,
            Self::Load { .. } | Self::AlreadyLoaded | Self::MissingFunction(_) => Remedy::Fail,
        }
    }

    /// A stable label.
    pub fn code(&self) -> &'static str {
        self.remedy().as_str()
    }

    /// Whether its code has this mark.
    pub(crate) fn is(&self, mark: Mark) -> bool {
        self.rv().is_some_and(|rv| is_marked(rv, mark))
    }

    /// The `CK_RV`, if that is what failed.
    pub fn rv(&self) -> Option<u64> {
        match self {
            Self::Pkcs11(error) => Some(error.rv),
            _ => None,
        }
    }
}
