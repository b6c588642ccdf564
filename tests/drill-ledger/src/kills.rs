//! `kill -9` of the whole daemon at random moments under load.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde_json::Value;
use yanqian_harness::people::{NumberForm, about, holder};
use yanqian_harness::{Binaries, Caller, File, HarnessError, Options, Record, Site};

use crate::judge::Tally;
use crate::support::sim_disk::Chance;

/// Internal systems that ask at the same time.
const CALLERS: u64 = 8;
/// Reading all records takes a while in a long drill: they are matched this often, and at the end.
const MATCH_EVERY: u32 = 25;

/// What a caller was told: the end of each verification.
type Told = BTreeMap<String, String>;

/// A request whose document belongs to no other round, so that its end is its own.
fn request(number: u64) -> Value {
    about(&holder(NumberForm::PassportDigits), &format!("drill-{number}"))
}

/// Asks until told to stop or cut off; keeps what was acknowledged.
async fn load(caller: Caller, numbers: Arc<AtomicU64>, done: Arc<AtomicBool>) -> Told {
    let mut told = Told::new();
    while !done.load(Ordering::Relaxed) {
        let number = numbers.fetch_add(1, Ordering::Relaxed);
        match caller.ask_once(&format!("drill-{number}"), &request(number)).await {
            Ok(reply) if !reply.id().is_empty() => {
                told.insert(reply.id(), reply.code());
            }
            Ok(_) => {} // shed: nobody was promised a record
            Err(_) => break,
        }
    }
    told
}

/// Kills the daemon `rounds` times.
pub(crate) async fn run(rounds: u32, seed: u64, say: fn(&str)) -> Result<Tally, HarnessError> {
    // Small segments: seals are among the moments at which it dies.
    let options = Options::new(Binaries::beside_this_program()?).with(File::Daemon, "ledger.segment_bytes", 65_536_i64);
    let mut site = Site::build(options).await?;
    let (mut chance, mut tally, mut told) = (Chance(seed), Tally::default(), Told::new());
    let numbers = Arc::new(AtomicU64::new(0));
    for round in 1..=rounds {
        site.sim().delay(chance.next() % 30).await?;
        let done = Arc::new(AtomicBool::new(false));
        let mut callers = Vec::new();
        for _ in 0..CALLERS {
            let caller = site.caller("core-banking")?;
            callers.push(tokio::spawn(load(caller, Arc::clone(&numbers), Arc::clone(&done))));
        }
        tokio::time::sleep(Duration::from_millis(30 + chance.next() % 500)).await;
        site.kill_daemon();
        done.store(true, Ordering::Relaxed);
        for caller in callers {
            if let Ok(acknowledged) = caller.await {
                told.extend(acknowledged);
            }
        }
        // As the crash left it, before any start repairs it.
        verify(&site, &mut tally, round)?;
        site.start_daemon().await?;
        verify(&site, &mut tally, round)?;
        tally.rounds += 1;
        if round.is_multiple_of(MATCH_EVERY) || round == rounds {
            compare(&site, &told, &mut tally)?;
            say(&format!("  {round} rounds, {} replies acknowledged, {} records lost", told.len(), tally.lost));
        }
    }
    tally.acknowledged = u64::try_from(told.len()).unwrap_or(u64::MAX);
    if !site.ledger_verify()?.stdout.contains("open intents  0") {
        tally.problems.push("a check is still open after the last start".to_owned());
    }
    let (daemon, _) = site.stop();
    if !daemon.is_some_and(|status| status.success()) {
        tally.problems.push("the daemon did not end in order".to_owned());
    }
    Ok(tally)
}

fn verify(site: &Site, tally: &mut Tally, round: u32) -> Result<(), HarnessError> {
    let verified = site.ledger_verify()?;
    if verified.code != Some(0) {
        tally.unverifiable += 1;
        tally.problems.push(format!("round {round}: {}", verified.all().trim()));
    }
    Ok(())
}

/// Each reply's end must be the last record of its verification.
fn compare(site: &Site, told: &Told, tally: &mut Tally) -> Result<(), HarnessError> {
    let mut ends = BTreeMap::new();
    for record in site.ledger_records()? {
        ends.insert(record.verification(), record);
    }
    let end = |record: &Record| if record.verdict().is_empty() { record.reason() } else { record.verdict() };
    let wrong: Vec<_> = told.iter().filter(|(id, code)| ends.get(*id).map(&end).as_ref() != Some(*code)).collect();
    tally.lost = u64::try_from(wrong.len()).unwrap_or(u64::MAX);
    for (id, code) in wrong.into_iter().take(10) {
        tally.problems.push(format!("verification {id}: told {code:?}, recorded {:?}", ends.get(id).map(&end)));
    }
    Ok(())
}
