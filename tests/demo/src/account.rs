//! The readable account of one check: who asked, what was signed and by which key, what came back, each step of the proof,
//! the verdict.

use yanqian_harness::Record;

use crate::cases::Case;
use crate::paint;
use crate::show::Evidence;

fn line(label: &str, text: &str) {
    println!("   {label:<9} {text}");
}

/// The first characters of a digest: enough to tell it from others.
fn short(digest: &str) -> String {
    match digest.get(..16) {
        Some(start) if digest.len() > 16 => format!("{start}…"),
        _ => digest.to_owned(),
    }
}

pub(crate) fn tell(case: &Case, evidence: &Evidence) {
    let text = |pointer: &str| case.request.pointer(pointer).and_then(|value| value.as_str()).unwrap_or_default();
    line(
        "asked",
        &format!(
            "{} (known by its client certificate) for {} about a {}, purpose {}",
            case.caller,
            case.service(),
            text("/document/type"),
            text("/purpose")
        ),
    );
    let find = |kind: &str| evidence.records.iter().find(|record| record.kind() == kind);
    if let (Some(intent), Some(outcome)) = (find("intent"), find("outcome")) {
        if let Some(exchange) = find("exchange") {
            let serial = exchange.text("/body/platform_serial");
            line("applied", &format!("first, and got the business serial number {serial}, proven like any answer"));
        }
        signed(intent, outcome);
        came_back(evidence, outcome);
        steps(outcome);
    } else {
        line("signed", &format!("nothing: {} signatures by the token", evidence.signatures));
        line("came back", "nothing: the platform was not asked");
        let rule = evidence.records.last().map(|record| record.text("/body/rule")).unwrap_or_default();
        let field = evidence.reply.text("/field");
        let by = if rule.is_empty() { "the document rules".to_owned() } else { format!("the agreement's rule {rule}") };
        line("stopped", &format!("by {by}, at the field {field}"));
    }
    verdict(evidence);
}

fn signed(intent: &Record, outcome: &Record) {
    let what = if intent.text("/body/to_be_signed/attributes").is_empty() {
        "the request"
    } else {
        "the request's attributes"
    };
    line("signed", &format!("{what} by the token's key {}", short(&intent.key_id())));
    line(
        "",
        &paint::faint(&format!(
            "request SM3 {}, nonce {}, after intent {} was durable",
            short(&intent.text("/body/request")),
            short(&intent.text("/body/nonce")),
            intent.sequence()
        )),
    );
    line("", &paint::faint(&format!("signature {}", short(&outcome.text("/body/signature")))));
}

fn came_back(evidence: &Evidence, outcome: &Record) {
    let signer = outcome.text("/body/signer");
    let octets = outcome.text("/body/answer").len();
    let platform = if evidence.at_platform.iter().all(|good| *good) { "which found our signature good" } else { "" };
    line(
        "came back",
        &format!("HTTP {} with {octets} octets from the platform, {platform}", outcome.text("/body/platform_status")),
    );
    let serial = outcome.text("/body/platform_serial");
    let serial = if serial.is_empty() { "not believed".to_owned() } else { serial };
    line("", &paint::faint(&format!("signer's certificate {}, platform serial {serial}", short(&signer))));
}

fn steps(outcome: &Record) {
    let steps: Vec<String> = outcome
        .steps()
        .iter()
        .map(|(name, refused)| {
            if refused.is_empty() { paint::good(&format!("{name} ok")) } else { paint::bad(&format!("{name} REFUSED")) }
        })
        .collect();
    for (number, part) in steps.chunks(7).enumerate() {
        line(if number == 0 { "proof" } else { "" }, &part.join(", "));
    }
}

/// In the order of the API.
const FIELDS: [&str; 7] = ["number", "name", "birth_date", "nationality", "expiry", "portrait", "chip"];

fn verdict(evidence: &Evidence) {
    let reply = &evidence.reply;
    let end = evidence.records.last().map(Record::sequence).unwrap_or_default();
    let recorded = format!("in record {end} before the reply");
    if reply.status == 200 {
        let told = reply.json();
        let fields: Vec<String> =
            FIELDS.iter().filter_map(|name| Some(format!("{name} {}", told["fields"].get(name)?.as_str()?))).collect();
        let fields = if fields.is_empty() { String::new() } else { format!(" ({})", fields.join(", ")) };
        line("verdict", &format!("{}{fields}", paint::good(&reply.code())));
        let reading = |name: &str| told["reading"][name].as_str().unwrap_or_default().to_owned();
        if told.get("reading").is_some() {
            let [number, name, born] = ["number", "name", "birth_date"].map(reading);
            line("reading", &format!("{number}, {name}, born {born}: opened by the token, given once, kept nowhere"));
        }
    } else {
        line("refused", &format!("{} {}: {}", reply.status, paint::good(&reply.code()), reply.text("/detail")));
    }
    line("", &paint::faint(&recorded));
}
