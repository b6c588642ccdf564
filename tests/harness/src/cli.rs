//! The appliance's own command line, run as an operator would run it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::error::{Doing as _, HarnessError};
use crate::process::prepare;
use crate::site::Site;
use crate::users::User;

/// How a command ended and what it said.
#[derive(Debug, Clone)]
pub struct Output {
    /// The exit code; none when a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Output {
    /// Both streams, for messages and searches.
    pub fn all(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }
}

/// Runs the appliance's command line beside a site that is being used otherwise. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Operator {
    pub(crate) program: PathBuf,
    pub(crate) user: Option<User>,
}

impl Operator {
    /// Runs it to its end; blocks.
    pub fn run(&self, arguments: &[&str]) -> Result<Output, HarnessError> {
        run(&self.program, arguments, self.user)
    }
}

impl Site {
    /// The appliance's command line under the daemon's user, apart from this site.
    pub fn daemons_operator(&self) -> Operator {
        Operator { program: self.program().to_owned(), user: self.options().users.daemon }
    }

    /// The appliance's command line under the worker's user, apart from this site.
    pub fn workers_operator(&self) -> Operator {
        Operator { program: self.program().to_owned(), user: self.options().users.worker }
    }
}

/// Runs a program to its end.
pub(crate) fn run(program: &Path, arguments: &[&str], user: Option<User>) -> Result<Output, HarnessError> {
    let output = spawn(program, arguments, user)?;
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    Ok(Output { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) })
}

/// As [`run`]; an exit status other than 0 is an error that shows the output.
pub(crate) fn expect(program: &Path, arguments: &[&str], user: Option<User>) -> Result<String, HarnessError> {
    let output = spawn(program, arguments, user)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let name = program.file_name().unwrap_or_default().to_string_lossy();
    Err(HarnessError::Command {
        command: format!("{name} {}", arguments.join(" ")),
        status: output.status,
        output: String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned(),
    })
}

fn spawn(program: &Path, arguments: &[&str], user: Option<User>) -> Result<std::process::Output, HarnessError> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    prepare(&mut command, user);
    command.output().doing(|| format!("running {}", program.display()))
}
