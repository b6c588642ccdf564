//! How the package is written.

use super::{Change, Fault};

/// A package as it goes out, and as it is signed where that is something else.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) sent: Vec<u8>,
    pub(crate) signed: Option<Vec<u8>>,
}

impl From<String> for Written {
    fn from(sent: String) -> Self {
        Self { sent: sent.into_bytes(), signed: None }
    }
}

impl From<Vec<u8>> for Written {
    fn from(sent: Vec<u8>) -> Self {
        Self { sent, signed: None }
    }
}

const fn row(name: &'static str, change: fn(&str) -> Written) -> Fault {
    Fault::new(name, Change::Json(change))
}

/// Signed as written, sent otherwise.
fn afterwards(package: &str, sent: String) -> Written {
    Written { sent: sent.into_bytes(), signed: Some(package.as_bytes().to_vec()) }
}

/// Sent as written, but signed over another writing of it.
fn over(package: &str, signed: String) -> Written {
    Written { sent: package.as_bytes().to_vec(), signed: Some(signed.into_bytes()) }
}

/// The package with more inside, at its end.
fn with(package: &str, more: &str) -> String {
    format!("{},{more}}}", package.strip_suffix('}').unwrap_or(package))
}

/// A member's JSON by its place.
fn member(package: &str, index: usize) -> (String, String) {
    let value: serde_json::Value = serde_json::from_str(package).unwrap_or_default();
    // Names in the order of the text, which this map does not keep.
    let mut names: Vec<_> = value.as_object().into_iter().flat_map(|object| object.keys().cloned()).collect();
    names.sort_by_key(|name| package.find(&format!("\"{name}\":")));
    let name = names.get(index).cloned().unwrap_or_default();
    let json = value.get(&name).map(ToString::to_string).unwrap_or_default();
    (name, json)
}

/// One character of a member's text becomes another after signing.
fn altered(package: &str, index: usize) -> Written {
    let (name, json) = member(package, index);
    let head = format!("\"{name}\":");
    let at = package.find(&head).map_or(0, |at| at + head.len() + json.len() - 2);
    let mut sent = package.as_bytes().to_vec();
    if let Some(octet) = sent.get_mut(at) {
        *octet = if *octet == b'1' { b'2' } else { b'1' };
    }
    Written { sent, signed: Some(package.as_bytes().to_vec()) }
}

fn digit(value: u8) -> char {
    char::from_digit(value.into(), 16).unwrap_or('0')
}

fn escaped(name: &str) -> String {
    name.bytes().flat_map(|octet| ['\\', 'u', '0', '0', digit(octet >> 4), digit(octet & 15)]).collect()
}

fn spaced(package: &str) -> String {
    package.replace("\",\"", "\", \"").replace("\":", "\": ")
}

/// The first member's value has no comma in it.
fn without_first(package: &str) -> String {
    format!("{{{}", package.split_once(',').map_or("}", |(_, rest)| rest))
}

fn nested(depth: usize) -> String {
    format!("{}{}", "[".repeat(depth), "]".repeat(depth))
}

/// Octets that are no UTF-8, inside a member that nobody looks at.
fn invalid(package: &str, octets: &[u8]) -> Written {
    let at = package.rfind("\"}").unwrap_or(package.len());
    [&package.as_bytes()[..at], octets, &package.as_bytes()[at..]].concat().into()
}

#[rustfmt::skip]
pub(super) const ALL: &[Fault] = &[
    row("json/name-twice", |p| { let (name, json) = member(p, 3); with(p, &format!("\"{name}\":{json}")).into() }),
    row("json/name-twice-another-value", |p| { let (name, _) = member(p, 5); with(p, &format!("\"{name}\":\"1001\"")).into() }),
    row("json/name-twice-escaped", |p| { let (name, json) = member(p, 3); with(p, &format!("\"{}\":{json}", escaped(&name))).into() }),
    row("json/ignored-name-twice", |p| with(p, "\"resultMsg\":\"\",\"resultMsg\":\"\"").into()),
    row("json/byte-order-mark", |p| format!("\u{feff}{p}").into()),
    row("json/invalid-utf-8", |p| invalid(p, b"\xff")),
    row("json/overlong-utf-8", |p| invalid(p, b"\xc0\xaf")),
    row("json/surrogate-in-utf-8", |p| invalid(p, b"\xed\xa0\x80")),
    row("json/gbk", |p| invalid(p, b"\xd2\xbb\xd6\xc2")),
    row("json/lone-surrogate-escaped-in-the-code", |p| { let (name, json) = member(p, 5); p.replacen(&format!("\"{name}\":{json}"), &format!("\"{name}\":\"\\ud800\""), 1).into() }),
    row("json/trailing-comma", |p| format!("{},}}", p.strip_suffix('}').unwrap_or(p)).into()),
    row("json/comment", |p| p.replacen('{', "{/* approved */", 1).into()),
    row("json/not-a-number", |p| with(p, "\"resultMsg2\":NaN").into()),
    row("json/single-quotes", |p| p.replace('"', "'").into()),
    row("json/control-character", |p| invalid(p, b"\x01")),
    row("json/unclosed", |p| p[..p.len() - 1].to_owned().into()),
    row("json/two-objects", |p| format!("{p}{p}").into()),
    row("json/array", |p| format!("[{p}]").into()),
    row("json/text", |p| serde_json::Value::from(p).to_string().into()),
    row("json/null", |_| "null".to_owned().into()),
    row("json/empty-object", |_| "{}".to_owned().into()),
    row("json/deep-nesting", |p| with(p, &format!("\"deep\":{}", nested(10_000))).into()),
    row("json/many-members", |p| with(p, &(0..2000).map(|n| format!("\"m{n}\":0")).collect::<Vec<_>>().join(",")).into()),

    row("signed/without-spaces-that-are-sent", |p| afterwards(p, spaced(p))),
    row("signed/with-spaces-that-are-not-sent", |p| over(p, spaced(p))),
    row("signed/with-members-sorted", |p| over(p, serde_json::from_str::<serde_json::Value>(p).unwrap_or_default().to_string())),
    row("signed/with-escapes", |p| over(p, p.replace("1.0", "1\\u002e0").replace("\"2\"", "\"\\u0032\""))),
    row("signed/without-the-first-member", |p| over(p, without_first(p))),
    row("signed/with-a-line-feed-after-it", |p| over(p, format!("{p}\n"))),
    row("signed/without-its-braces", |p| over(p, p.trim_matches(['{', '}']).to_owned())),
    row("altered/version", |p| altered(p, 0)),
    row("altered/serial", |p| altered(p, 1)),
    row("altered/time", |p| altered(p, 2)),
    row("altered/nonce", |p| altered(p, 3)),
    row("altered/digest", |p| altered(p, 4)),
    row("altered/code", |p| altered(p, 5)),
    row("altered/a-member-more", |p| afterwards(p, with(p, "\"resultMsg3\":\"x\""))),
    row("altered/a-member-less", |p| afterwards(p, without_first(p))),
    row("altered/a-space-more", |p| afterwards(p, p.replacen(',', ", ", 1))),
    row("altered/nothing-left", |p| afterwards(p, "{}".to_owned())),

    row("honest/white-space-in-the-package", |p| spaced(p).replace("{\"", "{ \r\n\t\"").into()),
    row("honest/names-escaped", |p| { let (name, _) = member(p, 3); p.replacen(&name, &escaped(&name), 1).into() }),
    row("honest/values-escaped", |p| { let (_, json) = member(p, 3); p.replacen(&json, &format!("\"{}\"", escaped(json.trim_matches('"'))), 1).into() }),
];
