//! A whole fleet on the embedded StackGuardian.

use std::{
    env::{join_paths, split_paths, var_os},
    ffi::OsString,
    iter::once,
};

use super::StackGuardianOptions;
use crate::ci::demo::{
    DRAIN_TOKEN, Demo, DemoMachine, JOB_IMAGE, JOB_PATH, JobContainers, READ_TOKEN, RUNNER_TOKEN, RunnerFile, quoted,
    secret,
};

/// The name of the runner's program.
pub const PROGRAM: &str = "sg-runner";
/// The container engine's command, with which the runner starts the ECS agent.
pub const DOCKER: &str = "docker";
/// The service manager's command, with which the runner starts the engine.
pub const SYSTEMCTL: &str = "systemctl";
/// The environment variable that tells the ECS agent where to serve its introspection.
pub const INTROSPECTION: &str = "LIGHTSOUT_ECS_INTROSPECTION";
/// The environment variable that tells the ECS agent how many jobs it takes at once.
pub const SLOTS: &str = "LIGHTSOUT_SLOTS";

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

    fn runner_files(&self) -> &'static [RunnerFile] {
        &[RunnerFile::Link(PROGRAM), RunnerFile::Link(DOCKER), RunnerFile::Link(SYSTEMCTL)]
    }

    /// The runner finds the built-in `docker` and `systemctl`; its jobs find the machine's own.
    fn environment(&self, machine: &DemoMachine<'_>) -> Vec<(&'static str, OsString)> {
        let path = var_os("PATH").unwrap_or_default();
        let tools = machine.runner.parent().unwrap_or(machine.runner).to_owned();
        let with_tools = join_paths(once(tools).chain(split_paths(&path))).unwrap_or_else(|_| path.clone());
        let image = machine.image.map(|image| (JOB_IMAGE, image.into()));
        let others = [
            ("PATH", with_tools),
            (JOB_PATH, path),
            ("ECS_CONFIG_DIR", machine.dir.join("ecs").into()),
            (SLOTS, machine.slots.to_string().into()),
            (INTROSPECTION, machine.address().into()),
        ];
        image.into_iter().chain(others).collect()
    }

    fn containers(&self) -> JobContainers {
        JobContainers::Unnamed
    }
}
