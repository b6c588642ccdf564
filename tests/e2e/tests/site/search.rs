//! Finding records again and making them unfindable: by document, as counts, as questions to the platform; and that a destroyed
//! key or salt is on no disk.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use serde_json::Value;
use yanqian_harness::people::{NumberForm, about, holder};
use yanqian_harness::{Misbehaviour as M, Output, Record, Site};

use crate::support::{assert_verdict, good, site, within};

/// A file that says which document is meant, for the daemon's user to read.
struct Meant(tempfile::NamedTempFile);

impl Meant {
    fn document(request: &Value) -> Self {
        use std::os::unix::fs::PermissionsExt;
        let file = tempfile::NamedTempFile::new().unwrap();
        let [document_type, number] = ["type", "number"].map(|name| request["document"][name].as_str().unwrap());
        std::fs::write(file.path(), format!("{document_type}:{number}\n")).unwrap();
        std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(0o644)).unwrap();
        Self(file)
    }

    fn file(&self) -> &str {
        self.0.path().to_str().unwrap()
    }
}

/// `yanqian ledger …` on the site's ledger.
fn ledger(site: &Site, command: &[&str]) -> Output {
    let directory = site.places().ledger().display().to_string();
    let arguments: Vec<&str> = ["ledger"].iter().chain(command).copied().chain([directory.as_str()]).collect();
    site.yanqian(&arguments).unwrap()
}

/// `yanqian ledger …` with an order to the daemon.
fn order(site: &Site, command: &[&str]) -> Output {
    let config = site.places().daemon_config().display().to_string();
    let arguments: Vec<&str> = ["ledger"].iter().chain(command).copied().chain(["--config", config.as_str()]).collect();
    site.yanqian(&arguments).unwrap()
}

#[track_caller]
fn json(output: &Output) -> Value {
    assert_eq!(output.code, Some(0), "{}", output.all());
    serde_json::from_str(&output.stdout).unwrap()
}

/// What a search finds, through the index and by reading everything.
#[track_caller]
fn found(site: &Site, conditions: &[&str]) -> Vec<String> {
    let of = |more: &[&str]| {
        let command: Vec<&str> = ["search", "--json"].iter().chain(more).chain(conditions).copied().collect();
        let told = json(&ledger(site, &command));
        let ids =
            told["checks"].as_array().unwrap().iter().map(|check| check["verification"].as_str().unwrap().to_owned());
        let mut ids: Vec<String> = ids.collect();
        ids.sort_unstable();
        ids
    };
    let found = of(&[]);
    assert_eq!(found, of(&["--scan"]), "{conditions:?}");
    found
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] })
        .filter(|path| path.is_file())
        .collect()
}

/// Files of the site that hold these octets.
fn holding(site: &Site, octets: &[u8]) -> Vec<PathBuf> {
    let own = site.places();
    let all = [own.state(), own.etc(), own.logs()].into_iter().flat_map(|directory| files(&directory));
    let holds = |file: &PathBuf| std::fs::read(file).unwrap().windows(octets.len()).any(|window| window == octets);
    all.filter(holds).collect()
}

fn events(site: &Site, event: &str) -> Vec<Record> {
    site.ledger_records().unwrap().into_iter().filter(|record| record.event() == event).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_is_found_with_its_whole_story_and_never_told() {
    let site = site().await;
    let caller = site.caller("core-banking").unwrap();
    let mut ids = Vec::new();
    for n in 0..3 {
        ids.push(caller.ask(&good(&format!("d-{n}"))).await.unwrap().id());
    }
    let other = about(&holder(NumberForm::HongKongNew), "other");
    let others = vec![caller.ask(&other).await.unwrap().id()];
    ids.sort_unstable();

    let (meant, unmeant) = (Meant::document(&good("")), Meant::document(&other));
    assert_eq!(found(&site, &["--document-file", meant.file()]), ids);
    assert_eq!(found(&site, &["--document-file", unmeant.file()]), others);
    assert_eq!(found(&site, &["--verification", &ids[1]]), [ids[1].clone()]);
    assert_eq!(found(&site, &["--document-file", meant.file(), "--verdict", "mismatch"]), [""; 0]);
    assert_eq!(found(&site, &["--caller", "core-banking", "--from", "2020-01-01"]).len(), 4);
    let told = json(&ledger(&site, &["search", "--json", "--document-file", meant.file()]));
    assert_eq!(told["checks"][0]["records"].as_array().unwrap().len(), 2, "intent and outcome");
    assert_eq!((told["checks"][0]["verdict"].as_str(), told["more"].as_bool()), (Some("match"), Some(false)));
    let number = good("")["document"]["number"].as_str().unwrap().to_owned();
    assert!(!told.to_string().contains(&number));

    // On the command line it is taken, and warned of.
    let shown = ledger(&site, &["search", "--document", &format!("prc-passport:{number}")]);
    assert_eq!((shown.code, shown.stdout.lines().count()), (Some(0), 3), "{}", shown.all());
    assert!(shown.stderr.contains("command line") && !shown.all().contains(&number), "{}", shown.all());
    let limited = ledger(&site, &["search", "--limit", "2"]);
    assert!(limited.stdout.lines().count() == 2 && limited.stderr.contains("more than 2"), "{}", limited.all());
    for wrong in [
        &["--document", "passport:E12345678"][..],
        &["--document", "prc-passport:E1234567"],
        &["--verdict", "maybe"],
        &["--reason", "maybe"],
        &["--from", "yesterday"],
        &["--document-file", "/nonexistent"],
    ] {
        let command: Vec<&str> = ["search"].iter().chain(wrong).copied().collect();
        let refused = ledger(&site, &command);
        assert!(refused.code != Some(0) && !refused.stderr.contains("E1234567"), "{wrong:?}: {}", refused.all());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destroyed_epoch_is_searched_no_more_and_its_key_is_on_no_disk() {
    let mut site = site().await;
    let caller = site.caller("core-banking").unwrap();
    let before = caller.ask(&good("before")).await.unwrap().id();
    let begun = order(&site, &["begin-epoch"]);
    assert!(begun.code == Some(0) && begun.stdout.starts_with("epoch 2 began"), "{}", begun.all());
    let after = caller.ask(&good("after")).await.unwrap().id();
    let meant = Meant::document(&good(""));
    let mut both = vec![before.clone(), after.clone()];
    both.sort_unstable();
    assert_eq!(found(&site, &["--document-file", meant.file()]), both);

    let file = site.places().state().join("search-keys/epoch-1.key");
    let text = std::fs::read_to_string(&file).unwrap();
    let key = hex::decode(text.lines().last().unwrap().strip_prefix("key ").unwrap()).unwrap();
    assert_eq!(holding(&site, hex::encode(&key).as_bytes()), [file], "the search finds what is there");
    let in_use = order(&site, &["destroy-epoch", "2", "--yes"]);
    assert!(in_use.code == Some(1) && in_use.stderr.contains("in use"), "{}", in_use.all());
    let unconfirmed = order(&site, &["destroy-epoch", "1"]);
    assert!(unconfirmed.code == Some(1) && unconfirmed.stderr.contains("--yes"), "{}", unconfirmed.all());
    assert_eq!(found(&site, &["--document-file", meant.file()]), both, "nothing was destroyed");
    let destroyed = order(&site, &["destroy-epoch", "1", "--yes"]);
    assert_eq!(destroyed.code, Some(0), "{}", destroyed.all());

    for octets in [&key[..], hex::encode(&key).as_bytes(), hex::encode_upper(&key).as_bytes()] {
        assert_eq!(holding(&site, octets), [""; 0].map(PathBuf::from));
    }
    let twice = order(&site, &["destroy-epoch", "1", "--yes"]);
    assert!(twice.code == Some(1) && twice.stderr.contains("destroyed already"), "{}", twice.all());
    site.stop_daemon().expect("an orderly stop");
    let nobody = order(&site, &["destroy-epoch", "1", "--yes"]);
    assert!(nobody.code == Some(1) && nobody.stderr.contains("does the daemon run"), "{}", nobody.all());
    site.start_daemon().await.unwrap();

    assert_eq!(found(&site, &["--document-file", meant.file()]), [after]);
    assert_eq!(found(&site, &["--verification", &before]), [before], "the record is there all the same");
    let told = json(&ledger(&site, &["search", "--json", "--document-file", meant.file()]));
    assert_eq!(
        (told["unsearchable"][0]["epoch"].as_u64(), told["unsearchable"][0]["records"].as_u64()),
        (Some(1), Some(1))
    );
    assert!(told["unsearchable"][0]["destroyed"].is_string());
    let listed = json(&ledger(&site, &["epochs", "--json"]));
    let states = [0, 1].map(|at| listed["epochs"][at]["state"].as_str().unwrap().to_owned());
    assert_eq!(states, ["destroyed", "in-use"]);
    assert_eq!(listed["epochs"][0]["recorded"], true);
    let records = events(&site, "search-epoch-destroyed");
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].0["body"]["epoch"], 1);
    assert_eq!(records[0].0["body"]["operator"], listed["epochs"][0]["operator"], "the uid that the kernel told");
    assert_eq!(events(&site, "search-epoch-begun").len(), 2);
    assert_eq!(site.ledger_verify().unwrap().code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destruction_that_a_crash_cut_off_is_carried_out_and_recorded_at_the_next_start() {
    let mut site = site().await;
    assert_eq!(order(&site, &["begin-epoch"]).code, Some(0));
    site.kill_daemon();
    let keys = site.places().state().join("search-keys");
    let decided = "yanqian search key destroyed 1\nepoch 1\nbegun 2026-01-01T00:00:00.000Z\ndestroyed 2026-11-26T00:00:00.000Z\noperator 4711\nrecorded false\n";
    std::fs::write(keys.join("epoch-1.destroyed"), decided).unwrap();
    std::os::unix::fs::chown(keys.join("epoch-1.destroyed"), Some(owner(&keys)), None).unwrap();
    site.start_daemon().await.unwrap();
    assert!(!keys.join("epoch-1.key").exists());
    within(Duration::from_secs(20), "the destruction is recorded")
        .until(async || events(&site, "search-epoch-destroyed").pop())
        .await;
    assert_eq!(events(&site, "search-epoch-destroyed")[0].0["body"]["operator"], 4711);
    within(Duration::from_secs(20), "and noted as recorded")
        .until(async || {
            std::fs::read_to_string(keys.join("epoch-1.destroyed")).unwrap().contains("recorded true").then_some(())
        })
        .await;
}

fn owner(file: &Path) -> u32 {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(file).unwrap().uid()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_epoch_ends_with_its_months_and_when_its_key_is_gone() {
    let mut site = site().await;
    let caller = site.caller("core-banking").unwrap();
    let first = caller.ask(&good("first")).await.unwrap().id();
    site.stop_daemon().expect("an orderly stop");
    let file = site.places().state().join("search-keys/epoch-1.key");
    let text = std::fs::read_to_string(&file).unwrap();
    let begun = text.lines().find(|line| line.starts_with("begun ")).unwrap();
    std::fs::write(&file, text.replace(begun, "begun 2025-01-31T00:00:00.000Z")).unwrap();
    site.start_daemon().await.unwrap();
    let begins = async |count: usize| {
        within(Duration::from_secs(20), "another epoch begins")
            .until(async || (events(&site, "search-epoch-begun").len() == count).then_some(()))
            .await;
    };
    begins(2).await;
    assert!(events(&site, "search-epoch-begun")[1].0["body"]["operator"].is_null(), "nobody asked for it");
    let caller = site.caller("core-banking").unwrap();
    let second = caller.ask(&good("second")).await.unwrap().id();
    let meant = Meant::document(&good(""));
    let mut both = vec![first.clone(), second];
    both.sort_unstable();
    assert_eq!(found(&site, &["--document-file", meant.file()]), both);

    std::fs::remove_file(site.places().state().join("search-keys/epoch-2.key")).unwrap();
    // An epoch that was begun a moment ago is not followed at once by another; an operator may order it.
    assert_eq!(order(&site, &["begin-epoch"]).code, Some(0));
    begins(3).await;
    let third = caller.ask(&good("third")).await.unwrap().id();
    let mut left = vec![first, third];
    left.sort_unstable();
    assert_eq!(found(&site, &["--document-file", meant.file()]), left);
    let told = ledger(&site, &["search", "--document-file", meant.file()]);
    assert!(told.stderr.contains("epoch 2: there is no key of it; 1 records"), "{}", told.all());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_key_that_others_can_read_stops_the_start() {
    use std::os::unix::fs::PermissionsExt;
    let mut site = site().await;
    site.stop_daemon().expect("an orderly stop");
    let file = site.places().state().join("search-keys/epoch-1.key");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
    let error = site.start_daemon().await.expect_err("a key that others can read").to_string();
    assert!(error.contains("epoch-1.key") && error.contains("0600"), "{error}");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    site.start_daemon().await.unwrap();
}

/// The kept parts of receipts as they lie in the state store.
fn sealed(site: &Site) -> Vec<Vec<u8>> {
    let file = site.places().state().join("state.sqlite");
    let connection = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let mut statement = connection.prepare("SELECT sealed FROM receipt ORDER BY id").unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forgotten_salt_is_on_no_disk_and_the_receipt_says_that_it_is_gone() {
    let mut site = site().await;
    let caller = site.caller("core-banking").unwrap();
    let one = caller.ask(&good("one")).await.unwrap();
    assert_verdict(&one, "match");
    let two = caller.ask(&good("two")).await.unwrap().id();
    let other = caller.ask(&about(&holder(NumberForm::HongKongNew), "other")).await.unwrap().id();
    let receipt = caller.receipt(&one.id()).await.unwrap().json();
    let salt = receipt["salt"].as_str().expect("a salt").to_owned();
    let kept = sealed(&site);
    assert_eq!(kept.len(), 3);
    assert!(kept.iter().all(|sealed| !holding(&site, &sealed[..24]).is_empty()), "the search finds what is there");

    let forgotten = order(&site, &["forget", "--verification", &one.id(), "--yes"]);
    assert_eq!(forgotten.code, Some(0), "{}", forgotten.all());
    let gone = |sealed: &[u8]| {
        for piece in sealed.chunks_exact(16) {
            assert_eq!(holding(&site, piece), [""; 0].map(PathBuf::from));
        }
    };
    gone(&kept[0]);
    let without = caller.receipt(&one.id()).await.unwrap();
    assert!(without.json()["salt"].is_null());
    assert_eq!(without.json()["records"], receipt["records"], "the evidence is as it was");
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("receipt.json");
    std::fs::write(&file, &without.body).unwrap();
    let proven = site.verify_receipt(&file, &[]).unwrap();
    assert_eq!(proven.code, Some(0), "{}", proven.all());
    assert!(!without.json().to_string().contains(&salt));

    // By the document: the first once more, which is no error, and the second; nobody else's.
    let meant = Meant::document(&good(""));
    let all = order(&site, &["forget", "--document-file", meant.file(), "--yes"]);
    assert!(all.code == Some(0) && all.stdout.lines().count() == 2, "{}", all.all());
    gone(&kept[1]);
    assert!(caller.receipt(&two).await.unwrap().json()["salt"].is_null());
    assert!(caller.receipt(&other).await.unwrap().json()["salt"].is_string());
    let records = events(&site, "salt-destroyed");
    let of: Vec<String> = records.iter().map(|record| record.text("/body/verification")).collect();
    assert_eq!(of, [one.id(), one.id(), two.clone()]);
    for wrong in ["0193e0a8-5a0b-7c3e-9d53-000000000001", "nonsense"] {
        let refused = order(&site, &["forget", "--verification", wrong, "--yes"]);
        assert_ne!(refused.code, Some(0), "{}", refused.all());
    }
    site.kill_daemon();
    site.start_daemon().await.unwrap();
    let caller = site.caller("core-banking").unwrap();
    assert!(caller.receipt(&two).await.unwrap().json()["salt"].is_null(), "after a crash, too");
    assert_eq!(site.ledger_verify().unwrap().code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_counts_what_the_ledger_holds() {
    let site = site().await;
    let caller = site.caller("core-banking").unwrap();
    for n in 0..4 {
        assert_verdict(&caller.ask(&good(&format!("r-{n}"))).await.unwrap(), "match");
    }
    let mut other = good("n");
    other["document"]["name"] = "王小明".into();
    assert_verdict(&caller.ask(&other).await.unwrap(), "mismatch");
    other["purpose"] = "marketing".into();
    assert_eq!(caller.ask(&other).await.unwrap().status, 403);
    for misbehaviour in [M::CloseBeforeAnswer, M::BrokenSignature] {
        site.sim().misbehave(misbehaviour, 1).await.unwrap();
        assert_ne!(caller.ask(&good("x")).await.unwrap().status, 200);
    }
    let report = json(&ledger(&site, &["report", "--by", "caller,purpose,mode,verdict", "--json"]));
    let total = &report["total"];
    for (name, count) in [
        ("checks", 8),
        ("allowed", 7),
        ("match", 4),
        ("mismatch", 1),
        ("refused", 2),
        ("unknown", 1),
        ("not-found", 0),
        ("open", 0),
    ] {
        assert_eq!(total[name], count, "{name}: {total}");
    }
    let rows = report["rows"].as_array().unwrap();
    let matches = rows.iter().find(|row| row["verdict"] == "match").unwrap();
    assert_eq!((matches["caller"].as_str(), matches["mode"].as_str()), (Some("core-banking"), Some("real-name")));
    assert_eq!(matches["counts"]["checks"], 4);
    assert!(
        rows.iter().any(|row| row["purpose"].is_null() && row["verdict"] == "refused"),
        "no purpose of the agreement"
    );

    let csv = ledger(&site, &["report", "--by", "day,reason", "--csv"]).stdout;
    assert!(csv.starts_with("day,reason,checks,allowed,match,"), "{csv}");
    assert_eq!(csv.lines().count(), 5, "no reason, purpose, unknown, signature: {csv}");
    let text = ledger(&site, &["report"]).stdout;
    assert!(
        text.lines().next().unwrap().starts_with("caller") && text.lines().last().unwrap().starts_with("total"),
        "{text}"
    );
    let earlier = json(&ledger(&site, &["report", "--json", "--until", "2020-01-01"]));
    assert_eq!((earlier["total"]["checks"].as_u64(), earlier["rows"].as_array().map(Vec::len)), (Some(0), Some(0)));
    assert_ne!(ledger(&site, &["report", "--by", "colour"]).code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_check_with_an_unknown_end_is_a_question_to_the_platform() {
    let mut site = site().await;
    let caller = site.caller("core-banking").unwrap();
    assert_verdict(&caller.ask(&good("known")).await.unwrap(), "match");
    let none = ledger(&site, &["unknown"]);
    assert!(none.code == Some(0) && none.stderr.contains("is known"), "{}", none.all());
    site.sim().misbehave(M::CloseBeforeAnswer, 1).await.unwrap();
    let unanswered = caller.ask(&good("sent")).await.unwrap().id();
    site.sim().misbehave(M::Hang, 1).await.unwrap();
    let lost = tokio::spawn(async move { caller.ask(&good("lost")).await });
    within(Duration::from_secs(5), "the request reaches the platform")
        .until(async || (site.sim().stats().await.unwrap().requests == 3).then_some(()))
        .await;
    let open = json(&ledger(&site, &["unknown", "--json"]));
    let states = |told: &Value| -> Vec<String> {
        told["checks"].as_array().unwrap().iter().map(|check| check["state"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(states(&open), ["sent", "open"], "{open}");
    site.kill_daemon();
    assert!(lost.await.unwrap().is_err());
    site.start_daemon().await.unwrap();

    let told = json(&ledger(&site, &["unknown", "--json"]));
    assert_eq!(states(&told), ["sent", "cut-off"], "{told}");
    assert_eq!(told["checks"][0]["verification"], unanswered.as_str());
    assert!(told["checks"][0]["sent"].is_string() && told["checks"][1]["sent"].is_null());
    // What is asked about is what the platform has.
    let seen = site.sim().seen().await.unwrap();
    for (check, request) in told["checks"].as_array().unwrap().iter().zip(&seen[1..]) {
        let records = site.records_of(check["verification"].as_str().unwrap()).unwrap();
        for name in ["request", "nonce"] {
            assert_eq!(check[name].as_str().unwrap(), records[0].text(&format!("/body/{name}")), "{name}");
        }
        assert_eq!(request.nonce.as_deref(), check["nonce"].as_str(), "the platform saw the nonce");
    }
    let text = ledger(&site, &["unknown"]);
    assert!(text.stdout.contains("cut-off") && text.stdout.contains("request "), "{}", text.all());
}
