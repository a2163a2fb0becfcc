//! GitLab's keys in the settings, read into what its codecs need.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use secrecy::ExposeSecret;

use super::{GitLabQueueSettings, GitLabRunnerSettings, Scope, base_url};
use crate::{
    exchange::{Call, ExchangeError},
    platform::{
        Config, DrainBy, DrainRules, HostContext, JobFilter, Jobs, Queue, QueueConfig, QueueSettings, Quiesce,
        Requests, RunnerConfig, RunnerNeeds, RunnerPlatform, RunnerSettings, Secrets, Signal, UndrainBy, Versions,
        gitlab::{self, GitLabRunner, NAME, config, metrics, runner::VERSIONS},
    },
    settings::{BaseUrl, SecretSource, Section},
};

impl QueueSettings for GitLabQueueSettings {
    const PLATFORM: &'static str = NAME;

    fn address(&self) -> &str {
        self.url.as_str()
    }

    fn job_filter(&self) -> Option<JobFilter> {
        let sources = match &self.scope {
            Scope::Projects(projects) => projects.clone(),
            Scope::Group(group) => vec![group.clone()],
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
            program: Some(self.program.clone()),
            unit: Some("gitlab-runner.service"),
            address: Some(self.url.as_str().to_owned()),
            ..RunnerNeeds::default()
        }
    }

    fn versions(&self) -> Versions {
        Versions::Said { program: self.program.clone(), env: &[], known: VERSIONS }
    }

    fn uses_engine(&self) -> bool {
        self.executor.starts_with("docker")
    }

    fn needs_metadata(&self) -> Option<&'static str> {
        config::signs_cache_by_role(self.extra.as_deref())
            .then_some("it signs its cache in S3 with the instance's role")
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
    let scope = match (s.texts("projects"), s.text("group")) {
        (Some(projects), _) if projects.is_empty() => {
            s.contradiction(
                "projects",
                "without a project there is no queue",
                "list at least one, as an id or as \"group/project\"",
            );
            None
        }
        (Some(projects), _) => Some(Scope::Projects(projects)),
        (None, group) => group.map(Scope::Group),
    };
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
    let program = s.text("program").unwrap_or_else(|| "gitlab-runner".into());
    let executor: String = s.word("executor", &[("docker", "docker"), ("shell", "shell")]).unwrap_or("docker").into();
    let image = s.text("image").unwrap_or_else(|| "alpine:latest".into());
    let extra = s.text("extra");
    let interval = s.duration("check_interval", Duration::from_secs(1)..=Duration::from_secs(300));
    if interval.is_some_and(|interval| interval.subsec_nanos() != 0) {
        s.contradiction(
            "check_interval",
            "GitLab Runner knows whole seconds only",
            "write for example check_interval = \"3s\"",
        );
    }
    let check_interval = interval.map_or(3, |interval| u32::try_from(interval.as_secs()).unwrap_or(u32::MAX));
    if let Some(SecretSource::Inline(text)) = &token
        && !text.expose_secret().starts_with("glrt-")
    {
        s.hidden(
            "token",
            "is no runner authentication token",
            "create a runner at GitLab and use its token, which begins with glrt-",
        );
    }
    // The lines may hold secrets.
    s.checked_secret(config::extra(extra.as_deref()));
    s.finish();
    let settings = GitLabRunnerSettings { url: url?, program, executor, image, extra, check_interval };
    Some(Arc::new(Config { settings, secrets: vec![token?] }))
}

fn url(s: &Section<'_>) -> Option<BaseUrl> {
    s.required_url("GitLab's address", "https://gitlab.example.com", base_url)
}
