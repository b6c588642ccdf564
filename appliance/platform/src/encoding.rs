//! Signatures and messages as text, strict unless a profile says otherwise.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};

use crate::profile::SignatureText;

/// Padding or not; unused bits are zero all the same.
const LAX: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

fn read_base64(text: &[u8], lax: bool) -> Option<Vec<u8>> {
    if lax {
        let dense: Vec<u8> = text.iter().copied().filter(|octet| !octet.is_ascii_whitespace()).collect();
        LAX.decode(dense).ok()
    } else {
        STANDARD.decode(text).ok()
    }
}

impl SignatureText {
    pub(crate) fn write(self, octets: &[u8]) -> String {
        match self {
            Self::Base64 { .. } => STANDARD.encode(octets),
            Self::Hex { .. } => hex::encode(octets),
        }
    }

    pub(crate) fn read(self, text: &str) -> Option<Vec<u8>> {
        match self {
            Self::Base64 { lax } => read_base64(text.as_bytes(), lax),
            Self::Hex { lax } if lax || !text.bytes().any(|c| c.is_ascii_uppercase()) => hex::decode(text).ok(),
            Self::Hex { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use yanqian_messages::SignatureEncoding;
    use yanqian_sm::Signature;

    use super::*;

    #[test]
    fn what_is_written_is_read_and_only_the_lax_forms_take_more() {
        let signature = Signature::from_raw(&[0x9a; 64]).expect("in range");
        for encoding in [SignatureEncoding::Der, SignatureEncoding::LaxDer, SignatureEncoding::Raw] {
            assert_eq!(encoding.read(&encoding.write(&signature)), Ok(signature));
        }
        let octets = [0xfb, 0xef, 0x01];
        for lax in [false, true] {
            for text in [SignatureText::Base64 { lax }, SignatureText::Hex { lax }] {
                assert_eq!(text.read(&text.write(&octets)).as_deref(), Some(&octets[..]));
            }
        }
        let base64 = |lax, text| SignatureText::Base64 { lax }.read(text);
        for odd in ["++8B\n", "+ +8B", "++8BAA"] {
            assert_eq!((base64(false, odd), base64(true, odd).is_some()), (None, true), "{odd:?}");
        }
        for bad in ["++8BAB", "--8B", "++8=B", "+"] {
            assert_eq!((base64(false, bad), base64(true, bad)), (None, None), "{bad:?}");
        }
        let hex = |lax, text| SignatureText::Hex { lax }.read(text);
        assert_eq!((hex(false, "FBef01"), hex(true, "FBef01").as_deref()), (None, Some(&octets[..])));
        assert_eq!((hex(true, "fbe"), hex(true, "0xfb")), (None, None));
        let mut padded = signature.to_der();
        // r with a zero octet too many.
        padded[1] += 1;
        padded[3] += 1;
        padded.insert(4, 0);
        assert!(SignatureEncoding::Der.read(&padded).is_err());
        assert_eq!(SignatureEncoding::LaxDer.read(&padded), Ok(signature));
        assert!(SignatureEncoding::Raw.read(&[0x9a; 63]).is_err());
    }
}
