use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::{Field, UnknownWord};

macro_rules! verdict_words {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $expected:literal, $($(#[$vdoc:meta])* $variant:ident = $text:literal,)*) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$vdoc])* $variant,)* }

        impl $name {
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = UnknownWord;

            fn from_str(text: &str) -> Result<Self, UnknownWord> {
                match text {
                    $($text => Ok(Self::$variant),)*
                    _ => Err(UnknownWord { kind: $kind, expected: $expected }),
                }
            }
        }
    };
}

verdict_words! {
    /// What the platform said of the whole check, once its answer was proven.
    Verdict, "verdict", "match mismatch not-found undecided",
    Match = "match",
    Mismatch = "mismatch",
    NotFound = "not-found",
    Undecided = "undecided",
}

verdict_words! {
    /// What the platform said of one field.
    FieldVerdict, "field verdict", "match mismatch undecided",
    Match = "match",
    Mismatch = "mismatch",
    Undecided = "undecided",
}

/// Verdicts per field, in canonical field order. Empty when the document was not found.
pub type FieldVerdicts = BTreeMap<Field, FieldVerdict>;
