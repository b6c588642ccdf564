use std::fmt;
use std::str::FromStr;

use crate::personal::{BirthDate, DocumentNumber, ExpiryDate, Nationality, PersonalName};

/// A word that is not in the list of its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown {kind}; expected one of: {expected}")]
pub struct UnknownWord {
    pub kind: &'static str,
    pub expected: &'static str,
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $($(#[$vdoc:meta])* $variant:ident = $text:literal,)*) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$vdoc])* $variant,)* }

        impl $name {
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The word used in configuration, API, records and metric labels alike.
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
                    _ => Err(UnknownWord { kind: $kind, expected: concat!($($text, " ",)*).trim_end() }),
                }
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

words! {
    /// A way of identification (Measures art. 4).
    Mode, "mode",
    /// Art. 4(1): consistency of name, number, birth date and other printed fields.
    RealName = "real-name",
    /// Art. 4(2): consistency of the holder's portrait.
    RealPerson = "real-person",
    /// Art. 4(3): reading of the electronic information in the chip.
    ChipReading = "chip-reading",
}

words! {
    /// A document that a platform may know; its profile says which ones it does. docs/documents.md has their numbers.
    DocumentType, "document type",
    /// Ordinary, public-affairs, service or diplomatic passport of the PRC.
    PrcPassport = "prc-passport",
    /// 港澳居民来往内地通行证: mainland travel permit for Hong Kong and Macao residents.
    HongKongMacaoPermit = "hong-kong-macao-permit",
    /// 台湾居民来往大陆通行证: mainland travel permit for Taiwan residents.
    TaiwanPermit = "taiwan-permit",
    /// 外国人永久居留身份证: foreign permanent resident identity card.
    ForeignPermanentResidentCard = "foreign-permanent-resident-card",
    /// 往来港澳通行证: exit-entry permit for mainland residents' travel to and from Hong Kong and Macao.
    ExitPermitToHongKongMacao = "exit-permit-to-hong-kong-macao",
    /// 居民身份证: resident identity card.
    ResidentIdentityCard = "resident-identity-card",
    /// 港澳台居民居住证: residence permit for Hong Kong, Macao and Taiwan residents.
    ResidencePermit = "residence-permit",
}

words! {
    /// A field of a document that a check may ask about.
    Field, "field",
    Number = "number",
    Name = "name",
    BirthDate = "birth_date",
    Nationality = "nationality",
    Expiry = "expiry",
    /// The holder's portrait (art. 4(2)); asked in real-person checks only.
    Portrait = "portrait",
    /// The chip's data as a whole (art. 4(3)): genuine, and of a document in the register. Asked in chip readings only.
    Chip = "chip",
}

words! {
    /// Sex as documents print it (ICAO Doc 9303-3): F, M, or `<`.
    Sex, "sex",
    Female = "female",
    Male = "male",
    Unspecified = "unspecified",
}

/// A document as a caller states it, after the documents room has accepted every field.
///
/// The fields are personal data and cannot be printed. Only `yanqian-documents` makes one in the appliance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentClaim {
    pub document_type: DocumentType,
    pub number: DocumentNumber,
    pub name: PersonalName,
    pub birth_date: BirthDate,
    pub nationality: Option<Nationality>,
    pub expiry: Option<ExpiryDate>,
}

impl DocumentClaim {
    /// The fields that this claim asks the platform to compare, in canonical order.
    pub fn fields(&self) -> Vec<Field> {
        let mut fields = vec![Field::Number, Field::Name, Field::BirthDate];
        fields.extend(self.nationality.is_some().then_some(Field::Nationality));
        fields.extend(self.expiry.is_some().then_some(Field::Expiry));
        fields
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_parses_back_to_itself() {
        for word in DocumentType::ALL {
            assert_eq!(word.as_str().parse(), Ok(*word));
        }
        for word in Mode::ALL {
            assert_eq!(word.as_str().parse(), Ok(*word));
        }
        for word in Field::ALL {
            assert_eq!(word.as_str().parse(), Ok(*word));
        }
    }

    #[test]
    fn an_unknown_word_is_refused_with_the_known_ones() {
        let error = "id-card".parse::<Mode>().expect_err("no such mode");
        assert_eq!(error.to_string(), "unknown mode; expected one of: real-name real-person chip-reading");
    }
}
