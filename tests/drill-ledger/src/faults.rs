//! Every call of a start, an append, a seal, an end, and of the archive, failed or cut off by SIGKILL, one after the other.

use std::path::Path;
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::judge::{Acknowledged, Tally, ledger_of};
use crate::seam::{Fault, Order};
use crate::trace::{self, Ran, Site, Through};

/// What is done while calls fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Scene {
    name: &'static str,
    task: &'static str,
    /// Trace only from the moment when the ledger is open.
    once_open: bool,
    /// Begin with a ledger of a former run: an open check, and octets after its last record.
    torn: bool,
    /// Calls that its run must at least make, or it does not do what it is here for.
    least: usize,
}

const SCENES: [Scene; 4] = [
    Scene { name: "archive", task: "archive", once_open: false, torn: false, least: 20 },
    Scene { name: "first start", task: "open", once_open: false, torn: false, least: 25 },
    Scene { name: "start after a crash", task: "open", once_open: false, torn: true, least: 40 },
    Scene { name: "append and seal", task: "append", once_open: true, torn: false, least: 60 },
];

/// A call and what befalls it.
#[derive(Debug, Clone)]
enum Blow {
    Call(Site, Fault),
    Operation(Order),
}

impl std::fmt::Display for Blow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Call(Site { call, index }, fault) => write!(f, "{} at {call} {index}", fault.word()),
            Self::Operation(Order { at, fault }) => write!(f, "{} at operation {at}", fault.word()),
        }
    }
}

/// Runs all of it in new directories under `within`.
pub(crate) async fn run(within: &Path, traced: bool, say: fn(&str)) -> Result<Tally, String> {
    let mut total = Tally::default();
    for scene in SCENES {
        // The archive has no seam to the disk.
        if scene.task == "archive" && !traced {
            continue;
        }
        let blows = if traced { calls(within, scene, say).await? } else { operations(within, scene, say).await? };
        let tally = strike_all(within, scene, blows).await;
        say(&format!("  {:<20} {}", scene.name, tally.line()));
        total.add(tally);
    }
    Ok(total)
}

/// The scene without a fault, to see its calls.
async fn calls(within: &Path, scene: Scene, say: fn(&str)) -> Result<Vec<Blow>, String> {
    let root = prepare(within, scene).await?;
    let log = root.path().join("calls.log");
    run_once(root.path(), scene, Some((&log, None))).await?;
    let log = std::fs::read_to_string(&log).map_err(|error| error.to_string())?;
    let sites = trace::sites(&log);
    say(&format!("  {:<20} {} calls to strike, {} ways each", scene.name, sites.len(), Fault::ALL.len()));
    if sites.len() < scene.least {
        return Err(format!(
            "{}: only {} calls were seen; at least {} belong to it",
            scene.name,
            sites.len(),
            scene.least
        ));
    }
    let blows = sites.into_iter().flat_map(|site| Fault::ALL.map(|fault| Blow::Call(site.clone(), fault)));
    Ok(blows.collect())
}

/// Operations of the seam, up to the first that the scene does not reach.
async fn operations(within: &Path, scene: Scene, say: fn(&str)) -> Result<Vec<Blow>, String> {
    let mut count = 0;
    loop {
        let root = prepare(within, scene).await?;
        let order = Order { at: count + 1, fault: Fault::Kill };
        let ran = trace::run(root.path(), scene.task, Through::Seam(order)).await?;
        if ran.status.success() {
            break;
        }
        count += 1;
    }
    say(&format!("  {:<20} {count} operations to strike, {} ways each", scene.name, Fault::ALL.len()));
    let least = u64::try_from(scene.least / 2).unwrap_or(u64::MAX);
    if count < least {
        return Err(format!("{}: only {count} operations were seen; at least {least} belong to it", scene.name));
    }
    Ok((1..=count).flat_map(|at| Fault::ALL.map(|fault| Blow::Operation(Order { at, fault }))).collect())
}

async fn prepare(within: &Path, scene: Scene) -> Result<tempfile::TempDir, String> {
    let failed = |error: std::io::Error| format!("preparing a run: {error}");
    let root = tempfile::tempdir_in(within).map_err(failed)?;
    if scene.torn {
        trace::run(root.path(), "append", Through::Plain).await?;
        let newest = std::fs::read_dir(ledger_of(root.path())).map_err(failed)?.flatten();
        let newest = newest.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|end| end == "seg"));
        let newest = newest.max().ok_or("preparing a run: no segment")?;
        let mut file = std::fs::OpenOptions::new().append(true).open(newest).map_err(failed)?;
        std::io::Write::write_all(&mut file, &[0, 0, 2, 0, 7, 7, 7]).map_err(failed)?;
    }
    Ok(root)
}

async fn run_once(root: &Path, scene: Scene, traced: Option<(&Path, Option<(&Site, Fault)>)>) -> Result<Ran, String> {
    let through = match traced {
        None => Through::Plain,
        Some((log, inject)) if scene.once_open => Through::TracedOnceOpen { log, inject },
        Some((log, inject)) => Through::Traced { log, inject },
    };
    trace::run(root, scene.task, through).await
}

async fn strike_all(within: &Path, scene: Scene, blows: Vec<Blow>) -> Tally {
    let at_once = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    let (slots, mut runs, mut total) = (Arc::new(Semaphore::new(at_once)), JoinSet::new(), Tally::default());
    for blow in blows {
        let (slots, within) = (Arc::clone(&slots), within.to_owned());
        runs.spawn(async move {
            let _slot = slots.acquire().await;
            let what = format!("{}, {blow}", scene.name);
            strike(&within, scene, &blow, &what).await.unwrap_or_else(|problem| Tally {
                rounds: 1,
                problems: vec![format!("{what}: {problem}")],
                ..Tally::default()
            })
        });
    }
    while let Some(run) = runs.join_next().await {
        match run {
            Ok(tally) => total.add(tally),
            Err(error) => total.problems.push(error.to_string()),
        }
    }
    total
}

/// One blow, then what must hold at once, then a start without any, then what must hold again.
async fn strike(within: &Path, scene: Scene, blow: &Blow, what: &str) -> Result<Tally, String> {
    let root = prepare(within, scene).await?;
    let root = root.path();
    let mut acknowledged = Acknowledged::default();
    let log = root.join("blow.log");
    let (ran, fault) = match blow {
        Blow::Call(site, fault) => (run_once(root, scene, Some((&log, Some((site, *fault))))).await?, *fault),
        Blow::Operation(order) => (trace::run(root, scene.task, Through::Seam(*order)).await?, order.fault),
    };
    let mut tally = Tally { rounds: 1, ..Tally::default() };
    let landed = match blow {
        _ if fault == Fault::Kill => !ran.status.success(),
        Blow::Call(..) => std::fs::read_to_string(&log).is_ok_and(|log| log.contains("(INJECTED)")),
        Blow::Operation(_) => true,
    };
    if !landed {
        tally.problems.push(format!("{what}: the fault did not happen ({})", ran.status));
    }
    acknowledged.read(&ran.said);
    tally.add(acknowledged.judge(root, false, what));
    let again = if scene.task == "archive" { "archive" } else { "open" };
    let restarted = trace::run(root, again, Through::Plain).await?;
    if !restarted.status.success() {
        tally.unverifiable += 1;
        tally.problems.push(format!("{what}: no start after it: {}", restarted.said.trim()));
    }
    acknowledged.read(&restarted.said);
    tally.add(acknowledged.judge(root, scene.task != "archive", &format!("{what}, after a restart")));
    tally.acknowledged += acknowledged.count();
    Ok(tally)
}
