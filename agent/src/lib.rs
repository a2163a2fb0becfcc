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
mod input;
mod jobs;
mod journal;
mod last_words;
mod life_sign;
mod lock;
mod memory;
mod metadata_guard;
mod platform_access;
mod probe;
mod process;
mod runner_process;
mod runner_user;
mod sampler;
mod settings;
mod signals;
mod start;
mod status;
mod systemd;

use std::{ffi::OsString, process::ExitCode};

use args::{Command, Run};
use lightsout_io::log;

/// Why the agent stops without success.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// Nothing was tried: the arguments or the settings cannot work.
    #[error("{0}")]
    Refused(String),
    /// Something was tried and failed.
    #[error("{0}")]
    Failed(String),
}

/// The command line, for its manual pages and completions.
pub fn command() -> clap::Command {
    <args::Args as clap::CommandFactory>::command()
}

/// Runs the program with these arguments, without the program's own name.
///
/// Exits with 0 when it did what was asked, 1 when it could not, 2 when the arguments or the settings cannot work.
pub fn main(args: Vec<OsString>) -> ExitCode {
    let result = match args::parse(args) {
        Ok(args) => execute(args.command),
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    let (code, failure) = match result {
        Ok(code) => return code,
        Err(failure @ Failure::Failed(_)) => (1, failure),
        Err(failure @ Failure::Refused(_)) => (2, failure),
    };
    eprintln!("lightsout-agent: {failure}");
    ExitCode::from(code)
}

fn execute(command: Command) -> Result<ExitCode, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Failed(format!("cannot start: {error}")))?;
    let answer = match command {
        Command::Run(args) => return run(&args, runtime),
        Command::Settings { config, json } => {
            let shown = runtime.block_on(settings::show(&config.config, json)).map_err(Failure::Refused)?;
            println!("{shown}");
            return Ok(ExitCode::SUCCESS);
        }
        Command::Doctor(args) => return Ok(runtime.block_on(doctor::run(&args))),
        Command::Version => Ok(format!("lightsout-agent {}", env!("CARGO_PKG_VERSION"))),
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

fn run(args: &Run, runtime: tokio::runtime::Runtime) -> Result<ExitCode, Failure> {
    log::init(args.log_format, args.log.as_deref()).map_err(|error| Failure::Refused(error.to_string()))?;
    let settings = settings::load(&args.config.config, &settings::Tags::new()).map_err(Failure::Refused)?;
    let code = match runtime.block_on(start::run(settings, &args.config.config)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => match error.downcast::<Failure>() {
            Ok(failure) => return Err(failure),
            Err(error) => {
                tracing::error!("{error:#}");
                ExitCode::FAILURE
            }
        },
    };
    // A program of the user's that still runs must not hold up the exit.
    runtime.shutdown_background();
    Ok(code)
}
