//! `yanqian-verify`: proves a receipt from its file. Exit status 0 when every step holds, 1 when one does not, 2 when it
//! was not asked properly.
#![forbid(unsafe_code)]

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use yanqian_evidence::receipt::MAX_RECEIPT;
use yanqian_verify::{Asked, Options, Trust, verify_json};
use yanqian_vocabulary::Timestamp;
use zeroize::Zeroizing;

/// Proves a receipt offline, step by step.
///
/// Exit status: 0 when every step holds, 1 when one does not, 2 on wrong use or an unreadable file.
#[derive(Debug, Parser)]
#[command(name = "yanqian-verify", version)]
struct Arguments {
    /// The receipt.
    receipt: PathBuf,
    /// Directory with anchors/, entity-anchors/, signers.toml and, for anchored receipts, ledgers.toml (certs/README.md).
    #[arg(long, value_name = "DIR")]
    trust: PathBuf,
    /// Judge certificates and lists as of this time, RFC 3339; by default the time of the receipt's last record. After the
    /// checkpoint of an anchor that holds, the checkpoint's time counts.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    at: Option<Timestamp>,
    /// What was asked, as JSON like the request's body: opens the commitment.
    #[arg(long, value_name = "FILE")]
    fields: Option<PathBuf>,
    /// The portrait that was sent, as JPEG, where the file of fields does not hold it.
    #[arg(long, value_name = "FILE", requires = "fields")]
    portrait: Option<PathBuf>,
    /// Directory of the chip's files that were sent (com.bin, dg1.bin, dg2.bin, sod.bin), where the file of fields does
    /// not hold them.
    #[arg(long, value_name = "DIR", requires = "fields")]
    chip: Option<PathBuf>,
    /// Seconds that a revocation list may have been used past its nextUpdate: the appliance's `revocation_grace_seconds`.
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    grace: u32,
    /// Report as JSON.
    #[arg(long)]
    json: bool,
}

fn parse_time(text: &str) -> Result<Timestamp, String> {
    let instant = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| "expected a time like 2026-11-23T10:00:00Z")?;
    Timestamp::from_utc(instant).map_err(|error| error.to_string())
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(problem) => {
            let _ = writeln!(io::stderr(), "yanqian-verify: {problem}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &Arguments) -> Result<bool, String> {
    let trust = Trust::load(&arguments.trust, arguments.grace).map_err(|error| error.to_string())?;
    let options = Options { at: arguments.at, asked: asked(arguments)? };
    let receipt = read(&arguments.receipt)?;
    let report = verify_json(&receipt, &trust, &options);
    let mut out = io::stdout().lock();
    let written = if arguments.json { writeln!(out, "{:#}", report.to_json()) } else { report.write_text(&mut out) };
    written.and_then(|()| out.flush()).map_err(|error| error.to_string())?;
    Ok(report.holds())
}

fn asked(arguments: &Arguments) -> Result<Option<Asked>, String> {
    let Some(file) = &arguments.fields else { return Ok(None) };
    let mut asked = Asked::from_json(&read(file)?).map_err(|error| format!("{}: {error}", file.display()))?;
    if let Some(portrait) = &arguments.portrait {
        asked.set_portrait(&read(portrait)?);
    }
    if let Some(chip) = &arguments.chip {
        let file = |name: &str| read(&chip.join(name));
        asked.set_chip(&file("com.bin")?, &file("dg1.bin")?, &file("dg2.bin")?, &file("sod.bin")?);
    }
    Ok(Some(asked))
}

/// A file of at most the size of a receipt. One octet more is read of a larger one, so that it is refused as what it is.
fn read(file: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
    let problem = |error: io::Error| format!("{}: {error}", file.display());
    let mut octets = Zeroizing::new(Vec::new());
    let limit = u64::try_from(MAX_RECEIPT).unwrap_or(u64::MAX).saturating_add(1);
    let opened = std::fs::File::open(file).map_err(problem)?;
    io::Read::read_to_end(&mut io::Read::take(opened, limit), &mut octets).map_err(problem)?;
    Ok(octets)
}
