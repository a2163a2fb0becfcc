//! What GitHub's codecs need to know, and the keys that say it.

mod read;

use std::{
    collections::BTreeSet,
    num::{NonZeroU32, NonZeroU64},
    ops::Deref,
};

use secrecy::{ExposeSecret, SecretString};

use super::{CLOUD, GitHubAuth, GitHubIdentity, GitHubOwner, OrganizationName, RepositoryName};
use crate::{
    platform::{DrainBy, DrainRules, Signal, UndrainBy},
    settings::{Argv, BaseUrl, Key, NonBlank, NonEmpty, Problem, Side, checked_text},
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

checked_text! {
    /// A label of runners and jobs.
    Label, check_label
}

/// The runner group `Default`.
pub(super) const DEFAULT_GROUP: NonZeroU64 = NonZeroU64::MIN;

/// The program that starts a runner: its `run.sh`, by its absolute path. Words before it may change the user (`setpriv`, `sudo -E`); then there is no
/// hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunnerProgram(Argv);

impl TryFrom<Argv> for RunnerProgram {
    type Error = Problem;

    fn try_from(argv: Argv) -> Result<Self, Problem> {
        if argv.last().is_none_or(|path| !path.starts_with('/')) {
            let remedy = "write for example /opt/actions-runner/run.sh";
            return Err(Problem::new("program", "the GitHub runner program is no absolute path", remedy));
        }
        Ok(Self(argv))
    }
}

impl Deref for RunnerProgram {
    type Target = Argv;

    fn deref(&self) -> &Argv {
        &self.0
    }
}

/// Which repositories' jobs are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GitHubScope {
    /// These.
    Repositories(NonEmpty<RepositoryName>),
    /// Every repository of this organisation that the token may see.
    Organization(OrganizationName),
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
    pub labels: BTreeSet<Label>,
    /// The ID of the runner group that the pool's runners are in, when it is known: then only jobs that run there count
    /// as running, and jobs that ask for a group and no label count as waiting.
    pub runner_group_id: Option<NonZeroU64>,
}

/// Where and how to read the queue by a scale set's session.
#[derive(Clone, Debug)]
pub struct GitHubScaleSetSettings {
    /// The API's address, such as [`super::CLOUD`].
    pub url: BaseUrl,
    /// Whose runners they are.
    pub owner: GitHubOwner,
    /// The scale set's name.
    pub scale_set: NonBlank,
    /// The ID of the runner group that the scale set is in; 1 is `Default`.
    pub runner_group_id: NonZeroU64,
    /// How many jobs GitHub may assign to the scale set at once.
    pub max_jobs: NonZeroU32,
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
    pub runner_group_id: NonZeroU64,
    /// The scale set that it is registered in, by its name; then it has the labels of the set.
    pub scale_set: Option<NonBlank>,
    /// Its labels, without `self-hosted`, which is added.
    pub labels: BTreeSet<Label>,
    /// The folder of the jobs, below the runner's own unless absolute. GitHub's default is `_work`.
    pub work_folder: NonBlank,
    /// What starts it.
    pub program: RunnerProgram,
}

impl GitHubRunnerSettings {
    /// How the runner is drained and stopped.
    pub fn drain_rules(&self) -> DrainRules {
        DrainRules { drain: DrainBy::Call, undrain: UndrainBy::Relaunch, abort: Signal::Int, quiesce: false }
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

fn check_label(label: &str) -> Result<(), Problem> {
    if label.trim().is_empty() || label.contains([',', '\n']) {
        return Err(Problem::new("labels", format!("{label:?} is no GitHub label"), "write each label by itself"));
    }
    Ok(())
}

/// A repository's runners are in its one group.
pub(super) fn check_group_of(owner: &GitHubOwner, id: NonZeroU64) -> Result<(), Problem> {
    if matches!(owner, GitHubOwner::Repository(_)) && id != DEFAULT_GROUP {
        let why = "a repository has one GitHub runner group only: set runner_group_id to 1";
        return Err(Problem::new("runner_group_id", why, "or leave it out"));
    }
    Ok(())
}
