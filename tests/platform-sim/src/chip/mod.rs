//! Documents with a chip: real data groups (ICAO Doc 9303-10) for the invented holders, signed by a document signer under a test
//! CSCA, and the platform's reading of what comes back.

mod authority;
mod lds;
mod verify;

pub use authority::Authority;
pub use lds::{Files, sex, zone};
pub(crate) use verify::{Finding, read};

use crate::registry::Holder;
use crate::{SimError, portrait};

/// How a chip handed to a caller differs from the holder's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variant {
    /// As issued.
    Genuine,
    /// Another birth date in DG1, its check digits right, the signature untouched.
    AlteredZone,
    /// Everything right, signed by an authority that issues no documents.
    ForeignSigner,
    /// The security object of another document.
    OthersSecurityObject,
}

impl Variant {
    /// All of them with their names.
    pub const ALL: [(Self, &'static str); 4] = [
        (Self::Genuine, "genuine"),
        (Self::AlteredZone, "altered-zone"),
        (Self::ForeignSigner, "foreign-signer"),
        (Self::OthersSecurityObject, "others-security-object"),
    ];

    /// The name used by the control listener.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(variant, _)| *variant == self).map_or("genuine", |(_, name)| name)
    }

    /// By name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == name).map(|(variant, _)| *variant)
    }
}

/// Who issues chips: the country's authority, and one that pretends to be.
#[derive(Debug)]
pub struct Issuers {
    genuine: Authority,
    foreign: Authority,
}

impl Issuers {
    /// Makes both, with fresh keys.
    pub fn new() -> Result<Self, SimError> {
        Ok(Self { genuine: Authority::new("CN", "Test CSCA")?, foreign: Authority::new("UT", "Other CSCA")? })
    }

    /// DER of the country's authority's certificate, for whoever wants to judge chips too.
    pub fn authority_certificate(&self) -> Result<Vec<u8>, SimError> {
        self.genuine.certificate()
    }

    /// The chip of a holder's document. `another` is whose security object stands in for it, where the variant wants that.
    pub fn chip(&self, holder: &Holder, another: &Holder, variant: Variant) -> Result<Files, SimError> {
        let signer = if variant == Variant::ForeignSigner { &self.foreign } else { &self.genuine };
        let mut files = lds::files(&zone(holder), &portrait::portrait(holder), signer)?;
        match variant {
            Variant::Genuine | Variant::ForeignSigner => {}
            Variant::AlteredZone => {
                let mut other = holder.clone();
                other.birth_date = another.birth_date;
                files.dg1 = lds::dg1(&zone(&other));
            }
            Variant::OthersSecurityObject => {
                files.sod = lds::files(&zone(another), &portrait::portrait(another), signer)?.sod;
            }
        }
        Ok(files)
    }

    /// Whether a security object is the country's; gives the signed list of hashes.
    pub(crate) fn open(&self, security_object: &[u8]) -> Option<Vec<u8>> {
        self.genuine.open(security_object)
    }
}
