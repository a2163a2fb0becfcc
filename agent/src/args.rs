//! The arguments of `lightsout-agent`, and what `--help` says of them.

use std::{ffi::OsString, net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Args as ClapArgs, Parser, Subcommand};
use lightsout_core::settings::MetricsSettings;
use lightsout_io::command_line::{LogArgs, duration_within, metrics_address};

/// Looks after the CI runner on this instance, and ends the instance when it is no longer needed.
#[derive(Debug, Parser)]
#[command(
    name = "lightsout-agent",
    version,
    disable_help_subcommand = true,
    after_help = "Exit codes: 0 success, 1 it could not be done, 2 the arguments or the settings cannot work"
)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the agent: register the runner, watch it, leave when it is time
    ///
    /// Signals: TERM drains and leaves, a second TERM exits at once (jobs go on), HUP reads the settings again, USR1 drains.
    Run(Run),
    /// Show what the agent is doing
    Status {
        #[command(flatten)]
        socket: Socket,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Take no more jobs, finish those that run, then end the instance
    Drain {
        #[command(flatten)]
        socket: Socket,
    },
    /// Take a drain back, as long as the instance has not retired
    Undrain {
        #[command(flatten)]
        socket: Socket,
    },
    /// Do not leave for idleness or age for this long (say, to look around)
    Hold {
        #[command(flatten)]
        socket: Socket,
        /// How long, such as 30m or 2h; 0 ends a hold
        #[arg(value_parser = duration_within(Duration::ZERO, Duration::from_secs(365 * 86_400)))]
        duration: Duration,
    },
    /// Show the settings of an agent that starts now: each value, and the file, tag or default that it comes from
    Settings {
        #[command(flatten)]
        config: Config,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Look at everything that the agent needs, change nothing, and say what is wrong and what to do
    ///
    /// Settings, machine, metadata, group, rights, secret, platform. Exit code 1: something is wrong.
    Doctor(Doctor),
    /// Print the version
    Version,
}

#[derive(ClapArgs, Debug)]
pub(crate) struct Config {
    /// Settings: a file, or a folder of *.toml; may be repeated, later ones win
    ///
    /// Without it: /etc/lightsout/agent.toml, then /etc/lightsout/agent.d/*.toml
    #[arg(short, long, value_name = "PATH", env = "LIGHTSOUT_AGENT_CONFIG")]
    pub config: Vec<PathBuf>,
}

#[derive(ClapArgs, Debug)]
pub(crate) struct Run {
    #[command(flatten)]
    pub config: Config,
    /// Show metrics to Prometheus at http://ADDR/metrics; a port alone is loopback's (over the settings)
    #[arg(long, value_name = "ADDR", value_parser = metrics_address)]
    pub metrics: Option<SocketAddr>,
    /// Print a line a minute in CloudWatch's embedded metric format, and one at the end, on standard output
    #[arg(long)]
    pub emf: bool,
    #[command(flatten)]
    pub log: LogArgs,
}

impl Run {
    /// What was asked for on the command line.
    pub(crate) fn shown(&self) -> MetricsSettings {
        MetricsSettings { listen: self.metrics, emf: self.emf }
    }
}

#[derive(ClapArgs, Debug)]
pub(crate) struct Socket {
    /// The agent's control socket
    #[arg(long, value_name = "PATH", default_value = "/run/lightsout/agent.sock", env = "LIGHTSOUT_AGENT_SOCKET")]
    pub socket: PathBuf,
}

/// What is asked of the doctor.
#[derive(ClapArgs, Debug)]
pub(crate) struct Doctor {
    #[command(flatten)]
    pub config: Config,
    /// Look at a machine image while it is built: no cloud, no platform, nothing runs, and nothing of this machine may be left in it
    #[arg(long)]
    pub image: bool,
    /// Print one JSON object a line for each finding
    #[arg(long)]
    pub json: bool,
}

/// Reads the arguments, without the program's own name.
pub(crate) fn parse(args: Vec<OsString>) -> Result<Args, clap::Error> {
    Args::try_parse_from(std::iter::once(OsString::from(crate::NAME)).chain(args))
}
