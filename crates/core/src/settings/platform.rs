mod buildkite;
mod circleci;
mod github;
mod spacelift;
mod stackguardian;

use crate::exchange::ExchangeError;
use std::{collections::BTreeSet, time::Duration};

use secrecy::{ExposeSecret, SecretString};

use super::{
    SecretSource,
    reader::{Layer, Report, Section, header},
};
use crate::platform::{
    Signal,
    buildkite::{BuildkiteQueueSettings, BuildkiteRunnerSettings},
    circleci::{CircleCiQueueSettings, CircleCiRunnerSettings},
    command::{CommandQueueSettings, CommandRunnerSettings},
    github::{GitHubQueueSettings, GitHubRunnerSettings, GitHubScaleSetSettings},
    gitlab::{GitLabQueueSettings, GitLabRunnerSettings, Scope},
    spacelift::{SpaceliftQueueSettings, SpaceliftRunnerSettings},
    stackguardian::{StackGuardianQueueSettings, StackGuardianRunnerSettings},
};

/// The platforms that settings can name.
const KINDS: &[&str] = &["buildkite", "circleci", "command", "github", "gitlab", "spacelift", "stackguardian"];
const SIGNALS: [(&str, Signal); 3] = [("TERM", Signal::Term), ("INT", Signal::Int), ("QUIT", Signal::Quit)];

/// How the scaler reads a pool's queue; its token is not yet resolved.
#[derive(Clone, Debug)]
pub enum QueueConfig {
    /// Buildkite.
    Buildkite {
        /// Everything but the token, which is empty in here.
        settings: BuildkiteQueueSettings,
        /// An agent token of the queue's cluster.
        token: SecretSource,
    },
    /// CircleCI.
    CircleCi {
        /// Everything but the token, which is empty in here.
        settings: CircleCiQueueSettings,
        /// A personal API token.
        token: SecretSource,
    },
    /// GitHub Actions, by listing.
    GitHub {
        /// Everything but the secret, which is empty in here.
        settings: GitHubQueueSettings,
        /// A token, or the private key of a GitHub App.
        token: SecretSource,
    },
    /// GitHub Actions, by the session of a scale set.
    GitHubScaleSet {
        /// Everything but the secret, which is empty in here.
        settings: GitHubScaleSetSettings,
        /// A token, or the private key of a GitHub App.
        token: SecretSource,
    },
    /// GitLab CI.
    GitLab {
        /// Everything but the token, which is empty in here.
        settings: GitLabQueueSettings,
        /// A token with the scope `read_api`.
        token: SecretSource,
    },
    /// Spacelift.
    Spacelift {
        /// Everything but the API key's secret, which is empty in here.
        settings: SpaceliftQueueSettings,
        /// The API key's secret.
        api_key_secret: SecretSource,
    },
    /// StackGuardian.
    StackGuardian {
        /// Everything but the API key, which is empty in here.
        settings: StackGuardianQueueSettings,
        /// The API key.
        api_key: SecretSource,
    },
    /// A program of the user's.
    Command(CommandQueueSettings),
}

impl QueueConfig {
    /// The secret that [`Self::build`] needs.
    pub fn token(&self) -> Option<&SecretSource> {
        match self {
            Self::Buildkite { token, .. }
            | Self::CircleCi { token, .. }
            | Self::GitHub { token, .. }
            | Self::GitHubScaleSet { token, .. }
            | Self::GitLab { token, .. }
            | Self::Spacelift { api_key_secret: token, .. }
            | Self::StackGuardian { api_key: token, .. } => Some(token),
            Self::Command(_) => None,
        }
    }

    /// The platform's name in settings and logs.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Buildkite { .. } => "buildkite",
            Self::CircleCi { .. } => "circleci",
            Self::GitHub { .. } | Self::GitHubScaleSet { .. } => "github",
            Self::GitLab { .. } => "gitlab",
            Self::Spacelift { .. } => "spacelift",
            Self::StackGuardian { .. } => "stackguardian",
            Self::Command(_) => "command",
        }
    }

    /// What answers: pools with the same address share its speed and its limits.
    pub fn address(&self) -> &str {
        match self {
            Self::Buildkite { settings, .. } => &settings.url,
            Self::CircleCi { settings, .. } => &settings.url,
            Self::GitHub { settings, .. } => &settings.url,
            Self::GitHubScaleSet { settings, .. } => &settings.url,
            Self::GitLab { settings, .. } => &settings.url,
            Self::Spacelift { settings, .. } => &settings.url,
            Self::StackGuardian { settings, .. } => &settings.url,
            Self::Command(command) => &command.queue[0],
        }
    }

    /// Reads the one platform that the layers name.
    pub(super) fn read(report: &Report, layers: Vec<Layer<'_>>) -> Option<Self> {
        let (kind, section) = one_kind(report, layers)?;
        match kind {
            "buildkite" => buildkite::queue(section),
            "circleci" => circleci::queue(section),
            "github" => github::queue(section),
            "gitlab" => Self::gitlab(section),
            "spacelift" => spacelift::queue(section),
            "stackguardian" => stackguardian::queue(section),
            _ => Self::command(section),
        }
    }

    fn gitlab(mut s: Section<'_>) -> Option<Self> {
        let url = url(&mut s);
        let token = token(&mut s, "an access token with the scope read_api");
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
        let settings = GitLabQueueSettings {
            url: url?,
            token: SecretString::default(),
            scope: scope?,
            tags,
            run_untagged,
            runner_id,
        };
        Some(Self::GitLab { settings, token: token? })
    }

    fn command(mut s: Section<'_>) -> Option<Self> {
        let queue = required_program(&mut s, "queue", "the program that prints the queue");
        let timeout = timeout(&mut s);
        s.finish();
        Some(Self::Command(CommandQueueSettings { queue: queue?, timeout }))
    }
}

/// How the agent runs the runner; its token is not yet resolved.
#[derive(Clone, Debug)]
pub enum RunnerConfig {
    /// Buildkite.
    Buildkite {
        /// Everything but the token, which is empty in here.
        settings: BuildkiteRunnerSettings,
        /// An agent token of the queue's cluster.
        token: SecretSource,
    },
    /// CircleCI.
    CircleCi {
        /// Everything but the token, which is empty in here.
        settings: CircleCiRunnerSettings,
        /// The resource class token.
        token: SecretSource,
    },
    /// GitHub Actions.
    GitHub {
        /// Everything but the secret, which is empty in here.
        settings: GitHubRunnerSettings,
        /// A token, the private key of a GitHub App, or a ready JIT configuration.
        token: SecretSource,
    },
    /// GitLab CI.
    GitLab {
        /// Everything but the token, which is empty in here.
        settings: GitLabRunnerSettings,
        /// The runner authentication token.
        token: SecretSource,
    },
    /// Spacelift.
    Spacelift {
        /// Everything but the secrets, which are empty in here.
        settings: SpaceliftRunnerSettings,
        /// The pool's token.
        token: SecretSource,
        /// The pool's private key.
        private_key: SecretSource,
        /// The API key's secret, when the settings name an API key.
        api_key_secret: Option<SecretSource>,
    },
    /// StackGuardian.
    StackGuardian {
        /// Everything but the secrets, which are empty in here.
        settings: StackGuardianRunnerSettings,
        /// The runner group's token.
        token: SecretSource,
        /// The API key, when there is one.
        api_key: Option<SecretSource>,
    },
    /// Programs of the user's.
    Command(CommandRunnerSettings),
}

impl RunnerConfig {
    /// The secrets that [`Self::build`] needs, in its order.
    pub fn secrets(&self) -> Vec<&SecretSource> {
        match self {
            Self::Buildkite { token, .. }
            | Self::CircleCi { token, .. }
            | Self::GitHub { token, .. }
            | Self::GitLab { token, .. } => vec![token],
            Self::Spacelift { token, private_key, api_key_secret, .. } => {
                [token, private_key].into_iter().chain(api_key_secret).collect()
            }
            Self::StackGuardian { token, api_key, .. } => [token].into_iter().chain(api_key).collect(),
            Self::Command(_) => Vec::new(),
        }
    }

    /// How the runner is drained and stopped.
    pub fn drain_rules(&self) -> crate::platform::DrainRules {
        match self {
            Self::Buildkite { settings, .. } => settings.drain_rules(),
            Self::CircleCi { settings, .. } => settings.drain_rules(),
            Self::GitHub { settings, .. } => settings.drain_rules(),
            Self::GitLab { settings, .. } => settings.drain_rules(),
            Self::Spacelift { settings, .. } => settings.drain_rules(),
            Self::StackGuardian { settings, .. } => settings.drain_rules(),
            Self::Command(settings) => settings.drain_rules(),
        }
    }

    /// The platform's name in settings and logs.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Buildkite { .. } => "buildkite",
            Self::CircleCi { .. } => "circleci",
            Self::GitHub { .. } => "github",
            Self::GitLab { .. } => "gitlab",
            Self::Spacelift { .. } => "spacelift",
            Self::StackGuardian { .. } => "stackguardian",
            Self::Command(_) => "command",
        }
    }

    /// Reads the one platform that the layers name. `single_use`: each instance serves one job and leaves.
    pub(super) fn read(report: &Report, layers: Vec<Layer<'_>>, single_use: bool) -> Option<Self> {
        let (kind, section) = one_kind(report, layers)?;
        match kind {
            "buildkite" => buildkite::runner(section, single_use),
            "circleci" => circleci::runner(section, single_use),
            "github" => github::runner(section, single_use),
            "gitlab" => Self::gitlab(section),
            "spacelift" => spacelift::runner(section),
            "stackguardian" => stackguardian::runner(section),
            _ => Self::command(section),
        }
    }

    fn gitlab(mut s: Section<'_>) -> Option<Self> {
        let url = url(&mut s);
        let token = token(&mut s, "the runner authentication token (glrt-...) that the pool shares");
        let program = s.text("program").unwrap_or_else(|| "gitlab-runner".into());
        let executor: String =
            s.word("executor", &[("docker", "docker"), ("shell", "shell")]).unwrap_or("docker").into();
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
        Some(Self::GitLab { settings: settings?, token: token? })
    }

    fn command(mut s: Section<'_>) -> Option<Self> {
        let run = required_program(&mut s, "run", "the runner: one program that keeps running");
        let register = s.program("register");
        let busy = s.program("busy");
        let drain = s.program("drain");
        let drain_signal = s.word("drain_signal", &SIGNALS);
        if drain.is_some() && drain_signal.is_some() {
            s.contradiction(
                "drain_signal",
                "drain and drain_signal cannot both be given",
                "keep the one that makes the runner take no more jobs",
            );
        }
        let undrain = s.program("undrain");
        if undrain.is_some() && drain.is_none() {
            s.contradiction(
                "undrain",
                "undrain goes with drain only",
                "add drain, or leave undrain out: the runner is then started anew",
            );
        }
        let abort_signal = s.word("abort_signal", &SIGNALS).unwrap_or(Signal::Term);
        let deregister = s.program("deregister");
        let containers = s.texts("containers").map(|labels| labels.iter().map(|label| label_of(label)).collect());
        let children = s.flag("children").unwrap_or(true);
        let timeout = timeout(&mut s);
        s.finish();
        let drain_signal = drain_signal.unwrap_or(Signal::Term);
        Some(Self::Command(CommandRunnerSettings {
            register,
            run: run?,
            busy,
            drain,
            drain_signal,
            undrain,
            abort_signal,
            deregister,
            containers,
            children,
            timeout,
        }))
    }
}

/// The kind that is named, by the first layer that names any, and the reader of its keys in all layers.
fn one_kind<'a>(report: &'a Report, layers: Vec<Layer<'a>>) -> Option<(&'static str, Section<'a>)> {
    let named = |layer: &Layer<'a>| -> Vec<&'static str> {
        KINDS.iter().copied().filter(|kind| layer.table.is_some_and(|table| table.contains_key(*kind))).collect()
    };
    let kinds = layers.iter().map(named).find(|kinds| !kinds.is_empty()).unwrap_or_default();
    let mut section = Section::new(report, layers);
    for kind in KINDS {
        section.know(kind);
    }
    section.know("from");
    let found = match kinds[..] {
        [kind] => Some((kind, section.child(kind))),
        [_, second, ..] => {
            section.contradiction(
                second,
                "more than one platform is named",
                format!("keep exactly one of {}", KINDS.join(", ")),
            );
            None
        }
        [] => {
            let path = section.own_path();
            let header = header(path);
            section.lacking(
                path,
                "no CI platform is named",
                format!("add a table such as [{header}.gitlab]; the platforms are {}", KINDS.join(", ")),
            );
            None
        }
    };
    section.finish();
    found
}

fn url(s: &mut Section<'_>) -> Option<String> {
    if !s.has("url") {
        s.know("url");
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
        Some(host) if host.contains('@') => return refuse_user_info(s),
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

fn refuse_user_info(s: &Section<'_>) -> Option<String> {
    s.hidden(
        "url",
        "holds a user name or a password",
        "leave out what stands before the @ and give the token in token",
    );
    None
}

fn token(s: &mut Section<'_>, what: &str) -> Option<SecretSource> {
    required_secret(s, "token", what)
}

fn required_secret(s: &mut Section<'_>, key: &'static str, what: &str) -> Option<SecretSource> {
    if !s.has(key) {
        s.know(key);
        let places = "{ file = \"/path\" }, or { env = \"NAME\" }, { ssm = \"/name\" }, { secretsmanager = \"name\" }";
        s.missing(key, what, format!("add {key} = {places}"));
        return None;
    }
    s.secret(key)
}

fn required_text(s: &mut Section<'_>, key: &'static str, what: &str, example: &str) -> Option<String> {
    if !s.has(key) {
        s.know(key);
        s.missing(key, what, format!("add {key} = \"{example}\""));
        return None;
    }
    s.text(key)
}

fn required_program(s: &mut Section<'_>, key: &'static str, what: &str) -> Option<Vec<String>> {
    if !s.has(key) {
        s.know(key);
        s.missing(key, what, format!("add {key} = [\"/path/to/program\", \"argument\"]"));
        return None;
    }
    s.program(key)
}

fn timeout(s: &mut Section<'_>) -> Duration {
    s.duration("timeout", Duration::from_millis(100)..=Duration::from_secs(600)).unwrap_or(Duration::from_secs(30))
}

/// `name=value`, or `name` for any value.
fn label_of(text: &str) -> (String, Option<String>) {
    match text.split_once('=') {
        Some((name, value)) => (name.into(), Some(value.into())),
        None => (text.into(), None),
    }
}

/// Notes what a codec's own check says about the value of a key.
fn checked(s: &Section<'_>, key: &str, result: Result<(), ExchangeError>) {
    if let Err(error) = result {
        let (what, remedy) = error.message.rsplit_once("; ").unwrap_or((&error.message, "correct it"));
        s.contradiction(key, what, remedy);
    }
}

/// The address of a platform's API, which has a default. An address with a password in it is not shown.
fn api(s: &mut Section<'_>, default: &str, check: impl Fn(&str) -> Result<(), ExchangeError>) -> String {
    let url = s.text("url").unwrap_or_else(|| default.to_owned());
    if url.contains('@') {
        refuse_user_info(s);
    } else {
        checked(s, "url", check(&url));
    }
    url.trim_end_matches('/').to_owned()
}
