//! A country signing authority (CSCA) with one document signer, ECDSA P-256 with SHA-256 as in the field.

use openssl::asn1::Asn1Time;
use openssl::bn::{BigNum, MsbOption};
use openssl::cms::{CMSOptions, CmsContentInfo};
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::{MessageDigest, hash};
use openssl::nid::Nid;
use openssl::pkey::{PKey, PKeyRef, Private};
use openssl::sign::Signer;
use openssl::x509::extension::{BasicConstraints, KeyUsage};
use openssl::x509::store::X509StoreBuilder;
use openssl::x509::{X509, X509Name};

use crate::SimError;
use crate::der::{self, OCTET_STRING, SEQUENCE, SET};
use crate::pki::issuer_and_serial;

/// An authority and its signer.
pub struct Authority {
    root: X509,
    signer: X509,
    key: PKey<Private>,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").field("root", &self.root.subject_name()).finish_non_exhaustive()
    }
}

fn key() -> Result<PKey<Private>, SimError> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
    Ok(PKey::from_ec_key(EcKey::generate(&group)?)?)
}

fn name(country: &str, common_name: &str) -> Result<X509Name, SimError> {
    let mut name = X509Name::builder()?;
    name.append_entry_by_nid(Nid::COUNTRYNAME, country)?;
    name.append_entry_by_nid(Nid::COMMONNAME, common_name)?;
    Ok(name.build())
}

fn certificate(
    subject: &X509Name,
    key: &PKeyRef<Private>,
    issuer: Option<&X509>,
    issuer_key: &PKeyRef<Private>,
) -> Result<X509, SimError> {
    let mut builder = X509::builder()?;
    builder.set_version(2)?;
    let mut serial = BigNum::new()?;
    serial.rand(64, MsbOption::MAYBE_ZERO, true)?;
    let serial = serial.to_asn1_integer()?;
    builder.set_serial_number(&serial)?;
    builder.set_subject_name(subject)?;
    builder.set_issuer_name(issuer.map_or(subject, |issuer| issuer.subject_name()))?;
    let (from, to) = (Asn1Time::days_from_now(0)?, Asn1Time::days_from_now(3650)?);
    builder.set_not_before(&from)?;
    builder.set_not_after(&to)?;
    builder.set_pubkey(key)?;
    if issuer.is_none() {
        builder.append_extension(BasicConstraints::new().critical().ca().pathlen(0).build()?)?;
        builder.append_extension(KeyUsage::new().critical().key_cert_sign().crl_sign().build()?)?;
    } else {
        builder.append_extension(KeyUsage::new().critical().digital_signature().build()?)?;
    }
    builder.sign(issuer_key, MessageDigest::sha256())?;
    Ok(builder.build())
}

/// `id-signedData`, `id-icao-mrtd-security-ldsSecurityObject`, and the algorithms of Doc 9303-12.
fn signed_data() -> Vec<u8> {
    der::oid(&[1, 2, 840, 113_549, 1, 7, 2])
}

fn lds_security_object() -> Vec<u8> {
    der::oid(&[2, 23, 136, 1, 1, 1])
}

fn sha256() -> Vec<u8> {
    der::join(SEQUENCE, &[&der::oid(&[2, 16, 840, 1, 101, 3, 4, 2, 1])])
}

fn ecdsa_with_sha256() -> Vec<u8> {
    der::join(SEQUENCE, &[&der::oid(&[1, 2, 840, 10_045, 4, 3, 2])])
}

impl Authority {
    /// With fresh keys.
    pub fn new(country: &str, common_name: &str) -> Result<Self, SimError> {
        let root_key = key()?;
        let root = certificate(&name(country, common_name)?, &root_key, None, &root_key)?;
        let key = key()?;
        let signer =
            certificate(&name(country, &format!("{common_name} Document Signer"))?, &key, Some(&root), &root_key)?;
        Ok(Self { root, signer, key })
    }

    /// DER of the authority's own certificate.
    pub(crate) fn certificate(&self) -> Result<Vec<u8>, SimError> {
        Ok(self.root.to_der()?)
    }

    /// `LDSSecurityObject` over data groups, version 0, and its CMS `SignedData` (Doc 9303-10 §4.6.2).
    pub(crate) fn sign(&self, groups: &[(u8, &[u8])]) -> Result<Vec<u8>, SimError> {
        let mut hashes = Vec::new();
        for (number, content) in groups {
            let digest = hash(MessageDigest::sha256(), content)?;
            let entry = [der::small_integer(*number), der::tlv(OCTET_STRING, &digest)].concat();
            hashes.extend(der::tlv(SEQUENCE, &entry));
        }
        let content = der::join(SEQUENCE, &[&der::small_integer(0), &sha256(), &der::tlv(SEQUENCE, &hashes)]);

        let attribute = |kind: &[u32], value: Vec<u8>| der::join(SEQUENCE, &[&der::oid(kind), &der::tlv(SET, &value)]);
        let attributes = der::set_of(vec![
            attribute(&[1, 2, 840, 113_549, 1, 9, 3], lds_security_object()),
            attribute(
                &[1, 2, 840, 113_549, 1, 9, 4],
                der::tlv(OCTET_STRING, &hash(MessageDigest::sha256(), &content)?),
            ),
        ]);
        let mut signer = Signer::new(MessageDigest::sha256(), &self.key)?;
        let signature = signer.sign_oneshot_to_vec(&attributes)?;
        let certificate = self.signer.to_der()?;
        // As [0] the attributes keep their content; only the tag is another than the one that is signed.
        let implicit = [&[0xa0], &attributes[1..]].concat();
        let info = der::join(
            SEQUENCE,
            &[
                &der::small_integer(1),
                &issuer_and_serial(&certificate)?,
                &sha256(),
                &implicit,
                &ecdsa_with_sha256(),
                &der::tlv(OCTET_STRING, &signature),
            ],
        );
        let encapsulated = der::join(
            SEQUENCE,
            &[&lds_security_object(), &der::tlv(der::context(0), &der::tlv(OCTET_STRING, &content))],
        );
        let body = der::join(
            SEQUENCE,
            &[
                &der::small_integer(3),
                &der::tlv(SET, &sha256()),
                &encapsulated,
                &der::tlv(der::context(0), &certificate),
                &der::tlv(SET, &info),
            ],
        );
        Ok(der::join(SEQUENCE, &[&signed_data(), &der::tlv(der::context(0), &body)]))
    }

    /// The content of a `SignedData` that chains to this authority and verifies.
    pub(crate) fn open(&self, message: &[u8]) -> Option<Vec<u8>> {
        let mut cms = CmsContentInfo::from_der(message).ok()?;
        let mut store = X509StoreBuilder::new().ok()?;
        store.add_cert(self.root.clone()).ok()?;
        let store = store.build();
        let mut content = Vec::new();
        cms.verify(None, Some(&store), None, Some(&mut content), CMSOptions::BINARY).ok()?;
        Some(content)
    }
}
