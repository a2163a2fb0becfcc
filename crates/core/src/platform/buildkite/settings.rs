//! What Buildkite's codecs need to know, and the keys that say it.

mod read;

use std::{path::PathBuf, time::Duration};

use secrecy::SecretString;

use super::{CLOUD, config::is_plain};
use crate::{
    exchange::ExchangeError,
    platform::answer::{check_token, check_url, refuse},
    platform::{DrainBy, DrainRules, Signal, UndrainBy},
    settings::{Key, Side},
};

pub use read::{BuildkiteQueueConfig, BuildkiteRunnerConfig, queue, runner};

/// The keys of both sides.
pub const KEYS: &[Key] = &[
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

/// Where and how to read the queue.
#[derive(Clone, Debug)]
pub struct BuildkiteQueueSettings {
    /// The address of the agent API without `/v3`: [`CLOUD`].
    pub url: String,
    /// An agent token of the queue's cluster.
    pub token: SecretString,
    /// The queue's key, such as `default`.
    pub queue: String,
    /// Whether jobs that are blocked by a step before them count as queued.
    pub include_waiting: bool,
}

impl BuildkiteQueueSettings {
    /// Refuses settings that cannot work, before any call is made.
    ///
    /// # Errors
    /// Names what is wrong and what it should be.
    pub fn check(&self) -> Result<(), ExchangeError> {
        check_api(&self.url)?;
        check_agent_token(&self.token)?;
        check_queue(&self.queue)
    }
}

/// How the instance's runner works.
#[derive(Clone, Debug)]
pub struct BuildkiteRunnerSettings {
    /// The address of the agent API without `/v3`: [`CLOUD`].
    pub url: String,
    /// An agent token of the queue's cluster, shared by all instances of the pool.
    pub token: SecretString,
    /// The queue's key, such as `default`.
    pub queue: String,
    /// More tags of the agents, each as `key=value`.
    pub tags: Vec<String>,
    /// The runner program, such as `buildkite-agent`.
    pub program: String,
    /// Whether each worker takes one job only (`disconnect-after-job`).
    pub disconnect_after_job: bool,
    /// How long a cancelled job may take to end, in whole seconds. Buildkite's default is 10 s; the agent gives a runner 10 s to fail its jobs at a
    /// spot deadline, so the default is 8 s here.
    pub cancel_grace_period: Duration,
    /// Where jobs work; `None`: a folder beside the runner's files.
    pub build_path: Option<PathBuf>,
    /// Where the user's own agent hooks are.
    pub hooks_path: PathBuf,
}

impl Default for BuildkiteRunnerSettings {
    /// The defaults of Buildkite and of its Linux packages, but for the grace period; token and queue are empty.
    fn default() -> Self {
        Self {
            url: CLOUD.to_owned(),
            token: SecretString::default(),
            queue: String::new(),
            tags: Vec::new(),
            program: "buildkite-agent".to_owned(),
            disconnect_after_job: false,
            cancel_grace_period: Duration::from_secs(8),
            build_path: None,
            hooks_path: PathBuf::from("/etc/buildkite-agent/hooks"),
        }
    }
}

impl BuildkiteRunnerSettings {
    /// How the runner is drained and stopped.
    pub fn drain_rules(&self) -> DrainRules {
        DrainRules { drain: DrainBy::Signal(Signal::Term), undrain: UndrainBy::Relaunch, abort: Signal::Quit }
    }

    /// Refuses settings that cannot work, before the runner is started.
    ///
    /// # Errors
    /// Names what is wrong and what it should be.
    pub fn check(&self) -> Result<(), ExchangeError> {
        check_api(&self.url)?;
        check_agent_token(&self.token)?;
        check_queue(&self.queue)?;
        for tag in &self.tags {
            match tag.split_once('=') {
                Some(("queue", _)) => {
                    return refuse("the Buildkite tags hold queue=, which is written from queue; remove it");
                }
                Some((key, value)) if !key.is_empty() && !value.is_empty() && is_plain(tag) && !tag.contains(',') => {}
                Some(_) | None => {
                    return refuse(format!(
                        "the Buildkite tag {tag:?} is not of the form key=value; write for example os=linux"
                    ));
                }
            }
        }
        if self.program.is_empty() || !is_plain(&self.program) {
            return refuse(
                "the Buildkite agent program is empty or holds a space or a quote; set it to buildkite-agent or its path",
            );
        }
        if self.cancel_grace_period.as_secs() == 0 || self.cancel_grace_period.subsec_nanos() != 0 {
            return refuse("the Buildkite cancel_grace_period is not a number of whole seconds; write for example 8s");
        }
        for (name, folder) in [("build_path", self.build_path.as_ref()), ("hooks_path", Some(&self.hooks_path))] {
            if folder.is_some_and(|folder| !folder.is_absolute()) {
                return refuse(format!(
                    "the Buildkite {name} is not an absolute path; write for example /var/lib/buildkite-agent"
                ));
            }
        }
        Ok(())
    }
}

fn check_api(url: &str) -> Result<(), ExchangeError> {
    check_url("Buildkite", url, CLOUD)?;
    if url.trim_end_matches('/').ends_with("/v3") || url.contains("/v3/") {
        return refuse(format!("the Buildkite url holds /v3, which is added by itself; write for example {CLOUD}"));
    }
    if url.contains("//api.buildkite.com") {
        return refuse(format!("the Buildkite url is that of the REST API; the agent API is needed, {CLOUD}"));
    }
    Ok(())
}

fn check_agent_token(token: &SecretString) -> Result<(), ExchangeError> {
    use secrecy::ExposeSecret;
    check_token(
        "Buildkite agent token",
        token,
        "create one in Buildkite under Agents > the queue's cluster > Agent Tokens",
    )?;
    if token.expose_secret().starts_with("bkua_") {
        return refuse(
            "the Buildkite token is an API access token (bkua_...); an agent token is needed: \
             create one in Buildkite under Agents > the queue's cluster > Agent Tokens",
        );
    }
    if !is_plain(token.expose_secret()) {
        return refuse("the Buildkite agent token holds a character that no agent token has; store the token alone");
    }
    Ok(())
}

fn check_queue(queue: &str) -> Result<(), ExchangeError> {
    if queue.is_empty() || !queue.chars().all(|c| c.is_ascii_alphanumeric() || "-_.:".contains(c)) {
        return refuse(format!(
            "the Buildkite queue {queue:?} is not a queue's key; write the key alone as it stands under Agents > cluster > Queues, such as linux-large"
        ));
    }
    Ok(())
}
