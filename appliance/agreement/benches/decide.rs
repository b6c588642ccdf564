//! What a decision costs with 1,000 callers and 100 purposes, counted and all. Fails above 5 µs.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::fmt::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use yanqian_agreement::{Agreement, Asked, Book, Moment, Request, Source};
use yanqian_vocabulary::{DocumentType, Field, Mode, PurposeCode, Timestamp};

const CALLERS: usize = 1_000;
const PURPOSES: usize = 100;
const ROUND: u32 = 100_000;
const LIMIT: Duration = Duration::from_micros(5);

fn agreement() -> Agreement {
    let mut text = String::from(
        "format_version = 1\nversion = \"v\"\nentity = \"e\"\nplatform = \"p\"\neffective_from = 2026-01-01\n\
         effective_until = 2035-12-31\nmodes = [\"real-name\"]\ndocument_types = [\"prc-passport\"]\n\
         checks_per_day = 1000000000\nchecks_per_second = 1000000\n\
         parties = { using_entity = \"a\", service_provider = \"b\" }\n",
    );
    let codes: Vec<String> = (0..PURPOSES).map(|n| format!("\"purpose-{n:03}\"")).collect();
    for code in &codes {
        write!(
            text,
            "[[purpose]]\ncode = {code}\nplatform_code = \"1\"\nbusiness_field = \"b\"\nlegal_basis = \"l\"\n\
             retention_days = 1\nmodes = [\"real-name\"]\ndocument_types = [\"prc-passport\"]\n\
             fields = [\"number\", \"name\", \"birth_date\"]\nchecks_per_day = 1000000000\nchecks_per_second = 1000000\n"
        )
        .unwrap();
    }
    let codes = codes.join(", ");
    for n in 0..CALLERS {
        write!(
            text,
            "[[caller]]\nid = \"caller-{n:04}\"\ncertificate_name = \"c{n}\"\ncontact = \"x\"\npurposes = [{codes}]\n\
             networks = [\"10.0.0.0/8\", \"192.168.0.0/16\"]\nhours = [\"00:00-12:00\", \"12:00-24:00\"]\n\
             checks_per_day = 1000000000\nchecks_per_second = 1000000\n"
        )
        .unwrap();
    }
    Agreement::parse(&text, Path::new("agreement.toml")).unwrap()
}

fn main() {
    let agreement = agreement();
    let callers: Vec<_> = agreement.callers().collect();
    let codes: Vec<_> = (0..PURPOSES).map(|n| PurposeCode::new(format!("purpose-{n:03}")).unwrap()).collect();
    let fields = [Field::Number, Field::Name, Field::BirthDate];
    let source = Source::Peer("192.168.7.7".parse().unwrap());
    let mut book = Book::new(Duration::ZERO);
    let mut best = Duration::MAX;
    let (mut allowed, mut uptime) = (0u32, Duration::from_mins(1));
    for _ in 0..10 {
        let began = Instant::now();
        for n in 0..ROUND as usize {
            uptime += Duration::from_micros(20);
            let moment = Moment { time: Timestamp::from_unix_millis(1_780_243_200_000), uptime };
            // Steps without a common divisor with the lengths, so that every pair comes round.
            let (caller, purpose) = (callers[n * 7 % CALLERS], &codes[n * 13 % PURPOSES]);
            let request = Request {
                mode: Mode::RealName,
                document_type: DocumentType::PrcPassport,
                purpose,
                fields: &fields,
                source,
            };
            loop {
                match book.ask(&agreement, caller, &request, moment) {
                    Asked::Decided(_, spent) => break allowed += u32::from(spent.is_some()),
                    Asked::Needs(lease) => book.granted(&lease, lease.wanted),
                }
            }
        }
        best = best.min(began.elapsed() / ROUND);
    }
    println!("{} ns a decision, {allowed} of {} allowed", best.as_nanos(), 10 * ROUND);
    assert!(allowed > 9 * ROUND, "the bench is of checks that are let through");
    assert!(best <= LIMIT, "{best:?} a decision, {LIMIT:?} at most");
}
