//! A whole fleet on the embedded CircleCI.

use super::CircleCiOptions;
use crate::ci::demo::{Demo, DemoMachine, JobContainers, READ_TOKEN, RUNNER_TOKEN, quoted, secret};

impl Demo for CircleCiOptions {
    fn secrets(&self) -> Vec<(&'static str, String)> {
        let class_token = self.resource_classes.first().map(|class| class.token.clone());
        vec![(RUNNER_TOKEN, class_token.unwrap_or_default()), (READ_TOKEN, self.token.clone())]
    }

    fn agent_settings(&self, machine: &DemoMachine<'_>) -> String {
        secret("token", RUNNER_TOKEN) + &machine.program()
    }

    fn queue_settings(&self) -> String {
        let classes: Vec<String> = self.resource_classes.iter().map(|class| quoted(&class.name)).collect();
        format!("{}resource_classes = [{}]\n", secret("token", READ_TOKEN), classes.join(", "))
    }

    fn containers(&self) -> JobContainers {
        JobContainers::Never("CircleCI's machine runner runs tasks so")
    }

    fn one_job_at_a_time(&self) -> bool {
        true
    }
}
