//! lightsout on the command line: a whole fleet on this machine, and the groups of a cloud.
//!
//! One program stands for several: called as `lightsout agent`, `lightsout scaler` and `lightsout runner` (or by the
//! name of a platform's runner, such as `gitlab-runner`) it is the agent, the scaler and the small built-in runner
//! that `up` starts as processes of their own.

mod agent_report;
mod columns;
mod containers;
mod control;
mod cost;
mod doctor;
mod duration;
mod evidence;
mod explain;
mod fleet_client;
mod fleet_dir;
mod group;
mod iam;
mod image;
mod plural;
mod process_handle;
mod processes;
mod ps;
mod settings;
mod simulate;
mod timeline;
mod up;
mod web;

use std::{
    env,
    ffi::OsString,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Parser, Subcommand};
use lightsout_io::command_line::{self, Failure};

use crate::{control::FleetCommand, fleet_dir::FleetDir, group::GroupCommand};

const NAME: &str = "lightsout";

/// CI runners that turn their own lights off: try a whole fleet on this machine
#[derive(Parser)]
#[command(
    name = NAME,
    version,
    propagate_version = true,
    after_help = "\
Begin with `lightsout up`. Everything else talks to the fleet that runs, from a second terminal; with --group, to a group of the cloud."
)]
struct Cli {
    /// The fleet's directory [default: $XDG_RUNTIME_DIR/lightsout, else /tmp/lightsout-UID]
    #[arg(
        long,
        env = "LIGHTSOUT_DIR",
        hide_env_values = true,
        global = true,
        value_name = "DIR",
        help_heading = "Global options"
    )]
    dir: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Up(Box<up::Args>),
    Ps(ps::Args),
    Explain(explain::Args),
    Cost(cost::Args),
    Timeline(timeline::Args),
    Simulate(simulate::Args),
    Iam(iam::Args),
    Doctor(doctor::Args),
    #[command(flatten)]
    Group(GroupCommand),
    #[command(flatten)]
    Fleet(FleetCommand),
}

/// The command line, for its manual pages and completions.
pub fn command() -> clap::Command {
    <Cli as clap::CommandFactory>::command()
}

/// Runs the program with the arguments of this process: by its own name or its first word as one of those that it stands for, else as what a
/// person types. Exits with 0 on success, 1 for what could not be done, 2 for arguments and settings that cannot work.
pub fn main() -> ExitCode {
    let mut args = env::args_os();
    let name = args.next().unwrap_or_default();
    let name = Path::new(&name).file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if let Some(code) = lightsout_localrunner::run(name, env::args_os().skip(1)) {
        return code;
    }
    let word = args.next();
    let rest: Vec<OsString> = args.collect();
    match word.as_ref().and_then(|word| word.to_str()) {
        // The agent's own program becomes another one for this; all that is in this one.
        Some("agent") if rest.first().is_some_and(|word| word == "doctor") => {
            lightsout_agent::doctor(rest.into_iter().skip(1).collect())
        }
        Some("agent") => lightsout_agent::main(rest),
        Some("scaler") => lightsout_scaler::main(rest),
        Some(lightsout_localrunner::SUBCOMMAND) => lightsout_localrunner::main(rest),
        Some(up::MACHINE_OFF) => up::machine_off(&rest),
        Some(_) | None => command_line::run(NAME, Cli::try_parse(), execute),
    }
}

fn execute(cli: Cli) -> Result<ExitCode, Failure> {
    let runtime = command_line::runtime()?;
    let result = FleetDir::new(cli.dir).and_then(|fleet_dir| match cli.command {
        Command::Up(args) => runtime.block_on(up::run(*args, fleet_dir)),
        Command::Ps(args) => runtime.block_on(ps::run(&args, &fleet_dir)),
        Command::Explain(args) => runtime.block_on(explain::run(&args, &fleet_dir)),
        Command::Cost(args) => runtime.block_on(cost::run(&args, &fleet_dir)),
        Command::Timeline(args) => runtime.block_on(timeline::run(&args, &fleet_dir)),
        Command::Simulate(args) => simulate::run(&args),
        Command::Iam(args) => iam::run(&args),
        Command::Group(command) => runtime.block_on(group::run(command, &fleet_dir)),
        Command::Doctor(args) => runtime.block_on(doctor::run(&args)),
        Command::Fleet(command) => runtime.block_on(control::run(command, &fleet_dir)),
    });
    result.map_err(failure)
}

/// What an error comes to: it was tried, unless the error is a refusal.
fn failure(error: anyhow::Error) -> Failure {
    let why = format!("{error:#}");
    match error.downcast() {
        Ok(Failure::Refused(_)) => Failure::Refused(why),
        Ok(Failure::Failed(_)) | Err(_) => Failure::Failed(why),
    }
}

/// Prints for whoever reads; that nobody reads any more is no error.
fn print(text: &str) {
    let _ = io::stdout().write_all(text.as_bytes());
}

#[cfg(test)]
mod tests;
