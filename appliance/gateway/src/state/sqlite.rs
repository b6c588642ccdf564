use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, params};
use yanqian_vocabulary::{CallerId, EntityId, NodeId, Nonce, Timestamp, VerificationId};

use super::{Begin, Begun, Finish, Orphan, StateError, StateStore, StoredReply};

/// `PRAGMA user_version` after all migrations.
const VERSION: i64 = 3;

/// For other processes that have the file locked.
const PATIENCE: Duration = Duration::from_secs(5);
/// For those that read while it is scrubbed: all else waits meanwhile, and a later time will do.
const SCRUB_PATIENCE: Duration = Duration::from_millis(100);

/// For how long it is known what was set aside of a day.
const LEASES_KEPT_DAYS: i64 = 400;

const MIGRATIONS: &[&str] = &[
    "
CREATE TABLE verification (
    entity TEXT NOT NULL,
    node TEXT NOT NULL,
    id BLOB NOT NULL,
    caller TEXT NOT NULL,
    idempotency_tag BLOB,
    fingerprint BLOB,
    sealed_reply BLOB,             -- NULL while the check is under way
    created_ms INTEGER NOT NULL,
    expires_ms INTEGER,
    PRIMARY KEY (entity, id)
) STRICT;
CREATE UNIQUE INDEX verification_key ON verification (entity, caller, idempotency_tag)
    WHERE idempotency_tag IS NOT NULL;
CREATE INDEX verification_expiry ON verification (expires_ms);
CREATE TABLE accepted_answer (
    entity TEXT NOT NULL,
    platform TEXT NOT NULL,
    nonce BLOB NOT NULL,
    serial TEXT NOT NULL,
    expires_ms INTEGER NOT NULL,
    PRIMARY KEY (entity, platform, nonce),
    UNIQUE (entity, platform, serial)
) STRICT;
CREATE INDEX accepted_answer_expiry ON accepted_answer (expires_ms);
",
    "
CREATE TABLE receipt (
    entity TEXT NOT NULL,
    node TEXT NOT NULL,
    id BLOB NOT NULL,
    caller TEXT NOT NULL,
    sealed BLOB NOT NULL,
    expires_ms INTEGER NOT NULL,
    PRIMARY KEY (entity, id)
) STRICT;
CREATE INDEX receipt_expiry ON receipt (expires_ms);
",
    "
CREATE TABLE quota_lease (
    entity TEXT NOT NULL,
    scope TEXT NOT NULL,
    day INTEGER NOT NULL,          -- since 1970-01-01 in Asia/Shanghai
    node TEXT NOT NULL,
    leased INTEGER NOT NULL CHECK (leased >= 0),
    PRIMARY KEY (entity, scope, day, node)
) STRICT;
",
];

/// The embedded store: one file, write-ahead log, `synchronous=FULL`.
#[derive(Debug)]
pub struct SqliteState {
    connection: Connection,
    entity: EntityId,
    node: NodeId,
    /// Whether the log may hold what was deleted. After a start it may.
    to_scrub: bool,
}

impl From<rusqlite::Error> for StateError {
    fn from(error: rusqlite::Error) -> Self {
        // SQLite's messages name tables and columns, never values.
        Self::Store(error.to_string())
    }
}

impl SqliteState {
    /// Opens or creates the file and brings its schema up to date.
    pub fn open(file: &Path, entity: EntityId, node: NodeId) -> Result<Self, StateError> {
        let connection = Connection::open(file)?;
        connection.busy_timeout(PATIENCE)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        // What is deleted is overwritten: salts are kept here so that they can go.
        connection.pragma_update(None, "secure_delete", "ON")?;
        let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        if found > VERSION {
            return Err(StateError::Newer { found, known: VERSION });
        }
        for (from, sql) in (0i64..).zip(MIGRATIONS).filter(|(from, _)| *from >= found) {
            let next = from + 1;
            connection.execute_batch(&format!("BEGIN IMMEDIATE; {sql} PRAGMA user_version = {next}; COMMIT;"))?;
        }
        Ok(Self { connection, entity, node, to_scrub: true })
    }
}

fn id_of(octets: &[u8]) -> Result<VerificationId, StateError> {
    <[u8; 16]>::try_from(octets)
        .ok()
        .and_then(|octets| VerificationId::from_bytes(octets).ok())
        .ok_or_else(|| StateError::Store("a row holds a malformed verification id".to_owned()))
}

fn caller_of(text: String) -> Result<CallerId, StateError> {
    CallerId::new(text).map_err(|_| StateError::Store("a row holds a malformed caller".to_owned()))
}

impl StateStore for SqliteState {
    fn begin_batch(&mut self) -> Result<(), StateError> {
        Ok(self.connection.execute_batch("BEGIN IMMEDIATE")?)
    }

    fn commit_batch(&mut self) -> Result<(), StateError> {
        Ok(self.connection.execute_batch("COMMIT")?)
    }

    fn roll_back(&mut self) {
        // Fails only when no transaction is open, which is what is wanted.
        let _ = self.connection.execute_batch("ROLLBACK");
    }

    fn begin(&mut self, begin: &Begin) -> Result<Begun, StateError> {
        let known = self
            .connection
            .prepare_cached(
                "SELECT id, fingerprint, sealed_reply FROM verification
                 WHERE entity = ?1 AND caller = ?2 AND idempotency_tag = ?3",
            )?
            .query_row(params![self.entity.as_str(), begin.caller.as_str(), begin.tag], |row| {
                Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, Vec<u8>>(1)?, row.get::<_, Option<Vec<u8>>>(2)?))
            })
            .optional()?;
        match known {
            Some((_, fingerprint, _)) if fingerprint != begin.fingerprint => Ok(Begun::Mismatch),
            Some((_, _, None)) => Ok(Begun::InFlight),
            Some((id, _, Some(sealed))) => Ok(Begun::Final(StoredReply { id: id_of(&id)?, sealed })),
            None => {
                self.connection
                    .prepare_cached(
                        "INSERT INTO verification (entity, node, id, caller, idempotency_tag, fingerprint, created_ms)
                         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                    )?
                    .execute(params![
                        self.entity.as_str(),
                        self.node.as_str(),
                        begin.id.as_bytes(),
                        begin.caller.as_str(),
                        begin.tag,
                        begin.fingerprint,
                        begin.now.unix_millis()
                    ])?;
                Ok(Begun::New)
            }
        }
    }

    fn release(&mut self, caller: &CallerId, tag: &[u8; 32], id: VerificationId) -> Result<(), StateError> {
        self.connection
            .prepare_cached(
                "DELETE FROM verification
                 WHERE entity = ?1 AND caller = ?2 AND idempotency_tag = ?3 AND id = ?4 AND sealed_reply IS NULL",
            )?
            .execute(params![self.entity.as_str(), caller.as_str(), tag, id.as_bytes()])?;
        Ok(())
    }

    fn finish(&mut self, finish: &Finish) -> Result<(), StateError> {
        self.connection
            .prepare_cached(
                "INSERT INTO verification (entity, node, id, caller, idempotency_tag, sealed_reply, created_ms, expires_ms)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
                 ON CONFLICT (entity, id) DO UPDATE SET sealed_reply = ?6, expires_ms = ?8",
            )?
            .execute(params![
                self.entity.as_str(),
                self.node.as_str(),
                finish.id.as_bytes(),
                finish.caller.as_str(),
                finish.tag,
                finish.sealed,
                finish.now.unix_millis(),
                finish.expires.unix_millis()
            ])?;
        let Some(receipt) = &finish.receipt else { return Ok(()) };
        self.connection
            .prepare_cached(
                "INSERT INTO receipt (entity, node, id, caller, sealed, expires_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                 ON CONFLICT (entity, id) DO UPDATE SET sealed = ?5, expires_ms = ?6",
            )?
            .execute(params![
                self.entity.as_str(),
                self.node.as_str(),
                finish.id.as_bytes(),
                finish.caller.as_str(),
                receipt.sealed,
                receipt.expires.unix_millis()
            ])?;
        Ok(())
    }

    fn find_receipt(&mut self, caller: &CallerId, id: VerificationId) -> Result<Option<Vec<u8>>, StateError> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT sealed FROM receipt WHERE entity = ?1 AND id = ?2 AND caller = ?3")?;
        let parameters = params![self.entity.as_str(), id.as_bytes(), caller.as_str()];
        Ok(statement.query_row(parameters, |row| row.get(0)).optional()?)
    }

    fn find_receipt_of_any(&mut self, id: VerificationId) -> Result<Option<(CallerId, Vec<u8>)>, StateError> {
        let mut statement =
            self.connection.prepare_cached("SELECT caller, sealed FROM receipt WHERE entity = ?1 AND id = ?2")?;
        let parameters = params![self.entity.as_str(), id.as_bytes()];
        let row: Option<(String, Vec<u8>)> =
            statement.query_row(parameters, |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        row.map(|(caller, sealed)| Ok((caller_of(caller)?, sealed))).transpose()
    }

    fn replace_receipt(&mut self, id: VerificationId, sealed: &[u8]) -> Result<(), StateError> {
        self.connection
            .prepare_cached("UPDATE receipt SET sealed = ?3 WHERE entity = ?1 AND id = ?2")?
            .execute(params![self.entity.as_str(), id.as_bytes(), sealed])?;
        self.to_scrub = true;
        Ok(())
    }

    fn scrub(&mut self) -> Result<(), StateError> {
        if !self.to_scrub {
            return Ok(());
        }
        // The file's own pages were overwritten; the log still has them as they were, until it is written back and cut.
        self.connection.busy_timeout(SCRUB_PATIENCE)?;
        let busy = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0));
        self.connection.busy_timeout(PATIENCE)?;
        self.to_scrub = busy? != 0;
        if self.to_scrub { Err(StateError::Store("another process reads the store".to_owned())) } else { Ok(()) }
    }

    fn find(&mut self, caller: &CallerId, id: VerificationId) -> Result<Option<StoredReply>, StateError> {
        let sealed = self
            .connection
            .prepare_cached(
                "SELECT sealed_reply FROM verification
                 WHERE entity = ?1 AND id = ?2 AND caller = ?3 AND sealed_reply IS NOT NULL",
            )?
            .query_row(params![self.entity.as_str(), id.as_bytes(), caller.as_str()], |row| row.get(0))
            .optional()?;
        Ok(sealed.map(|sealed| StoredReply { id, sealed }))
    }

    fn accept_answer(
        &mut self,
        platform: &str,
        nonce: Nonce,
        serial: &str,
        expires: Timestamp,
    ) -> Result<bool, StateError> {
        let inserted = self
            .connection
            .prepare_cached(
                "INSERT INTO accepted_answer (entity, platform, nonce, serial, expires_ms) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT DO NOTHING",
            )?
            .execute(params![self.entity.as_str(), platform, nonce.as_bytes(), serial, expires.unix_millis()])?;
        Ok(inserted == 1)
    }

    fn lease(&mut self, scope: &str, day: i64, limit: u64, wanted: u64) -> Result<u64, StateError> {
        let key = params![self.entity.as_str(), scope, day];
        let leased: i64 = self
            .connection
            .prepare_cached(
                "SELECT coalesce(sum(leased), 0) FROM quota_lease WHERE entity = ?1 AND scope = ?2 AND day = ?3",
            )?
            .query_row(key, |row| row.get(0))?;
        let left = i64::try_from(limit).unwrap_or(i64::MAX).saturating_sub(leased).max(0);
        let granted = left.min(i64::try_from(wanted).unwrap_or(i64::MAX));
        if granted > 0 {
            self.connection
                .prepare_cached(
                    "INSERT INTO quota_lease (entity, scope, day, node, leased) VALUES (?1, ?2, ?3, ?4, ?5)
                     ON CONFLICT (entity, scope, day, node) DO UPDATE SET leased = leased + ?5",
                )?
                .execute(params![self.entity.as_str(), scope, day, self.node.as_str(), granted])?;
        }
        Ok(granted.unsigned_abs())
    }

    fn return_lease(&mut self, scope: &str, day: i64, unused: u64) -> Result<(), StateError> {
        let unused = i64::try_from(unused).unwrap_or(i64::MAX);
        self.connection
            .prepare_cached(
                "UPDATE quota_lease SET leased = max(leased - ?5, 0)
                 WHERE entity = ?1 AND scope = ?2 AND day = ?3 AND node = ?4",
            )?
            .execute(params![self.entity.as_str(), scope, day, self.node.as_str(), unused])?;
        Ok(())
    }

    fn orphans(&mut self) -> Result<Vec<Orphan>, StateError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT id, caller, idempotency_tag FROM verification
             WHERE entity = ?1 AND node = ?2 AND sealed_reply IS NULL",
        )?;
        let rows = statement.query_map(params![self.entity.as_str(), self.node.as_str()], |row| {
            Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, String>(1)?, row.get::<_, [u8; 32]>(2)?))
        })?;
        rows.map(|row| {
            let (id, caller, tag) = row?;
            Ok(Orphan { id: id_of(&id)?, caller: caller_of(caller)?, tag })
        })
        .collect()
    }

    fn purge(&mut self, now: Timestamp) -> Result<usize, StateError> {
        let now = now.unix_millis();
        let replies = self.connection.execute("DELETE FROM verification WHERE expires_ms < ?1", [now])?;
        let answers = self.connection.execute("DELETE FROM accepted_answer WHERE expires_ms < ?1", [now])?;
        let receipts = self.connection.execute("DELETE FROM receipt WHERE expires_ms < ?1", [now])?;
        // So long that no clock that steps gives a day its quota twice.
        let days = now / 86_400_000 - LEASES_KEPT_DAYS;
        let leases = self.connection.execute("DELETE FROM quota_lease WHERE day < ?1", [days])?;
        self.to_scrub |= replies + receipts > 0;
        Ok(replies + answers + receipts + leases)
    }
}
