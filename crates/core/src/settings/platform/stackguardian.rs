use crate::exchange::ExchangeError;
use std::time::Duration;

use secrecy::SecretString;

use super::{QueueConfig, RunnerConfig, SecretSource, Section, api, checked, required_secret, required_text, token};
use crate::platform::stackguardian::{EU, StackGuardianQueueSettings, StackGuardianRunnerSettings};

pub(super) fn queue(mut s: Section<'_>) -> Option<QueueConfig> {
    let url = address(&mut s);
    let api_key = required_secret(&mut s, "api_key", "an API key of a user (sgu_...) or of the organization (sgo_...)");
    check_api_key(&s, api_key.as_ref());
    let organization = name(&mut s, "organization", "the organization's name", "demo-org");
    let runner_group = name(&mut s, "runner_group", "the runner group's name", "private-runners");
    s.finish();
    let settings = StackGuardianQueueSettings {
        url,
        api_key: SecretString::default(),
        organization: organization?,
        runner_group: runner_group?,
    };
    Some(QueueConfig::StackGuardian { settings, api_key: api_key? })
}

pub(super) fn runner(mut s: Section<'_>) -> Option<RunnerConfig> {
    let url = address(&mut s);
    let token = token(&mut s, "the runner group's token (sg-runner: --sg-node-token)");
    let api_key = s.secret("api_key");
    check_api_key(&s, api_key.as_ref());
    let organization = name(&mut s, "organization", "the organization's name", "demo-org");
    let runner_group = name(&mut s, "runner_group", "the runner group's name", "private-runners");
    let program = s.text("program").unwrap_or_else(|| "sg-runner".to_owned());
    let register_timeout = s
        .duration("register_timeout", Duration::from_secs(1)..=Duration::from_secs(3600))
        .unwrap_or(Duration::from_secs(300));
    let introspection = s.text("introspection").unwrap_or_else(|| "http://localhost:51678".to_owned());
    if introspection != "off" && !introspection.starts_with("http://") {
        s.contradiction(
            "introspection",
            "expected the address of the ECS agent's introspection, or \"off\"",
            "write for example introspection = \"http://localhost:51678\"",
        );
    }
    s.finish();
    let settings = StackGuardianRunnerSettings {
        url,
        token: SecretString::default(),
        api_key: None,
        organization: organization?,
        runner_group: runner_group?,
        program,
        register_timeout,
        introspection: (introspection != "off").then_some(introspection),
    };
    Some(RunnerConfig::StackGuardian { settings, token: token?, api_key })
}

/// Everything right but the key at hand.
fn right() -> StackGuardianQueueSettings {
    StackGuardianQueueSettings {
        url: EU.to_owned(),
        api_key: "sgu_".into(),
        organization: "x".to_owned(),
        runner_group: "x".to_owned(),
    }
}

fn address(s: &mut Section<'_>) -> String {
    api(s, EU, |url| StackGuardianQueueSettings { url: url.to_owned(), ..right() }.check())
}

fn name(s: &mut Section<'_>, key: &'static str, what: &str, example: &str) -> Option<String> {
    let name = required_text(s, key, what, example)?;
    let with: Result<(), ExchangeError> = if key == "organization" {
        StackGuardianQueueSettings { organization: name.clone(), ..right() }.check()
    } else {
        StackGuardianQueueSettings { runner_group: name.clone(), ..right() }.check()
    };
    checked(s, key, with);
    Some(name)
}

/// A key that stands in the settings themselves can be looked at.
fn check_api_key(s: &Section<'_>, api_key: Option<&SecretSource>) {
    if let Some(SecretSource::Inline(api_key)) = api_key
        && let Err(error) = (StackGuardianQueueSettings { api_key: api_key.clone(), ..right() }.check())
    {
        let (what, remedy) = error.message.split_once("; ").unwrap_or((&error.message, "correct it"));
        s.hidden("api_key", format!("cannot be used: {what}"), remedy);
    }
}
