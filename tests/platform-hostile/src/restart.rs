//! What was accepted before the daemon ended is not accepted after it started again.

use yanqian_harness::HarnessError;
use yanqian_platform::StepName;
use yanqian_vocabulary::Reason;

use crate::drill::{Drill, Trial};
use crate::rows::{Check, Row, Subject};

const ROWS: [(&str, &str, StepName, Reason); 2] = [
    ("restart/replay", "replay", StepName::Nonce, Reason::PlatformNonce),
    ("restart/serial-of-an-earlier-answer", "serial/of-an-earlier-answer", StepName::Replay, Reason::PlatformReplay),
];

/// Names of these rows.
#[cfg(test)]
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    ROWS.iter().map(|(name, ..)| *name)
}

pub(crate) async fn run(drill: &mut Drill) -> Result<Vec<Trial>, HarnessError> {
    drill.honest().await?;
    drill.stop()?;
    drill.restart_with(&[]).await?;
    let mut trials = Vec::new();
    for (name, order, step, reason) in ROWS {
        drill.site.sim().enqueue(&[Some(order)]).await?;
        let row = Row { name, stopped: Some((Check::Step(step), reason)), subject: Subject::Fields, patient: false };
        let reply = drill.ask(Subject::Fields).await?;
        trials.push(Trial { row, how: "alone", problem: drill.judge_alone(row, &reply)? });
    }
    drill.honest().await?;
    Ok(trials)
}
