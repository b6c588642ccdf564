//! What it cost.

use std::time::Duration;

use crate::drill::{Row, Scale};
use crate::throughput::Throughput;

/// Prints the table and what is wrong; whether everything that must hold holds.
///
/// `afterwards` are no scenarios: what was found once a site had stopped.
pub(crate) fn print(
    rows: &[Row],
    afterwards: &[Row],
    scale: Scale,
    carried: u32,
    throughput: Option<Throughput>,
) -> bool {
    let all = || rows.iter().chain(afterwards);
    println!("\nHSM drill, {}: {carried} checks a second ({} asked for)", scale.name, scale.rate);
    println!(
        "{:<50} {:>6} {:>6} {:>7} {:>6} {:>5} {:>10} {:>8} {:>7} {:>10} {:>6}",
        "scenario",
        "checks",
        "good",
        "refused",
        "shed",
        "wrong",
        "unanswered",
        "restarts",
        "inits",
        "recovery s",
        "back s"
    );
    for row in all() {
        let shed = row.refused.get("overloaded").copied().unwrap_or_default();
        let refused = row.refused.values().sum::<usize>() - shed;
        println!(
            "{:<50} {:>6} {:>6} {:>7} {:>6} {:>5} {:>10} {:>8} {:>7} {:>10} {:>6}",
            row.name,
            row.checks,
            row.good,
            refused,
            shed,
            row.wrong,
            row.unanswered,
            row.daemon_restarts,
            row.initialised,
            row.recovery.map_or("-".to_owned(), seconds),
            row.back.map_or("-".to_owned(), seconds)
        );
    }
    if let Some(throughput) = throughput {
        println!(
            "signatures a second, a millisecond more a call: {:.0} through the worker, {:.0} by the module alone, ratio {:.2}",
            throughput.worker,
            throughput.bare,
            throughput.ratio()
        );
    }
    let told: Vec<_> = all().flat_map(|row| row.problems.iter().map(move |what| (&row.name, what))).collect();
    for (name, what) in &told {
        println!("NOT AS IT MUST BE: {name}: {what}");
    }
    let sum = |count: fn(&Row) -> usize| all().map(count).sum::<usize>();
    let worst = all().filter_map(|row| row.recovery).max().unwrap_or_default();
    println!(
        "scenarios {} wrong {} unanswered {} daemon-restarts {} worst-recovery-s {}",
        rows.len(),
        sum(|row| row.wrong),
        sum(|row| row.unanswered),
        sum(|row| row.daemon_restarts),
        seconds(worst)
    );
    told.is_empty()
}

fn seconds(time: Duration) -> String {
    format!("{:.2}", time.as_secs_f64())
}
