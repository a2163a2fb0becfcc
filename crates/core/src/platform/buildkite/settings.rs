//! What Buildkite's codecs need to know, and the keys that say it.

mod read;

use secrecy::{ExposeSecret, SecretString};

use super::{CLOUD, config::is_plain};
use crate::{
    platform::answer::check_token,
    settings::{BaseUrl, Key, Problem, Side, WholeSeconds, checked_text},
};

pub(super) use read::{queue, runner};

/// The keys of both sides.
pub(super) const KEYS: &[Key] = &[
    Key::optional("url", Side::Both, "text", "`https://agent.buildkite.com`", "the agent API"),
    Key::required("token", Side::Both, "secret", "an agent token of the queue's cluster"),
    Key::required("queue", Side::Both, "text", "the queue's key"),
    Key::optional(
        "include_waiting",
        Side::Scaler,
        "true, false",
        "`false`",
        "count jobs that wait for a step before them",
    ),
    Key::optional("tags", Side::Agent, "list", "none", "tags beside the queue's"),
    Key::optional("program", Side::Agent, "text", "`buildkite-agent`", "the agent"),
    Key::optional(
        "cancel_grace_period",
        Side::Agent,
        "duration",
        "`\"8s\"`",
        "how long a cancelled job may take to end",
    ),
    Key::optional("build_path", Side::Agent, "path", "below the runner's folder", "where jobs are built"),
    Key::optional("hooks_path", Side::Agent, "path", "`/etc/buildkite-agent/hooks`", "the agent's hooks"),
];

checked_text! {
    /// A queue's key, such as `default`.
    QueueKey, check_queue
}

checked_text! {
    /// A tag of an agent: `key=value`.
    AgentTag, check_tag
}

checked_text! {
    /// The agent's program, by a name or a path that stands in its configuration.
    AgentProgram, check_program
}

checked_text! {
    /// A folder whose path stands in the agent's configuration.
    AgentFolder, check_folder
}

/// Where and how to read the queue.
#[derive(Clone, Debug)]
pub struct BuildkiteQueueSettings {
    /// The address of the agent API without `/v3`: [`CLOUD`].
    pub url: BaseUrl,
    /// The queue.
    pub queue: QueueKey,
    /// Whether jobs that are blocked by a step before them count as queued.
    pub include_waiting: bool,
}

/// How the instance's runner works.
#[derive(Clone, Debug)]
pub struct BuildkiteRunnerSettings {
    /// The address of the agent API without `/v3`: [`CLOUD`].
    pub url: BaseUrl,
    /// The queue.
    pub queue: QueueKey,
    /// More tags of the agents.
    pub tags: Vec<AgentTag>,
    /// The runner program, such as `buildkite-agent`.
    pub program: AgentProgram,
    /// Whether each worker takes one job only (`disconnect-after-job`).
    pub disconnect_after_job: bool,
    /// How long a cancelled job may take to end. Buildkite's default is 10 s; the agent gives a
    /// runner 10 s to fail its jobs at a spot deadline, so the default is 8 s here.
    pub cancel_grace_period: WholeSeconds,
    /// Where jobs work; `None`: a folder beside the runner's files.
    pub build_path: Option<AgentFolder>,
    /// Where the user's own agent hooks are.
    pub hooks_path: AgentFolder,
}

impl BuildkiteRunnerSettings {
    /// The defaults of Buildkite and of its Linux packages, but for the grace period.
    pub fn new(url: BaseUrl, queue: QueueKey) -> Self {
        Self {
            url,
            queue,
            tags: Vec::new(),
            program: AgentProgram("buildkite-agent".to_owned()),
            disconnect_after_job: false,
            cancel_grace_period: WholeSeconds::of(8),
            build_path: None,
            hooks_path: AgentFolder("/etc/buildkite-agent/hooks".to_owned()),
        }
    }
}

/// The address of an agent API.
///
/// # Errors
/// When it cannot be one.
pub fn base_url(text: &str) -> Result<BaseUrl, Problem> {
    let example = || format!("write for example {CLOUD}");
    let url = BaseUrl::parse(text).map_err(|why| Problem::new("url", why, example()))?;
    if url.path().ends_with("/v3") || url.path().contains("/v3/") {
        return Err(Problem::new("url", "the Buildkite url holds /v3, which is added by itself", example()));
    }
    if url.host() == "api.buildkite.com" {
        let remedy = format!("the agent API is needed, {CLOUD}");
        return Err(Problem::new("url", "the Buildkite url is that of the REST API", remedy));
    }
    Ok(url)
}

pub(super) fn check_agent_token(token: &SecretString) -> Result<(), Problem> {
    const CREATE: &str = "create one in Buildkite under Agents > the queue's cluster > Agent Tokens";
    check_token("token", "Buildkite agent token", token, CREATE)?;
    if token.expose_secret().starts_with("bkua_") {
        return Err(Problem::new(
            "token",
            "the Buildkite token is an API access token (bkua_...)",
            format!("an agent token is needed: {CREATE}"),
        ));
    }
    if !is_plain(token.expose_secret()) {
        return Err(Problem::new(
            "token",
            "the Buildkite agent token holds a character that no agent token has",
            "store the token alone",
        ));
    }
    Ok(())
}

fn check_queue(queue: &str) -> Result<(), Problem> {
    if queue.is_empty() || !queue.chars().all(|c| c.is_ascii_alphanumeric() || "-_.:".contains(c)) {
        return Err(Problem::new(
            "queue",
            format!("the Buildkite queue {queue:?} is not a queue's key"),
            "write the key alone as it stands under Agents > cluster > Queues, such as linux-large",
        ));
    }
    Ok(())
}

fn check_tag(tag: &str) -> Result<(), Problem> {
    match tag.split_once('=') {
        Some(("queue", _)) => {
            let why = "the Buildkite tags hold queue=, which is written from queue";
            Err(Problem::new("tags", why, "remove it"))
        }
        Some((key, value)) if !key.is_empty() && !value.is_empty() && is_plain(tag) && !tag.contains(',') => Ok(()),
        Some(_) | None => Err(Problem::new(
            "tags",
            format!("the Buildkite tag {tag:?} is not of the form key=value"),
            "write for example os=linux",
        )),
    }
}

fn check_program(program: &str) -> Result<(), Problem> {
    if program.is_empty() || !is_plain(program) {
        return Err(Problem::new(
            "program",
            "the Buildkite agent program is empty or holds a space or a quote",
            "set it to buildkite-agent or its path",
        ));
    }
    Ok(())
}

fn check_folder(path: &str) -> Result<(), Problem> {
    if !path.starts_with('/') || !is_plain(path) {
        return Err(Problem::new(
            "",
            "expected an absolute path of letters, digits and -_./:=,@+[], since buildkite-agent.cfg knows no escapes",
            "write for example /var/lib/buildkite-agent",
        ));
    }
    Ok(())
}
