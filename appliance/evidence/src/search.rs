//! The search tag: what an auditor who holds an epoch's key finds a document's records by, and nobody else.

use yanqian_sm::hmac_sm3;
use yanqian_vocabulary::{DocumentType, SearchTag};
use zeroize::Zeroizing;

use crate::commitment::push_part;

/// HMAC-SM3(epoch key, `document number` ‖ document type ‖ number), each part with its length before it as in a
/// [`crate::commitment`]. `lifetime_number` is the number that stays with the holder, in canonical form.
pub fn search_tag(epoch_key: &[u8; 32], document_type: DocumentType, lifetime_number: &str) -> SearchTag {
    let mut parts = Zeroizing::new(Vec::with_capacity(128));
    push_part(&mut parts, b"document number");
    push_part(&mut parts, document_type.as_str().as_bytes());
    push_part(&mut parts, lifetime_number.as_bytes());
    SearchTag::new(hmac_sm3(epoch_key, &[&parts]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_tells_key_type_and_number_apart() {
        let tag = search_tag(&[7; 32], DocumentType::PrcPassport, "E12345678");
        assert_eq!(tag, search_tag(&[7; 32], DocumentType::PrcPassport, "E12345678"));
        for other in [
            search_tag(&[8; 32], DocumentType::PrcPassport, "E12345678"),
            search_tag(&[7; 32], DocumentType::TaiwanPermit, "E12345678"),
            search_tag(&[7; 32], DocumentType::PrcPassport, "E12345679"),
        ] {
            assert_ne!(tag, other);
        }
    }

    #[test]
    fn a_tag_is_the_one_that_openssl_computes() {
        // printf over the three parts with their lengths | openssl dgst -sm3 -mac HMAC -macopt hexkey:0707…07
        let tag = search_tag(&[7; 32], DocumentType::PrcPassport, "E12345678");
        assert_eq!(tag.to_string(), "1ad2aebb74fc33d9327a66334fe756a96aedc587acf856ad4d0186b912cfd6f6");
    }
}
