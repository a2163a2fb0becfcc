//! The state that every part of the shell shares, behind one lock, and the clock.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use tokio::sync::{Notify, broadcast, mpsc, watch};

use crate::{
    aws::metadata::Metadata,
    aws::model::{Cloud, Effect, Stamp},
    aws::secrets::Secrets,
    ci::jobs::{Blame, End, Fate, News, What},
    ci::{self, Ci, Hook},
    faults::Faults,
    fleet::{Counters, FleetEvent, Source},
    machine::{Machine, Machines},
    timeline::Timeline,
};

/// What the tasks of one [`LocalCloud`](crate::LocalCloud) share.
pub(crate) struct Shared {
    pub url: String,
    pub region: String,
    pub account: String,
    pub machines: Arc<dyn Machines>,
    pub events: broadcast::Sender<FleetEvent>,
    /// How far the end has come.
    pub stage: watch::Sender<Stage>,
    /// Told whenever the state may have changed, so that the driver looks at its timers again.
    pub changed: Notify,
    world: Mutex<World>,
    orders: mpsc::UnboundedSender<Order>,
    hooks: mpsc::UnboundedSender<Hook>,
    clock: Clock,
}

/// What the tasks of the shell are fed with.
pub(crate) struct Inboxes {
    pub orders: mpsc::UnboundedReceiver<Order>,
    pub hooks: mpsc::UnboundedReceiver<Hook>,
}

/// How far the end has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// The fleet lives.
    Up,
    /// Machines are being powered off, and none is launched.
    Closing,
    /// No machine runs.
    Dark,
}

/// What the driver is told to do. The order of orders is the order of events.
#[derive(Debug)]
pub(crate) enum Order {
    Launch { id: String, stop: watch::Receiver<bool> },
}

/// Everything that changes.
pub(crate) struct World {
    pub cloud: Cloud,
    pub ci: Ci,
    pub secrets: Secrets,
    pub faults: Faults,
    pub counters: Counters,
    pub timeline: Timeline,
    pub guests: BTreeMap<String, Guest>,
}

/// What the shell knows about an instance, beside the cloud's own model.
pub(crate) struct Guest {
    pub system_id: String,
    pub metadata: Metadata,
    /// Set once it was powered on, and kept after its end.
    pub machine: Option<Arc<dyn Machine>>,
    stop: watch::Sender<bool>,
}

impl Shared {
    pub fn new(
        url: String,
        region: String,
        account: String,
        machines: Arc<dyn Machines>,
        world: World,
    ) -> (Arc<Self>, Inboxes) {
        let (orders, order_inbox) = mpsc::unbounded_channel();
        let (hooks, hook_inbox) = mpsc::unbounded_channel();
        let shared = Self {
            url,
            region,
            account,
            machines,
            events: broadcast::channel(4096).0,
            stage: watch::channel(Stage::Up).0,
            changed: Notify::new(),
            world: Mutex::new(world),
            orders,
            hooks,
            clock: Clock::start(),
        };
        (Arc::new(shared), Inboxes { orders: order_inbox, hooks: hook_inbox })
    }

    /// Does something to the world, now, and passes on everything that follows from it before anybody else gets a turn.
    pub fn act<T>(&self, action: impl FnOnce(&mut World, Stamp) -> T) -> T {
        let mut world = self.lock();
        let now = self.clock.now();
        let result = action(&mut world, now);
        self.settle(&mut world, now);
        drop(world);
        self.changed.notify_one();
        result
    }

    /// Looks at the world without changing it.
    pub fn look<T>(&self, look: impl FnOnce(&World, Stamp) -> T) -> T {
        let world = self.lock();
        look(&world, self.clock.now())
    }

    /// Adds a line to the timeline.
    pub fn say(&self, source: Source, instance: Option<&str>, what: impl Into<String>) {
        self.act(|world, now| world.say(source, instance, None, what.into(), now));
    }

    /// Runs what is due and says how long until something is due again.
    pub fn advance(&self) -> Option<Duration> {
        let mut world = self.lock();
        let now = self.clock.now();
        world.cloud.advance(now);
        world.ci.advance(now);
        self.settle(&mut world, now);
        let next = world.cloud.next_timer().into_iter().chain(world.ci.next_timer()).min();
        next.map(|at| at.since(now))
    }

    /// Ends every machine that is left and launches no more.
    pub fn close(&self) {
        self.stage.send_if_modified(|stage| {
            let up = *stage == Stage::Up;
            *stage = (*stage).max(Stage::Closing);
            up
        });
        self.lock().guests.values().for_each(Guest::stop);
    }

    fn lock(&self) -> MutexGuard<'_, World> {
        // A panic in one request must not take the whole cloud down.
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn settle(&self, world: &mut World, now: Stamp) {
        while let Some(effect) = world.cloud.poll_effect() {
            match effect {
                Effect::Launch { id } => {
                    let (stop, stopped) = watch::channel(*self.stage.borrow() != Stage::Up);
                    let system_id = ci::system_id(&id);
                    let metadata = Metadata::new(&id);
                    world.guests.insert(id.clone(), Guest { system_id, metadata, machine: None, stop });
                    // The driver is gone only after everything ended.
                    let _ = self.orders.send(Order::Launch { id, stop: stopped });
                }
                Effect::PowerOff { id } => {
                    if let Some(guest) = world.guests.get(&id) {
                        guest.stop();
                    }
                }
                Effect::Happened(it) => world.timeline.push(FleetEvent {
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
        while let Some(news) = world.ci.poll_news() {
            if let Some(hook) = world.ci.hook(&news, now) {
                // The poster is gone only after everything ended.
                let _ = self.hooks.send(hook);
            }
            world.learn(&news, now);
        }
        for event in world.timeline.take_new() {
            tracing::debug!(seq = event.seq, instance = event.instance, job = event.job, what = event.what, "happened");
            // Nobody has to listen.
            let _ = self.events.send(event);
        }
    }
}

impl World {
    /// Adds a line to the timeline.
    pub fn say(&mut self, source: Source, instance: Option<&str>, job: Option<u64>, what: String, now: Stamp) {
        let group = instance.and_then(|id| self.cloud.instance(id)).and_then(|instance| instance.group.clone());
        let instance = instance.map(str::to_owned);
        self.timeline.push(FleetEvent { seq: 0, at_ms: now.0, source, group, instance, job, what });
    }

    /// Adds a line about a group to the timeline.
    pub fn say_of_group(&mut self, group: &str, what: String, now: Stamp) {
        let group = Some(group.to_owned());
        let (source, instance, job) = (Source::Control, None, None);
        self.timeline.push(FleetEvent { seq: 0, at_ms: now.0, source, group, instance, job, what });
    }

    /// The machine of this instance is gone, with every job on it.
    pub fn machine_gone(&mut self, id: &str, now: Stamp) {
        let fate = self.fate(Some(id));
        let Some(guest) = self.guests.get(id) else { return };
        for job in self.ci.machine_gone(&[id, &guest.system_id], fate, now) {
            let what = match fate {
                Fate::Lost => "lost with its machine",
                Fate::Interrupted => "interrupted: its machine is gone after a spot notice",
            };
            self.say(Source::Ci, Some(id), Some(job), what.to_owned(), now);
        }
    }

    /// The instance whose runner goes by this: its id, or GitLab's `system_id`.
    pub fn instance_of(&self, machine: &str) -> Option<&str> {
        let known = self.guests.iter().find(|(id, guest)| *id == machine || guest.system_id == machine);
        known.map(|(id, _)| id.as_str())
    }

    fn fate(&self, instance: Option<&str>) -> Fate {
        let notice = instance.and_then(|id| self.cloud.instance(id)).and_then(|instance| instance.spot_notice);
        if notice.is_some() { Fate::Interrupted } else { Fate::Lost }
    }

    fn learn(&mut self, news: &News, now: Stamp) {
        let instance = news.machine.as_deref().and_then(|machine| self.instance_of(machine)).map(str::to_owned);
        let what = match &news.what {
            What::Queued => "queued".to_owned(),
            What::Picked => "picked by a runner".to_owned(),
            What::Ended(End::Success) => "succeeded".to_owned(),
            What::Ended(End::Canceled(Blame::Job)) => "cancelled".to_owned(),
            What::Ended(End::Canceled(Blame::Machine)) => "cut off by its runner".to_owned(),
            What::Ended(End::Failed { reason, .. }) => format!("failed: {reason}"),
        };
        if let What::Ended(end) = &news.what
            && end.by_machine()
        {
            self.ci.set_fate(news.job, self.fate(instance.as_deref()), now);
        }
        self.say(Source::Ci, instance.as_deref(), Some(news.job), what, news.at);
    }
}

impl Guest {
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

    fn now(&self) -> Stamp {
        let now = self.epoch + self.start.elapsed();
        Stamp(i64::try_from(now.as_millis()).unwrap_or(i64::MAX))
    }
}
