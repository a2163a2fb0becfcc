//! A Buildkite agent on the instance.

use secrecy::SecretString;

use super::{BuildkiteRunnerSettings, NAME, config, queue::metrics, settings::check_agent_token};
use crate::{
    exchange::{Call, ExchangeError},
    platform::{
        DrainRules, HostContext, KnownVersions, Launch, Probe, Ready, RegisterFor, RunnerPlatform, RunnerSettings,
        Versions,
        answer::{self, Remedies, RequestContext},
        job_pid_file,
    },
};

/// Version 4 has other keys for how long a cancelled job may take (its changelog).
pub(super) const VERSIONS: &KnownVersions = &KnownVersions {
    runner: "buildkite-agent",
    majors: 3..=4,
    at_stake: "it may ignore how long a cancelled job may take, and so report none before a spot deadline",
    oldest: None,
};

const REMEDIES: Remedies = Remedies {
    unauthorized: "the agent token is wrong or revoked, or may not be used from this address (its allowed IP addresses); create one in \
                   Buildkite under Agents > the queue's cluster > Agent Tokens and put it into the secret that the instances read",
    forbidden: "an agent token of the queue's cluster is needed (not an API access token), and its allowed IP addresses must include the \
                instance's",
    not_found: "the token's cluster has no such queue: correct the queue's key, or use an agent token of the cluster that the queue is in",
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
    /// When the token cannot be one of Buildkite.
    pub fn new(settings: BuildkiteRunnerSettings, token: SecretString) -> Result<Self, ExchangeError> {
        check_agent_token(&token)?;
        Ok(Self { settings, token })
    }

    fn launch(&self, host: &HostContext, major: Option<u32>) -> Result<Launch, ExchangeError> {
        let config = config::config_path(host);
        let argv = [&self.settings.program, "start", "--config", &config.to_string_lossy()];
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

    fn versions(&self) -> Versions {
        self.settings.versions()
    }

    fn registration(&self, host: &HostContext) -> RegisterFor {
        let (runner, host) = (self.clone(), host.clone());
        Box::new(move |major| match runner.launch(&host, major) {
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

    fn check(&self, _: &HostContext) -> Option<Call<String>> {
        let BuildkiteRunnerSettings { url, queue, .. } = &self.settings;
        let context = RequestContext {
            platform: format!("Buildkite at {url}"),
            what: format!("see queue {queue}"),
            remedies: REMEDIES,
            secret: self.token.clone(),
        };
        let seen = format!("the token is good for queue {queue}");
        Some(answer::once(metrics(url, queue, &self.token), move |result| {
            let reply = context.reply(result)?;
            if reply.status == 200 { Ok(seen.clone()) } else { Err(context.refusal(&reply)) }
        }))
    }

    fn probes(&self, host: &HostContext) -> Vec<Probe> {
        vec![Probe::Files { folder: job_pid_file::folder(host) }, Probe::Children(Vec::new())]
    }
}
