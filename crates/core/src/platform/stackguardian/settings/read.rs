//! StackGuardian's keys in the settings, read into what its codecs need.

use std::{sync::Arc, time::Duration};

use secrecy::SecretString;

use super::{
    StackGuardianQueueSettings, StackGuardianRunnerSettings, base_url, check_api_key, check_organization,
    check_runner_group, introspection_url,
};
use crate::{
    exchange::ExchangeError,
    platform::{
        DrainRules, Queue, QueueConfig, RunnerConfig, RunnerPlatform,
        answer::given,
        stackguardian::{EU, NAME, StackGuardianQueue, StackGuardianRunner},
    },
    settings::{Problem, SecretSource, Section},
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
        self.settings.url.as_str()
    }

    fn secret(&self) -> Option<&SecretSource> {
        Some(&self.api_key)
    }

    fn open(&self, secret: Option<SecretString>) -> Result<Box<dyn Queue>, ExchangeError> {
        Ok(Box::new(StackGuardianQueue::new(self.settings.clone(), given(secret)?)?))
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

    fn open(&self, secrets: Vec<SecretString>) -> Result<Box<dyn RunnerPlatform>, ExchangeError> {
        let mut secrets = secrets.into_iter();
        let token = given(secrets.next())?;
        let api_key = self.api_key.as_ref().map(|_| given(secrets.next())).transpose()?;
        Ok(Box::new(StackGuardianRunner::new(self.settings.clone(), token, api_key)?))
    }
}

pub fn queue(s: Section<'_>) -> Option<Arc<dyn QueueConfig>> {
    let url = s.url_or(EU, base_url);
    let api_key = s.required_secret("api_key", "an API key of a user (sgu_...) or of the organization (sgo_...)");
    check_inline(&s, api_key.as_ref());
    let (organization, runner_group) = names(&s);
    s.finish();
    let settings = StackGuardianQueueSettings { url: url?, organization: organization?, runner_group: runner_group? };
    Some(Arc::new(StackGuardianQueueConfig { settings, api_key: api_key? }))
}

pub fn runner(s: Section<'_>, _: bool) -> Option<Arc<dyn RunnerConfig>> {
    let url = s.url_or(EU, base_url);
    let token = s.required_secret("token", "the runner group's token (sg-runner: --sg-node-token)");
    let api_key = s.secret("api_key");
    check_inline(&s, api_key.as_ref());
    let (organization, runner_group) = names(&s);
    let program = s.text("program").unwrap_or_else(|| "sg-runner".to_owned());
    let register_timeout = s
        .duration("register_timeout", Duration::from_secs(1)..=Duration::from_secs(3600))
        .unwrap_or(Duration::from_secs(300));
    let introspection = s.text("introspection").unwrap_or_else(|| "http://localhost:51678".to_owned());
    let introspection = match introspection.as_str() {
        "off" => Some(None),
        url => s.checked(introspection_url(url)).map(Some),
    };
    s.finish();
    let settings = StackGuardianRunnerSettings {
        url: url?,
        organization: organization?,
        runner_group: runner_group?,
        program,
        register_timeout,
        introspection: introspection?,
    };
    Some(Arc::new(StackGuardianRunnerConfig { settings, token: token?, api_key }))
}

fn names(s: &Section<'_>) -> (Option<String>, Option<String>) {
    let organization = s.required_text("organization", "the organization's name", "demo-org");
    s.checked(organization.as_deref().map_or(Ok(()), check_organization));
    let runner_group = s.required_text("runner_group", "the runner group's name", "private-runners");
    s.checked(runner_group.as_deref().map_or(Ok(()), check_runner_group));
    (organization, runner_group)
}

/// A key that stands in the settings themselves can be looked at.
fn check_inline(s: &Section<'_>, api_key: Option<&SecretSource>) {
    if let Some(SecretSource::Inline(api_key)) = api_key {
        let checked = check_api_key(api_key);
        s.checked_secret(
            checked.map_err(|problem| Problem { wrong: format!("cannot be used: {}", problem.wrong), ..problem }),
        );
    }
}
