//! What came of it.

use std::collections::BTreeMap;

use yanqian_harness::{Form, HarnessError};

use crate::drill::Trial;

#[derive(Default)]
pub(crate) struct Table {
    /// By form and name: whether it must be refused, and whether all its trials ended as they must.
    rows: BTreeMap<(String, &'static str), (bool, bool)>,
    trials: usize,
    wrong: Vec<String>,
}

impl Table {
    pub(crate) fn add(&mut self, form: Form, trials: Result<Vec<Trial>, HarnessError>) {
        let trials = trials.unwrap_or_else(|error| {
            self.wrong.push(format!("{form}: {error}"));
            Vec::new()
        });
        for Trial { row, how, problem } in trials {
            self.trials += 1;
            let good = &mut self.rows.entry((form.to_string(), row.name)).or_insert((row.stopped.is_some(), true)).1;
            *good &= problem.is_none();
            if let Some(problem) = problem {
                let must = row.stopped.map_or("taken".to_owned(), |(check, reason)| {
                    format!("stopped by {} with {}", check.name(), reason.code())
                });
                self.wrong.push(format!("{form} {}, {how}: must be {must}; {problem}", row.name));
            }
        }
    }

    pub(crate) fn wrong(&mut self, problem: String) {
        self.wrong.push(problem);
    }

    /// One line when a form is through.
    #[allow(clippy::print_stdout)]
    pub(crate) fn told(&self, form: Form, transport: &str, requests: u64) {
        let of_form = self.rows.keys().filter(|(known, _)| *known == form.to_string()).count();
        println!("{transport:<10} {form:<16} {of_form:>5} rows {requests:>6} requests");
    }

    /// Prints what is wrong and the sums; whether everything is as it must be.
    #[allow(clippy::print_stdout)]
    pub(crate) fn print(&self, transports: usize) -> bool {
        for problem in &self.wrong {
            println!("NOT AS IT MUST BE: {problem}");
        }
        let count = |refused, good: &dyn Fn(bool) -> bool| {
            self.rows.values().filter(|(must, all)| *must == refused && good(*all)).count()
        };
        let (oddities, taken) = (count(false, &|_| true), count(false, &|all| all));
        println!("trials {} oddities {oddities} taken {taken}", self.trials);
        let (rows, refused) = (count(true, &|_| true), count(true, &|all| all));
        println!("rows {rows} refused-for-own-reason {refused} transports {transports}");
        self.wrong.is_empty() && rows == refused && oddities == taken
    }
}
