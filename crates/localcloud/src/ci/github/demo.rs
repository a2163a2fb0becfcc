//! A whole fleet on the embedded GitHub.

use super::GitHubOptions;
use crate::ci::demo::{Demo, DemoMachine, JobContainers, READ_TOKEN, RUNNER_TOKEN, RunnerFile, quoted, secret};

/// The name of the script that the runner is started with.
pub const RUN: &str = "run.sh";
/// The name of the process that waits for jobs.
pub const LISTENER: &str = "Runner.Listener";
/// The name of the process that is there while a job runs, by which an agent knows that one does.
pub const WORKER: &str = "Runner.Worker";

/// Stands in for the runner's own script: it starts the listener and hands signals on as interrupts.
pub const RUN_SH: &str = r#"#!/bin/sh
# Stands in for the run.sh of GitHub's runner.
"$(dirname "$0")/Runner.Listener" run "$@" &
listener=$!
trap 'kill -INT "$listener" 2>/dev/null' INT TERM
while :; do
    wait "$listener"
    code=$?
    kill -0 "$listener" 2>/dev/null || exit "$code"
done
"#;

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

    fn runner_files(&self) -> &'static [RunnerFile] {
        &[RunnerFile::Script(RUN, RUN_SH), RunnerFile::Link(LISTENER), RunnerFile::Program(WORKER)]
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
