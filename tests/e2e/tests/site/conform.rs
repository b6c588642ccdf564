//! `yanqian platform conform`: the script of joint debugging in the daemon's place, and what its report tells.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use yanqian_harness::people::{self, Holder, NumberForm};
use yanqian_harness::{Form, Nonces, Output, Site, Variant};

use crate::support::{Marks, assert_verdict, good, site_with};

/// The codes of the simulator's reference forms for what it refuses.
const REFUSALS: [(&str, &str, &str); 4] = [
    ("broken", "broken-signature", "2006"),
    ("unregistered", "unregistered-certificate", "2003"),
    ("stale", "stale-time", "2005"),
    ("again", "repeated-nonce", "2004"),
];

/// A directory of the daemon's user, with a cases file in it.
struct Desk {
    directory: PathBuf,
    cases: String,
    /// Places of people's data, which must be nowhere else.
    personal: BTreeSet<String>,
}

/// Gives a file or directory to the daemon's user.
fn give(site: &Site, path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    if let Some(user) = site.options().users.daemon {
        chown(path, Some(user.uid), Some(user.gid)).unwrap();
    }
}

impl Desk {
    fn at(site: &Site) -> Self {
        let directory = site.places().root().join("conform");
        std::fs::create_dir(&directory).unwrap();
        let cases = format!("format_version = 1\ncaller = \"core-banking\"\nendpoints = [{:?}]\n", site.endpoint());
        give(site, &directory, 0o700);
        Self { directory, cases, personal: BTreeSet::new() }
    }

    fn put(&self, site: &Site, name: &str, octets: &[u8]) {
        let path = self.directory.join(name);
        std::fs::write(&path, octets).unwrap();
        give(site, &path, 0o600);
    }

    fn case(&mut self, name: &str, mode: &str, expect: &str, rest: &str) -> &mut Self {
        write!(
            self.cases,
            "\n[[case]]\nname = \"{name}\"\nmode = \"{mode}\"\npurpose = \"account-opening\"\nexpect = \"{expect}\"\n{rest}\n"
        )
        .unwrap();
        self
    }

    /// The printed fields of somebody's document, perhaps with another number or name.
    fn about(&mut self, holder: &Holder, number: &str, name: &str) -> &mut Self {
        let (birth, expiry) = (holder.birth_date.to_string(), holder.expiry_date.to_string());
        writeln!(
            self.cases,
            "[case.document]\ntype = \"{}\"\nnumber = \"{number}\"\nname = \"{name}\"\nbirth_date = \"{birth}\"\nexpiry = \"{expiry}\"",
            people::document_type(holder.kind)
        )
        .unwrap();
        let compact = [&birth, &expiry].map(|day| day.replace('-', ""));
        self.personal.extend([number.to_owned(), name.to_owned(), birth, expiry]);
        self.personal.extend(compact);
        self
    }

    fn real_name(&mut self) -> &mut Self {
        let holder = people::holder(NumberForm::PassportDigits);
        self.case("match", "real-name", "match", "").about(&holder, &holder.number, &holder.name);
        self.case("other-name", "real-name", "mismatch", "expect_fields = { name = \"mismatch\", number = \"match\" }");
        self.about(&holder, &holder.number, "某某某");
        let nobody = people::free_passport_number();
        self.case("nobody", "real-name", "not-found", "").about(&holder, &nobody, &holder.name);
        let undecided = people::undecided_holder(NumberForm::PassportDigits);
        self.case("undecided", "real-name", "undecided", "");
        self.about(&undecided, &undecided.number, &undecided.name)
    }

    fn real_person(&mut self, site: &Site) -> &mut Self {
        let holder = people::holder(NumberForm::PassportDigits);
        self.put(site, "portrait.jpg", &people::portrait(&holder));
        self.case("portrait", "real-person", "match", "portrait = \"portrait.jpg\"");
        self.about(&holder, &holder.number, &holder.name)
    }

    async fn chip_reading(&mut self, site: &Site) -> &mut Self {
        let holder = people::holder(NumberForm::PassportDigits);
        let chip = site.sim().chip(&holder.number, Variant::Genuine).await.unwrap();
        let mut table = format!("[case.document]\ntype = \"{}\"\n[case.chip]\n", people::document_type(holder.kind));
        for file in ["com", "dg1", "dg2", "sod"] {
            self.put(site, file, &STANDARD.decode(chip[file].as_str().unwrap()).unwrap());
            writeln!(table, "{file} = \"{file}\"").unwrap();
        }
        self.case("chip", "chip-reading", "match", &table)
    }

    /// All that must be refused; with the codes where they are given.
    fn refusals(&mut self, codes: bool) -> &mut Self {
        for (name, departure, code) in REFUSALS {
            writeln!(self.cases, "\n[[refusal]]\nname = \"{name}\"\ncase = \"match\"\ndeparture = \"{departure}\"")
                .unwrap();
            if departure == "stale-time" {
                self.cases.push_str("behind_seconds = 3600\n");
            }
            if codes {
                writeln!(self.cases, "code = \"{code}\"").unwrap();
            }
        }
        self
    }

    /// Runs the command and reads its report.
    #[track_caller]
    fn run(&self, site: &Site) -> (Output, Report) {
        let out = self.directory.join("report");
        let output = self.conform(site, &out);
        let read = |name: &str| std::fs::read_to_string(out.join(name)).unwrap_or_else(|_| panic!("{}", output.all()));
        let report = Report { json: serde_json::from_str(&read("report.json")).unwrap(), markdown: read("report.md") };
        for line in read("SM3SUMS").lines() {
            let (sum, name) = line.split_once("  ").unwrap();
            assert_eq!((sum.len(), out.join(name).is_file()), (64, true), "{line}");
        }
        let everything = [output.all(), report.json.to_string(), report.markdown.clone()].concat();
        for text in &self.personal {
            assert!(!everything.contains(text.as_str()), "{text} is in\n{everything}");
        }
        std::fs::remove_dir_all(&out).unwrap();
        (output, report)
    }

    #[track_caller]
    fn conform(&self, site: &Site, out: &Path) -> Output {
        self.put(site, "cases.toml", self.cases.as_bytes());
        let [config, cases, out] = [site.places().daemon_config(), self.directory.join("cases.toml"), out.to_owned()]
            .map(|path| path.display().to_string());
        site.yanqian(&["platform", "conform", "--config", &config, "--cases", &cases, "--out", &out]).unwrap()
    }
}

struct Report {
    json: Value,
    markdown: String,
}

impl Report {
    fn step(&self, name: &str) -> &Value {
        let mut steps = self.json["steps"].as_array().unwrap().iter();
        steps.find(|step| step["name"] == name).unwrap_or_else(|| panic!("no step {name} in {}", self.json))
    }

    /// Result and reason.
    fn said(&self, name: &str) -> (String, String) {
        let step = self.step(name);
        (step["result"].as_str().unwrap().to_owned(), step["reason"].as_str().unwrap().to_owned())
    }

    /// Names of steps with this result.
    fn with(&self, result: &str) -> Vec<&str> {
        let steps = self.json["steps"].as_array().unwrap().iter();
        steps.filter(|step| step["result"] == result).map(|step| step["name"].as_str().unwrap()).collect()
    }
}

#[track_caller]
fn assert_step(report: &Report, name: &str, result: &str, reason: &str) {
    let said = report.said(name);
    assert!(said.0 == result && said.1.contains(reason), "{name}: {said:?}, not {result} {reason}");
}

/// A site whose script may repeat a request, as the platform must refuse it.
async fn site(form: Form) -> Site {
    site_with(|options| {
        let mut options = options.form(form);
        options.nonces = Nonces::SomeRepeated;
        options
    })
    .await
}

/// A whole run on one form of platform: every step passes, and everything that was sent stands in the ledger.
async fn every_step_passes(form: Form, codes: bool) {
    let mut site = site(form).await;
    let mut desk = Desk::at(&site);
    desk.real_name().real_person(&site);
    if form.reads_chips() {
        desk.chip_reading(&site).await;
    }
    desk.refusals(codes);
    site.stop_daemon().expect("an orderly stop");
    let before = Marks::of(&site).await;
    let (output, report) = desk.run(&site);
    assert_eq!(output.code, Some(0), "{}", output.all());
    assert!(report.with("fail").is_empty() && report.with("not-done").is_empty(), "{}", report.json);
    assert!(report.markdown.contains("0 failed, 0 not done"), "{}", report.markdown);
    assert_step(&report, "endpoint/1", "pass", "TLSv1.3");
    let address =
        report.step("endpoint/1")["addresses"].as_array().unwrap().iter().find(|one| one["connected"] == true);
    assert!(address.unwrap()["chain"].as_array().unwrap().len() >= 2, "{}", report.json);
    assert_step(&report, "keys", "pass", "grade development");
    assert_step(&report, "site/revocation-lists", "pass", "");

    // One request for each exchange, each nonce once but for the one that is repeated, and ours but for the stranger's.
    let steps = if form == Form::TwoStep { 2 } else { 1 };
    let cases = 5 + u64::from(form.reads_chips());
    let stats = site.sim().stats().await.unwrap();
    assert_eq!(stats.duplicates, 1);
    let since = before.since(&site).await;
    assert_eq!(since.requests, cases * steps + 4);
    assert_eq!(since.signatures, since.requests - 1);
    let of_match = report.step("case/match");
    assert_eq!(of_match["check"]["exchanges"].as_array().unwrap().len() as u64, steps);
    let last = of_match["check"]["exchanges"].as_array().unwrap().last().unwrap();
    let checks: Vec<_> =
        last["checks"].as_array().unwrap().iter().map(|check| check["name"].as_str().unwrap()).collect();
    assert!(["chain", "signature", "nonce", "digest", "code"].iter().all(|name| checks.contains(name)), "{checks:?}");
    let stranger = report.step("refusal/unregistered")["check"]["exchanges"][0]["key"].clone();
    assert_ne!(stranger, last["key"]);

    // The ledger says before each wrong request that it is wrong on purpose, and names the key that signs.
    let records = site.ledger_records().unwrap();
    for (name, departure, _) in REFUSALS {
        let id = report.step(&format!("refusal/{name}"))["check"]["verification"].as_str().unwrap().to_owned();
        let intent = records.iter().position(|record| record.verification() == id).unwrap();
        assert_eq!(records[intent].kind(), "intent");
        assert_eq!(records[intent - 1].text("/body/state"), format!("joint-debugging.{departure}"));
        assert_eq!(records[intent].key_id() == stranger.as_str().unwrap(), name == "unregistered");
    }
    assert_eq!(site.ledger_verify().unwrap().code, Some(0));

    // The daemon goes on from there, and callers can fetch the receipts.
    site.start_daemon().await.unwrap();
    let caller = site.caller("core-banking").unwrap();
    assert_verdict(&caller.ask(&good("after")).await.unwrap(), "match");
    for name in ["case/match", "refusal/unregistered", "refusal/broken"] {
        let id = report.step(name)["check"]["verification"].as_str().unwrap();
        let receipt = caller.receipt(id).await.unwrap();
        assert_eq!(receipt.status, 200, "{name}");
        let file = desk.directory.join("receipt.json");
        std::fs::write(&file, &receipt.body).unwrap();
        let verified = site.verify_receipt(&file, &[]).unwrap();
        // What a stranger signed is proven to be no request of the entity's.
        let strange = verified.all().contains("certificate does not chain to an anchor of entity-anchors/");
        assert_eq!(
            (verified.code, strange),
            if name.ends_with("unregistered") { (Some(1), true) } else { (Some(0), false) }
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_script_passes_at_the_reference_platform_with_all_services() {
    every_step_passes(Form::Reference, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_script_passes_at_a_platform_of_two_steps() {
    every_step_passes(Form::TwoStep, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_script_passes_at_a_platform_with_other_names_and_codes() {
    every_step_passes(Form::Second, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_script_passes_at_a_platform_of_bare_signatures() {
    every_step_passes(Form::SignedBody, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_platform_that_fails_is_told_by_step_and_reason() {
    let mut site = site(Form::Reference).await;
    let mut desk = Desk::at(&site);
    desk.cases.push_str("left_out = [\"chip-reading\"]\n");
    desk.real_name().refusals(true);
    site.stop_daemon().expect("an orderly stop");
    // Of the four cases the second and third are answered wrongly; of the refusals the last.
    let orders = [None, Some("broken-signature"), Some("stale-time"), None, None, None, None, Some("status-503")];
    site.sim().enqueue(&orders).await.unwrap();
    let (output, report) = desk.run(&site);
    assert_eq!(output.code, Some(1), "{}", output.all());
    assert_step(&report, "case/other-name", "fail", "check `signature` refused it: platform-signature");
    assert_step(&report, "case/nobody", "fail", "check `time` refused it: platform-time");
    assert_step(&report, "refusal/again", "fail", "no refusal of the platform's");
    assert_step(&report, "coverage", "fail", "no case is expected to match: real-person");
    assert_eq!(report.with("fail"), ["coverage", "case/other-name", "case/nobody", "refusal/again"]);
    assert!(report.with("not-done").is_empty());
    for line in ["FAIL     case/other-name", "FAIL     coverage"] {
        assert!(output.stdout.contains(line), "{}", output.all());
    }
    assert_eq!(site.ledger_verify().unwrap().code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_verdict_and_another_code_than_the_cases_file_says_are_failures() {
    let mut site = site(Form::Reference).await;
    let mut desk = Desk::at(&site);
    desk.cases.push_str("left_out = [\"real-person\", \"chip-reading\"]\nmax_latency_ms = 250\n");
    desk.real_name().refusals(true);
    desk.cases = desk.cases.replace("expect = \"undecided\"", "expect = \"match\"").replace("\"2005\"", "\"2999\"");
    desk.cases = desk.cases.replace("name = \"mismatch\", number = \"match\"", "number = \"mismatch\"");
    site.stop_daemon().expect("an orderly stop");
    site.sim().delay(300).await.unwrap();
    let (output, report) = desk.run(&site);
    assert_eq!(output.code, Some(1), "{}", output.all());
    assert_step(&report, "case/undecided", "fail", "expected match, found undecided");
    assert_step(&report, "case/other-name", "fail", "number: expected mismatch, found match");
    assert_step(&report, "refusal/stale", "fail", "refused with code 2005, expected 2999");
    assert_step(&report, "case/match", "fail", "at most 250 ms are allowed");
    assert_step(&report, "coverage", "pass", "left out by the cases file: real-person, chip-reading");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_platform_that_is_away_and_a_daemon_that_runs_leave_nothing_sent() {
    let mut site = site(Form::Reference).await;
    let mut desk = Desk::at(&site);
    desk.real_name().real_person(&site).chip_reading(&site).await.refusals(true);
    let before = Marks::of(&site).await;
    let (output, report) = desk.run(&site);
    assert_eq!(output.code, Some(1), "{}", output.all());
    assert_step(&report, "keys", "fail", "another process");
    assert_step(&report, "case/match", "not-done", "");
    assert_eq!(before.since(&site).await, Marks::NOTHING);

    site.stop_daemon().expect("an orderly stop");
    let address = site.stop_platform();
    let (output, report) = desk.run(&site);
    assert_eq!(output.code, Some(1), "{}", output.all());
    assert_step(&report, "endpoint/1", "fail", "tcp: no TCP connection");
    assert_step(&report, "case/match", "fail", "platform-unreachable");
    assert_step(&report, "refusal/again", "not-done", "no nonce to repeat");
    assert_step(&report, "clock-difference", "fail", "no proven answer");
    assert_step(&report, "evidence", "pass", "0 checks without an end");
    site.start_platform_at(address).await.unwrap();
    assert_eq!(site.sim().stats().await.unwrap().requests, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_use_ends_before_anything_is_sent_and_names_what_is_wrong() {
    let mut site = site(Form::Reference).await;
    let mut desk = Desk::at(&site);
    desk.real_name();
    site.stop_daemon().expect("an orderly stop");
    let before = Marks::of(&site).await;
    let good = desk.cases.clone();
    let out = desk.directory.join("report");
    for (from, to, problem) in [
        (site.endpoint(), "https://platform.example".to_owned(), "key `endpoints`: nothing is sent"),
        ("core-banking".to_owned(), "nobody".to_owned(), "key `caller`"),
        ("account-opening".to_owned(), "remittance".to_owned(), "key `document`: agreement-field"),
        ("number = \"".to_owned(), "number = \"?".to_owned(), "case 1: key `document.number`"),
    ] {
        desk.cases = good.replace(&from, &to);
        assert_ne!(desk.cases, good);
        let output = desk.conform(&site, &out);
        assert_eq!(output.code, Some(2), "{}", output.all());
        assert!(output.stderr.contains("cases.toml:") && output.stderr.contains(problem), "{}", output.all());
        assert!(desk.personal.iter().all(|text| !output.all().contains(text.as_str())), "{}", output.all());
        assert!(!out.exists());
    }
    desk.cases = good;
    let output = desk.conform(&site, &desk.directory);
    assert!(output.code == Some(2) && output.stderr.contains("--out"), "{}", output.all());
    let profile = std::fs::read_to_string(site.places().platform_profile()).unwrap();
    let serving = format!("{profile}\n[transport]\nendpoints = [\"{}\"]\n", site.endpoint());
    std::fs::write(site.places().platform_profile(), serving).unwrap();
    let output = desk.conform(&site, &out);
    let refused = output.code == Some(78) && output.stderr.contains("is where the platform serves, by its profile");
    assert!(refused && !out.exists(), "{}", output.all());
    assert_eq!(before.since(&site).await, Marks::NOTHING);
}
