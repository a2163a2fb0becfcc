//! GitHub's keys in the settings, read into what its codecs need.

use std::{
    collections::BTreeSet,
    num::{NonZeroU32, NonZeroU64},
    sync::Arc,
};

use super::{
    DEFAULT_GROUP, GitHubQueueSettings, GitHubRegistrationBy, GitHubRunnerSettings, GitHubScaleSetSettings,
    GitHubScope, Label, RunnerProgram, base_url, check_group_of,
};
use crate::{
    exchange::ExchangeError,
    platform::{
        Config, DrainRules, JobFilter, Jobs, Queue, QueueConfig, QueueSettings, RunnerConfig, RunnerNeeds,
        RunnerPlatform, RunnerSettings, Secrets, Versions,
        github::{self, CLOUD, GitHubApp, GitHubIdentity, GitHubOwner, GitHubRunner, NAME},
    },
    settings::{Argv, NonBlank, PLACES, SecretSource, Section},
};

/// How many jobs a scale set is assigned at once, unless the settings say it.
const MAX_JOBS: NonZeroU32 = NonZeroU32::MIN.saturating_add(999);

impl QueueSettings for (GitHubQueueSettings, GitHubIdentity) {
    const PLATFORM: &'static str = NAME;

    fn address(&self) -> &str {
        self.0.url.as_str()
    }

    fn job_filter(&self) -> Option<JobFilter> {
        let sources = match &self.0.scope {
            GitHubScope::Repositories(names) => names.iter().map(|name| name.to_lowercase()).collect(),
            GitHubScope::Organization(name) => vec![name.to_lowercase()],
            GitHubScope::Installation => vec![String::new()],
        };
        let labels = self.0.labels.iter().map(|label| label.to_lowercase()).collect();
        Some(JobFilter { sources, jobs: Jobs::Within { labels, plain: Some("a job that asks for self-hosted alone") } })
    }

    fn open(&self, mut secrets: Secrets) -> Result<Box<dyn Queue>, ExchangeError> {
        let (settings, identity) = self;
        Ok(Box::new(github::queue(settings.clone(), identity.with(secrets.required()?))?))
    }
}

impl QueueSettings for (GitHubScaleSetSettings, GitHubIdentity) {
    const PLATFORM: &'static str = NAME;

    fn address(&self) -> &str {
        self.0.url.as_str()
    }

    fn job_filter(&self) -> Option<JobFilter> {
        // Jobs name the scale set itself; listing counts none of them.
        Some(JobFilter {
            sources: vec![format!("scale set {} of {:?}", self.0.scale_set, self.0.owner)],
            jobs: Jobs::All,
        })
    }

    fn open(&self, mut secrets: Secrets) -> Result<Box<dyn Queue>, ExchangeError> {
        let (settings, identity) = self;
        Ok(Box::new(github::scale_set_queue(settings.clone(), identity.with(secrets.required()?))?))
    }
}

const BROAD_KEY: &str = "the private key of the GitHub App is here: whoever reads it has every right of the App, for as long as the key lives; with \
                         jobs_per_instance = 1 give each instance a jit_config of its own instead";

const BROAD_TOKEN: &str = "a token that may change self-hosted runners is here: whoever reads it can register runners of their own, which get other \
                           people's jobs; with jobs_per_instance = 1 give each instance a jit_config of its own instead";

impl RunnerSettings for (GitHubRunnerSettings, GitHubRegistrationBy) {
    const PLATFORM: &'static str = NAME;

    fn drain_rules(&self) -> DrainRules {
        self.0.drain_rules()
    }

    fn needs(&self) -> RunnerNeeds {
        let (settings, registration) = self;
        RunnerNeeds {
            program: Some(settings.program.program().to_owned()),
            ipv4: Some("GitHub's runner does not work without IPv4 (actions/runner issue 3138)"),
            broad_secret: match registration {
                GitHubRegistrationBy::Jit => None,
                GitHubRegistrationBy::Api(GitHubIdentity::Token) => Some(BROAD_TOKEN),
                GitHubRegistrationBy::Api(GitHubIdentity::App(_)) => Some(BROAD_KEY),
            },
            address: Some(settings.url.as_str().to_owned()),
            ..RunnerNeeds::default()
        }
    }

    fn versions(&self) -> Versions {
        self.0.versions()
    }

    fn open(&self, mut secrets: Secrets) -> Result<Box<dyn RunnerPlatform>, ExchangeError> {
        let (settings, registration) = self;
        Ok(Box::new(GitHubRunner::new(settings.clone(), registration.with(secrets.required()?))?))
    }
}

pub(crate) fn queue(s: Section<'_>) -> Option<Arc<dyn QueueConfig>> {
    let url = s.url_or(CLOUD, base_url);
    let auth = auth(&s, "a personal access token with the permission actions: read, or a GitHub App");
    let by_scale_set = s.has("scale_set");
    let repositories = s.one_or_more("repositories", "name each as OWNER/REPO, such as acme/app");
    let organization = s.parsed("organization");
    s.not_both("repositories", "organization", "keep repositories for a few, or organization for all of it");
    let labels = labels(&s);
    let runner_group_id = id(&s, "runner_group_id");
    let scale_set = s.non_blank("scale_set");
    let max_jobs = s.integer("max_jobs", 1..=10_000).and_then(NonZeroU32::new);
    let scope = match (repositories, organization) {
        (Some(names), _) => Some(GitHubScope::Repositories(names)),
        (None, Some(name)) => Some(GitHubScope::Organization(name)),
        (None, None) if s.has("repositories") || s.has("organization") => None,
        (None, None) if !by_scale_set && matches!(auth, Some((GitHubIdentity::App(_), _))) => {
            Some(GitHubScope::Installation)
        }
        (None, None) => {
            s.missing(
                "organization",
                "whose jobs to read",
                "add organization = \"acme\", or repositories = [\"OWNER/REPO\"]",
            );
            None
        }
    };
    let owner = by_scale_set.then(|| owner_of_scale_set(&s, scope.as_ref())).flatten();
    if !by_scale_set && max_jobs.is_some() {
        s.contradiction("max_jobs", "max_jobs goes with scale_set only", "remove it, or add scale_set = \"name\"");
    }
    s.finish();
    let (identity, token) = auth?;
    if by_scale_set {
        let settings = GitHubScaleSetSettings {
            url: url?,
            owner: owner?,
            scale_set: scale_set?,
            runner_group_id: runner_group_id.unwrap_or(DEFAULT_GROUP),
            max_jobs: max_jobs.unwrap_or(MAX_JOBS),
        };
        return Some(Arc::new(Config { settings: (settings, identity), secrets: vec![token] }));
    }
    let settings = GitHubQueueSettings { url: url?, scope: scope?, labels, runner_group_id };
    Some(Arc::new(Config { settings: (settings, identity), secrets: vec![token] }))
}

fn owner_of_scale_set(s: &Section<'_>, scope: Option<&GitHubScope>) -> Option<GitHubOwner> {
    own_labels(s, "remove labels, or scale_set to list the jobs instead");
    match scope? {
        GitHubScope::Organization(name) => Some(GitHubOwner::Organization(name.clone())),
        GitHubScope::Repositories(names) if names.len() == 1 => Some(GitHubOwner::Repository(names[0].clone())),
        GitHubScope::Repositories(_) | GitHubScope::Installation => {
            s.contradiction(
                "repositories",
                "a scale set belongs to one organization or one repository",
                "write organization = \"acme\", or the one repository",
            );
            None
        }
    }
}

fn own_labels(s: &Section<'_>, remedy: &str) {
    if s.has("labels") {
        s.contradiction("labels", "a scale set has its own labels", remedy);
    }
}

pub(crate) fn runner(s: Section<'_>, single_use: bool) -> Option<Arc<dyn RunnerConfig>> {
    let url = s.url_or(CLOUD, base_url);
    let registration = registration(&s, single_use);
    if let Some((GitHubRegistrationBy::Api(GitHubIdentity::App(_)), _)) = &registration {
        s.doubt(
            "private_key",
            "the App's key is on every instance: a job that becomes root there has all that the App may do, wherever it is installed",
            "use an App of the fleet's own, installed where its runners are, which may change self-hosted runners and nothing else; or jit_config",
        );
    }
    let owner = owner(&s);
    let labels = labels(&s);
    let scale_set = s.non_blank("scale_set");
    if s.has("scale_set") {
        own_labels(&s, "remove labels, or scale_set to register the runner beside it");
    }
    let runner_group_id = id(&s, "runner_group_id").unwrap_or(DEFAULT_GROUP);
    if let Some(owner) = &owner {
        s.valid("runner_group_id", check_group_of(owner, runner_group_id));
    }
    let work_folder = s.non_blank("work_folder").unwrap_or_else(|| NonBlank::of("_work"));
    let program =
        if s.has("program") { s.program("program") } else { Some(Argv::of("/opt/actions-runner/run.sh", &[])) };
    let program = program.and_then(|argv| s.valid("program", RunnerProgram::try_from(argv)));
    s.finish();
    let (registration, token) = registration?;
    let settings = GitHubRunnerSettings {
        url: url?,
        owner: owner?,
        runner_group_id,
        scale_set,
        labels,
        work_folder,
        program: program?,
    };
    Some(Arc::new(Config { settings: (settings, registration), secrets: vec![token] }))
}

fn owner(s: &Section<'_>) -> Option<GitHubOwner> {
    s.one_of(
        ["organization", "repository"],
        "whose runner it is",
        "add organization = \"acme\", or repository = \"OWNER/REPO\"",
        "keep the one that the runner belongs to",
    );
    let organization = s.parsed("organization").map(GitHubOwner::Organization);
    organization.or_else(|| s.parsed("repository").map(GitHubOwner::Repository))
}

fn registration(s: &Section<'_>, single_use: bool) -> Option<(GitHubRegistrationBy, SecretSource)> {
    if !s.has("jit_config") {
        let auth = auth(s, "a token that may change self-hosted runners, or a GitHub App, or jit_config");
        return auth.map(|(auth, source)| (GitHubRegistrationBy::Api(auth), source));
    }
    let source = s.secret("jit_config");
    for key in ["token", "app_id", "installation_id", "private_key"] {
        if s.has(key) {
            s.hidden(key, "cannot be given beside jit_config", "keep one way to register");
        }
    }
    if !single_use {
        s.hidden(
            "jit_config",
            "is good for one job, and the instance would wait for ever after it",
            "set jobs_per_instance = 1 below [agent], or give a token instead",
        );
    }
    source.map(|source| (GitHubRegistrationBy::Jit, source))
}

fn auth(s: &Section<'_>, what: &str) -> Option<(GitHubIdentity, SecretSource)> {
    let has_app = ["app_id", "installation_id", "private_key"].into_iter().any(|key| s.has(key));
    if !has_app {
        if s.has("token") {
            return s.secret("token").map(|source| (GitHubIdentity::Token, source));
        }
        s.missing(
            "token",
            what,
            format!("add token = {PLACES}; for an App add app_id, installation_id and private_key"),
        );
        return None;
    }
    if s.has("token") {
        s.hidden(
            "token",
            "cannot be given beside a GitHub App",
            "keep token, or app_id, installation_id and private_key",
        );
    }
    for (key, what, remedy) in [
        (
            "app_id",
            "the App ID (or Client ID) of the GitHub App",
            "add app_id = \"123456\", from the App's settings page".to_owned(),
        ),
        (
            "installation_id",
            "the installation ID of the GitHub App",
            "add installation_id = 12345678, the number at the end of the installation's settings page".to_owned(),
        ),
        (
            "private_key",
            "the private key of the GitHub App",
            format!("add private_key = {PLACES}, of the whole .pem file"),
        ),
    ] {
        if !s.has(key) {
            s.missing(key, what, remedy);
        }
    }
    let (app_id, installation_id, source) = (s.parsed("app_id"), id(s, "installation_id"), s.secret("private_key"));
    Some((GitHubIdentity::App(GitHubApp { app_id: app_id?, installation_id: installation_id? }), source?))
}

fn labels(s: &Section<'_>) -> BTreeSet<Label> {
    s.parsed_list("labels").unwrap_or_default().into_iter().collect()
}

/// A number by which GitHub knows something.
fn id(s: &Section<'_>, key: &str) -> Option<NonZeroU64> {
    s.integer(key, 1..=999_999_999_999).and_then(NonZeroU64::new)
}
