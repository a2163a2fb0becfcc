//! The embedded cloud as a pure model: EC2 Auto Scaling, the part of EC2 around it, and STS, without clock, sockets or
//! async.
//!
//! Calls come in through a wire such as [`query`](super::query), time through [`Cloud::advance`], and what the surroundings
//! have to do comes out of [`Cloud::poll_effect`]. Everything that looks random comes from the seed, so that a run can be
//! repeated.

mod activity;
mod group;
mod iam;
mod instance;
mod inventory;
mod launch;
mod lifecycle_hooks;
mod members;
mod power;
mod reconcile;
mod recurrence;
mod refresh;
mod scheduled;
mod steps;
mod template;
mod termination;
mod timers;
mod warm_pool;

use std::{cell::Cell, collections::VecDeque, time::Duration};

pub use self::{
    activity::{Activity, ActivityId, ActivityStatus},
    group::{
        Bounds, Group, GroupTag, LifecycleActionResult, LifecycleHook, LifecycleTransition, MixedInstances, Override,
        Process, WarmPool,
    },
    instance::{Ec2State, Instance, LifecycleState, MaintenanceEvent, MetadataOptions, SpotNotice, StateReason},
    recurrence::Recurrence,
    refresh::{Blocked, Refresh, RefreshStatus},
    scheduled::ScheduledAction,
    template::{LaunchTemplate, ShutdownBehavior, TemplateData, TemplateVersion, TemplateVolume},
};
pub(crate) use self::{
    iam::{Iam, Role},
    inventory::Inventory,
    launch::offers,
    lifecycle_hooks::LifecycleActionKey,
};

use self::inventory::InventoryHistory;
pub use crate::effect::{Effect, Happening};
use crate::{random::Random, time::Timestamp};

/// How the cloud behaves.
#[derive(Clone, Debug)]
pub struct CloudOptions {
    /// Such as `eu-central-1`.
    pub region: String,
    /// Twelve digits.
    pub account: String,
    /// Where all ids come from.
    pub seed: u64,
    /// From the launch to `InService` (or to the launch hook).
    pub boot: Duration,
    /// How long a group needs to see that a member does not run.
    pub notice_power_off: Duration,
    /// How long a group needs to act on a change, such as a new desired capacity; also the length of each short step.
    pub react: Duration,
    /// When a machine that was told to end counts as off even if nobody says so through [`Cloud::powered_off`].
    pub shutdown: Duration,
    /// Pause after the first failed launch; it doubles with each failure, up to 16 times this.
    pub launch_retry: Duration,
}

impl Default for CloudOptions {
    fn default() -> Self {
        Self {
            region: "eu-central-1".to_owned(),
            account: "123456789012".to_owned(),
            seed: 1,
            boot: Duration::from_secs(20),
            notice_power_off: Duration::from_secs(30),
            react: Duration::from_millis(500),
            shutdown: Duration::from_secs(30),
            launch_retry: Duration::from_secs(15),
        }
    }
}

/// How often the cloud did wrong on request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Injected {
    /// Looks of describes at an earlier state.
    pub(crate) stale_describes: u64,
    /// Launches that failed.
    pub(crate) failed_launches: u64,
}

#[derive(Clone, Debug)]
pub struct Cloud {
    options: CloudOptions,
    pub(crate) inventory: Inventory,
    pub(crate) iam: Iam,
    history: InventoryHistory,
    effects: VecDeque<Effect>,
    pub(crate) ids: Random,
    /// Apart from `ids`, so that the number of calls does not change which instances come out.
    request_ids: Random,
    launches: u64,
    launch_failure: Option<String>,
    /// In a cell, since a describe only looks.
    injected: Cell<Injected>,
    now: Timestamp,
}

impl Cloud {
    /// An empty cloud.
    pub fn new(options: CloudOptions) -> Self {
        let ids = Random::new(options.seed);
        let request_ids = Random::new(!options.seed);
        Self {
            options,
            inventory: Inventory::default(),
            iam: Iam::default(),
            history: InventoryHistory::default(),
            effects: VecDeque::new(),
            ids,
            request_ids,
            launches: 0,
            launch_failure: None,
            injected: Cell::default(),
            now: Timestamp::default(),
        }
    }

    /// Runs every timer that is due, each at its own time. Time never goes back: an earlier `now` counts as the last one.
    pub fn advance(&mut self, now: Timestamp) {
        while let Some((at, due)) = self.next_due()
            && at <= now
        {
            self.now = self.now.max(at);
            self.run(due, self.now);
            self.remember();
        }
        self.now = self.now.max(now);
    }

    /// When [`Cloud::advance`] next has something to do.
    pub fn next_timer(&self) -> Option<Timestamp> {
        self.next_due().map(|(at, _)| at)
    }

    /// The next thing for the surroundings to do; drain it after each call and each advance.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// The machine is off: it switched itself off, or it finished what [`Effect::PowerOff`] asked for.
    pub fn powered_off(&mut self, id: &str, now: Timestamp) {
        self.advance(now);
        self.machine_off(id, self.now);
        self.remember();
    }

    /// The machine could not be powered on: a launch failure in the group's activity history, with a pause before the next
    /// try. An instance that serves already was too slow, and counts as powered off.
    pub fn boot_failed(&mut self, id: &str, why: &str, now: Timestamp) {
        self.advance(now);
        self.no_boot(id, why, self.now);
        self.remember();
    }

    /// Gives a Spot interruption notice now; the instance ends at `at`, whatever it does. On-demand instances take it too,
    /// so that a fleet without Spot can be tried.
    ///
    /// # Errors
    /// There is no such instance, it does not run, or it already has a notice.
    pub fn interrupt(&mut self, id: &str, at: Timestamp, now: Timestamp) -> Result<(), String> {
        self.advance(now);
        self.give_spot_notice(id, at, self.now)?;
        self.remember();
        Ok(())
    }

    /// Gives a rebalance recommendation now; a second one changes nothing.
    ///
    /// # Errors
    /// There is no such instance, or it does not run.
    pub fn rebalance(&mut self, id: &str, now: Timestamp) -> Result<(), String> {
        self.advance(now);
        self.recommend_rebalance(id, self.now)?;
        self.remember();
        Ok(())
    }

    /// Schedules the retirement of the hardware under an instance: EC2 stops it at `not_before`.
    ///
    /// # Errors
    /// There is no such instance, or it does not run.
    pub fn maintenance(&mut self, id: &str, not_before: Timestamp, now: Timestamp) -> Result<(), String> {
        self.advance(now);
        self.schedule_retirement(id, not_before, self.now)?;
        self.remember();
        Ok(())
    }

    /// From now on launches fail with this status message in the activity history, until none.
    pub fn fail_launches(&mut self, message: Option<String>) {
        self.launch_failure = message;
    }

    /// From now on describes answer with the state of `by` ago; zero ends it.
    pub fn stale_describes(&mut self, by: Duration) {
        self.history.keep(by);
        self.remember();
    }

    /// An instance, ended ones included.
    pub fn instance(&self, id: &str) -> Option<&Instance> {
        self.inventory.instances.get(id)
    }

    /// Nothing shows an instance any more that has ended.
    pub(crate) fn forget(&mut self, id: &str) {
        self.inventory.instances.remove(id);
        self.remember();
    }

    /// All instances that are not forgotten, ended ones included, by id.
    pub fn instances(&self) -> impl Iterator<Item = &Instance> {
        self.inventory.instances.values()
    }

    pub fn group(&self, name: &str) -> Option<&Group> {
        self.inventory.groups.get(name)
    }

    /// All groups, by name.
    pub fn groups(&self) -> impl Iterator<Item = &Group> {
        self.inventory.groups.values()
    }

    /// The activity history of a group, oldest first.
    pub fn activities(&self, group: &str) -> impl Iterator<Item = &Activity> {
        self.inventory.activities.iter().filter(move |activity| activity.group == group)
    }

    /// How the cloud behaves.
    pub fn options(&self) -> &CloudOptions {
        &self.options
    }

    /// What a describe sees now.
    pub(crate) fn view(&self) -> &Inventory {
        let Some(earlier) = self.history.view(self.now) else { return &self.inventory };
        self.count_injected(|injected| injected.stale_describes += 1);
        earlier
    }

    /// How often the cloud did wrong on request since this was last asked.
    pub(crate) fn take_injected(&mut self) -> Injected {
        self.injected.take()
    }

    fn count_injected(&self, count: impl FnOnce(&mut Injected)) {
        let mut injected = self.injected.get();
        count(&mut injected);
        self.injected.set(injected);
    }

    pub(crate) fn request_id(&mut self) -> String {
        self.request_ids.uuid()
    }

    /// The time up to which the timers ran.
    pub(crate) fn now(&self) -> Timestamp {
        self.now
    }

    /// Keeps the state after a change, for as long as describes are to be stale.
    pub(crate) fn remember(&mut self) {
        self.history.remember(self.now, &self.inventory);
    }

    fn happened(&mut self, instance: &str, what: impl Into<String>, at: Timestamp) {
        let group = self.inventory.instances.get(instance).and_then(|instance| instance.group.clone());
        let instance = Some(instance.to_owned());
        self.effects.push_back(Effect::Happened(Happening { at, group, instance, what: what.into() }));
    }

    pub(crate) fn group_happened(&mut self, group: &str, what: impl Into<String>, at: Timestamp) {
        let group = Some(group.to_owned());
        self.effects.push_back(Effect::Happened(Happening { at, group, instance: None, what: what.into() }));
    }
}
