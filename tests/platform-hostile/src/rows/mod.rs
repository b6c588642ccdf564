//! The table: what a platform does, which check must stop it, and which reason the caller sees. The name says what it does; the
//! simulator knows how.

mod answers;
mod forms;
mod messages;
mod wires;

#[cfg(test)]
mod tests;

#[cfg(test)]
use std::collections::BTreeSet;

use yanqian_harness::Form;
use yanqian_platform::StepName;
use yanqian_vocabulary::Reason;

pub(crate) use self::forms::befalls_applications;
use self::forms::expected_of;

/// Where an answer is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Check {
    /// Before anything is sent: the trust store cannot be used.
    Store,
    /// Before there is an answer: no connection, none that came whole, none in time.
    Transport,
    /// A step of the answer's proof.
    Step(StepName),
    /// After the proof: what the token opened.
    Unseal,
}

impl Check {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Store => "store",
            Self::Transport => "transport",
            Self::Step(step) => step.as_str(),
            Self::Unseal => "unseal",
        }
    }
}

/// Misbehaviours that one check stops for one reason.
pub(crate) struct Group {
    check: Check,
    reason: Reason,
    names: &'static [&'static str],
}

const fn step(step: StepName, reason: Reason, names: &'static [&'static str]) -> Group {
    Group { check: Check::Step(step), reason, names }
}

const fn transport(reason: Reason, names: &'static [&'static str]) -> Group {
    Group { check: Check::Transport, reason, names }
}

/// What the check is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Subject {
    /// A document's printed fields, which match.
    Fields,
    /// The same with the holder's picture.
    Person,
    /// A chip.
    Chip,
    /// A chip whose files were changed, which is no match.
    ChangedChip,
}

impl Subject {
    pub(crate) const ALL: [Self; 4] = [Self::Fields, Self::Person, Self::Chip, Self::ChangedChip];

    /// What an honest platform says.
    pub(crate) fn verdict(self) -> &'static str {
        if self == Self::ChangedChip { "mismatch" } else { "match" }
    }
}

/// One misbehaviour, in one form of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    /// None of an oddity that must be taken.
    pub(crate) stopped: Option<(Check, Reason)>,
    pub(crate) subject: Subject,
    /// Takes as long as a limit of the profile allows.
    pub(crate) patient: bool,
}

impl Row {
    /// Whether it strikes before there is a request to answer.
    pub(crate) fn is_about_connections(&self) -> bool {
        self.name.starts_with("tls/") || self.name.starts_with("close/in-the-request")
    }

    /// Whether more octets come than an answer has, which a request begun on the same connection at that moment meets, too.
    pub(crate) fn spoils_the_connection(&self) -> bool {
        ["twice/the-previous-answer-first", "honest/another-answer-behind-it"].contains(&self.name)
    }
}

fn groups() -> impl Iterator<Item = &'static Group> {
    answers::ALL.iter().chain(messages::ALL).chain(wires::ALL)
}

/// All rows of the reference form.
fn reference() -> impl Iterator<Item = Row> {
    let refused =
        groups().flat_map(|group| group.names.iter().map(|name| row(name, Some((group.check, group.reason)))));
    refused.chain(answers::TAKEN.iter().map(|name| row(name, None)))
}

fn row(name: &'static str, stopped: Option<(Check, Reason)>) -> Row {
    let subject = match name {
        "missing-portrait" => Subject::Person,
        "reading-unasked" => Subject::ChangedChip,
        name if name.starts_with("reading") => Subject::Chip,
        _ => Subject::Fields,
    };
    Row { name, stopped, subject, patient: wires::PATIENT.contains(&name) }
}

/// The rows that a form can have, as they end there.
pub(crate) fn of(form: Form) -> Vec<Row> {
    reference().filter_map(|row| expected_of(form, row)).collect()
}

/// Names of all rows.
#[cfg(test)]
fn names() -> BTreeSet<&'static str> {
    reference().map(|row| row.name).collect()
}
