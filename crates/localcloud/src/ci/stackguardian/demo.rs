//! A whole fleet on the embedded StackGuardian.

use super::StackGuardianOptions;
use crate::ci::demo::{DRAIN_TOKEN, Demo, DemoMachine, JobContainers, READ_TOKEN, RUNNER_TOKEN, quoted, secret};

impl StackGuardianOptions {
    fn place(&self) -> String {
        format!("organization = {}\nrunner_group = {}\n", quoted(&self.organization), quoted(&self.runner_group))
    }
}

impl Demo for StackGuardianOptions {
    fn secrets(&self) -> Vec<(&'static str, String)> {
        vec![
            (RUNNER_TOKEN, self.token.clone()),
            (READ_TOKEN, self.api_key.clone()),
            (DRAIN_TOKEN, self.api_key.clone()),
        ]
    }

    fn agent_settings(&self, machine: &DemoMachine<'_>) -> String {
        [
            secret("token", RUNNER_TOKEN),
            machine.program(),
            secret("api_key", DRAIN_TOKEN),
            self.place(),
            format!("introspection = \"http://{}\"\nregister_timeout = \"60s\"\n", machine.address()),
        ]
        .concat()
    }

    fn queue_settings(&self) -> String {
        secret("api_key", READ_TOKEN) + &self.place()
    }

    fn containers(&self) -> JobContainers {
        JobContainers::Unnamed
    }
}
