//! StackGuardian's keys in the settings, read into what its codecs need.

use std::{sync::Arc, time::Duration};

use secrecy::SecretString;

use super::{StackGuardianQueueSettings, StackGuardianRunnerSettings};
use crate::{
    exchange::ExchangeError,
    platform::{
        DrainRules, Queue, QueueConfig, RunnerConfig, RunnerPlatform,
        stackguardian::{EU, NAME, StackGuardianQueue, StackGuardianRunner},
    },
    settings::{SecretSource, Section},
};

/// A pool's queue as the settings name it.
#[derive(Clone, Debug)]
pub struct StackGuardianQueueConfig {
    /// Everything but the secret.
    pub settings: StackGuardianQueueSettings,
    /// Where the secret is.
    pub api_key: SecretSource,
}

impl QueueConfig for StackGuardianQueueConfig {
    fn platform(&self) -> &'static str {
        NAME
    }

    fn address(&self) -> &str {
        &self.settings.url
    }

    fn secret(&self) -> Option<&SecretSource> {
        Some(&self.api_key)
    }

    fn open(&self, secret: Option<SecretString>) -> Box<dyn Queue> {
        let api_key = secret.unwrap_or_default();
        Box::new(StackGuardianQueue::new(StackGuardianQueueSettings { api_key, ..self.settings.clone() }))
    }
}

/// A runner as the settings name it.
#[derive(Clone, Debug)]
pub struct StackGuardianRunnerConfig {
    /// Everything but the secrets.
    pub settings: StackGuardianRunnerSettings,
    /// Where the token is.
    pub token: SecretSource,
    /// Where the API key is, when there is one.
    pub api_key: Option<SecretSource>,
}

impl RunnerConfig for StackGuardianRunnerConfig {
    fn platform(&self) -> &'static str {
        NAME
    }

    fn drain_rules(&self) -> DrainRules {
        self.settings.drain_rules()
    }

    fn secrets(&self) -> Vec<&SecretSource> {
        [&self.token].into_iter().chain(&self.api_key).collect()
    }

    fn open(&self, secrets: Vec<SecretString>) -> Box<dyn RunnerPlatform> {
        let mut secrets = secrets.into_iter();
        let (token, api_key) = (secrets.next().unwrap_or_default(), secrets.next());
        Box::new(StackGuardianRunner::new(StackGuardianRunnerSettings { token, api_key, ..self.settings.clone() }))
    }
}

pub fn queue(s: Section<'_>) -> Option<Arc<dyn QueueConfig>> {
    let url = address(&s);
    let api_key = s.required_secret("api_key", "an API key of a user (sgu_...) or of the organization (sgo_...)");
    check_api_key(&s, api_key.as_ref());
    let organization = name(&s, "organization", "the organization's name", "demo-org");
    let runner_group = name(&s, "runner_group", "the runner group's name", "private-runners");
    s.finish();
    let settings = StackGuardianQueueSettings {
        url,
        api_key: SecretString::default(),
        organization: organization?,
        runner_group: runner_group?,
    };
    Some(Arc::new(StackGuardianQueueConfig { settings, api_key: api_key? }))
}

pub fn runner(s: Section<'_>, _: bool) -> Option<Arc<dyn RunnerConfig>> {
    let url = address(&s);
    let token = s.required_secret("token", "the runner group's token (sg-runner: --sg-node-token)");
    let api_key = s.secret("api_key");
    check_api_key(&s, api_key.as_ref());
    let organization = name(&s, "organization", "the organization's name", "demo-org");
    let runner_group = name(&s, "runner_group", "the runner group's name", "private-runners");
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
    Some(Arc::new(StackGuardianRunnerConfig { settings, token: token?, api_key }))
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

fn address(s: &Section<'_>) -> String {
    s.api(EU, |url| StackGuardianQueueSettings { url: url.to_owned(), ..right() }.check())
}

fn name(s: &Section<'_>, key: &'static str, what: &str, example: &str) -> Option<String> {
    let name = s.required_text(key, what, example)?;
    let with: Result<(), ExchangeError> = if key == "organization" {
        StackGuardianQueueSettings { organization: name.clone(), ..right() }.check()
    } else {
        StackGuardianQueueSettings { runner_group: name.clone(), ..right() }.check()
    };
    s.checked(key, with);
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
