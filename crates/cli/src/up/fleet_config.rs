//! What the machines and the scaler of a fleet have in common.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use bollard::Docker;
use tokio::process::Command;

use super::{cloud::CloudKind, machine_image::MachineImage, platform::Platform};
use crate::fleet_dir::FleetDir;

/// How a fleet is run.
#[derive(Clone, Debug)]
pub(super) struct FleetConfig {
    /// The fleet's directory; each machine has its own below it.
    pub(crate) fleet_dir: FleetDir,
    /// The CI platform.
    pub(crate) platform: Platform,
    /// This program.
    pub(crate) program: PathBuf,
    /// A program that is the agent; without it this one is.
    pub(crate) agent: Option<PathBuf>,
    /// A program that is the scaler; without it this one is.
    pub(crate) scaler: Option<PathBuf>,
    /// The platform's runner.
    pub(crate) runner: PathBuf,
    /// The Docker engine and the image for jobs; without it jobs are plain processes.
    pub(crate) docker: Option<(Docker, String)>,
    /// What machines are booted of; without it each is a group of processes.
    pub(crate) booted: Option<MachineImage>,
    /// More settings of the agents.
    pub(crate) agent_settings: Vec<PathBuf>,
    /// The agents' idle timeout.
    pub(crate) idle_timeout: Duration,
    /// Jobs that a machine takes at once.
    pub(crate) slots: u32,
    /// The vendor of the cloud.
    pub(crate) cloud: CloudKind,
    /// Whether the group has a launch hook, which the agents answer.
    pub(crate) launch_hook: bool,
}

impl FleetConfig {
    /// The command that is the agent.
    pub(super) fn agent(&self) -> Command {
        program_or_subcommand(self.agent.as_ref(), &self.program, "agent")
    }

    /// The command that is the scaler.
    pub(super) fn scaler(&self) -> Command {
        program_or_subcommand(self.scaler.as_ref(), &self.program, "scaler")
    }
}

/// A program of its own, or else the part of this program with that word.
fn program_or_subcommand(other: Option<&PathBuf>, program: &Path, word: &str) -> Command {
    let mut command = Command::new(other.map_or(program, PathBuf::as_path));
    if other.is_none() {
        command.arg(word);
    }
    command
}
