//! What `docker` and `systemctl` are asked that concerns the ECS agent of this machine.

use std::{ffi::OsString, fs, process::ExitCode};

use anyhow::bail;

use super::{ecs_agent, tasks};
use crate::program::{exit_code, print};

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
            // Tasks end with the ECS agent, and nobody stops a single one.
            (Some("stop"), _) | (Some("rm"), ecs_agent::PROGRAM) => ecs_agent::stop()?,
            _ => bail!("the stand-in for docker does not know: {}", args.join(" ")),
        }
        Ok(ExitCode::SUCCESS)
    })())
}

/// Answers as `systemctl` would.
pub(super) fn systemctl(args: &[OsString]) -> ExitCode {
    exit_code(match args {
        [stop, ecs] if stop == "stop" && ecs == "ecs" => ecs_agent::stop().map(|()| ExitCode::SUCCESS),
        _ => Err(anyhow::anyhow!("the stand-in for systemctl knows `stop ecs` only")),
    })
}
