use minicbor::{Decode, Encode};
use yanqian_vocabulary::{
    AgreementHash, CertificateHash, EntityId, KeyId, NodeId, PlatformId, ProfileHash, TokenGrade,
};

use crate::word::SoftwareVersion;

/// Under what every record was written. Nothing assumes one platform, one agreement or one key.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Context {
    /// The using entity.
    #[cbor(n(0), with = "crate::cbor")]
    pub entity: EntityId,
    /// The appliance that wrote the record; equal to the segment header's.
    #[cbor(n(1), with = "crate::cbor")]
    pub node: NodeId,
    #[cbor(n(2), with = "crate::cbor")]
    pub software: SoftwareVersion,
    /// SM3 of the agreement file in force.
    #[cbor(n(3), with = "crate::cbor")]
    pub agreement: AgreementHash,
    #[cbor(n(4), with = "crate::cbor")]
    pub platform: PlatformId,
    /// SM3 of the platform profile in force.
    #[cbor(n(5), with = "crate::cbor")]
    pub platform_profile: ProfileHash,
    /// SM3 of the signing key's `SubjectPublicKeyInfo`.
    #[cbor(n(6), with = "crate::cbor")]
    pub key: KeyId,
    /// SM3 of the signing certificate.
    #[cbor(n(7), with = "crate::cbor")]
    pub certificate: CertificateHash,
    #[cbor(n(8), with = "crate::cbor")]
    pub grade: TokenGrade,
    /// SM3 of the encryption key's `SubjectPublicKeyInfo`, where the entity has one. From schema 2.
    #[cbor(n(9), with = "crate::cbor", has_nil)]
    pub encryption_key: Option<KeyId>,
    /// SM3 of the encryption certificate. From schema 2.
    #[cbor(n(10), with = "crate::cbor", has_nil)]
    pub encryption_certificate: Option<CertificateHash>,
}
