//! What it cost.

use std::time::Duration;

use crate::drill::{Row, Scale};
use crate::throughput::Throughput;

/// Prints the table and what is wrong; whether everything that must hold holds.
pub(crate) fn print(rows: &[Row], scale: Scale, carried: u32, throughput: Throughput) -> bool {
    println!("\nHSM drill, {}: {carried} checks a second ({} asked for)", scale.name, scale.rate);
    println!(
        "{:<38} {:>6} {:>6} {:>7} {:>6} {:>5} {:>10} {:>8} {:>7} {:>10}",
        "scenario", "checks", "good", "refused", "shed", "wrong", "unanswered", "restarts", "inits", "recovery s"
    );
    for row in rows {
        let shed = row.refused.get("overloaded").copied().unwrap_or_default();
        let refused = row.refused.values().sum::<usize>() - shed;
        println!(
            "{:<38} {:>6} {:>6} {:>7} {:>6} {:>5} {:>10} {:>8} {:>7} {:>10}",
            row.name,
            row.checks,
            row.good,
            refused,
            shed,
            row.wrong,
            row.unanswered,
            row.daemon_restarts,
            row.initialised,
            row.recovery.map_or("-".to_owned(), seconds)
        );
    }
    println!(
        "signatures a second, a millisecond more a call: {:.0} through the worker, {:.0} by the module alone, ratio {:.2}",
        throughput.worker,
        throughput.bare,
        throughput.ratio()
    );
    let told: Vec<_> = rows.iter().flat_map(|row| row.problems.iter().map(move |what| (row.name, what))).collect();
    for (name, what) in &told {
        println!("NOT AS IT MUST BE: {name}: {what}");
    }
    let sum = |count: fn(&Row) -> usize| rows.iter().map(count).sum::<usize>();
    let worst = rows.iter().filter_map(|row| row.recovery).max().unwrap_or_default();
    // The last row is no scenario.
    println!(
        "scenarios {} wrong {} unanswered {} daemon-restarts {} worst-recovery-s {}",
        rows.len().saturating_sub(1),
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
