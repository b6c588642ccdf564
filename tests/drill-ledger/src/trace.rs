//! The appender under strace: once to see which calls it makes on the ledger's files, then once for each call and fault.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::seam::{Fault, Order};

/// A run that takes longer hangs.
const LIMIT: Duration = Duration::from_mins(1);

/// One call of one run: the `index`-th (from 1) of its name that touches the files in question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Site {
    pub(crate) call: String,
    pub(crate) index: usize,
}

/// How the appender is run.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Through<'a> {
    /// As it is.
    Plain,
    /// Through the seam in the program itself.
    Seam(Order),
    /// Under strace from its start, writing to `log`.
    Traced { log: &'a Path, inject: Option<(&'a Site, Fault)> },
    /// Under strace from the moment when it has opened the ledger.
    TracedOnceOpen { log: &'a Path, inject: Option<(&'a Site, Fault)> },
}

/// What became of a run.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) said: String,
    pub(crate) status: ExitStatus,
}

/// Whether a process may be traced here; why not, else.
pub(crate) async fn permitted() -> Result<(), String> {
    let mut program = Command::new("strace");
    program.args(["-f", "-q", "-o", "/dev/null", "-e", "trace=openat", "-e", "inject=openat:error=EIO:when=1000"]);
    let ran = program.arg("true").stdin(Stdio::null()).output().await;
    match ran {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => Err(format!("strace: {error}")),
    }
}

fn strace(paths: &[PathBuf], log: &Path, inject: Option<(&Site, Fault)>) -> Command {
    let mut program = Command::new("strace");
    program.arg("-f").arg("-o").arg(log);
    for path in paths {
        program.arg("-P").arg(path);
    }
    if let Some((Site { call, index }, fault)) = inject {
        let what = match fault {
            Fault::Kill => "signal=KILL".to_owned(),
            error => format!("error={}", error.word()),
        };
        program.arg("-e").arg(format!("trace={call}"));
        program.arg("-e").arg(format!("inject={call}:{what}:when={index}"));
    }
    program.kill_on_drop(true);
    program
}

/// Runs the appender in `root`; traces what touches `paths`.
pub(crate) async fn run(root: &Path, task: &str, paths: &[PathBuf], through: Through<'_>) -> Result<Ran, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = match through {
        Through::Traced { log, inject } => {
            let mut command = strace(paths, log, inject);
            command.arg(program);
            command
        }
        _ => Command::new(program),
    };
    command.arg("append").arg(task).arg(root);
    if let Through::Seam(Order { at, fault }) = through {
        command.arg("--fault").arg(format!("{at}:{}", fault.word()));
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    let mut child = command.spawn().map_err(|error| error.to_string())?;
    let attach = match through {
        Through::TracedOnceOpen { log, inject } => Some(strace(paths, log, inject)),
        _ => None,
    };
    match timeout(LIMIT, follow(&mut child, attach)).await {
        Ok(result) => result.map_err(|error| format!("running the appender: {error}")),
        Err(_) => Err(format!("the appender hung for {LIMIT:?}")),
    }
}

async fn follow(child: &mut Child, attach: Option<Command>) -> std::io::Result<Ran> {
    let broken = || std::io::Error::from(std::io::ErrorKind::BrokenPipe);
    let mut said = String::new();
    let mut out = BufReader::new(child.stdout.take().ok_or_else(broken)?);
    while out.read_line(&mut said).await? > 0 && !said.ends_with("opened\n") {}
    let mut tracer = None;
    if let Some(mut strace) = attach
        && let Some(id) = child.id()
    {
        let mut strace = strace.arg("-p").arg(id.to_string()).stderr(Stdio::piped()).spawn()?;
        let mut lines = BufReader::new(strace.stderr.take().ok_or_else(broken)?).lines();
        while let Some(line) = lines.next_line().await?
            && !line.contains("attached")
        {}
        tracer = Some((strace, lines));
    }
    if let Some(mut input) = child.stdin.take() {
        // It may have ended already.
        let _ = input.write_all(b"go\n").await;
    }
    out.read_to_string(&mut said).await?;
    let status = child.wait().await?;
    if let Some((mut strace, mut lines)) = tracer {
        while lines.next_line().await?.is_some() {}
        strace.wait().await?;
    }
    Ok(Ran { said, status })
}

/// Every call in a log, each name's calls numbered within its thread. Threads share no number: strace counts so, too.
pub(crate) fn sites(log: &str) -> Vec<Site> {
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let mut most: BTreeMap<&str, usize> = BTreeMap::new();
    for line in log.lines() {
        let Some((thread, rest)) = line.split_once(' ') else { continue };
        let Some((call, _)) = rest.trim_start().split_once('(') else { continue };
        if call.is_empty()
            || !call.bytes().all(|octet| octet.is_ascii_lowercase() || octet.is_ascii_digit() || octet == b'_')
        {
            continue; // a signal, an end, or the rest of a call that was counted
        }
        let count = counts.entry((thread, call)).or_default();
        *count += 1;
        let most = most.entry(call).or_default();
        *most = (*most).max(*count);
    }
    most.into_iter()
        .flat_map(|(call, count)| (1..=count).map(move |index| Site { call: call.to_owned(), index }))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_numbered_by_name_and_thread() {
        let log = "12 openat(3, \"a\") = 4\n12 openat(3, \"b\") = 5\n13 openat(3, \"c\") = 6\n12 fdatasync(4 <unfinished ...>\n\
                   12 <... fdatasync resumed>) = 0\n12 +++ exited with 0 +++\n12 --- SIGCHLD {si_signo=SIGCHLD} ---\n";
        let named: Vec<_> = sites(log).into_iter().map(|site| format!("{} {}", site.call, site.index)).collect();
        assert_eq!(named, ["fdatasync 1", "openat 1", "openat 2"]);
    }
}
