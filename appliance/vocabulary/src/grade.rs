use std::fmt;

/// What protects the signing key. Every record carries it, so that no one mistakes a rehearsal for the real thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TokenGrade {
    /// A soft token: software only, for development.
    Development,
    /// A key sealed by a token but used in the worker's memory.
    Sealed,
    /// A key that never leaves a hardware module.
    Hsm,
}

impl TokenGrade {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Development => "development",
            Self::Sealed => "sealed",
            Self::Hsm => "hsm",
        }
    }
}

impl fmt::Display for TokenGrade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for TokenGrade {
    type Err = crate::UnknownWord;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Development, Self::Sealed, Self::Hsm]
            .into_iter()
            .find(|grade| grade.as_str() == text)
            .ok_or(crate::UnknownWord { kind: "token grade", expected: "hsm sealed development" })
    }
}
