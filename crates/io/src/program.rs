//! Runs a program to its end, or to its time-out.

use std::{fmt, io, process::Stdio, time::Duration};

use lightsout_core::{
    duration::not_within,
    exchange::{Output, Program},
};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::Command,
    time::timeout,
};

/// How much of standard output is kept, in bytes.
const STDOUT: usize = 1 << 20;
/// How much of standard error is kept, in bytes.
const STDERR: usize = 64 << 10;
/// How long after the program's end its output may still come, when something that it left behind holds the pipe.
const LINGER: Duration = Duration::from_millis(200);

/// Why a program gave no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unanswered {
    /// Whether it was started: then it may have had effects.
    pub started: bool,
    /// Whether there is no such program.
    pub missing: bool,
    /// The program and what went wrong, for an operator.
    pub why: String,
}

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

/// Runs the program in a process group of its own, without input. What it writes beyond the caps is read and dropped.
///
/// # Errors
/// When it cannot be started, or did not end in time and was killed with its whole group.
pub async fn run(program: &Program) -> Result<Output, Unanswered> {
    run_prepared(program, |_| Ok(())).await
}

/// The same after `prepare` has changed how it is started; what that says is why it was not.
///
/// # Errors
/// As [`run`].
pub async fn run_prepared(
    program: &Program,
    prepare: impl FnOnce(&mut Command) -> Result<(), String>,
) -> Result<Output, Unanswered> {
    let not_started = |why| Unanswered { started: false, missing: false, why };
    let Some((name, arguments)) = program.argv.split_first() else {
        return Err(not_started("the command is empty: name a program".into()));
    };
    let mut command = Command::new(name);
    prepare(&mut command).map_err(|why| not_started(format!("cannot start {name}: {why}")))?;
    let mut child = command
        .args(arguments)
        .envs(program.env.iter().map(|(key, value)| (key, value.expose())))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| Unanswered {
            missing: error.kind() == io::ErrorKind::NotFound,
            ..not_started(cannot_start(name, &error))
        })?;
    let mut group = Group(child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw));
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());

    let mut out = Vec::new();
    let mut err = Vec::new();
    let running = async {
        let reading = async { tokio::join!(read(stdout, STDOUT, &mut out), read(stderr, STDERR, &mut err)) };
        tokio::pin!(reading);
        tokio::select! {
            _ = &mut reading => child.wait().await,
            status = child.wait() => {
                // Late or cut output is no reason to fail: the status is the answer.
                let _ = timeout(LINGER, reading).await;
                status
            }
        }
    };
    let unanswered = |why| Unanswered { started: true, missing: false, why };
    let status = timeout(program.timeout, running)
        .await
        .map_err(|_| {
            unanswered(not_within(
                format!("{name} did not end"),
                program.timeout,
                "it was killed: see what it waits for",
            ))
        })?
        .map_err(|error| unanswered(format!("cannot wait for {name}: {error}")))?;
    group.0 = None;
    Ok(Output { status: status.code(), stdout: out, stderr: err })
}

/// Kills the whole process group when dropped, unless it was emptied before.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            // It fails only when nothing of the group is left.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}

/// Reads to the end and keeps the first `cap` bytes.
async fn read(pipe: Option<impl AsyncRead + Unpin>, cap: usize, kept: &mut Vec<u8>) -> io::Result<()> {
    let Some(mut pipe) = pipe else { return Ok(()) };
    let mut buffer = vec![0; 8 << 10];
    loop {
        let count = pipe.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        let room = cap - kept.len();
        kept.extend_from_slice(&buffer[..count.min(room)]);
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the standard library adds kinds")]
fn cannot_start(name: &str, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => format!("cannot start {name}: there is no such program in PATH"),
        io::ErrorKind::PermissionDenied => format!("cannot start {name}: it is not executable"),
        _ => format!("cannot start {name}: {error}"),
    }
}

#[cfg(test)]
mod tests;
