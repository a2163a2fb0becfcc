//! A whole fleet on the embedded GitHub.

use super::GitHubOptions;
use crate::ci::demo::{Demo, DemoMachine, JobContainers, READ_TOKEN, RUNNER_TOKEN, quoted, secret};

impl Demo for GitHubOptions {
    fn secrets(&self) -> Vec<(&'static str, String)> {
        vec![(RUNNER_TOKEN, self.token.clone()), (READ_TOKEN, self.token.clone())]
    }

    fn agent_settings(&self, machine: &DemoMachine<'_>) -> String {
        format!(
            "{}program = [{}]\norganization = {}\nrunner_group_id = {}\n",
            secret("token", RUNNER_TOKEN),
            quoted(&machine.runner.to_string_lossy()),
            quoted(&self.organization),
            self.runner_group,
        )
    }

    fn queue_settings(&self) -> String {
        let repository = quoted(&format!("{}/{}", self.organization, self.repository));
        format!("{}repositories = [{repository}]\n", secret("token", READ_TOKEN))
    }

    fn containers(&self) -> JobContainers {
        JobContainers::Never("GitHub's runner runs jobs so")
    }

    fn one_job_at_a_time(&self) -> bool {
        true
    }

    fn has_webhook(&self) -> bool {
        true
    }
}
