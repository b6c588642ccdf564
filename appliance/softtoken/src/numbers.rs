//! The dialect this module speaks: every vendor number in one place.
//!
//! PKCS#11 has no standard SM2 mechanism. The numbers are those of the Sansec family, which most Chinese tokens
//! share for keys and key generation, with the forms that leave nothing to guess: raw `r‖s`, and either the digest e
//! as input or the message with the Z value of the default distinguishing id. Nothing else in the crate knows a vendor number.

use cryptoki_sys::{
    CK_FLAGS, CK_KEY_TYPE, CK_MECHANISM_TYPE, CKF_DECRYPT, CKF_DIGEST, CKF_EC_F_P, CKF_EC_NAMEDCURVE,
    CKF_EC_UNCOMPRESS, CKF_GENERATE_KEY_PAIR, CKF_SIGN, CKF_UNWRAP, CKF_VERIFY, CKK_VENDOR_DEFINED, CKM_VENDOR_DEFINED,
};

/// `CKK_SM2` of the common Chinese numbering.
pub(crate) const CKK_SM2: CK_KEY_TYPE = CKK_VENDOR_DEFINED + 4;

/// `CKA_EC_PARAMS` of every SM2 key: the DER object identifier 1.2.156.10197.1.301.
pub(crate) const SM2_CURVE_OID: [u8; 10] = [0x06, 0x08, 0x2A, 0x81, 0x1C, 0xCF, 0x55, 0x01, 0x82, 0x2D];

/// What the module can be asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mechanism {
    /// SM2 key pair generation.
    GenerateKeyPair,
    /// Signature over a message; the module computes e = SM3(Z ‖ M) with the default distinguishing id. Raw `r‖s`.
    SignMessage,
    /// Signature over the 32-byte digest e as given. Raw `r‖s`.
    SignDigest,
    /// SM2 decryption of a DER `SM2Cipher` (GM/T 0009), and unwrapping of keys sealed that way.
    Cipher,
    /// The SM3 digest.
    Sm3,
}

const CURVE: CK_FLAGS = CKF_EC_F_P | CKF_EC_NAMEDCURVE | CKF_EC_UNCOMPRESS;

impl Mechanism {
    /// In the order in which `C_GetMechanismList` names them.
    pub(crate) const ALL: [Self; 5] =
        [Self::GenerateKeyPair, Self::SignMessage, Self::SignDigest, Self::Cipher, Self::Sm3];

    /// The number a caller uses.
    pub(crate) const fn number(self) -> CK_MECHANISM_TYPE {
        match self {
            Self::GenerateKeyPair => CKM_VENDOR_DEFINED + 0x8001,
            Self::SignMessage => CKM_VENDOR_DEFINED + 0x8102,
            Self::SignDigest => CKM_VENDOR_DEFINED + 0x8105,
            Self::Cipher => CKM_VENDOR_DEFINED + 0x8200,
            Self::Sm3 => CKM_VENDOR_DEFINED + 0x9001,
        }
    }

    /// The mechanism behind a number.
    pub(crate) fn from_number(number: CK_MECHANISM_TYPE) -> Option<Self> {
        Self::ALL.into_iter().find(|mechanism| mechanism.number() == number)
    }

    /// Key size in bits; a digest has none.
    pub(crate) const fn key_bits(self) -> u64 {
        match self {
            Self::Sm3 => 0,
            _ => 256,
        }
    }

    /// The flags of `C_GetMechanismInfo`. Never `CKF_HW`: this is software.
    pub(crate) const fn flags(self) -> CK_FLAGS {
        match self {
            Self::GenerateKeyPair => CKF_GENERATE_KEY_PAIR | CURVE,
            Self::SignMessage | Self::SignDigest => CKF_SIGN | CKF_VERIFY | CURVE,
            Self::Cipher => CKF_DECRYPT | CKF_UNWRAP | CURVE,
            Self::Sm3 => CKF_DIGEST,
        }
    }
}
