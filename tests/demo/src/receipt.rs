//! What the caller takes home: a receipt, proven by a program that has never heard of this site, and refused once an octet of it
//! is another.

use std::path::Path;
use std::time::Duration;

use yanqian_harness::people::{self, NumberForm};
use yanqian_harness::{HarnessError, Site};

use crate::paint;
use crate::table::Line;

/// Looks at whether the receipt is anchored, and the time between them.
const ATTEMPTS: u32 = 100;
const AGAIN: Duration = Duration::from_millis(200);

pub(crate) async fn all(site: &Site) -> Result<Vec<Line>, HarnessError> {
    println!("{}", paint::title("A receipt, verified offline"));
    let caller = site.caller("core-banking")?;
    let request = people::about(&people::holder(NumberForm::PassportLetter), "receipt");
    let reply = caller.ask(&request).await?;
    // Pending at first; the next checkpoint anchors it.
    let mut receipt = caller.receipt(&reply.id()).await?;
    for _ in 0..ATTEMPTS {
        if receipt.json()["state"] == "anchored" {
            break;
        }
        tokio::time::sleep(AGAIN).await;
        receipt = caller.receipt(&reply.id()).await?;
    }
    println!(
        "   {}",
        paint::faint(&format!("GET /v1/verifications/{}/receipt: {} octets", reply.id(), receipt.body.len()))
    );
    let directory = site.places().logs();
    let written = verify(site, &directory.join("receipt.json"), &receipt.body)?;
    for line in written.1.lines() {
        println!("   {line}");
    }
    let altered = verify(site, &directory.join("altered.json"), &alter(&receipt.body))?;
    let refused = altered.1.lines().find(|line| line.contains('✘')).unwrap_or_default();
    println!("   {} {refused}\n", paint::faint("one octet changed:"));
    let word = |code: Option<i32>| if code == Some(0) { "proven" } else { "not proven" };
    let anchored = written.1.contains("✔ anchor");
    Ok(vec![
        Line::new("yanqian-verify receipt.json", "proven", word(written.0), written.0 == Some(0) && anchored),
        Line::new("The same, one octet changed", "not proven", word(altered.0), altered.0 == Some(1)),
    ])
}

fn verify(site: &Site, file: &Path, octets: &[u8]) -> Result<(Option<i32>, String), HarnessError> {
    std::fs::write(file, octets).map_err(|error| HarnessError::Unexpected(format!("{}: {error}", file.display())))?;
    let output = site.verify_receipt(file, &[])?;
    Ok((output.code, output.all()))
}

/// Another character in the middle of the first record.
fn alter(receipt: &[u8]) -> Vec<u8> {
    let mut altered = receipt.to_vec();
    let start = altered.windows(11).position(|window| window == b"\"records\":[").unwrap_or(0) + 200;
    if let Some(octet) = altered.get_mut(start) {
        *octet = if *octet == b'A' { b'B' } else { b'A' };
    }
    altered
}
