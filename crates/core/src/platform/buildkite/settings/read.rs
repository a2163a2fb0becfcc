//! Buildkite's keys in the settings, read into what its codecs need.

use std::{sync::Arc, time::Duration};

use secrecy::SecretString;

use super::{
    BuildkiteQueueSettings, BuildkiteRunnerSettings, base_url, check_grace_period, check_program, check_queue,
    check_tags,
};
use crate::{
    exchange::ExchangeError,
    platform::{
        DrainRules, Queue, QueueConfig, RunnerConfig, RunnerPlatform,
        answer::given,
        buildkite::{BuildkiteQueue, BuildkiteRunner, CLOUD, NAME},
    },
    settings::{SecretSource, Section},
};

/// A pool's queue as the settings name it.
#[derive(Clone, Debug)]
pub struct BuildkiteQueueConfig {
    /// Everything but the secret.
    pub settings: BuildkiteQueueSettings,
    /// Where the secret is.
    pub token: SecretSource,
}

impl QueueConfig for BuildkiteQueueConfig {
    fn platform(&self) -> &'static str {
        NAME
    }

    fn address(&self) -> &str {
        self.settings.url.as_str()
    }

    fn secret(&self) -> Option<&SecretSource> {
        Some(&self.token)
    }

    fn open(&self, secret: Option<SecretString>) -> Result<Box<dyn Queue>, ExchangeError> {
        Ok(Box::new(BuildkiteQueue::new(self.settings.clone(), given(secret)?)?))
    }
}

/// A runner as the settings name it.
#[derive(Clone, Debug)]
pub struct BuildkiteRunnerConfig {
    /// Everything but the secret.
    pub settings: BuildkiteRunnerSettings,
    /// Where the token is.
    pub token: SecretSource,
}

impl RunnerConfig for BuildkiteRunnerConfig {
    fn platform(&self) -> &'static str {
        NAME
    }

    fn drain_rules(&self) -> DrainRules {
        self.settings.drain_rules()
    }

    fn secrets(&self) -> Vec<&SecretSource> {
        vec![&self.token]
    }

    fn open(&self, secrets: Vec<SecretString>) -> Result<Box<dyn RunnerPlatform>, ExchangeError> {
        let token = given(secrets.into_iter().next())?;
        Ok(Box::new(BuildkiteRunner::new(self.settings.clone(), token)?))
    }
}

const TOKEN: &str = "an agent token of the queue's cluster";

pub fn queue(s: Section<'_>) -> Option<Arc<dyn QueueConfig>> {
    let url = s.url_or(CLOUD, base_url);
    let token = s.required_secret("token", TOKEN);
    let queue = key(&s);
    let include_waiting = s.flag("include_waiting").unwrap_or(false);
    s.finish();
    let settings = BuildkiteQueueSettings { url: url?, queue: queue?, include_waiting };
    Some(Arc::new(BuildkiteQueueConfig { settings, token: token? }))
}

pub fn runner(s: Section<'_>, single_use: bool) -> Option<Arc<dyn RunnerConfig>> {
    let url = s.url_or(CLOUD, base_url);
    let token = s.required_secret("token", TOKEN);
    let queue = key(&s);
    let tags = s.texts("tags").unwrap_or_default();
    s.checked(check_tags(&tags));
    let program = s.text("program");
    s.checked(program.as_deref().map_or(Ok(()), check_program));
    let grace = s.duration("cancel_grace_period", Duration::from_secs(1)..=Duration::from_secs(3600));
    s.checked(grace.map_or(Ok(()), check_grace_period));
    let build_path = s.absolute("build_path");
    let hooks_path = s.absolute("hooks_path");
    s.finish();
    let defaults = BuildkiteRunnerSettings::new(url?, queue?);
    let settings = BuildkiteRunnerSettings {
        tags,
        program: program.unwrap_or(defaults.program),
        disconnect_after_job: single_use,
        cancel_grace_period: grace.unwrap_or(defaults.cancel_grace_period),
        build_path,
        hooks_path: hooks_path.unwrap_or(defaults.hooks_path),
        ..defaults
    };
    Some(Arc::new(BuildkiteRunnerConfig { settings, token: token? }))
}

/// The queue's key.
fn key(s: &Section<'_>) -> Option<String> {
    if !s.has("queue") {
        s.missing(
            "queue",
            "the queue's key",
            "add queue = \"default\", as it stands at Buildkite under Agents > cluster > Queues",
        );
        return None;
    }
    let queue = s.text("queue")?;
    s.checked(check_queue(&queue))?;
    Some(queue)
}
