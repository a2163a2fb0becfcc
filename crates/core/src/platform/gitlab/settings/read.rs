//! GitLab's keys in the settings, read into what its codecs need.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use secrecy::{ExposeSecret, SecretString};

use super::{GitLabQueueSettings, GitLabRunnerSettings, Scope, base_url};
use crate::{
    exchange::ExchangeError,
    platform::{
        DrainRules, Queue, QueueConfig, RunnerConfig, RunnerPlatform,
        answer::given,
        gitlab::{GitLabQueue, GitLabRunner, NAME, config},
    },
    settings::{BaseUrl, Problem, SecretSource, Section},
};

/// A pool's queue as the settings name it.
#[derive(Clone, Debug)]
pub struct GitLabQueueConfig {
    /// Everything but the secret.
    pub settings: GitLabQueueSettings,
    /// Where the secret is.
    pub token: SecretSource,
}

impl QueueConfig for GitLabQueueConfig {
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
        Ok(Box::new(GitLabQueue::new(self.settings.clone(), given(secret)?)?))
    }
}

/// A runner as the settings name it.
#[derive(Clone, Debug)]
pub struct GitLabRunnerConfig {
    /// Everything but the secret.
    pub settings: GitLabRunnerSettings,
    /// Where the token is.
    pub token: SecretSource,
}

impl RunnerConfig for GitLabRunnerConfig {
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
        Ok(Box::new(GitLabRunner::new(self.settings.clone(), token)?))
    }
}

pub fn queue(s: Section<'_>) -> Option<Arc<dyn QueueConfig>> {
    let url = url(&s);
    let token = s.required_secret("token", "an access token with the scope read_api");
    let projects = s.texts("projects");
    let group = s.text("group");
    let scope = match (projects, group) {
        (Some(projects), None) if projects.is_empty() => {
            s.contradiction(
                "projects",
                "without a project there is no queue",
                "list at least one, as an id or as \"group/project\"",
            );
            None
        }
        (Some(projects), None) => Some(Scope::Projects(projects)),
        (None, Some(group)) => Some(Scope::Group(group)),
        (Some(_), Some(_)) => {
            s.contradiction(
                "group",
                "projects and group cannot both be given",
                "keep projects for a few, or group for all below it",
            );
            None
        }
        (None, None) => {
            if !s.has("projects") && !s.has("group") {
                s.missing(
                    "projects",
                    "whose jobs to read",
                    "add projects = [\"group/project\"], or group = \"name\" for all below it",
                );
            }
            None
        }
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
    Some(Arc::new(GitLabQueueConfig { settings, token: token? }))
}

pub fn runner(s: Section<'_>, _: bool) -> Option<Arc<dyn RunnerConfig>> {
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
    let checked = config::extra(extra.as_deref());
    // The lines may hold secrets.
    s.checked_secret(
        checked.map_err(|problem| Problem { wrong: format!("cannot be used: {}", problem.wrong), ..problem }),
    );
    s.finish();
    let settings = GitLabRunnerSettings { url: url?, program, executor, image, extra, check_interval };
    Some(Arc::new(GitLabRunnerConfig { settings, token: token? }))
}

fn url(s: &Section<'_>) -> Option<BaseUrl> {
    s.required_url("GitLab's address", "https://gitlab.example.com", base_url)
}
