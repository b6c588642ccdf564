//! What the three services are asked about (Measures art. 4), and what the third one gives back. Everything here is personal
//! data: unprintable, and wiped when dropped.

use std::fmt;

use zeroize::Zeroizing;

use crate::{
    BirthDate, DocumentClaim, DocumentNumber, DocumentType, ExpiryDate, Field, Mode, Nationality, PersonalName, Sex,
};

macro_rules! unprintable_octets {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        ///
        /// Unprintable; wiped from memory when dropped. Not `Clone`: these are the largest things that a request holds.
        #[derive(PartialEq, Eq)]
        pub struct $name(Zeroizing<Vec<u8>>);

        impl $name {
            /// Takes octets that the documents room has accepted.
            pub fn new(octets: Vec<u8>) -> Self {
                Self(Zeroizing::new(octets))
            }

            /// As [`Self::new`], without a copy.
            pub fn from_zeroizing(octets: Zeroizing<Vec<u8>>) -> Self {
                Self(octets)
            }

            /// The octets themselves, for an encoder or a digest. Never for a log, metric, error or URL (I8).
            pub fn expose(&self) -> &[u8] {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    )*};
}

unprintable_octets! {
    /// A holder's portrait: a whole JPEG picture without metadata.
    Portrait;
    /// One file of a document's chip, as it stands there: one BER-TLV value (ICAO Doc 9303-10).
    ChipFile;
}

/// The files of a chip that a reading takes.
#[derive(Debug, PartialEq, Eq)]
pub struct ChipFiles {
    /// EF.COM: which data groups there are.
    pub com: ChipFile,
    /// EF.DG1: the machine-readable zone.
    pub dg1: ChipFile,
    /// EF.DG2: the portrait.
    pub dg2: ChipFile,
    /// EF.SOD: the issuing authority's signature over the data groups' digests.
    pub sod: ChipFile,
}

/// A chip whose files a caller submits.
#[derive(Debug, PartialEq, Eq)]
pub struct ChipClaim {
    pub document_type: DocumentType,
    /// From the machine-readable zone of DG1.
    pub number: DocumentNumber,
    pub files: ChipFiles,
}

/// What a check asks the platform about, after the documents room has accepted every part.
#[derive(Debug, PartialEq, Eq)]
pub enum Claim {
    RealName(DocumentClaim),
    RealPerson { document: DocumentClaim, portrait: Portrait },
    ChipReading(ChipClaim),
}

impl Claim {
    pub const fn mode(&self) -> Mode {
        match self {
            Self::RealName(_) => Mode::RealName,
            Self::RealPerson { .. } => Mode::RealPerson,
            Self::ChipReading(_) => Mode::ChipReading,
        }
    }

    pub const fn document_type(&self) -> DocumentType {
        match self {
            Self::RealName(document) | Self::RealPerson { document, .. } => document.document_type,
            Self::ChipReading(chip) => chip.document_type,
        }
    }

    pub const fn number(&self) -> &DocumentNumber {
        match self {
            Self::RealName(document) | Self::RealPerson { document, .. } => &document.number,
            Self::ChipReading(chip) => &chip.number,
        }
    }

    /// The fields that the platform is asked to judge, in canonical order.
    pub fn fields(&self) -> Vec<Field> {
        match self {
            Self::RealName(document) => document.fields(),
            Self::RealPerson { document, .. } => {
                let mut fields = document.fields();
                fields.push(Field::Portrait);
                fields
            }
            Self::ChipReading(_) => vec![Field::Chip],
        }
    }
}

/// A document's fields as the platform has read them from its chip. On its way to the caller, and kept nowhere.
#[derive(PartialEq, Eq)]
pub struct Reading {
    pub document_type: DocumentType,
    pub number: DocumentNumber,
    pub name: PersonalName,
    pub sex: Sex,
    pub birth_date: BirthDate,
    pub nationality: Nationality,
    pub expiry: ExpiryDate,
}

impl fmt::Debug for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reading(..)")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::CivilDate;

    fn document() -> DocumentClaim {
        DocumentClaim {
            document_type: DocumentType::PrcPassport,
            number: DocumentNumber::new("E12345678"),
            name: PersonalName::new("张伟"),
            birth_date: BirthDate(CivilDate::parse_iso("1987-06-05").unwrap()),
            nationality: None,
            expiry: None,
        }
    }

    #[test]
    fn pictures_and_chip_files_do_not_print() {
        let claim = Claim::RealPerson { document: document(), portrait: Portrait::new(b"PIXELS".to_vec()) };
        let printed = format!("{claim:?} {:?}", ChipFile::new(b"PIXELS".to_vec()));
        for secret in ["PIXELS", "80, 73", "E12345678", "张伟"] {
            assert!(!printed.contains(secret), "{printed}");
        }
    }

    #[test]
    fn each_service_asks_about_its_own_fields() {
        let asked = Claim::RealPerson { document: document(), portrait: Portrait::new(Vec::new()) }.fields();
        assert_eq!(asked, [Field::Number, Field::Name, Field::BirthDate, Field::Portrait]);
        assert_eq!(Claim::RealName(document()).fields(), asked[..3]);
    }
}
