//! A whole fleet on the embedded Buildkite.

use std::path::Path;

use super::BuildkiteOptions;
use crate::ci::demo::{Demo, DemoMachine, JobContainers, READ_TOKEN, RUNNER_TOKEN, quoted, secret};

impl BuildkiteOptions {
    fn queue(&self) -> String {
        quoted(self.queues.first().map_or("default", String::as_str))
    }
}

impl Demo for BuildkiteOptions {
    fn secrets(&self) -> Vec<(&'static str, String)> {
        vec![(RUNNER_TOKEN, self.token.clone()), (READ_TOKEN, self.token.clone())]
    }

    fn agent_settings(&self, machine: &DemoMachine<'_>) -> String {
        let token = secret("token", RUNNER_TOKEN);
        let hooks = quoted(&machine.dir.join("hooks").to_string_lossy());
        format!("{token}{}queue = {}\nhooks_path = {hooks}\n", machine.program(), self.queue())
    }

    fn queue_settings(&self) -> String {
        format!("{}queue = {}\n", secret("token", READ_TOKEN), self.queue())
    }

    fn containers(&self) -> JobContainers {
        JobContainers::Never("Buildkite's agent runs jobs so")
    }

    fn takes_genuine_runner(&self) -> bool {
        true
    }

    fn has_webhook(&self) -> bool {
        true
    }

    fn check_dir(&self, dir: &Path) -> Result<(), String> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@+[]".contains(c);
        if dir.to_string_lossy().chars().all(plain) {
            return Ok(());
        }
        Err(format!(
            "{} cannot stand in Buildkite's configuration, which knows no escapes; name a plain directory with --dir",
            dir.display()
        ))
    }
}
