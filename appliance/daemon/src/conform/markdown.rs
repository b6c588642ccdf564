//! The report for people. What the platform wrote itself (names in certificates, serials, codes) cannot break out of its place.

use std::fmt::{self, Write as _};

use super::report::{AddressFacts, CertificateFacts, CheckFacts, ExchangeFacts, KeyFacts, Report, Step};

/// A text in a table or a line.
struct Cell<'a>(&'a str);

impl fmt::Display for Cell<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '|' | '`' | '*' | '_' | '<' | '>' | '[' | ']' | '\\' | '&' | '#' | '!' => write!(f, "\\{c}")?,
                c if c.is_control() => f.write_char(' ')?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

pub(super) fn render(report: &Report) -> String {
    let mut out = String::new();
    // Writing into a text does not fail.
    let _ = write_report(&mut out, report);
    out
}

fn write_report(out: &mut String, report: &Report) -> fmt::Result {
    let summary = report.summary;
    writeln!(out, "# Joint debugging of {} with {}\n", Cell(&report.entity), Cell(&report.platform))?;
    writeln!(
        out,
        "{} passed, {} failed, {} not done (Measures for the Administration of Exit-Entry Certificate Identification, art. 7(3)).\n",
        summary.passed, summary.failed, summary.not_done
    )?;
    writeln!(out, "| | |\n|---|---|")?;
    let agreement = format!("{}, {}", report.agreement.name, report.agreement.hash);
    let profile = format!("{}, {}", report.profile.name, report.profile.hash);
    for (name, text) in [
        ("Began", &report.began),
        ("Ended", &report.ended),
        ("Node", &report.node),
        ("Caller", &report.caller),
        ("Software", &report.software),
        ("Agreement", &agreement),
        ("Platform profile", &profile),
        ("Configuration", &report.configuration),
        ("Way", &report.way),
    ] {
        writeln!(out, "| {name} | {} |", Cell(text))?;
    }
    if let Some(code) = &report.credit_code {
        writeln!(out, "| Unified social credit code | {} |", Cell(code))?;
    }
    if let Some(trust) = &report.trust {
        writeln!(out, "| Trust store | {} |", Cell(trust))?;
    }
    writeln!(out, "\n## Steps\n\n| Step | Result | Reason |\n|---|---|---|")?;
    for step in &report.steps {
        writeln!(out, "| {} | {} | {} |", Cell(&step.name), step.result.as_str(), Cell(&step.reason))?;
    }
    report.steps.iter().filter(|step| !step.name.starts_with("site/")).try_for_each(|step| write_step(out, step))
}

fn write_step(out: &mut String, step: &Step) -> fmt::Result {
    writeln!(out, "\n## {}\n", Cell(&step.name))?;
    writeln!(out, "- Claim: {}", Cell(&step.claim))?;
    writeln!(out, "- Done: {}", Cell(&step.done))?;
    writeln!(out, "- Result: {}. {}", step.result.as_str(), Cell(&step.reason))?;
    step.keys.iter().try_for_each(|key| write_key(out, key))?;
    step.addresses.iter().try_for_each(|address| write_address(out, address))?;
    if let Some(check) = &step.check {
        write_check(out, check)?;
    }
    if let Some(ledger) = &step.ledger {
        writeln!(out, "- Tree hash over {} records: {}", ledger.records, ledger.tree_hash)?;
    }
    Ok(())
}

fn write_key(out: &mut String, key: &KeyFacts) -> fmt::Result {
    let KeyFacts { usage, state, key, certificate, proven, grade } = key;
    let proven = if *proven { "proven" } else { "not proven" };
    writeln!(out, "- {usage} key, {state}, {proven}, grade {grade}: {key}")?;
    write!(out, "  - ")?;
    write_certificate(out, certificate)
}

fn write_certificate(out: &mut String, certificate: &CertificateFacts) -> fmt::Result {
    let CertificateFacts { subject, issuer, serial, not_before, not_after, hash } = certificate;
    let (subject, issuer) = (Cell(subject), Cell(issuer));
    writeln!(out, "{subject}, by {issuer}, serial {serial}, {not_before} to {not_after}, SM3 {hash}")
}

fn write_address(out: &mut String, address: &AddressFacts) -> fmt::Result {
    write!(out, "- {}: ", Cell(&address.address))?;
    if let Some(problem) = &address.problem {
        return writeln!(out, "{}", Cell(problem));
    }
    match (&address.tls, &address.suite) {
        (Some(version), Some(suite)) => write!(out, "{}, {}", Cell(version), Cell(suite))?,
        _ => write!(out, "plain HTTP")?,
    }
    if let Some(protocol) = &address.protocol {
        write!(out, ", {}", Cell(protocol))?;
    }
    writeln!(out, "{}", if address.pinned == Some(true) { ", pinned" } else { "" })?;
    for certificate in &address.chain {
        write!(out, "  - ")?;
        write_certificate(out, certificate)?;
    }
    Ok(())
}

fn write_check(out: &mut String, check: &CheckFacts) -> fmt::Result {
    let CheckFacts { mode, document_type, purpose, expected, found, fields, verification, .. } = check;
    writeln!(out, "- Check: {mode}, {document_type}, purpose {}, verification {verification}", Cell(purpose))?;
    writeln!(out, "- Expected: {expected}. Found: {found}")?;
    if let Some(code) = &check.code {
        writeln!(out, "- Result code: {}", Cell(code))?;
    }
    if !fields.is_empty() {
        let fields: Vec<_> = fields.iter().map(|(field, verdict)| format!("{field} {verdict}")).collect();
        writeln!(out, "- Fields: {}", Cell(&fields.join(", ")))?;
    }
    if let Some(latency) = check.latency_ms {
        writeln!(out, "- Latency: {latency} ms")?;
    }
    check.exchanges.iter().try_for_each(|exchange| write_exchange(out, exchange))?;
    for record in &check.records {
        writeln!(out, "- Record {} {}: {}", record.sequence, record.kind, record.leaf_hash)?;
    }
    Ok(())
}

fn write_exchange(out: &mut String, exchange: &ExchangeFacts) -> fmt::Result {
    writeln!(out, "- Exchange {}: request {}, nonce {}", exchange.step, exchange.request, exchange.nonce)?;
    if let Some(sent) = &exchange.sent {
        let latency = exchange.latency_ms.map_or_else(|| "no answer".to_owned(), |ms| format!("{ms} ms"));
        writeln!(out, "  - sent {sent}, {latency}, signed by key {}", exchange.key)?;
    }
    if let Some(status) = exchange.http_status {
        writeln!(out, "  - HTTP {status}")?;
    }
    if let Some(serial) = &exchange.platform_serial {
        writeln!(out, "  - platform serial {}", Cell(serial))?;
    }
    if let Some(signer) = &exchange.signer {
        write!(out, "  - signer ")?;
        write_certificate(out, signer)?;
    }
    for revocation in &exchange.revocation {
        let until = revocation.next_update.as_deref().unwrap_or("no end");
        writeln!(out, "  - {} of {} to {until}, SM3 {}", revocation.kind, revocation.this_update, revocation.hash)?;
    }
    for check in &exchange.checks {
        let reason = check.reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
        writeln!(out, "  - {}: {}{}", check.name, check.result.as_str(), Cell(&reason))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Cell;

    #[test]
    fn what_others_wrote_stays_in_its_cell() {
        let told = Cell("a|b\n# c <script> [x](y) `z` \u{7}").to_string();
        assert_eq!(told, "a\\|b \\# c \\<script\\> \\[x\\](y) \\`z\\`  ");
    }
}
