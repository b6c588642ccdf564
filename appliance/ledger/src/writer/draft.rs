use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::oneshot;
use yanqian_evidence::{Body, Context, Decision, Outcome, Times};
use yanqian_vocabulary::{Reason, Timestamp, VerificationId};

use crate::error::{LedgerError, OpenError};
use crate::exported::Exported;
use crate::files::Last;
use crate::ledger::Appended;
use crate::recovery::Recovery;

type Reply = oneshot::Sender<Result<Appended, LedgerError>>;

pub(crate) enum Command {
    Append(Draft),
    Reopen(oneshot::Sender<Result<Recovery, OpenError>>),
    Depart(Departure, oneshot::Sender<Result<(), OpenError>>),
}

/// What becomes of a sealed segment.
pub(crate) enum Departure {
    /// It was read back whole from an archive.
    Exported(Box<Exported>),
    /// Whether it may be removed; nothing changes.
    Removable(u64),
    /// The archive's copy was proven again and the removal is on record: the file goes.
    Removed(u64),
}

/// A record before it has a sequence and a time. The ledger's own records have nobody to reply to.
pub(crate) struct Draft {
    pub(crate) context: Arc<Context>,
    pub(crate) body: Box<Body>,
    pub(crate) reply: Option<Reply>,
}

impl Draft {
    pub(super) fn refuse(self, error: LedgerError) {
        if let Some(reply) = self.reply {
            let _ = reply.send(Err(error)); // nobody waits any more
        }
    }
}

/// Records that will share one write and one sync.
pub(super) struct Batch {
    pub(super) octets: Vec<u8>,
    pub(super) entries: Vec<(Draft, Appended)>,
    pub(super) last: Last,
    /// Intents that this batch ends.
    pub(super) ended: BTreeSet<u64>,
    pub(super) notes: usize,
}

/// The end of a check whose intent became durable when nobody waited for it any more: nothing was signed.
pub(super) fn abandoned(verification: VerificationId, intent: u64, received: Timestamp) -> Outcome {
    Outcome {
        verification,
        intent,
        decision: Decision::Refused { reason: Reason::EvidenceUnavailable },
        signature: None,
        answer: None,
        signer: None,
        chain: Vec::new(),
        revocation: Vec::new(),
        platform_time: None,
        platform_serial: None,
        steps: Vec::new(),
        times: Times { received, signed: None, sent: None, answered: None },
        trust: None,
        platform_status: None,
        exchange: None,
        reading: None,
    }
}
