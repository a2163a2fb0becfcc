//! GitHub's runner: what `run.sh` with its listener and its worker is to GitHub and to the agent. It takes a
//! just-in-time configuration, and with that exactly one job, which runs in a `Runner.Worker` of its own with the
//! hooks around it. `SIGINT` *cancels* the job.

use std::{
    env,
    ffi::OsString,
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{self, ExitCode},
    time::Duration,
};

use anyhow::{Context, Result};
use clap::Parser;
use lightsout_localcloud::{
    FaultEffect,
    runner_protocol::{Connect, Mode},
};
use tokio::process::Command;

use crate::{
    client::{PlatformClient, embedded_url},
    executor::RunningJob,
    faults::Faults,
    job::Job,
    machine,
    process::ProcessGroup,
    program::{block_on, exit_code, link, outlive_signals, own_code, with_args},
    runner::Runner,
    worker::{JobStarter, Stop},
};

pub(crate) const RUNNER: Runner = Runner {
    platform: "github",
    programs: &[(LISTENER, listener), (WORKER, worker)],
    install,
    environment: |_| Vec::new(),
};

const RUN: &str = "run.sh";
const LISTENER: &str = "Runner.Listener";
const WORKER: &str = "Runner.Worker";

/// The listener's starter. Like the vendor's, and with `RUNNER_MANUALLY_TRAP_SIG`, it passes signals on as `SIGINT`.
const RUN_SH: &str = r#"#!/bin/sh
# Stands in for the run.sh of GitHub's runner.
"$(dirname "$0")/bin/Runner.Listener" run "$@" &
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
/// What the listener exits with when GitHub has no use for its version any more (actions/runner, Constants.cs).
const TOO_OLD: i32 = 7;
/// How the worker gets its job.
const JOB: &str = "LIGHTSOUT_JOB";

/// The small built-in GitHub runner of `lightsout up`.
#[derive(Parser)]
#[command(name = LISTENER, version = "2.333.0, built into lightsout")]
struct Args {
    /// What is to be done; there is nothing else
    #[arg(value_parser = ["run"])]
    what: String,
    /// A just-in-time configuration
    #[arg(long, value_name = "BLOB", env = JIT, hide_env_values = true)]
    jitconfig: String,
}

fn install(program: &Path, bin: &Path) -> io::Result<PathBuf> {
    // As in the vendor's archive: the agent asks the listener there for its version.
    let below = bin.join("bin");
    fs::create_dir_all(&below)?;
    link(program, &below, LISTENER)?;
    // The agent knows it by the name of its file, which a symbolic link would not give it.
    let worker = below.join(WORKER);
    fs::hard_link(program, &worker).or_else(|_| fs::copy(program, &worker).map(drop))?;
    let run = bin.join(RUN);
    fs::write(&run, RUN_SH)?;
    fs::set_permissions(&run, fs::Permissions::from_mode(0o755))?;
    Ok(run)
}

fn listener(args: &[OsString]) -> ExitCode {
    with_args(LISTENER, args, |args: Args| block_on(listen(args.jitconfig)))
}

/// So long it takes until a platform's first answer, about.
const SIGN_IN: Duration = Duration::from_secs(1);

async fn listen(jit: String) -> Result<()> {
    let name = machine::instance_id().unwrap_or_else(|| "runner".to_owned());
    let connect = Connect { mode: Mode::Single, ..Connect::new(RUNNER.platform, jit, name) };
    let url = embedded_url()?;
    if Faults::at(&url).hit(FaultEffect::RunnerTooOld).await {
        // The genuine one has signed in and asked for messages by then.
        tokio::time::sleep(SIGN_IN).await;
        println!("Runner version v2.333.0 is deprecated and cannot receive messages.");
        process::exit(TOO_OLD);
    }
    let own = env::current_exe().context("this program cannot find itself")?;
    let worker = env::args_os().next().map(PathBuf::from).map_or(own, |called| called.with_file_name(WORKER));
    PlatformClient::new(&url, connect, false).work(Listener { worker }, |_, _| Stop::Abort).await
}

struct Listener {
    worker: PathBuf,
}

impl JobStarter<Job> for Listener {
    async fn start(&self, job: &Job) -> Result<RunningJob> {
        let mut command = Command::new(&self.worker);
        command.arg("spawnclient").env(JOB, serde_json::to_string(job)?).env_remove(JIT);
        Ok(RunningJob::Processes(ProcessGroup::spawn(command)?))
    }
}

/// Runs one job with its hooks; the exit code is the job's. Who cancels the job ends its command, and not this, which tells the platform.
fn worker(_: &[OsString]) -> ExitCode {
    exit_code(run_job().map(ExitCode::from))
}

fn run_job() -> Result<u8> {
    let job = env::var(JOB).with_context(|| format!("{JOB} is not set: only the listener calls this"))?;
    outlive_signals()?;
    let job: Job = serde_json::from_str(&job).context("the job cannot be understood")?;
    let run = |command: &mut process::Command| -> Result<u8> {
        let status = command.envs(&job.env).env_remove(JOB).status();
        Ok(own_code(status.with_context(|| format!("cannot start {}", command.get_program().display()))?))
    };
    let hook = |name: &str| match env::var_os(name) {
        Some(path) => run(process::Command::new("sh").arg("-e").arg(path)),
        None => Ok(0),
    };
    let (program, arguments) = job.argv.split_first().context("the job has no command")?;
    let mut code = hook(STARTED)?;
    if code == 0 {
        code = run(process::Command::new(program).args(arguments))?;
    }
    let completed = hook(COMPLETED)?;
    Ok(if code == 0 { completed } else { code })
}
