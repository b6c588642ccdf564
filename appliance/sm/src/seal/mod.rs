//! Sealing: SM2 encryption to a public key (GB/T 32918.4), SM4-CBC for what is too long for it (GB/T 17964).

mod ciphertext;
mod decrypt;
mod encrypt;
mod sm4;

#[cfg(test)]
pub(crate) use encrypt::assemble;

pub use ciphertext::Sm2Ciphertext;
pub use decrypt::sm2_open;
pub use encrypt::{EncryptionKey, sm2_encrypt};
pub use sm4::{Sm4CbcEncryptor, Sm4Key, sm4_cbc_decrypt, sm4_decrypt_blocks, sm4_ecb_decrypt};

/// Sealing or opening failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    #[error("the random source failed, or the message is empty or longer than SM2 can encrypt")]
    Encrypt,
    /// Wrong key, altered ciphertext and bad padding look alike on purpose.
    #[error("the ciphertext cannot be opened")]
    Decrypt,
}
