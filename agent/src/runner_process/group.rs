//! The runner in a process group of its own, where systemd does not run.

use std::{fs, process::Stdio, time::Duration};

use lightsout_core::{duration::not_within, platform::Launch};
use tokio::io::AsyncWriteExt;

use super::{NotStarted, RUNNER_ENV, RunnerProcess, START, record::Record};
use crate::process::{self, Process};

/// Becomes the runner once the agent has written down which process it is, so that no runner ever runs that the agent
/// cannot find. An agent that dies before that starts none.
const STARTER: &str = r#"read -r go && exec "$@" </dev/null"#;

impl RunnerProcess {
    /// Starts the runner in a process group of its own.
    pub(super) async fn start_group(&self, launch: &Launch) -> Result<Process, NotStarted> {
        // Its arguments do not go where the reason is told: into tags and records, which many may read.
        let program = launch.argv.first().map_or("", String::as_str);
        let mut command = tokio::process::Command::new("/bin/sh");
        command
            .args(["-c", STARTER, "lightsout-runner"])
            .args(&launch.argv)
            .env_clear()
            .envs(self.environment(&launch.env).iter().map(|(name, value)| (name, value.expose())))
            .env(RUNNER_ENV, self.folder.as_os_str())
            .current_dir(&self.folder)
            .process_group(0)
            .stdin(Stdio::piped());
        if let Some(user) = self.known_user() {
            user.run(&mut command, user.groups_with(self.engine.as_deref()));
        }
        let mut child = command.spawn().map_err(|error| format!("cannot start {program}: {error}"))?;
        let input = child.stdin.take();
        // Its number cannot come to mean another process before it is waited for.
        let held = match child.id().map(Process::open) {
            Some(Ok(Some(process))) => Ok(process),
            Some(Err(error)) => Err(error.to_string()),
            Some(Ok(None)) | None => Err("it ended at once".into()),
        };
        let recorded = held.and_then(|process| {
            reset_memory_score(process.pid());
            Record::of(&process).write(&self.record_file()).map_err(|error| error.to_string())?;
            Ok(process)
        });
        let process = match recorded {
            Ok(process) => process,
            Err(why) => {
                // Nobody told it to go, so it is no runner.
                let _ = child.kill().await;
                return Err(format!("cannot start {program}: {why}").into());
            }
        };
        if let Some(mut input) = input {
            // One that is gone by now is told of below.
            let _ = input.write_all(b"go\n").await;
        }
        let becoming = async {
            loop {
                if let Ok(Some(status)) = child.try_wait() {
                    let why = format!("{program} ended at once with {status}; the agent's log has what it said");
                    return Err(NotStarted { why, said: self.last_words(None).await });
                }
                match process::was_called_with(process.pid(), STARTER) {
                    Ok(Some(false)) => return Ok(()),
                    // The starter is not the runner yet: what it is to become may not exist.
                    Ok(Some(true) | None) | Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
                }
            }
        };
        match tokio::time::timeout(START, becoming).await {
            Ok(became) => became?,
            Err(_) if process::was_called_with(process.pid(), STARTER).is_ok_and(|called| called == Some(true)) => {
                let _ = child.kill().await;
                let remedy = "is the machine overloaded, or the disk with the program slow?";
                return Err(not_within(format!("{program} did not start"), START, remedy).into());
            }
            // It was told to go, and nobody can see that it did not.
            Err(_) => {}
        }
        // Somebody must collect the exit status of a child, or it stays a zombie.
        tokio::spawn(async move { child.wait().await });
        Ok(process)
    }
}

/// What takes the memory must go before who sees a notice: the agent's own score is handed down else.
fn reset_memory_score(pid: u32) {
    let file = format!("/proc/{pid}/oom_score_adj");
    let inherited = fs::read_to_string(&file).ok().and_then(|score| score.trim().parse::<i32>().ok());
    if inherited.is_some_and(|score| score < 0)
        && let Err(error) = fs::write(&file, "0")
    {
        tracing::warn!(%error, "the runner keeps the agent's place among those that go when memory is short");
    }
}
