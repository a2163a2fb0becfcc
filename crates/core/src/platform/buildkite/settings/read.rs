//! Buildkite's keys in the settings, read into what its codecs need.

use std::sync::Arc;

use super::{BuildkiteQueueSettings, BuildkiteRunnerSettings, QueueKey, base_url};
use crate::{
    exchange::ExchangeError,
    platform::{
        Config, DrainBy, DrainRules, JobFilter, Jobs, Queue, QueueConfig, QueueSettings, RunnerConfig, RunnerNeeds,
        RunnerPlatform, RunnerSettings, Secrets, Signal, UndrainBy, Versions,
        buildkite::{BuildkiteQueue, BuildkiteRunner, CLOUD, NAME, runner::VERSIONS},
    },
    settings::{BaseUrl, SecretSource, Section},
};

impl QueueSettings for BuildkiteQueueSettings {
    const PLATFORM: &'static str = NAME;

    fn address(&self) -> &str {
        self.url.as_str()
    }

    fn job_filter(&self) -> Option<JobFilter> {
        Some(JobFilter { sources: vec![self.queue.to_string()], jobs: Jobs::All })
    }

    fn open(&self, mut secrets: Secrets) -> Result<Box<dyn Queue>, ExchangeError> {
        Ok(Box::new(BuildkiteQueue::new(self.clone(), secrets.required()?)?))
    }
}

impl RunnerSettings for BuildkiteRunnerSettings {
    const PLATFORM: &'static str = NAME;

    fn drain_rules(&self) -> DrainRules {
        DrainRules {
            drain: DrainBy::Signal(Signal::Term),
            undrain: UndrainBy::Relaunch,
            abort: Signal::Quit,
            quiesce: false,
        }
    }

    fn needs(&self) -> RunnerNeeds {
        RunnerNeeds {
            program: Some(self.program.to_string()),
            unit: Some("buildkite-agent.service"),
            address: Some(self.url.as_str().to_owned()),
            ..RunnerNeeds::default()
        }
    }

    fn versions(&self) -> Versions {
        Versions::Said { program: self.program.to_string(), env: &[], known: VERSIONS }
    }

    fn open(&self, mut secrets: Secrets) -> Result<Box<dyn RunnerPlatform>, ExchangeError> {
        Ok(Box::new(BuildkiteRunner::new(self.clone(), secrets.required()?)?))
    }
}

pub(crate) fn queue(s: Section<'_>) -> Option<Arc<dyn QueueConfig>> {
    let (url, token, queue) = common(&s);
    let include_waiting = s.flag("include_waiting").unwrap_or(false);
    s.finish();
    let settings = BuildkiteQueueSettings { url: url?, queue: queue?, include_waiting };
    Some(Arc::new(Config { settings, secrets: vec![token?] }))
}

pub(crate) fn runner(s: Section<'_>, single_use: bool) -> Option<Arc<dyn RunnerConfig>> {
    let (url, token, queue) = common(&s);
    let tags = s.parsed_list("tags").unwrap_or_default();
    let program = s.parsed("program");
    let grace = s.whole_seconds("cancel_grace_period", 1..=3600);
    let build_path = s.parsed("build_path");
    let hooks_path = s.parsed("hooks_path");
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
    Some(Arc::new(Config { settings, secrets: vec![token?] }))
}

fn common(s: &Section<'_>) -> (Option<BaseUrl>, Option<SecretSource>, Option<QueueKey>) {
    let url = s.url_or(CLOUD, base_url);
    let token = s.required_secret("token", "an agent token of the queue's cluster");
    if !s.has("queue") {
        let remedy = "add queue = \"default\", as it stands at Buildkite under Agents > cluster > Queues";
        s.missing("queue", "the queue's key", remedy);
    }
    (url, token, s.parsed("queue"))
}
