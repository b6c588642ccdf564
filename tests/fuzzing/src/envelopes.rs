use yanqian_messages::{Sm2EnvelopedKey, enveloped_key_from_blob, is_enveloped_key_blob};

/// Encryption pairs in both forms: what is read is written canonically and read as the same; no octets are both.
pub fn envelopes(octets: &[u8]) {
    let (der, blob) = (Sm2EnvelopedKey::from_der(octets), enveloped_key_from_blob(octets));
    assert!(der.is_err() || blob.is_err());
    assert!(blob.is_err() || is_enveloped_key_blob(octets));
    if let Ok(read) = der {
        let written = read.to_der();
        assert_eq!(Sm2EnvelopedKey::from_der(&written), Ok(read));
    }
    if let Ok(read) = blob {
        assert_eq!(Sm2EnvelopedKey::from_der(&read.to_der()), Ok(read));
    }
}
