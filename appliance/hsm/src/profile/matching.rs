//! Whether a profile is for the token and the library that are there.

use std::fmt::Display;

use super::{Profile, Version, VersionRange};

impl Profile {
    /// Whether the profile is for such a token; else the key that differs and what the token says.
    pub(crate) fn fits(&self, manufacturer: &str, model: &str) -> Result<(), String> {
        for (key, wanted, found) in
            [("match.manufacturer", &self.manufacturer, manufacturer), ("match.model", &self.model, model)]
        {
            if !wanted.is_empty() && wanted != found {
                return Err(format!(
                    "profile {:?} ({}) is for another token: {key} is {wanted:?}, the token says {found:?}",
                    self.name,
                    self.file.display()
                ));
            }
        }
        Ok(())
    }

    /// Whether the profile is for such a library, asked for when it matters; else the key that differs and what the module says.
    pub(crate) fn fits_library<E: Display>(
        &self,
        library: impl FnOnce() -> Result<Version, E>,
        firmware: Version,
    ) -> Result<(), String> {
        let fits = |key: &str, what: &str, range: &VersionRange, found: Version| {
            let wrong = |key: &str, wanted: Version| {
                Err(format!(
                    "profile {:?} ({}) is for another version: {key} is {wanted}, the {what} says {found}",
                    self.name,
                    self.file.display()
                ))
            };
            match *range {
                VersionRange { min: Some(min), .. } if found < min => wrong(&format!("match.{key}_min"), min),
                VersionRange { max: Some(max), .. } if found > max => wrong(&format!("match.{key}_max"), max),
                _ => Ok(()),
            }
        };
        fits("firmware", "token", &self.firmware, firmware)?;
        if self.library == VersionRange::default() {
            return Ok(());
        }
        fits("library", "module", &self.library, library().map_err(|error| error.to_string())?)
    }
}
