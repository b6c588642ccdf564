//! The one thread that owns the files.

mod batch;
mod draft;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Instant;

use tokio::sync::oneshot;
use yanqian_evidence::{Body, Management};

use draft::{Batch, abandoned};
pub(crate) use draft::{Command, Departure, Draft};

use crate::config::{Clock, LedgerConfig};
use crate::error::{LedgerError, OpenError};
use crate::files::{Files, OpenCheck, is_full, step};
use crate::recovery::{self, Recovery};
use crate::stats::{Failure, LedgerState, Shared};
use crate::storage::{Storage, wide, write_all};

/// A batch is closed at this many octets, so that one sync never waits for an unbounded write.
const BATCH_OCTETS: usize = 4 << 20;

pub(crate) struct Writer {
    storage: Box<dyn Storage>,
    /// Absent after a failure.
    files: Option<Files>,
    config: LedgerConfig,
    clock: Clock,
    shared: Arc<Shared>,
    /// Records of the ledger's own making that wait for the next batch.
    own: VecDeque<Draft>,
    watched_at: Instant,
}

impl Writer {
    pub(crate) fn new(
        storage: Box<dyn Storage>,
        files: Files,
        config: LedgerConfig,
        clock: Clock,
        shared: Arc<Shared>,
    ) -> Self {
        let watched_at = Instant::now();
        let mut writer = Self { storage, files: None, config, clock, shared, own: VecDeque::new(), watched_at };
        writer.begin(files);
        writer
    }

    fn begin(&mut self, mut files: Files) {
        // What there is, before anything can fail: whoever compares the ledger with what was signed of it must not take it for empty.
        self.shared.last_sequence.store(files.last.sequence, Ordering::Relaxed);
        let taken = files.take_reserve(&*self.storage, &self.config);
        self.files = Some(files);
        match taken {
            Ok(true) => self.shared.set_state(LedgerState::Writing),
            Ok(false) => self.shared.set_state(LedgerState::RefusalsOnly),
            Err(error) => self.fail(Failure::Write, &error),
        }
        self.publish();
    }

    /// Runs until the last handle is gone.
    pub(crate) fn run(mut self, commands: &Receiver<Command>) {
        loop {
            match commands.recv_timeout(self.config.watch.saturating_sub(self.watched_at.elapsed())) {
                Ok(Command::Append(first)) => {
                    let mut drafts = VecDeque::from([first]);
                    let mut other = None;
                    while let Ok(command) = commands.try_recv() {
                        match command {
                            Command::Append(draft) => drafts.push_back(draft),
                            command => {
                                other = Some(command);
                                break;
                            }
                        }
                        if drafts.len() >= self.config.queue {
                            break;
                        }
                    }
                    self.shared.queue.fetch_sub(drafts.len(), Ordering::Relaxed);
                    self.append_all(drafts);
                    if let Some(command) = other {
                        self.obey(command);
                    }
                }
                Ok(command) => self.obey(command),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if self.watched_at.elapsed() >= self.config.watch {
                self.shared.set_busy(true);
                self.watch();
                self.shared.set_busy(false);
                self.watched_at = Instant::now();
            }
        }
        self.finish();
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Append(draft) => self.append_all(VecDeque::from([draft])),
            Command::Reopen(reply) => self.reopen(reply),
            Command::Depart(departure, reply) => {
                let failed =
                    OpenError::Io { doing: "changing the ledger", source: std::io::ErrorKind::BrokenPipe.into() };
                let departed = self.files.as_mut().ok_or(failed).and_then(|files| match departure {
                    Departure::Exported(exported) => files.note_exported(&*self.storage, &exported),
                    Departure::Removable(segment) => files.removable(&*self.storage, segment).map(|_| ()),
                    Departure::Removed(segment) => files.remove_sealed(&*self.storage, segment),
                });
                let _ = reply.send(departed); // nobody waits any more
            }
        }
    }

    fn append_all(&mut self, drafts: VecDeque<Draft>) {
        let mut waiting = std::mem::take(&mut self.own);
        waiting.extend(drafts);
        self.shared.set_busy(true);
        while !waiting.is_empty() {
            self.rotate_if_due();
            if self.files.is_none() {
                waiting.drain(..).for_each(|draft| self.refuse(draft, LedgerError::Failed));
                break;
            }
            self.append_some(&mut waiting);
        }
        self.shared.set_busy(false);
        self.publish();
    }

    /// Writes one batch from the front of `waiting`, and replies.
    fn append_some(&mut self, waiting: &mut VecDeque<Draft>) {
        let Some(batch) = self.build(waiting) else { return };
        let Some(files) = self.files.as_mut() else { return };
        let current = &mut files.current;
        let written = current
            .ensure_space(wide(batch.octets.len()), step(&self.config))
            .and_then(|()| write_all(&*current.file, &batch.octets, current.length));
        if let Err(error) = written {
            // The frames may stand there in part. On a full disk they are cut off again and nothing is lost but them.
            let cut = files.current.file.set_length(files.current.length);
            if !is_full(&error) || cut.is_err() {
                self.fail(Failure::Write, &error);
                return self.refuse_all(batch);
            }
            let again = files.reserve_held;
            self.disk_full();
            for (draft, _) in batch.entries.into_iter().rev() {
                if again {
                    waiting.push_front(draft);
                } else {
                    self.refuse(draft, LedgerError::Full);
                }
            }
            return;
        }
        files.current.length += wide(batch.octets.len());
        let synced = files.current.file.sync().map_err(|error| (Failure::Sync, error));
        let proven = synced.and_then(|()| files.check(&*self.storage).map_err(|error| (Failure::FileChanged, error)));
        if let Err((failure, error)) = proven {
            self.fail(failure, &error);
            return self.refuse_all(batch);
        }
        files.current.hasher.update(&batch.octets);
        files.last = batch.last;
        files.notes.drain(..batch.notes);
        if let Err(error) = files.write_mark() {
            // Behind an older mark, a broken frame would pass for one that nobody was promised.
            self.fail(Failure::Write, &error);
            return self.refuse_all(batch);
        }
        self.shared.syncs.fetch_add(1, Ordering::Relaxed);
        self.shared.octets.fetch_add(wide(batch.octets.len()), Ordering::Relaxed);
        self.acknowledge(batch);
    }

    fn acknowledge(&mut self, batch: Batch) {
        let Some(files) = self.files.as_mut() else { return };
        self.shared.appends.fetch_add(wide(batch.entries.len() + batch.notes), Ordering::Relaxed);
        self.shared.last_sequence.store(batch.last.sequence, Ordering::Relaxed);
        for intent in &batch.ended {
            files.open.remove(intent);
        }
        for (draft, appended) in batch.entries {
            match &*draft.body {
                Body::Intent(intent) => {
                    let check = OpenCheck { verification: intent.verification, exchange: None };
                    files.open.insert(appended.sequence, check);
                }
                Body::Exchange(exchange) => {
                    if let Some(check) = files.open.get_mut(&exchange.intent) {
                        check.exchange = Some(appended.sequence);
                    }
                }
                _ => {}
            }
            let heard = draft.reply.is_none_or(|reply| reply.send(Ok(appended)).is_ok());
            if !heard && let Body::Intent(intent) = &*draft.body {
                // Nobody waited for this intent any more, so nothing will be signed for it: the ledger ends its check.
                let body = abandoned(intent.verification, appended.sequence, intent.received);
                self.own.push_back(Draft { context: draft.context, body: Box::new(body.into()), reply: None });
            }
        }
    }

    fn refuse(&self, draft: Draft, error: LedgerError) {
        self.shared.refused.fetch_add(1, Ordering::Relaxed);
        draft.refuse(error);
    }

    /// After a failure, which is visible in the state before anyone hears of it.
    fn refuse_all(&self, batch: Batch) {
        batch.entries.into_iter().for_each(|(draft, _)| self.refuse(draft, LedgerError::Failed));
    }

    fn rotate_if_due(&mut self) {
        let now = self.clock.now();
        let Some(files) = self.files.as_mut() else { return };
        if self.shared.state() != LedgerState::Writing || !files.is_due(&self.config, now) {
            return;
        }
        match files.rotate(&*self.storage, &self.config, now) {
            Ok(()) => self.publish(),
            // The segment goes on beyond its size until there is space for the next.
            Err(error) if is_full(&error) => self.disk_full(),
            Err(error) => self.fail(Failure::Rotate, &error),
        }
    }

    fn disk_full(&mut self) {
        let Some(files) = self.files.as_mut() else { return };
        if files.reserve_held {
            files.notes.push(Management::ReserveReleased {});
        }
        let released = files.release_reserve(&*self.storage, &self.config);
        tracing::error!("the ledger's disk is full: no new checks; outcomes and refusals go to the reserve");
        self.shared.set_state(LedgerState::RefusalsOnly);
        if let Err(error) = released {
            self.fail(Failure::Write, &error);
        }
    }

    /// Looks after the files while nothing may be happening.
    fn watch(&mut self) {
        let Some(files) = self.files.as_mut() else { return };
        if let Err(error) = files.check(&*self.storage) {
            return self.fail(Failure::FileChanged, &error);
        }
        if files.has_lost_reserve(&*self.storage) {
            tracing::warn!("the ledger's reserve was removed; taking it again");
            files.reserve_held = false;
            self.shared.set_state(LedgerState::RefusalsOnly);
        }
        if self.shared.state() == LedgerState::RefusalsOnly {
            match files.take_reserve(&*self.storage, &self.config) {
                Ok(true) => {
                    tracing::info!("the ledger's disk has space again");
                    files.notes.push(Management::ReserveRestored {});
                    self.shared.set_state(LedgerState::Writing);
                }
                Ok(false) => {}
                Err(error) => return self.fail(Failure::Write, &error),
            }
        }
        self.rotate_if_due();
        if !self.own.is_empty() {
            self.append_all(VecDeque::new());
        }
        self.publish();
    }

    fn fail(&mut self, failure: Failure, error: &std::io::Error) {
        let state = LedgerState::Failed(failure);
        tracing::error!(state = state.as_str(), %error, "the ledger failed: nothing is signed or answered any more");
        self.files = None;
        self.own.clear();
        self.shared.set_state(state);
    }

    fn reopen(&mut self, reply: oneshot::Sender<Result<Recovery, OpenError>>) {
        self.files = None;
        self.own.clear();
        // What was acknowledged since the first open must be there, whatever the mark says.
        let acknowledged = self.shared.last_sequence.load(Ordering::Relaxed);
        let result = match recovery::open(&*self.storage, &self.config, &self.clock, acknowledged) {
            Ok((files, recovery)) => {
                self.begin(files);
                Ok(recovery)
            }
            Err(error) => {
                tracing::error!(%error, "the ledger could not be opened again");
                self.shared.set_state(LedgerState::Failed(Failure::Reopen));
                Err(error)
            }
        };
        let _ = reply.send(result); // nobody waits any more
    }

    fn publish(&self) {
        let Some(files) = &self.files else { return };
        self.shared.last_sequence.store(files.last.sequence, Ordering::Relaxed);
        self.shared.segment.store(files.current.header.segment, Ordering::Relaxed);
        self.shared.open_intents.store(files.open.len(), Ordering::Relaxed);
    }

    /// Gives unused space back and leaves an exact mark.
    fn finish(mut self) {
        if !self.own.is_empty() {
            self.append_all(VecDeque::new());
        }
        let Some(files) = &self.files else { return };
        let ended = files
            .current
            .file
            .set_length(files.current.length)
            .and_then(|()| files.current.file.sync())
            .and_then(|()| files.sync_mark());
        if let Err(error) = ended {
            tracing::warn!(%error, "the ledger was not closed cleanly; the next start will repair it");
        }
    }
}
