//! What GitLab's codecs need to know, and the keys that say it.

mod read;

use std::{collections::BTreeSet, fmt};

use secrecy::{ExposeSecret, SecretString};

use super::check_url;
use crate::{
    exchange::{ErrorKind, ExchangeError},
    platform::{DrainBy, DrainRules, Signal, UndrainBy},
    settings::{Key, Side},
};

pub use read::{GitLabQueueConfig, GitLabRunnerConfig, queue, runner};

/// The keys of both sides.
pub const KEYS: &[Key] = &[
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
    Key::optional("extra", Side::Agent, "text", "none", "TOML that is merged into the runner's `[[runners]]` entry"),
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
    pub url: String,
    /// A personal, group or project access token with the scope `read_api`.
    pub token: SecretString,
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
    /// Refuses settings that cannot work, before any call is made.
    ///
    /// # Errors
    /// Names what is wrong and what it should be.
    pub fn check(&self) -> Result<(), ExchangeError> {
        check_url(&self.url)?;
        if self.token.expose_secret().trim().is_empty() {
            return refuse("the GitLab token is empty; create an access token with the scope read_api");
        }
        check_token(&self.token)?;
        let empty = match &self.scope {
            Scope::Projects(projects) => {
                projects.is_empty() || projects.iter().any(|project| project.trim().is_empty())
            }
            Scope::Group(group) => group.trim().is_empty(),
        };
        if empty {
            return refuse(
                "no GitLab project or group is named; name each by its id or its full path, such as team/app",
            );
        }
        if self.tags.is_empty() && !self.run_untagged {
            return refuse("no GitLab job can ever match: set tags, or run_untagged to true");
        }
        Ok(())
    }
}

/// How the instance's runner works.
#[derive(Clone)]
pub struct GitLabRunnerSettings {
    /// GitLab's address without `/api`, such as `https://gitlab.example.com`.
    pub url: String,
    /// The runner authentication token (`glrt-...`), shared by all instances of the pool.
    pub token: SecretString,
    /// The runner program, such as `gitlab-runner`.
    pub program: String,
    /// The executor: `docker` or `shell`.
    pub executor: String,
    /// The image for jobs that name none (docker executor).
    pub image: String,
    /// TOML that is merged into the `[[runners]]` entry: its keys as in GitLab Runner's documentation, its tables as
    /// `[docker]` or
    /// `[runners.docker]`. It wins over what is written by default; `name`, `url`, `token`, `id` and `executor` may
    /// not stand in it.
    pub extra: Option<String>,
    /// The pause between two requests for a job, in seconds. GitLab Runner's default is 3.
    pub check_interval: u32,
}

impl GitLabRunnerSettings {
    /// How the runner is drained and stopped.
    pub fn drain_rules(&self) -> DrainRules {
        DrainRules { drain: DrainBy::Signal(Signal::Quit), undrain: UndrainBy::Relaunch, abort: Signal::Term }
    }

    /// Refuses settings that cannot work, before any call is made.
    ///
    /// # Errors
    /// Names what is wrong and what it should be.
    pub fn check(&self) -> Result<(), ExchangeError> {
        check_url(&self.url)?;
        if !self.token.expose_secret().starts_with("glrt-") {
            return refuse(
                "the GitLab runner token does not start with glrt-: registration tokens and legacy runner tokens are not accepted, because \
                 to deregister one machine with such a token deletes the runner of the whole fleet; \
                 create a runner in GitLab under Settings > CI/CD > Runners (or with POST /user/runners) and use the token that it shows",
            );
        }
        check_token(&self.token)?;
        if self.program.trim().is_empty() {
            return refuse("the GitLab runner program is empty; set it to gitlab-runner or its path");
        }
        match self.executor.as_str() {
            "docker" if self.image.trim().is_empty() => {
                return refuse("the default image is empty; the docker executor needs one, such as debian:12");
            }
            "docker" | "shell" => {}
            _ => return refuse("the executor is not known; set it to docker or shell"),
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

fn check_token(token: &SecretString) -> Result<(), ExchangeError> {
    if token.expose_secret().bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(());
    }
    refuse("the GitLab token holds a space, a line break or another character that no token has; store it without them")
}

fn refuse(why: &str) -> Result<(), ExchangeError> {
    Err(ExchangeError::new(ErrorKind::Refused, why))
}
