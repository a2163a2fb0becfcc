//! The ECS agent as a process: it takes tasks, is looked at through a lock and the list of its tasks, and is stopped by
//! a signal.

use std::{
    env,
    fs::{self, File, OpenOptions, TryLockError},
    io::Write,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::tasks::{self, Tasks};
use lightsout_localcloud::runner_protocol::Connect;

use crate::{
    client::{PlatformClient, embedded_url},
    container::unique,
    executor::{Executor, JobOptions, RunningJob},
    faults::Faults,
    job::Job,
    page,
    runner::SUBCOMMAND,
    worker::{JobStarter, Stop},
};

pub(super) const PROGRAM: &str = "ecs-agent";
/// The directory of its files.
pub(super) const DIR: &str = "ECS_CONFIG_DIR";
/// Where it shows its tasks, as `host:port`.
pub(super) const INTROSPECTION: &str = "LIGHTSOUT_ECS_INTROSPECTION";
/// How many tasks fit on the machine.
pub(super) const SLOTS: &str = "LIGHTSOUT_SLOTS";
pub(super) const TOKEN: &str = "SG_NODE_TOKEN";
pub(super) const ATTRIBUTES: &str = "ECS_INSTANCE_ATTRIBUTES";

/// What it says, and how much of it is shown.
pub(super) const LOG: &str = "ecs-agent.log";
const LAST_LINES: usize = 10;

/// How long the ECS agent may take to end its tasks and itself, where nobody says so.
pub(super) const PATIENCE: Duration = Duration::from_secs(6);

/// The directory of the ECS agent's files.
pub(super) fn directory() -> Result<PathBuf> {
    env::var_os(DIR)
        .map(PathBuf::from)
        .with_context(|| format!("{DIR} is not set: this works within `lightsout up` only"))
}

/// Starts the ECS agent in a process group of its own, so that it outlives whoever registers.
pub(super) fn start(directory: &Path, token: &str) -> Result<()> {
    let log = OpenOptions::new().create(true).append(true).open(directory.join(LOG))?;
    Command::new(env::current_exe()?)
        .args([SUBCOMMAND, PROGRAM])
        .env(TOKEN, token)
        .current_dir(directory)
        .stdin(Stdio::null())
        .stdout(File::try_clone(&log)?)
        .stderr(log)
        .process_group(0)
        .spawn()
        .context("cannot start the ECS agent")?;
    Ok(())
}

/// Is the ECS agent: takes tasks until it is stopped.
pub(super) async fn serve(platform: &'static str) -> Result<()> {
    // Before the lock, which does not outlive it: who looked meanwhile would find no ECS agent.
    Faults::at(&embedded_url()?).on_start().await;
    let directory = directory()?;
    let _lock = hold(&directory)?;
    let name = runner_id(&fs::read_to_string(directory.join("ecs.config")).context("cannot read ecs.config")?)?;
    let slots = env::var(SLOTS).ok().and_then(|slots| slots.parse().ok()).unwrap_or(1);
    let tasks = Arc::new(Tasks::new(&directory));
    if let Ok(address) = env::var(INTROSPECTION) {
        let shown = Arc::clone(&tasks);
        page::serve(&address, "/v1/tasks", "application/json", move || shown.page()).await?;
    }
    let token = env::var(TOKEN).with_context(|| format!("{TOKEN} is not set"))?;
    let connect = Connect { slots, ..Connect::new(platform, token, name) };
    let agent = EcsAgent { executor: Executor::from_env().await?, tasks };
    // Nobody stops the ECS agent before its tasks, but to end them.
    PlatformClient::new(&embedded_url()?, connect, false).work(agent, |_, _| Stop::Abort).await
}

/// Whether the ECS agent runs.
pub(super) fn is_running() -> Result<bool> {
    match lock_file(&directory()?)?.try_lock() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error).context("cannot lock"),
    }
}

/// The last that the ECS agent said.
pub(super) fn last_lines() -> Result<String> {
    let log = fs::read_to_string(directory()?.join(LOG)).context("there is no log of the ECS agent")?;
    let lines: Vec<&str> = log.lines().collect();
    Ok(lines[lines.len().saturating_sub(LAST_LINES)..].iter().map(|line| format!("{line}\n")).collect())
}

/// Waits for the ECS agent to end.
pub(super) fn wait() -> Result<()> {
    lock_file(&directory()?)?.lock().context("cannot wait")
}

/// Ends the ECS agent and its tasks, by force after this time. That there is none is no error.
pub(super) fn stop(patience: Duration) -> Result<()> {
    let (directory, begun) = (directory()?, Instant::now());
    let mut asked = false;
    while is_running()? {
        let pid = fs::read_to_string(directory.join("ecs-agent.lock"))?
            .parse()
            .ok()
            .filter(|pid| *pid > 1)
            .and_then(Pid::from_raw);
        let late = begun.elapsed() > patience;
        if let Some(pid) = pid.filter(|_| late || !asked) {
            let _ = kill_process(pid, if late { Signal::KILL } else { Signal::TERM });
            asked = true;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// Holds the lock that shows that the ECS agent runs, with its process id in it.
fn hold(directory: &Path) -> Result<File> {
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

fn lock_file(directory: &Path) -> Result<File> {
    fs::create_dir_all(directory)?;
    let path = directory.join("ecs-agent.lock");
    let file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path);
    file.with_context(|| format!("cannot open {}", path.display()))
}

/// The runner's id in `ecs.config`.
fn runner_id(config: &str) -> Result<String> {
    let line = config.lines().find_map(|line| line.strip_prefix(ATTRIBUTES)?.strip_prefix('='));
    let attributes: Value =
        serde_json::from_str(line.with_context(|| format!("there is no {ATTRIBUTES} in ecs.config"))?)?;
    let id = attributes.get("sg_runner_id").and_then(Value::as_str).filter(|id| !id.is_empty());
    id.map(str::to_owned).context("there is no sg_runner_id in ecs.config")
}

struct EcsAgent {
    executor: Executor,
    tasks: Arc<Tasks>,
}

impl JobStarter<Job> for EcsAgent {
    fn claimed(&self, job: &Job) -> Result<()> {
        // Known before its container runs, as one is whose image is still pulled.
        self.tasks.add(job.id)
    }

    async fn prepare(&self, job: &Job) -> Result<()> {
        self.executor.prepare(job).await
    }

    async fn start(&self, job: &Job) -> Result<RunningJob> {
        let arn = tasks::arn(job.id);
        let labels = [("task-arn", arn.as_str()), ("cluster", "lightsout"), ("container-name", "runner")];
        let options = JobOptions {
            name: format!("ecs-sg-workflow-{}-runner-{}", job.id, unique()),
            labels: labels.map(|(key, value)| (format!("com.amazonaws.ecs.{key}"), value.to_owned())).into(),
            hidden: &[TOKEN],
            ..JobOptions::default()
        };
        self.executor.start(job, options).await
    }

    fn ended(&self, job: &Job) {
        self.tasks.stopped(job.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_runner_id_is_read_back() {
        let config = "ECS_CLUSTER=c\nECS_INSTANCE_ATTRIBUTES={\"sg_runner_id\":\"r-1\"}\n";
        assert_eq!(runner_id(config).unwrap(), "r-1");
        assert!(runner_id("ECS_CLUSTER=c\n").is_err());
        assert!(runner_id("ECS_INSTANCE_ATTRIBUTES={}\n").unwrap_err().to_string().contains("sg_runner_id"));
    }
}
