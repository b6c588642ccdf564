//! The only place that prints. Everything else logs.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::fmt::Display;

/// A line of a command's result.
pub(crate) fn say(line: impl Display) {
    println!("{line}");
}

/// Octets of a command's result as they are.
pub(crate) fn write(octets: &[u8]) -> std::io::Result<()> {
    use std::io::Write;
    std::io::stdout().write_all(octets)
}

/// A line beside a command's result, on standard error.
pub(crate) fn note(line: impl Display) {
    eprintln!("{line}");
}

/// Why a command failed.
pub(crate) fn complain(problem: &dyn Display) {
    eprintln!("yanqian: {problem}");
}
