use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{SyncSender, sync_channel};

/// Tables that may wait to be made.
pub(super) const WAITING: usize = 32;

type Job = Box<dyn FnOnce() + Send>;

/// A thread that makes tables, so that no request waits for one. It ends once this is dropped and its jobs are done.
#[derive(Debug)]
pub(super) struct Maker(Option<SyncSender<Job>>);

impl Maker {
    pub(super) fn start() -> Self {
        let (sender, jobs) = sync_channel::<Job>(WAITING);
        let thread = std::thread::Builder::new().name("key-tables".to_owned()).spawn(move || {
            for job in jobs {
                // A job that panics has made no table; the next one may.
                let _ = catch_unwind(AssertUnwindSafe(job));
            }
        });
        match thread {
            Ok(_) => Self(Some(sender)),
            Err(error) => {
                tracing::warn!(%error, "no thread for tables of keys: signatures are verified without them");
                Self(None)
            }
        }
    }

    /// False when the job was not taken.
    pub(super) fn give(&self, job: impl FnOnce() + Send + 'static) -> bool {
        self.0.as_ref().is_some_and(|sender| sender.try_send(Box::new(job)).is_ok())
    }
}
