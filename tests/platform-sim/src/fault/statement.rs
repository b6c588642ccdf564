//! What the answer says. Everything here is signed as it stands.

use time::{Duration, OffsetDateTime};

use super::{Change, Fault};
use crate::form::{Answer, Field, FieldResult, Outcome, Part, object, quoted};
use crate::platform::Previous;
use crate::{Form, Refusal, sm};

/// The members of an answer on their way into the package.
#[derive(Debug)]
pub(crate) struct Statement<'a> {
    form: Form,
    members: Vec<(String, String)>,
    fields: Vec<(Field, FieldResult)>,
    application: bool,
    now: OffsetDateTime,
    previous: Option<&'a Previous>,
    /// Serial of an answer that was accepted long ago.
    used_serial: Option<&'a str>,
}

impl<'a> Statement<'a> {
    pub(crate) fn new(
        form: Form,
        answer: &Answer,
        members: Vec<(&'static str, String)>,
        previous: Option<&'a Previous>,
        used_serial: Option<&'a str>,
    ) -> Self {
        let members = members.into_iter().map(|(name, json)| (name.to_owned(), json)).collect();
        let fields = answer.fields.clone();
        Self { form, members, fields, application: answer.application, now: answer.time, previous, used_serial }
    }

    pub(crate) fn write(&self) -> String {
        let members: Vec<_> = self.members.iter().map(|(name, json)| (name.as_str(), json.clone())).collect();
        object(&members)
    }

    fn name(&self, part: Part) -> &'static str {
        self.form.part(part, self.application)
    }

    fn remove(&mut self, part: Part) {
        let name = self.name(part);
        self.members.retain(|(known, _)| known != name);
    }

    /// In its place, or at the end when there is none.
    fn set(&mut self, part: Part, json: impl Into<String>) {
        let (name, json) = (self.name(part), json.into());
        match self.members.iter_mut().find(|(known, _)| known == name) {
            Some((_, value)) => *value = json,
            None => self.members.push((name.to_owned(), json)),
        }
    }

    fn set_text(&mut self, part: Part, text: &str) {
        self.set(part, quoted(text));
    }

    fn text(&self, part: Part) -> String {
        let name = self.name(part);
        let json = self.members.iter().find(|(known, _)| known == name).map(|(_, json)| json.as_str());
        serde_json::from_str(json.unwrap_or("\"\"")).unwrap_or_default()
    }

    fn change(&mut self, part: Part, change: impl FnOnce(String) -> String) {
        let text = change(self.text(part));
        self.set_text(part, &text);
    }

    /// A text as what it says, anything else as a text of it.
    fn turn(&mut self, part: Part) {
        let name = self.name(part);
        let json =
            self.members.iter().find(|(known, _)| known == name).map(|(_, json)| json.clone()).unwrap_or_default();
        let turned = json.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).map(str::to_owned);
        self.set(part, turned.unwrap_or_else(|| quoted(&json)));
    }

    /// Another time, so long after the real one.
    fn shift(&mut self, by: Duration) {
        let json = self.form.write_time(self.now + by);
        self.set(Part::Time, json);
    }

    fn outcome(&mut self, outcome: Outcome) {
        let code = self.form.code(outcome);
        self.set_text(Part::Code, code);
    }

    /// A refusal: its code, and no field results.
    fn refuse(&mut self, outcome: Outcome) {
        self.outcome(outcome);
        self.remove(Part::Fields);
    }

    /// The field results as they are now, each name with its JSON.
    fn results(&self) -> Vec<(&'static str, String)> {
        let known = self.fields.iter();
        known.map(|(field, result)| (self.form.field(*field), self.form.result(*result).to_owned())).collect()
    }

    fn set_results(&mut self, results: &[(&'static str, String)]) {
        self.set(Part::Fields, object(results));
    }

    /// All fields with one result but the last, which has another.
    fn all(&mut self, result: FieldResult, last: FieldResult) {
        let count = self.fields.len();
        for (index, (_, known)) in self.fields.iter_mut().enumerate() {
            *known = if index + 1 == count { last } else { result };
        }
        self.set_results(&self.results());
    }

    /// The last field's result is this JSON.
    fn last(&mut self, json: &str) {
        let mut results = self.results();
        if let Some((_, result)) = results.last_mut() {
            json.clone_into(result);
        }
        self.set_results(&results);
    }
}

const fn row(name: &'static str, change: fn(&mut Statement<'_>)) -> Fault {
    Fault::new(name, Change::Statement(change))
}

use FieldResult::{Match, Mismatch, Undecided};

#[rustfmt::skip]
pub(super) const ALL: &[Fault] = &[
    row("nonce/another", |s| { let fresh = s.form.nonce(sm::random().unwrap_or_default()); s.set_text(Part::Nonce, &fresh); }),
    row("nonce/missing", |s| s.remove(Part::Nonce)),
    row("nonce/empty", |s| s.set_text(Part::Nonce, "")),
    row("nonce/other-case", |s| s.change(Part::Nonce, |text| swap_case(&text))),
    row("nonce/truncated", |s| s.change(Part::Nonce, |text| text[..text.len() - 1].to_owned())),
    row("nonce/longer", |s| s.change(Part::Nonce, |text| text + "0")),
    row("nonce/space-before", |s| s.change(Part::Nonce, |text| format!(" {text}"))),
    row("nonce/space-after", |s| s.change(Part::Nonce, |text| text + " ")),
    row("nonce/line-feed-after", |s| s.change(Part::Nonce, |text| text + "\n")),
    row("nonce/nul-after", |s| s.change(Part::Nonce, |text| text + "\0")),
    row("nonce/full-width", |s| s.change(Part::Nonce, |text| wide(&text))),
    row("nonce/number", |s| s.set(Part::Nonce, "17")),
    row("nonce/null", |s| s.set(Part::Nonce, "null")),
    row("nonce/array", |s| { let text = quoted(&s.text(Part::Nonce)); s.set(Part::Nonce, format!("[{text}]")); }),
    row("nonce/of-the-previous-request", |s| { let text = s.previous.map(|p| p.nonce.clone()).unwrap_or_default(); s.set_text(Part::Nonce, &text); }),
    row("nonce/is-the-digest", |s| { let text = s.text(Part::Digest); s.set_text(Part::Nonce, &text); }),

    row("digest/another", |s| { let other = hex::encode(sm::random::<32>().unwrap_or_default()); s.set_text(Part::Digest, &other); }),
    row("digest/missing", |s| s.remove(Part::Digest)),
    row("digest/empty", |s| s.set_text(Part::Digest, "")),
    row("digest/other-case", |s| s.change(Part::Digest, |text| swap_case(&text))),
    row("digest/truncated", |s| s.change(Part::Digest, |text| text[..text.len() - 1].to_owned())),
    row("digest/space-after", |s| s.change(Part::Digest, |text| text + " ")),
    row("digest/number", |s| s.set(Part::Digest, "0")),
    row("digest/null", |s| s.set(Part::Digest, "null")),
    row("digest/of-the-previous-request", |s| { let text = s.previous.map(|p| hex::encode(p.digest)).unwrap_or_default(); s.set_text(Part::Digest, &text); }),
    row("digest/of-nothing", |s| { let text = hex::encode(sm::sm3(b"").unwrap_or_default()); s.set_text(Part::Digest, &text); }),

    row("time/an-hour-ago", |s| s.shift(-Duration::HOUR)),
    row("time/in-an-hour", |s| s.shift(Duration::HOUR)),
    row("time/yesterday", |s| s.shift(-Duration::DAY)),
    row("time/just-before-the-window", |s| s.shift(-Duration::seconds(301))),
    // Time goes by until it is looked at.
    row("time/just-after-the-window", |s| s.shift(Duration::seconds(360))),
    row("time/of-utc-written-as-local", |s| s.shift(-Duration::hours(8))),
    row("time/the-epoch", |s| { let json = s.form.write_time(OffsetDateTime::UNIX_EPOCH); s.set(Part::Time, json); }),
    row("time/missing", |s| s.remove(Part::Time)),
    row("time/empty", |s| s.set_text(Part::Time, "")),
    row("time/words", |s| s.set_text(Part::Time, "just now")),
    row("time/number", |s| { let json = s.now.unix_timestamp().to_string(); s.set(Part::Time, json); }),
    row("time/null", |s| s.set(Part::Time, "null")),
    row("time/impossible-date", |s| s.change(Part::Time, |text| day_of(&text, "31", "02"))),
    row("time/month-zero", |s| s.change(Part::Time, |text| day_of(&text, "01", "00"))),
    row("time/hour-24", |s| s.change(Part::Time, |text| hour_of(&text, "24"))),
    row("time/without-milliseconds-of-a-day-ago", |s| { s.shift(-Duration::DAY); s.change(Part::Time, |text| text[..text.len() - 3].to_owned()); }),
    row("time/space-after", |s| s.change(Part::Time, |text| text + " ")),
    row("time/three-digits-more", |s| s.change(Part::Time, |text| text + "000")),
    row("time/sign-before", |s| s.change(Part::Time, |text| format!("+{text}"))),
    row("time/as-text-where-a-number-belongs-or-the-other-way", |s| s.turn(Part::Time)),
    row("time/full-width", |s| s.change(Part::Time, |text| wide(&text))),

    row("serial/missing", |s| s.remove(Part::Serial)),
    row("serial/empty", |s| s.set_text(Part::Serial, "")),
    row("serial/129-characters", |s| s.change(Part::Serial, |text| format!("{text:0<129}"))),
    row("serial/space", |s| s.change(Part::Serial, |text| text.replacen("SIM", "SI M", 1))),
    row("serial/line-feed", |s| s.change(Part::Serial, |text| text + "\n")),
    row("serial/nul", |s| s.change(Part::Serial, |text| text + "\0")),
    row("serial/escape", |s| s.change(Part::Serial, |text| text + "\u{1b}[2J")),
    row("serial/not-ascii", |s| s.change(Part::Serial, |text| text + "号")),
    row("serial/right-to-left", |s| s.change(Part::Serial, |text| text + "\u{202e}")),
    row("serial/number", |s| s.set(Part::Serial, "1")),
    row("serial/null", |s| s.set(Part::Serial, "null")),
    row("serial/of-an-earlier-answer", |s| { let text = s.used_serial.unwrap_or("none yet").to_owned(); s.set_text(Part::Serial, &text); }),

    row("version/another", |s| s.set_text(Part::Version, "9.9")),
    row("version/missing", |s| s.remove(Part::Version)),
    row("version/empty", |s| s.set_text(Part::Version, "")),
    row("version/number", |s| s.set(Part::Version, "1")),
    row("version/null", |s| s.set(Part::Version, "null")),
    row("version/space-after", |s| s.change(Part::Version, |text| text + " ")),
    row("member/unknown", |s| s.members.push(("approved".into(), "true".into()))),
    row("member/unknown-and-empty", |s| s.members.push((String::new(), "\"\"".into()))),
    row("member/code-in-another-case", |s| { let name = s.name(Part::Code).to_uppercase(); s.members.push((name, "\"0000\"".into())); }),
    row("member/reading-that-nobody-asked-for", |s| s.members.push(("readingDigest".into(), quoted(&"0".repeat(64))))),
    row("member/request-fields-echoed", |s| s.members.push(("idAuthData".into(), "\"MAA=\"".into()))),

    row("code/unknown", |s| s.outcome(Outcome::Unheard)),
    row("code/empty", |s| s.set_text(Part::Code, "")),
    row("code/space-after", |s| s.change(Part::Code, |text| text + " ")),
    row("code/space-before", |s| s.change(Part::Code, |text| format!(" {text}"))),
    row("code/truncated", |s| s.change(Part::Code, |text| text[..text.len() - 1].to_owned())),
    row("code/full-width", |s| s.change(Part::Code, |text| wide(&text))),
    row("code/nul-after", |s| s.change(Part::Code, |text| text + "\0")),
    row("code/missing", |s| s.remove(Part::Code)),
    row("code/number", |s| s.set(Part::Code, "0")),
    row("code/null", |s| s.set(Part::Code, "null")),
    row("code/true", |s| s.set(Part::Code, "true")),
    row("code/array", |s| s.set(Part::Code, "[\"0000\"]")),
    row("code/object", |s| s.set(Part::Code, "{\"code\":\"0000\"}")),

    row("refusal/suspended", |s| s.refuse(Outcome::Suspended)),
    row("refusal/purpose", |s| s.refuse(Outcome::Refused(Refusal::Purpose))),
    row("refusal/certificate", |s| s.refuse(Outcome::Refused(Refusal::Certificate("a fault")))),
    row("refusal/nonce", |s| s.refuse(Outcome::Refused(Refusal::Duplicate))),
    row("refusal/time", |s| s.refuse(Outcome::Refused(Refusal::Time))),
    row("refusal/signature", |s| s.refuse(Outcome::Refused(Refusal::Signature("a fault")))),
    row("refusal/envelope", |s| s.refuse(Outcome::Refused(Refusal::Envelope("a fault")))),
    row("refusal/busy", |s| s.refuse(Outcome::Busy)),
    row("refusal/with-fields-that-match", |s| s.outcome(Outcome::Busy)),

    row("fields/missing", |s| s.remove(Part::Fields)),
    row("fields/null", |s| s.set(Part::Fields, "null")),
    row("fields/empty", |s| s.set(Part::Fields, "{}")),
    row("fields/array", |s| { let json = s.results().iter().map(|(_, json)| json.clone()).collect::<Vec<_>>().join(","); s.set(Part::Fields, format!("[{json}]")); }),
    row("fields/text", |s| { let json = quoted(&object(&s.results())); s.set(Part::Fields, json); }),
    row("fields/one-missing", |s| { let mut results = s.results(); results.pop(); s.set_results(&results); }),
    row("fields/one-that-nobody-asked-for", |s| { let mut results = s.results(); results.push((s.form.field(Field::Chip), s.form.result(Match).into())); s.set_results(&results); }),
    row("fields/one-unknown", |s| { let mut results = s.results(); results.push(("shoeSize", s.form.result(Match).into())); s.set_results(&results); }),
    row("fields/one-twice", |s| { let mut results = s.results(); results.extend(results.last().cloned()); s.set_results(&results); }),
    row("fields/one-twice-otherwise", |s| { let mut results = s.results(); let last = results.last().map_or("", |(name, _)| *name); results.insert(0, (last, s.form.result(Mismatch).into())); s.set_results(&results); }),
    row("fields/value-unknown", |s| s.last("\"9\"")),
    row("fields/value-number", |s| s.last("1")),
    row("fields/value-text-of-truth", |s| s.last("\"true\"")),
    row("fields/value-array", |s| s.last("[true]")),
    row("fields/value-object", |s| s.last("{}")),
    row("fields/value-with-space", |s| s.last("\"1 \"")),

    row("contradiction/match-with-a-mismatch", |s| { s.outcome(Outcome::Match); s.all(Match, Mismatch); }),
    row("contradiction/match-with-an-undecided", |s| { s.outcome(Outcome::Match); s.all(Match, Undecided); }),
    row("contradiction/match-with-nothing-but-mismatches", |s| { s.outcome(Outcome::Match); s.all(Mismatch, Mismatch); }),
    row("contradiction/mismatch-with-matches-only", |s| { s.outcome(Outcome::Mismatch); s.all(Match, Match); }),
    row("contradiction/mismatch-with-an-undecided-only", |s| { s.outcome(Outcome::Mismatch); s.all(Match, Undecided); }),
    row("contradiction/undecided-with-matches-only", |s| { s.outcome(Outcome::Undecided); s.all(Match, Match); }),
    row("contradiction/undecided-with-a-mismatch", |s| { s.outcome(Outcome::Undecided); s.all(Undecided, Mismatch); }),
    row("contradiction/not-found-with-fields", |s| { s.outcome(Outcome::NotFound); s.all(Match, Match); }),
    row("contradiction/not-found-with-no-field", |s| { s.outcome(Outcome::NotFound); s.set(Part::Fields, "{}"); }),

    row("binding/another-entitys-answer", |s| {
        let nonce = s.form.nonce(sm::random().unwrap_or_default());
        s.set_text(Part::Nonce, &nonce);
        let digest = hex::encode(sm::random::<32>().unwrap_or_default());
        s.set_text(Part::Digest, &digest);
    }),
    row("binding/yesterdays-answer", |s| {
        let nonce = s.form.nonce(sm::random().unwrap_or_default());
        s.set_text(Part::Nonce, &nonce);
        s.shift(-Duration::DAY);
    }),

    // Signed, and within what the form allows: these must be taken.
    row("honest/time-at-the-windows-start", |s| s.shift(-Duration::seconds(240))),
    row("honest/time-at-the-windows-end", |s| s.shift(Duration::seconds(295))),
    row("honest/serial-of-128-characters", |s| s.change(Part::Serial, |text| format!("{text:0<128}"))),
    row("honest/members-in-reverse", |s| s.members.reverse()),
    row("honest/no-message", |s| s.members.retain(|(name, _)| name != "resultMsg")),
];

fn swap_case(text: &str) -> String {
    let swap = |c: char| if c.is_ascii_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() };
    text.chars().map(swap).collect()
}

/// Letters and digits as East Asian type has them.
fn wide(text: &str) -> String {
    let wide = |c: char| if c.is_ascii_graphic() { char::from_u32(u32::from(c) + 0xfee0).unwrap_or(c) } else { c };
    text.chars().map(wide).collect()
}

/// Places of month and day: after four digits of a year, with dashes or without.
fn day_of(text: &str, day: &str, month: &str) -> String {
    match text.as_bytes().get(4) {
        Some(b'-') => format!("{}-{month}-{day}{}", &text[..4], &text[10..]),
        _ => format!("{}{month}{day}{}", &text[..4], &text[8..]),
    }
}

fn hour_of(text: &str, hour: &str) -> String {
    match text.as_bytes().get(4) {
        Some(b'-') => format!("{}{hour}{}", &text[..11], &text[13..]),
        _ => format!("{}{hour}{}", &text[..8], &text[10..]),
    }
}
