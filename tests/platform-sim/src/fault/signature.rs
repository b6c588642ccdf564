//! The signature: other numbers, other encodings of the right ones, over other octets.

use openssl::bn::{BigNum, BigNumContext};
use openssl::ec::{EcGroup, EcPoint};
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::pkey_ctx::PkeyCtx;

use super::{Change, Fault};
use crate::der::{self, DerError, INTEGER, OCTET_STRING, SEQUENCE};
use crate::{SimError, sm};

/// Order of the base point, GB/T 32918.5.
const N: &str = "FFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123";

/// What a signature is made with and over.
#[derive(Debug)]
pub(crate) struct Pen<'a> {
    pub(crate) key: &'a PKey<Private>,
    /// What is signed: the attributes as a SET OF, or the content.
    pub(crate) message: &'a [u8],
    pub(crate) content: &'a [u8],
    /// What was signed in the answer before.
    pub(crate) previous: Option<&'a [u8]>,
}

type Octets = Result<Vec<u8>, SimError>;

impl Pen<'_> {
    fn sign(&self, message: &[u8]) -> Octets {
        sm::sign(self.key, message)
    }

    /// r and s of a right signature, 32 octets each.
    fn pair(&self) -> Result<([u8; 32], [u8; 32]), SimError> {
        let signature = self.sign(self.message)?;
        let mut parts = der::single(&signature, SEQUENCE, "SM2Signature")?.reader();
        let (r, s) = (number(parts.expect(INTEGER, "r")?.content)?, number(parts.expect(INTEGER, "s")?.content)?);
        Ok((fixed(&r)?, fixed(&s)?))
    }

    /// r and s replaced, as non-negative numbers in DER.
    fn with(&self, change: impl FnOnce(&BigNum, &BigNum) -> Result<(BigNum, BigNum), SimError>) -> Octets {
        let (r, s) = self.pair()?;
        let (r, s) = change(&number(&r)?, &number(&s)?)?;
        Ok(der::join(SEQUENCE, &[&integer(&r.to_vec()), &integer(&s.to_vec())]))
    }

    /// r and s as INTEGERs of these contents.
    fn contents(&self, change: impl FnOnce([u8; 32], [u8; 32]) -> (Vec<u8>, Vec<u8>)) -> Octets {
        let (r, s) = self.pair()?;
        let (r, s) = change(r, s);
        Ok(der::join(SEQUENCE, &[&der::tlv(INTEGER, &r), &der::tlv(INTEGER, &s)]))
    }

    /// A pair of which r's first bit is set, so that DER wants a zero octet before it.
    fn high(&self) -> Result<([u8; 32], [u8; 32]), SimError> {
        loop {
            let (r, s) = self.pair()?;
            if r[0] & s[0] & 0x80 != 0 {
                return Ok((r, s));
            }
        }
    }

    /// Over a digest that somebody else made.
    fn over(&self, e: &[u8]) -> Octets {
        let mut context = PkeyCtx::new(self.key)?;
        context.sign_init()?;
        let mut out = Vec::new();
        context.sign_to_vec(e, &mut out)?;
        Ok(out)
    }

    /// The private number.
    fn secret(&self) -> Result<BigNum, SimError> {
        let pkcs8 = self.key.private_key_to_der()?;
        let mut parts = der::single(&pkcs8, SEQUENCE, "key")?.reader();
        // PKCS#8 or the key alone: either begins with a version, and then come an algorithm and the key in octets, or the number.
        parts.expect(INTEGER, "version")?;
        if parts.peek() == Some(OCTET_STRING) {
            return number(parts.expect(OCTET_STRING, "number")?.content);
        }
        parts.any()?;
        let inner = parts.expect(OCTET_STRING, "key")?;
        let mut parts = der::single(inner.content, SEQUENCE, "ECPrivateKey")?.reader();
        parts.expect(INTEGER, "version")?;
        number(parts.expect(OCTET_STRING, "number")?.content)
    }

    /// ECDSA in place of SM2, by the same key on the same curve over the same digest.
    fn ecdsa(&self) -> Octets {
        let digest = sm::e_value(self.key, b"1234567812345678", self.message)?;
        let (group, mut context, order) = (EcGroup::from_curve_name(Nid::SM2)?, BigNumContext::new()?, order()?);
        let (secret, nonce) = (self.secret()?, number(&sm::random::<31>()?)?);
        let mut point = EcPoint::new(&group)?;
        point.mul_generator2(&group, &nonce, &mut context)?;
        let (mut x, mut y) = (BigNum::new()?, BigNum::new()?);
        point.affine_coordinates(&group, &mut x, &mut y, &mut context)?;
        let (mut r, mut sum, mut inverse, mut s) = (BigNum::new()?, BigNum::new()?, BigNum::new()?, BigNum::new()?);
        r.nnmod(&x, &order, &mut context)?;
        let mut product = BigNum::new()?;
        product.mod_mul(&r, &secret, &order, &mut context)?;
        sum.mod_add(&product, &*number(&digest)?, &order, &mut context)?;
        inverse.mod_inverse(&nonce, &order, &mut context)?;
        s.mod_mul(&sum, &inverse, &order, &mut context)?;
        Ok(der::join(SEQUENCE, &[&integer(&r.to_vec()), &integer(&s.to_vec())]))
    }
}

fn number(octets: &[u8]) -> Result<BigNum, SimError> {
    Ok(BigNum::from_slice(octets)?)
}

fn fixed(number: &BigNum) -> Result<[u8; 32], SimError> {
    let octets = number.to_vec_padded(32)?;
    octets.try_into().map_err(|_| DerError("a number of another length").into())
}

fn order() -> Result<BigNum, SimError> {
    Ok(BigNum::from_hex_str(N)?)
}

/// A non-negative INTEGER from octets without leading zeros.
fn integer(octets: &[u8]) -> Vec<u8> {
    let padded = octets.first().is_none_or(|first| first & 0x80 != 0);
    der::tlv(INTEGER, &if padded { [&[0], octets].concat() } else { octets.to_vec() })
}

fn less(a: &BigNum, b: &BigNum) -> Result<BigNum, SimError> {
    let mut difference = BigNum::new()?;
    difference.checked_sub(a, b)?;
    Ok(difference)
}

fn more(a: &BigNum, b: &BigNum) -> Result<BigNum, SimError> {
    let mut sum = BigNum::new()?;
    sum.checked_add(a, b)?;
    Ok(sum)
}

fn small(value: u32) -> Result<BigNum, SimError> {
    Ok(BigNum::from_u32(value)?)
}

fn same(number: &BigNum) -> Result<BigNum, SimError> {
    self::number(&number.to_vec())
}

/// One bit of r (or s) flipped, counted from its first.
fn flipped(pen: &Pen<'_>, of_s: bool, bit: usize) -> Octets {
    let (mut r, mut s) = pen.pair()?;
    let part = if of_s { &mut s } else { &mut r };
    part[bit / 8] ^= 0x80 >> (bit % 8);
    Ok(der::join(SEQUENCE, &[&integer(trimmed(&r)), &integer(trimmed(&s))]))
}

fn trimmed(octets: &[u8]) -> &[u8] {
    &octets[octets.iter().take_while(|octet| **octet == 0).count()..]
}

#[allow(clippy::redundant_closure_for_method_calls)] // a method's lifetime is not general enough for the table
const ECDSA: Fault = row("signed-octets/ecdsa-by-the-same-key", |pen| pen.ecdsa());

const fn row(name: &'static str, change: fn(&Pen<'_>) -> Octets) -> Fault {
    Fault::new(name, Change::Signature(change))
}

#[rustfmt::skip]
pub(super) const ALL: &[Fault] = &[
    // The first bits may make a number above n, which is another fault.
    row("signature/r-bit-flipped-near-its-first", |p| flipped(p, false, 40)),
    row("signature/r-bit-flipped-in-the-middle", |p| flipped(p, false, 128)),
    row("signature/r-last-bit-flipped", |p| flipped(p, false, 255)),
    row("signature/s-bit-flipped-near-its-first", |p| flipped(p, true, 40)),
    row("signature/s-bit-flipped-in-the-middle", |p| flipped(p, true, 128)),
    row("signature/s-last-bit-flipped", |p| flipped(p, true, 255)),
    row("signature/r-one-more", |p| p.with(|r, s| Ok((more(r, &small(1)?)?, same(s)?)))),
    row("signature/s-one-more", |p| p.with(|r, s| Ok((same(r)?, more(s, &small(1)?)?)))),
    row("signature/swapped", |p| p.with(|r, s| Ok((same(s)?, same(r)?)))),
    row("signature/s-negated", |p| p.with(|r, s| Ok((same(r)?, less(&order()?, s)?)))),
    row("signature/r-and-s-one", |p| p.with(|_, _| Ok((small(1)?, small(1)?)))),
    row("signature/r-n-less-one", |p| p.with(|_, s| Ok((less(&order()?, &small(1)?)?, same(s)?)))),
    row("signature/r-zero", |p| p.with(|_, s| Ok((small(0)?, same(s)?)))),
    row("signature/s-zero", |p| p.with(|r, _| Ok((same(r)?, small(0)?)))),
    row("signature/both-zero", |p| p.with(|_, _| Ok((small(0)?, small(0)?)))),
    row("signature/r-is-n", |p| p.with(|_, s| Ok((order()?, same(s)?)))),
    row("signature/s-is-n", |p| p.with(|r, _| Ok((same(r)?, order()?)))),
    row("signature/r-above-n", |p| p.with(|_, s| Ok((number(&[0xff; 32])?, same(s)?)))),
    row("signature/s-above-n", |p| p.with(|r, _| Ok((same(r)?, number(&[0xff; 32])?)))),
    row("signature/r-and-n", |p| p.with(|r, s| Ok((more(r, &order()?)?, same(s)?)))),
    row("signature/s-and-n", |p| p.with(|r, s| Ok((same(r)?, more(s, &order()?)?)))),
    row("signature/r-and-s-make-n", |p| p.with(|r, _| Ok((same(r)?, less(&order()?, r)?)))),
    row("signature/r-33-octets", |p| p.with(|r, s| Ok((more(r, &number(&[&[1][..], &[0; 32]].concat())?)?, same(s)?)))),
    row("signature/s-33-octets", |p| p.with(|r, s| Ok((same(r)?, more(s, &number(&[&[1][..], &[0; 32]].concat())?)?)))),

    row("encoding/negative", |p| { let (r, s) = p.high()?; Ok(der::join(SEQUENCE, &[&der::tlv(INTEGER, &r), &der::tlv(INTEGER, &s)])) }),
    row("encoding/r-with-a-zero-octet-too-many", |p| p.contents(|r, s| ([&[0, 0][..], &r].concat(), [&[0][..], &s].concat()))),
    row("encoding/s-with-a-zero-octet-too-many", |p| p.contents(|r, s| ([&[0][..], &r].concat(), [&[0, 0][..], &s].concat()))),
    row("encoding/numbers-without-octets", |p| p.contents(|_, _| (Vec::new(), Vec::new()))),
    row("encoding/raw-where-der-belongs", |p| { let (r, s) = p.pair()?; Ok([r, s].concat()) }),
    row("encoding/raw-with-a-leading-04", |p| { let (r, s) = p.pair()?; Ok([&[4][..], &r, &s].concat()) }),
    row("encoding/empty", |_| Ok(Vec::new())),
    row("encoding/one-number", |p| { let (r, _) = p.pair()?; Ok(der::join(SEQUENCE, &[&integer(trimmed(&r))])) }),
    row("encoding/three-numbers", |p| { let (r, s) = p.pair()?; Ok(der::join(SEQUENCE, &[&integer(trimmed(&r)), &integer(trimmed(&s)), &integer(&[1])])) }),
    row("encoding/octet-strings-for-numbers", |p| { let (r, s) = p.pair()?; Ok(der::join(SEQUENCE, &[&der::tlv(OCTET_STRING, &r), &der::tlv(OCTET_STRING, &s)])) }),
    row("encoding/set-for-sequence", |p| { let mut der = p.sign(p.message)?; der[0] = 0x31; Ok(der) }),
    row("encoding/length-in-two-octets", |p| { let der = p.sign(p.message)?; Ok([&[der[0], 0x81], &der[1..]].concat()) }),
    row("encoding/indefinite-length", |p| { let der = p.sign(p.message)?; Ok([&[der[0], 0x80], &der[2..], &[0, 0]].concat()) }),
    row("encoding/octets-after-it", |p| { let mut der = p.sign(p.message)?; der.extend(b"more"); Ok(der) }),
    row("encoding/cut", |p| { let mut der = p.sign(p.message)?; der.pop(); Ok(der) }),
    row("encoding/twice", |p| { let der = p.sign(p.message)?; Ok([&der[..], &der].concat()) }),

    row("signed-octets/of-the-previous-answer", |p| p.sign(p.previous.unwrap_or(b"there is none"))),
    row("signed-octets/without-z", |p| { let e = sm::sm3(p.message)?; p.over(&e) }),
    row("signed-octets/z-of-another-id", |p| { let e = sm::e_value(p.key, b"ALICE123@YAHOO.COM", p.message)?; p.over(&e) }),
    row("signed-octets/z-of-an-empty-id", |p| { let e = sm::e_value(p.key, b"", p.message)?; p.over(&e) }),
    row("signed-octets/digested-twice", |p| { let e = sm::sm3(p.message)?; p.sign(&e) }),
    row("signed-octets/digest-in-hexadecimal", |p| { let e = sm::sm3(p.message)?; p.sign(hex::encode(e).as_bytes()) }),
    row("signed-octets/sha-256-digest", |p| p.over(&openssl::sha::sha256(p.message))),
    row("signed-octets/none", |p| p.sign(b"")),
    row("signed-octets/in-base64", |p| p.sign(openssl::base64::encode_block(p.message).as_bytes())),
    ECDSA,
    row("signed-octets/content-where-attributes-stand", |p| p.sign(p.content)),
    row("signed-octets/attributes-under-tag-a0", |p| p.sign(&[&[0xa0], &p.message[1..]].concat())),
    row("signed-octets/attributes-without-their-head", |p| p.sign(der::single(p.message, der::SET, "attributes")?.content)),
];
