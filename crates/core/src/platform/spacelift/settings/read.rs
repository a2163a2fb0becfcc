//! Spacelift's keys in the settings, read into what its codecs need.

use std::{collections::BTreeMap, sync::Arc};

use secrecy::SecretString;

use super::{
    BY_CALL, BY_SIGNAL, PoolSecrets, SpaceliftQueueSettings, SpaceliftRunnerSettings, base_url, check_env,
    check_ignored, check_key_id, check_worker_pool,
};
use crate::{
    exchange::ExchangeError,
    platform::{
        DrainRules, Queue, QueueConfig, RunnerConfig, RunnerPlatform,
        answer::given,
        spacelift::{NAME, SpaceliftQueue, SpaceliftRunner},
    },
    settings::{SecretSource, Section},
};

/// A pool's queue as the settings name it.
#[derive(Clone, Debug)]
pub struct SpaceliftQueueConfig {
    /// Everything but the secret.
    pub settings: SpaceliftQueueSettings,
    /// Where the secret is.
    pub api_key_secret: SecretSource,
}

impl QueueConfig for SpaceliftQueueConfig {
    fn platform(&self) -> &'static str {
        NAME
    }

    fn address(&self) -> &str {
        self.settings.url.as_str()
    }

    fn secret(&self) -> Option<&SecretSource> {
        Some(&self.api_key_secret)
    }

    fn open(&self, secret: Option<SecretString>) -> Result<Box<dyn Queue>, ExchangeError> {
        Ok(Box::new(SpaceliftQueue::new(self.settings.clone(), given(secret)?)?))
    }
}

/// A runner as the settings name it.
#[derive(Clone, Debug)]
pub struct SpaceliftRunnerConfig {
    /// Everything but the secrets.
    pub settings: SpaceliftRunnerSettings,
    /// Where the token is.
    pub token: SecretSource,
    /// Where the pool's private key is.
    pub private_key: SecretSource,
    /// The pool and where the secret of an API key to it is, for draining with proof.
    pub api: Option<(SpaceliftQueueSettings, SecretSource)>,
}

impl RunnerConfig for SpaceliftRunnerConfig {
    fn platform(&self) -> &'static str {
        NAME
    }

    fn drain_rules(&self) -> DrainRules {
        if self.api.is_some() { BY_CALL } else { BY_SIGNAL }
    }

    fn secrets(&self) -> Vec<&SecretSource> {
        [&self.token, &self.private_key].into_iter().chain(self.api.as_ref().map(|(_, secret)| secret)).collect()
    }

    fn open(&self, secrets: Vec<SecretString>) -> Result<Box<dyn RunnerPlatform>, ExchangeError> {
        let mut secrets = secrets.into_iter();
        let pool = PoolSecrets { token: given(secrets.next())?, private_key: given(secrets.next())? };
        let api = match &self.api {
            Some((api, _)) => Some((api.clone(), given(secrets.next())?)),
            None => None,
        };
        Ok(Box::new(SpaceliftRunner::new(self.settings.clone(), pool, api)?))
    }
}

/// The keys that name the pool and the API key to it.
const API: [&str; 4] = ["url", "api_key_id", "api_key_secret", "worker_pool"];

pub fn queue(s: Section<'_>) -> Option<Arc<dyn QueueConfig>> {
    let api = api(&s);
    s.finish();
    let (settings, api_key_secret) = api?;
    Some(Arc::new(SpaceliftQueueConfig { settings, api_key_secret }))
}

pub fn runner(s: Section<'_>, _: bool) -> Option<Arc<dyn RunnerConfig>> {
    let token = s.required_secret("token", "the worker pool's token (SPACELIFT_TOKEN)");
    let private_key =
        s.required_secret("private_key", "the worker pool's private key in base64 (SPACELIFT_POOL_PRIVATE_KEY)");
    let program = s.text("program").unwrap_or_else(|| "spacelift-launcher".to_owned());
    let env = env(&s);
    s.checked(check_env(&env));
    let ignore_containers = s.texts("ignore_containers").unwrap_or_default();
    s.checked(check_ignored(&ignore_containers));
    let with_key = API.iter().any(|key| s.has(key));
    let api = if with_key { api(&s) } else { None };
    s.finish();
    if with_key && api.is_none() {
        return None;
    }
    let settings = SpaceliftRunnerSettings { program, env, ignore_containers };
    Some(Arc::new(SpaceliftRunnerConfig { settings, token: token?, private_key: private_key?, api }))
}

fn api(s: &Section<'_>) -> Option<(SpaceliftQueueSettings, SecretSource)> {
    let url = s.required_url("your account's address", "https://ACCOUNT.app.spacelift.io", base_url);
    let api_key_id = s.required_text("api_key_id", "the API key's id", "01HXAMPLE0KEY0ID0000000000");
    s.checked(api_key_id.as_deref().map_or(Ok(()), check_key_id));
    let secret = s.required_secret("api_key_secret", "the API key's secret");
    let worker_pool = s.required_text("worker_pool", "the worker pool's id", "01HXAMPLE0P001D00000000000");
    s.checked(worker_pool.as_deref().map_or(Ok(()), check_worker_pool));
    Some((SpaceliftQueueSettings { url: url?, api_key_id: api_key_id?, worker_pool: worker_pool? }, secret?))
}

/// Variables as a list of `NAME=value`.
fn env(s: &Section<'_>) -> BTreeMap<String, String> {
    let lines = s.texts("env").unwrap_or_default();
    // What stands there may hold a secret.
    if lines.iter().any(|line| !line.contains('=')) {
        s.hidden(
            "env",
            "has an entry that is not NAME=value",
            "write for example env = [\"SPACELIFT_LAUNCHER_RUN_TIMEOUT=30m\"]",
        );
    }
    lines.iter().filter_map(|line| line.split_once('=')).map(|(name, value)| (name.into(), value.into())).collect()
}
