//! The state that every part of the shell shares, behind one lock, and the clock.

mod instances;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use tokio::sync::{Notify, broadcast, mpsc, watch};

use crate::{
    aws::commands::Commands,
    aws::functions::Functions,
    aws::keys::Keys,
    aws::logs::Logs,
    aws::metadata::Metadata,
    aws::model::Cloud,
    aws::objects::Objects,
    aws::secrets::Secrets,
    azure::{identity::Tokens, ingestion::Ingestion, model::Azure, vault::Vault},
    ci::{
        Ci,
        jobs::{Cause, JobEvent, JobEventKind, JobLoss, JobOutcome},
        webhook::WebhookDelivery,
    },
    effect::Effect,
    faults::{Fault, FaultEffect, Faults},
    fleet::{AgentReport, Counters, FleetEvent, Forgotten, Source},
    machine::{Machine, Machines},
    time::Timestamp,
    timeline::Timeline,
};

/// Of so many machines that have ended the agent's last report is kept.
const REPORTS_KEPT: usize = 100;

/// What the tasks of one [`LocalCloud`](crate::LocalCloud) share.
pub(crate) struct Shared {
    pub url: String,
    pub region: String,
    pub account: String,
    pub machines: Arc<dyn Machines>,
    pub events: broadcast::Sender<FleetEvent>,
    /// How far the end has come.
    pub run_state: watch::Sender<RunState>,
    /// Told whenever the state may have changed, so that the driver looks at its timers again.
    pub changed: Notify,
    state: Mutex<FleetState>,
    launches: mpsc::UnboundedSender<Launch>,
    deliveries: mpsc::UnboundedSender<WebhookDelivery>,
    clock: Clock,
}

/// What the tasks of the shell are fed with.
pub(crate) struct Inboxes {
    pub launches: mpsc::UnboundedReceiver<Launch>,
    pub deliveries: mpsc::UnboundedReceiver<WebhookDelivery>,
}

/// How far the end has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum RunState {
    /// The fleet lives.
    Running,
    /// Machines are being powered off, and none is launched.
    Closing,
    /// No machine runs.
    Off,
}

/// A machine that the driver is to power on. They come in the order of events.
#[derive(Debug)]
pub(crate) struct Launch {
    pub id: String,
    pub stop: watch::Receiver<bool>,
    /// Told once for each reboot.
    pub reboot: Arc<Notify>,
}

/// Everything that changes.
pub(crate) struct FleetState {
    pub cloud: Cloud,
    pub azure: Azure,
    pub tokens: Tokens,
    pub vault: Vault,
    pub ingestion: Ingestion,
    pub ci: Ci,
    pub secrets: Secrets,
    pub commands: Commands,
    pub logs: Logs,
    pub functions: Functions,
    pub keys: Keys,
    pub objects: Objects,
    pub faults: Faults,
    pub counters: Counters,
    pub timeline: Timeline,
    pub hosts: BTreeMap<String, Host>,
    /// Those whose last report is kept, oldest first.
    pub reported: VecDeque<String>,
    /// How many that have ended are remembered.
    pub ended_kept: usize,
    /// What is left of the others.
    pub forgotten: Forgotten,
}

/// What the shell knows about an instance, beside the cloud's own model.
pub(crate) struct Host {
    /// What its runner goes by at the CI platform.
    pub machine_id: String,
    pub metadata: Metadata,
    /// Set once it was powered on, until its end.
    pub machine: Option<Arc<dyn Machine>>,
    /// The last word of its agent, after its end.
    pub last_report: Option<AgentReport>,
    stop: watch::Sender<bool>,
    reboot: Arc<Notify>,
}

impl Shared {
    pub(crate) fn new(
        url: String,
        region: String,
        account: String,
        machines: Arc<dyn Machines>,
        state: FleetState,
    ) -> (Arc<Self>, Inboxes) {
        let (launches, launch_inbox) = mpsc::unbounded_channel();
        let (deliveries, delivery_inbox) = mpsc::unbounded_channel();
        let shared = Self {
            url,
            region,
            account,
            machines,
            events: broadcast::channel(4096).0,
            run_state: watch::channel(RunState::Running).0,
            changed: Notify::new(),
            state: Mutex::new(state),
            launches,
            deliveries,
            clock: Clock::start(),
        };
        (Arc::new(shared), Inboxes { launches: launch_inbox, deliveries: delivery_inbox })
    }

    /// Does something to the world, now, and passes on everything that follows from it before anybody else gets a turn.
    pub(crate) fn update<T>(&self, action: impl FnOnce(&mut FleetState, Timestamp) -> T) -> T {
        let mut state = self.lock();
        let now = self.clock.now();
        let result = action(&mut state, now);
        self.dispatch(&mut state, now);
        drop(state);
        self.changed.notify_one();
        result
    }

    /// Looks at the world without changing it.
    pub(crate) fn read<T>(&self, read: impl FnOnce(&FleetState, Timestamp) -> T) -> T {
        let state = self.lock();
        read(&state, self.clock.now())
    }

    /// Adds a line to the timeline.
    pub(crate) fn record(&self, source: Source, instance: Option<&str>, what: impl Into<String>) {
        self.update(|state, now| state.record(source, instance, None, what.into(), now));
    }

    /// Runs what is due and says how long until something is due again.
    pub(crate) fn advance(&self) -> Option<Duration> {
        let mut state = self.lock();
        let now = self.clock.now();
        state.cloud.advance(now);
        state.azure.advance(now);
        state.ci.advance(now);
        self.dispatch(&mut state, now);
        let timers = [state.cloud.next_timer(), state.azure.next_timer(), state.ci.next_timer()];
        timers.into_iter().flatten().min().map(|at| at.since(now))
    }

    /// Ends every machine that is left and launches no more.
    pub(crate) fn close(&self) {
        self.run_state.send_if_modified(|run_state| {
            let up = *run_state == RunState::Running;
            *run_state = (*run_state).max(RunState::Closing);
            up
        });
        self.lock().hosts.values().for_each(Host::stop);
    }

    fn lock(&self) -> MutexGuard<'_, FleetState> {
        // A panic in one request must not take the whole cloud down.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn dispatch(&self, state: &mut FleetState, now: Timestamp) {
        let mut injected = state.cloud.take_injected();
        injected.failed_launches += state.azure.take_failed_creations();
        state.faults.count(injected);
        while let Some(effect) = state.cloud.poll_effect().or_else(|| state.azure.poll_effect()) {
            match effect {
                Effect::Launch { id } => {
                    let (stop, stopped) = watch::channel(*self.run_state.borrow() != RunState::Running);
                    let reboot = Arc::<Notify>::default();
                    let machine_id = state.ci.machine_id(&id);
                    let metadata = Metadata::new(&id);
                    state.hosts.insert(
                        id.clone(),
                        Host {
                            machine_id,
                            metadata,
                            machine: None,
                            last_report: None,
                            stop,
                            reboot: Arc::clone(&reboot),
                        },
                    );
                    // The driver is gone only after everything ended.
                    let _ = self.launches.send(Launch { id, stop: stopped, reboot });
                }
                Effect::Discard { id } => self.machines.discard(&id),
                Effect::PowerOff { id } => {
                    if let Some(host) = state.hosts.get(&id) {
                        host.stop();
                    }
                }
                Effect::Reboot { id } => {
                    if let Some(host) = state.hosts.get(&id) {
                        host.reboot.notify_one();
                    }
                }
                Effect::HopLimit { id, limit } => {
                    if let Some(machine) = state.hosts.get(&id).and_then(|host| host.machine.as_ref()) {
                        machine.set_hop_limit(limit);
                    }
                }
                Effect::Happened(it) => state.timeline.push(FleetEvent {
                    seq: 0,
                    at_ms: it.at.0,
                    source: Source::Cloud,
                    group: it.group,
                    instance: it.instance,
                    job: None,
                    what: it.what,
                }),
            }
        }
        while let Some(job_event) = state.ci.poll_event() {
            if let Some(delivery) = state.ci.webhook_delivery(&job_event, now) {
                // The poster is gone only after everything ended.
                let _ = self.deliveries.send(delivery);
            }
            state.record_job_event(&job_event, now);
        }
        state.forget_ended();
        for event in state.timeline.take_new() {
            tracing::debug!(seq = event.seq, instance = event.instance, job = event.job, what = event.what, "happened");
            // Nobody has to listen.
            let _ = self.events.send(event);
        }
    }
}

impl FleetState {
    /// Puts a fault in force.
    ///
    /// # Errors
    /// What does not make sense about it.
    pub(crate) fn add_fault(&mut self, fault: Fault, now: Timestamp) -> Result<(), String> {
        let what = format!("fault: {}", serde_json::json!(fault));
        self.faults.add(fault.clone())?;
        if let FaultEffect::StaleDescribes { ms } = fault.effect {
            self.cloud.stale_describes(Duration::from_millis(ms));
        } else if let FaultEffect::LaunchFailures { message } = fault.effect {
            self.azure.fail_creations(Some(message.clone()));
            self.cloud.fail_launches(Some(message));
        }
        self.record(Source::Control, None, None, what, now);
        Ok(())
    }

    /// Adds a line to the timeline.
    pub(crate) fn record(
        &mut self,
        source: Source,
        instance: Option<&str>,
        job: Option<u64>,
        what: String,
        now: Timestamp,
    ) {
        let group = instance.and_then(|id| self.group_of(id));
        let instance = instance.map(str::to_owned);
        self.timeline.push(FleetEvent { seq: 0, at_ms: now.0, source, group, instance, job, what });
    }

    /// Adds a line about a group to the timeline.
    pub(crate) fn record_for_group(&mut self, group: &str, what: String, now: Timestamp) {
        let group = Some(group.to_owned());
        let (source, instance, job) = (Source::Control, None, None);
        self.timeline.push(FleetEvent { seq: 0, at_ms: now.0, source, group, instance, job, what });
    }

    /// The machine of this instance is gone, with every job on it. Nobody told the platform: those are lost, whatever
    /// notice there was.
    pub(crate) fn machine_gone(&mut self, id: &str, now: Timestamp) {
        let noticed = self.has_spot_notice(Some(id));
        let Some(host) = self.hosts.get(id) else { return };
        for job in self.ci.machine_gone(&[id, &host.machine_id], now) {
            let what = if noticed {
                "lost with its machine: there was a spot notice, and the platform was not told"
            } else {
                "lost with its machine"
            };
            self.record(Source::Ci, Some(id), Some(job), what.to_owned(), now);
        }
    }

    /// Nothing of an instance's machine runs any more: lets go of what that held. The last reports of the last ones stay.
    pub(crate) fn machine_ended(&mut self, id: &str, last_report: Option<AgentReport>) {
        let Some(host) = self.hosts.get_mut(id) else { return };
        host.machine = None;
        host.metadata = Metadata::new(id);
        host.last_report = last_report;
        self.reported.push_back(id.to_owned());
        while self.reported.len() > REPORTS_KEPT {
            let oldest = self.reported.pop_front().unwrap_or_default();
            if let Some(host) = self.hosts.get_mut(&oldest).filter(|host| host.machine.is_none()) {
                host.last_report = None;
            }
        }
    }

    /// The instance whose runner goes by this at the platform, or whose id it is.
    pub(crate) fn instance_of(&self, machine: &str) -> Option<&str> {
        let known = self.hosts.iter().find(|(id, host)| *id == machine || host.machine_id == machine);
        known.map(|(id, _)| id.as_str())
    }

    fn has_spot_notice(&self, instance: Option<&str>) -> bool {
        let noticed = |id: &str| {
            let spot = self.cloud.instance(id).is_some_and(|instance| instance.spot_notice.is_some());
            spot || self.azure.machine(id).is_some_and(|machine| machine.evicted_at.is_some())
        };
        instance.is_some_and(noticed)
    }

    fn record_job_event(&mut self, job_event: &JobEvent, now: Timestamp) {
        let instance = job_event.machine.as_deref().and_then(|machine| self.instance_of(machine)).map(str::to_owned);
        let what = match &job_event.kind {
            JobEventKind::Queued => "queued".to_owned(),
            JobEventKind::Picked => "picked by a runner".to_owned(),
            JobEventKind::Ended(JobOutcome::Success) => "succeeded".to_owned(),
            JobEventKind::Ended(JobOutcome::Canceled(Cause::Job)) => "cancelled".to_owned(),
            JobEventKind::Ended(JobOutcome::Canceled(Cause::Runner | Cause::Machine)) => {
                "cut off by its runner".to_owned()
            }
            JobEventKind::Ended(JobOutcome::Failed { reason, .. }) => format!("failed: {reason}"),
        };
        let loss = match &job_event.kind {
            JobEventKind::Ended(JobOutcome::Failed { cause, .. } | JobOutcome::Canceled(cause)) => match cause {
                Cause::Job => None,
                Cause::Runner if self.has_spot_notice(instance.as_deref()) => Some(JobLoss::Interrupted),
                Cause::Runner | Cause::Machine => Some(JobLoss::Lost),
            },
            JobEventKind::Queued | JobEventKind::Picked | JobEventKind::Ended(JobOutcome::Success) => None,
        };
        if let Some(loss) = loss {
            self.ci.set_loss(job_event.job, loss, now);
        }
        self.record(Source::Ci, instance.as_deref(), Some(job_event.job), what, job_event.at);
    }
}

impl Host {
    fn stop(&self) {
        self.stop.send_replace(true);
    }
}

/// Wall-clock time that never goes back and does not jump: the time at the start, and what passed since.
struct Clock {
    epoch: Duration,
    start: Instant,
}

impl Clock {
    fn start() -> Self {
        let epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self { epoch, start: Instant::now() }
    }

    fn now(&self) -> Timestamp {
        let now = self.epoch + self.start.elapsed();
        Timestamp(i64::try_from(now.as_millis()).unwrap_or(i64::MAX))
    }
}
