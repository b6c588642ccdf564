//! Where HTTP/1.1 heads begin and end, seen before the parser sees them.
//!
//! The parser behind this guard is lenient where RFC 9112 lets it be: it takes a bare line feed for the end of a line, and
//! silently prefers `Transfer-Encoding` when `Content-Length` stands beside it. What two readers can understand differently
//! is how requests are smuggled, so the guard refuses it: what it lets pass has one length only.

/// The head cannot be understood in one way only, or is no head at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ambiguous;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before the first octet of a request line; empty lines may stand here (RFC 9112 2.2).
    Before,
    Line,
    /// After a carriage return that only a line feed may follow.
    Return,
    /// In a body whose octets are not looked at; so many are left.
    Body(u64),
    /// In a chunked body. The connection ends after it, so nothing is looked at any more.
    Chunked,
}

/// Watches the octets of one connection.
#[derive(Debug)]
pub(crate) struct HeadGuard {
    state: State,
    /// Octets of the present line without its end; of a field, the name and the digits of a length.
    line: Line,
    request_line: bool,
    length: Option<u64>,
    chunked: bool,
    heads: u64,
}

/// The longest field name that matters, `transfer-encoding`.
const NAME: usize = 17;

#[derive(Debug, Default)]
struct Line {
    octets: u64,
    name: [u8; NAME],
    name_octets: usize,
    /// Whether the colon has been seen.
    value: bool,
    number: Option<u64>,
    /// Space after the digits of a length: only more space may follow.
    number_ended: bool,
    number_malformed: bool,
}

impl Line {
    fn is(&self, name: &[u8]) -> bool {
        self.name_octets == name.len() && self.name[..name.len()].eq_ignore_ascii_case(name)
    }

    fn take(&mut self, octet: u8) {
        self.octets += 1;
        if self.value {
            match (octet, self.number) {
                (b' ' | b'\t', None) => {}
                (b' ' | b'\t', Some(_)) => self.number_ended = true,
                (b'0'..=b'9', number) if !self.number_ended => {
                    let next = number.unwrap_or(0).checked_mul(10).and_then(|n| n.checked_add(u64::from(octet - b'0')));
                    self.number = Some(next.unwrap_or(0));
                    self.number_malformed |= next.is_none();
                }
                _ => self.number_malformed = true,
            }
        } else if octet == b':' {
            self.value = true;
        } else {
            if let Some(place) = self.name.get_mut(self.name_octets) {
                *place = octet;
            }
            // One beyond the array: a longer name is no name that matters.
            self.name_octets = (self.name_octets + 1).min(NAME + 1);
        }
    }
}

impl HeadGuard {
    pub(crate) fn new() -> Self {
        Self { state: State::Before, line: Line::default(), request_line: true, length: None, chunked: false, heads: 0 }
    }

    /// The number of the head that has begun and not ended.
    pub(crate) fn open(&self) -> Option<u64> {
        matches!(self.state, State::Line | State::Return).then_some(self.heads)
    }

    /// Looks at what came next. On an error, the position of the octet that may not stand there.
    pub(crate) fn see(&mut self, octets: &[u8]) -> Result<(), usize> {
        let mut at = 0;
        while let Some(&octet) = octets.get(at) {
            match self.state {
                State::Chunked => return Ok(()),
                State::Body(left) => {
                    let here = u64::try_from(octets.len() - at).unwrap_or(u64::MAX).min(left);
                    at += usize::try_from(here).unwrap_or(usize::MAX);
                    self.state = if left == here { State::Before } else { State::Body(left - here) };
                    continue;
                }
                _ => self.head(octet).map_err(|Ambiguous| at)?,
            }
            at += 1;
        }
        Ok(())
    }

    fn head(&mut self, octet: u8) -> Result<(), Ambiguous> {
        match (self.state, octet) {
            (State::Return, b'\n') => self.end_of_line(),
            (State::Return, _) | (_, b'\n') => Err(Ambiguous),
            (_, b'\r') => {
                self.state = State::Return;
                Ok(())
            }
            (_, octet) => {
                // A line that begins with space would continue the one before (obs-fold, RFC 9112 5.2).
                if self.line.octets == 0 && matches!(octet, b' ' | b'\t') {
                    return Err(Ambiguous);
                }
                self.state = State::Line;
                self.line.take(octet);
                Ok(())
            }
        }
    }

    fn end_of_line(&mut self) -> Result<(), Ambiguous> {
        let line = std::mem::take(&mut self.line);
        self.state = State::Line;
        if self.request_line {
            // An empty line before a request line is passed over.
            self.request_line = line.octets == 0;
            if self.request_line {
                self.state = State::Before;
            }
            return Ok(());
        }
        if line.octets == 0 {
            self.end_of_head();
            return Ok(());
        }
        if line.is(b"content-length") {
            let length = line.number.filter(|_| !line.number_malformed).ok_or(Ambiguous)?;
            if self.length.replace(length).is_some() {
                return Err(Ambiguous);
            }
        } else if line.is(b"transfer-encoding") && std::mem::replace(&mut self.chunked, true) {
            return Err(Ambiguous);
        }
        if self.chunked && self.length.is_some() { Err(Ambiguous) } else { Ok(()) }
    }

    fn end_of_head(&mut self) {
        self.state = match (self.chunked, self.length.unwrap_or(0)) {
            (true, _) => State::Chunked,
            (false, 0) => State::Before,
            (false, length) => State::Body(length),
        };
        self.request_line = true;
        self.length = None;
        self.heads += 1;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn refused_at(head: &str) -> Option<usize> {
        HeadGuard::new().see(head.as_bytes()).err()
    }

    #[test]
    fn ordinary_requests_pass_one_after_the_other() {
        let mut guard = HeadGuard::new();
        let get = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
        let post = "POST / HTTP/1.1\r\nhost: a\r\nContent-Length:  5 \r\n\r\na\nb\n\n";
        for text in [get, "\r\n", post, get, post] {
            guard.see(text.as_bytes()).unwrap();
            assert_eq!(guard.open(), None, "{text:?}");
        }
        guard.see(b"GET / HT").unwrap();
        assert_eq!(guard.open(), Some(4));
        guard.see(b"TP/1.1\r\nhost: a\r\n\r").unwrap();
        assert_eq!(guard.open(), Some(4));
        guard.see(b"\n").unwrap();
        assert_eq!(guard.open(), None);
        guard.see(b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n5\r\nanything\n at all").unwrap();
    }

    #[test]
    fn what_two_readers_could_understand_differently_is_refused() {
        let length = "content-length: 5\r\n";
        let chunked = "Transfer-Encoding: chunked\r\n";
        let refused = [
            format!("{length}{chunked}\r\n"),
            format!("{chunked}{length}\r\n"),
            format!("{chunked}{chunked}\r\n"),
            format!("{length}{length}\r\n"),
            format!("{length}content-length: 6\r\n\r\n"),
            "content-length: 5, 5\r\n\r\n".to_owned(),
            "content-length: +5\r\n\r\n".to_owned(),
            "content-length: 5 5\r\n\r\n".to_owned(),
            "content-length: 0x5\r\n\r\n".to_owned(),
            "content-length:\r\n\r\n".to_owned(),
            "content-length: 99999999999999999999\r\n\r\n".to_owned(),
            "a: b\r\n c\r\n\r\n".to_owned(),
            "a: b\r\n\tc\r\n\r\n".to_owned(),
            "a: b\n\r\n".to_owned(),
            "a: b\r\n\n".to_owned(),
            "a: b\rc\r\n\r\n".to_owned(),
        ];
        for fields in refused {
            assert!(refused_at(&format!("POST / HTTP/1.1\r\n{fields}")).is_some(), "{fields:?}");
        }
        assert_eq!(refused_at("GET / HTTP/1.1\nhost: a\n\n"), Some(14));
        assert_eq!(refused_at("\nGET /"), Some(0));
    }

    proptest::proptest! {
        #[test]
        fn cutting_the_octets_differently_changes_nothing(
            mut octets: Vec<u8>, cuts: Vec<u8>, lines in "(content-length: ?[0-9]{0,3}|a:b|\\r|\\n|transfer-encoding:x|\\r\\n){0,12}"
        ) {
            octets.extend_from_slice(lines.as_bytes());
            let mut whole = HeadGuard::new();
            let expected = whole.see(&octets);
            let mut parts = HeadGuard::new();
            let (mut at, mut cuts) = (0, cuts.into_iter());
            let mut seen = Ok(());
            while at < octets.len() && seen.is_ok() {
                let end = (at + usize::from(cuts.next().unwrap_or(1).max(1))).min(octets.len());
                seen = parts.see(&octets[at..end]).map_err(|within| at + within);
                at = end;
            }
            proptest::prop_assert_eq!(seen, expected);
            proptest::prop_assert!(expected.is_err() || parts.state == whole.state);
        }
    }
}
