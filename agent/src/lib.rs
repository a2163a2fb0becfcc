//! The agent's shell: it carries bytes and time between the outside world and [`lightsout_core::agent::Lifecycle`].
//!
//! One loop (`run`) takes one event at a time. Sources feed it: instance metadata (`watch`), Docker (`docker`), the runner's
//! process (`runner`), signals and the control socket (`control`). Requests of the core go out through `work`.

mod args;
mod clock;
mod control;
mod docker;
mod effects;
mod event_loop;
mod input;
mod journal;
mod observe;
mod platform_access;
mod probe;
mod process;
mod runner_process;
mod sampler;
mod signals;
mod start;

use std::{ffi::OsString, process::ExitCode};

use args::{Args, Command};
use clap::Parser;
use lightsout_io::log;

/// Runs the program with these arguments, without the program's own name.
///
/// Exits with 0 when it did what was asked, 1 when it could not, 2 for a wrong argument or wrong settings.
pub fn main(arguments: Vec<OsString>) -> ExitCode {
    let arguments = std::iter::once(OsString::from("lightsout-agent")).chain(arguments);
    let args = match Args::try_parse_from(arguments) {
        Ok(args) => args,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return fail(1, &format!("cannot start: {error}")),
    };
    match args.command {
        Command::Run(options) => {
            if let Err(error) = log::init(options.log_format, options.log.as_deref()) {
                return fail(2, &error.to_string());
            }
            let settings = match start::load(&options.config) {
                Ok(settings) => settings,
                Err(error) => return fail(2, &error),
            };
            let code = match runtime.block_on(start::run(settings, &options.config)) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => {
                    tracing::error!("{error:#}");
                    ExitCode::FAILURE
                }
            };
            // A program of the user's that still runs must not hold up the exit.
            runtime.shutdown_background();
            code
        }
        Command::Version => {
            println!("lightsout-agent {}", env!("CARGO_PKG_VERSION"));
            ExitCode::SUCCESS
        }
        Command::Status { socket, json } => told(runtime.block_on(control::status(&socket.socket, json))),
        Command::Drain { socket } => told(runtime.block_on(control::order(&socket.socket, &control::Request::Drain))),
        Command::Undrain { socket } => {
            told(runtime.block_on(control::order(&socket.socket, &control::Request::Undrain)))
        }
        Command::Hold { socket, duration } => {
            let seconds = duration.as_secs();
            told(runtime.block_on(control::order(&socket.socket, &control::Request::Hold { seconds })))
        }
    }
}

fn told(result: anyhow::Result<String>) -> ExitCode {
    match result {
        Ok(text) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => fail(1, &format!("{error:#}")),
    }
}

fn fail(code: u8, message: &str) -> ExitCode {
    eprintln!("lightsout-agent: {message}");
    ExitCode::from(code)
}
