//! What a record's commitment commits to: SM3(salt ‖ canonical octets of the claim).
//!
//! The canonical octets are parts, each as its length (4 octets, big-endian) and then its octets, so that no two lists of
//! parts give the same octets. No claim of one mode has the octets of another's: the fourth part is a date of ten octets
//! or a hash of 32, and a portrait's hash is one part more.
//!
//! | mode | parts |
//! |---|---|
//! | real-name | document type, number, name, birth date, nationality, expiry |
//! | real-person | the same, then SM3 of the portrait (32 octets) |
//! | chip-reading | document type, number, then SM3 of EF.COM, of EF.DG1, of EF.DG2, of EF.SOD (32 octets each) |
//!
//! Texts are UTF-8 in the canonical form that the documents room gives them; dates are `yyyy-MM-dd`; a nationality or
//! expiry that was not asked is an empty part.

use yanqian_sm::sm3;
use yanqian_vocabulary::{ChipClaim, CivilDate, Claim, Commitment, DocumentClaim};
use zeroize::Zeroizing;

/// SM3(salt ‖ canonical octets): proves what was asked to those who hold the salt, and to nobody else.
pub fn commitment(salt: &[u8; 32], claim: &Claim) -> Commitment {
    Commitment::new(sm3(&[salt, &canonical_claim(claim)]))
}

/// The canonical octets of a claim; wiped when dropped. A keyed hash over them tells requests apart.
pub fn canonical_claim(claim: &Claim) -> Zeroizing<Vec<u8>> {
    let mut out = Zeroizing::new(Vec::with_capacity(512));
    match claim {
        Claim::RealName(document) => push_document(&mut out, document),
        Claim::RealPerson { document, portrait } => {
            push_document(&mut out, document);
            push_part(&mut out, &sm3(&[portrait.expose()]));
        }
        Claim::ChipReading(ChipClaim { document_type, number, files }) => {
            push_part(&mut out, document_type.as_str().as_bytes());
            push_part(&mut out, number.expose().as_bytes());
            for file in [&files.com, &files.dg1, &files.dg2, &files.sod] {
                push_part(&mut out, &sm3(&[file.expose()]));
            }
        }
    }
    out
}

/// Appends one part: its length in four octets, then the part.
pub fn push_part(out: &mut Vec<u8>, part: &[u8]) {
    out.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend_from_slice(part);
}

fn push_document(out: &mut Vec<u8>, claim: &DocumentClaim) {
    let date = |d: CivilDate| Zeroizing::new(format!("{:04}-{:02}-{:02}", d.year(), d.month(), d.day()));
    push_part(out, claim.document_type.as_str().as_bytes());
    push_part(out, claim.number.expose().as_bytes());
    push_part(out, claim.name.expose().as_bytes());
    push_part(out, date(claim.birth_date.0).as_bytes());
    push_part(out, claim.nationality.as_ref().map_or("", |n| n.expose()).as_bytes());
    push_part(out, claim.expiry.map(|e| date(e.0)).as_ref().map_or("", |text| text.as_str()).as_bytes());
}
