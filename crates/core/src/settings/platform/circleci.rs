use std::time::Duration;

use secrecy::SecretString;

use super::{QueueConfig, RunnerConfig, Section, api, checked, token};
use crate::platform::circleci::{CLOUD, CircleCiQueueSettings, CircleCiRunnerSettings};

pub(super) fn queue(mut s: Section<'_>) -> Option<QueueConfig> {
    // Everything right but the key at hand.
    let right = CircleCiQueueSettings {
        url: CLOUD.to_owned(),
        token: "x".into(),
        resource_classes: vec!["a/b".to_owned()],
        max_concurrency: None,
    };
    let url = api(&mut s, CLOUD, |url| CircleCiQueueSettings { url: url.to_owned(), ..right.clone() }.check());
    let token = token(&mut s, "a personal API token (a resource class token cannot read the queue)");
    let classes = s.texts("resource_classes");
    match &classes {
        Some(classes) => {
            let with = CircleCiQueueSettings { resource_classes: classes.clone(), ..right.clone() };
            checked(&s, "resource_classes", with.check());
        }
        None if s.has("resource_classes") => {}
        None => s.missing(
            "resource_classes",
            "whose tasks to count",
            "add resource_classes = [\"namespace/resource-class\"]",
        ),
    }
    let max_concurrency = s.integer("max_concurrency", 1..=1_000_000);
    s.finish();
    let settings =
        CircleCiQueueSettings { url, token: SecretString::default(), resource_classes: classes?, max_concurrency };
    Some(QueueConfig::CircleCi { settings, token: token? })
}

pub(super) fn runner(mut s: Section<'_>, single_use: bool) -> Option<RunnerConfig> {
    let right = CircleCiRunnerSettings { token: "x".into(), ..Default::default() };
    let url = api(&mut s, CLOUD, |url| CircleCiRunnerSettings { url: url.to_owned(), ..right.clone() }.check());
    let token = token(&mut s, "the resource class token that the pool shares");
    let settings = CircleCiRunnerSettings {
        url,
        token: SecretString::default(),
        program: s.text("program").unwrap_or_else(|| right.program.clone()),
        single_task: single_use,
        max_run_time: s
            .duration("max_run_time", Duration::from_secs(1)..=Duration::from_secs(7 * 86_400))
            .unwrap_or(right.max_run_time),
        working_directory: s.absolute("working_directory"),
        cleanup_working_directory: s.flag("cleanup_working_directory").unwrap_or(right.cleanup_working_directory),
        task_agent_directory: s.absolute("task_agent_directory"),
        command_prefix: s.program("command_prefix").unwrap_or_default(),
    };
    let program = CircleCiRunnerSettings { program: settings.program.clone(), ..right.clone() };
    checked(&s, "program", program.check());
    let max_run_time = CircleCiRunnerSettings { max_run_time: settings.max_run_time, ..right.clone() };
    checked(&s, "max_run_time", max_run_time.check());
    let prefix = CircleCiRunnerSettings {
        command_prefix: settings.command_prefix.clone(),
        working_directory: settings.working_directory.clone(),
        task_agent_directory: settings.task_agent_directory.clone(),
        ..right
    };
    checked(&s, "command_prefix", prefix.check());
    s.finish();
    Some(RunnerConfig::CircleCi { settings, token: token? })
}
