//! A Buildkite agent on the instance.

use secrecy::SecretString;

use super::{BuildkiteRunnerSettings, NAME, config, settings::check_agent_token};
use crate::{
    exchange::{Call, ExchangeError},
    platform::{
        DrainRules, HostContext, Launch, Probe, Ready, RunnerPlatform, answer, job_pid_file,
        version::{self, KnownVersions},
    },
};

/// Version 4 has other keys for how long a cancelled job may take (its changelog).
const VERSIONS: KnownVersions = KnownVersions {
    runner: "buildkite-agent",
    majors: 3..=4,
    at_stake: "it may ignore how long a cancelled job may take, and so report none before a spot deadline",
};

/// Runs Buildkite's agent on the instance.
#[derive(Clone, Debug)]
pub struct BuildkiteRunner {
    settings: BuildkiteRunnerSettings,
    token: SecretString,
}

impl BuildkiteRunner {
    /// A runner with these settings and an agent token of the queue's cluster, which all instances of the pool share.
    ///
    /// # Errors
    /// When the token or a setting cannot be one of Buildkite.
    pub fn new(settings: BuildkiteRunnerSettings, token: SecretString) -> Result<Self, ExchangeError> {
        check_agent_token(&token)?;
        settings.check()?;
        Ok(Self { settings, token })
    }

    fn launch(&self, host: &HostContext, major: Option<u32>) -> Result<Launch, ExchangeError> {
        let config = config::config_path(host);
        let argv = [self.settings.program.as_str(), "start", "--config", &config.to_string_lossy()];
        Ok(Launch {
            argv: argv.map(str::to_owned).into(),
            env: Vec::new(),
            files: config::files(&self.settings, &self.token, host, major)?,
            doubts: Vec::new(),
        })
    }
}

impl RunnerPlatform for BuildkiteRunner {
    fn platform(&self) -> &'static str {
        NAME
    }

    fn register(&self, host: &HostContext) -> Call<Launch> {
        let (runner, host) = (self.clone(), host.clone());
        version::registering(&self.settings.program, VERSIONS, move |major| match runner.launch(&host, major) {
            Ok(launch) => Box::new(Ready(launch)),
            Err(error) => answer::failed(error),
        })
    }

    fn drain_rules(&self) -> DrainRules {
        self.settings.drain_rules()
    }

    fn deregister(&self, _: &HostContext) -> Call<()> {
        Box::new(Ready(()))
    }

    fn probes(&self, host: &HostContext) -> Vec<Probe> {
        vec![Probe::Files { folder: job_pid_file::folder(host) }, Probe::Children(Vec::new())]
    }
}
