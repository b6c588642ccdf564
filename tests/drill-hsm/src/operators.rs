//! People who look at the site while it suffers: the command line, again and again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use yanqian_harness::{Operator, Output, Site};

/// Between two looks; each starts a program.
const PAUSE: Duration = Duration::from_millis(700);

pub(crate) struct Operators {
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
        let looks: Vec<(Operator, Vec<String>)> = vec![
            (daemon, ["check", "--config", &config].map(str::to_owned).to_vec()),
            (worker.clone(), ["hsm", "status", "--config", &worker_config, "--json"].map(str::to_owned).to_vec()),
            (worker, ["hsm", "list", "--config", &worker_config].map(str::to_owned).to_vec()),
        ];
        let (stopped, seen) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Seen::default())));
        let (told, counted) = (Arc::clone(&stopped), Arc::clone(&seen));
        let thread = std::thread::spawn(move || {
            for (operator, arguments) in looks.iter().cycle() {
                if told.load(Ordering::Relaxed) {
                    return;
                }
                let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
                let output = operator.run(&arguments);
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
        Self { stopped, seen, thread: Some(thread) }
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
