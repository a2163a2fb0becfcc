//! CircleCI's keys in the settings, read into what its codecs need.

use std::{num::NonZeroU32, sync::Arc};

use super::{CircleCiQueueSettings, CircleCiRunnerSettings, base_url};
use crate::{
    exchange::ExchangeError,
    platform::{
        Config, DrainBy, DrainRules, JobFilter, Jobs, Queue, QueueConfig, QueueSettings, RunnerConfig, RunnerNeeds,
        RunnerPlatform, RunnerSettings, Secrets, Signal, UndrainBy, Versions,
        circleci::{CLOUD, CircleCiQueue, CircleCiRunner, NAME, runner::VERSIONS},
    },
    settings::Section,
};

const TOKEN_IN_REACH: &str = "the token of the resource class is in a file of the user that tasks run as, and stays there: whoever reads it can take \
                              tasks of the class from anywhere; run tasks as another user, say command_prefix = [\"sudo\", \"-niHu\", \"circleci\", \"--\"]";

impl QueueSettings for CircleCiQueueSettings {
    const PLATFORM: &'static str = NAME;

    fn address(&self) -> &str {
        self.url.as_str()
    }

    fn job_filter(&self) -> Option<JobFilter> {
        Some(JobFilter { sources: self.resource_classes.iter().map(ToString::to_string).collect(), jobs: Jobs::All })
    }

    fn open(&self, mut secrets: Secrets) -> Result<Box<dyn Queue>, ExchangeError> {
        Ok(Box::new(CircleCiQueue::new(self.clone(), secrets.required()?)?))
    }
}

impl RunnerSettings for CircleCiRunnerSettings {
    const PLATFORM: &'static str = NAME;

    fn drain_rules(&self) -> DrainRules {
        // The second SIGTERM cancels the task: the first was the drain.
        DrainRules {
            drain: DrainBy::Signal(Signal::Term),
            undrain: UndrainBy::Relaunch,
            abort: Signal::Term,
            quiesce: false,
        }
    }

    fn needs(&self) -> RunnerNeeds {
        RunnerNeeds {
            program: Some(self.program.to_string()),
            unit: Some("circleci-runner.service"),
            broad_secret: self.command_prefix.is_empty().then_some(TOKEN_IN_REACH),
            address: Some(self.url.as_str().to_owned()),
            ..RunnerNeeds::default()
        }
    }

    fn versions(&self) -> Versions {
        Versions::Said { program: self.program.to_string(), env: &[], known: VERSIONS }
    }

    fn open(&self, mut secrets: Secrets) -> Result<Box<dyn RunnerPlatform>, ExchangeError> {
        Ok(Box::new(CircleCiRunner::new(self.clone(), secrets.required()?)?))
    }
}

pub(crate) fn queue(s: Section<'_>) -> Option<Arc<dyn QueueConfig>> {
    let url = s.url_or(CLOUD, base_url);
    let token = s.required_secret("token", "a personal API token (a resource class token cannot read the queue)");
    if !s.has("resource_classes") {
        let remedy = "add resource_classes = [\"namespace/resource-class\"]";
        s.missing("resource_classes", "whose tasks to count", remedy);
    }
    let classes = s.one_or_more("resource_classes", "name each as namespace/resource-class, such as acme/linux");
    let max_concurrency = s.integer("max_concurrency", 1..=1_000_000).and_then(NonZeroU32::new);
    s.finish();
    let settings = CircleCiQueueSettings { url: url?, resource_classes: classes?, max_concurrency };
    Some(Arc::new(Config { settings, secrets: vec![token?] }))
}

pub(crate) fn runner(s: Section<'_>, single_use: bool) -> Option<Arc<dyn RunnerConfig>> {
    let url = s.url_or(CLOUD, base_url);
    let token = s.required_secret("token", "the resource class token that the pool shares");
    let program = s.non_blank("program");
    let run_time = s.whole_seconds("max_run_time", 1..=7 * 86_400);
    let working_directory = s.absolute("working_directory");
    let task_agent_directory = s.absolute("task_agent_directory");
    let cleanup = s.flag("cleanup_working_directory");
    let command_prefix = s.parsed_list("command_prefix").unwrap_or_default();
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
    s.valid("command_prefix", settings.as_ref().map_or(Ok(()), CircleCiRunnerSettings::check_prefix));
    s.finish();
    Some(Arc::new(Config { settings: settings?, secrets: vec![token?] }))
}
