//! Documents as a caller states them.
#![allow(clippy::missing_panics_doc, dead_code, unreachable_pub)]

use yanqian_documents::{RawDocument, validate};
use yanqian_vocabulary::{DocumentType, Field, Reason, Timestamp};

/// 2026-11-23.
pub fn now() -> Timestamp {
    Timestamp::from_unix_millis(1_795_392_000_000)
}

pub fn document(document_type: DocumentType, number: &str) -> RawDocument<'_> {
    RawDocument { document_type, number, name: "张伟", birth_date: "1990-01-02", nationality: None, expiry: None }
}

pub fn refusal(raw: &RawDocument<'_>) -> (Field, Reason) {
    let error = validate(raw, now()).expect_err("must be refused");
    (error.field, error.reason)
}
