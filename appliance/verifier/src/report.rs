use std::fmt;
use std::io;

use serde_json::{Value, json};
use yanqian_vocabulary::{Timestamp, VerificationId};

/// What a step came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finding {
    Proven,
    Failed,
    /// This receipt has nothing for the step to prove, and says why.
    NotApplicable,
}

impl Finding {
    /// Stable word for reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Proven => "proven",
            Self::Failed => "failed",
            Self::NotApplicable => "not-applicable",
        }
    }

    const fn sign(self) -> char {
        match self {
            Self::Proven => '✔',
            Self::Failed => '✘',
            Self::NotApplicable => '–',
        }
    }
}

/// One step of the proof, with one plain sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// Stable name.
    pub step: &'static str,
    /// The request that it is about, where a check took more than one: `apply`, or `final`.
    pub part: Option<String>,
    pub finding: Finding,
    pub says: String,
}

/// What a step found: a sentence for what holds, or for what does not.
pub(crate) type Held = Result<String, String>;

/// All steps in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    pub verification: Option<VerificationId>,
    /// The time as of which certificates and lists were judged.
    pub at: Option<Timestamp>,
    pub checks: Vec<Check>,
    /// The object that the platform signed, where its signature holds: what it said in its own words.
    pub platform_said: Option<String>,
}

impl Report {
    pub(crate) const fn new() -> Self {
        Self { verification: None, at: None, checks: Vec::new(), platform_said: None }
    }

    /// Whether every step holds. A step without anything to prove is no obstacle.
    pub fn holds(&self) -> bool {
        !self.checks.is_empty() && self.checks.iter().all(|check| check.finding != Finding::Failed)
    }

    /// Notes a step; `true` when it holds.
    pub(crate) fn note(&mut self, step: &'static str, part: Option<&str>, held: Held) -> bool {
        let (finding, says) = match held {
            Ok(says) => (Finding::Proven, says),
            Err(says) => (Finding::Failed, says),
        };
        self.checks.push(Check { step, part: part.map(str::to_owned), finding, says });
        finding == Finding::Proven
    }

    pub(crate) fn skip(&mut self, step: &'static str, part: Option<&str>, says: impl Into<String>) {
        let part = part.map(str::to_owned);
        self.checks.push(Check { step, part, finding: Finding::NotApplicable, says: says.into() });
    }

    /// As lines for people.
    pub fn write_text(&self, out: &mut dyn io::Write) -> io::Result<()> {
        let wide = self.checks.iter().map(|check| check.label().chars().count()).max().unwrap_or(0);
        for check in &self.checks {
            writeln!(out, "{} {:wide$}  {}", check.finding.sign(), check.label(), Printable(&check.says))?;
        }
        if let Some(said) = &self.platform_said {
            writeln!(out, "  {:wide$}  {}", "platform said", Printable(said))?;
        }
        let verdict = if self.holds() { "proven" } else { "NOT PROVEN" };
        match (self.verification, self.at) {
            (Some(id), Some(at)) => writeln!(out, "{verdict}: verification {id}, as of {at}"),
            _ => writeln!(out, "{verdict}"),
        }
    }

    /// As one JSON object.
    pub fn to_json(&self) -> Value {
        let checks: Vec<Value> = self
            .checks
            .iter()
            .map(|check| {
                json!({ "step": check.step, "part": check.part, "finding": check.finding.as_str(), "says": check.says })
            })
            .collect();
        json!({
            "verification": self.verification.map(|id| id.to_string()),
            "at": self.at.map(|at| at.to_string()),
            "proven": self.holds(),
            "checks": checks,
            "platform_said": self.platform_said,
        })
    }
}

impl Check {
    fn label(&self) -> String {
        match &self.part {
            Some(part) => format!("{} ({part})", self.step),
            None => self.step.to_owned(),
        }
    }
}

/// Text that may hold a peer's own, such as a certificate's subject, for a terminal: letters as they are, everything that could move a cursor escaped.
struct Printable<'a>(&'a str);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| {
            let plain = c == ' ' || c.is_ascii_graphic() || c.is_alphanumeric();
            if plain { write!(f, "{c}") } else { write!(f, "{}", c.escape_unicode()) }
        })
    }
}
