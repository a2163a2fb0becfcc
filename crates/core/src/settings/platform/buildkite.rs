use std::time::Duration;

use secrecy::SecretString;

use super::{QueueConfig, RunnerConfig, Section, api, checked, token};
use crate::platform::buildkite::{BuildkiteQueueSettings, BuildkiteRunnerSettings, CLOUD};

const TOKEN: &str = "an agent token of the queue's cluster";

pub(super) fn queue(mut s: Section<'_>) -> Option<QueueConfig> {
    // Everything right but the key at hand.
    let right = BuildkiteQueueSettings {
        url: CLOUD.to_owned(),
        token: "x".into(),
        queue: "default".to_owned(),
        include_waiting: false,
    };
    let url = api(&mut s, CLOUD, |url| BuildkiteQueueSettings { url: url.to_owned(), ..right.clone() }.check());
    let token = token(&mut s, TOKEN);
    let queue = key(&mut s);
    let include_waiting = s.flag("include_waiting").unwrap_or(false);
    s.finish();
    let settings = BuildkiteQueueSettings { url, token: SecretString::default(), queue: queue?, include_waiting };
    Some(QueueConfig::Buildkite { settings, token: token? })
}

pub(super) fn runner(mut s: Section<'_>, single_use: bool) -> Option<RunnerConfig> {
    let right = BuildkiteRunnerSettings { token: "x".into(), queue: "default".to_owned(), ..Default::default() };
    let url = api(&mut s, CLOUD, |url| BuildkiteRunnerSettings { url: url.to_owned(), ..right.clone() }.check());
    let token = token(&mut s, TOKEN);
    let queue = key(&mut s);
    let settings = BuildkiteRunnerSettings {
        url,
        token: SecretString::default(),
        queue: queue.clone().unwrap_or_default(),
        tags: s.texts("tags").unwrap_or_default(),
        program: s.text("program").unwrap_or_else(|| right.program.clone()),
        disconnect_after_job: single_use,
        cancel_grace_period: s
            .duration("cancel_grace_period", Duration::from_secs(1)..=Duration::from_secs(3600))
            .unwrap_or(right.cancel_grace_period),
        build_path: s.absolute("build_path"),
        hooks_path: s.absolute("hooks_path").unwrap_or_else(|| right.hooks_path.clone()),
    };
    checked(&s, "tags", BuildkiteRunnerSettings { tags: settings.tags.clone(), ..right.clone() }.check());
    checked(&s, "program", BuildkiteRunnerSettings { program: settings.program.clone(), ..right.clone() }.check());
    let grace = BuildkiteRunnerSettings { cancel_grace_period: settings.cancel_grace_period, ..right };
    checked(&s, "cancel_grace_period", grace.check());
    s.finish();
    queue?;
    Some(RunnerConfig::Buildkite { settings, token: token? })
}

/// The queue's key.
fn key(s: &mut Section<'_>) -> Option<String> {
    if !s.has("queue") {
        s.know("queue");
        s.missing(
            "queue",
            "the queue's key",
            "add queue = \"default\", as it stands at Buildkite under Agents > cluster > Queues",
        );
        return None;
    }
    let queue = s.text("queue")?;
    let with = BuildkiteQueueSettings {
        url: CLOUD.to_owned(),
        token: "x".into(),
        queue: queue.clone(),
        include_waiting: false,
    };
    checked(s, "queue", with.check());
    Some(queue)
}
