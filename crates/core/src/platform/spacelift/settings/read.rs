//! Spacelift's keys in the settings, read into what its codecs need.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    BY_CALL, BY_SIGNAL, PoolSecrets, SpaceliftQueueSettings, SpaceliftRunnerSettings, VERSIONS, VariableName, base_url,
};
use crate::{
    exchange::ExchangeError,
    platform::{
        Config, DrainRules, JobFilter, Jobs, Queue, QueueConfig, QueueSettings, RunnerConfig, RunnerNeeds,
        RunnerPlatform, RunnerSettings, Secrets, Versions,
        spacelift::{NAME, SpaceliftQueue, SpaceliftRunner},
    },
    settings::{NonBlank, SecretSource, Section},
};

impl QueueSettings for SpaceliftQueueSettings {
    const PLATFORM: &'static str = NAME;

    fn address(&self) -> &str {
        self.url.as_str()
    }

    fn job_filter(&self) -> Option<JobFilter> {
        Some(JobFilter { sources: vec![self.worker_pool.to_string()], jobs: Jobs::All })
    }

    fn open(&self, mut secrets: Secrets) -> Result<Box<dyn Queue>, ExchangeError> {
        Ok(Box::new(SpaceliftQueue::new(self.clone(), secrets.required()?)?))
    }
}

/// The launcher's, and the pool and the id of an API key to it, for draining with proof.
impl RunnerSettings for (SpaceliftRunnerSettings, Option<SpaceliftQueueSettings>) {
    const PLATFORM: &'static str = NAME;

    fn drain_rules(&self) -> DrainRules {
        if self.1.is_some() { BY_CALL } else { BY_SIGNAL }
    }

    fn needs(&self) -> RunnerNeeds {
        RunnerNeeds {
            program: Some(self.0.program.to_string()),
            address: self.1.as_ref().map(|api| api.url.as_str().to_owned()),
            ..RunnerNeeds::default()
        }
    }

    fn versions(&self) -> Versions {
        VERSIONS
    }

    fn uses_engine(&self) -> bool {
        true
    }

    fn needs_metadata(&self) -> Option<&'static str> {
        Some("it watches for spot notices itself")
    }

    fn open(&self, mut secrets: Secrets) -> Result<Box<dyn RunnerPlatform>, ExchangeError> {
        let (settings, api) = self.clone();
        let pool = PoolSecrets { token: secrets.required()?, private_key: secrets.required()? };
        Ok(Box::new(SpaceliftRunner::new(settings, pool, api.zip(secrets.optional()))?))
    }
}

/// The keys that name the pool and the API key to it.
const API: [&str; 4] = ["url", "api_key_id", "api_key_secret", "worker_pool"];

pub(crate) fn queue(s: Section<'_>) -> Option<Arc<dyn QueueConfig>> {
    let api = api(&s);
    s.finish();
    let (settings, secret) = api?;
    Some(Arc::new(Config { settings, secrets: vec![secret] }))
}

pub(crate) fn runner(s: Section<'_>, _: bool) -> Option<Arc<dyn RunnerConfig>> {
    let token = s.required_secret("token", "the worker pool's token (SPACELIFT_TOKEN)");
    let private_key =
        s.required_secret("private_key", "the worker pool's private key in base64 (SPACELIFT_POOL_PRIVATE_KEY)");
    let program = s.non_blank("program").unwrap_or_else(|| NonBlank::of("spacelift-launcher"));
    let env = env(&s);
    let ignore_containers = s.parsed_list("ignore_containers").unwrap_or_default();
    let with_key = API.iter().any(|key| s.has(key));
    let api = if with_key { api(&s) } else { None };
    s.finish();
    if with_key && api.is_none() {
        return None;
    }
    let (api, secret) = api.unzip();
    let settings = (SpaceliftRunnerSettings { program, env, ignore_containers }, api);
    Some(Arc::new(Config { settings, secrets: [token?, private_key?].into_iter().chain(secret).collect() }))
}

fn api(s: &Section<'_>) -> Option<(SpaceliftQueueSettings, SecretSource)> {
    let url = s.required_url("your account's address", "https://ACCOUNT.app.spacelift.io", base_url);
    let api_key_id = s.required("api_key_id", "the API key's id", "01HXAMPLE0KEY0ID0000000000");
    let secret = s.required_secret("api_key_secret", "the API key's secret");
    let worker_pool = s.required("worker_pool", "the worker pool's id", "01HXAMPLE0P001D00000000000");
    Some((SpaceliftQueueSettings { url: url?, api_key_id: api_key_id?, worker_pool: worker_pool? }, secret?))
}

/// Variables as a list of `NAME=value`.
fn env(s: &Section<'_>) -> BTreeMap<VariableName, String> {
    let lines = s.texts("env").unwrap_or_default();
    // What stands there may hold a secret.
    if lines.iter().any(|line| !line.contains('=')) {
        s.hidden(
            "env",
            "has an entry that is not NAME=value",
            "write for example env = [\"SPACELIFT_LAUNCHER_RUN_TIMEOUT=30m\"]",
        );
    }
    let variable = |(name, value): (&str, &str)| Some((s.valid("env", name.parse())?, value.to_owned()));
    lines.iter().filter_map(|line| line.split_once('=')).filter_map(variable).collect()
}
