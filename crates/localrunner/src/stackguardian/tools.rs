//! What `docker` and `systemctl` are asked that concerns the ECS agent of this machine.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions, TryLockError},
    io::Write,
    path::Path,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{ECS_AGENT, directory, tasks};
use crate::program::{exit_code, print};

/// The vendor's names for the programs.
pub const DOCKER: &str = "docker";
pub const SYSTEMCTL: &str = "systemctl";

/// How long the ECS agent may take to end its tasks and itself.
const PATIENCE: Duration = Duration::from_secs(6);

/// Answers as `docker` would.
pub fn docker(args: &[OsString]) -> ExitCode {
    let args: Vec<String> = args.iter().map(|arg| arg.to_string_lossy().into_owned()).collect();
    exit_code((|| {
        let last = args.last().map(String::as_str).unwrap_or_default();
        match (args.first().map(String::as_str), last) {
            (Some("inspect"), ECS_AGENT) => print(if agent_runs()? { "true\n" } else { "false\n" }),
            (Some("wait"), ECS_AGENT) => lock_file(&directory()?)?.lock().context("cannot wait")?,
            (Some("ps"), _) => print(&fs::read_to_string(tasks::file(&directory()?)).unwrap_or_default()),
            // Tasks end with the ECS agent, and nobody stops a single one.
            (Some("stop"), _) | (Some("rm"), ECS_AGENT) => stop_agent()?,
            _ => bail!("the stand-in for docker does not know: {}", args.join(" ")),
        }
        Ok(ExitCode::SUCCESS)
    })())
}

/// Answers as `systemctl` would.
pub fn systemctl(args: &[OsString]) -> ExitCode {
    exit_code(match args {
        [stop, ecs] if stop == "stop" && ecs == "ecs" => stop_agent().map(|()| ExitCode::SUCCESS),
        _ => Err(anyhow::anyhow!("the stand-in for systemctl knows `stop ecs` only")),
    })
}

/// Holds the lock that shows that the ECS agent runs, with its process id in it.
pub fn hold(directory: &Path) -> Result<File> {
    let mut lock = lock_file(directory)?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => bail!("an ECS agent runs already"),
        Err(TryLockError::Error(error)) => return Err(error).context("cannot lock"),
    }
    lock.set_len(0)?;
    write!(lock, "{}", std::process::id())?;
    Ok(lock)
}

/// Whether the ECS agent runs.
pub fn agent_runs() -> Result<bool> {
    match lock_file(&directory()?)?.try_lock() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error).context("cannot lock"),
    }
}

/// Ends the ECS agent and its tasks. That there is none is no error.
fn stop_agent() -> Result<()> {
    let (directory, begun) = (directory()?, Instant::now());
    let mut asked = false;
    while agent_runs()? {
        let pid = fs::read_to_string(directory.join("ecs-agent.lock"))?.parse().ok().filter(|pid| *pid > 1);
        let late = begun.elapsed() > PATIENCE;
        if let Some(pid) = pid.filter(|_| late || !asked) {
            let _ = kill(Pid::from_raw(pid), if late { Signal::SIGKILL } else { Signal::SIGTERM });
            asked = true;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

fn lock_file(directory: &Path) -> Result<File> {
    fs::create_dir_all(directory)?;
    let path = directory.join("ecs-agent.lock");
    let file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path);
    file.with_context(|| format!("cannot open {}", path.display()))
}
