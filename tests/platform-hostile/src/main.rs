//! `yanqian-drill-platform`: everything wrong that a platform, or somebody in its place, can answer, asked of a whole site: one
//! misbehaviour after the other, and with 64 checks in flight. Each must be refused by the check that is there for it, with the
//! reason that is its own; an honest platform with every oddity that is permitted must be believed.

#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr)] // telling is what it is for

mod drill;
mod restart;
mod rows;
mod store;
mod table;

use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use yanqian_harness::{Binaries, Form, HarnessError, Options};

use crate::drill::Drill;
use crate::table::Table;

/// What carries the messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Transport {
    /// TLS 1.2 or later as both sides come to it.
    Tls,
    /// TLS 1.3 with SM2, SM3 and SM4 alone, and certificates on both sides.
    Rfc8998,
}

impl Transport {
    fn set(self, mut options: Options) -> Options {
        options.link.rfc8998 = self == Self::Rfc8998;
        options
    }
}

/// Drills a site through everything wrong that a platform can answer, and tells what was not refused for its own reason.
///
/// Example: yanqian-drill-platform --form second
#[derive(Parser, Debug)]
#[command(name = "yanqian-drill-platform", version)]
struct Arguments {
    /// Only this form of messages; repeat for more
    #[arg(long)]
    form: Vec<Form>,
    /// Only this transport; repeat for more
    #[arg(long)]
    transport: Vec<Transport>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut interrupted = std::pin::pin!(tokio::signal::ctrl_c());
    // Whichever of the two ends, the other is dropped, and with it the site: its processes and its directory.
    let ended = tokio::select! {
        ended = run(&arguments) => ended,
        _ = &mut interrupted => {
            eprintln!("interrupted; everything is stopped and removed");
            return ExitCode::from(130);
        }
    };
    match ended {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("the drill failed: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> Result<bool, HarnessError> {
    let forms = if arguments.form.is_empty() { Form::ALL.to_vec() } else { arguments.form.clone() };
    let transports = match arguments.transport.as_slice() {
        [] => Transport::value_variants(),
        chosen => chosen,
    };
    let mut table = Table::default();
    for (index, transport) in transports.iter().enumerate() {
        // A transport knows nothing of forms: one of them tries it, and the first transport tries them all.
        let tried = if index == 0 || !arguments.form.is_empty() { forms.as_slice() } else { &[Form::Reference] };
        for form in tried {
            let options = transport.set(Options::new(Binaries::beside_this_program()?));
            let mut drill = Drill::begin(options, *form).await?;
            // What failed half-way is told beside what was found.
            table.add(*form, drill.run().await);
            if *form == Form::Reference {
                table.add(*form, store::run(&drill).await);
                table.add(*form, restart::run(&mut drill).await);
            }
            let stats = drill.site.sim().stats().await?;
            table.told(*form, &format!("{transport:?}"), stats.requests);
            if stats.duplicates != 0 {
                table.wrong(format!("{form}: {} nonces were sent twice", stats.duplicates));
            }
        }
    }
    Ok(table.print(transports.len()))
}
