//! CircleCI's keys in the settings, read into what its codecs need.

use std::{sync::Arc, time::Duration};

use secrecy::SecretString;

use super::{CircleCiQueueSettings, CircleCiRunnerSettings, base_url, check_classes, check_program, check_run_time};
use crate::{
    exchange::ExchangeError,
    platform::{
        DrainRules, Queue, QueueConfig, RunnerConfig, RunnerPlatform,
        answer::given,
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
        self.settings.url.as_str()
    }

    fn secret(&self) -> Option<&SecretSource> {
        Some(&self.token)
    }

    fn open(&self, secret: Option<SecretString>) -> Result<Box<dyn Queue>, ExchangeError> {
        Ok(Box::new(CircleCiQueue::new(self.settings.clone(), given(secret)?)?))
    }
}

/// A runner as the settings name it.
#[derive(Clone, Debug)]
pub struct CircleCiRunnerConfig {
    /// Everything but the secret.
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

    fn open(&self, secrets: Vec<SecretString>) -> Result<Box<dyn RunnerPlatform>, ExchangeError> {
        let token = given(secrets.into_iter().next())?;
        Ok(Box::new(CircleCiRunner::new(self.settings.clone(), token)?))
    }
}

pub fn queue(s: Section<'_>) -> Option<Arc<dyn QueueConfig>> {
    let url = s.url_or(CLOUD, base_url);
    let token = s.required_secret("token", "a personal API token (a resource class token cannot read the queue)");
    let classes = s.texts("resource_classes");
    match &classes {
        Some(classes) => drop(s.checked(check_classes(classes))),
        None if s.has("resource_classes") => {}
        None => s.missing(
            "resource_classes",
            "whose tasks to count",
            "add resource_classes = [\"namespace/resource-class\"]",
        ),
    }
    let max_concurrency = s.integer("max_concurrency", 1..=1_000_000);
    s.finish();
    let settings = CircleCiQueueSettings { url: url?, resource_classes: classes?, max_concurrency };
    Some(Arc::new(CircleCiQueueConfig { settings, token: token? }))
}

pub fn runner(s: Section<'_>, single_use: bool) -> Option<Arc<dyn RunnerConfig>> {
    let url = s.url_or(CLOUD, base_url);
    let token = s.required_secret("token", "the resource class token that the pool shares");
    let program = s.text("program");
    s.checked(program.as_deref().map_or(Ok(()), check_program));
    let run_time = s.duration("max_run_time", Duration::from_secs(1)..=Duration::from_secs(7 * 86_400));
    s.checked(run_time.map_or(Ok(()), check_run_time));
    let working_directory = s.absolute("working_directory");
    let task_agent_directory = s.absolute("task_agent_directory");
    let cleanup = s.flag("cleanup_working_directory");
    let command_prefix = s.program("command_prefix").unwrap_or_default();
    let settings = url.map(|url| {
        let defaults = CircleCiRunnerSettings::new(url);
        CircleCiRunnerSettings {
            program: program.unwrap_or(defaults.program),
            single_task: single_use,
            max_run_time: run_time.unwrap_or(defaults.max_run_time),
            working_directory,
            cleanup_working_directory: cleanup.unwrap_or(defaults.cleanup_working_directory),
            task_agent_directory,
            command_prefix,
            ..defaults
        }
    });
    s.checked(settings.as_ref().map_or(Ok(()), CircleCiRunnerSettings::check_prefix));
    s.finish();
    Some(Arc::new(CircleCiRunnerConfig { settings: settings?, token: token? }))
}
