//! The certificates and lists of a receipt by their SM3, and which of them its records lead to.

use std::collections::{BTreeMap, BTreeSet};

use yanqian_evidence::receipt::Receipt;
use yanqian_messages::Certificate;
use yanqian_sm::sm3;
use yanqian_vocabulary::{CertificateHash, ContentDigest};

use crate::case::Case;
use crate::x509::is_issued_by;

/// Authorities above the entity's certificate at most.
const MAX_DEPTH: usize = 8;

pub(crate) struct Evidence<'a> {
    certificates: BTreeMap<CertificateHash, &'a [u8]>,
    lists: BTreeMap<ContentDigest, &'a [u8]>,
    /// The authorities above the entity's certificate that the receipt holds, from below.
    pub(crate) above_entity: Vec<Certificate>,
    led_to: (BTreeSet<CertificateHash>, BTreeSet<ContentDigest>),
}

impl<'a> Evidence<'a> {
    pub(crate) fn of(receipt: &'a Receipt, case: &Case<'_>) -> Self {
        let certificates = receipt.certificates.iter().map(yanqian_evidence::Der::as_bytes);
        let lists = receipt.revocation.iter().map(yanqian_evidence::Der::as_bytes);
        let context = case.context;
        let mut evidence = Self {
            certificates: certificates.map(|der| (CertificateHash::new(sm3(&[der])), der)).collect(),
            lists: lists.map(|der| (ContentDigest::new(sm3(&[der])), der)).collect(),
            above_entity: Vec::new(),
            led_to: (BTreeSet::from([context.certificate]), BTreeSet::new()),
        };
        evidence.climb(context.certificate);
        let (certificates, lists) = &mut evidence.led_to;
        certificates.extend(context.encryption_certificate);
        certificates.extend(evidence.above_entity.iter().map(|authority| CertificateHash::new(authority.hash())));
        for part in &case.parts {
            certificates.extend(part.signer.map(|signer| signer.hash));
            certificates.extend(part.chain);
            lists.extend(part.revocation.iter().map(|list| list.hash));
        }
        evidence
    }

    fn climb(&mut self, from: CertificateHash) {
        let Ok(mut current) = self.certificate(from, "") else { return };
        while self.above_entity.len() < MAX_DEPTH {
            let mut all = self.certificates.values().filter_map(|der| Certificate::from_der(der).ok());
            let Some(next) = all.find(|issuer| is_issued_by(&current, issuer).is_ok()) else { return };
            if next.as_der() == current.as_der() {
                return;
            }
            self.above_entity.push(next.clone());
            current = next;
        }
    }

    /// The certificate that a record names, `whose` it is for people.
    pub(crate) fn certificate(&self, hash: CertificateHash, whose: &str) -> Result<Certificate, String> {
        let der = self.certificates.get(&hash).ok_or_else(|| format!("the receipt lacks {whose} ({hash})"))?;
        Certificate::from_der(der).map_err(|error| format!("{whose}: {error}"))
    }

    pub(crate) fn list(&self, hash: ContentDigest) -> Result<&'a [u8], String> {
        self.lists.get(&hash).copied().ok_or_else(|| format!("the receipt lacks the list {hash}"))
    }

    /// How many certificates and lists no record leads to.
    pub(crate) fn stray(&self) -> (usize, usize) {
        let (certificates, lists) = &self.led_to;
        let stray = self.certificates.keys().filter(|hash| !certificates.contains(*hash)).count();
        (stray, self.lists.keys().filter(|hash| !lists.contains(*hash)).count())
    }
}
