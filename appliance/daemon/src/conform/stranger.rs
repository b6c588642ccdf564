//! A key pair made on the spot, whose certificate nobody issued: the platform cannot know it.

use openssl::asn1::Asn1Time;
use openssl::bn::{BigNum, MsbOption};
use openssl::ec::{EcGroup, EcKey};
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::sign::Signer;
use openssl::x509::extension::{BasicConstraints, KeyUsage};
use openssl::x509::{X509, X509NameBuilder};
use yanqian_gateway::Stranger;
use yanqian_messages::Certificate;
use yanqian_sm::Signature;

/// Says why none could be made.
pub(super) fn make() -> Result<Stranger, String> {
    let (key, certificate) = pair().map_err(|error| error.to_string())?;
    let der = certificate.to_der().map_err(|error| error.to_string())?;
    let certificate = Certificate::from_der(&der).map_err(|error| error.to_string())?;
    let sign = move |octets: &[u8]| {
        // OpenSSL signs with Z of the default id, as the self-test at start has shown.
        let der = Signer::new(MessageDigest::sm3(), &key).and_then(|mut signer| signer.sign_oneshot_to_vec(octets));
        Signature::from_der(&der.ok()?).ok()
    };
    Stranger::new(certificate, sign).ok_or_else(|| "the certificate holds no SM2 key".to_owned())
}

fn pair() -> Result<(PKey<Private>, X509), ErrorStack> {
    let key = EcKey::generate(&*EcGroup::from_curve_name(Nid::SM2)?)?;
    let key = PKey::from_ec_key(key)?;
    let mut name = X509NameBuilder::new()?;
    name.append_entry_by_nid(Nid::COMMONNAME, "yanqian conform, not registered")?;
    let name = name.build();
    let mut serial = BigNum::new()?;
    serial.rand(127, MsbOption::ONE, false)?;
    let mut builder = X509::builder()?;
    builder.set_version(2)?;
    let serial = serial.to_asn1_integer()?;
    builder.set_serial_number(&serial)?;
    builder.set_subject_name(&name)?;
    builder.set_issuer_name(&name)?;
    builder.set_not_before(&*Asn1Time::days_from_now(0)?)?;
    builder.set_not_after(&*Asn1Time::days_from_now(1)?)?;
    builder.set_pubkey(&key)?;
    builder.append_extension2(&*BasicConstraints::new().critical().build()?)?;
    builder.append_extension2(&*KeyUsage::new().critical().digital_signature().non_repudiation().build()?)?;
    builder.sign(&key, MessageDigest::sm3())?;
    Ok((key, builder.build()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use yanqian_sm::{DistinguishingId, E};

    use super::*;

    #[test]
    fn a_stranger_signs_as_the_field_does_with_the_key_of_its_certificate() {
        let (key, certificate) = pair().unwrap();
        let certificate = Certificate::from_der(&certificate.to_der().unwrap()).unwrap();
        let public = certificate.public_key().unwrap();
        let der = Signer::new(MessageDigest::sm3(), &key).unwrap().sign_oneshot_to_vec(b"content").unwrap();
        let e = E::of_message(public, &DistinguishingId::default(), &[b"content"]);
        assert!(yanqian_sm::verify(public, &e, &Signature::from_der(&der).unwrap()).is_ok());
        assert!(certificate.key_usage().unwrap().digital_signature && !certificate.is_ca());
        assert!(make().is_ok());
    }
}
