//! Buildkite's keys in the settings, read into what its codecs need.

use std::{sync::Arc, time::Duration};

use secrecy::SecretString;

use super::{BuildkiteQueueSettings, BuildkiteRunnerSettings};
use crate::{
    platform::{
        DrainRules, Queue, QueueConfig, RunnerConfig, RunnerPlatform,
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
        &self.settings.url
    }

    fn secret(&self) -> Option<&SecretSource> {
        Some(&self.token)
    }

    fn open(&self, secret: Option<SecretString>) -> Box<dyn Queue> {
        let token = secret.unwrap_or_default();
        Box::new(BuildkiteQueue::new(BuildkiteQueueSettings { token, ..self.settings.clone() }))
    }
}

/// A runner as the settings name it.
#[derive(Clone, Debug)]
pub struct BuildkiteRunnerConfig {
    /// Everything but the secrets.
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

    fn open(&self, secrets: Vec<SecretString>) -> Box<dyn RunnerPlatform> {
        let token = secrets.into_iter().next().unwrap_or_default();
        Box::new(BuildkiteRunner::new(BuildkiteRunnerSettings { token, ..self.settings.clone() }))
    }
}

const TOKEN: &str = "an agent token of the queue's cluster";

pub fn queue(s: Section<'_>) -> Option<Arc<dyn QueueConfig>> {
    // Everything right but the key at hand.
    let right = BuildkiteQueueSettings {
        url: CLOUD.to_owned(),
        token: "x".into(),
        queue: "default".to_owned(),
        include_waiting: false,
    };
    let url = s.api(CLOUD, |url| BuildkiteQueueSettings { url: url.to_owned(), ..right.clone() }.check());
    let token = s.required_secret("token", TOKEN);
    let queue = key(&s);
    let include_waiting = s.flag("include_waiting").unwrap_or(false);
    s.finish();
    let settings = BuildkiteQueueSettings { url, token: SecretString::default(), queue: queue?, include_waiting };
    Some(Arc::new(BuildkiteQueueConfig { settings, token: token? }))
}

pub fn runner(s: Section<'_>, single_use: bool) -> Option<Arc<dyn RunnerConfig>> {
    let right = BuildkiteRunnerSettings { token: "x".into(), queue: "default".to_owned(), ..Default::default() };
    let url = s.api(CLOUD, |url| BuildkiteRunnerSettings { url: url.to_owned(), ..right.clone() }.check());
    let token = s.required_secret("token", TOKEN);
    let queue = key(&s);
    let settings = BuildkiteRunnerSettings {
        url,
        token: SecretString::default(),
        queue: queue.clone().unwrap_or_default(),
        tags: s.texts("tags").unwrap_or_default(),
        program: s.text("program").unwrap_or_else(|| right.program.clone()),
        disconnect_after_job: single_use,
        cancel_grace_period: s
            .duration("cancel_grace_period", Duration::from_secs(1)..=Duration::from_secs(3600))
            .unwrap_or(right.cancel_grace_period),
        build_path: s.absolute("build_path"),
        hooks_path: s.absolute("hooks_path").unwrap_or_else(|| right.hooks_path.clone()),
    };
    s.checked("tags", BuildkiteRunnerSettings { tags: settings.tags.clone(), ..right.clone() }.check());
    s.checked("program", BuildkiteRunnerSettings { program: settings.program.clone(), ..right.clone() }.check());
    let grace = BuildkiteRunnerSettings { cancel_grace_period: settings.cancel_grace_period, ..right };
    s.checked("cancel_grace_period", grace.check());
    s.finish();
    queue?;
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
    let with = BuildkiteQueueSettings {
        url: CLOUD.to_owned(),
        token: "x".into(),
        queue: queue.clone(),
        include_waiting: false,
    };
    s.checked("queue", with.check());
    Some(queue)
}
