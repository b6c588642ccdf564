//! What came of it.

use std::collections::{BTreeMap, BTreeSet};

use yanqian_harness::{Form, HarnessError};

use crate::Transport;
use crate::drill::Trial;

/// How a row of a form ended, in all its trials.
struct Ended {
    refused: bool,
    as_it_must: bool,
    over: BTreeSet<Transport>,
}

pub(crate) struct Table {
    rows: BTreeMap<(&'static str, &'static str), Ended>,
    transports: usize,
    trials: usize,
    wrong: Vec<String>,
}

impl Table {
    pub(crate) fn new(transports: usize) -> Self {
        Self { rows: BTreeMap::new(), transports, trials: 0, wrong: Vec::new() }
    }

    pub(crate) fn add(&mut self, transport: Transport, form: Form, trials: Result<Vec<Trial>, HarnessError>) {
        let trials = trials.unwrap_or_else(|error| {
            self.wrong(transport, form, &error.to_string());
            Vec::new()
        });
        for Trial { row, how, problem } in trials {
            self.trials += 1;
            let ended = self.rows.entry((form.name(), row.name)).or_insert_with(|| Ended {
                refused: row.stopped.is_some(),
                as_it_must: true,
                over: BTreeSet::new(),
            });
            ended.as_it_must &= problem.is_none();
            ended.over.insert(transport);
            if let Some(problem) = problem {
                let must = row.stopped.map_or("taken".to_owned(), |(check, reason)| {
                    format!("stopped by {} with {}", check.name(), reason.code())
                });
                self.wrong(transport, form, &format!("{}, {how}: must be {must}; {problem}", row.name));
            }
        }
    }

    pub(crate) fn wrong(&mut self, transport: Transport, form: Form, problem: &str) {
        self.wrong.push(format!("{transport} {form}: {problem}"));
    }

    /// Prints what is wrong and the sums; whether everything is as it must be.
    #[allow(clippy::print_stdout)]
    pub(crate) fn print(&self) -> bool {
        for problem in &self.wrong {
            println!("NOT AS IT MUST BE: {problem}");
        }
        // A row that one transport was spared has not been tried.
        let everywhere = |ended: &&Ended| ended.as_it_must && ended.over.len() == self.transports;
        for ((form, name), ended) in &self.rows {
            if ended.over.len() != self.transports {
                println!("NOT AS IT MUST BE: {form} {name}: tried only over {:?}", ended.over);
            }
        }
        let of = |refused: bool| self.rows.values().filter(move |ended| ended.refused == refused);
        let (oddities, taken) = (of(false).count(), of(false).filter(everywhere).count());
        println!("trials {} oddities {oddities} taken {taken}", self.trials);
        let (rows, refused) = (of(true).count(), of(true).filter(everywhere).count());
        println!("rows {rows} refused-for-own-reason {refused} transports {}", self.transports);
        self.wrong.is_empty() && rows == refused && oddities == taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::{Row, Subject};

    fn trial(problem: Option<&str>) -> Trial {
        let row = Row { name: "honest/row", stopped: None, subject: Subject::Fields, patient: false };
        Trial { row, how: "alone", problem: problem.map(str::to_owned) }
    }

    #[test]
    fn a_row_that_failed_once_or_was_spared_a_transport_is_not_as_it_must_be() {
        let table = |trials: &[(Transport, Option<&str>)]| {
            let mut table = Table::new(2);
            for (transport, problem) in trials {
                table.add(*transport, Form::Reference, Ok(vec![trial(*problem)]));
            }
            table.print()
        };
        let (tls, national) = (Transport::Tls, Transport::Rfc8998);
        assert!(table(&[(tls, None), (national, None)]));
        assert!(!table(&[(tls, None)]));
        assert!(!table(&[(tls, None), (tls, None)]));
        assert!(!table(&[(tls, None), (national, None), (tls, Some("no"))]));
    }
}
