//! People who look at the site while it suffers: the command line, again and again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use yanqian_harness::{Operator, Output, Site};

use crate::drill::OTHER_KEY;

/// Between two looks; each starts a program.
const PAUSE: Duration = Duration::from_millis(700);

/// A command line, and whether it loads the module in a process of its own.
struct Look {
    operator: Operator,
    arguments: Vec<String>,
    loads_module: bool,
}

pub(crate) struct Operators {
    /// Whether looks may load the module; held while one does.
    may_load: Arc<Mutex<bool>>,
    stopped: Arc<AtomicBool>,
    seen: Arc<Mutex<Seen>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// What came of their looks.
#[derive(Debug, Default, Clone)]
pub(crate) struct Seen {
    pub(crate) looks: usize,
    /// Those that found everything in order.
    pub(crate) well: usize,
    /// A program that crashed in place of saying what is wrong.
    pub(crate) crashes: Vec<String>,
}

impl Operators {
    pub(crate) fn start(site: &Site) -> Self {
        let (daemon, worker) = (site.daemons_operator(), site.workers_operator());
        let config = site.places().daemon_config().display().to_string();
        let worker_config = site.places().worker_config().display().to_string();
        let profiles = site.options().repository.join("hsm-profiles").display().to_string();
        let look = |operator: &Operator, loads_module, arguments: &[&str]| Look {
            operator: operator.clone(),
            arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
            loads_module,
        };
        let bench =
            ["hsm", "bench", "--config", &worker_config, "--label", OTHER_KEY, "--sessions", "1", "--seconds", "1"];
        let looks = [
            look(&daemon, false, &["check", "--config", &config]),
            look(&worker, true, &["hsm", "probe", "--config", &worker_config, "--profiles", &profiles]),
            look(&worker, false, &["hsm", "status", "--config", &worker_config, "--json"]),
            look(&worker, true, &bench),
            look(&worker, false, &["hsm", "list", "--config", &worker_config]),
        ];
        let (stopped, seen) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Seen::default())));
        let may_load = Arc::new(Mutex::new(false));
        let (told, counted, may) = (Arc::clone(&stopped), Arc::clone(&seen), Arc::clone(&may_load));
        let thread = std::thread::spawn(move || {
            for look in looks.iter().cycle() {
                if told.load(Ordering::Relaxed) {
                    return;
                }
                let may = may.lock().unwrap_or_else(PoisonError::into_inner);
                if look.loads_module && !*may {
                    continue;
                }
                let held = look.loads_module.then_some(may);
                let arguments: Vec<&str> = look.arguments.iter().map(String::as_str).collect();
                let output = look.operator.run(&arguments);
                drop(held);
                let mut seen = counted.lock().unwrap_or_else(PoisonError::into_inner);
                seen.looks += 1;
                match output {
                    Ok(Output { code: Some(0), .. }) => seen.well += 1,
                    // Rust's panics end with 101.
                    Ok(Output { code: Some(code), .. }) if code != 101 => {}
                    Ok(output) => seen.crashes.push(format!("{}: {}", arguments.join(" "), output.all())),
                    Err(error) => seen.crashes.push(error.to_string()),
                }
                drop(seen);
                std::thread::sleep(PAUSE);
            }
        });
        Self { may_load, stopped, seen, thread: Some(thread) }
    }

    /// Allows or forbids looks that load the module; returns when none is under way that may not be.
    pub(crate) fn may_load_the_module(&self, may: bool) {
        *self.may_load.lock().unwrap_or_else(PoisonError::into_inner) = may;
    }

    pub(crate) fn stop(mut self) -> Seen {
        self.halt();
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn halt(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Operators {
    fn drop(&mut self) {
        self.halt();
    }
}
