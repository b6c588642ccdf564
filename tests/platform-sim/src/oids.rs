//! Object identifiers of GB/T 33560 and GB/T 35275, as DER.

use crate::der::oid;

const GM: [u32; 4] = [1, 2, 156, 10197];

fn gm(arcs: &[u32]) -> Vec<u8> {
    oid(&[&GM[..], arcs].concat())
}

pub(crate) fn data() -> Vec<u8> {
    gm(&[6, 1, 4, 2, 1])
}

pub(crate) fn signed_data() -> Vec<u8> {
    gm(&[6, 1, 4, 2, 2])
}

pub(crate) fn enveloped_data() -> Vec<u8> {
    gm(&[6, 1, 4, 2, 3])
}

pub(crate) fn sm3() -> Vec<u8> {
    gm(&[1, 401])
}

pub(crate) fn sm2_signature() -> Vec<u8> {
    gm(&[1, 301, 1])
}

pub(crate) fn sm2_encryption() -> Vec<u8> {
    gm(&[1, 301, 3])
}

pub(crate) fn sm4_cbc() -> Vec<u8> {
    gm(&[1, 104, 2])
}

/// PKCS#9 attributes: 3 content type, 4 message digest, 5 signing time.
pub(crate) fn pkcs9(n: u32) -> Vec<u8> {
    oid(&[1, 2, 840, 113_549, 1, 9, n])
}
