use alloc::vec::Vec;

/// The parts of an SM2 ciphertext (GB/T 32918.4-2016 §6.1): C1 as coordinates, C3, C2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sm2Ciphertext {
    /// x of C1, 32 octets big-endian.
    pub x: [u8; 32],
    /// y of C1, 32 octets big-endian.
    pub y: [u8; 32],
    /// C3 = SM3(x2 ‖ M ‖ y2).
    pub hash: [u8; 32],
    /// C2, as long as the message.
    pub ciphertext: Vec<u8>,
}

impl Sm2Ciphertext {
    /// `04 ‖ x ‖ y ‖ C3 ‖ C2`.
    pub fn to_c1c3c2(&self) -> Vec<u8> {
        [&[4], self.x.as_slice(), &self.y, &self.hash, &self.ciphertext].concat()
    }
}
