//! How an answer travels: HTTP as it should not be, and connections that end too early, too late or never.

use super::{Change, Fault, Script, gzip};

/// An honest answer about to be written.
#[derive(Debug)]
pub(crate) struct Ready {
    pub(crate) content_type: String,
    /// Header fields of the form, each with its value.
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
    /// Body of the answer before.
    pub(crate) previous: Vec<u8>,
}

impl Ready {
    /// The fields of an honest answer but those that say how long it is.
    fn fields(&self) -> Vec<String> {
        let form = self.headers.iter().map(|(name, value)| format!("{name}: {value}"));
        std::iter::once(format!("content-type: {}", self.content_type)).chain(form).collect()
    }

    fn length(&self) -> String {
        format!("content-length: {}", self.body.len())
    }

    /// A head of these lines, and what is in it always. As nothing follows what is scripted, it says so: a request begun on the
    /// connection would meet its end, now and then.
    fn head(&self, status: &str, more: &[&str]) -> Vec<u8> {
        let told = more.iter().any(|line| line.starts_with("connection: "));
        let more = more.iter().copied().chain((!told).then_some("connection: close"));
        lines(std::iter::once(status.to_owned()).chain(self.fields()).chain(more.map(str::to_owned)))
    }

    /// The same for this many octets, without a word of an end.
    fn head_of_many(&self, length: usize) -> Vec<u8> {
        lines([OK.to_owned()].into_iter().chain(self.fields()).chain([format!("content-length: {length}")]))
    }

    /// An answer with this status and more fields, whole.
    fn with(&self, status: &str, more: &[&str]) -> Script {
        let length = self.length();
        let more: Vec<_> = more.iter().copied().chain([length.as_str()]).collect();
        Script::octets([self.head(status, &more), self.body.clone()].concat())
    }

    /// An answer whose length is told by these fields, and these octets after its head.
    fn framed(&self, fields: &[&str], octets: &[u8]) -> Script {
        Script::octets([&self.head(OK, fields), octets].concat())
    }

    /// An honest answer with other fields in place of its content type.
    fn typed(&self, fields: &[&str]) -> Script {
        let form = self.headers.iter().map(|(name, value)| format!("{name}: {value}"));
        let fields = fields.iter().map(ToString::to_string).chain([self.length(), "connection: close".to_owned()]);
        Script::octets([lines([OK.to_owned()].into_iter().chain(form).chain(fields)), self.body.clone()].concat())
    }

    /// The body as one chunk, with this at the end of the body.
    fn chunk(&self) -> Vec<u8> {
        [format!("{:x}\r\n", self.body.len()).as_bytes(), &self.body, b"\r\n"].concat()
    }

    fn whole(&self) -> Vec<u8> {
        [&self.head(OK, &[&self.length()])[..], &self.body].concat()
    }
}

fn lines(lines: impl Iterator<Item = String>) -> Vec<u8> {
    let mut head = lines.fold(String::new(), |head, line| head + &line + "\r\n");
    head.push_str("\r\n");
    head.into_bytes()
}

const OK: &str = "HTTP/1.1 200 OK";
const CHUNKED: &str = "transfer-encoding: chunked";

const fn row(name: &'static str, change: fn(&Ready) -> Script) -> Fault {
    Fault::new(name, Change::Wire(change))
}

const fn headers(name: &'static str, change: fn(&mut Vec<(&'static str, String)>)) -> Fault {
    Fault::new(name, Change::Headers(change))
}

fn set(headers: &mut [(&'static str, String)], name: &str, change: impl Fn(&str) -> String) {
    for (_, value) in headers.iter_mut().filter(|(known, _)| *known == name) {
        *value = change(value);
    }
}

fn twice(headers: &mut Vec<(&'static str, String)>, name: &str) {
    let again: Vec<_> = headers.iter().filter(|(known, _)| *known == name).cloned().collect();
    headers.extend(again);
}

#[rustfmt::skip]
pub(super) const ALL: &[Fault] = &[
    row("status/100-and-nothing-more", |r| Script::octets(r.head("HTTP/1.1 100 Continue", &[])).hold()),
    row("status/101", |r| r.with("HTTP/1.1 101 Switching Protocols", &["upgrade: h2c", "connection: upgrade"])),
    row("status/201", |r| r.with("HTTP/1.1 201 Created", &[])),
    row("status/202", |r| r.with("HTTP/1.1 202 Accepted", &[])),
    row("status/203", |r| r.with("HTTP/1.1 203 Non-Authoritative Information", &[])),
    row("status/204", |r| Script::octets(r.head("HTTP/1.1 204 No Content", &[]))),
    row("status/206", |r| r.with("HTTP/1.1 206 Partial Content", &["content-range: bytes 0-9/10"])),
    row("status/304", |r| Script::octets(r.head("HTTP/1.1 304 Not Modified", &[]))),
    row("status/301", |r| r.with("HTTP/1.1 301 Moved Permanently", &["location: /auth/real-name"])),
    row("status/307", |r| r.with("HTTP/1.1 307 Temporary Redirect", &["location: https://localhost:1/auth/real-name"])),
    row("status/401", |r| r.with("HTTP/1.1 401 Unauthorized", &["www-authenticate: Basic realm=\"platform\""])),
    row("status/404", |r| r.with("HTTP/1.1 404 Not Found", &[])),
    row("status/408", |r| r.with("HTTP/1.1 408 Request Timeout", &["connection: close"])),
    row("status/429", |r| r.with("HTTP/1.1 429 Too Many Requests", &["retry-after: 0"])),
    row("status/500", |r| r.with("HTTP/1.1 500 Internal Server Error", &[])),
    row("status/502", |r| r.with("HTTP/1.1 502 Bad Gateway", &[])),
    row("status/503", |r| r.with("HTTP/1.1 503 Service Unavailable", &["retry-after: 0"])),
    row("status/599", |r| r.with("HTTP/1.1 599 Something", &[])),

    row("type/missing", |r| r.typed(&[])),
    row("type/page", |r| r.typed(&["content-type: text/html"])),
    row("type/text", |r| r.typed(&["content-type: text/plain"])),
    row("type/of-another-kind-of-json", |r| r.typed(&["content-type: application/jose+json"])),
    row("type/empty", |r| r.typed(&["content-type: "])),
    row("type/twice", |r| { let own = format!("content-type: {}", r.content_type); r.typed(&[&own, &own]) }),
    row("type/two-that-differ", |r| { let own = format!("content-type: {}", r.content_type); r.typed(&["content-type: text/html", &own]) }),
    row("type/two-in-one-field", |r| { let own = format!("content-type: {}, text/html", r.content_type); r.typed(&[&own]) }),
    row("type/charset-gbk", |r| { let own = format!("content-type: {};charset=gbk", media(&r.content_type)); r.typed(&[&own]) }),
    row("type/charset-utf-7", |r| { let own = format!("content-type: {};charset=utf-7", media(&r.content_type)); r.typed(&[&own]) }),
    row("type/parameter-unknown", |r| { let own = format!("content-type: {};profile=other", media(&r.content_type)); r.typed(&[&own]) }),

    row("coding/gzip-that-nobody-asked-for", |r| { let body = gzip::stored(&r.body); let length = format!("content-length: {}", body.len()); r.framed(&["content-encoding: gzip", &length], &body) }),
    row("coding/gzip-without-a-word", |r| { let body = gzip::stored(&r.body); let length = format!("content-length: {}", body.len()); r.framed(&[&length], &body) }),
    row("coding/gzip-said-and-not-done", |r| r.with(OK, &["content-encoding: gzip"])),
    row("coding/unknown", |r| r.with(OK, &["content-encoding: rot13"])),
    row("coding/compression-bomb", |r| { let body = gzip::bomb(4); let length = format!("content-length: {}", body.len()); r.framed(&["content-encoding: gzip", &length], &body) }),
    row("coding/gzip-as-transfer-coding", |r| { let body = gzip::stored(&r.body); let chunk = [format!("{:x}\r\n", body.len()).as_bytes(), &body, b"\r\n0\r\n\r\n"].concat(); r.framed(&["transfer-encoding: gzip, chunked"], &chunk) }),

    row("framing/length-too-long", |r| { let length = format!("content-length: {}", r.body.len() + 1); r.framed(&[&length], &r.body) }),
    row("framing/length-too-short", |r| { let length = format!("content-length: {}", r.body.len() - 1); r.framed(&[&length], &r.body) }),
    row("framing/length-zero", |r| r.framed(&["content-length: 0"], &r.body)),
    row("framing/length-negative", |r| r.framed(&["content-length: -1"], &r.body)),
    row("framing/length-signed", |r| { let length = format!("content-length: +{}", r.body.len()); r.framed(&[&length], &r.body) }),
    row("framing/length-hexadecimal", |r| { let length = format!("content-length: 0x{:x}", r.body.len()); r.framed(&[&length], &r.body) }),
    row("framing/length-that-overflows", |r| r.framed(&["content-length: 18446744073709551616"], &r.body)),
    row("framing/length-of-exabytes", |r| r.framed(&["content-length: 9223372036854775807"], &[&r.body[..], &[b' '; 100_000]].concat())),
    row("framing/two-lengths", |r| { let (own, other) = (r.length(), format!("content-length: {}", r.body.len() + 1)); r.framed(&[&own, &other], &r.body) }),
    row("framing/two-lengths-in-one-field", |r| { let length = format!("content-length: {}, {}", r.body.len(), r.body.len() + 1); r.framed(&[&length], &r.body) }),
    row("framing/length-and-chunks", |r| { let length = r.length(); r.framed(&[&length, CHUNKED], &[&r.chunk()[..], b"0\r\n\r\n"].concat()) }),
    row("framing/chunks-and-length", |r| { let length = r.length(); r.framed(&[CHUNKED, &length], &[&r.chunk()[..], b"0\r\n\r\n"].concat()) }),
    row("framing/chunks-said-and-not-done", |r| r.framed(&[CHUNKED], &r.body)),
    row("framing/chunked-twice", |r| r.framed(&["transfer-encoding: chunked, chunked"], &[&r.chunk()[..], b"0\r\n\r\n"].concat())),
    row("framing/chunked-in-disguise", |r| r.framed(&["transfer-encoding: xchunked"], &[&r.chunk()[..], b"0\r\n\r\n"].concat())),
    row("framing/chunk-size-no-number", |r| r.framed(&[CHUNKED], &[b"zz\r\n", &r.body[..], b"\r\n0\r\n\r\n"].concat())),
    row("framing/chunk-size-negative", |r| r.framed(&[CHUNKED], &[b"-5\r\n", &r.body[..], b"\r\n0\r\n\r\n"].concat())),
    row("framing/chunk-size-that-overflows", |r| r.framed(&[CHUNKED], &[b"fffffffffffffffff\r\n", &r.body[..], b"\r\n0\r\n\r\n"].concat())),
    row("framing/chunk-size-empty", |r| r.framed(&[CHUNKED], &[b"\r\n", &r.body[..], b"\r\n0\r\n\r\n"].concat())),
    row("framing/chunk-longer-than-its-size", |r| r.framed(&[CHUNKED], &[format!("{:x}\r\n", r.body.len() - 1).as_bytes(), &r.body, b"\r\n0\r\n\r\n"].concat())),
    row("framing/chunk-without-its-end", |r| r.framed(&[CHUNKED], &[format!("{:x}\r\n", r.body.len()).as_bytes(), &r.body, b"0\r\n\r\n"].concat())),
    row("framing/last-chunk-missing", |r| r.framed(&[CHUNKED], &r.chunk())),
    row("framing/chunk-extension-without-end", |r| r.framed(&[CHUNKED], b"1;").endlessly(vec![b'x'; 4096])),
    row("framing/trailers-without-end", |r| r.framed(&[CHUNKED], &[&r.chunk()[..], b"0\r\n"].concat()).endlessly(b"x: y\r\n".repeat(100))),
    row("framing/until-the-end-and-dropped-half-way", |r| Script::octets([&r.head(OK, &["connection: close"]), &r.body[..r.body.len() / 2]].concat()).dropped()),

    row("head/garbage", |_| Script::octets(b"SSH-2.0-OpenSSH_9.9\r\n".repeat(3))),
    row("head/zeros", |_| Script::octets(vec![0; 4096])),
    row("head/tls-record-inside", |_| Script::octets(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".repeat(10))),
    row("head/body-without-it", |r| Script::octets(r.body.clone())),
    row("head/http-2-preface", |_| Script::octets(b"\x00\x00\x12\x04\x00\x00\x00\x00\x00".repeat(4))),
    row("head/version-unknown", |r| r.with("HTTP/9.9 200 OK", &[])),
    row("head/version-missing", |r| r.with("200 OK", &[])),
    row("head/another-protocol", |r| r.with("ICY 200 OK", &[])),
    row("head/status-of-two-digits", |r| r.with("HTTP/1.1 20 OK", &[])),
    row("head/status-of-four-digits", |r| r.with("HTTP/1.1 2000 OK", &[])),
    row("head/status-in-letters", |r| r.with("HTTP/1.1 2OO OK", &[])),
    row("head/status-zero", |r| r.with("HTTP/1.1 000 OK", &[])),
    row("head/field-without-colon", |r| r.with(OK, &["approved"])),
    row("head/field-with-space-before-colon", |r| r.with(OK, &["approved : yes"])),
    row("head/field-with-nul", |r| r.with(OK, &["approved: y\0es"])),
    row("head/field-folded", |r| r.with(OK, &["approved: yes", " of course"])),
    row("head/field-name-empty", |r| r.with(OK, &[": yes"])),
    row("head/more-than-fits", |r| { let long = format!("approved: {}", "y".repeat(200 << 10)); r.with(OK, &[&long]) }),
    row("head/thousands-of-fields", |r| { let more: Vec<_> = (0..3000).map(|n| format!("a{n}: b")).collect(); r.with(OK, &more.iter().map(String::as_str).collect::<Vec<_>>()) }),
    row("head/without-end", |_| Script::octets(b"HTTP/1.1 200 OK\r\n").endlessly(b"approved: yes\r\n".repeat(64))),
    row("head/one-line-without-end", |_| Script::octets(b"HTTP/1.1 200 OK\r\napproved: ").endlessly(vec![b'y'; 4096])),
    row("head/flood-of-100", |_| Script::octets(b"").endlessly(b"HTTP/1.1 100 Continue\r\n\r\n".repeat(16))),
    row("head/flood-of-103", |_| Script::octets(b"").endlessly(b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n".repeat(16))),
    row("head/one-octet-a-second", |r| Script::octets(b"").slowly(r.whole())),
    row("body/one-octet-a-second", |r| Script::octets(r.head(OK, &[&r.length()])).slowly(r.body.clone())),
    row("body/chunk-of-one-octet-a-second", |r| Script::octets(r.head(OK, &[CHUNKED])).slowly(b"1\r\n{\r\n".repeat(100))),
    row("body/never", |r| Script::octets(r.head(OK, &[&r.length()])).hold()),
    row("body/half-and-no-more", |r| Script::octets(r.head(OK, &[&r.length()])).then(r.body[..r.body.len() / 2].to_vec()).hold()),
    row("body/without-end", |r| Script::octets(r.head(OK, &["connection: close"])).endlessly(vec![b' '; 8192])),
    row("body/chunks-without-end", |r| Script::octets(r.head(OK, &[CHUNKED])).endlessly(b"1000\r\n".iter().copied().chain([b' '; 4096]).chain(*b"\r\n").collect::<Vec<_>>())),
    row("body/empty-chunk-extensions-without-end", |r| Script::octets(r.head(OK, &[CHUNKED])).endlessly(b"1;a=b\r\n \r\n".repeat(400))),
    row("body/sixteen-mebibytes", |r| { let length = format!("content-length: {}", r.body.len() + (16 << 20)); Script::octets(r.head(OK, &[&length])).then(r.body.clone()).then(vec![b' '; 16 << 20]) }),
    row("body/one-octet-above-the-limit", |r| { let more = 65_537 - r.body.len().min(65_537); let length = "content-length: 65537"; Script::octets(r.head(OK, &[length])).then(r.body.clone()).then(vec![b' '; more]) }),

    row("close/instead-of-an-answer", |_| Script::octets(b"")),
    row("close/instead-of-an-answer-without-a-word", |_| Script::octets(b"").dropped()),
    row("close/in-the-status-line", |_| Script::octets(b"HTTP/1.1 20")),
    row("close/in-the-head", |_| Script::octets(b"HTTP/1.1 200 OK\r\ncontent-ty").dropped()),
    row("close/after-the-head", |r| Script::octets(r.head(OK, &[&r.length()]))),
    row("close/in-the-body", |r| Script::octets(r.head(OK, &[&r.length()])).then(r.body[..r.body.len() / 2].to_vec())),
    row("close/before-the-last-octet", |r| Script::octets(r.head(OK, &[&r.length()])).then(r.body[..r.body.len() - 1].to_vec()).dropped()),
    row("close/in-a-chunk", |r| Script::octets(r.head(OK, &[CHUNKED])).then(b"ffff\r\n{".to_vec()).dropped()),
    row("close/hangs", |_| Script::octets(b"").hold()),

    // The first is of another request; the right one comes too late.
    row("twice/the-previous-answer-first", |r| Script::octets([&r.head_of_many(r.previous.len())[..], &r.previous, &r.whole()].concat())),

    // Nobody asked for the second, which is of another request.
    row("honest/another-answer-behind-it", |r| Script::octets([&r.head_of_many(r.body.len())[..], &r.body, &r.head_of_many(r.previous.len()), &r.previous].concat())),

    headers("field/signature-missing", |h| h.retain(|(name, _)| *name != "x-signature")),
    headers("field/signature-twice", |h| twice(h, "x-signature")),
    headers("field/signature-empty", |h| set(h, "x-signature", |_| String::new())),
    headers("field/signature-url-safe", |h| set(h, "x-signature", |value| format!("-_{}", &value[2..]))),
    headers("field/signature-with-space", |h| set(h, "x-signature", |value| format!("{} {}", &value[..8], &value[8..]))),
    headers("field/signature-of-63-octets", |h| set(h, "x-signature", |_| openssl::base64::encode_block(&[7; 63]))),
    headers("field/certificate-missing", |h| h.retain(|(name, _)| *name != "x-certificate-serial")),
    headers("field/certificate-twice", |h| twice(h, "x-certificate-serial")),
    headers("field/certificate-unknown", |h| set(h, "x-certificate-serial", |_| "0123456789abcdef".into())),
    headers("field/certificate-no-number", |h| set(h, "x-certificate-serial", |_| "the usual one".into())),
    headers("field/digest-missing", |h| h.retain(|(name, _)| *name != "content-digest")),
    headers("field/digest-twice", |h| twice(h, "content-digest")),
    headers("field/digest-of-something-else", |h| set(h, "content-digest", |_| format!("sha-256=:{}:", openssl::base64::encode_block(&[7; 32])))),
    headers("field/digest-sha-512-only", |h| set(h, "content-digest", |_| format!("sha-512=:{}:", openssl::base64::encode_block(&[7; 64])))),
    headers("field/digest-without-colons", |h| set(h, "content-digest", |value| value.replace(':', ""))),

    row("honest/chunked", |r| { let (first, second) = r.body.split_at(r.body.len() / 2); r.framed(&[CHUNKED], &[format!("{:X};name=\"value\"\r\n", first.len()).as_bytes(), first, format!("\r\n{:x}\r\n", second.len()).as_bytes(), second, b"\r\n0\r\nserver-timing: none\r\n\r\n"].concat()) }),
    row("honest/until-the-end", |r| r.framed(&["connection: close"], &r.body)),
    row("honest/http-1.0", |r| r.with("HTTP/1.0 200 OK", &[])),
    row("honest/no-reason-phrase", |r| r.with("HTTP/1.1 200 ", &[])),
    row("honest/fields-nobody-knows", |r| r.with("HTTP/1.1 200 OK", &["server: platform", "x-request-id: 17", "x-request-id: 18", "set-cookie: a=b", "content-encoding: identity"])),
    row("honest/early-hints-first", |r| Script::octets([b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n".to_vec(), r.whole()].concat())),
    row("honest/type-in-another-case", |r| { let own = format!("Content-Type: {} ; Charset=UTF-8", media(&r.content_type).to_uppercase()); r.typed(&[&own]) }),
    row("honest/octet-by-octet", |r| r.whole().chunks(97).fold(Script::octets(b""), |script, part| script.then(part.to_vec()))),
];

/// The media type without its parameters.
fn media(content_type: &str) -> &str {
    content_type.split(';').next().unwrap_or_default()
}
