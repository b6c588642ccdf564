//! SM2 verification and sealing, SM3 and their encodings (GB/T 32918, GB/T 32905, GB/T 32907, GB/T 35276).
//!
//! No I/O and no clock; randomness is a parameter; no private key ever enters. Everything here handles public data, but
//! for the ephemeral scalars, session keys and plaintexts of sealing: no time depends on them, and they are wiped after use.
#![cfg_attr(not(feature = "std"), no_std)]
// Arithmetic: formulas have the names that the field's papers give them, and a call costs as much as what it does.
#![allow(clippy::inline_always, clippy::many_single_char_names)]

extern crate alloc;

mod arch;
mod backend;
mod batch;
mod batch_affine;
mod digest;
mod engine;
mod field;
mod key;
mod point;
mod recode;
mod scalar;
mod seal;
mod secret;
mod signature;
mod sm3_many;
mod table;
#[cfg(test)]
mod tests;
mod verify;

pub use backend::Backend;
pub use batch::{BatchItem, KeyRef, verify_batch};
pub use digest::{HkdfSm3, Sm3, TooLong, hmac_sm3, sm3};
pub use key::{DistinguishingId, E, IdError, KeyError, MessageHasher, PublicKey, ZValue};
pub use seal::{
    EncryptionKey, SealError, Sm2Ciphertext, Sm4CbcEncryptor, Sm4Key, sm2_encrypt, sm2_open, sm4_cbc_decrypt,
    sm4_decrypt_blocks, sm4_ecb_decrypt,
};
pub use signature::{Signature, SignatureError};
pub use sm3_many::sm3_many;
pub use verify::{FixedKey, VerifyError, VerifyingKey, verify};
