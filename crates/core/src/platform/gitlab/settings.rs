//! What GitLab's codecs need to know, and the keys that say it.

mod read;

use std::collections::BTreeSet;

use secrecy::{ExposeSecret, SecretString};

use super::config::Extra;
use crate::{
    platform::answer::check_token,
    settings::{BaseUrl, Key, NonBlank, NonEmpty, Problem, Side, WholeSeconds},
};

pub(super) use read::{queue, runner};

/// The keys of both sides.
pub(super) const KEYS: &[Key] = &[
    Key::required("url", Side::Both, "text", "GitLab's address, without `/api`"),
    Key::required("token", Side::Agent, "secret", "the runner authentication token (`glrt-...`) that the pool shares"),
    Key::required(
        "token",
        Side::Scaler,
        "secret",
        "an access token with `read_api`, and a role that sees the jobs: Reporter",
    ),
    Key::required("projects", Side::Scaler, "list of ids or paths", "whose jobs to read"),
    Key::required("group", Side::Scaler, "id or path", "instead of `projects`: all below it"),
    Key::optional("tags", Side::Scaler, "list", "none", "a job is ours if each of its tags is one of these"),
    Key::optional("run_untagged", Side::Scaler, "true, false", "`false`", "whether the runner takes jobs without tags"),
    Key::optional("runner_id", Side::Scaler, "number", "unknown", "makes the count of running jobs exact"),
    Key::optional("program", Side::Agent, "text", "`\"gitlab-runner\"`", "the runner"),
    Key::optional("executor", Side::Agent, "`\"docker\"`, `\"shell\"`", "`\"docker\"`", "where jobs run"),
    Key::optional("image", Side::Agent, "text", "`\"alpine:latest\"`", "for jobs that name none"),
    Key::optional(
        "check_interval",
        Side::Agent,
        "duration, whole seconds",
        "`\"3s\"`",
        "the pause between two requests for a job",
    ),
    Key::optional(
        "extra",
        Side::Agent,
        "TOML text",
        "none",
        "TOML that is merged into the runner's `[[runners]]` entry",
    ),
];

/// Which projects' jobs are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// These projects: a numeric id or a full path such as `group/project` each.
    Projects(NonEmpty<NonBlank>),
    /// Every project of this group and its subgroups: a numeric id or a full path.
    Group(NonBlank),
}

/// Where jobs run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Executor {
    /// In containers.
    Docker,
    /// As processes of the runner.
    Shell,
}

impl Executor {
    /// The word in settings.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Shell => "shell",
        }
    }
}

/// Where and how to read the queue.
#[derive(Clone, Debug)]
pub struct GitLabQueueSettings {
    /// GitLab's address without `/api`, such as `https://gitlab.example.com`.
    pub url: BaseUrl,
    /// Whose jobs to read.
    pub scope: Scope,
    /// The tags of this pool's runner; a job is ours when it asks for no tag outside of these.
    pub tags: BTreeSet<String>,
    /// Whether the runner takes jobs without tags.
    pub run_untagged: bool,
    /// The numeric id of the runner that all instances of the pool share, when it is known: then running jobs are
    /// counted exactly.
    pub runner_id: Option<u64>,
}

/// How the instance's runner works.
#[derive(Clone, Debug)]
pub struct GitLabRunnerSettings {
    /// GitLab's address without `/api`, such as `https://gitlab.example.com`.
    pub url: BaseUrl,
    /// The runner program, such as `gitlab-runner`.
    pub program: NonBlank,
    /// The executor.
    pub executor: Executor,
    /// The image for jobs that name none (docker executor).
    pub image: NonBlank,
    /// What is merged into the `[[runners]]` entry.
    pub extra: Extra,
    /// The pause between two requests for a job. GitLab Runner's default is 3 s.
    pub check_interval: WholeSeconds,
}

/// GitLab's own address.
///
/// # Errors
/// When it cannot be one.
pub fn base_url(text: &str) -> Result<BaseUrl, Problem> {
    let url = BaseUrl::parse(text)
        .map_err(|why| Problem::new("url", why, "write for example url = \"https://gitlab.example.com\""))?;
    if url.path().ends_with("/api") || url.path().contains("/api/") {
        let remedy = "leave out /api and what follows: lightsout adds it";
        return Err(Problem::new("url", "expected GitLab's own address", remedy));
    }
    Ok(url)
}

pub(super) fn check_access_token(token: &SecretString) -> Result<(), Problem> {
    check_token("token", "GitLab token", token, "create an access token with the scope read_api")
}

pub(super) fn check_runner_token(token: &SecretString) -> Result<(), Problem> {
    if !token.expose_secret().starts_with("glrt-") {
        return Err(Problem::new(
            "token",
            "the GitLab runner token does not start with glrt-: registration tokens and legacy runner tokens are not accepted, \
             because to deregister one machine with such a token deletes the runner of the whole fleet",
            "create a runner in GitLab under Settings > CI/CD > Runners (or with POST /user/runners) and use the token that it \
             shows",
        ));
    }
    check_token("token", "GitLab token", token, "use the token that GitLab shows")
}
