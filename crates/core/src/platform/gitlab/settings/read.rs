//! GitLab's keys in the settings, read into what its codecs need.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use secrecy::{ExposeSecret, SecretString};

use super::{GitLabQueueSettings, GitLabRunnerSettings, Scope};
use crate::{
    platform::{
        DrainRules, Queue, QueueConfig, RunnerConfig, RunnerPlatform,
        gitlab::{GitLabQueue, GitLabRunner, NAME},
    },
    settings::{SecretSource, Section},
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
        &self.settings.url
    }

    fn secret(&self) -> Option<&SecretSource> {
        Some(&self.token)
    }

    fn open(&self, secret: Option<SecretString>) -> Box<dyn Queue> {
        let token = secret.unwrap_or_default();
        Box::new(GitLabQueue::new(GitLabQueueSettings { token, ..self.settings.clone() }))
    }
}

/// A runner as the settings name it.
#[derive(Clone, Debug)]
pub struct GitLabRunnerConfig {
    /// Everything but the secrets.
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

    fn open(&self, secrets: Vec<SecretString>) -> Box<dyn RunnerPlatform> {
        let token = secrets.into_iter().next().unwrap_or_default();
        Box::new(GitLabRunner::new(GitLabRunnerSettings { token, ..self.settings.clone() }))
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
    let settings =
        GitLabQueueSettings { url: url?, token: SecretString::default(), scope: scope?, tags, run_untagged, runner_id };
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
    let settings = url.map(|url| GitLabRunnerSettings {
        url,
        token: SecretString::default(),
        program,
        executor,
        image,
        extra,
        check_interval,
    });
    if let Some(settings) = settings.as_ref().filter(|settings| settings.extra.is_some()) {
        // Only `extra` is left to be wrong, and it may hold secrets.
        let probe = GitLabRunnerSettings { token: "glrt-".into(), ..settings.clone() };
        if let Err(error) = probe.check() {
            s.hidden("extra", format!("cannot be used: {}", error.message), "correct the lines");
        }
    }
    s.finish();
    Some(Arc::new(GitLabRunnerConfig { settings: settings?, token: token? }))
}

fn url(s: &Section<'_>) -> Option<String> {
    if !s.has("url") {
        s.missing("url", "GitLab's address", "add url = \"https://gitlab.example.com\"");
        return None;
    }
    let url = s.text("url")?;
    let url = url.trim().trim_end_matches('/');
    let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let (wrong, remedy) = match host {
        None | Some("") => (
            "expected an address that begins with https:// or http://",
            "write for example url = \"https://gitlab.example.com\"",
        ),
        Some(host) if host.contains('@') => {
            s.refuse_user_info();
            return None;
        }
        Some(host) if host.contains(['?', '#']) || host.contains(char::is_whitespace) => {
            ("expected an address without ?, # or spaces", "write for example url = \"https://gitlab.example.com\"")
        }
        Some(host) if host.ends_with("/api") || host.contains("/api/") => {
            ("expected GitLab's own address", "leave out /api and what follows: lightsout adds it")
        }
        Some(_) => return Some(url.to_owned()),
    };
    s.contradiction("url", wrong, remedy);
    None
}
