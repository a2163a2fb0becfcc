//! What GitLab's codecs need to know, and the keys that say it.

mod read;

use std::{collections::BTreeSet, fmt};

use secrecy::{ExposeSecret, SecretString};

use crate::{
    platform::answer::check_token,
    settings::{BaseUrl, Key, Problem, Side},
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
    Projects(Vec<String>),
    /// Every project of this group and its subgroups: a numeric id or a full path.
    Group(String),
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

impl GitLabQueueSettings {
    /// Refuses what no settings file could say.
    pub(super) fn check(&self) -> Result<(), Problem> {
        let (key, names) = match &self.scope {
            Scope::Projects(projects) => ("projects", projects.as_slice()),
            Scope::Group(group) => ("group", std::slice::from_ref(group)),
        };
        if names.is_empty() || names.iter().any(|name| name.trim().is_empty()) {
            return Err(Problem::new(
                key,
                "no GitLab project or group is named",
                "name each by its id or its full path, such as team/app",
            ));
        }
        if self.tags.is_empty() && !self.run_untagged {
            let remedy = "set tags, or run_untagged to true";
            return Err(Problem::new("tags", "no GitLab job can ever match", remedy));
        }
        Ok(())
    }
}

/// How the instance's runner works.
#[derive(Clone)]
pub struct GitLabRunnerSettings {
    /// GitLab's address without `/api`, such as `https://gitlab.example.com`.
    pub url: BaseUrl,
    /// The runner program, such as `gitlab-runner`.
    pub program: String,
    /// The executor: `docker` or `shell`.
    pub executor: String,
    /// The image for jobs that name none (docker executor).
    pub image: String,
    /// TOML that is merged into the `[[runners]]` entry: its keys as in GitLab Runner's documentation, its tables as
    /// `[docker]` or `[runners.docker]`. It wins over what is written by default; `name`, `url`, `token`, `id` and
    /// `executor` may not stand in it.
    pub extra: Option<String>,
    /// The pause between two requests for a job, in seconds. GitLab Runner's default is 3.
    pub check_interval: u32,
}

impl GitLabRunnerSettings {
    /// Refuses what no settings file could say.
    pub(super) fn check(&self) -> Result<(), Problem> {
        if self.program.trim().is_empty() {
            let remedy = "set it to gitlab-runner or its path";
            return Err(Problem::new("program", "the GitLab runner program is empty", remedy));
        }
        match self.executor.as_str() {
            "docker" if self.image.trim().is_empty() => {
                let remedy = "the docker executor needs one, such as debian:12";
                return Err(Problem::new("image", "the default image is empty", remedy));
            }
            "docker" | "shell" => {}
            _ => return Err(Problem::new("executor", "the executor is not known", "set it to docker or shell")),
        }
        super::config::extra(self.extra.as_deref()).map(drop)
    }
}

impl fmt::Debug for GitLabRunnerSettings {
    /// Without `extra`, which may hold the keys of a cache or secret variables.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GitLabRunnerSettings")
            .field("url", &self.url)
            .field("program", &self.program)
            .field("executor", &self.executor)
            .field("image", &self.image)
            .field("check_interval", &self.check_interval)
            .finish_non_exhaustive()
    }
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
