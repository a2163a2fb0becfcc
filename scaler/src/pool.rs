//! One pool, and what it remembers from tick to tick and from run to run.

mod health;
mod launches;
mod members;
mod raising;
mod reading;
mod record;
mod tick;
mod verify_raise;
mod view;

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use lightsout_cloud::Groups;
use lightsout_core::{
    cloud::Floor,
    duration::format_about,
    platform::Queue,
    record::TickTrouble,
    scaling::{RaiseHistory, RecentDesired, ScalerPolicy},
    settings::{Location, PoolSettings, ScalerSettings},
};
use lightsout_io::http::Driver;
use tokio::sync::Semaphore;

pub(crate) use self::{
    reading::{RELEASE, ReadError},
    tick::TickDeadline,
    view::{View, view},
};

use self::{
    health::Health,
    launches::Launches,
    reading::{MAX_POLL_AFTER, MAX_REQUESTS},
};
use crate::{memory::PoolMemory, meter::Meter, regions::Regions, tokens::Tokens};

/// Up to so many pools, the only tick looks at each group a second time, and at its history, before it knows that it has to raise:
/// a raise needs both, because it remembers nothing, and so they cost no time.
const EARLY_LOOKS: usize = 16;

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
    /// Whether a group is looked at once more when it was raised, since no tick follows that would see what became of it.
    pub(crate) looks_after: bool,
}

impl TickContext {
    /// What looks at a group after this tick.
    fn next_look(&self) -> &'static str {
        if self.carries { "the next tick" } else { "the next run" }
    }

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
            looks_after: false,
        }
    }

    /// For the only tick of so many pools: what the next one would see is looked at in this one.
    pub(crate) fn only_once(&mut self, pools: usize) {
        self.carries = false;
        self.looks_early = pools <= EARLY_LOOKS;
        self.looks_after = true;
    }
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
    /// Whether its token was refused, and no other one could be had since.
    refused: bool,
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
    /// When the last raise began to be written.
    writing_since: Option<Instant>,
    /// What was last written without an answer that says whether it took effect.
    unanswered: Option<u32>,
    /// What is known to have been desired lately, and the beginning of its time.
    recent_desired: RecentDesired,
    origin: Instant,
    /// What became of the raises so far.
    raise_history: RaiseHistory,
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
                refused: false,
                left_out: None,
                recalled: None,
                not_before: None,
                failed: None,
                no_hint_before: None,
                raised: None,
                writing: None,
                writing_since: None,
                unanswered: None,
                recent_desired: RecentDesired::default(),
                origin: Instant::now(),
                raise_history: RaiseHistory::default(),
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

    /// The same pool, whose queue was opened with a token that was fetched then.
    #[cfg(test)]
    pub(crate) fn with_token_of(mut self, then: Instant) -> Self {
        self.queue = self.queue.map(|(queue, _)| (queue, Some(then)));
        self
    }

    /// What it remembers for a later run. A pool that was not read keeps what it had.
    pub(crate) fn memory(&self, regions: &Regions) -> PoolMemory {
        let left = self.not_before.map(|until| until.saturating_duration_since(Instant::now())).unwrap_or_default();
        PoolMemory {
            settings: self.identity(),
            not_before: Some(left).filter(|left| !left.is_zero()).map(|left| Timestamp::now() + left),
            failed: self.failed.clone(),
            raise_history: self.raise_history.clone(),
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
        self.raise_history.clone_from(&memory.raise_history);
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
}

/// The groups of these pools, by region.
pub(crate) fn groups_of(pools: &[Pool]) -> BTreeMap<Location, BTreeSet<String>> {
    let mut groups: BTreeMap<Location, BTreeSet<String>> = BTreeMap::new();
    for Pool { settings, .. } in pools {
        groups.entry(settings.location()).or_default().insert(settings.group.clone());
    }
    groups
}
