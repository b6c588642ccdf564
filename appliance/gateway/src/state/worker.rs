use std::sync::mpsc;
use std::thread::JoinHandle;

use tokio::sync::oneshot;

use super::{StateError, StateStore};

/// Runs after the batch's end, with the commit's result.
type Completion = Box<dyn FnOnce(Result<(), StateError>) + Send>;
type Work<T> = Box<dyn FnOnce(&mut dyn StateStore) -> T + Send>;

enum Job {
    /// Shares a commit with those beside it.
    InBatch(Work<Completion>),
    /// Runs when no batch is open.
    Alone(Work<()>),
}

/// Operations that share one commit at most.
const BATCH: usize = 128;
/// Operations that may wait; the pipeline's own limit on checks under way keeps the queue far shorter.
const QUEUE: usize = 4096;

/// The async side's way to the store. Cheap to clone.
#[derive(Debug, Clone)]
pub struct StateHandle {
    jobs: mpsc::SyncSender<Job>,
}

/// The thread that owns the store; ends when every handle is gone.
#[derive(Debug)]
pub struct StateThread {
    thread: JoinHandle<()>,
}

impl StateHandle {
    /// Gives the store to a new thread.
    pub fn start(store: Box<dyn StateStore>) -> std::io::Result<(Self, StateThread)> {
        let (jobs, inbox) = mpsc::sync_channel(QUEUE);
        let thread = std::thread::Builder::new().name("yanqian-state".into()).spawn(move || serve(store, &inbox))?;
        Ok((Self { jobs }, StateThread { thread }))
    }

    fn submit<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&mut dyn StateStore) -> Result<T, StateError> + Send + 'static,
    ) -> Result<oneshot::Receiver<Result<T, StateError>>, StateError> {
        let (reply, result) = oneshot::channel();
        let job = Job::InBatch(Box::new(move |store| {
            let outcome = operation(store);
            Box::new(move |committed| {
                // A caller that no longer waits has nothing to learn.
                let _ = reply.send(committed.and(outcome));
            })
        }));
        self.jobs.try_send(job).map_err(|_| StateError::Gone)?;
        Ok(result)
    }

    /// Runs an operation; the result comes only after it is durable.
    pub async fn call<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&mut dyn StateStore) -> Result<T, StateError> + Send + 'static,
    ) -> Result<T, StateError> {
        self.submit(operation)?.await.map_err(|_| StateError::Gone)?
    }

    /// Runs an operation that takes no part in a batch.
    pub async fn call_alone<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&mut dyn StateStore) -> Result<T, StateError> + Send + 'static,
    ) -> Result<T, StateError> {
        let (reply, result) = oneshot::channel();
        let job = Job::Alone(Box::new(move |store| {
            // A caller that no longer waits has nothing to learn.
            let _ = reply.send(operation(store));
        }));
        self.jobs.try_send(job).map_err(|_| StateError::Gone)?;
        result.await.map_err(|_| StateError::Gone)?
    }

    /// As [`Self::call`], for a thread that may block.
    pub fn call_blocking<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&mut dyn StateStore) -> Result<T, StateError> + Send + 'static,
    ) -> Result<T, StateError> {
        self.submit(operation)?.blocking_recv().map_err(|_| StateError::Gone)?
    }
}

impl StateThread {
    /// Waits until every handle is gone and the last operation is durable.
    pub fn join(self) {
        let _ = self.thread.join();
    }
}

fn serve(mut store: Box<dyn StateStore>, inbox: &mpsc::Receiver<Job>) {
    let mut next = None;
    while let Some(job) = next.take().or_else(|| inbox.recv().ok()) {
        let first = match job {
            Job::InBatch(first) => first,
            Job::Alone(operation) => {
                operation(store.as_mut());
                continue;
            }
        };
        let mut completions = Vec::new();
        let result = store.begin_batch().and_then(|()| {
            completions.push(first(store.as_mut()));
            while completions.len() < BATCH {
                match inbox.try_recv() {
                    Ok(Job::InBatch(job)) => completions.push(job(store.as_mut())),
                    Ok(alone @ Job::Alone(_)) => {
                        next = Some(alone);
                        break;
                    }
                    Err(_) => break,
                }
            }
            store.commit_batch()
        });
        if let Err(error) = &result {
            tracing::error!(%error, "state store cannot commit");
            store.roll_back();
        }
        for completion in completions {
            completion(result.clone());
        }
    }
}
