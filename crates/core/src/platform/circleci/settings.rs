//! What CircleCI's codecs need to know, and the keys that say it.

mod read;

use std::{path::PathBuf, time::Duration};

use secrecy::SecretString;

use super::CLOUD;
use crate::{
    exchange::ExchangeError,
    platform::answer::{check_token, check_url, refuse},
    platform::{DrainBy, DrainRules, Signal, UndrainBy},
    settings::{Key, Side},
};

pub use read::{CircleCiQueueConfig, CircleCiRunnerConfig, queue, runner};

/// The keys of both sides.
pub const KEYS: &[Key] = &[
    Key::optional("url", Side::Both, "text", "`https://runner.circleci.com`", "or a CircleCI server's"),
    Key::required("token", Side::Scaler, "secret", "a *personal* API token"),
    Key::required("token", Side::Agent, "secret", "the resource class token"),
    Key::required("resource_classes", Side::Scaler, "list of `namespace/class`", "whose tasks to count"),
    Key::optional("max_concurrency", Side::Scaler, "number", "none", "the plan's concurrency"),
    Key::optional("program", Side::Agent, "text", "`circleci-runner`", "the runner"),
    Key::optional("command_prefix", Side::Agent, "program", "none", "starts each task, say as another user"),
    Key::optional("max_run_time", Side::Agent, "duration", "`\"5h\"`", "the longest task"),
    Key::optional("working_directory", Side::Agent, "path", "below the runner's folder", "where tasks work"),
    Key::optional(
        "task_agent_directory",
        Side::Agent,
        "path",
        "below the runner's folder",
        "where the runner keeps the task agent",
    ),
    Key::optional(
        "cleanup_working_directory",
        Side::Agent,
        "true, false",
        "`true`",
        "whether it is emptied after each task",
    ),
];

/// Where and how to read the queue.
#[derive(Clone, Debug)]
pub struct CircleCiQueueSettings {
    /// The address of the runner API: [`CLOUD`], or a CircleCI server's own.
    pub url: String,
    /// A personal API token.
    pub token: SecretString,
    /// The pool's resource classes, each as `namespace/resource-class`.
    pub resource_classes: Vec<String>,
    /// How many tasks the plan lets run at once, when that is less than the pool could.
    pub max_concurrency: Option<u32>,
}

impl CircleCiQueueSettings {
    /// Refuses settings that cannot work, before any call is made.
    ///
    /// # Errors
    /// Names what is wrong and what it should be.
    pub fn check(&self) -> Result<(), ExchangeError> {
        check_api(&self.url)?;
        check_token(
            "CircleCI token",
            &self.token,
            "create a personal API token in CircleCI under User Settings > Personal API Tokens",
        )?;
        if self.resource_classes.is_empty() {
            return refuse(
                "no CircleCI resource class is named; name each as namespace/resource-class, such as acme/linux",
            );
        }
        if let Some(class) = self.resource_classes.iter().find(|class| !is_class(class)) {
            return refuse(format!(
                "the CircleCI resource class {class:?} is not of the form namespace/resource-class; write for example acme/linux"
            ));
        }
        if self.max_concurrency == Some(0) {
            return refuse(
                "the CircleCI max_concurrency is 0, so nothing could ever run; set it to the plan's limit, such as 30",
            );
        }
        Ok(())
    }
}

/// How the instance's runner works.
#[derive(Clone, Debug)]
pub struct CircleCiRunnerSettings {
    /// The address of the runner API: [`CLOUD`], or a CircleCI server's own.
    pub url: String,
    /// The resource class token, shared by all instances of the pool.
    pub token: SecretString,
    /// The runner program, such as `circleci-runner`.
    pub program: String,
    /// Whether the runner exits after one task (`mode: single-task`).
    pub single_task: bool,
    /// How long a task may run, in whole seconds. CircleCI's default is 5 hours. A drain never lasts longer.
    pub max_run_time: Duration,
    /// Where tasks work; `None`: a folder beside the runner's files.
    pub working_directory: Option<PathBuf>,
    /// Whether that folder is cleaned after each task.
    pub cleanup_working_directory: bool,
    /// Where the runner keeps the task agent that it downloads; `None`: a folder beside the runner's files.
    pub task_agent_directory: Option<PathBuf>,
    /// What else stands before each task's program, such as `sudo -niHu circleci --`.
    pub command_prefix: Vec<String>,
}

impl Default for CircleCiRunnerSettings {
    /// CircleCI's defaults; the token is empty.
    fn default() -> Self {
        Self {
            url: CLOUD.to_owned(),
            token: SecretString::default(),
            program: "circleci-runner".to_owned(),
            single_task: false,
            max_run_time: Duration::from_secs(5 * 3600),
            working_directory: None,
            cleanup_working_directory: true,
            task_agent_directory: None,
            command_prefix: Vec::new(),
        }
    }
}

impl CircleCiRunnerSettings {
    /// How the runner is drained and stopped.
    pub fn drain_rules(&self) -> DrainRules {
        // The second SIGTERM cancels the task: the first was the drain.
        DrainRules { drain: DrainBy::Signal(Signal::Term), undrain: UndrainBy::Relaunch, abort: Signal::Term }
    }

    /// Refuses settings that cannot work, before the runner is started.
    ///
    /// # Errors
    /// Names what is wrong and what it should be.
    pub fn check(&self) -> Result<(), ExchangeError> {
        check_api(&self.url)?;
        check_token(
            "CircleCI resource class token",
            &self.token,
            "create one with: circleci runner resource-class create namespace/resource-class description --generate-token",
        )?;
        if self.program.trim().is_empty() {
            return refuse("the CircleCI runner program is empty; set it to circleci-runner or its path");
        }
        if self.max_run_time.as_secs() == 0 || self.max_run_time.subsec_nanos() != 0 {
            return refuse("the CircleCI max_run_time is not a number of whole seconds; write for example 5h");
        }
        for (name, folder) in
            [("working_directory", &self.working_directory), ("task_agent_directory", &self.task_agent_directory)]
        {
            match folder {
                Some(folder) if !folder.is_absolute() => {
                    return refuse(format!(
                        "the CircleCI {name} is not an absolute path; write for example /var/lib/circleci"
                    ));
                }
                // The agent's own folder is closed to other users.
                None if !self.command_prefix.is_empty() => {
                    return refuse(format!(
                        "the CircleCI command_prefix may make tasks run as another user, who cannot reach the agent's folder: \
                         set {name} too, to a folder of that user such as /var/lib/circleci/{name}"
                    ));
                }
                Some(_) | None => {}
            }
        }
        if self.command_prefix.iter().any(|word| word.trim().is_empty() || !super::config::is_plain(word)) {
            return refuse(
                "the CircleCI command_prefix holds an empty word or a control character; write for example [\"sudo\", \"-niHu\", \"circleci\", \"--\"]",
            );
        }
        Ok(())
    }
}

fn check_api(url: &str) -> Result<(), ExchangeError> {
    check_url("CircleCI", url, CLOUD)?;
    if url.contains("/api") {
        return refuse(format!("the CircleCI url holds /api, which is added by itself; write for example {CLOUD}"));
    }
    Ok(())
}

fn is_class(text: &str) -> bool {
    let fine = |part: &str| !part.is_empty() && !part.contains(|c: char| c.is_whitespace() || c.is_control());
    text.split_once('/').is_some_and(|(namespace, class)| fine(namespace) && fine(class) && !class.contains('/'))
}
