//! `yanqian-devpki`: makes a development PKI, issues an entity's certificates, re-issues a CRL.

#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};
use yanqian_devpki as devpki;
use yanqian_devpki::{Authority, Layout, Options};

/// Development PKI of the signature verification server. Never for production.
#[derive(Parser)]
#[command(name = "yanqian-devpki", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make everything: yanqian-devpki generate --dir target/pki
    Generate {
        /// Directory to fill; must not hold a PKI already
        #[arg(long)]
        dir: PathBuf,
        /// Lifetime of end-entity certificates in days
        #[arg(long, default_value_t = 365)]
        days: u32,
    },
    /// Issue an entity signing certificate: yanqian-devpki issue-entity --dir target/pki --csr e.csr --out e.pem
    IssueEntity {
        /// Directory of the PKI
        #[arg(long)]
        dir: PathBuf,
        /// PKCS#10 request, PEM or DER
        #[arg(long)]
        csr: PathBuf,
        /// Where the certificate (PEM) goes
        #[arg(long)]
        out: PathBuf,
        /// Lifetime in days
        #[arg(long, default_value_t = 365)]
        days: u32,
    },
    /// Make and wrap an entity encryption pair: yanqian-devpki issue-encryption --dir target/pki --signing e.pem --out enc.pem --key-out enc.env
    IssueEncryption {
        /// Directory of the PKI
        #[arg(long)]
        dir: PathBuf,
        /// The entity's signing certificate from this PKI, or the request for it (PEM or DER): the pair is wrapped to its key
        #[arg(long)]
        signing: PathBuf,
        /// Where the certificate (PEM) goes
        #[arg(long)]
        out: PathBuf,
        /// Where the wrapped private key (DER `SM2EnvelopedKey`) goes
        #[arg(long)]
        key_out: PathBuf,
        /// Lifetime in days
        #[arg(long, default_value_t = 365)]
        days: u32,
    },
    /// Re-issue a CRL: yanqian-devpki crl --dir target/pki --authority issuing --revoke target/pki/platform/signing.pem
    Crl {
        /// Directory of the PKI
        #[arg(long)]
        dir: PathBuf,
        /// Which authority's list
        #[arg(long, value_enum)]
        authority: CrlAuthority,
        /// Certificates (PEM) to list as revoked; the list is replaced, not extended
        #[arg(long)]
        revoke: Vec<PathBuf>,
        /// lastUpdate, RFC 3339 (default: one minute ago)
        #[arg(long, value_parser = instant)]
        last_update: Option<OffsetDateTime>,
        /// nextUpdate, RFC 3339 (default: in 30 days)
        #[arg(long, value_parser = instant)]
        next_update: Option<OffsetDateTime>,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum CrlAuthority {
    Root,
    Issuing,
}

fn instant(text: &str) -> Result<OffsetDateTime, String> {
    OffsetDateTime::parse(text, &Rfc3339).map_err(|e| format!("not an RFC 3339 time: {e}"))
}

fn read(path: &Path) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    std::fs::read(path).map_err(|e| format!("{}: {e}", path.display()).into())
}

fn run(command: Command) -> Result<String, Box<dyn std::error::Error>> {
    let now = OffsetDateTime::now_utc();
    match command {
        Command::Generate { dir, days } => {
            devpki::generate(&dir, &Options { days, ..Options::default() })?;
            Ok(format!("development PKI in {}", dir.display()))
        }
        Command::IssueEntity { dir, csr, out, days } => {
            let pem = devpki::issue_entity_signing(&Layout::at(dir), &read(&csr)?, now, days)?;
            std::fs::write(&out, pem).map_err(|e| format!("{}: {e}", out.display()))?;
            Ok(format!("entity signing certificate in {}", out.display()))
        }
        Command::IssueEncryption { dir, signing, out, key_out, days } => {
            let issued = devpki::issue_entity_encryption(&Layout::at(dir), &read(&signing)?, now, days)?;
            for (file, octets) in [(&out, issued.certificate), (&key_out, issued.enveloped_key)] {
                std::fs::write(file, octets).map_err(|e| format!("{}: {e}", file.display()))?;
            }
            Ok(format!("entity encryption certificate in {}, its wrapped key in {}", out.display(), key_out.display()))
        }
        Command::Crl { dir, authority, revoke, last_update, next_update } => {
            let mut serials = Vec::new();
            for certificate in &revoke {
                serials.push(devpki::serial(&read(certificate)?)?);
            }
            let authority = match authority {
                CrlAuthority::Root => Authority::Root,
                CrlAuthority::Issuing => Authority::Issuing,
            };
            let last = last_update.unwrap_or(now - Duration::MINUTE);
            let next = next_update.unwrap_or(now + Duration::days(30));
            devpki::reissue_crl(&Layout::at(dir), authority, &serials, last, next)?;
            Ok(format!("{} CRL with {} revoked", authority.name(), serials.len()))
        }
    }
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(done) => {
            println!("{done}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("yanqian-devpki: {error}");
            ExitCode::FAILURE
        }
    }
}
