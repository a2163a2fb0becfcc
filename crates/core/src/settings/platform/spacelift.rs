use std::collections::BTreeMap;

use secrecy::SecretString;

use super::{
    QueueConfig, RunnerConfig, SecretSource, Section, checked, refuse_user_info, required_secret, required_text, token,
};
use crate::platform::spacelift::{SpaceliftQueueSettings, SpaceliftRunnerSettings};

/// The keys that name the pool and the API key to it.
const API: [&str; 4] = ["url", "api_key_id", "api_key_secret", "worker_pool"];

pub(super) fn queue(mut s: Section<'_>) -> Option<QueueConfig> {
    let api = api(&mut s);
    s.finish();
    let (settings, api_key_secret) = api?;
    Some(QueueConfig::Spacelift { settings, api_key_secret })
}

pub(super) fn runner(mut s: Section<'_>) -> Option<RunnerConfig> {
    let token = token(&mut s, "the worker pool's token (SPACELIFT_TOKEN)");
    let private_key =
        required_secret(&mut s, "private_key", "the worker pool's private key in base64 (SPACELIFT_POOL_PRIVATE_KEY)");
    let env = env(&mut s);
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
    checked(&s, "env", SpaceliftRunnerSettings { env: settings.env.clone(), ..right.clone() }.check());
    let ignore_containers = settings.ignore_containers.clone();
    checked(&s, "ignore_containers", SpaceliftRunnerSettings { ignore_containers, ..right }.check());
    let with_key = API.iter().any(|key| s.has(key));
    let api = if with_key { api(&mut s) } else { None };
    for key in API {
        s.know(key);
    }
    s.finish();
    let api_key_secret = match api {
        Some((api, secret)) => {
            settings.api = Some(api);
            Some(secret)
        }
        None if with_key => return None,
        None => None,
    };
    Some(RunnerConfig::Spacelift { settings, token: token?, private_key: private_key?, api_key_secret })
}

fn api(s: &mut Section<'_>) -> Option<(SpaceliftQueueSettings, SecretSource)> {
    let right = SpaceliftQueueSettings {
        url: "https://x.app.spacelift.io".to_owned(),
        api_key_id: "x".to_owned(),
        api_key_secret: "x".into(),
        worker_pool: "0".repeat(26),
    };
    let url = required_text(s, "url", "your account's address", "https://ACCOUNT.app.spacelift.io");
    match &url {
        Some(url) if url.contains('@') => {
            refuse_user_info(s);
        }
        Some(url) => checked(s, "url", SpaceliftQueueSettings { url: url.clone(), ..right.clone() }.check()),
        None => {}
    }
    let api_key_id = required_text(s, "api_key_id", "the API key's id", "01HXAMPLE0KEY0ID0000000000");
    if let Some(api_key_id) = api_key_id.clone() {
        checked(s, "api_key_id", SpaceliftQueueSettings { api_key_id, ..right.clone() }.check());
    }
    let secret = required_secret(s, "api_key_secret", "the API key's secret");
    let worker_pool = required_text(s, "worker_pool", "the worker pool's id", "01HXAMPLE0P001D00000000000");
    if let Some(worker_pool) = worker_pool.clone() {
        checked(s, "worker_pool", SpaceliftQueueSettings { worker_pool, ..right }.check());
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
fn env(s: &mut Section<'_>) -> BTreeMap<String, String> {
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
