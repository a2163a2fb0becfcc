//! A Spacelift launcher on the instance.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use secrecy::{ExposeSecret, SecretString};

use super::{
    NAME, PoolSecrets, SpaceliftQueueSettings, SpaceliftRunnerSettings,
    client::Client,
    pool::{Pool, Worker, drain_set, set_drain},
    settings::{BY_CALL, BY_SIGNAL, VERSIONS},
};
use crate::{
    activity::{Activity, JobId},
    exchange::{Call, ErrorKind, ExchangeError, Text},
    platform::{
        DrainRules, Drained, HostContext, Launch, Probe, Ready, RegisterFor, RunnerPlatform, Selection, Versions,
        answer::{self, refuse},
        cached_probe::{ProbeCache, cached_probe},
        steps::Transition,
    },
};

/// After how many drains in a row that did not find the worker the launcher is drained by a signal. The agent asks each
/// 15 s at the end, so a launcher that only reconnects, or a list that is late, is long back.
const MOST_MISSES: u32 = 60;

const NO_KEY: &str = "Spacelift: a drain call needs an API key; set api_key_id, api_key_secret, url and worker_pool";

/// Runs a Spacelift worker on the instance: see [`crate::platform::spacelift`].
#[derive(Clone, Debug)]
pub struct SpaceliftRunner {
    settings: SpaceliftRunnerSettings,
    secrets: PoolSecrets,
    client: Option<Client>,
    /// Drains in a row that did not find this instance's worker.
    misses: Arc<AtomicU32>,
    cache: ProbeCache,
}

impl SpaceliftRunner {
    /// A runner with these settings. `api` is the pool and the secret of an API key to it, for draining with proof;
    /// without it the launcher is drained by a signal.
    ///
    /// # Errors
    /// When a secret cannot be one of Spacelift.
    pub fn new(
        settings: SpaceliftRunnerSettings,
        secrets: PoolSecrets,
        api: Option<(SpaceliftQueueSettings, SecretString)>,
    ) -> Result<Self, ExchangeError> {
        secrets.check()?;
        let client = api.map(|(api, secret)| Client::new(api, secret)).transpose()?;
        Ok(Self { settings, secrets, client, misses: Arc::default(), cache: ProbeCache::default() })
    }

    fn launch(&self, host: &HostContext) -> Result<Launch, ExchangeError> {
        if host.slots != 1 {
            return refuse(format!(
                "slots is {}, but a Spacelift launcher takes one run at a time; set slots to 1 for the agent and for the pool",
                host.slots
            ));
        }
        let Some(instance) = known(&host.instance_id) else {
            // Metadata fails at times; a worker with such a name could never be found again.
            let message = "Spacelift: the instance's id is not known, so no worker is started; it is asked again";
            return Err(ExchangeError::new(ErrorKind::Unreachable, message));
        };
        let mut env: Vec<(String, Text)> =
            self.settings.env.iter().map(|(name, value)| (name.to_string(), Text::secret(value.clone()))).collect();
        env.push(("SPACELIFT_TOKEN".to_owned(), joined(self.secrets.token.expose_secret())));
        env.push(("SPACELIFT_POOL_PRIVATE_KEY".to_owned(), joined(self.secrets.private_key.expose_secret())));
        env.push(("SPACELIFT_METADATA_instance_id".to_owned(), instance.into()));
        if let Some(group) = host.group.as_deref().and_then(known) {
            env.push(("SPACELIFT_METADATA_asg_id".to_owned(), group.into()));
        }
        Ok(Launch { argv: vec![self.settings.program.to_string()], env, files: Vec::new(), doubts: Vec::new() })
    }

    /// Sets the drain of each of this instance's workers. `output` is told whether one is busy then.
    fn set_drain<T: 'static>(&self, host: &HostContext, on: bool, output: fn(bool) -> T) -> Call<T> {
        let Some(client) = &self.client else {
            return answer::failed(ExchangeError::new(ErrorKind::Refused, NO_KEY));
        };
        let pool = client.worker_pool().to_owned();
        let question = Pool::question(&pool);
        let (instance, misses, cache) = (host.instance_id.clone(), Arc::clone(&self.misses), self.cache.clone());
        client.call(
            move || Ok(Transition::Perform(question.clone(), None)),
            move |at: Option<Setting>, document| {
                cache.forget();
                let setting = match at {
                    None => {
                        let workers = Pool::read(document)?.own(&instance);
                        if workers.is_empty() {
                            misses.fetch_add(1, Ordering::Relaxed);
                            return Err(no_worker(&instance));
                        }
                        misses.store(0, Ordering::Relaxed);
                        Setting { left: workers.into_iter().map(|worker| worker.id).collect(), busy: false }
                    }
                    Some(mut setting) => {
                        if let Some(worker) = setting.left.pop() {
                            setting.busy |= drain_set(document, &worker, on)?;
                        }
                        setting
                    }
                };
                match setting.left.last() {
                    Some(worker) => Ok(Transition::Perform(set_drain(&pool, worker, on), Some(setting))),
                    None => Ok(Transition::Done(output(setting.busy))),
                }
            },
        )
    }
}

/// A drain of several workers under way.
struct Setting {
    /// Still to be set; the last one is being set.
    left: Vec<String>,
    /// Whether one that is set is busy.
    busy: bool,
}

impl RunnerPlatform for SpaceliftRunner {
    fn platform(&self) -> &'static str {
        NAME
    }

    fn versions(&self) -> Versions {
        VERSIONS
    }

    fn registration(&self, host: &HostContext) -> RegisterFor {
        let (runner, host) = (self.clone(), host.clone());
        Box::new(move |_| {
            runner.misses.store(0, Ordering::Relaxed);
            runner.cache.forget();
            match runner.launch(&host) {
                Ok(launch) => Box::new(Ready(launch)),
                Err(error) => answer::failed(error),
            }
        })
    }

    fn drain_rules(&self) -> DrainRules {
        let found = self.misses.load(Ordering::Relaxed) < MOST_MISSES;
        if found && self.client.is_some() { BY_CALL } else { BY_SIGNAL }
    }

    fn drain_call(&self, host: &HostContext) -> Call<Drained> {
        self.set_drain(host, true, |busy| if busy { Drained::StillBusy } else { Drained::Empty })
    }

    fn undrain_call(&self, host: &HostContext) -> Call<()> {
        self.set_drain(host, false, drop)
    }

    /// The launcher's exit removed the worker.
    fn deregister(&self, _: &HostContext) -> Call<()> {
        Box::new(Ready(()))
    }

    fn check(&self, _: &HostContext) -> Option<Call<String>> {
        let client = self.client.as_ref()?;
        let question = Pool::question(client.worker_pool());
        Some(client.call(
            move || Ok(Transition::Perform(question.clone(), ())),
            |(), document| {
                Pool::read(document).map(|_| Transition::Done("the API key can read the worker pool".to_owned()))
            },
        ))
    }

    fn probes(&self, host: &HostContext) -> Vec<Probe> {
        let mut probes = vec![Probe::Containers(Selection {
            labels: Vec::new(),
            except: self.settings.ignore_containers.iter().map(ToString::to_string).collect(),
            job_label: None,
        })];
        if let Some(client) = &self.client {
            let (question, instance) = (Pool::question(client.worker_pool()), host.instance_id.clone());
            let busy = client.call(
                move || Ok(Transition::Perform(question.clone(), ())),
                move |(), document| activity(&Pool::read(document)?.own(&instance), &instance).map(Transition::Done),
            );
            // Without the launcher there is no worker that could get a run.
            probes.push(Probe::Runner(cached_probe(busy, self.cache.clone())));
        }
        probes
    }
}

fn activity(workers: &[Worker], instance: &str) -> Result<Activity, ExchangeError> {
    if workers.is_empty() {
        return Err(no_worker(instance));
    }
    let busy = workers.iter().filter(|worker| worker.busy).map(|worker| JobId(format!("worker:{}", worker.id)));
    Ok(busy.map(|job| Activity::Busy([job].into())).fold(Activity::Quiet, Activity::and))
}

fn no_worker(instance: &str) -> ExchangeError {
    let message = format!(
        "Spacelift: no worker of the pool has the metadata instance_id {instance}: the launcher has not connected yet, or it works for another \
         pool than worker_pool names; check that token and worker_pool are of the same pool"
    );
    ExchangeError::new(ErrorKind::NoRunner, message)
}

/// What instance metadata really told: at times it answers with nothing or a word for nothing.
fn known(text: &str) -> Option<&str> {
    let text = text.trim();
    (!["", "null", "None"].contains(&text)).then_some(text)
}

/// Base64 text on one line.
fn joined(text: &str) -> Text {
    Text::secret(text.split_ascii_whitespace().collect::<String>())
}
