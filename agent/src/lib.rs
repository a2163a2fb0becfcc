//! The agent's shell: it carries bytes and time between the outside world and [`lightsout_core::agent::Agent`].
//!
//! One loop (`run`) takes one event at a time. Sources feed it: instance metadata (`watch`), Docker (`docker`), the runner's
//! process (`runner`), signals and the control socket (`control`). Requests of the core go out through `work`.

#![warn(clippy::expect_used)]

mod args;
mod clock;
mod cloud;
mod control;
mod docker;
mod journal;
mod probe;
mod process;
mod run;
mod runner;
mod status;
mod watch;
#[expect(clippy::wildcard_enum_match_arm, reason = "every outcome that is no trouble is logged alike")]
mod work;

use std::{ffi::OsString, process::ExitCode};

use args::{Command, Run};
use lightsout_io::log;

/// Why the agent stops without success.
#[derive(Debug, thiserror::Error)]
enum Stop {
    /// Nothing was tried: the arguments or the settings cannot work.
    #[error("{0}")]
    Refused(String),
    /// Something was tried and failed.
    #[error("{0}")]
    Failed(String),
}

/// Runs the program with these arguments, without the program's own name.
///
/// Exits with 0 when it did what was asked, 1 when it could not, 2 when the arguments or the settings cannot work.
pub fn main(args: Vec<OsString>) -> ExitCode {
    let stopped = match args::parse(args) {
        Ok(args) => act(args.command),
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    let (code, stop) = match stopped {
        Ok(code) => return code,
        Err(stop @ Stop::Failed(_)) => (1, stop),
        Err(stop @ Stop::Refused(_)) => (2, stop),
    };
    eprintln!("lightsout-agent: {stop}");
    ExitCode::from(code)
}

fn act(command: Command) -> Result<ExitCode, Stop> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Stop::Failed(format!("cannot start: {error}")))?;
    let answered = match command {
        Command::Run(args) => return run(&args, runtime),
        Command::Version => Ok(format!("lightsout-agent {}", env!("CARGO_PKG_VERSION"))),
        Command::Status { socket, json } => runtime.block_on(control::status(&socket.socket, json)),
        Command::Drain { socket } => runtime.block_on(control::order(&socket.socket, &control::Order::Drain)),
        Command::Undrain { socket } => runtime.block_on(control::order(&socket.socket, &control::Order::Undrain)),
        Command::Hold { socket, duration } => {
            let seconds = duration.as_secs();
            runtime.block_on(control::order(&socket.socket, &control::Order::Hold { seconds }))
        }
    };
    println!("{}", answered.map_err(|error| Stop::Failed(format!("{error:#}")))?);
    Ok(ExitCode::SUCCESS)
}

fn run(args: &Run, runtime: tokio::runtime::Runtime) -> Result<ExitCode, Stop> {
    log::init(args.log_format, args.log.as_deref()).map_err(|error| Stop::Refused(error.to_string()))?;
    let settings = run::load(&args.config).map_err(Stop::Refused)?;
    let code = match runtime.block_on(run::run(settings, &args.config)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    };
    // A program of the user's that still runs must not hold up the exit.
    runtime.shutdown_background();
    Ok(code)
}
