//! Jobs as plain processes. Each is the head of a process group of its own.

use std::{io, process::Stdio, time::Duration};

use anyhow::{Context, Result};
use bytes::{Bytes, BytesMut};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::{Child, Command},
    task::JoinSet,
};

use crate::{
    job::{Job, Log},
    program::shell_code,
};

/// A job's processes.
pub(crate) struct ProcessGroup {
    child: Child,
    id: Pid,
}

/// Ends what is left of a group.
pub(crate) struct Killer(Pid);

/// A program with these arguments and the job's variables; nothing is started yet.
pub(crate) fn command(argv: &[String], job: &Job) -> io::Result<Command> {
    let [program, arguments @ ..] = argv else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the job has no command"));
    };
    let mut command = Command::new(program);
    command.args(arguments).envs(&job.env);
    Ok(command)
}

impl ProcessGroup {
    /// Starts a program as the head of a group.
    pub(crate) fn spawn(mut command: Command) -> Result<Self> {
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {}", command.as_std().get_program().display()))?;
        let id =
            child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?)).context("the job ended before it began")?;
        Ok(Self { child, id })
    }

    /// What ends it, also while it runs.
    pub(crate) fn killer(&self) -> Killer {
        Killer(self.id)
    }

    /// Runs it to its end; the exit code, or 128 and the signal's number.
    pub(crate) async fn run(mut self, log: Log) -> Result<i64> {
        let mut copies = JoinSet::new();
        copies.spawn(copy(self.child.stdout.take().context("no standard output")?, log.clone()));
        copies.spawn(copy(self.child.stderr.take().context("no standard error")?, log));
        let status = self.child.wait().await?;
        // What the job leaves behind in the background may hold its output open for ever: the job ends when its head does.
        let _ = tokio::time::timeout(Duration::from_millis(200), copies.join_all()).await;
        Ok(i64::from(shell_code(status)))
    }
}

impl Killer {
    /// Signals every process of the group.
    pub(crate) fn signal(&self, signal: Signal) {
        let _ = kill_process_group(self.0, signal);
    }

    /// Kills every process of the group that is left.
    pub(crate) fn kill(&self) {
        self.signal(Signal::KILL);
    }
}

async fn copy(mut output: impl AsyncRead + Unpin, log: Log) {
    let mut buffer = BytesMut::with_capacity(8192);
    while let Ok(1..) = output.read_buf(&mut buffer).await {
        let piece: Bytes = buffer.split().freeze();
        if log.send(piece).await.is_err() {
            return;
        }
    }
}
