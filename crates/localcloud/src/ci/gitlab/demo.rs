//! A whole fleet on the embedded GitLab.

use super::GitLabOptions;
use crate::ci::demo::{Demo, DemoMachine, JobContainers, READ_TOKEN, RUNNER_TOKEN, quoted, secret};

impl Demo for GitLabOptions {
    fn secrets(&self) -> Vec<(&'static str, String)> {
        vec![(RUNNER_TOKEN, self.runner_token.clone()), (READ_TOKEN, self.token.clone())]
    }

    fn agent_settings(&self, machine: &DemoMachine<'_>) -> String {
        let head = secret("token", RUNNER_TOKEN) + &machine.program();
        let (executor, image) = machine.image.map_or(("shell", "none"), |image| ("docker", image));
        let docker = machine.image.map(|_| format!("extra = {}\n", quoted(&docker_section(machine.labels))));
        format!(
            "{head}executor = \"{executor}\"\nimage = {}\ncheck_interval = \"1s\"\n{}",
            quoted(image),
            docker.unwrap_or_default()
        )
    }

    fn queue_settings(&self) -> String {
        let token = secret("token", READ_TOKEN);
        format!("{token}projects = [{}]\nrun_untagged = true\n", quoted(&self.project))
    }

    fn containers(&self) -> JobContainers {
        JobContainers::Named
    }

    fn takes_genuine_runner(&self) -> bool {
        true
    }

    fn has_webhook(&self) -> bool {
        true
    }

    fn serves_metrics(&self) -> bool {
        true
    }
}

/// What the runner's configuration says about containers, so that they are known as this machine's.
fn docker_section(labels: &[(&str, &str)]) -> String {
    let labels: String = labels.iter().map(|(key, value)| format!("\"{key}\" = \"{value}\"\n")).collect();
    format!("[docker]\npull_policy = \"if-not-present\"\n[docker.container_labels]\n{labels}")
}
