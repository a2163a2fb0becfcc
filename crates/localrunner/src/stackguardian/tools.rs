//! What `docker` and `systemctl` are asked that concerns the ECS agent of this machine.

use std::{
    env,
    ffi::OsString,
    fs,
    os::unix::process::CommandExt,
    process::{Command, ExitCode},
    time::Duration,
};

use anyhow::{Context, Result, bail};

use super::{
    ecs_agent::{self, PATIENCE},
    tasks,
};
use crate::{
    executor::JOB_PATH,
    program::{exit_code, print},
};

/// The vendor's names for the programs.
pub(super) const DOCKER: &str = "docker";
pub(super) const SYSTEMCTL: &str = "systemctl";

/// Answers as `docker` would.
pub(super) fn docker(args: &[OsString]) -> ExitCode {
    let args: Vec<String> = args.iter().map(|arg| arg.to_string_lossy().into_owned()).collect();
    exit_code((|| {
        let last = args.last().map(String::as_str).unwrap_or_default();
        match (args.first().map(String::as_str), last) {
            (Some("inspect"), ecs_agent::PROGRAM) => print(if ecs_agent::is_running()? { "true\n" } else { "false\n" }),
            (Some("wait"), ecs_agent::PROGRAM) => ecs_agent::wait()?,
            (Some("ps"), _) => print(&fs::read_to_string(tasks::file(&ecs_agent::directory()?)).unwrap_or_default()),
            (Some("logs"), ecs_agent::PROGRAM) => print(&ecs_agent::last_lines()?),
            // Tasks end with the ECS agent, and nobody stops a single one.
            (Some("stop"), _) => ecs_agent::stop(patience(&args).max(PATIENCE))?,
            (Some("rm"), ecs_agent::PROGRAM) => ecs_agent::stop(PATIENCE)?,
            _ => bail!("the stand-in for docker does not know: {}", args.join(" ")),
        }
        Ok(ExitCode::SUCCESS)
    })())
}

/// Answers as `systemctl` would. On a booted machine the agent comes by here, too, and what does not concern the ECS agent is the machine's.
pub(super) fn systemctl(args: &[OsString]) -> ExitCode {
    exit_code(match args {
        [stop, ecs] if stop == "stop" && ecs == "ecs" => ecs_agent::stop(PATIENCE).map(|()| ExitCode::SUCCESS),
        _ => genuine(SYSTEMCTL, args),
    })
}

/// How long `docker stop` gives, where it says so.
fn patience(args: &[String]) -> Duration {
    let given = args.iter().skip_while(|word| *word != "-t").nth(1);
    given.and_then(|seconds| seconds.parse().ok()).map_or(Duration::ZERO, Duration::from_secs)
}

/// Becomes the program of this name that is behind the stand-in; returns only where there is none.
fn genuine(name: &str, args: &[OsString]) -> Result<ExitCode> {
    let path = env::var_os(JOB_PATH)
        .with_context(|| format!("the stand-in for {name} knows of no other: {JOB_PATH} is not set"))?;
    let Some(program) = env::split_paths(&path).map(|folder| folder.join(name)).find(|program| program.is_file())
    else {
        bail!("there is no {name} in {}", path.to_string_lossy());
    };
    let error = Command::new(&program).args(args).exec();
    Err(error).with_context(|| format!("cannot start {}", program.display()))
}
