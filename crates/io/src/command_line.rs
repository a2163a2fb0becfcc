//! What the programs have in common as commands: how they begin, how they end, and the flags that several of them have.

use std::{fmt::Display, net::SocketAddr, process::ExitCode, time::Duration};

use lightsout_core::{
    duration::{format_duration, parse_duration},
    settings::MetricsSettings,
};
use tokio::runtime::{Builder, Runtime};

use crate::log::{self, Format};

/// Why a program ends without success.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Nothing was tried: the arguments or the settings cannot work. Exit code 2.
    #[error("{0}")]
    Refused(String),
    /// Something was tried and failed. Exit code 1.
    #[error("{0}")]
    Failed(String),
}

impl Failure {
    /// [`Failure::Refused`], from an error.
    pub fn refused(why: impl Display) -> Self {
        Self::Refused(why.to_string())
    }

    /// [`Failure::Failed`], from an error.
    pub fn failed(why: impl Display) -> Self {
        Self::Failed(why.to_string())
    }
}

/// Does what the arguments ask of this program. Help, and arguments that cannot be read, are printed as clap does.
pub fn run<A>(
    program: &str,
    args: Result<A, clap::Error>,
    execute: impl FnOnce(A) -> Result<ExitCode, Failure>,
) -> ExitCode {
    match args {
        Ok(args) => exit_code(program, execute(args)),
        Err(error) => {
            let _ = error.print();
            ExitCode::from(if error.use_stderr() { 2 } else { 0 })
        }
    }
}

/// The exit code of this program, after it has said why it ends.
pub fn exit_code(program: &str, result: Result<ExitCode, Failure>) -> ExitCode {
    result.unwrap_or_else(|failure| {
        log::end(program, &failure);
        ExitCode::from(match failure {
            Failure::Failed(_) => 1,
            Failure::Refused(_) => 2,
        })
    })
}

/// The programs wait more than they work: one thread has it all.
///
/// # Errors
/// When the operating system gives no event loop.
pub fn runtime() -> Result<Runtime, Failure> {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Failed(format!("cannot start: {error}")))
}

/// What is logged, and how.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct LogArgs {
    /// What to log: error, warn, info, debug, or a list such as info,lightsout_io=debug
    #[arg(long, value_name = "LEVEL")]
    pub log: Option<String>,
    /// How records and log lines look: text or json
    #[arg(long, alias = "format", value_name = "FORMAT", default_value = "text")]
    pub log_format: Format,
}

impl LogArgs {
    /// Sets up logging for the whole process.
    ///
    /// # Errors
    /// When the level cannot be read.
    pub fn init(&self) -> Result<(), Failure> {
        log::init(self.log_format, self.log.as_deref()).map_err(Failure::refused)
    }
}

/// Reads a duration from `least` to `most`.
pub fn duration_within(
    least: Duration,
    most: Duration,
) -> impl Fn(&str) -> Result<Duration, String> + Clone + Send + Sync + 'static {
    move |text| match parse_duration(text) {
        Ok(duration) if (least..=most).contains(&duration) => Ok(duration),
        Ok(_) => Err(format!("write a duration from {} to {}", format_duration(least), format_duration(most))),
        Err(error) => Err(error.to_string()),
    }
}

/// Where metrics are shown, on a command line.
///
/// # Errors
/// When it is no such address, with what to write.
pub fn metrics_address(text: &str) -> Result<SocketAddr, &'static str> {
    MetricsSettings::address(text)
        .ok_or("write an address with its port, such as 127.0.0.1:9464, or a port of loopback")
}
