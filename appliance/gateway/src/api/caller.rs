//! Who is calling: the names in the client certificate that the TLS layer has verified.

use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{AttributeTypeAndValue, FromDer, X509Certificate};

/// The DNS names of the certificate, or its common name when it has none. Empty when it has neither or cannot be read.
///
/// Several common names, or names that are not plain text, give no name: an ambiguous caller is nobody (Measures art. 9(1)).
pub(crate) fn certificate_names(der: &[u8]) -> Vec<String> {
    let Ok((rest, certificate)) = X509Certificate::from_der(der) else { return Vec::new() };
    if !rest.is_empty() {
        return Vec::new();
    }
    let names: Vec<String> = match certificate.subject_alternative_name() {
        Ok(Some(extension)) => extension
            .value
            .general_names
            .iter()
            .filter_map(|name| if let GeneralName::DNSName(dns) = name { Some((*dns).to_owned()) } else { None })
            .collect(),
        Ok(None) => Vec::new(),
        Err(_) => return Vec::new(),
    };
    if !names.is_empty() {
        return names;
    }
    let mut common = certificate.subject().iter_common_name();
    match (common.next().map(AttributeTypeAndValue::as_str), common.next()) {
        (Some(Ok(name)), None) => vec![name.to_owned()],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn reading_arbitrary_octets_as_a_certificate_never_panics(octets: Vec<u8>) {
            proptest::prop_assert!(certificate_names(&octets).is_empty());
        }
    }
}
