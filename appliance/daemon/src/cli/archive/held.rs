use clap::{ArgGroup, Args};
use serde_json::{Value, json};
use yanqian_retention::{Range, holds};
use yanqian_vocabulary::VerificationId;

use super::{ConfigOf, archive, socket, waiting};
use crate::cli::output::{note, say};
use crate::control::{Order, order};

#[derive(Args, Debug)]
#[command(group(ArgGroup::new("what").required(true).args(["from", "first", "verification"])))]
pub(in crate::cli) struct Place {
    #[command(flatten)]
    of: ConfigOf,
    /// Why; one line of at most 500 characters, without personal data
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Records from this time on (RFC 3339) …
    #[arg(long, value_name = "TIME", requires = "until")]
    from: Option<String>,
    /// … and before this one
    #[arg(long, value_name = "TIME", requires = "from")]
    until: Option<String>,
    /// Records from this sequence on …
    #[arg(long, value_name = "SEQUENCE", requires = "last")]
    first: Option<u64>,
    /// … to this one
    #[arg(long, value_name = "SEQUENCE", requires = "first")]
    last: Option<u64>,
    /// The records of one check
    #[arg(long, value_name = "ID")]
    verification: Option<VerificationId>,
}

#[derive(Args, Debug)]
pub(in crate::cli) struct End {
    /// The hold's number
    #[arg(value_name = "HOLD")]
    hold: u64,
    #[command(flatten)]
    of: ConfigOf,
    /// Why; one line of at most 500 characters, without personal data
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

#[derive(Args, Debug)]
pub(in crate::cli) struct Holds {
    #[command(flatten)]
    of: ConfigOf,
    /// One JSON document: {"v":1,"holds":[{"hold","placed","operator","reason","range","released"}]}
    #[arg(long)]
    json: bool,
}

pub(super) fn place(arguments: &Place) -> Result<(), String> {
    let range = match (&arguments.from, &arguments.until, arguments.first, arguments.last, arguments.verification) {
        (Some(from), Some(until), None, None, None) => Range::Time { from: from.clone(), until: until.clone() },
        (None, None, Some(first), Some(last), None) => Range::Sequences { first, last },
        (None, None, None, None, Some(id)) => Range::Verification { id: id.to_string() },
        _ => return Err("give one of --from with --until, --first with --last, --verification".to_owned()),
    };
    range.check().map_err(|error| error.to_string())?;
    let asked = Order::Hold { range, reason: arguments.reason.clone() };
    let done = order(&socket(&arguments.of.config)?, &asked).map_err(|error| error.to_string())?;
    say(format_args!("hold {} is in force; record {}", done.hold.unwrap_or_default(), done.sequence));
    Ok(())
}

pub(super) fn end(arguments: &End) -> Result<(), String> {
    let asked = Order::Release { hold: arguments.hold, reason: arguments.reason.clone() };
    let done = order(&socket(&arguments.of.config)?, &asked).map_err(|error| error.to_string())?;
    say(format_args!("hold {} is released; record {}", arguments.hold, done.sequence));
    Ok(())
}

fn told(range: &Range) -> String {
    match range {
        Range::Time { from, until } => format!("from {from} until {until}"),
        Range::Sequences { first, last } => format!("records {first} to {last}"),
        Range::Verification { id } => format!("check {id}"),
    }
}

pub(super) fn list(arguments: &Holds) -> Result<(), String> {
    let (_, archive) = archive(&arguments.of.config)?;
    let holds = waiting(holds(&archive))?;
    if arguments.json {
        let holds: Vec<Value> = holds
            .values()
            .map(|(hold, release)| {
                json!({
                    "hold": hold.hold, "placed": hold.placed, "operator": hold.operator, "reason": hold.reason,
                    "range": hold.range,
                    "released": release.as_ref().map(|end| json!({ "at": end.released, "operator": end.operator, "reason": end.reason })),
                })
            })
            .collect();
        say(json!({ "v": 1, "holds": holds }));
        return Ok(());
    }
    for (hold, release) in holds.values() {
        let end = release.as_ref().map_or_else(|| "in force".to_owned(), |end| format!("released {}", end.released));
        say(format_args!(
            "{:>4}  {}  uid {}  {}  {end}  {}",
            hold.hold,
            hold.placed,
            hold.operator,
            told(&hold.range),
            hold.reason
        ));
    }
    if holds.is_empty() {
        note("no hold was ever placed");
    }
    Ok(())
}
