use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// A network that callers connect from: an address and how many of its leading bits count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u32,
}

/// A text names no network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    #[error("expected an address, or an address, `/` and a number of bits, such as `10.20.0.0/16`")]
    Form,
    #[error("the address has bits set beyond the prefix")]
    BeyondPrefix,
}

/// The address as a number, and how many bits it has.
fn bits(address: IpAddr) -> (u128, u32) {
    match address {
        IpAddr::V4(address) => (u32::from(address).into(), 32),
        IpAddr::V6(address) => (address.into(), 128),
    }
}

impl Network {
    /// An IPv4 address in its IPv6 form is that IPv4 address.
    pub fn contains(&self, address: IpAddr) -> bool {
        let ((own, length), (other, others)) = (bits(self.address), bits(address.to_canonical()));
        length == others && (own ^ other).checked_shr(length - self.prefix).unwrap_or(0) == 0
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let (address, prefix) = text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
        let address: IpAddr = address.parse().map_err(|_| NetworkError::Form)?;
        let (value, length) = bits(address);
        let prefix = match prefix {
            None => length,
            Some(digits) if !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit()) => {
                digits.parse().ok().filter(|prefix| *prefix <= length).ok_or(NetworkError::Form)?
            }
            Some(_) => return Err(NetworkError::Form),
        };
        let beyond = if prefix == 0 { value } else { value & !(u128::MAX << (length - prefix)) };
        if beyond == 0 { Ok(Self { address, prefix }) } else { Err(NetworkError::BeyondPrefix) }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn holds(network: &str, address: &str) -> bool {
        network.parse::<Network>().unwrap().contains(address.parse().unwrap())
    }

    #[test]
    fn a_network_holds_its_first_and_last_address_and_not_those_beside_them() {
        assert_eq!(
            ["10.19.255.255", "10.20.0.0", "10.20.255.255", "10.21.0.0"].map(|address| holds("10.20.0.0/16", address)),
            [false, true, true, false]
        );
        assert_eq!(["10.0.0.1", "10.0.0.2"].map(|address| holds("10.0.0.1", address)), [true, false]);
        assert_eq!(
            ["2001:db7:ffff::", "2001:db8::", "2001:db8:ffff::", "2001:db9::"]
                .map(|address| holds("2001:db8::/32", address)),
            [false, true, true, false]
        );
        assert!(holds("0.0.0.0/0", "255.255.255.255") && holds("::/0", "ffff::"));
    }

    #[test]
    fn the_two_kinds_of_address_are_apart_but_for_ipv4_written_as_ipv6() {
        assert!(!holds("0.0.0.0/0", "::1") && !holds("::/0", "10.0.0.1"));
        assert!(holds("10.0.0.0/8", "::ffff:10.1.2.3"));
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in ["", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/+8", "10.0.0/8", "::/129", "host", "10.0.0.0/8/8"] {
            assert_eq!(text.parse::<Network>(), Err(NetworkError::Form), "{text}");
        }
        for text in ["10.0.0.1/8", "2001:db8::1/32", "0.0.0.1/0"] {
            assert_eq!(text.parse::<Network>(), Err(NetworkError::BeyondPrefix), "{text}");
        }
    }
}
