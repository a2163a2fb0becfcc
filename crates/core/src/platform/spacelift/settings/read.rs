//! Spacelift's keys in the settings, read into what its codecs need.

use std::{collections::BTreeMap, sync::Arc};

use secrecy::SecretString;

use super::{SpaceliftQueueSettings, SpaceliftRunnerSettings};
use crate::{
    platform::{
        DrainRules, Queue, QueueConfig, RunnerConfig, RunnerPlatform,
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
        &self.settings.url
    }

    fn secret(&self) -> Option<&SecretSource> {
        Some(&self.api_key_secret)
    }

    fn open(&self, secret: Option<SecretString>) -> Box<dyn Queue> {
        let api_key_secret = secret.unwrap_or_default();
        Box::new(SpaceliftQueue::new(SpaceliftQueueSettings { api_key_secret, ..self.settings.clone() }))
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
    /// Where the API key's secret is, when the settings name an API key.
    pub api_key_secret: Option<SecretSource>,
}

impl RunnerConfig for SpaceliftRunnerConfig {
    fn platform(&self) -> &'static str {
        NAME
    }

    fn drain_rules(&self) -> DrainRules {
        self.settings.drain_rules()
    }

    fn secrets(&self) -> Vec<&SecretSource> {
        [&self.token, &self.private_key].into_iter().chain(&self.api_key_secret).collect()
    }

    fn open(&self, secrets: Vec<SecretString>) -> Box<dyn RunnerPlatform> {
        let mut secrets = secrets.into_iter();
        let mut next = || secrets.next().unwrap_or_default();
        let (token, private_key) = (next(), next());
        let api = self.settings.api.clone().map(|api| SpaceliftQueueSettings { api_key_secret: next(), ..api });
        Box::new(SpaceliftRunner::new(SpaceliftRunnerSettings { token, private_key, api, ..self.settings.clone() }))
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
    let env = env(&s);
    let mut settings = SpaceliftRunnerSettings {
        token: SecretString::default(),
        private_key: SecretString::default(),
        program: s.text("program").unwrap_or_else(|| "spacelift-launcher".to_owned()),
        env,
        ignore_containers: s.texts("ignore_containers").unwrap_or_default(),
        api: None,
    };
    // Everything right but the key at hand.
    let right = SpaceliftRunnerSettings {
        token: "x".into(),
        private_key: "x".into(),
        env: BTreeMap::new(),
        ignore_containers: Vec::new(),
        ..settings.clone()
    };
    s.checked("env", SpaceliftRunnerSettings { env: settings.env.clone(), ..right.clone() }.check());
    let ignore_containers = settings.ignore_containers.clone();
    s.checked("ignore_containers", SpaceliftRunnerSettings { ignore_containers, ..right }.check());
    let with_key = API.iter().any(|key| s.has(key));
    let api = if with_key { api(&s) } else { None };
    s.finish();
    let api_key_secret = match api {
        Some((api, secret)) => {
            settings.api = Some(api);
            Some(secret)
        }
        None if with_key => return None,
        None => None,
    };
    Some(Arc::new(SpaceliftRunnerConfig { settings, token: token?, private_key: private_key?, api_key_secret }))
}

fn api(s: &Section<'_>) -> Option<(SpaceliftQueueSettings, SecretSource)> {
    let right = SpaceliftQueueSettings {
        url: "https://x.app.spacelift.io".to_owned(),
        api_key_id: "x".to_owned(),
        api_key_secret: "x".into(),
        worker_pool: "0".repeat(26),
    };
    let url = s.required_text("url", "your account's address", "https://ACCOUNT.app.spacelift.io");
    match &url {
        Some(url) if url.contains('@') => {
            s.refuse_user_info();
        }
        Some(url) => s.checked("url", SpaceliftQueueSettings { url: url.clone(), ..right.clone() }.check()),
        None => {}
    }
    let api_key_id = s.required_text("api_key_id", "the API key's id", "01HXAMPLE0KEY0ID0000000000");
    if let Some(api_key_id) = api_key_id.clone() {
        s.checked("api_key_id", SpaceliftQueueSettings { api_key_id, ..right.clone() }.check());
    }
    let secret = s.required_secret("api_key_secret", "the API key's secret");
    let worker_pool = s.required_text("worker_pool", "the worker pool's id", "01HXAMPLE0P001D00000000000");
    if let Some(worker_pool) = worker_pool.clone() {
        s.checked("worker_pool", SpaceliftQueueSettings { worker_pool, ..right }.check());
    }
    let settings = SpaceliftQueueSettings {
        url: url?.trim_end_matches('/').to_owned(),
        api_key_id: api_key_id?,
        api_key_secret: SecretString::default(),
        worker_pool: worker_pool?,
    };
    Some((settings, secret?))
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
