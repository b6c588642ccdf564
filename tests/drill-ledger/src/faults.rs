//! Every call of a start, an append, a seal, an end, of the archive, and of tiles and checkpoints, failed or cut off by SIGKILL, one after the other.

use std::path::Path;
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::judge::{Acknowledged, Tally, ledger_of};
use crate::seam::{Fault, Order};
use crate::template::Template;
use crate::trace::{self, Ran, Site, Through};

/// In what a scene begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Begin {
    Nothing,
    /// A ledger of a former run: an open check, and octets after its last record.
    Torn,
    /// A ledger with a tree that lacks few records of a full tile, and one checkpoint.
    Tree,
    /// The same without its tiles.
    NoTiles,
}

/// What is done while calls fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Scene {
    name: &'static str,
    task: &'static str,
    /// Trace only from the moment when the ledger is open.
    once_open: bool,
    begin: Begin,
    /// Calls that its run must at least make, or it does not do what it is here for.
    least: usize,
}

const SCENES: [Scene; 6] = [
    Scene { name: "archive", task: "archive", once_open: false, begin: Begin::Nothing, least: 30 },
    Scene { name: "first start", task: "open", once_open: false, begin: Begin::Nothing, least: 25 },
    Scene { name: "start after a crash", task: "open", once_open: false, begin: Begin::Torn, least: 40 },
    Scene { name: "append and seal", task: "append", once_open: true, begin: Begin::Nothing, least: 60 },
    Scene { name: "seal and checkpoint", task: "checkpoint", once_open: true, begin: Begin::Tree, least: 100 },
    Scene { name: "tiles made again", task: "tree", once_open: false, begin: Begin::NoTiles, least: 80 },
];

impl Scene {
    /// Neither archive nor tree has a seam to the disk.
    fn has_seam(self) -> bool {
        matches!(self.task, "open" | "append")
    }

    /// What a restart does.
    fn again(self) -> &'static str {
        match self.task {
            "archive" => "archive",
            "checkpoint" | "tree" => "tree",
            _ => "open",
        }
    }
}

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
        if !traced && !scene.has_seam() {
            continue;
        }
        let template = Arc::new(prepare(within, scene).await?);
        let blows = if traced {
            calls(within, scene, &template, say).await?
        } else {
            operations(within, scene, &template, say).await?
        };
        let tally = strike_all(within, scene, &template, blows).await;
        say(&format!("  {:<20} {}", scene.name, tally.line()));
        total.add(tally);
    }
    Ok(total)
}

/// The scene without a fault, to see its calls.
async fn calls(within: &Path, scene: Scene, template: &Template, say: fn(&str)) -> Result<Vec<Blow>, String> {
    let root = template.copy(within)?;
    let log = root.path().join("calls.log");
    run_traced(root.path(), scene, template, &log, None).await?;
    let log = std::fs::read_to_string(&log).map_err(|error| error.to_string())?;
    let sites = trace::sites(&log);
    say(&format!("  {:<20} {} calls to strike", scene.name, sites.len()));
    if sites.len() < scene.least {
        return Err(format!(
            "{}: only {} calls were seen; at least {} belong to it",
            scene.name,
            sites.len(),
            scene.least
        ));
    }
    let blows =
        sites.into_iter().flat_map(|site| faults_of(&site).iter().map(move |fault| Blow::Call(site.clone(), *fault)));
    Ok(blows.collect())
}

/// A call that only reads finds the disk never full, and whoever is killed at it leaves what the call before left.
fn faults_of(site: &Site) -> &'static [Fault] {
    const READS: [&str; 9] =
        ["read", "pread64", "fstat", "stat", "statx", "newfstatat", "lseek", "getdents64", "close"];
    if READS.contains(&site.call.as_str()) { &[Fault::Eio] } else { &Fault::ALL }
}

/// Operations of the seam, up to the first that the scene does not reach.
async fn operations(within: &Path, scene: Scene, template: &Template, say: fn(&str)) -> Result<Vec<Blow>, String> {
    let mut count = 0;
    loop {
        let root = template.copy(within)?;
        let order = Order { at: count + 1, fault: Fault::Kill };
        let ran = trace::run(root.path(), scene.task, &[], Through::Seam(order)).await?;
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

async fn prepare(within: &Path, scene: Scene) -> Result<Template, String> {
    let failed = |error: std::io::Error| format!("preparing a run: {error}");
    let root = tempfile::tempdir_in(within).map_err(failed)?;
    match scene.begin {
        Begin::Nothing => {}
        Begin::Torn => {
            trace::run(root.path(), "append", &[], Through::Plain).await?;
            let newest = std::fs::read_dir(ledger_of(root.path())).map_err(failed)?.flatten();
            let newest =
                newest.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|end| end == "seg"));
            let newest = newest.max().ok_or("preparing a run: no segment")?;
            let mut file = std::fs::OpenOptions::new().append(true).open(newest).map_err(failed)?;
            std::io::Write::write_all(&mut file, &[0, 0, 2, 0, 7, 7, 7]).map_err(failed)?;
        }
        Begin::Tree | Begin::NoTiles => {
            trace::run(root.path(), "begin", &[], Through::Plain).await?;
            if scene.begin == Begin::NoTiles {
                std::fs::remove_dir_all(root.path().join("tree")).map_err(failed)?;
            }
        }
    }
    Template::learn(root, within, scene.task).await
}

async fn run_traced(
    root: &Path,
    scene: Scene,
    template: &Template,
    log: &Path,
    inject: Option<(&Site, Fault)>,
) -> Result<Ran, String> {
    let through =
        if scene.once_open { Through::TracedOnceOpen { log, inject } } else { Through::Traced { log, inject } };
    trace::run(root, scene.task, &template.paths(root), through).await
}

async fn strike_all(within: &Path, scene: Scene, template: &Arc<Template>, blows: Vec<Blow>) -> Tally {
    let at_once = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    let (slots, mut runs, mut total) = (Arc::new(Semaphore::new(at_once)), JoinSet::new(), Tally::default());
    for blow in blows {
        let (slots, template, within) = (Arc::clone(&slots), Arc::clone(template), within.to_owned());
        runs.spawn(async move {
            let _slot = slots.acquire().await;
            let what = format!("{}, {blow}", scene.name);
            strike(&within, scene, &template, &blow, &what).await.unwrap_or_else(|problem| Tally {
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
async fn strike(within: &Path, scene: Scene, template: &Template, blow: &Blow, what: &str) -> Result<Tally, String> {
    let root = template.copy(within)?;
    let root = root.path();
    let mut acknowledged = Acknowledged::default();
    let log = root.join("blow.log");
    let (ran, fault) = match blow {
        Blow::Call(site, fault) => (run_traced(root, scene, template, &log, Some((site, *fault))).await?, *fault),
        Blow::Operation(order) => (trace::run(root, scene.task, &[], Through::Seam(*order)).await?, order.fault),
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
    if scene.begin == Begin::Tree {
        tally.add(acknowledged.judge_tree(root, false, what));
    }
    let again = scene.again();
    let restarted = trace::run(root, again, &[], Through::Plain).await?;
    if !restarted.status.success() {
        tally.unverifiable += 1;
        tally.problems.push(format!("{what}: no start after it: {}", restarted.said.trim()));
    }
    acknowledged.read(&restarted.said);
    let what = format!("{what}, after a restart");
    tally.add(acknowledged.judge(root, again != "archive", &what));
    if again == "tree" {
        tally.add(acknowledged.judge_tree(root, true, &what));
    }
    tally.acknowledged += acknowledged.count();
    Ok(tally)
}
