//! The agent's shell: it carries bytes and time between the outside world and [`lightsout_core::agent::Agent`].
//!
//! `start` puts it together. One loop (`event_loop`) takes one input at a time and decides nothing. Sources feed
//! it: the cloud's notices, `signals`, the `control` socket, the `sampler` of all probes, and the results of
//! `effects`, which carry out what the agent asks for. `status` shows the status to whoever looks.

#![warn(clippy::expect_used)]

mod args;
mod before_register;
mod boot;
mod clock;
mod control;
mod docker;
mod doctor;
mod effects;
mod event_loop;
mod image;
mod input;
mod jobs;
mod journal;
mod last_words;
mod life_sign;
mod lock;
mod memory;
mod metadata_guard;
mod meter;
mod notices;
mod orders;
mod platform_access;
mod probe;
mod process;
mod records;
mod runner_process;
mod runner_user;
mod sampler;
mod settings;
mod signals;
mod space;
mod start;
mod state_dir;
mod status;
mod systemd;

use std::{ffi::OsString, iter, process::ExitCode};

use args::{Command, Run};
use lightsout_io::command_line::{self, Failure, runtime};
use tokio::runtime::Runtime;

const NAME: &str = "lightsout-agent";

/// The command line, for its manual pages and completions.
pub fn command() -> clap::Command {
    <args::Args as clap::CommandFactory>::command()
}

/// Runs the agent's program with these arguments, without the program's own name.
///
/// Exits with 0 when it did what was asked, 1 when it could not, 2 when the arguments or the settings cannot work.
pub fn main(args: Vec<OsString>) -> ExitCode {
    let for_doctor: Vec<OsString> = args.iter().skip(1).cloned().collect();
    command_line::run(NAME, args::parse(args), |args| execute(args.command, &for_doctor))
}

/// Looks at everything that the agent needs. The arguments are those behind `lightsout-agent doctor`, and are read alike; so is the exit code.
///
/// The agent's program never calls it: it becomes another that does. What only a diagnosis needs, an agent would hold in memory for ever.
pub fn doctor(args: Vec<OsString>) -> ExitCode {
    let args = iter::once("doctor".into()).chain(args).collect();
    command_line::run(NAME, args::parse(args), |args| {
        let Command::Doctor(args) = args.command else {
            return Err(Failure::Refused("this is the agent's to do: call lightsout-agent".into()));
        };
        Ok(runtime()?.block_on(doctor::run(&args)))
    })
}

fn execute(command: Command, for_doctor: &[OsString]) -> Result<ExitCode, Failure> {
    let runtime = runtime()?;
    let answer = match command {
        Command::Run(args) => return run(&args, runtime),
        Command::Doctor(_) => Err(doctor::program::become_it(for_doctor)),
        Command::Version => Ok(format!("{NAME} {}", env!("CARGO_PKG_VERSION"))),
        Command::Settings { config, json } => {
            let shown = runtime.block_on(settings::show(&config.config, json)).map_err(Failure::Refused)?;
            println!("{shown}");
            return Ok(ExitCode::SUCCESS);
        }
        Command::Status { socket, json } => runtime.block_on(control::client::status(&socket.socket, json)),
        Command::Drain { socket } => runtime.block_on(control::client::send(&socket.socket, &control::Request::Drain)),
        Command::Undrain { socket } => {
            runtime.block_on(control::client::send(&socket.socket, &control::Request::Undrain))
        }
        Command::Hold { socket, duration } => {
            let seconds = duration.as_secs();
            runtime.block_on(control::client::send(&socket.socket, &control::Request::Hold { seconds }))
        }
    };
    println!("{}", answer.map_err(Failure::Failed)?);
    Ok(ExitCode::SUCCESS)
}

fn run(args: &Run, runtime: Runtime) -> Result<ExitCode, Failure> {
    memory::note_files();
    args.log.init()?;
    let settings = settings::at_the_start(&args.config.config).map_err(Failure::Refused)?;
    let ended = runtime.block_on(start::run(settings, &args.config.config, args.shown()));
    // A program of the user's that still runs must not hold up the exit.
    runtime.shutdown_background();
    ended.map(|()| ExitCode::SUCCESS)
}
