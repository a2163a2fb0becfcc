//! GitHub's runner: what `run.sh` with its listener and its worker is to GitHub and to the agent. It takes a just-in-time configuration, and
//! with that exactly one job, which runs in a `Runner.Worker` of its own with the hooks around it. `SIGINT` *cancels* the job.

use std::{
    collections::BTreeMap,
    env,
    ffi::OsString,
    os::unix::process::ExitStatusExt,
    path::PathBuf,
    process::{self, ExitCode},
    sync::Arc,
};

use anyhow::{Context, Result};
use clap::Parser;
use futures_util::future::BoxFuture;
use tokio::process::Command;

use super::{
    Stop,
    desk::{self, Desk, Hello, Job, Mode},
    process::Group,
    shift::{self, Manners, Trade, Work},
};

/// The vendor's names: what the agent starts, what that starts, and what runs a job.
pub const RUN: &str = "run.sh";
pub const LISTENER: &str = "Runner.Listener";
pub const WORKER: &str = "Runner.Worker";

/// The listener's starter. Like the vendor's, and with `RUNNER_MANUALLY_TRAP_SIG`, it passes signals on as `SIGINT`.
pub const RUN_SH: &str = r#"#!/bin/sh
# Stands in for the run.sh of GitHub's runner.
"$(dirname "$0")/Runner.Listener" run "$@" &
listener=$!
trap 'kill -INT "$listener" 2>/dev/null' INT TERM
while :; do
    wait "$listener"
    code=$?
    kill -0 "$listener" 2>/dev/null || exit "$code"
done
"#;

const JIT: &str = "ACTIONS_RUNNER_INPUT_JITCONFIG";
const STARTED: &str = "ACTIONS_RUNNER_HOOK_JOB_STARTED";
const COMPLETED: &str = "ACTIONS_RUNNER_HOOK_JOB_COMPLETED";
/// How the worker gets its job.
const JOB: &str = "LIGHTSOUT_JOB";

/// The small built-in GitHub runner of `lightsout up`.
#[derive(Parser)]
#[command(name = LISTENER, version)]
struct Args {
    /// What is to be done; there is nothing else
    #[arg(value_parser = ["run"])]
    what: String,
    /// A just-in-time configuration
    #[arg(long, value_name = "BLOB", env = JIT, hide_env_values = true)]
    jitconfig: String,
}

/// Runs the listener with these arguments (without the program's name).
pub fn listener(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    super::with_args(LISTENER, args, |args: Args| crate::block_on(listen(args.jitconfig)))
}

async fn listen(jit: String) -> Result<()> {
    let hello = Hello {
        platform: "github",
        token: jit,
        name: desk::instance().unwrap_or_else(|| "runner".to_owned()),
        instance_id: desk::instance(),
        metadata: BTreeMap::new(),
        slots: 1,
        mode: Mode::Single,
    };
    let worker = env::current_exe().context("this program cannot find itself")?;
    let worker = env::args_os().next().map(PathBuf::from).map_or(worker, |own| own.with_file_name(WORKER));
    let manners = Manners { slots: 1, single: true, signalled: |_, _| Stop::Abort };
    shift::serve(Desk::new(&desk::embedded()?, hello, false), manners, Arc::new(Listener { worker })).await
}

struct Listener {
    worker: PathBuf,
}

impl Trade for Listener {
    fn begin(&self, job: &Job) -> BoxFuture<'_, Result<Work>> {
        let told = serde_json::to_string(job);
        Box::pin(async move {
            let mut command = Command::new(&self.worker);
            command.arg("spawnclient").env(JOB, told?).env_remove(JIT);
            Ok(Work::Processes(Group::spawn(command)?))
        })
    }
}

/// Runs one job with its hooks; the exit code is the job's.
pub fn worker() -> ExitCode {
    match run_job() {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run_job() -> Result<u8> {
    let told = env::var(JOB).with_context(|| format!("{JOB} is not set: only the listener calls this"))?;
    let job: Job = serde_json::from_str(&told).context("the job cannot be understood")?;
    let status = |command: &mut process::Command| -> Result<u8> {
        let status = command.envs(&job.env).env_remove(JOB).status();
        let status = status.with_context(|| format!("cannot start {}", command.get_program().display()))?;
        Ok(u8::try_from(status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))).unwrap_or(1))
    };
    let hook = |name: &str| match env::var_os(name) {
        Some(path) => status(process::Command::new("sh").arg("-e").arg(path)),
        None => Ok(0),
    };
    let (program, arguments) = job.argv.split_first().context("the job has no command")?;
    let mut code = hook(STARTED)?;
    if code == 0 {
        code = status(process::Command::new(program).args(arguments))?;
    }
    let ended = hook(COMPLETED)?;
    Ok(if code == 0 { ended } else { code })
}
