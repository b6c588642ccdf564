//! How package and signature are packed into a body.

use super::{Change, Fault};

/// A package and its signature before they are put together.
#[derive(Debug)]
pub(crate) struct Outer<'a> {
    /// Names of the two members.
    pub(crate) names: (&'static str, &'static str),
    pub(crate) package: &'a str,
    /// Base64 of the message.
    pub(crate) sign: &'a str,
}

impl Outer<'_> {
    fn package(&self) -> String {
        format!("\"{}\":{}", self.names.0, self.package)
    }

    fn sign(&self) -> String {
        self.signed_by(&format!("\"{}\"", self.sign))
    }

    fn signed_by(&self, json: &str) -> String {
        format!("\"{}\":{json}", self.names.1)
    }

    /// The usual body with another JSON for the signature.
    fn with_sign(&self, json: &str) -> Vec<u8> {
        object(&[self.package(), self.signed_by(json)])
    }

    fn with_text(&self, text: &str) -> Vec<u8> {
        self.with_sign(&format!("\"{text}\""))
    }

    fn good(&self) -> Vec<u8> {
        object(&[self.package(), self.sign()])
    }
}

fn object(members: &[String]) -> Vec<u8> {
    format!("{{{}}}", members.join(",")).into_bytes()
}

/// The last character before the padding, with bits set that decode to nothing.
fn unused_bits(text: &str) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = text.trim_end_matches('=');
    let padding = &text[digits.len()..];
    let last = digits.bytes().last().unwrap_or(b'A');
    let value = ALPHABET.iter().position(|known| *known == last).unwrap_or(0) | 1;
    format!("{}{}{padding}", &digits[..digits.len() - 1], char::from(ALPHABET[value]))
}

const fn row(name: &'static str, change: fn(&Outer<'_>) -> Vec<u8>) -> Fault {
    Fault::new(name, Change::Envelope(change))
}

#[rustfmt::skip]
pub(super) const ALL: &[Fault] = &[
    row("outer/empty", |_| Vec::new()),
    row("outer/empty-object", |_| b"{}".to_vec()),
    row("outer/null", |_| b"null".to_vec()),
    row("outer/page", |_| b"<html><body>Please log in to the network.</body></html>".to_vec()),
    row("outer/xml", |o| format!("<response><{0}>{1}</{0}></response>", o.names.1, o.sign).into_bytes()),
    row("outer/array", |o| [b"[", &o.good()[..], b"]"].concat()),
    row("outer/text", |o| serde_json::Value::from(String::from_utf8_lossy(&o.good()).as_ref()).to_string().into_bytes()),
    row("outer/two-objects", |o| [o.good(), o.good()].concat()),
    row("outer/lines-of-objects", |o| [&o.good()[..], b"\n", &o.good()].concat()),
    row("outer/byte-order-mark", |o| [b"\xef\xbb\xbf", &o.good()[..]].concat()),
    row("outer/utf-16", |o| String::from_utf8_lossy(&o.good()).encode_utf16().flat_map(u16::to_be_bytes).collect()),
    row("outer/nul-after-it", |o| [&o.good()[..], b"\0"].concat()),
    row("outer/invalid-utf-8", |o| [&o.good()[..], b"\xff"].concat()),
    row("outer/trailing-comma", |o| object(&[o.package(), o.sign(), String::new()])),
    row("outer/package-missing", |o| object(&[o.sign()])),
    row("outer/sign-missing", |o| object(&[o.package()])),
    row("outer/package-twice", |o| object(&[o.package(), o.package(), o.sign()])),
    row("outer/package-twice-escaped", |o| object(&[o.package(), o.package().replacen(&o.names.0[..1], &format!("\\u{:04x}", o.names.0.as_bytes()[0]), 1), o.sign()])),
    row("outer/sign-twice", |o| object(&[o.package(), o.sign(), o.sign()])),
    row("outer/member-more", |o| object(&[o.package(), o.sign(), "\"result\":\"match\"".into()])),
    row("outer/member-more-and-null", |o| object(&[o.package(), o.sign(), "\"error\":null".into()])),
    row("outer/names-in-another-case", |o| object(&[o.package(), o.sign().replacen(o.names.1, &o.names.1.to_uppercase(), 1)])),
    row("outer/one-level-down", |o| object(&[format!("\"data1\":{}", String::from_utf8_lossy(&o.good()))])),
    row("outer/package-in-base64", |o| object(&[format!("\"{}\":\"{}\"", o.names.0, openssl::base64::encode_block(o.package.as_bytes())), o.sign()])),
    row("outer/package-as-text", |o| object(&[format!("\"{}\":{}", o.names.0, serde_json::Value::from(o.package)), o.sign()])),
    row("outer/package-replaced", |o| object(&[format!("\"{}\":{{\"resultCode\":\"0000\"}}", o.names.0), o.sign()])),
    row("sign/null", |o| o.with_sign("null")),
    row("sign/number", |o| o.with_sign("0")),
    row("sign/true", |o| o.with_sign("true")),
    row("sign/array", |o| o.with_sign(&format!("[\"{}\"]", o.sign))),
    row("sign/object", |o| o.with_sign(&format!("{{\"value\":\"{}\"}}", o.sign))),
    row("sign/empty", |o| o.with_text("")),
    row("sign/space-before", |o| o.with_text(&format!(" {}", o.sign))),
    row("sign/space-after", |o| o.with_text(&format!("{} ", o.sign))),
    row("sign/line-feeds-inside", |o| o.with_text(&o.sign.as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line).into_owned()).collect::<Vec<_>>().join("\\n"))),
    row("sign/line-feed-after", |o| o.with_text(&format!("{}\\n", o.sign))),
    // The first digits of a message are always these, so that both alphabets can be told apart.
    row("sign/url-safe", |o| o.with_text(&format!("{}-_{}", &o.sign[..4], &o.sign[6..]))),
    row("sign/without-padding", |o| o.with_text(o.sign.trim_end_matches('='))),
    row("sign/too-much-padding", |o| o.with_text(&format!("{}=", o.sign))),
    row("sign/padding-inside", |o| o.with_text(&format!("{}={}", &o.sign[..8], &o.sign[8..]))),
    row("sign/unused-bits", |o| o.with_text(&unused_bits(o.sign))),
    row("sign/other-characters", |o| o.with_text(&format!("{}!", o.sign))),
    row("sign/nul-after", |o| o.with_text(&format!("{}\\u0000", o.sign))),
    row("sign/base64-twice", |o| o.with_text(&openssl::base64::encode_block(o.sign.as_bytes()))),
    row("sign/hexadecimal", |o| o.with_text(&hex::encode(openssl::base64::decode_block(o.sign).unwrap_or_default()))),
    row("sign/data-url", |o| o.with_text(&format!("data:application/pkcs7;base64,{}", o.sign))),

    row("honest/sign-first", |o| object(&[o.sign(), o.package()])),
    row("honest/white-space-around", |o| [b" \r\n\t", &o.good()[..], b"\n\n"].concat()),
    row("honest/names-of-the-envelope-escaped", |o| object(&[o.package(), o.sign().replacen(&o.names.1[..1], &format!("\\u{:04x}", o.names.1.as_bytes()[0]), 1)])),
    row("honest/slashes-escaped", |o| o.with_text(&o.sign.replace('/', "\\/"))),
];
