//! Finding records again and making them unfindable: by document, as counts, as questions to the platform; and that a destroyed
//! key or salt is on no disk.

use std::path::PathBuf;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use serde_json::Value;
use yanqian_harness::people::{NumberForm, about, holder};
use yanqian_harness::{Misbehaviour as M, Site};

use crate::searching::{Meant, events, found, holding, json, ledger, order};
use crate::support::{assert_verdict, good, site, within};

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
