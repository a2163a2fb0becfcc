//! The operator's own program that makes room (`agent.clean`). It has nothing of the agent but its user: no place in its unit, none of its
//! variables, not its output and not its rank when memory runs out; and it ends with all that it started.

use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    path::PathBuf,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use lightsout_core::{duration::not_within, exchange::Text, settings::Argv};
use rustix::{
    io::{FdFlags, fcntl_setfd},
    process::{Pid, Signal, kill_process_group},
};
use tokio::{
    process::{Child, Command},
    time::{Instant, timeout, timeout_at},
};

use crate::{
    before_register::{cut_output, tail},
    clock::unix_ms_now,
    last_words,
    systemd::ask,
};

/// What the program is started by: the agent is the last that is ended where memory runs out, and this need not be.
const STARTER: &str = r#"{ echo 0 >/proc/self/oom_score_adj; } 2>/dev/null; exec "$@""#;
/// How long systemd may take to end what is left of it, and the kernel to give it back: a program that waits for a disk cannot be killed.
const END: Duration = Duration::from_secs(5);
/// Between two looks at how much it has said.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// How much of what it said is read for the log, in bytes.
const LAST_WORDS: u64 = 16 << 10;

/// Runs the program.
pub(crate) struct Cleaner {
    /// The program and its arguments.
    pub argv: Argv,
    /// All that it finds in its environment.
    pub environment: BTreeMap<String, Text>,
    /// Whether it gets a scope of systemd's of its own.
    pub unit: bool,
    /// Where what it says is kept, of its last run only.
    pub output: PathBuf,
}

impl Cleaner {
    /// Runs it to its end, or kills it after so long; what became of it. It inherits the lock, and so does whatever it starts: an agent that
    /// comes after this one knows whether it goes on.
    pub(super) async fn run(&self, lock: &File, limit: Duration) -> String {
        let program = self.argv.program();
        let how = match self.end(lock, limit).await {
            Ok(Some(status)) if status.success() => return "agent.clean has done its work".into(),
            Ok(Some(status)) => status.to_string(),
            Ok(None) => not_within("it did not end", limit, "it was killed; agent.clean_timeout gives it longer"),
            Err(error) => error.to_string(),
        };
        // What it said is for this machine's log only: it may hold secrets.
        let said = last_words::of(&String::from_utf8_lossy(&tail(&self.output, LAST_WORDS).unwrap_or_default()));
        tracing::warn!(output = %self.output.display(), said, "agent.clean: {program}: {how}");
        format!("agent.clean: {program}: {how}")
    }

    /// How it ended; `None` where it had to be killed.
    async fn end(&self, lock: &File, limit: Duration) -> std::io::Result<Option<ExitStatus>> {
        let name = format!("lightsout-clean-{}.scope", unix_ms_now());
        let mut command = self.command(&name);
        // Not as its standard input, which a shell takes away from what it starts in the background.
        let inherited = lock.try_clone()?;
        fcntl_setfd(&inherited, FdFlags::empty())?;
        let started = command.spawn();
        drop(inherited);
        let mut child = started?;
        let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let ended = self.wait(&mut child, Instant::now() + limit).await;
        if let (None, Some(group)) = (&ended, group) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        if self.unit {
            // What it left running would hold the room for ever. Where nothing is left, there is no scope any more.
            let _ = ask("systemctl", ["kill", "--signal=KILL", &name].map(str::to_owned).to_vec(), END).await;
        }
        let Some(ended) = ended else {
            let _ = timeout(END, child.wait()).await;
            return Ok(None);
        };
        ended.map(Some)
    }

    async fn wait(&self, child: &mut Child, deadline: Instant) -> Option<std::io::Result<ExitStatus>> {
        loop {
            if let Ok(ended) = timeout_at(deadline.min(Instant::now() + LOOK_INTERVAL), child.wait()).await {
                return Some(ended);
            }
            if Instant::now() >= deadline {
                return None;
            }
            let _ = cut_output(&self.output);
        }
    }

    fn command(&self, scope: &str) -> Command {
        let starter = ["/bin/sh", "-c", STARTER, "lightsout-clean"];
        let mut command = if self.unit {
            // It becomes the program, so that the lock is inherited.
            let mut command = Command::new("systemd-run");
            command.args(["--scope", "--collect", "--quiet"]).arg(format!("--unit={scope}")).arg("--").args(starter);
            command
        } else {
            let mut command = Command::new(starter[0]);
            command.args(&starter[1..]);
            command
        };
        command
            .args(&*self.argv)
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value.expose())))
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        // Without a place for its words it says them to nobody.
        let _ = std::fs::remove_file(&self.output);
        let output = OpenOptions::new().append(true).create_new(true).open(&self.output);
        if let Ok((first, second)) = output.and_then(|output| Ok((output.try_clone()?, output))) {
            command.stdout(first).stderr(second);
        }
        command
    }
}
