//! One pool and its tick.

mod health;
mod launches;
mod members;
mod raising;
mod reading;
mod record;
mod view;

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    time::{Duration, Instant},
};

use futures_util::future::{join, pending};
use jiff::Timestamp;
use lightsout_cloud::{DoubtKind, GroupView, Groups};
use lightsout_core::{
    cloud::Floor,
    duration::format_about,
    platform::{Demand, Queue, Reading},
    record::{Decision, Outcome, TickTrouble},
    scaling::{Capacity, Change, Experience, Lately, Past, Plan, ScalerPolicy, floor, plan},
    settings::{Location, PoolSettings, ScalerSettings},
};
use lightsout_io::http::Driver;
use tokio::{sync::Semaphore, time::sleep_until};

pub(crate) use self::{
    reading::{RELEASE, Unread},
    view::{View, view},
};

use self::{
    health::Health,
    launches::Launches,
    raising::Carried,
    reading::{MAX_POLL_AFTER, MAX_REQUESTS},
    record::{explain, millis, now},
};
use crate::{
    memory::PoolMemory,
    meter::Meter,
    regions::{Describing, Regions},
    tokens::Tokens,
    trouble::{Trouble, of_platform},
};

/// What a tick needs besides its pool: shared by all.
pub(crate) struct TickContext {
    pub(crate) driver: Driver,
    pub(crate) tokens: Tokens,
    pub(crate) regions: Regions,
    pub(crate) meter: Meter,
    /// How long the reading of one pool may take, and how long its raise, once it has its turn.
    pub(crate) deadline: Duration,
    /// Whether nothing may be changed, at the platform neither.
    pub(crate) dry_run: bool,
    /// Whether there is a next tick, for a raise that has to wait for others.
    pub(crate) carries: bool,
    /// Whether each group is looked at twice while its queue is read, raise or not.
    pub(crate) looks_early: bool,
}

impl TickContext {
    /// For the pools of these settings, in regions whose groups `open` gives.
    pub(crate) fn new(
        driver: Driver,
        tokens: Tokens,
        settings: &ScalerSettings,
        open: impl Fn(Location) -> Box<dyn Groups>,
    ) -> Self {
        let names = settings.pools.iter().map(PoolSettings::location).collect();
        Self {
            driver,
            tokens,
            regions: Regions::open(names, open),
            meter: Meter::default(),
            deadline: settings.deadline,
            dry_run: false,
            carries: false,
            looks_early: false,
        }
    }
}

/// When a tick that has not ended by itself is cut off, since the process stands still afterwards.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cut {
    pub(crate) at: Instant,
    /// What the record of such a tick says.
    pub(crate) why: &'static str,
}

/// One pool, and what it remembers between two ticks. All of it may be lost at any time.
pub(crate) struct Pool {
    pub(crate) settings: Rc<PoolSettings>,
    /// The settings' policy with what their schedule says in this tick, from its beginning to its end.
    policy: ScalerPolicy,
    /// Shared with the pools whose platform has the same address.
    room: Rc<Semaphore>,
    /// How the queue is read, and when its token was fetched.
    queue: Option<(Box<dyn Queue>, Option<Instant>)>,
    /// What reading it leaves out where nothing may be changed.
    pub(crate) left_out: Option<&'static str>,
    /// What an earlier run's queue remembered, until there is one.
    recalled: Option<String>,
    /// Until when the platform wishes to be left alone.
    not_before: Option<Instant>,
    /// What failed in the last tick, as a whole or in part.
    failed: Option<(TickTrouble, String)>,
    /// Until when even a hint must wait: it refuses what is asked before, or little is left of what it allows.
    no_hint_before: Option<Instant>,
    /// When it was last raised by us.
    raised: Option<Instant>,
    /// What is being written just now.
    writing: Option<u32>,
    /// What was last written without an answer that says whether it took effect.
    unanswered: Option<u32>,
    /// What is known to have been desired lately, and the beginning of its time.
    lately: Lately,
    origin: Instant,
    /// What became of the raises so far.
    experience: Experience,
    /// For how many ticks in a row it has been waiting to be raised.
    waited: u32,
    /// Whether the group's history could not be read.
    blind: bool,
    /// Whether the members could not be looked at.
    members_hidden: bool,
    /// Launches that failed.
    launches: Launches,
    /// The floor that was written last.
    floor: Floor,
    /// When its last tick began.
    pub(crate) began: Option<Instant>,
    health: Health,
}

impl Pool {
    /// The pools of these settings.
    pub(crate) fn all(settings: Vec<PoolSettings>) -> Vec<Self> {
        let mut rooms: BTreeMap<String, Rc<Semaphore>> = BTreeMap::new();
        let pool = |settings: PoolSettings| {
            let room = rooms.entry(settings.platform.address().to_owned());
            let room = Rc::clone(room.or_insert_with(|| Rc::new(Semaphore::new(MAX_REQUESTS))));
            Self {
                policy: settings.policy.clone(),
                settings: Rc::new(settings),
                room,
                queue: None,
                left_out: None,
                recalled: None,
                not_before: None,
                failed: None,
                no_hint_before: None,
                raised: None,
                writing: None,
                unanswered: None,
                lately: Lately::default(),
                origin: Instant::now(),
                experience: Experience::default(),
                waited: 0,
                blind: false,
                members_hidden: false,
                launches: Launches::default(),
                floor: Floor::default(),
                began: None,
                health: Health::Good,
            }
        };
        settings.into_iter().map(pool).collect()
    }

    /// A pool whose queue is read by this.
    #[cfg(test)]
    pub(crate) fn with_queue(mut self, queue: Box<dyn Queue>) -> Self {
        self.queue = Some((queue, None));
        self
    }

    /// What it remembers for a later run. A pool that was not read keeps what it had.
    pub(crate) fn memory(&self, regions: &Regions) -> PoolMemory {
        let left = self.not_before.map(|until| until.saturating_duration_since(Instant::now())).unwrap_or_default();
        PoolMemory {
            settings: self.identity(),
            not_before: Some(left).filter(|left| !left.is_zero()).map(|left| Timestamp::now() + left),
            failed: self.failed.clone(),
            experience: self.experience.clone(),
            queue: self.queue.as_ref().map_or_else(|| self.recalled.clone(), |(queue, _)| queue.memory()),
            group: regions.region(&self.settings.location()).groups.memory(&self.settings.group),
        }
    }

    /// Takes over what an earlier run remembered with the same settings.
    pub(crate) fn recall(&mut self, memory: &PoolMemory, regions: &Regions) {
        if memory.settings != self.identity() {
            return;
        }
        self.recalled.clone_from(&memory.queue);
        let left = memory.not_before.and_then(|until| Duration::try_from(until.duration_since(Timestamp::now())).ok());
        self.not_before = left.map(|left| Instant::now() + left.min(MAX_POLL_AFTER));
        self.failed.clone_from(&memory.failed);
        self.experience.clone_from(&memory.experience);
        if let Some(known) = &memory.group {
            regions.region(&self.settings.location()).groups.recall(&self.settings.group, known);
            // What became of that raise is in the history, and a run of `once` has no time to wait in before it looks.
            self.launches.have_waited();
        }
    }

    /// What a memory is about: where its jobs wait, which group it is, and how many jobs an instance takes.
    fn identity(&self) -> String {
        let PoolSettings { platform, group, policy, .. } = &*self.settings;
        format!("{:?}", (platform, self.settings.location(), group, policy.slots))
    }

    /// Whether its platform may be asked again.
    pub(crate) fn is_due(&self) -> bool {
        let left = self.not_before.map(|until| until.saturating_duration_since(Instant::now())).unwrap_or_default();
        if !left.is_zero() {
            tracing::debug!(
                pool = self.settings.name,
                left = format_about(left),
                "skipped: the platform wishes to be asked later"
            );
        }
        left.is_zero()
    }

    /// When a hint may begin a tick, `interval` after the last one began at the earliest. A hint is news, and does not wait for what only keeps an even
    /// pace; nor is it forgotten while it must wait.
    pub(crate) fn hint_due(&self, interval: Duration) -> Instant {
        let due = self.began.map_or(self.origin, |began| began + interval);
        self.no_hint_before.map_or(due, |until| until.max(due))
    }

    /// One tick: queue and group at the same time, the plan, the raise, then everything else.
    ///
    /// All pools tick at the same time, so what a tick holds while it waits for others counts a thousand times: the pool is
    /// not held by value, and what only few do at a time is in a box of its own. A tick that is cut off wherever it waits
    /// leaves a pool that remembers what it knew until then, and what it may have written.
    pub(crate) async fn tick(
        mut self: Box<Self>,
        context: Rc<TickContext>,
        group: Describing,
        cut: Option<Cut>,
    ) -> (Box<Self>, Decision) {
        let started = Instant::now();
        let mut record = self.record();
        let ended = tokio::select! {
            biased;
            ended = self.attempt(&context, group, started, &mut record) => ended,
            trouble = cut_off(cut) => Err(trouble),
        };
        if let Some(to) = self.writing.take() {
            self.wrote(to, false);
        }
        if let Err(error) = ended {
            record.result = Outcome::Failed;
            record.trouble = Some(error.kind);
            record.error = Some(error.message);
        }
        self.failed = record.trouble.zip(record.failure().map(str::to_owned));
        self.log_transition(&record);
        record.ms.total = millis(started.elapsed());
        record.time = now();
        let waits = self.queue.as_mut().and_then(|(queue, _)| queue.waits(Timestamp::now()));
        context.meter.ticked(&record, waits);
        (self, record)
    }

    async fn attempt(
        &mut self,
        context: &TickContext,
        group: Describing,
        started: Instant,
        record: &mut Decision,
    ) -> Result<(), Trouble> {
        let until = started + context.deadline;
        let settings = Rc::clone(&self.settings);
        self.policy = settings.policy_at(Timestamp::now()).into_owned();
        let reading = async { (self.read(context, started, until).await, started.elapsed()) };
        let ((reading, took), looks) = join(reading, raising::looks(context, &settings, group, until)).await;
        record.ms.demand = Some(millis(took));
        record.ms.describe = looks.as_ref().ok().map(|(view, _)| millis(view.took));
        let (Reading { demand, missing }, (mut view, early)) = match (reading, looks) {
            (Ok(reading), Ok(looks)) => (reading, looks),
            (Ok(_) | Err(Unread::Elsewhere(_)), Err(group)) => return Err(group),
            (Err(Unread::Elsewhere(why)), Ok(_)) => {
                record.result = Outcome::Standby;
                record.reason = Some(why);
                return Ok(());
            }
            (Err(Unread::Failed(queue)), Ok(_)) => return Err(queue),
            (Err(Unread::Failed(queue)), Err(group)) => return Err(queue.and(&group)),
        };

        // What was counted is a lower bound, and raising to one is right: what is missing holds nothing back.
        let whole = missing.is_none();
        record.trouble = missing.as_ref().map(|missing| of_platform(missing.kind));
        record.missing = missing.map(|missing| missing.message);
        let first_look = self.look(&view);
        if whole {
            self.see(context, &demand, &view.group, &[]).await;
        }
        let mut decided = self.decide(&demand, &view.group, 0);
        explain(record, &decided);
        if matches!(decided, Plan::Raise { .. }) {
            let Some(slot) = self.turn(context, decided.missing(), until).await else {
                record.result = Outcome::Queued;
                return Ok(());
            };
            let until = Instant::now() + context.deadline;
            let raise = async {
                let (view, changes) = self.look_again(context, view, first_look, early, until).await?;
                if whole {
                    self.see(context, &demand, &view.group, &changes).await;
                }
                decided = self.decide(&demand, &view.group, self.highest(&changes));
                explain(record, &decided);
                match self.carry_out(context, &view.group, &decided, until, record).await? {
                    Carried::Done => Ok(view),
                    refused @ (Carried::Outrun | Carried::Above(..)) => {
                        self.carry_out_again(context, &demand, &changes, refused, until, record).await
                    }
                }
            };
            view = Box::pin(raise).await?;
            drop(slot);
        }
        self.waited = 0;
        record.launches_suspended = view.group.doubts.iter().any(|doubt| doubt.kind == DoubtKind::LaunchesSuspended);
        Box::pin(self.tell_launches(context, until, record)).await;
        if !context.dry_run && whole {
            let wanted = floor(&self.policy, capacity(&view.group, 0));
            if let Some(floor) = Floor::renewed(view.group.floor, self.floor, wanted, Timestamp::now()) {
                Box::pin(self.write_floor(context, floor, until)).await;
            }
        }
        Ok(())
    }

    /// Somebody else changed the group, or its maximum, between the look and the raise: looks and decides anew, once.
    async fn carry_out_again(
        &mut self,
        context: &TickContext,
        demand: &Demand,
        changes: &[Change],
        refused: Carried,
        until: Instant,
        record: &mut Decision,
    ) -> Result<View, Trouble> {
        let settings = Rc::clone(&self.settings);
        let group = BTreeSet::from([settings.group.clone()]);
        let again = view(context, &settings, context.regions.describe_one(settings.location(), group), until).await;
        let view = match (again, refused) {
            // Another bound than the maximum, such as a quota, which a second try would meet as well; or nobody knows.
            (Ok(view), Carried::Above(max, why)) if view.group.max >= max => {
                self.look(&view);
                return Err(why);
            }
            (Err(_), Carried::Above(_, why)) => return Err(why),
            (again, _) => again?,
        };
        self.look(&view);
        // What a conditional raise is written over is as it was seen.
        let lately = if raising::is_guarded(context, &settings) { self.highest(changes) } else { 0 };
        let decided = self.decide(demand, &view.group, lately);
        explain(record, &decided);
        match self.carry_out(context, &view.group, &decided, until, record).await? {
            Carried::Done => Ok(view),
            Carried::Above(_, why) => Err(why),
            Carried::Outrun => Err(Trouble::other(format!(
                "the group {} was changed twice while it was to be raised; the next tick looks again",
                settings.group
            ))),
        }
    }

    fn decide(&self, demand: &Demand, group: &GroupView, lately: u32) -> Plan {
        let outlook = self.experience.outlook(wall_clock());
        let past = Past { since_raise: self.raised.map(|at| at.elapsed()), unanswered: self.unanswered, outlook };
        plan(&self.policy, demand, capacity(group, lately), past)
    }
}

/// Waits until a tick is cut off.
async fn cut_off(cut: Option<Cut>) -> Trouble {
    let Some(Cut { at, why }) = cut else { return pending().await };
    sleep_until(at.into()).await;
    Trouble::late(why.into())
}

/// The groups of these pools, by region.
pub(crate) fn groups_of(pools: &[Pool]) -> BTreeMap<Location, BTreeSet<String>> {
    let mut groups: BTreeMap<Location, BTreeSet<String>> = BTreeMap::new();
    for Pool { settings, .. } in pools {
        groups.entry(settings.location()).or_default().insert(settings.group.clone());
    }
    groups
}

/// The time since the Unix epoch: what is experienced is passed on between processes, and the monotonic clock stands still
/// while the machine does.
fn wall_clock() -> Duration {
    Timestamp::now().duration_since(Timestamp::UNIX_EPOCH).try_into().unwrap_or_default()
}

fn capacity(group: &GroupView, lately: u32) -> Capacity {
    Capacity { min: group.min, max: group.max, desired: group.desired, lately }
}
