//! What whoever runs a whole fleet on an embedded platform must know of it: settings and secrets.

use std::path::Path;

/// The parameter that holds the secret with which runners connect.
pub const RUNNER_TOKEN: &str = "/lightsout/demo/runner-token";
/// The parameter that holds the secret with which the scaler reads the queue.
pub const READ_TOKEN: &str = "/lightsout/demo/read-token";
/// The parameter that holds the secret with which agents drain, where that is another.
pub const DRAIN_TOKEN: &str = "/lightsout/demo/drain-token";

/// A machine of the fleet, for the settings of its agent and runner.
#[derive(Clone, Debug)]
pub struct DemoMachine<'a> {
    pub dir: &'a Path,
    pub runner: &'a Path,
    /// A free port, for what the runner serves.
    pub port: u16,
    /// Jobs at once.
    pub slots: u32,
    /// The image for jobs, when they run in containers.
    pub image: Option<&'a str>,
    /// Labels by which the fleet knows its containers.
    pub labels: &'a [(&'a str, &'a str)],
}

impl DemoMachine<'_> {
    /// An address for what the runner serves.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The setting `program` for the runner.
    pub(super) fn program(&self) -> String {
        format!("program = {}\n", quoted(&self.runner.to_string_lossy()))
    }
}

/// How jobs run where there is a container engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobContainers {
    /// In containers that bear their runner's name, so that an agent knows its own.
    Named,
    /// In containers that bear no name: an agent needs a view of the engine that shows nothing but its machine's.
    Unnamed,
    /// As plain processes all the same, for this reason.
    Never(&'static str),
}

/// How a whole fleet runs on an embedded platform.
pub trait Demo {
    /// The parameters that agents and scaler read their secrets from.
    fn secrets(&self) -> Vec<(&'static str, String)>;

    /// The agent's settings of the platform after `url`, as TOML.
    fn agent_settings(&self, machine: &DemoMachine<'_>) -> String;

    /// The scaler's settings of the platform after `url`, as TOML.
    fn queue_settings(&self) -> String;

    /// How its runner runs jobs.
    fn containers(&self) -> JobContainers;

    /// Whether a runner takes one job at a time only.
    fn one_job_at_a_time(&self) -> bool {
        false
    }

    /// Whether the vendor's own runner can take jobs here, since how it talks to its platform is public.
    fn takes_genuine_runner(&self) -> bool {
        false
    }

    /// Whether the platform has a webhook that tells of waiting jobs.
    fn has_webhook(&self) -> bool {
        false
    }

    /// Whether the runner serves metrics, which the agent asks for.
    fn serves_metrics(&self) -> bool {
        false
    }

    /// Refuses a directory that cannot hold such a fleet.
    ///
    /// # Errors
    /// Why, and what to do about it.
    fn check_dir(&self, _: &Path) -> Result<(), String> {
        Ok(())
    }
}

/// A text as TOML: a JSON string is a TOML string as well.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A setting whose value is kept in a parameter.
pub(super) fn secret(key: &str, parameter: &str) -> String {
    format!("{key} = {{ ssm = \"{parameter}\" }}\n")
}
