//! Lines to paste into another terminal while the site runs.

use yanqian_harness::people::{self, NumberForm};
use yanqian_harness::{REAL_NAME, Site};

use crate::paint;

/// For a shell, in single quotes.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

pub(crate) fn tell(site: &Site) {
    let places = site.places();
    let pki = places.pki();
    let caller = pki.caller("core-banking");
    let api = format!("https://localhost:{}", site.addresses().api.port());
    let tls = format!(
        "--cert {} --key {} --cacert {}",
        caller.certificate.display(),
        caller.key.display(),
        pki.internal("ca").certificate.display()
    );
    let ask = |title: &str, document: &serde_json::Value, purpose: &str| {
        let body = people::request(purpose, "by-hand", document).to_string();
        println!("{}", paint::title(title));
        println!("curl -sS {tls} -H 'Content-Type: application/json' \\\n  -d {} {api}{REAL_NAME}\n", quoted(&body));
    };
    let passport = people::document(&people::holder(NumberForm::PassportDigits));
    let mut other = passport.clone();
    other["name"] = "王小明".into();
    ask("A check that matches", &passport, "account-opening");
    ask("Another name: mismatch", &other, "account-opening");
    ask("A purpose outside the agreement: refused", &passport, "marketing");
    println!("{}", paint::title("An earlier check, by the id in its reply"));
    println!("curl -sS {tls} {api}/v1/verifications/ID\n");
    println!("{}", paint::title("Its receipt, and the receipt's proof"));
    println!("curl -sS {tls} -o receipt.json {api}/v1/verifications/ID/receipt");
    println!("{} receipt.json --trust {}\n", site.verifier().display(), places.trust().display());
    println!("{}", paint::title("The platform misbehaves in its next answer"));
    println!(
        "curl -sS -d {} http://{}/control\n",
        quoted(r#"{"misbehave":"broken-signature","times":1}"#),
        site.sim().address()
    );
    println!("{}", paint::title("Metrics, and the evidence so far"));
    println!("curl -sS http://{}/metrics", site.addresses().metrics);
    println!("{} ledger verify {}\n", site.program().display(), places.ledger().display());
    println!("Logs are in {}. Everything ends and is removed with Ctrl-C.", places.logs().display());
}
