use std::fmt;
use std::str::FromStr;

/// A digest in text was not 64 lowercase hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected 64 lowercase hexadecimal digits")]
pub struct DigestParseError;

fn parse_hex(text: &str) -> Result<[u8; 32], DigestParseError> {
    let text = text.as_bytes();
    if text.len() != 64 {
        return Err(DigestParseError);
    }
    let nibble = |c: u8| match c {
        b'0'..=b'9' => Ok(c - b'0'),
        b'a'..=b'f' => Ok(c - b'a' + 10),
        _ => Err(DigestParseError),
    };
    let mut out = [0; 32];
    for (byte, pair) in out.iter_mut().zip(text.chunks_exact(2)) {
        *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
    }
    Ok(out)
}

macro_rules! digest_types {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        ///
        /// 32 octets; printed as 64 lowercase hexadecimal digits.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 32]);

        impl $name {
            pub const fn new(octets: [u8; 32]) -> Self {
                Self(octets)
            }

            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = DigestParseError;

            fn from_str(text: &str) -> Result<Self, DigestParseError> {
                parse_hex(text).map(Self)
            }
        }

        impl From<[u8; 32]> for $name {
            fn from(octets: [u8; 32]) -> Self {
                Self(octets)
            }
        }
    )*};
}

digest_types! {
    /// SM3 of a DER `SubjectPublicKeyInfo`: the name of a key in every record.
    KeyId;
    /// SM3 of a DER certificate.
    CertificateHash;
    /// SM3 of the octets of the agreement file in force.
    AgreementHash;
    /// SM3 of the octets of a platform profile or token profile.
    ProfileHash;
    /// SM3 of a message's signed content, for example of a request's `bizPackage` octets.
    ContentDigest;
    /// SM3 over the files of a trust store.
    TrustHash;
    /// HMAC-SM3 under an epoch key over label, document type and canonical number: finds records without holding the number.
    SearchTag;
    /// SM3 over a 256-bit salt and the canonical fields: proves later what was asked, to those who hold the salt.
    Commitment;
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_digest_prints_and_parses_as_lowercase_hex() {
        let id = KeyId::new([0xa5; 32]);
        assert_eq!(id.to_string(), "a5".repeat(32));
        assert_eq!(id.to_string().parse::<KeyId>().unwrap(), id);
    }

    #[test]
    fn uppercase_short_and_long_digests_are_refused() {
        for text in ["A5".repeat(32), "a5".repeat(31), "a5".repeat(33), "g5".repeat(32), "é".repeat(32)] {
            assert_eq!(text.parse::<KeyId>(), Err(DigestParseError));
        }
    }
}
