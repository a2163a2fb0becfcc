//! A platform's settings as they were read: all but the secrets, and where these are.

use std::{any::Any, fmt, vec};

use secrecy::SecretString;

use super::{DrainRules, HostContext, JobFilter, Queue, Quiesce, Requests, RunnerNeeds, RunnerPlatform, Versions};
use crate::{
    exchange::{Call, ErrorKind, ExchangeError},
    settings::SecretSource,
};

/// A pool's queue as the settings name it, its secret not yet resolved.
pub trait QueueConfig: Any + fmt::Debug + Send + Sync {
    /// The platform's name in settings and logs.
    fn platform(&self) -> &'static str;

    /// What answers: pools with the same address share its speed and its limits.
    fn address(&self) -> &str;

    /// Which jobs it counts; `None` when the settings do not tell.
    fn job_filter(&self) -> Option<JobFilter>;

    /// Where the secret is that [`Self::open`] needs.
    fn secret(&self) -> Option<&SecretSource>;

    /// The queue, with the secret that [`Self::secret`] names.
    ///
    /// # Errors
    /// When the secret is not given, or cannot be one of this platform.
    fn open(&self, secret: Option<SecretString>) -> Result<Box<dyn Queue>, ExchangeError>;
}

/// A runner as the settings name it, its secrets not yet resolved.
pub trait RunnerConfig: Any + fmt::Debug + Send + Sync {
    /// The platform's name in settings and logs.
    fn platform(&self) -> &'static str;

    /// How the runner is drained and stopped.
    fn drain_rules(&self) -> DrainRules;

    /// Whether the runner needs the container engine for its jobs.
    fn uses_engine(&self) -> bool;

    /// What the runner's own process, and none of its jobs, needs the instance's metadata service for; `None`: nothing.
    fn needs_metadata(&self) -> Option<&'static str>;

    /// What the runner needs of the machine.
    fn needs(&self) -> RunnerNeeds;

    /// How the runner is quiesced, where [`DrainRules::quiesce`] says that it must be.
    fn quiesce(&self, host: &HostContext) -> Option<Quiesce>;

    /// Counts the runner's requests for jobs, where it counts them.
    fn requests(&self, host: &HostContext) -> Option<Call<Requests>>;

    /// Where the secrets are that [`Self::open`] needs.
    fn secrets(&self) -> Vec<&SecretSource>;

    /// The runner, with the secrets that [`Self::secrets`] names, in its order.
    ///
    /// # Errors
    /// When a secret is not given, or cannot be one of this platform.
    fn open(&self, secrets: Vec<SecretString>) -> Result<Box<dyn RunnerPlatform>, ExchangeError>;
}

/// What a platform's codec of the queue needs to know, but for the secret.
pub trait QueueSettings: fmt::Debug + Send + Sync + 'static {
    /// The platform's name in settings and logs.
    const PLATFORM: &'static str;

    /// As [`QueueConfig::address`].
    fn address(&self) -> &str;

    /// As [`QueueConfig::job_filter`].
    fn job_filter(&self) -> Option<JobFilter>;

    /// The queue.
    ///
    /// # Errors
    /// When a secret is not given, or cannot be one of this platform.
    fn open(&self, secrets: Secrets) -> Result<Box<dyn Queue>, ExchangeError>;
}

/// What a platform's codec of the runner needs to know, but for the secrets.
pub trait RunnerSettings: fmt::Debug + Send + Sync + 'static {
    /// The platform's name in settings and logs.
    const PLATFORM: &'static str;

    /// As [`RunnerConfig::drain_rules`].
    fn drain_rules(&self) -> DrainRules;

    /// As [`RunnerConfig::uses_engine`].
    fn uses_engine(&self) -> bool {
        false
    }

    /// As [`RunnerConfig::needs_metadata`].
    fn needs_metadata(&self) -> Option<&'static str> {
        None
    }

    /// As [`RunnerConfig::needs`], without the version.
    fn needs(&self) -> RunnerNeeds;

    /// As [`RunnerPlatform::versions`].
    fn versions(&self) -> Versions;

    /// As [`RunnerConfig::quiesce`].
    fn quiesce(&self, _: &HostContext) -> Option<Quiesce> {
        None
    }

    /// As [`RunnerConfig::requests`].
    fn requests(&self, _: &HostContext) -> Option<Call<Requests>> {
        None
    }

    /// The runner.
    ///
    /// # Errors
    /// When a secret is not given, or cannot be one of this platform.
    fn open(&self, secrets: Secrets) -> Result<Box<dyn RunnerPlatform>, ExchangeError>;
}

/// A platform's settings, and where the secrets are that go with them.
#[derive(Clone, Debug)]
pub struct Config<S> {
    /// Everything but the secrets.
    pub settings: S,
    /// Where the secrets are, in the order in which they are opened; at most one for a queue.
    pub secrets: Vec<SecretSource>,
}

impl<S: QueueSettings> QueueConfig for Config<S> {
    fn platform(&self) -> &'static str {
        S::PLATFORM
    }

    fn address(&self) -> &str {
        self.settings.address()
    }

    fn job_filter(&self) -> Option<JobFilter> {
        self.settings.job_filter()
    }

    fn secret(&self) -> Option<&SecretSource> {
        self.secrets.first()
    }

    fn open(&self, secret: Option<SecretString>) -> Result<Box<dyn Queue>, ExchangeError> {
        self.settings.open(Secrets::of(&self.secrets, secret.into_iter().collect())?)
    }
}

impl<S: RunnerSettings> RunnerConfig for Config<S> {
    fn platform(&self) -> &'static str {
        S::PLATFORM
    }

    fn drain_rules(&self) -> DrainRules {
        self.settings.drain_rules()
    }

    fn uses_engine(&self) -> bool {
        self.settings.uses_engine()
    }

    fn needs_metadata(&self) -> Option<&'static str> {
        self.settings.needs_metadata()
    }

    fn needs(&self) -> RunnerNeeds {
        RunnerNeeds { version: Some(self.settings.versions().ask()), ..self.settings.needs() }
    }

    fn quiesce(&self, host: &HostContext) -> Option<Quiesce> {
        self.settings.quiesce(host)
    }

    fn requests(&self, host: &HostContext) -> Option<Call<Requests>> {
        self.settings.requests(host)
    }

    fn secrets(&self) -> Vec<&SecretSource> {
        self.secrets.iter().collect()
    }

    fn open(&self, secrets: Vec<SecretString>) -> Result<Box<dyn RunnerPlatform>, ExchangeError> {
        self.settings.open(Secrets::of(&self.secrets, secrets)?)
    }
}

/// The secrets that the settings name, resolved, in their order.
#[derive(Debug)]
pub struct Secrets(vec::IntoIter<SecretString>);

impl Secrets {
    /// A shell that has resolved fewer than the settings name must not go on without.
    fn of(named: &[SecretSource], resolved: Vec<SecretString>) -> Result<Self, ExchangeError> {
        if resolved.len() < named.len() { Err(too_few()) } else { Ok(Self(resolved.into_iter())) }
    }

    /// The next one, which is needed.
    ///
    /// # Errors
    /// When there is none.
    pub fn required(&mut self) -> Result<SecretString, ExchangeError> {
        self.optional().ok_or_else(too_few)
    }

    /// The next one, when the settings name one more.
    pub fn optional(&mut self) -> Option<SecretString> {
        self.0.next()
    }
}

fn too_few() -> ExchangeError {
    let message = "fewer secrets were resolved than the settings name; each of them is needed";
    ExchangeError::new(ErrorKind::Unauthorized, message)
}
