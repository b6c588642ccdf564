//! Who signs, and what the certificate says. Unless a fault is about the key, the certificate holds the key that is pinned, so
//! that no missing pin hides what else is wrong.

use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, PKeyRef, Private};
use openssl::rsa::Rsa;
use openssl::x509::X509;

use super::issue::{EXPIRED, GOOD, NOT_YET, Order, Usage, Validity, edited, public, repacked};
use super::{Change, Fault};
use crate::SimError;
use crate::der;
use crate::pki::{Identity, Pki};

/// What a platform's clerk has at hand to make a certificate or a message.
#[derive(Debug)]
pub(crate) struct Desk<'a> {
    pub(crate) pki: &'a Pki,
    /// The signed content, and the attributes as a SET OF, of the answer at hand.
    pub(crate) content: &'a [u8],
    pub(crate) set: Option<&'a [u8]>,
}

/// Who signs, and which certificates go along; the first is the signer's.
#[derive(Debug, Clone)]
pub(crate) struct Cast {
    pub(crate) key: PKey<Private>,
    pub(crate) certificates: Vec<Vec<u8>>,
}

impl Cast {
    pub(crate) fn of(identity: &Identity) -> Self {
        Self { key: identity.key.clone(), certificates: vec![identity.der.clone()] }
    }
}

type Made = Result<Cast, SimError>;

impl Desk<'_> {
    /// The pinned key shows these certificates.
    #[allow(clippy::unnecessary_wraps)] // as every row ends
    fn pinned(&self, certificates: Vec<Vec<u8>>) -> Made {
        Ok(Cast { key: self.pki.signing.key.clone(), certificates })
    }

    /// A certificate of the pinned key by the platform's issuing authority, otherwise than it should be.
    fn issued(&self, change: impl FnOnce(&mut Order<'_>)) -> Result<Vec<u8>, SimError> {
        self.issued_by(&self.pki.issuing.certificate, &self.pki.issuing.key, change)
    }

    fn issued_by(
        &self,
        issuer: &X509,
        key: &PKeyRef<Private>,
        change: impl FnOnce(&mut Order<'_>),
    ) -> Result<Vec<u8>, SimError> {
        let public = public(&self.pki.signing.key)?;
        let mut order = Order::signing(&public);
        change(&mut order);
        Ok(order.by(Some(issuer), key)?.to_der()?)
    }

    fn with(&self, change: impl FnOnce(&mut Order<'_>)) -> Made {
        self.pinned(vec![self.issued(change)?])
    }

    /// Under an authority of its own, which `above` certifies.
    fn under(&self, key: &PKeyRef<Private>, above: &Identity, digest: MessageDigest, validity: Validity) -> Made {
        let half = public(key)?;
        let usage = Usage::Authority { below: 0, signs: false };
        let order = Order { name: "Some Intermediate", usage, validity, ..Order::signing(&half) };
        let authority = order.by(Some(&above.certificate), &above.key)?;
        let leaf = self.issued_by(&authority, key, |order| order.digest = digest)?;
        self.pinned(vec![leaf, authority.to_der()?])
    }

    /// A key of another kind, certified by the platform's authority.
    fn other_key(&self, key: &PKey<Private>) -> Made {
        let half = public(key)?;
        let certificate = Order::signing(&half).by(Some(&self.pki.issuing.certificate), &self.pki.issuing.key)?;
        // It signs with the pinned key all the same: SM2 is what the form wants.
        self.pinned(vec![certificate.to_der()?])
    }

    /// The pinned certificate with another point.
    fn point(&self, change: impl FnOnce(&mut Vec<u8>)) -> Made {
        let spki = self.pki.signing.key.public_key_to_der()?;
        let mut other = spki.clone();
        change(&mut other);
        let certificate = edited(&self.pki.signing.der, &self.pki.issuing.key, &spki, &other)?;
        self.pinned(vec![certificate])
    }
}

pub(super) fn sm2() -> Result<PKey<Private>, SimError> {
    let group = EcGroup::from_curve_name(Nid::SM2)?;
    Ok(PKey::from_ec_key(EcKey::generate(&group)?)?)
}

/// Two authorities, each certified by the other.
fn looped(desk: &Desk<'_>) -> Made {
    let (first, second) = (sm2()?, sm2()?);
    let usage = Usage::Authority { below: 5, signs: false };
    let (first_half, second_half) = (public(&first)?, public(&second)?);
    let one = Order { name: "Loop One", usage, ..Order::signing(&first_half) };
    let two = Order { name: "Loop Two", usage, ..Order::signing(&second_half) };
    let seed = two.by(None, &second)?;
    let one = one.by(Some(&seed), &second)?;
    let two = two.by(Some(&one), &first)?;
    let leaf = desk.issued_by(&one, &first, |_| {})?;
    desk.pinned(vec![leaf, one.to_der()?, two.to_der()?])
}

const fn row(name: &'static str, change: fn(&Desk<'_>) -> Made) -> Fault {
    Fault::new(name, Change::Certificate(change))
}

#[rustfmt::skip]
pub(super) const ALL: &[Fault] = &[
    row("certificate/revoked", |d| Ok(Cast::of(&d.pki.revoked))),
    row("certificate/not-pinned", |d| Ok(Cast::of(&d.pki.unpinned))),
    row("certificate/of-another-authority-and-key", |d| Ok(Cast::of(&d.pki.other_authority))),
    row("certificate/of-the-encryption-pair", |d| Ok(Cast::of(&d.pki.encryption))),
    row("certificate/of-the-tls-server", |d| Ok(Cast::of(&d.pki.tls))),
    row("certificate/of-the-authority-itself", |d| Ok(Cast::of(&d.pki.issuing))),
    row("certificate/for-encryption", |d| d.with(|o| o.usage = Usage::Encrypt)),
    row("certificate/for-certificates-only", |d| d.with(|o| o.usage = Usage::Certify)),
    row("certificate/without-key-usage", |d| d.with(|o| o.usage = Usage::None)),
    row("certificate/an-authoritys-that-may-sign", |d| d.with(|o| o.usage = Usage::Authority { below: 0, signs: true })),
    row("certificate/expired", |d| d.with(|o| o.validity = EXPIRED)),
    row("certificate/not-yet-valid", |d| d.with(|o| o.validity = NOT_YET)),
    row("certificate/ends-before-it-starts", |d| d.with(|o| o.validity = (86_400, -86_400))),
    row("certificate/unknown-critical-extension", |d| d.with(|o| o.critical = true)),
    row("certificate/self-signed", |d| { let half = public(&d.pki.signing.key)?; d.pinned(vec![Order::signing(&half).by(None, &d.pki.signing.key)?.to_der()?]) }),
    row("certificate/by-another-authority", |d| { let o = sm2()?; let half = public(&o)?; let usage = Usage::Authority { below: 0, signs: false };
        let authority = Order { name: "Some Other Authority", usage, ..Order::signing(&half) }.by(None, &o)?;
        let leaf = d.issued_by(&authority, &o, |_| {})?; d.pinned(vec![leaf, authority.to_der()?]) }),
    row("certificate/by-an-authority-of-the-same-name", |d| { let o = sm2()?; let half = public(&o)?; let usage = Usage::Authority { below: 0, signs: false };
        let authority = Order { name: "Platform Issuing CA", usage, ..Order::signing(&half) }.by(None, &o)?;
        let leaf = d.issued_by(&authority, &o, |_| {})?; d.pinned(vec![leaf, authority.to_der()?]) }),
    row("certificate/under-a-signing-certificate", |d| { let leaf = d.issued_by(&d.pki.unpinned.certificate, &d.pki.unpinned.key, |_| {})?; d.pinned(vec![leaf, d.pki.unpinned.der.clone()]) }),
    row("certificate/path-too-long", |d| d.under(&*sm2()?, &d.pki.issuing, MessageDigest::sm3(), GOOD)),
    row("certificate/intermediate-expired", |d| d.under(&*sm2()?, &d.pki.root, MessageDigest::sm3(), EXPIRED)),
    row("certificate/intermediate-not-yet-valid", |d| d.under(&*sm2()?, &d.pki.root, MessageDigest::sm3(), NOT_YET)),
    row("certificate/intermediate-without-a-list", |d| d.under(&*sm2()?, &d.pki.root, MessageDigest::sm3(), GOOD)),
    row("certificate/intermediate-missing", |d| { let mut cast = d.under(&*sm2()?, &d.pki.root, MessageDigest::sm3(), GOOD)?; cast.certificates.truncate(1); Ok(cast) }),
    row("certificate/intermediate-with-rsa-1024-and-sha-1", |d| d.under(&*PKey::from_rsa(Rsa::generate(1024)?)?, &d.pki.root, MessageDigest::sha1(), GOOD)),
    row("certificate/loop", looped),
    row("certificate/signature-altered", |d| { let der = d.issued(|_| {})?; d.pinned(vec![repacked(&der, |_, signature| if let Some(last) = signature.last_mut() { *last ^= 1; })?]) }),
    row("certificate/signature-empty", |d| { let der = d.issued(|_| {})?; d.pinned(vec![repacked(&der, |_, signature| signature.truncate(1))?]) }),
    row("certificate/signature-with-unused-bits", |d| { let der = d.issued(|_| {})?; d.pinned(vec![repacked(&der, |_, signature| signature[0] = 1)?]) }),
    row("certificate/algorithms-that-differ", |d| { let der = d.issued(|_| {})?; d.pinned(vec![repacked(&der, |algorithm, _| *algorithm = der::join(der::SEQUENCE, &[&der::oid(&[1, 2, 840, 10045, 4, 3, 2])]))?]) }),
    row("certificate/edited-and-not-signed-again", |d| { let der = d.pki.signing.der.clone(); let at = der.windows(8).position(|window| window == b"Platform").unwrap_or(0); let mut der = der; der[at] ^= 0x20; d.pinned(vec![der]) }),
    row("certificate/octets-after-it", |d| d.pinned(vec![[&d.pki.signing.der[..], &[0, 0]].concat()])),
    row("certificate/no-certificate-at-all", |d| d.pinned(vec![der::join(der::SEQUENCE, &[&der::small_integer(1)])])),
    row("certificate/seventeen-along", |d| d.pinned(vec![d.pki.signing.der.clone(); 17])),
    row("certificate/key-off-the-curve", |d| d.point(|spki| if let Some(last) = spki.last_mut() { *last ^= 1; })),
    row("certificate/key-at-infinity", |d| d.point(|spki| { let at = spki.len() - 66; spki[at..].fill(0); })),
    row("certificate/key-all-zero", |d| d.point(|spki| { let at = spki.len() - 64; spki[at..].fill(0); })),
    row("certificate/key-on-p-256", |d| d.other_key(&PKey::from_ec_key(EcKey::generate(&*EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?)?)?)),
    row("certificate/key-of-rsa", |d| d.other_key(&PKey::from_rsa(Rsa::generate(2048)?)?)),
    row("certificate/somebody-elses-shown", |d| Ok(Cast { key: d.pki.unpinned.key.clone(), certificates: vec![d.pki.signing.der.clone()] })),

    row("honest/whole-chain-along", |d| d.pinned(vec![d.pki.signing.der.clone(), d.pki.issuing.der.clone(), d.pki.root.der.clone()])),
    row("honest/certificates-of-others-along", |d| d.pinned(vec![d.pki.signing.der.clone(), d.pki.encryption.der.clone(), d.pki.other_authority.der.clone()])),
    row("honest/certificate-renewed-for-the-same-key", |d| d.with(|_| {})),
];
