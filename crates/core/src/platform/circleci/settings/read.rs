//! CircleCi's keys in the settings, read into what its codecs need.

use std::{sync::Arc, time::Duration};

use secrecy::SecretString;

use super::{CircleCiQueueSettings, CircleCiRunnerSettings};
use crate::{
    platform::{
        DrainRules, Queue, QueueConfig, RunnerConfig, RunnerPlatform,
        circleci::{CLOUD, CircleCiQueue, CircleCiRunner, NAME},
    },
    settings::{SecretSource, Section},
};

/// A pool's queue as the settings name it.
#[derive(Clone, Debug)]
pub struct CircleCiQueueConfig {
    /// Everything but the secret.
    pub settings: CircleCiQueueSettings,
    /// Where the secret is.
    pub token: SecretSource,
}

impl QueueConfig for CircleCiQueueConfig {
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
        Box::new(CircleCiQueue::new(CircleCiQueueSettings { token, ..self.settings.clone() }))
    }
}

/// A runner as the settings name it.
#[derive(Clone, Debug)]
pub struct CircleCiRunnerConfig {
    /// Everything but the secrets.
    pub settings: CircleCiRunnerSettings,
    /// Where the token is.
    pub token: SecretSource,
}

impl RunnerConfig for CircleCiRunnerConfig {
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
        Box::new(CircleCiRunner::new(CircleCiRunnerSettings { token, ..self.settings.clone() }))
    }
}

pub fn queue(s: Section<'_>) -> Option<Arc<dyn QueueConfig>> {
    // Everything right but the key at hand.
    let right = CircleCiQueueSettings {
        url: CLOUD.to_owned(),
        token: "x".into(),
        resource_classes: vec!["a/b".to_owned()],
        max_concurrency: None,
    };
    let url = s.api(CLOUD, |url| CircleCiQueueSettings { url: url.to_owned(), ..right.clone() }.check());
    let token = s.required_secret("token", "a personal API token (a resource class token cannot read the queue)");
    let classes = s.texts("resource_classes");
    match &classes {
        Some(classes) => {
            let with = CircleCiQueueSettings { resource_classes: classes.clone(), ..right.clone() };
            s.checked("resource_classes", with.check());
        }
        None if s.has("resource_classes") => {}
        None => s.missing(
            "resource_classes",
            "whose tasks to count",
            "add resource_classes = [\"namespace/resource-class\"]",
        ),
    }
    let max_concurrency = s.integer("max_concurrency", 1..=1_000_000);
    s.finish();
    let settings =
        CircleCiQueueSettings { url, token: SecretString::default(), resource_classes: classes?, max_concurrency };
    Some(Arc::new(CircleCiQueueConfig { settings, token: token? }))
}

pub fn runner(s: Section<'_>, single_use: bool) -> Option<Arc<dyn RunnerConfig>> {
    let right = CircleCiRunnerSettings { token: "x".into(), ..Default::default() };
    let url = s.api(CLOUD, |url| CircleCiRunnerSettings { url: url.to_owned(), ..right.clone() }.check());
    let token = s.required_secret("token", "the resource class token that the pool shares");
    let settings = CircleCiRunnerSettings {
        url,
        token: SecretString::default(),
        program: s.text("program").unwrap_or_else(|| right.program.clone()),
        single_task: single_use,
        max_run_time: s
            .duration("max_run_time", Duration::from_secs(1)..=Duration::from_secs(7 * 86_400))
            .unwrap_or(right.max_run_time),
        working_directory: s.absolute("working_directory"),
        cleanup_working_directory: s.flag("cleanup_working_directory").unwrap_or(right.cleanup_working_directory),
        task_agent_directory: s.absolute("task_agent_directory"),
        command_prefix: s.program("command_prefix").unwrap_or_default(),
    };
    let program = CircleCiRunnerSettings { program: settings.program.clone(), ..right.clone() };
    s.checked("program", program.check());
    let max_run_time = CircleCiRunnerSettings { max_run_time: settings.max_run_time, ..right.clone() };
    s.checked("max_run_time", max_run_time.check());
    let prefix = CircleCiRunnerSettings {
        command_prefix: settings.command_prefix.clone(),
        working_directory: settings.working_directory.clone(),
        task_agent_directory: settings.task_agent_directory.clone(),
        ..right
    };
    s.checked("command_prefix", prefix.check());
    s.finish();
    Some(Arc::new(CircleCiRunnerConfig { settings, token: token? }))
}
