//! Carries out the core's requests, each with a time-out, and answers each exactly once.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use lightsout_io::{aws::Aws, http::Driver, secrets};
use tokio::sync::mpsc;

use crate::{
    cloud::Cloud,
    docker::Engine,
    journal::{Entry, Journal},
    probe::Prober,
    process::Process,
    run::Input,
    runner::Runner,
};
use lightsout_core::{
    activity::Activity,
    agent::{
        action::{Action, Request},
        event::{Event, Outcome},
        phase::Saved,
    },
    exchange::{ErrorKind, ExchangeError},
    platform::{DrainBy, Drained, HostContext, Probe, RunnerPlatform as Platform, Signal, UndrainBy},
    settings::AgentSettings,
};

/// How long each kind of request to the platform may take.
const REGISTER: Duration = Duration::from_secs(60);
const DRAIN: Duration = Duration::from_secs(15);
const DEREGISTER: Duration = Duration::from_secs(10);
/// How long a runner may take to fail its jobs before it is killed.
const ABORT: Duration = Duration::from_secs(10);
/// How long the disk may take for the journal: well within systemd's patience with the agent.
const DISK: Duration = Duration::from_secs(5);
/// How often a refused token is fetched anew, at most.
const ROTATION: Duration = Duration::from_secs(60);
/// How long a runner without a job may take to exit before it is killed.
const QUICK: Duration = Duration::from_secs(3);

/// Why protection is not given up.
const NO_HOOK: &str = "agent.protection = \"while-busy\" needs a termination hook on the group, and there is none: add one, or write \"always\"";

/// Everything that requests need.
pub struct Work {
    pub settings: AgentSettings,
    pub me: Mutex<HostContext>,
    pub aws: Aws,
    pub cloud: Cloud,
    pub runner: Arc<Runner>,
    pub engine: Option<Arc<Engine>>,
    pub driver: Arc<Driver>,
    /// Held while it is written, so that entries reach the disk in the order in which they were asked for.
    pub journal: tokio::sync::Mutex<Journal>,
    pub entry: Mutex<Entry>,
    pub inputs: mpsc::Sender<Input>,
    /// Made at first use, and again after the platform refused the token: it may have been rotated.
    pub platform: Mutex<Option<Arc<dyn Platform>>>,
    pub prober: Mutex<Option<Arc<Prober>>>,
    /// When the platform's token was last dropped because it was refused.
    pub dropped: Mutex<Option<Instant>>,
    /// The process whose exit will be told to the core.
    pub watched: Arc<Mutex<Option<u32>>>,
    /// Requests that touch the runner go one after the other.
    pub lane: mpsc::UnboundedSender<Action>,
}

impl Work {
    /// Takes a request on. Never waits.
    pub fn perform(self: &Arc<Self>, action: Action) {
        match action.request {
            Request::Register | Request::Drain | Request::Undrain | Request::Deregister => {
                // The lane lives as long as the program.
                let _ = self.lane.send(action);
            }
            Request::Save(_)
            | Request::Abort
            | Request::Probe
            | Request::Describe
            | Request::Room
            | Request::Protect(_)
            | Request::Heartbeat
            | Request::CompleteHook
            | Request::End(_) => {
                let work = Arc::clone(self);
                tokio::spawn(async move { work.answer(action).await });
            }
        }
    }

    /// Carries out what touches the runner, in order, for ever.
    pub async fn run_lane(self: Arc<Self>, mut lane: mpsc::UnboundedReceiver<Action>) {
        while let Some(action) = lane.recv().await {
            self.answer(action).await;
        }
    }

    async fn answer(self: &Arc<Self>, action: Action) {
        let outcome = self.outcome(action.request).await;
        match &outcome {
            Outcome::Alone(why) => tracing::warn!(why, "no runner is left here, but the platform cannot confirm it"),
            Outcome::Denied(why) => tracing::error!(request = ?action.request, why, "refused"),
            Outcome::Failed(why) => tracing::warn!(request = ?action.request, why, "failed; it will be tried again"),
            other => tracing::debug!(request = ?action.request, outcome = ?other, "done"),
        }
        if matches!(outcome, Outcome::Denied(_) | Outcome::Failed(_)) {
            // The SDK keeps a metadata session token until its time is up, even when the metadata service refuses it.
            self.aws.forget().await;
            self.cloud.forget().await;
        }
        let registered = outcome == Outcome::Registered;
        let _ = self.inputs.send(Input::Event(Event::Completed { id: action.id, outcome })).await;
        if registered && let Some(process) = self.runner.alive() {
            self.watch_exit(process);
        } else if registered {
            let _ = self.inputs.send(Input::Event(Event::RunnerExited)).await;
        }
    }

    /// Tells the core when this runner has exited.
    pub fn watch_exit(&self, process: Process) {
        if let Ok(mut watched) = self.watched.lock()
            && watched.replace(process.pid()) == Some(process.pid())
        {
            return;
        }
        let (inputs, watched) = (self.inputs.clone(), Arc::clone(&self.watched));
        tokio::spawn(async move {
            process.exited().await;
            tracing::info!(pid = process.pid(), "the runner has exited");
            // From here on its number may mean another process, whose exit must be told as well.
            if let Ok(mut watched) = watched.lock() {
                watched.take_if(|pid| *pid == process.pid());
            }
            let _ = inputs.send(Input::Event(Event::RunnerExited)).await;
        });
    }

    async fn outcome(self: &Arc<Self>, request: Request) -> Outcome {
        match request {
            Request::Save(saved) => self.save(saved).await,
            Request::Register => self.register().await,
            Request::Drain => self.drain().await,
            Request::Undrain => self.undrain().await,
            Request::Abort => self.abort().await,
            Request::Deregister => self.deregister().await,
            Request::Probe => Outcome::Snapshot(self.snapshot().await),
            Request::Describe => self.cloud.describe().await,
            Request::Room => self.cloud.room().await,
            Request::Protect(false) => self.unprotect().await,
            Request::Protect(true) => self.cloud.protect(true).await,
            Request::Heartbeat => self.cloud.heartbeat().await,
            Request::CompleteHook => self.cloud.complete_hook().await,
            Request::End(rung) => self.cloud.end(rung).await,
        }
    }

    /// One snapshot of all probes.
    pub async fn snapshot(&self) -> Activity {
        let prober = match self.prober().await {
            Ok(prober) => prober,
            Err(error) => return Activity::Unknown(error.to_string()),
        };
        let activity = prober.snapshot().await;
        if prober.refused() {
            self.forget_platform();
        }
        activity
    }

    async fn prober(&self) -> Result<Arc<Prober>, ExchangeError> {
        if let Some(prober) = self.prober.lock().ok().and_then(|held| held.clone()) {
            return Ok(prober);
        }
        let platform = self.platform().await?;
        let (runner, driver) = (Arc::clone(&self.runner), Arc::clone(&self.driver));
        let prober = Arc::new(Prober::new(self.engine.clone(), runner, driver, platform.probes(&self.me())));
        if let Ok(mut held) = self.prober.lock() {
            *held = Some(Arc::clone(&prober));
        }
        Ok(prober)
    }

    /// The platform's probes, once its token is there.
    pub async fn probes(&self) -> Option<Vec<Probe>> {
        Some(self.platform().await.ok()?.probes(&self.me()))
    }

    /// Writes the journal.
    pub async fn save(&self, saved: Saved) -> Outcome {
        self.write_journal(|entry| entry.saved = saved).await
    }

    /// Changes the entry and writes it, entries in the order in which they were asked for.
    async fn write_journal(&self, change: impl FnOnce(&mut Entry)) -> Outcome {
        let journal = self.journal.lock().await;
        let entry = {
            let mut entry = self.entry.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            change(&mut entry);
            entry.clone()
        };
        let file = journal.clone();
        let writing = tokio::task::spawn_blocking(move || file.write(&entry));
        match tokio::time::timeout(DISK, writing).await {
            Ok(Ok(Ok(()))) => Outcome::Done,
            Ok(Ok(Err(error))) => Outcome::Failed(format!("cannot write the journal: {error}")),
            Ok(Err(error)) => Outcome::Failed(format!("cannot write the journal: {error}")),
            Err(_) => Outcome::Failed(format!("the disk did not take the journal within {DISK:?}")),
        }
    }

    async fn register(&self) -> Outcome {
        match self.runner.find() {
            // One that was told to go is not adopted: it takes no more jobs, and must be gone before the next one starts.
            Ok(Some(process)) if self.runner.told() => {
                return Outcome::Failed(format!("the old runner (pid {}) is still finishing its jobs", process.pid()));
            }
            Ok(Some(process)) => {
                tracing::info!(pid = process.pid(), "the runner runs already; adopting it");
                return Outcome::Registered;
            }
            Ok(None) => {}
            Err(error) => return Outcome::Failed(format!("whether a runner runs is not known: {error}")),
        }
        if let Some(refusal) = self.unprotected_without_hook().await {
            return refusal;
        }
        let platform = match self.platform().await {
            Ok(platform) => platform,
            Err(error) => return self.failed(&error),
        };
        if !self.ever_registered() {
            let saved = self.write_journal(|entry| entry.registered = true).await;
            if saved != Outcome::Done {
                return saved;
            }
        }
        let me = self.me();
        let mut talk = platform.register(&me);
        let launch = match self.driver.complete(talk.as_mut(), REGISTER).await {
            Ok(launch) => launch,
            Err(error) => {
                return self.failed(&error);
            }
        };
        match self.runner.start(&launch, stop_signal(platform.as_ref())).await {
            Ok(process) => {
                tracing::info!(
                    pid = process.pid(),
                    platform = platform.platform(),
                    "the runner is registered and runs"
                );
                Outcome::Registered
            }
            Err(error) => Outcome::Failed(error),
        }
    }

    /// Gives up protection, if a hook would let the instance finish what slips in. Asked afresh each time: it may have been removed.
    async fn unprotect(&self) -> Outcome {
        self.cloud.forget_hook().await;
        match self.cloud.heartbeat_pause().await {
            Ok(Some(_)) => self.cloud.protect(false).await,
            Ok(None) => Outcome::Denied(NO_HOOK.into()),
            Err(error) => Outcome::Failed(error.to_string()),
        }
    }

    /// Giving up protection while idle is safe only when a hook lets the instance finish what slipped in.
    async fn unprotected_without_hook(&self) -> Option<Outcome> {
        use lightsout_core::agent::policy::Protection;
        if self.settings.policy.protection == Protection::Always {
            return None;
        }
        match self.cloud.heartbeat_pause().await {
            Ok(Some(_)) => None,
            Ok(None) => Some(Outcome::Denied(NO_HOOK.into())),
            Err(error) => Some(Outcome::Failed(error.to_string())),
        }
    }

    async fn drain(&self) -> Outcome {
        let platform = match self.platform().await {
            Ok(platform) => platform,
            Err(error) if !self.no_runner() => return self.failed(&error),
            // Nothing was ever registered, so the platform knows nothing of this instance.
            Err(_) if !self.ever_registered() => return Outcome::Drained(Drained::Empty),
            Err(error) => return Outcome::Alone(error.to_string()),
        };
        match platform.drain_rules().drain {
            DrainBy::Signal(signal) => match self.runner.tell(signal) {
                Ok(Some(process)) => {
                    // One that started late is news to the core, which will wait for its exit.
                    if self.watched.lock().is_ok_and(|watched| *watched != Some(process.pid())) {
                        let _ = self.inputs.send(Input::Event(Event::RunnerFound)).await;
                        self.watch_exit(process);
                    }
                    Outcome::Signalled
                }
                Ok(None) => Outcome::Drained(Drained::Empty),
                Err(error) => Outcome::Failed(format!("the runner cannot be signalled: {error}")),
            },
            DrainBy::Call if self.no_runner() && !self.ever_registered() => Outcome::Drained(Drained::Empty),
            DrainBy::Call => match self.driver.complete(platform.drain_call(&self.me()).as_mut(), DRAIN).await {
                Ok(drained) => {
                    let let_go = matches!(drained, Drained::Empty | Drained::StillBusy);
                    if let_go && platform.drain_rules().undrain == UndrainBy::Relaunch {
                        self.runner.note_told();
                    }
                    Outcome::Drained(drained)
                }
                Err(error) if self.no_runner() => {
                    self.failed(&error);
                    Outcome::Alone(error.to_string())
                }
                Err(error) => self.failed(&error),
            },
        }
    }

    async fn undrain(&self) -> Outcome {
        let platform = match self.platform().await {
            Ok(platform) => platform,
            Err(error) => return self.failed(&error),
        };
        match platform.drain_rules().undrain {
            // The runner was never told: it serves as before.
            UndrainBy::Relaunch if self.runner.alive().is_some() && !self.runner.told() => Outcome::Done,
            UndrainBy::Relaunch => {
                // A runner that the platform has let go (GitHub's registration is deleted) was never signalled and does not exit by itself. Idle, it is
                // ended; else its exit is waited for.
                if platform.drain_rules().drain == DrainBy::Call && self.snapshot().await == Activity::Quiet {
                    self.runner.end(platform.drain_rules().abort, ABORT).await;
                }
                Outcome::Relaunch
            }
            UndrainBy::Call => match self.driver.complete(platform.undrain_call(&self.me()).as_mut(), DRAIN).await {
                Ok(()) => Outcome::Done,
                Err(error) => self.failed(&error),
            },
        }
    }

    async fn abort(&self) -> Outcome {
        // A spot deadline does not wait for a token.
        let platform = tokio::time::timeout(QUICK, self.platform()).await;
        let mut signal = Signal::Term;
        if let Ok(Ok(platform)) = platform {
            signal = platform.drain_rules().abort;
            // To some runners the same signal means "finish" at first and "cancel" only when it comes again.
            if let DrainBy::Signal(first) = platform.drain_rules().drain
                && first == signal
                && !self.runner.told()
                && let Ok(Some(_)) = self.runner.tell(first)
            {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
        tracing::warn!(?signal, "ending the runner and whatever it runs");
        self.runner.end(signal, ABORT).await;
        Outcome::Done
    }

    async fn deregister(&self) -> Outcome {
        let platform = match self.platform().await {
            Ok(platform) => platform,
            Err(error) => return self.failed(&error),
        };
        // Proven empty, so this ends no job; a runner that lives on would register itself again.
        self.runner.end(stop_signal(platform.as_ref()), QUICK).await;
        let mut talk = platform.deregister(&self.me());
        match self.driver.complete(talk.as_mut(), DEREGISTER).await {
            Ok(()) => Outcome::Done,
            Err(error) => self.failed(&error),
        }
    }

    async fn platform(&self) -> Result<Arc<dyn Platform>, ExchangeError> {
        if let Some(platform) = self.held_platform() {
            return Ok(platform);
        }
        let source = &self.settings.platform;
        let mut found = Vec::new();
        for secret in source.secrets() {
            found.push(secrets::resolve(secret, &self.aws).await.map_err(|error| {
                let kind = if error.transient { ErrorKind::Unreachable } else { ErrorKind::Unauthorized };
                ExchangeError::new(kind, error.to_string())
            })?);
        }
        let platform: Arc<dyn Platform> = Arc::from(source.open(found));
        if let Ok(mut held) = self.platform.lock() {
            *held = Some(Arc::clone(&platform));
        }
        Ok(platform)
    }

    fn held_platform(&self) -> Option<Arc<dyn Platform>> {
        self.platform.lock().ok()?.clone()
    }

    /// Drops the token and what was made with it, so that a rotated one is fetched; once a minute at most.
    fn forget_platform(&self) {
        if let Ok(mut dropped) = self.dropped.lock()
            && dropped.is_none_or(|at| at.elapsed() >= ROTATION)
        {
            *dropped = Some(Instant::now());
            if let (Ok(mut platform), Ok(mut prober)) = (self.platform.lock(), self.prober.lock()) {
                tracing::info!("the platform refuses the token; it is fetched anew");
                (*platform, *prober) = (None, None);
            }
        }
    }

    fn failed(&self, error: &ExchangeError) -> Outcome {
        if error.kind == ErrorKind::Unauthorized {
            self.forget_platform();
        }
        failed(error)
    }

    fn me(&self) -> HostContext {
        self.me.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    fn ever_registered(&self) -> bool {
        self.entry.lock().is_ok_and(|entry| entry.registered)
    }

    fn no_runner(&self) -> bool {
        matches!(self.runner.find(), Ok(None))
    }
}

fn stop_signal(platform: &dyn Platform) -> Signal {
    let rules = platform.drain_rules();
    match rules.drain {
        DrainBy::Signal(signal) => signal,
        DrainBy::Call => rules.abort,
    }
}

fn failed(error: &ExchangeError) -> Outcome {
    if error.is_transient() { Outcome::Failed(error.to_string()) } else { Outcome::Denied(error.to_string()) }
}
