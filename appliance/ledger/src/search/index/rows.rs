//! The rows of an index: how a record becomes one, and which may meet a query.

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use yanqian_evidence::{Body, ChainValue, Record, Search};
use yanqian_vocabulary::VerificationId;

use super::{IndexError, Reached};
use crate::search::checks::{Head, end_of};
use crate::search::query::{Query, Wanted};

pub(super) fn insert(
    transaction: &Transaction<'_>,
    record: &Record,
    segment: u64,
    place: u64,
) -> Result<(), rusqlite::Error> {
    let (sequence, segment, place) = (signed(record.sequence), signed(segment), signed(place));
    if let Some(head) = Head::of(&record.body) {
        let tag = head.search.as_ref().map(|search| (search.epoch, first_half(search)));
        transaction
            .prepare_cached(
                "INSERT INTO entry (sequence, segment, place, verification, received_ms, caller, mode, purpose, epoch, tag,
                 verdict, reason) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
            )?
            .execute(params![
                sequence,
                segment,
                place,
                last_half(&head.verification),
                head.received.unix_millis(),
                head.caller.as_str(),
                head.mode.as_str(),
                head.purpose.as_ref().map(yanqian_vocabulary::PurposeCode::as_str),
                tag.map(|(epoch, _)| epoch),
                tag.map(|(_, tag)| tag),
                if head.refused.is_some() { "refused" } else { "open" },
                head.refused.map(yanqian_vocabulary::Reason::code),
            ])?;
        return Ok(());
    }
    let first = match &record.body {
        Body::Exchange(exchange) => exchange.intent,
        body => {
            let Some((intent, end)) = end_of(body) else { return Ok(()) };
            transaction
                .prepare_cached("UPDATE entry SET verdict = ?2, reason = ?3 WHERE sequence = ?1")?
                .execute(params![signed(intent), end.verdict(), end.reason()])?;
            intent
        }
    };
    transaction
        .prepare_cached("INSERT INTO later (first, sequence, segment, place) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![signed(first), sequence, segment, place])?;
    Ok(())
}

/// The rows that may meet a query, and the values of its parameters.
pub(super) fn statement(query: &Query) -> (String, Vec<Value>) {
    let mut conditions = vec!["1".to_owned()];
    let mut values: Vec<Value> = Vec::new();
    let mut add = |condition: &str, value: Value| {
        values.push(value);
        conditions.push(format!("{condition} ?{}", values.len()));
    };
    if let Some(id) = &query.verification {
        add("verification =", last_half(id).into());
    }
    if let Some(caller) = &query.caller {
        add("caller =", caller.as_str().to_owned().into());
    }
    if let Some(purpose) = &query.purpose {
        add("purpose =", purpose.as_str().to_owned().into());
    }
    if let Some(mode) = &query.mode {
        add("mode =", mode.as_str().to_owned().into());
    }
    if let Some(from) = &query.from {
        add("received_ms >=", from.unix_millis().into());
    }
    if let Some(until) = &query.until {
        add("received_ms <", until.unix_millis().into());
    }
    match &query.end {
        Some(Wanted::Verdict(verdict)) => add("verdict =", verdict.clone().into()),
        Some(Wanted::Reason(reason)) => add("reason =", reason.clone().into()),
        None => {}
    }
    if let Some(tags) = &query.tags {
        let tags: Vec<String> = tags.iter().map(|search| first_half(search).to_string()).collect();
        conditions.push(format!("tag IN ({})", tags.join(", ")));
    }
    let conditions = conditions.join(" AND ");
    (format!("SELECT sequence, segment, place FROM entry WHERE {conditions} ORDER BY sequence"), values)
}

pub(super) fn reached_in(connection: &Connection) -> Result<Option<Reached>, IndexError> {
    let row = connection
        .prepare_cached("SELECT number, last_sequence, last_place, chain FROM segment ORDER BY number DESC LIMIT 1")?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get::<_, [u8; 32]>(3)?)))
        .optional()?;
    Ok(row.map(|(segment, sequence, place, chain)| Reached {
        segment: unsigned(segment),
        sequence: unsigned(sequence),
        place: unsigned(place),
        chain: ChainValue::new(chain),
    }))
}

pub(super) fn put_reached(transaction: &Transaction<'_>, reached: &Reached) -> Result<(), rusqlite::Error> {
    let Reached { segment, sequence, place, chain } = reached;
    transaction
        .prepare_cached(
            "INSERT OR REPLACE INTO segment (number, last_sequence, last_place, chain) VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute(params![signed(*segment), signed(*sequence), signed(*place), chain.as_bytes()])?;
    Ok(())
}

fn first_half(search: &Search) -> i64 {
    search.tag.as_bytes().first_chunk().map_or(0, |octets| i64::from_be_bytes(*octets))
}

fn last_half(id: &VerificationId) -> i64 {
    id.as_bytes().last_chunk().map_or(0, |octets| i64::from_be_bytes(*octets))
}

/// Numbers of a ledger are far from where the two differ.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(super) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}
