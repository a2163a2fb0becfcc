//! The world: events in their order, the queue, the group and its instances, and the time that each spends in each state.

mod accounts;
mod group;
mod hours;
mod lightsout;
mod peers;

use std::{
    cmp::Reverse,
    collections::{BTreeSet, BinaryHeap, VecDeque},
    time::Duration,
};

use lightsout_core::{
    agent::host::{EffectId, HostResult},
    invariants::Violation,
    scaling::Schedule,
    time::Tick,
};

use self::{accounts::Accounts, group::Group, hours::Hours, lightsout::Scaler, peers::Rules};
use crate::{
    outcome::{Outcome, Turn, Waits},
    random::Random,
    setup::{Fleet, Setup},
    trace::{Job, Trace},
    world::accounts::Instance,
};

/// How long before the end the cloud announces that it takes a spot instance.
const NOTICE: Duration = Duration::from_secs(120);
/// How long the fleet is looked at once the last job has ended.
const AFTERGLOW: Duration = Duration::from_secs(3_600);
/// How long after the last arrival jobs may still wait.
const PATIENCE: Duration = Duration::from_secs(7 * 86_400);
/// An hour, in the unit of everything else here.
const HOUR_MS: f64 = 3_600_000.0;

/// What each series of random numbers is for.
const CHANCE: u64 = 1;
const BOOTS: u64 = 2;
const LOSSES: u64 = 3;

/// Plays a trace to a fleet.
pub fn simulate(trace: &Trace, setup: &Setup, fleet: &Fleet) -> Outcome {
    World::new(trace, setup, fleet).run()
}

/// An instance, by the order of the launches.
type Id = u32;
/// A job, by the order of the arrivals.
type JobIndex = u32;

#[derive(Debug, PartialEq, Eq)]
enum Happening {
    /// The next job of the trace comes.
    Arrival(JobIndex),
    /// The scaler's clock.
    Tick,
    /// The scaler looks out of turn, because a job came.
    Hint,
    /// Instance in service: its group says so.
    InService(Id),
    /// Its boot is over.
    Booted(Id),
    /// A job has run its time.
    Finish(Id, JobIndex),
    /// Something of its agent is due.
    Wake(Id),
    /// The probes are looked at.
    Sample(Id),
    /// An effect is over.
    Answer(Id, EffectId, HostResult),
    /// The metadata show that the group ends it.
    Target(Id),
    /// The cloud says that it will take it.
    Notice(Id),
    /// The cloud takes it.
    Taken(Id),
    /// A peer's instance has been idle since then for as long as it may.
    IdleOut(Id, Tick),
    /// A peer ends its jobs before the cloud takes it.
    CutDue(Id),
    /// A peer's queue of launches comes to its next one.
    LaunchDue(JobIndex),
}

/// What is due, the earliest first, and of the same moment in the order in which it was scheduled.
#[derive(Debug, PartialEq, Eq)]
struct Due {
    at: Tick,
    number: u64,
    happening: Happening,
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

enum Driver {
    Lightsout(Box<Scaler>),
    Peer(Box<Rules>),
}

struct World<'a> {
    setup: &'a Setup,
    slots: u32,
    jobs: &'a [Job],
    now: Tick,
    due: BinaryHeap<Reverse<Due>>,
    scheduled: u64,
    driver: Driver,
    hours: Hours,
    waiting: VecDeque<JobIndex>,
    arrived: usize,
    running: u32,
    group: Group,
    instances: Vec<Instance>,
    /// Those that have not ended.
    alive: BTreeSet<Id>,
    /// Those that take a job now, in no order.
    free: Vec<Id>,
    chance: Random,
    accounts: Accounts,
    violation: Option<Violation>,
}

impl<'a> World<'a> {
    fn new(trace: &'a Trace, setup: &'a Setup, fleet: &Fleet) -> Self {
        let driver = match fleet {
            Fleet::Lightsout(ours) => Driver::Lightsout(Box::new(Scaler::new(ours.clone()))),
            Fleet::Peer(peer) => Driver::Peer(Box::new(Rules::new(*peer))),
        };
        let schedule = match fleet {
            Fleet::Lightsout(ours) => ours.schedule.clone(),
            Fleet::Peer(_) => Schedule::default(),
        };
        let jobs = trace.jobs();
        let mut world = Self {
            setup,
            slots: fleet.slots(),
            jobs: &jobs[..jobs.len().min(JobIndex::MAX as usize)],
            now: Tick::ZERO,
            due: BinaryHeap::new(),
            scheduled: 0,
            driver,
            hours: Hours::new(schedule, trace.begins()),
            waiting: VecDeque::new(),
            arrived: 0,
            running: 0,
            group: Group::new(setup),
            instances: Vec::new(),
            alive: BTreeSet::new(),
            free: Vec::new(),
            chance: Random::new(setup.seed, CHANCE),
            accounts: Accounts::new(jobs.len()),
            violation: None,
        };
        let tick = world.tick_interval();
        // No trace begins with a tick.
        let phase = Duration::from_millis(world.chance.below(ms(tick)));
        world.after(phase, Happening::Tick);
        if !jobs.is_empty() {
            world.after(Duration::ZERO, Happening::Arrival(0));
        }
        world.reconcile();
        world
    }

    fn run(mut self) -> Outcome {
        let mut end = None;
        while let Some(Reverse(Due { at, happening, .. })) = self.due.pop() {
            let done = self.arrived == self.jobs.len() && self.waiting.is_empty() && self.running == 0;
            let last = self.jobs.last().map(|job| Tick::ZERO + job.arrives).unwrap_or_default();
            if done {
                let end = *end.get_or_insert(self.now + AFTERGLOW);
                if self.alive.is_empty() || at > end {
                    self.now = if self.alive.is_empty() { self.now } else { end };
                    break;
                }
            } else if self.arrived == self.jobs.len() && at > last + PATIENCE {
                break;
            }
            self.now = at;
            self.happen(happening);
        }
        self.outcome()
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Arrival(job) => self.arrive(job),
            Happening::Tick => {
                self.after(self.tick_interval(), Happening::Tick);
                self.tick();
            }
            Happening::Hint => self.tick(),
            Happening::InService(id) => self.instances[id as usize].in_service = true,
            Happening::Booted(id) if self.alive.contains(&id) => match self.driver {
                Driver::Lightsout(_) => self.begin_agent(id),
                Driver::Peer(_) => self.register(id),
            },
            Happening::Finish(id, job) => self.finish(id, job),
            Happening::Wake(id) => self.wake(id),
            Happening::Sample(id) => self.sample(id),
            Happening::Answer(id, effect, result) => self.answer(id, effect, result),
            Happening::Target(id) => self.target(id),
            Happening::Notice(id) if self.alive.contains(&id) => match self.driver {
                Driver::Lightsout(_) => self.spot_notice(id),
                Driver::Peer(_) => self.peer_notice(id),
            },
            Happening::Taken(id) if self.alive.contains(&id) => self.taken(id),
            Happening::IdleOut(id, since) => self.idle_out(id, since),
            Happening::CutDue(id) => {
                self.lose_jobs(id, Loss::Spot);
            }
            Happening::LaunchDue(job) => self.launch_due(job),
            Happening::Booted(_) | Happening::Notice(_) | Happening::Taken(_) => {}
        }
    }

    fn at(&mut self, at: Tick, happening: Happening) {
        self.scheduled += 1;
        self.due.push(Reverse(Due { at: at.max(self.now), number: self.scheduled, happening }));
    }

    fn after(&mut self, span: Duration, happening: Happening) {
        self.at(self.now + span, happening);
    }

    fn tick_interval(&self) -> Duration {
        match &self.driver {
            Driver::Lightsout(scaler) => scaler.settings.tick.max(Duration::from_secs(1)),
            Driver::Peer(rules) => rules.interval(),
        }
    }

    fn tick(&mut self) {
        match self.driver {
            Driver::Lightsout(_) => self.plan(),
            Driver::Peer(_) => self.rule(),
        }
    }

    fn arrive(&mut self, job: JobIndex) {
        if let Some(next) = self.jobs.get(job as usize + 1) {
            self.at(Tick::ZERO + next.arrives, Happening::Arrival(job + 1));
        }
        self.arrived += 1;
        self.hours.arrived(self.now);
        self.waiting.push_back(job);
        self.hand_out();
        match &self.driver {
            Driver::Lightsout(_) => self.hint(),
            Driver::Peer(_) => self.peer_arrival(job),
        }
    }

    /// The platform hands jobs to those that ask for one: which of them is first is chance.
    fn hand_out(&mut self) {
        while !self.free.is_empty()
            && let Some(job) = self.waiting.pop_front()
        {
            let id = self.free[self.chance.index(self.free.len())];
            self.start(id, job);
        }
    }

    fn start(&mut self, id: Id, job: JobIndex) {
        let Job { arrives, runs } = self.jobs[job as usize];
        let waited = self.now.since(Tick::ZERO + arrives);
        self.accounts.waited(waited);
        self.hours.waited(job, waited);
        self.running += 1;
        self.instances[id as usize].jobs.push(job);
        self.after(runs, Happening::Finish(id, job));
        self.changed(id);
    }

    fn finish(&mut self, id: Id, job: JobIndex) {
        let instance = &mut self.instances[id as usize];
        let Some(index) = instance.jobs.iter().position(|other| *other == job) else { return };
        instance.jobs.swap_remove(index);
        self.running -= 1;
        self.changed(id);
        self.hand_out();
    }

    /// Its jobs end before their time.
    fn lose_jobs(&mut self, id: Id, loss: Loss) -> bool {
        let jobs = std::mem::take(&mut self.instances[id as usize].jobs);
        self.running -= u32::try_from(jobs.len()).unwrap_or(u32::MAX);
        *match loss {
            Loss::Spot => &mut self.accounts.spot,
            Loss::Cut => &mut self.accounts.cut,
        } += jobs.len();
        self.changed(id);
        !jobs.is_empty()
    }

    /// Whether it takes jobs from now on.
    fn accept(&mut self, id: Id, accepts: bool) {
        self.instances[id as usize].accepts = accepts;
        self.changed(id);
        self.hand_out();
    }

    /// Its jobs, or whether it takes more, have changed: what follows for the platform, its accounts, and who watches it.
    fn changed(&mut self, id: Id) {
        let slots = self.slots as usize;
        let instance = &mut self.instances[id as usize];
        let free = instance.accepts && instance.jobs.len() < slots;
        match (free, instance.free_at) {
            (true, None) => {
                instance.free_at = Some(self.free.len());
                self.free.push(id);
            }
            (false, Some(index)) => {
                instance.free_at = None;
                self.free.swap_remove(index);
                if let Some(moved) = self.free.get(index) {
                    self.instances[*moved as usize].free_at = Some(index);
                }
            }
            (true, Some(_)) | (false, None) => {}
        }
        self.accounts.turn(&mut self.instances[id as usize], self.now);
        match self.driver {
            Driver::Lightsout(_) => self.look_soon(id),
            Driver::Peer(_) => self.watch_idle(id),
        }
    }

    fn outcome(mut self) -> Outcome {
        for id in std::mem::take(&mut self.alive) {
            self.accounts.close(&mut self.instances[id as usize], self.now);
        }
        for instance in &self.instances {
            self.violation = self.violation.or(instance.ledger.violation());
        }
        Outcome {
            jobs: self.jobs.len(),
            unserved: self.waiting.len(),
            cut: self.accounts.cut,
            spot: self.accounts.spot,
            waits: Waits::of(self.accounts.waits),
            launched: self.instances.len(),
            peak: self.accounts.peak,
            seconds: self.accounts.spent.seconds(),
            entries: self.hours.held(self.now),
            turns: self.accounts.turns,
            violation: self.violation,
        }
    }

    fn turned(&mut self, turn: Turn) {
        self.accounts.turns.push(turn);
    }
}

/// What ends a job before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Loss {
    /// The cloud takes the instance.
    Spot,
    /// The fleet's own rule.
    Cut,
}

fn ms(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
