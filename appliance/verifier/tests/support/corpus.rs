//! Writes down what was verified and what came of it, so that the receipt page, which shares no code with this verifier, can
//! be held against it (`appliance/receipt-page/test`). Does nothing unless `YANQIAN_RECEIPT_CORPUS` names a directory.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use yanqian_verify::Report;
use yanqian_vocabulary::Timestamp;

/// How a receipt was judged.
#[derive(Default)]
pub struct Judged<'a> {
    pub at: Option<Timestamp>,
    pub grace_seconds: u32,
    /// The body that was said to have been posted.
    pub asked: Option<&'a str>,
}

/// One file for each receipt: its octets, the trust directory's files, how it was judged, and the report.
pub fn write(receipt: &[u8], trust: &Path, how: &Judged<'_>, report: &Report) {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let Some(directory) = std::env::var_os("YANQIAN_RECEIPT_CORPUS") else { return };
    let mut files = BTreeMap::new();
    for name in ["anchors", "entity-anchors"] {
        for entry in std::fs::read_dir(trust.join(name)).into_iter().flatten() {
            let path = entry.unwrap().path();
            let below = format!("{name}/{}", path.file_name().unwrap().to_str().unwrap());
            files.insert(below, STANDARD.encode(std::fs::read(path).unwrap()));
        }
    }
    for name in ["signers.toml", "ledgers.toml"] {
        if let Ok(octets) = std::fs::read(trust.join(name)) {
            files.insert(name.to_owned(), STANDARD.encode(octets));
        }
    }
    let case = json!({
        "test": std::thread::current().name(),
        "receipt": STANDARD.encode(receipt),
        "trust": files,
        "at": how.at.map(Timestamp::unix_millis),
        "grace_seconds": how.grace_seconds,
        "asked": how.asked,
        "report": report.to_json(),
    });
    let name = format!("{}-{}.json", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    std::fs::write(Path::new(&directory).join(name), case.to_string()).unwrap();
}
