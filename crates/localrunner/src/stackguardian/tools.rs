//! The words of `docker` and `systemctl` that concern the ECS agent of this machine.

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

use super::{folder, tasks};

/// The vendor's names for the programs.
pub const DOCKER: &str = "docker";
pub const SYSTEMCTL: &str = "systemctl";

/// How long the ECS agent may take to end its tasks and itself.
const PATIENCE: Duration = Duration::from_secs(6);

/// Answers as `docker` would.
pub fn docker(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<String> = args.into_iter().map(|arg| arg.to_string_lossy().into_owned()).collect();
    super::super::ended((|| {
        let last = args.last().map(String::as_str).unwrap_or_default();
        match (args.first().map(String::as_str), last) {
            (Some("inspect"), super::ECS_AGENT) => crate::print(if agent_runs()? { "true\n" } else { "false\n" }),
            (Some("wait"), super::ECS_AGENT) => lock_file(&folder()?)?.lock().context("cannot wait")?,
            (Some("ps"), _) => crate::print(&fs::read_to_string(tasks::file(&folder()?)).unwrap_or_default()),
            // Tasks end with the ECS agent, and nobody stops a single one.
            (Some("stop"), _) | (Some("rm"), super::ECS_AGENT) => stop_agent()?,
            _ => bail!("the stand-in for docker does not know: {}", args.join(" ")),
        }
        Ok(())
    })())
}

/// Answers as `systemctl` would.
pub fn systemctl(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    super::super::ended(match args.as_slice() {
        [stop, ecs] if stop == "stop" && ecs == "ecs" => stop_agent(),
        _ => Err(anyhow::anyhow!("the stand-in for systemctl knows `stop ecs` only")),
    })
}

/// Holds the lock that shows that the ECS agent runs, with its process id in it.
pub fn hold(folder: &Path) -> Result<File> {
    let mut lock = lock_file(folder)?;
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
    match lock_file(&folder()?)?.try_lock() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error).context("cannot lock"),
    }
}

/// Ends the ECS agent and its tasks. That there is none is no error.
fn stop_agent() -> Result<()> {
    let (folder, begun) = (folder()?, Instant::now());
    let mut told = false;
    while agent_runs()? {
        let pid = fs::read_to_string(folder.join("ecs-agent.lock"))?.parse().ok().filter(|pid| *pid > 1);
        let late = begun.elapsed() > PATIENCE;
        if let Some(pid) = pid.filter(|_| late || !told) {
            let _ = kill(Pid::from_raw(pid), if late { Signal::SIGKILL } else { Signal::SIGTERM });
            told = true;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

fn lock_file(folder: &Path) -> Result<File> {
    fs::create_dir_all(folder)?;
    let path = folder.join("ecs-agent.lock");
    let file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path);
    file.with_context(|| format!("cannot open {}", path.display()))
}
