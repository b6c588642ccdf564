//! What is written together: drafts that may be written now, each with the frame that it gets.

use std::collections::{BTreeSet, VecDeque};

use tokio::sync::oneshot;
use yanqian_evidence::verify::follows;
use yanqian_evidence::{Body, Context, Frame, LeafHash, MAX_RECORD};
use yanqian_vocabulary::Timestamp;

use super::draft::Batch;
use super::{BATCH_OCTETS, Draft, Writer};
use crate::error::LedgerError;
use crate::files::Last;
use crate::ledger::Appended;
use crate::stats::LedgerState;
use crate::storage::wide;

impl Writer {
    /// Takes drafts from the front into a batch; refuses those that cannot be written. `None` when none is left.
    pub(super) fn build(&mut self, waiting: &mut VecDeque<Draft>) -> Option<Batch> {
        let last = self.files.as_ref().map(|files| files.last)?;
        let mut batch = Batch { octets: Vec::new(), entries: Vec::new(), last, ended: BTreeSet::new(), notes: 0 };
        while batch.octets.len() < BATCH_OCTETS {
            let Some(draft) = waiting.pop_front() else { break };
            let abandoned = draft.reply.as_ref().is_some_and(oneshot::Sender::is_closed);
            if abandoned && matches!(*draft.body, Body::Intent(_) | Body::Exchange(_)) {
                continue; // not written: nothing will be signed for it
            }
            match self.admit(&draft, &batch.ended) {
                Ok(ends) => batch.ended.extend(ends),
                Err(error) => {
                    self.refuse(draft, error);
                    continue;
                }
            }
            if batch.octets.is_empty() {
                self.add_notes(&mut batch, &draft.context);
            }
            match self.add(&mut batch, &draft.context, &draft.body) {
                Ok(appended) => batch.entries.push((draft, appended)),
                Err(error) => self.refuse(draft, error),
            }
        }
        (!batch.octets.is_empty()).then_some(batch)
    }

    fn add_notes(&self, batch: &mut Batch, context: &Context) {
        for note in self.files.iter().flat_map(|files| &files.notes) {
            // Notes are a few octets long: only too large a record is refused.
            if self.add(batch, context, &note.clone().into()).is_ok() {
                batch.notes += 1;
            }
        }
    }

    /// Whether a record may be written now, and which intent it ends.
    fn admit(&self, draft: &Draft, ended: &BTreeSet<u64>) -> Result<Option<u64>, LedgerError> {
        let files = self.files.as_ref().ok_or(LedgerError::Failed)?;
        if draft.context.node != self.config.node {
            return Err(LedgerError::OtherNode);
        }
        let (intent, verification) = match &*draft.body {
            // Both announce a signature, and after that there must be space for its outcome.
            Body::Intent(_) | Body::Exchange(_) if self.shared.state() == LedgerState::RefusalsOnly => {
                return Err(LedgerError::Full);
            }
            Body::Exchange(exchange) => (exchange.intent, exchange.verification),
            Body::Outcome(outcome) => (outcome.intent, outcome.verification),
            Body::OutcomeUnknown(unknown) => (unknown.intent, unknown.verification),
            Body::Intent(_) | Body::Refusal(_) | Body::Aggregate(_) | Body::Management(_) => return Ok(None),
        };
        let open = files.open.get(&intent).filter(|open| open.verification == verification && !ended.contains(&intent));
        let open = open.ok_or(LedgerError::IntentNotOpen)?;
        match &*draft.body {
            Body::Exchange(_) => Ok(None),
            Body::Outcome(outcome) if !follows(outcome, open.exchange) => Err(LedgerError::OtherExchange),
            _ => Ok(Some(intent)),
        }
    }

    fn add(&self, batch: &mut Batch, context: &Context, body: &Body) -> Result<Appended, LedgerError> {
        let files = self.files.as_ref().ok_or(LedgerError::Failed)?;
        let sequence = batch.last.sequence + 1;
        let now = self.clock.now();
        let time: Timestamp = batch.last.time.map_or(now, |last| last.max(now));
        let record = yanqian_evidence::encode(sequence, time, context, body);
        if record.len() > MAX_RECORD {
            return Err(LedgerError::TooLarge);
        }
        let leaf = LeafHash::of_record(&record);
        let chain = batch.last.chain.link(leaf);
        let frame = Frame { sequence, durable: files.last.sequence, leaf, chain, record: &record };
        let offset = files.current.length + wide(batch.octets.len());
        frame.write(files.current.start, &mut batch.octets);
        batch.last = Last { sequence, time: Some(time), chain };
        Ok(Appended { sequence, leaf, time, segment: files.current.header.segment, offset })
    }
}
