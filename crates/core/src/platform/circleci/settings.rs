//! What CircleCI's codecs need to know, and the keys that say it.

mod read;

use std::num::NonZeroU32;

use secrecy::SecretString;

use super::{CLOUD, config::is_plain};
use crate::{
    platform::answer::check_token,
    settings::{AbsolutePath, BaseUrl, Key, NonBlank, NonEmpty, Problem, Side, WholeSeconds, checked_text},
};

pub(super) use read::{queue, runner};

/// The keys of both sides.
pub(super) const KEYS: &[Key] = &[
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

checked_text! {
    /// A resource class: `namespace/resource-class`.
    ResourceClass, check_class
}

checked_text! {
    /// A word of what stands before a task's program.
    PrefixWord, check_prefix_word
}

/// Where and how to read the queue.
#[derive(Clone, Debug)]
pub struct CircleCiQueueSettings {
    /// The address of the runner API: [`CLOUD`], or a CircleCI server's own.
    pub url: BaseUrl,
    /// The pool's resource classes.
    pub resource_classes: NonEmpty<ResourceClass>,
    /// How many tasks the plan lets run at once, when that is less than the pool could.
    pub max_concurrency: Option<NonZeroU32>,
}

/// How the instance's runner works.
#[derive(Clone, Debug)]
pub struct CircleCiRunnerSettings {
    /// The address of the runner API: [`CLOUD`], or a CircleCI server's own.
    pub url: BaseUrl,
    /// The runner program, such as `circleci-runner`.
    pub program: NonBlank,
    /// Whether the runner exits after one task (`mode: single-task`).
    pub single_task: bool,
    /// How long a task may run. CircleCI's default is 5 hours. A drain never lasts longer.
    pub max_run_time: WholeSeconds,
    /// Where tasks work; `None`: a folder beside the runner's files.
    pub working_directory: Option<AbsolutePath>,
    /// Whether that folder is cleaned after each task.
    pub cleanup_working_directory: bool,
    /// Where the runner keeps the task agent that it downloads; `None`: a folder beside the runner's files.
    pub task_agent_directory: Option<AbsolutePath>,
    /// What else stands before each task's program, such as `sudo -niHu circleci --`.
    pub command_prefix: Vec<PrefixWord>,
}

impl CircleCiRunnerSettings {
    /// CircleCI's defaults.
    pub fn new(url: BaseUrl) -> Self {
        Self {
            url,
            program: NonBlank::of("circleci-runner"),
            single_task: false,
            max_run_time: WholeSeconds::of(5 * 3600),
            working_directory: None,
            cleanup_working_directory: true,
            task_agent_directory: None,
            command_prefix: Vec::new(),
        }
    }

    /// Refuses a prefix without folders: it may make tasks run as another user, to whom the agent's own folder is closed.
    pub(super) fn check_prefix(&self) -> Result<(), Problem> {
        let folders =
            [("working_directory", &self.working_directory), ("task_agent_directory", &self.task_agent_directory)];
        match folders.into_iter().find(|(_, folder)| folder.is_none()) {
            Some((name, _)) if !self.command_prefix.is_empty() => Err(Problem::new(
                "command_prefix",
                format!(
                    "the CircleCI command_prefix may make tasks run as another user, who cannot reach the agent's folder: \
                     set {name} too"
                ),
                format!("give it a folder of that user, such as /var/lib/circleci/{name}"),
            )),
            Some(_) | None => Ok(()),
        }
    }
}

/// The address of a runner API.
///
/// # Errors
/// When it cannot be one.
pub fn base_url(text: &str) -> Result<BaseUrl, Problem> {
    let example = || format!("write for example {CLOUD}");
    let url = BaseUrl::parse(text).map_err(|why| Problem::new("url", why, example()))?;
    if url.path().contains("/api") {
        return Err(Problem::new("url", "the CircleCI url holds /api, which is added by itself", example()));
    }
    Ok(url)
}

pub(super) fn check_personal_token(token: &SecretString) -> Result<(), Problem> {
    let remedy = "create a personal API token in CircleCI under User Settings > Personal API Tokens";
    check_token("token", "CircleCI token", token, remedy)
}

pub(super) fn check_class_token(token: &SecretString) -> Result<(), Problem> {
    let remedy = "create one with: circleci runner resource-class create namespace/resource-class description \
                  --generate-token";
    check_token("token", "CircleCI resource class token", token, remedy)
}

fn check_class(class: &str) -> Result<(), Problem> {
    if !is_class(class) {
        return Err(Problem::new(
            "resource_classes",
            format!("the CircleCI resource class {class:?} is not of the form namespace/resource-class"),
            "write for example acme/linux",
        ));
    }
    Ok(())
}

fn check_prefix_word(word: &str) -> Result<(), Problem> {
    if word.trim().is_empty() || !is_plain(word) {
        return Err(Problem::new(
            "command_prefix",
            "the CircleCI command_prefix holds an empty word or a control character",
            "write for example [\"sudo\", \"-niHu\", \"circleci\", \"--\"]",
        ));
    }
    Ok(())
}

fn is_class(text: &str) -> bool {
    let fine = |part: &str| !part.is_empty() && !part.contains(|c: char| c.is_whitespace() || c.is_control());
    text.split_once('/').is_some_and(|(namespace, class)| fine(namespace) && fine(class) && !class.contains('/'))
}
