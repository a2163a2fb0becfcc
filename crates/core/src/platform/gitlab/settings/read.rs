//! GitLab's keys in the settings, read into what its codecs need.

use std::{collections::BTreeSet, sync::Arc};

use secrecy::ExposeSecret;

use super::{Executor, GitLabQueueSettings, GitLabRunnerSettings, Scope, base_url};
use crate::{
    exchange::{Call, ExchangeError},
    platform::{
        Config, DrainBy, DrainRules, HostContext, JobFilter, Jobs, Queue, QueueConfig, QueueSettings, Quiesce,
        Requests, RunnerConfig, RunnerNeeds, RunnerPlatform, RunnerSettings, Secrets, Signal, UndrainBy, Versions,
        gitlab::{self, GitLabRunner, NAME, config, metrics, runner::VERSIONS},
    },
    settings::{BaseUrl, NonBlank, SecretSource, Section, WholeSeconds},
};

impl QueueSettings for GitLabQueueSettings {
    const PLATFORM: &'static str = NAME;

    fn address(&self) -> &str {
        self.url.as_str()
    }

    fn job_filter(&self) -> Option<JobFilter> {
        let sources = match &self.scope {
            Scope::Projects(projects) => projects.iter().map(ToString::to_string).collect(),
            Scope::Group(group) => vec![group.to_string()],
        };
        let plain = self.run_untagged.then_some("a job without tags");
        Some(JobFilter { sources, jobs: Jobs::Within { labels: self.tags.clone(), plain } })
    }

    fn open(&self, mut secrets: Secrets) -> Result<Box<dyn Queue>, ExchangeError> {
        Ok(Box::new(gitlab::queue(self.clone(), secrets.required()?)?))
    }
}

impl RunnerSettings for GitLabRunnerSettings {
    const PLATFORM: &'static str = NAME;

    fn drain_rules(&self) -> DrainRules {
        DrainRules {
            drain: DrainBy::Signal(Signal::Quit),
            undrain: UndrainBy::Relaunch,
            abort: Signal::Term,
            quiesce: true,
        }
    }

    fn needs(&self) -> RunnerNeeds {
        RunnerNeeds {
            program: Some(self.program.to_string()),
            unit: Some("gitlab-runner.service"),
            address: Some(self.url.as_str().to_owned()),
            ..RunnerNeeds::default()
        }
    }

    fn versions(&self) -> Versions {
        Versions::Said { program: self.program.to_string(), env: &[], known: VERSIONS }
    }

    fn uses_engine(&self) -> bool {
        self.executor == Executor::Docker
    }

    fn needs_metadata(&self) -> Option<&'static str> {
        self.extra.signs_cache_by_role().then_some("it signs its cache in S3 with the instance's role")
    }

    fn quiesce(&self, host: &HostContext) -> Option<Quiesce> {
        Some(Quiesce { files: vec![config::without_runners(self, host)], signal: Signal::Hup })
    }

    fn requests(&self, host: &HostContext) -> Option<Call<Requests>> {
        host.metrics.as_deref().map(metrics::requests)
    }

    fn open(&self, mut secrets: Secrets) -> Result<Box<dyn RunnerPlatform>, ExchangeError> {
        Ok(Box::new(GitLabRunner::new(self.clone(), secrets.required()?)?))
    }
}

pub(crate) fn queue(s: Section<'_>) -> Option<Arc<dyn QueueConfig>> {
    let url = url(&s);
    let token = s.required_secret("token", "an access token with the scope read_api");
    s.one_of(
        ["projects", "group"],
        "whose jobs to read",
        "add projects = [\"group/project\"], or group = \"name\" for all below it",
        "keep projects for a few, or group for all below it",
    );
    let group = s.non_blank("group").map(Scope::Group);
    let projects = s.one_or_more("projects", "list each as an id or as \"group/project\"");
    let scope = projects.map(Scope::Projects).or(group);
    let tags: BTreeSet<String> = s.texts("tags").unwrap_or_default().into_iter().collect();
    let run_untagged = s.flag("run_untagged").unwrap_or(false);
    if tags.is_empty() && !run_untagged {
        s.contradiction(
            "tags",
            "without tags and without run_untagged no job is for this pool",
            "give the runner's tags, tags = [\"linux\"], or run_untagged = true, as they are set at GitLab",
        );
    }
    let runner_id = s.integer("runner_id", 1..=999_999_999_999);
    s.finish();
    let settings = GitLabQueueSettings { url: url?, scope: scope?, tags, run_untagged, runner_id };
    Some(Arc::new(Config { settings, secrets: vec![token?] }))
}

pub(crate) fn runner(s: Section<'_>, _: bool) -> Option<Arc<dyn RunnerConfig>> {
    let url = url(&s);
    let token = s.required_secret("token", "the runner authentication token (glrt-...) that the pool shares");
    let program = s.non_blank("program").unwrap_or_else(|| NonBlank::of("gitlab-runner"));
    let executors = [Executor::Docker, Executor::Shell].map(|executor| (executor.as_str(), executor));
    let executor = s.word("executor", &executors).unwrap_or(Executor::Docker);
    let image = s.non_blank("image").unwrap_or_else(|| NonBlank::of("alpine:latest"));
    // The lines may hold secrets.
    let extra = s.text("extra").and_then(|text| s.valid_secret("extra", text.parse()));
    let check_interval = s.whole_seconds("check_interval", 1..=300).unwrap_or(WholeSeconds::of(3));
    if let Some(SecretSource::Inline(text)) = &token
        && !text.expose_secret().starts_with("glrt-")
    {
        s.hidden(
            "token",
            "is no runner authentication token",
            "create a runner at GitLab and use its token, which begins with glrt-",
        );
    }
    s.finish();
    let settings =
        GitLabRunnerSettings { url: url?, program, executor, image, extra: extra.unwrap_or_default(), check_interval };
    Some(Arc::new(Config { settings, secrets: vec![token?] }))
}

fn url(s: &Section<'_>) -> Option<BaseUrl> {
    s.required_url("GitLab's address", "https://gitlab.example.com", base_url)
}
