//! A CircleCI machine runner on the instance.

use secrecy::SecretString;

use super::{CircleCiRunnerSettings, NAME, config, settings::check_class_token};
use crate::{
    exchange::{Call, ExchangeError},
    platform::{
        DrainRules, HostContext, KnownVersions, Launch, Probe, Ready, RegisterFor, RunnerPlatform, RunnerSettings,
        Versions,
        answer::{self, refuse},
        job_pid_file,
    },
};

/// The keys are those of machine runner 3 (CircleCI documentation, "Machine runner 3 configuration reference"). Its source is not published, and
/// `--version` is documented for its predecessor alone (circleci-docs pull request 7588): users' scripts call it, and no answer is a doubt.
pub(super) const VERSIONS: &KnownVersions = &KnownVersions {
    runner: "circleci-runner",
    majors: 3..=3,
    at_stake: "it may ignore command_prefix, by which a task is seen, or take a first SIGTERM for an order to cancel its task",
    oldest: None,
};

/// Runs CircleCI's machine runner on the instance.
#[derive(Clone, Debug)]
pub struct CircleCiRunner {
    settings: CircleCiRunnerSettings,
    token: SecretString,
}

impl CircleCiRunner {
    /// A runner with these settings and the resource class token, which all instances of the pool share.
    ///
    /// # Errors
    /// When the token cannot be one of CircleCI.
    pub fn new(settings: CircleCiRunnerSettings, token: SecretString) -> Result<Self, ExchangeError> {
        check_class_token(&token)?;
        Ok(Self { settings, token })
    }

    fn launch(&self, host: &HostContext) -> Result<Launch, ExchangeError> {
        if host.slots > 1 {
            return refuse(format!(
                "CircleCI's machine runner takes one task at a time, but {} slots are set; set slots to 1",
                host.slots
            ));
        }
        if host.instance_id.is_empty()
            || !host.instance_id.chars().all(|c| c.is_ascii_alphanumeric() || ".()-_".contains(c))
        {
            return refuse(format!(
                "the instance's id {:?} cannot be a CircleCI runner's name: only letters, digits and .()-_ can stand in one",
                host.instance_id
            ));
        }
        let config = config::config_path(host);
        let argv = [&self.settings.program, "machine", "--config", &config.to_string_lossy()];
        Ok(Launch {
            argv: argv.map(str::to_owned).into(),
            env: Vec::new(),
            files: config::files(&self.settings, &self.token, host)?,
            doubts: Vec::new(),
        })
    }
}

impl RunnerPlatform for CircleCiRunner {
    fn platform(&self) -> &'static str {
        NAME
    }

    fn versions(&self) -> Versions {
        self.settings.versions()
    }

    fn registration(&self, host: &HostContext) -> RegisterFor {
        let (runner, host) = (self.clone(), host.clone());
        Box::new(move |_| match runner.launch(&host) {
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
