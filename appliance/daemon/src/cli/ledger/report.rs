use std::path::PathBuf;

use clap::Args;
use serde_json::{Map, Value, json};
use yanqian_ledger::search::{Column, Counts, Report};

use super::super::output::{note, say};
use super::view::Period;

pub(super) const HELP: &str = "\
Read from the ledger itself, which is proven meanwhile. Columns: caller, purpose, mode, day (Asia/Shanghai), document-type, rule, verdict, reason.
`allowed` counts checks with an intent; refusals and unknown ends are counted too. What was turned away before any decision has no caller or
purpose and is told apart (text and JSON).

Examples:
  yanqian ledger report --by caller,purpose,mode,day --from 2027-01-01 --until 2027-02-01 /var/lib/yanqian/ledger
  yanqian ledger report --by document-type,verdict --csv /var/lib/yanqian/ledger > use.csv";

#[derive(Args, Debug)]
pub(in crate::cli) struct Arguments {
    /// Columns, in their order
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',', default_value = "caller,purpose,mode,day")]
    by: Vec<Column>,
    #[command(flatten)]
    period: Period,
    /// One JSON document: {"v":1,"from","until","rows":[…],"total",{…},"turned-away":[…]}
    #[arg(long, conflicts_with = "csv")]
    json: bool,
    /// Comma-separated values with a head line
    #[arg(long)]
    csv: bool,
    /// The ledger's directory
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), String> {
    let Period { from, until } = arguments.period;
    let report = Report::make(&arguments.directory, &arguments.by, from, until)
        .map_err(|error| format!("{}: {error}", arguments.directory.display()))?;
    if arguments.json {
        let times = [from, until].map(|time| time.map(|time| time.to_string()));
        say(report_json(&report, &times));
    } else if arguments.csv {
        for line in table(&report) {
            say(line.join(","));
        }
    } else {
        tell(&report);
    }
    Ok(())
}

fn counts_json(counts: &Counts) -> Map<String, Value> {
    counts.named().into_iter().map(|(name, count)| (name.to_owned(), count.into())).collect()
}

fn report_json(report: &Report, [from, until]: &[Option<String>; 2]) -> Value {
    let row = |row: &yanqian_ledger::search::Row| {
        let words = report.columns.iter().zip(&row.words);
        let mut object: Map<String, Value> = words
            .map(|(column, word)| {
                let word = if word.is_empty() { Value::Null } else { word.as_str().into() };
                (column.as_str().to_owned(), word)
            })
            .collect();
        object.insert("counts".to_owned(), counts_json(&row.counts).into());
        Value::Object(object)
    };
    let away = report.turned_away.iter();
    let away = away.map(|away| json!({ "day": away.day, "kind": away.kind, "cause": away.cause, "count": away.count }));
    json!({
        "v": 1,
        "from": from,
        "until": until,
        "rows": report.rows.iter().map(row).collect::<Vec<_>>(),
        "total": counts_json(&report.total),
        "turned-away": away.collect::<Vec<_>>(),
    })
}

/// Head and rows. No word of a record needs quotes: names, words and dates have no comma.
fn table(report: &Report) -> Vec<Vec<String>> {
    let names = report.columns.iter().map(|column| column.as_str());
    let head = names.chain(report.total.named().map(|(name, _)| name)).map(str::to_owned).collect();
    let rows = report
        .rows
        .iter()
        .map(|row| row.words.iter().cloned().chain(row.counts.named().map(|(_, count)| count.to_string())).collect());
    std::iter::once(head).chain(rows).collect()
}

fn tell(report: &Report) {
    let mut table = table(report);
    let mut total = vec![String::new(); report.columns.len()];
    if let Some(first) = total.first_mut() {
        "total".clone_into(first);
    }
    table.push(total.into_iter().chain(report.total.named().map(|(_, count)| count.to_string())).collect());
    let widths: Vec<usize> =
        (0..table[0].len()).map(|at| table.iter().map(|line| line[at].len()).max().unwrap_or_default()).collect();
    for line in &table {
        let cells = line.iter().zip(&widths).enumerate().map(|(at, (cell, width))| {
            let cell = if cell.is_empty() { "-" } else { cell };
            if at < report.columns.len() { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        });
        say(cells.collect::<Vec<_>>().join("  "));
    }
    for away in &report.turned_away {
        note(format_args!("{}  {} before any decision: {} {}", away.day, away.kind, away.cause, away.count));
    }
}
