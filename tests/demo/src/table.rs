//! The table at the end.

use std::process::ExitStatus;

use crate::cases::{Case, Expected};
use crate::paint;
use crate::show::Evidence;

/// One line: what must be and what was.
#[derive(Debug)]
pub(crate) struct Line {
    what: String,
    expected: String,
    got: String,
    problems: usize,
}

impl Line {
    pub(crate) fn new(what: &str, expected: &str, got: &str, good: bool) -> Self {
        Self { what: what.to_owned(), expected: expected.to_owned(), got: got.to_owned(), problems: usize::from(!good) }
    }

    pub(crate) fn of_case(case: &Case, evidence: &Evidence, problems: &[String]) -> Self {
        let describe = |status: u16, code: &str, signatures: u64| format!("{status} {code}, {signatures} signed");
        let expected = case.expected;
        let mut got = describe(evidence.reply.status, &evidence.reply.code(), evidence.signatures);
        if let Expected::RefusedUnsigned(..) | Expected::AnswerRefused(..) = expected
            && evidence.records.last().is_none_or(|end| end.reason() != evidence.reply.code())
        {
            got.push_str(" (ledger differs)");
        }
        Self {
            what: case.title.to_owned(),
            expected: describe(expected.status(), expected.code(), case.signatures()),
            got,
            problems: problems.len(),
        }
    }

    /// How daemon and worker ended on SIGTERM.
    pub(crate) fn of_end(daemon: Option<ExitStatus>, worker: Option<ExitStatus>) -> Self {
        let well = |status: Option<ExitStatus>| status.is_some_and(|status| status.success());
        let good = well(daemon) && well(worker);
        let word =
            |status: Option<ExitStatus>| status.map_or("had to be killed".to_owned(), |status| status.to_string());
        let got = if good { "both with 0".to_owned() } else { format!("{}, {}", word(daemon), word(worker)) };
        Self::new("Daemon and worker stop in order", "both with 0", &got, good)
    }

    pub(crate) fn is_good(&self) -> bool {
        self.problems == 0
    }
}

pub(crate) fn print(lines: &[Line]) {
    let width = |column: fn(&Line) -> &String| lines.iter().map(|line| column(line).len()).max().unwrap_or(0);
    let (what, expected, got) = (width(|line| &line.what), width(|line| &line.expected), width(|line| &line.got));
    println!("{}", paint::title(&format!("{:<what$}  {:<expected$}  {:<got$}", "check", "expected", "got")));
    for line in lines {
        let mark = if line.is_good() { paint::good("ok") } else { paint::bad("WRONG") };
        println!("{:<what$}  {:<expected$}  {:<got$}  {mark}", line.what, line.expected, line.got);
    }
    let wrong = lines.iter().filter(|line| !line.is_good()).count();
    if wrong == 0 {
        println!("\n{}", paint::good(&format!("all {} lines are as they should be", lines.len())));
    } else {
        println!("\n{}", paint::bad(&format!("{wrong} of {} lines are wrong", lines.len())));
    }
}
