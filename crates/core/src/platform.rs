//! CI platforms as codecs: each turns questions into requests and replies into answers, and does no I/O.
//!
//! The scaler asks a [`Queue`] how much work there is. The agent asks a [`RunnerPlatform`] how to register, launch,
//! watch, drain and deregister the runner on its instance.

mod answer;
pub mod buildkite;
mod cached_probe;
pub mod circleci;
pub mod command;
mod config;
pub mod github;
pub mod gitlab;
mod job_filter;
pub mod job_pid_file;
mod needs;
mod none;
mod paged_queue;
mod probe;
pub mod spacelift;
pub mod stackguardian;
mod steps;
pub(crate) mod tokens;
mod version;
mod waits;
pub mod webhook;

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use jiff::Timestamp;
use secrecy::SecretString;

use self::webhook::Webhook;
use crate::{
    exchange::{Call, EffectId, EffectResult, ErrorKind, Exchange, ExchangeError, ExchangeStep, Text},
    settings::{Key, Section, Variable},
};
pub(crate) use answer::status_in;
pub use config::{Config, QueueConfig, QueueSettings, RunnerConfig, RunnerSettings, Secrets};
pub use job_filter::{JobFilter, Jobs};
pub use needs::{RunnerNeeds, RunnerVersion};
pub(crate) use none::NoPlatform;
pub use probe::{JobProcesses, JobSigns, Probe, Selection, child};
pub(crate) use version::says_too_old;
pub use version::{KnownVersions, RegisterFor, Versions};
pub use waits::{MOST as MOST_WAITS, Waits};

/// Every platform that settings can name.
pub const KINDS: &[&Kind] = &[
    &buildkite::KIND,
    &circleci::KIND,
    &command::KIND,
    &github::KIND,
    &gitlab::KIND,
    &spacelift::KIND,
    &stackguardian::KIND,
];

/// A CI platform: all that the rest of lightsout knows of it before its settings are read.
pub struct Kind {
    /// The name in settings and logs.
    pub name: &'static str,
    /// The name that its vendor gives it.
    pub title: &'static str,
    /// Its keys in the settings of the scaler and of the agent.
    pub keys: &'static [Key],
    /// The variables of another scaler for it, and what they mean here.
    pub variables: &'static [Variable],
    /// Its webhooks, if any say that a job waits.
    pub webhook: Option<&'static Webhook>,
    /// Reads the scaler's settings; `None` after a problem was noted.
    pub(crate) queue: fn(Section<'_>) -> Option<Arc<dyn QueueConfig>>,
    /// Reads the agent's settings; `None` after a problem was noted. The flag: each instance serves one job and leaves.
    pub(crate) runner: fn(Section<'_>, bool) -> Option<Arc<dyn RunnerConfig>>,
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// How much work a pool has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Demand {
    /// Jobs that wait for a runner of this pool, now.
    pub queued: u32,
    /// Jobs that run on this pool; `None` when the platform cannot tell.
    pub running: Option<u32>,
    /// How long the platform wishes us to wait before the next question.
    pub poll_after: Option<Duration>,
}

/// What came of asking how much work a pool has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// What was counted: all of it, or, when something is missing, a lower bound. Raising to a lower bound is always
    /// right for a scaler that cannot lower.
    pub demand: Demand,
    /// What was not read, why, and what to do about it; `None` when all was read.
    pub missing: Option<ExchangeError>,
}

impl From<Demand> for Reading {
    fn from(demand: Demand) -> Self {
        Self { demand, missing: None }
    }
}

/// The scaler's side of a platform. `start` begins a new reading; entity tags and tokens live on between readings.
///
/// A reading of which nothing succeeded is an error. One that failed in part is a [`Reading`] that says what is missing:
/// what could not be read is never counted as zero, and what could be is never dropped.
pub trait Queue: Exchange<Output = Reading> + fmt::Debug {
    /// The platform's name in settings and logs.
    fn platform(&self) -> &'static str;

    /// How long jobs waited, as the last whole reading told by the platform's own time stamps, once. `None`: it does not tell.
    /// `now` is for a platform whose answers do not say when they were made.
    fn waits(&mut self, now: Timestamp) -> Option<Waits> {
        let _ = now;
        None
    }

    /// From now on a reading changes nothing at the platform that outlasts it. What it leaves out for that, in a few words; `None`: nothing, it only
    /// looks in any case.
    fn only_look(&mut self) -> Option<&'static str> {
        None
    }

    /// Goes on with another secret where the platform holds something for this queue, which a queue that is opened anew would find in its way.
    /// False: it holds nothing and may as well be opened anew.
    ///
    /// # Errors
    /// When the secret cannot be one of this platform; the queue is as it was.
    fn take_secret(&mut self, _secret: &SecretString) -> Result<bool, ExchangeError> {
        Ok(false)
    }

    /// What gives back that which no other scaler can have meanwhile, when no reading follows for now. Unless that is
    /// done it runs out by itself.
    fn release(&mut self) -> Option<Call<()>> {
        None
    }

    /// What makes the next reading cheaper, as text for [`recall`](Self::recall) of a later queue with the same settings: the pages that it need
    /// not read again. No secret. `None`: there is nothing.
    fn memory(&self) -> Option<String> {
        None
    }

    /// Takes over what an earlier queue remembered. What cannot be read counts as nothing.
    fn recall(&mut self, _memory: &str) {}
}

/// Who the agent is, for the platform.
#[derive(Clone, Debug)]
pub struct HostContext {
    /// The cloud's id of this instance.
    pub instance_id: String,
    /// The group that the instance belongs to, when known.
    pub group: Option<String>,
    /// Where the runner's files go; only the agent and the runner may read it.
    pub runner_dir: PathBuf,
    /// Jobs that the runner may take at once; at least 1.
    pub slots: u32,
    /// Where the runner serves its metrics, as `host:port`, when it can.
    pub metrics: Option<String>,
}

impl HostContext {
    /// The same for a program of the operator's, as variables.
    pub fn variables(&self) -> Vec<(String, Text)> {
        [
            ("LIGHTSOUT_INSTANCE_ID", self.instance_id.clone()),
            ("LIGHTSOUT_GROUP", self.group.clone().unwrap_or_default()),
            ("LIGHTSOUT_RUNNER_DIR", self.runner_dir.to_string_lossy().into_owned()),
            ("LIGHTSOUT_SLOTS", self.slots.to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), Text::Plain(value)))
        .into()
    }
}

/// A file to write before the runner starts.
#[derive(Clone, Debug)]
pub struct File {
    /// The path, below [`HostContext::runner_dir`] unless the platform demands another.
    pub path: PathBuf,
    pub contents: Text,
    /// The permission bits, such as `0o600`.
    pub mode: u32,
}

/// How to start the runner: one long-lived process.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// Variables added to those that every runner gets.
    pub env: Vec<(String, Text)>,
    /// Files that must be there first.
    pub files: Vec<File>,
    /// What may fail with the runner that is installed, for an operator.
    pub doubts: Vec<String>,
}

/// The signals that runners understand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Signal {
    /// `SIGTERM`
    Term,
    /// `SIGINT`
    Int,
    /// `SIGQUIT`
    Quit,
    /// `SIGHUP`: many programs read their configuration again.
    Hup,
}

/// How a runner is made to ask for no more jobs, and to go on with what it has asked for.
#[derive(Clone, Debug)]
pub struct Quiesce {
    /// Files that are replaced first.
    pub files: Vec<File>,
    /// What it is signalled then.
    pub signal: Signal,
}

/// A runner's requests for jobs, as it counts them itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Requests {
    /// Those that are on their way.
    pub in_flight: u32,
    /// How often it has read its configuration since it started.
    pub reloads: u32,
}

/// What the platform answered to "send no more jobs".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Drained {
    /// Proof: no job runs and none can come any more.
    Empty,
    /// No more jobs will come, but some still run here.
    StillBusy,
    /// Refused because a job runs; more may come.
    Refused,
}

/// How a platform's runner is made to take no more jobs and to stop. It follows from the settings; a platform that has lost sight of its runner may fall
/// back from a call to a signal (`PlatformAnswer::BySignal`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DrainRules {
    /// How it takes no more jobs.
    pub drain: DrainBy,
    /// How it takes jobs again.
    pub undrain: UndrainBy,
    /// The signal that makes it fail its jobs at once and visibly, for a spot deadline.
    pub abort: Signal,
    /// Whether the signal that drains it cancels a request for a job that is on its way, and with it the job that the platform hands out:
    /// then it is quiesced first ([`RunnerConfig::quiesce`]).
    pub quiesce: bool,
}

/// How a runner is made to take no more jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DrainBy {
    /// By a signal to its main process. It takes no more jobs, ends those that it has, and exits: the exit is the
    /// proof.
    Signal(Signal),
    /// By [`RunnerPlatform::drain_call`].
    Call,
}

/// How a drain is taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UndrainBy {
    /// The runner exits, and is registered and launched anew. After [`DrainBy::Call`] no signal makes it exit by
    /// itself: once the platform has let it go (any answer but [`Drained::Refused`]) and every probe is quiet, the
    /// shell ends it with [`DrainRules::abort`]; while a job is seen it waits for the exit. A runner that was not let
    /// go goes on as it is.
    Relaunch,
    /// By [`RunnerPlatform::undrain_call`].
    Call,
}

/// The agent's side of a platform.
pub trait RunnerPlatform: Send + Sync {
    /// The platform's name in settings and logs.
    fn platform(&self) -> &'static str;

    /// How the version of the runner is found, and for which versions [`Self::registration`] writes settings. Asks nobody.
    fn versions(&self) -> Versions;

    /// What must happen before a runner of a version starts, and how to start it. Repeating it is harmless.
    fn registration(&self, host: &HostContext) -> RegisterFor;

    /// Finds out which version of the runner is installed, and registers for it. Repeating it is harmless.
    fn register(&self, host: &HostContext) -> Call<Launch> {
        self.versions().register(self.registration(host))
    }

    /// How the runner is drained and stopped. Asks nobody. Mostly what the settings say; a platform that lost sight of
    /// its runner falls back to signals until the next [`Self::register`], so ask each time.
    fn drain_rules(&self) -> DrainRules;

    /// Tells the platform to send no more jobs, for [`DrainBy::Call`] only. Repeating it is harmless.
    fn drain_call(&self, _: &HostContext) -> Call<Drained> {
        answer::failed(by_no_call("drain", self.platform()))
    }

    /// Takes a drain back at the platform, for [`UndrainBy::Call`] only. Repeating it is harmless.
    fn undrain_call(&self, _: &HostContext) -> Call<()> {
        answer::failed(by_no_call("undrain", self.platform()))
    }

    /// Removes this instance's registration, and only this one's. Already gone is success.
    fn deregister(&self, host: &HostContext) -> Call<()>;

    /// The probes to ask for a snapshot.
    fn probes(&self, host: &HostContext) -> Vec<Probe>;

    /// A question that changes nothing which the agent itself would not, and whose answer needs the secrets: what the answer says, in a
    /// sentence. `None`: the platform knows none.
    fn check(&self, _: &HostContext) -> Option<Call<String>> {
        None
    }
}

/// An exchange that asks nothing: its answer is known.
pub struct Ready<T>(pub T);

impl<T: Clone + Send> Exchange for Ready<T> {
    type Output = T;

    fn start(&mut self) -> ExchangeStep<T> {
        ExchangeStep::Done(Ok(self.0.clone()))
    }

    fn resume(&mut self, _: EffectId, _: EffectResult) -> ExchangeStep<T> {
        self.start()
    }
}

fn by_no_call(what: &str, platform: &str) -> ExchangeError {
    ExchangeError::new(ErrorKind::Refused, format!("{platform} has no call to {what} a runner; follow its drain rules"))
}
