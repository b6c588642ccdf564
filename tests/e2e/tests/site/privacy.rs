//! Personal data planted wherever a caller can put it, then searched for wherever it must not be (I8): logs, metrics, probes,
//! ledger, state store, and the octets that the platform received outside the envelope.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use yanqian_harness::people::{self, NumberForm};
use yanqian_harness::{Caller, Misbehaviour as M, REAL_NAME, Record, Site, Variant};

use crate::disguises::{contains, disguises, disguises_of, first_of};
use crate::support::site_with;

/// Texts that stand for personal data. Long enough not to occur by chance; each in a form that its field accepts.
const NUMBER: &str = "E73190486";
const NAME: &str = "夏侯佩瑶";
const LATIN: &str = "ZWETSCHKENBAUM, QUIRIN";
const BIRTH: &str = "1973-11-29";
const EXPIRY: &str = "2037-08-23";
const REFERENCE: &str = "ref-zwetschkenbaum-73190486";
const KEY: &str = "key-zwetschkenbaum-73190486";
const HEADER: &str = "header-zwetschkenbaum-73190486";
const PATH: &str = "path-zwetschkenbaum-73190486";

/// What to search for. The first three occur in all that is planted outside the document, too.
const PLANTED: &[&str] = &[
    "73190486",
    "zwetschkenbaum",
    "ZWETSCHKENBAUM",
    "QUIRIN",
    NAME,
    "夏侯",
    BIRTH,
    "19731129",
    EXPIRY,
    "20370823",
    "29.11.1973",
];

/// Every planted text that a place holds, in any disguise.
fn found_in(octets: &[u8]) -> Vec<String> {
    let lower = octets.to_ascii_lowercase();
    PLANTED
        .iter()
        .filter(|text| {
            disguises(text).iter().any(|needle| contains(octets, needle))
                || contains(&lower, text.to_lowercase().as_bytes())
        })
        .map(|text| (*text).to_owned())
        .collect()
}

fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_below(&path));
        } else if path.is_file() {
            files.push(path);
        }
    }
    files
}

/// Everything that is on the disk of a site, and the ledger as it is shown.
fn kept(site: &Site) -> BTreeMap<String, Vec<u8>> {
    let own = site.places();
    let ledger = own.ledger().display().to_string();
    let mut told = BTreeMap::new();
    for command in [
        &["index"][..],
        &["search", "--json"],
        &["search"],
        &["report", "--json", "--by", "caller,purpose,mode,day,document-type,rule,verdict,reason"],
        &["report", "--csv"],
        &["unknown", "--json"],
        &["epochs", "--json"],
    ] {
        let arguments: Vec<&str> = ["ledger"].iter().chain(command).copied().chain([ledger.as_str()]).collect();
        let output = site.yanqian(&arguments).unwrap();
        assert_eq!(output.code, Some(0), "{}", output.all());
        told.insert(format!("ledger {}", command.join(" ")), output.all().into_bytes());
    }
    let directories = [own.logs(), own.state(), own.etc(), own.worker_state(), own.root().join("run")];
    let mut places: BTreeMap<String, Vec<u8>> = directories
        .iter()
        .flat_map(|directory| files_below(directory))
        .map(|file| (file.display().to_string(), std::fs::read(&file).unwrap()))
        .collect();
    let shown = site.ledger_records().unwrap().iter().map(|record| record.0.to_string()).collect::<String>();
    assert!(shown.contains("core-banking"), "the records are real ones");
    places.insert("ledger show".to_owned(), shown.into_bytes());
    places.extend(told);
    for needed in ["state.sqlite", "search.sqlite", "search-keys", "daemon.log", "worker.log", "ledger"] {
        assert!(places.keys().any(|place| place.contains(needed)), "{needed} was looked into");
    }
    places
}

/// The receipts of all checks, and the records in them.
async fn receipts(site: &Site) -> BTreeMap<String, Vec<u8>> {
    let caller = site.caller("core-banking").unwrap();
    let ids: BTreeSet<String> = site.ledger_records().unwrap().iter().map(Record::verification).collect();
    let mut receipts = BTreeMap::new();
    for id in ids.iter().filter(|id| !id.is_empty()) {
        let receipt = caller.receipt(id).await.unwrap();
        if receipt.status == 200 {
            for (number, record) in receipt.json()["records"].as_array().unwrap().iter().enumerate() {
                let octets = STANDARD.decode(record.as_str().unwrap()).unwrap();
                receipts.insert(format!("record {number} in the receipt of {id}"), octets);
            }
            receipts.insert(format!("receipt of {id}"), receipt.body.to_vec());
        }
    }
    assert!(receipts.len() > 3, "there are receipts");
    receipts
}

fn document() -> Value {
    json!({ "type": "prc-passport", "number": NUMBER, "name": NAME, "birth_date": BIRTH, "nationality": "CHN", "expiry": EXPIRY })
}

fn request() -> Value {
    json!({ "purpose": "account-opening", "reference": REFERENCE, "document": document() })
}

const HEADERS: &[(&str, &str)] = &[
    ("idempotency-key", KEY),
    ("user-agent", HEADER),
    ("x-request-id", HEADER),
    ("x-forwarded-for", HEADER),
    ("x-customer-number", NUMBER),
    ("traceparent", HEADER),
    ("authorization", HEADER),
    ("cookie", HEADER),
    ("referer", HEADER),
    ("x-zwetschkenbaum-73190486", "1"),
];

/// Requests that go wrong with personal data in the wrong place.
fn misplaced() -> Vec<Value> {
    let mut all = Vec::new();
    let texts = [NUMBER, NAME, LATIN, BIRTH, REFERENCE, "zwetschkenbaum-73190486", "{\"a\":\"73190486\"}"];
    for pointer in [
        "/purpose",
        "/reference",
        "/document",
        "/document/type",
        "/document/number",
        "/document/name",
        "/document/birth_date",
        "/document/nationality",
        "/document/expiry",
    ] {
        for text in texts {
            let mut body = request();
            *body.pointer_mut(pointer).unwrap() = text.into();
            all.push(body);
        }
    }
    for unknown in [NUMBER, NAME, REFERENCE] {
        let mut body = request();
        body[unknown] = "1".into();
        all.push(body);
        let mut body = request();
        body["document"][unknown] = json!({ NAME: NUMBER });
        all.push(body);
    }
    all
}

/// Sends all of it; some succeeds, most is refused.
async fn plant(site: &Site, caller: &Caller) {
    let reply = caller.post(request().to_string(), HEADERS).await.unwrap();
    assert_eq!((reply.status, reply.code()), (200, "not-found".to_owned()));
    assert_eq!(reply.text("/reference"), REFERENCE, "the caller gets its own reference back");
    let mut latin = request();
    latin["document"]["name"] = LATIN.into();
    assert_eq!(caller.ask(&latin).await.unwrap().status, 200);
    for body in misplaced() {
        let text = body.to_string();
        let reply = caller.post(text, &HEADERS[1..]).await.unwrap();
        let told = found_in(&reply.body);
        assert!(told.is_empty() || reply.status == 200, "a problem document repeats {told:?}");
    }
    for body in [format!("{NUMBER}{NAME}"), format!("{{\"{NUMBER}\":"), format!("{{\"a\":\"{NAME}\\ud800\"}}")] {
        assert_eq!(caller.post(body, &[]).await.unwrap().status, 400);
    }
    for path in [format!("/v1/{PATH}"), format!("{REAL_NAME}?{PATH}"), format!("/v1/verifications/{PATH}")] {
        caller.get(&path).await.unwrap();
    }
    caller.send(PATH.to_uppercase().parse().unwrap(), REAL_NAME, HEADERS, request().to_string()).await.unwrap();
    let key = format!("{NAME} {KEY}");
    caller.post(request().to_string(), &[("idempotency-key", &key)]).await.unwrap();
    caller.post(request().to_string(), &[("content-type", HEADER)]).await.unwrap();
    site.caller("stranger").unwrap().post(request().to_string(), HEADERS).await.unwrap();
    let garbage = format!("{NUMBER} {NAME} HTTP/1.1\r\nhost: {HEADER}\r\n{HEADER}\r\n\r\n");
    caller.write_raw(garbage.as_bytes(), std::time::Duration::from_secs(3)).await.unwrap();
    for misbehaviour in [M::BrokenSignature, M::NotJson, M::Contradiction, M::CloseBeforeAnswer, M::Suspended] {
        site.sim().misbehave(misbehaviour, 1).await.unwrap();
        assert_ne!(caller.post(request().to_string(), &HEADERS[1..]).await.unwrap().status, 200);
    }
}

async fn nothing_leaks(log: &'static str, managed: bool) {
    let mut site = site_with(|mut options| {
        (options.log, options.managed) = (log, managed);
        options
    })
    .await;
    let caller = site.caller("core-banking").unwrap();
    plant(&site, &caller).await;
    site.stop_worker();
    assert_eq!(caller.ask(&request()).await.unwrap().status, 503);
    site.start_worker().await.unwrap();
    let mut pages = site.metrics().await.unwrap().text().to_owned();
    for probe in ["/healthz", "/readyz"] {
        pages.push_str(&site.probe(probe).await.unwrap().1);
    }

    // The platform: personal data only inside the envelope, which the simulator opened.
    let seen = site.sim().seen().await.unwrap();
    let inner = seen[0].inner.clone().expect("an envelope that opened");
    assert_eq!((inner["docNumber"].as_str(), inner["name"].as_str()), (Some(NUMBER), Some(NAME)));
    let mut places: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for (number, request) in seen.iter().enumerate() {
        places.insert(format!("request {number} at the platform"), STANDARD.decode(&request.raw).unwrap());
    }
    assert!(contains(&places["request 0 at the platform"], b"idAuthData"), "the octets are the request's");

    // Also what only a crash would leave behind: the daemon is killed, not stopped.
    site.kill_daemon();
    site.start_daemon().await.unwrap();
    places.insert("metrics and probes".to_owned(), pages.into_bytes());
    places.extend(kept(&site));
    places.extend(receipts(&site).await);
    assert!(contains(&places["ledger show"], b"not-found"), "the records are real ones");
    let leaks: Vec<String> = places
        .iter()
        .filter_map(|(place, octets)| {
            let found = found_in(octets);
            (!found.is_empty()).then(|| format!("{place}: {found:?}"))
        })
        .collect();
    assert!(leaks.is_empty(), "{}", leaks.join("\n"));
}

#[test]
fn the_search_finds_what_is_hidden() {
    assert_eq!(found_in(b"nothing to see, 7319048, E7319048"), Vec::<String>::new());
    for hidden in [
        format!("x{NAME}y"),
        STANDARD.encode(format!("{{\"name\":\"{NAME}\"}}")),
        STANDARD.encode(format!("ab{NUMBER}cd")),
        URL_SAFE_NO_PAD.encode(format!("a{NAME}cd")),
        hex::encode(NAME),
        format!("number={}", NUMBER.to_lowercase()),
    ] {
        assert!(!found_in(hidden.as_bytes()).is_empty(), "{hidden}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn planted_personal_data_is_nowhere_but_in_the_envelope() {
    nothing_leaks("info", false).await;
}

/// Not how it should run in production, but somebody will.
#[tokio::test(flavor = "multi_thread")]
async fn the_most_talkative_log_holds_no_personal_data_either() {
    nothing_leaks("trace", false).await;
}

/// Structured logs write fields on a path of their own.
#[tokio::test(flavor = "multi_thread")]
async fn the_log_in_json_holds_no_personal_data_either() {
    nothing_leaks("debug", true).await;
}

/// Pieces of a file that tell it from any other, from all over it.
fn pieces(file: &[u8]) -> Vec<Vec<u8>> {
    const PIECE: usize = 24;
    assert!(file.len() >= PIECE, "{}", file.len());
    (0..8).map(|part| (file.len() - PIECE) * part / 7).map(|at| file[at..at + PIECE].to_vec()).collect()
}

/// Pictures, chip files, and what was read from a chip: given to the platform or the caller, and to nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn portraits_chip_files_and_readings_leave_no_trace() {
    let mut site = site_with(|mut options| {
        options.log = "trace";
        options
    })
    .await;
    let caller = site.caller("core-banking").unwrap();
    let holder = people::holder(NumberForm::HongKongNew);
    let jpeg = people::portrait_reencoded(&holder);
    let pictured = people::with_portrait(&people::about(&holder, "pictured"), &jpeg);
    let files = site.sim().chip(&holder.number, Variant::Genuine).await.unwrap();
    let chip = people::chip_request(&holder, "chip", &files);
    let reading = caller.ask_once("read", &chip).await.unwrap().json()["reading"].clone();
    assert_eq!(reading["number"], holder.number.as_str(), "there is a reading that could leave one");
    assert_eq!(caller.ask_once("seen", &pictured).await.unwrap().code(), "match");
    // The same where something goes wrong half-way.
    for misbehaviour in [M::ReadingAltered, M::ReadingOtherKey, M::ReadingDigest, M::BrokenSignature] {
        site.sim().misbehave(misbehaviour, 1).await.unwrap();
        assert_eq!(caller.ask(&chip).await.unwrap().status, 502, "{misbehaviour}");
    }
    for misbehaviour in [M::MissingPortrait, M::CloseBeforeAnswer, M::NotJson] {
        site.sim().misbehave(misbehaviour, 1).await.unwrap();
        assert_ne!(caller.ask(&pictured).await.unwrap().status, 200, "{misbehaviour}");
    }
    let mut broken = pictured.clone();
    broken["portrait"] = STANDARD.encode(&jpeg[..jpeg.len() / 2]).into();
    assert_eq!(caller.ask(&broken).await.unwrap().code(), "portrait-encoding");
    let mut foreign = chip.clone();
    foreign["document"]["type"] = "taiwan-permit".into();
    assert_ne!(caller.ask(&foreign).await.unwrap().status, 200);

    let metrics = site.metrics().await.unwrap().text().to_owned();
    site.kill_daemon();
    site.start_daemon().await.unwrap();
    let mut places = kept(&site);
    places.extend(receipts(&site).await);
    places.insert("metrics".to_owned(), metrics.into_bytes());
    assert!(contains(&places[&site.places().daemon_log().display().to_string()], b"TRACE"), "the log is talkative");

    let texts = [holder.number.clone(), holder.name.clone(), holder.birth_date.to_string()];
    let mut needles: Vec<Vec<u8>> = texts.iter().flat_map(|text| disguises(text)).collect();
    let decoded = ["com", "dg1", "dg2", "sod"].map(|file| STANDARD.decode(files[file].as_str().unwrap()).unwrap());
    for file in [&jpeg, &decoded[1], &decoded[2], &decoded[3]] {
        needles.extend(pieces(file).iter().flat_map(|piece| disguises_of(piece)));
    }
    assert!(first_of(&needles, &decoded[2]).is_some(), "the search finds what is there");
    for (place, octets) in &places {
        let found = first_of(&needles, octets).map(String::from_utf8_lossy);
        assert!(found.is_none(), "{found:?} in {place}");
    }
}
