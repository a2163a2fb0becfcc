//! Spacelift's launcher: what `spacelift-launcher` is to Spacelift and to the agent. It reads its environment, takes
//! one run at a time, each in a container, and ends after it when it is told to by `SIGTERM` or `SIGINT`.

use std::{collections::BTreeMap, env, ffi::OsString, process::ExitCode};

use anyhow::{Context, Result};
use lightsout_localcloud::runner_protocol::Connect;

use crate::{
    client::{PlatformClient, embedded_url},
    container::unique,
    executor::{Executor, JobOptions, RunningJob, image_env},
    job::Job,
    machine,
    program::{block_on, exit_code, link},
    runner::Runner,
    worker::{JobStarter, Stop},
};

pub(crate) const RUNNER: Runner = Runner {
    platform: "spacelift",
    programs: &[(PROGRAM, main)],
    install: |program, bin| link(program, bin, PROGRAM),
    environment: |host| image_env(host.image),
};

const PROGRAM: &str = "spacelift-launcher";
const METADATA: &str = "SPACELIFT_METADATA_";
const TOKEN: &str = "SPACELIFT_TOKEN";
const PRIVATE_KEY: &str = "SPACELIFT_POOL_PRIVATE_KEY";

fn main(_: &[OsString]) -> ExitCode {
    exit_code(block_on(run()))
}

async fn run() -> Result<()> {
    let required = |name: &'static str| {
        let value = env::var(name).ok().filter(|value| !value.trim().is_empty());
        value.with_context(|| format!("{name} is not set"))
    };
    let token = required(TOKEN)?;
    required(PRIVATE_KEY)?;
    let launcher = Launcher { executor: Executor::from_env().await? };
    let name = machine::instance_id().unwrap_or_else(|| PROGRAM.to_owned());
    let connect = Connect { metadata: metadata(env::vars()), ..Connect::new(RUNNER.platform, token, name) };
    PlatformClient::new(&embedded_url()?, connect, true).work(launcher, |_, _| Stop::Finish).await
}

/// What the environment says about the worker.
fn metadata(variables: impl Iterator<Item = (String, String)>) -> BTreeMap<String, String> {
    variables.filter_map(|(name, value)| Some((name.strip_prefix(METADATA)?.to_owned(), value))).collect()
}

struct Launcher {
    executor: Executor,
}

impl JobStarter<Job> for Launcher {
    async fn prepare(&self, job: &Job) -> Result<()> {
        self.executor.prepare(job).await
    }

    async fn start(&self, job: &Job) -> Result<RunningJob> {
        let name = format!("spacelift-run-{}-{}", job.id, unique());
        // A run must not see what the launcher was given.
        self.executor.start(job, JobOptions { name, hidden: &[TOKEN, PRIVATE_KEY], ..JobOptions::default() }).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_comes_from_the_environment() {
        let variables =
            [("PATH", "/bin"), ("SPACELIFT_METADATA_instance_id", "i-1"), ("SPACELIFT_METADATA_asg_id", "g")];
        let found = metadata(variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into_iter());
        assert_eq!(found, [("asg_id".to_owned(), "g".to_owned()), ("instance_id".to_owned(), "i-1".to_owned())].into());
    }
}
