//! What GitHub's codecs need to know, and the keys that say it.

mod read;

use std::{collections::BTreeSet, path::PathBuf};

use secrecy::{ExposeSecret, SecretString};

use super::{
    CLOUD, GitHubAuth, GitHubIdentity, GitHubOwner,
    owner::{check_organization, check_repository},
};
use crate::{
    platform::{DrainBy, DrainRules, Signal, UndrainBy},
    settings::{BaseUrl, Key, Problem, Side},
};

pub(super) use read::{queue, runner};

/// The keys of both sides.
pub(super) const KEYS: &[Key] = &[
    Key::optional("url", Side::Both, "text", "`https://api.github.com`", "or a GitHub Enterprise Server's API"),
    Key::required(
        "token",
        Side::Both,
        "secret",
        "a personal access token, or a GitHub App with: `actions: read` to list jobs; on the agent and for `scale_set` `organization_self_hosted_runners: write`, or `administration: write` for one repository",
    ),
    Key::required("app_id", Side::Both, "text", "the App ID of a GitHub App, with the two below instead of `token`"),
    Key::required("installation_id", Side::Both, "number", "the ID of its installation"),
    Key::required("private_key", Side::Both, "secret", "its private key, the whole `.pem` file"),
    Key::required("organization", Side::Both, "text", "whose jobs, whose runner"),
    Key::optional(
        "repositories",
        Side::Scaler,
        "list of `OWNER/REPO`",
        "all that the App's installation sees",
        "instead of `organization`",
    ),
    Key::required("repository", Side::Agent, "`OWNER/REPO`", "instead of `organization`"),
    Key::optional("labels", Side::Both, "list", "none", "a job is ours if each of its labels is one of these"),
    Key::optional(
        "runner_group_id",
        Side::Both,
        "number",
        "any; 1 on the agent and with `scale_set`",
        "the runner group",
    ),
    Key::optional(
        "scale_set",
        Side::Both,
        "text",
        "none",
        "the runner scale set: its session tells the queue instead of listings, and the runner is registered in it; without `labels`, for an `organization` or exactly one repository. Set it on both sides or on none",
    ),
    Key::optional(
        "max_jobs",
        Side::Scaler,
        "number",
        "1000",
        "how many jobs GitHub may assign to the scale set at once",
    ),
    Key::required(
        "jit_config",
        Side::Agent,
        "secret",
        "a ready configuration instead of a token; needs `jobs_per_instance = 1`",
    ),
    Key::optional("program", Side::Agent, "program", "`[\"/opt/actions-runner/run.sh\"]`", "the runner"),
    Key::optional("work_folder", Side::Agent, "text", "`\"_work\"`", "below the runner's folder"),
];

/// Which repositories' jobs are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GitHubScope {
    /// These, each as `OWNER/REPO`.
    Repositories(Vec<String>),
    /// Every repository of this organisation that the token may see.
    Organization(String),
    /// Every repository that the GitHub App's installation may see.
    Installation,
}

/// Where and how to read the queue by listing.
#[derive(Clone, Debug)]
pub struct GitHubQueueSettings {
    /// The API's address, such as [`super::CLOUD`].
    pub url: BaseUrl,
    /// Whose jobs to read.
    pub scope: GitHubScope,
    /// The labels of this pool's runners, without `self-hosted`, which is implied.
    pub labels: BTreeSet<String>,
    /// The ID of the runner group that the pool's runners are in, when it is known: then only jobs that run there count
    /// as running, and jobs that ask for a group and no label count as waiting.
    pub runner_group_id: Option<u64>,
}

impl GitHubQueueSettings {
    /// Refuses what no settings file could say.
    pub(super) fn check(&self, auth: &GitHubAuth) -> Result<(), Problem> {
        match (&self.scope, auth) {
            (GitHubScope::Repositories(names), _) => check_repositories(names)?,
            (GitHubScope::Organization(name), _) => check_organization(name)?,
            (GitHubScope::Installation, GitHubAuth::App(..)) => {}
            (GitHubScope::Installation, GitHubAuth::Token(_)) => {
                return Err(Problem::new(
                    "token",
                    "a token has no installation",
                    "name repositories or an organization, or use a GitHub App",
                ));
            }
        }
        check_labels(&self.labels)
    }
}

/// Where and how to read the queue by a scale set's session.
#[derive(Clone, Debug)]
pub struct GitHubScaleSetSettings {
    /// The API's address, such as [`super::CLOUD`].
    pub url: BaseUrl,
    /// Whose runners they are.
    pub owner: GitHubOwner,
    /// The scale set's name.
    pub scale_set: String,
    /// The ID of the runner group that the scale set is in; 1 is `Default`.
    pub runner_group_id: u64,
    /// How many jobs GitHub may assign to the scale set at once; at least 1.
    pub max_jobs: u32,
}

impl GitHubScaleSetSettings {
    /// Refuses what no settings file could say.
    pub(super) fn check(&self) -> Result<(), Problem> {
        self.owner.check()?;
        check_scale_set(&self.scale_set)?;
        check_group(self.runner_group_id)?;
        if self.max_jobs == 0 {
            return Err(Problem::new(
                "max_jobs",
                "with max_jobs = 0 GitHub assigns no job to the scale set",
                "set it to the pool's largest size",
            ));
        }
        Ok(())
    }
}

/// How the instance's runner comes to its configuration.
#[derive(Clone, Debug)]
pub enum GitHubRegistration {
    /// It asks GitHub for one, as often as it needs one, and removes it.
    Api(GitHubAuth),
    /// It has a ready one (`encoded_jit_config`), for one job, and no right to remove it.
    Jit(SecretString),
}

/// How the instance's runner works.
#[derive(Clone, Debug)]
pub struct GitHubRunnerSettings {
    /// The API's address, such as [`super::CLOUD`].
    pub url: BaseUrl,
    /// Whose runner it is.
    pub owner: GitHubOwner,
    /// The ID of the runner group that it joins; 1 is `Default`, and the only one for a repository.
    pub runner_group_id: u64,
    /// The scale set that it is registered in, by its name; then it has the labels of the set.
    pub scale_set: Option<String>,
    /// Its labels, without `self-hosted`, which is added.
    pub labels: BTreeSet<String>,
    /// The folder of the jobs, below the runner's own unless absolute. GitHub's default is `_work`.
    pub work_folder: String,
    /// The runner's `run.sh`, by its absolute path. Words before it may change the user (`setpriv`, `sudo -E`); then
    /// there is no hook.
    pub program: Vec<String>,
}

impl GitHubRunnerSettings {
    /// How the runner is drained and stopped.
    pub fn drain_rules(&self) -> DrainRules {
        DrainRules { drain: DrainBy::Call, undrain: UndrainBy::Relaunch, abort: Signal::Int, quiesce: false }
    }

    /// Refuses what no settings file could say.
    pub(super) fn check(&self) -> Result<(), Problem> {
        self.owner.check()?;
        check_group_of(&self.owner, self.runner_group_id)?;
        check_labels(&self.labels)?;
        self.scale_set.as_deref().map_or(Ok(()), check_scale_set)?;
        if self.work_folder.trim().is_empty() {
            let remedy = "GitHub's default is _work";
            return Err(Problem::new("work_folder", "the GitHub runner's work folder is empty", remedy));
        }
        check_program(&self.program)
    }
}

impl GitHubRegistration {
    /// Refuses what cannot be GitHub's.
    pub(super) fn check(&self) -> Result<(), Problem> {
        match self {
            Self::Api(auth) => auth.check(),
            Self::Jit(blob) => check_blob(blob),
        }
    }
}

/// How the instance's runner comes to its configuration, as the settings name it: without the secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GitHubRegistrationBy {
    /// It asks GitHub for one.
    Api(GitHubIdentity),
    /// It has a ready one.
    Jit,
}

impl GitHubRegistrationBy {
    /// With the secret: the token, the App's private key, or the ready configuration.
    pub fn with(&self, secret: SecretString) -> GitHubRegistration {
        match self {
            Self::Api(identity) => GitHubRegistration::Api(identity.with(secret)),
            Self::Jit => GitHubRegistration::Jit(secret),
        }
    }
}

/// The address of GitHub's API.
///
/// # Errors
/// When it cannot be one.
pub fn base_url(text: &str) -> Result<BaseUrl, Problem> {
    let wrong = |why: &str| {
        let remedy = format!(
            "set it to {CLOUD}, to https://HOST/api/v3 of a GitHub Enterprise Server, or to https://api.NAME.ghe.com"
        );
        Problem::new("url", why, remedy)
    };
    let url = BaseUrl::parse(text).map_err(wrong)?;
    if ["github.com", "www.github.com"].contains(&url.host()) {
        return Err(wrong("the GitHub url is that of the web pages, not of the API"));
    }
    Ok(url)
}

fn check_blob(blob: &SecretString) -> Result<(), Problem> {
    let blob = blob.expose_secret();
    if !blob.is_empty() && blob.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte)) {
        return Ok(());
    }
    Err(Problem::new(
        "jit_config",
        "the GitHub JIT configuration is not Base64",
        "store encoded_jit_config of GitHub's answer as it is",
    ))
}

pub(super) fn check_scale_set(name: &str) -> Result<(), Problem> {
    if !name.trim().is_empty() {
        return Ok(());
    }
    let why = "the name of the GitHub runner scale set is empty";
    Err(Problem::new("scale_set", why, "write it as the workflows do in runs-on"))
}

fn check_group(id: u64) -> Result<(), Problem> {
    if id == 0 {
        return Err(Problem::new(
            "runner_group_id",
            "the GitHub runner group ID is 0",
            "it is the number in the address of the group's page, 1 for Default",
        ));
    }
    Ok(())
}

fn check_group_of(owner: &GitHubOwner, id: u64) -> Result<(), Problem> {
    check_group(id)?;
    if matches!(owner, GitHubOwner::Repository(_)) && id != 1 {
        let why = "a repository has one GitHub runner group only: set runner_group_id to 1";
        return Err(Problem::new("runner_group_id", why, "or leave it out"));
    }
    Ok(())
}

fn check_repositories(names: &[String]) -> Result<(), Problem> {
    if names.is_empty() {
        let remedy = "name each as OWNER/REPO, such as acme/app";
        return Err(Problem::new("repositories", "no GitHub repository is named", remedy));
    }
    names.iter().try_for_each(|name| check_repository("repositories", name))
}

fn check_labels(labels: &BTreeSet<String>) -> Result<(), Problem> {
    match labels.iter().find(|label| label.trim().is_empty() || label.contains([',', '\n'])) {
        Some(label) => {
            Err(Problem::new("labels", format!("{label:?} is no GitHub label"), "write each label by itself"))
        }
        None => Ok(()),
    }
}

fn check_program(program: &[String]) -> Result<(), Problem> {
    match program.last().map(PathBuf::from) {
        Some(path) if path.is_absolute() => Ok(()),
        Some(_) | None => Err(Problem::new(
            "program",
            "the GitHub runner program is no absolute path",
            "write for example /opt/actions-runner/run.sh",
        )),
    }
}
