use x509_parser::pem::Pem;

use crate::certificate::Certificate;
use crate::error::MessageError;

/// Octets of a certificate file at most.
const MAX_FILE: usize = 4 * 1024 * 1024;

/// Reads a file of certificates: PEM blocks `CERTIFICATE` in order, or one DER certificate. Other PEM blocks are refused.
pub fn certificates_from_pem_or_der(octets: &[u8]) -> Result<Vec<Certificate>, MessageError> {
    if octets.len() > MAX_FILE {
        return Err(MessageError::TooLarge(MAX_FILE));
    }
    if octets.first() == Some(&0x30) {
        return Ok(vec![Certificate::from_der(octets)?]);
    }
    let certificates: Vec<Certificate> = Pem::iter_from_buffer(octets)
        .map(|block| {
            let block = block.map_err(|_| MessageError::Certificate("malformed PEM"))?;
            if block.label == "CERTIFICATE" {
                Certificate::from_der(&block.contents)
            } else {
                Err(MessageError::Certificate("a PEM block that is not CERTIFICATE"))
            }
        })
        .collect::<Result<_, _>>()?;
    if certificates.is_empty() {
        Err(MessageError::Certificate("no certificate in the file"))
    } else {
        Ok(certificates)
    }
}

/// Writes one PEM block (RFC 7468): label, base64 in lines of 64, newline at the end.
pub fn pem_encode(label: &'static str, der: &[u8]) -> String {
    der::pem::encode_string(label, der::pem::LineEnding::LF, der).unwrap_or_default()
}
