//! How a pool is raised: in its turn, after a look at what the group was lately, by one write.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use futures_util::future::join;
use jiff::Timestamp;
use lightsout_cloud::{DoubtKind, GroupView};
use lightsout_core::{
    cloud::{CapacityChange, CloudErrorKind, Floor},
    duration::format_duration,
    platform::Demand,
    record::{Outcome, Record},
    scaling::{Change, Plan, STALENESS, sight},
};
use tokio::time::{timeout, timeout_at};

use super::{Pool, TickContext, View, millis, view};
use crate::slots::Slot;

/// How old a describe may be when its capacity is raised. An absolute write over an older one could undo what somebody
/// else raised.
const MAX_VIEW_AGE: Duration = Duration::from_secs(1);

impl Pool {
    /// Takes a reading of the group over. Whether it is the only one of late.
    pub(super) fn look(&mut self, view: &View) -> bool {
        self.lately.forget(self.time(Instant::now()));
        let first = self.lately.is_empty();
        self.lately.learn(self.time(view.at), view.group.desired);
        first
    }

    /// Waits until it is this pool's turn to be raised by so many instances. `None`: not until then, and so in the next
    /// tick, where there is one; each tick that it waited makes it more urgent.
    pub(super) async fn turn(&mut self, context: &TickContext, missing: u32, until: Instant) -> Option<Slot> {
        let writes = &context.regions.region(&self.settings.region).writes;
        let need = u64::from(missing) * (u64::from(self.waited) + 1);
        if !context.carries {
            return Some(writes.acquire(need).await);
        }
        let slot = timeout_at(until.into(), writes.acquire(need)).await.ok();
        if slot.is_none() {
            if self.waited == 0 {
                tracing::info!(
                    pool = self.settings.name,
                    "its raise waits for those of other pools and is carried into the next tick"
                );
            }
            self.waited = self.waited.saturating_add(1);
        }
        slot
    }

    /// What the group is now, and how it changed of late: the history is read before every raise, and the group again when this was the first look, when it is old, or when the group was higher of late.
    pub(super) async fn look_again(
        &mut self,
        context: &TickContext,
        seen: View,
        first: bool,
        until: Instant,
    ) -> Result<(View, Vec<Change>), String> {
        let (name, region) = (self.settings.group.clone(), self.settings.region.clone());
        let groups = &context.regions.region(&region).groups;
        let guarded = !groups.capabilities().conditional_raise;
        let higher = self.highest(&[]) > seen.group.desired;
        let settings = self.settings.clone();
        let looking = async {
            if seen.at.elapsed() > MAX_VIEW_AGE || (guarded && (first || higher)) {
                let again = context.regions.describe_one(region.clone(), BTreeSet::from([name.clone()]));
                view(context, &settings, again, until).await
            } else {
                Ok(seen)
            }
        };
        if !guarded {
            return Ok((looking.await?, Vec::new()));
        }
        // Half of the time is for the write.
        let left = until.saturating_duration_since(Instant::now()) / 2;
        let reading = timeout_at((Instant::now() + left).into(), groups.history(&name));
        let (latest, history) = join(looking, reading).await;
        let latest = latest?;
        let changes = match history {
            Ok(Ok(changes)) => {
                self.blind = false;
                self.times(&changes)
            }
            Ok(Err(error)) => self.without_history(&error.to_string()),
            Err(_) => self.without_history(&format!("it was not answered within {}", format_duration(left))),
        };
        self.look(&latest);
        self.lately.learn_changes(&changes);
        Ok((latest, changes))
    }

    /// The highest that may be desired, given these changes of late.
    pub(super) fn highest(&self, changes: &[Change]) -> u32 {
        self.lately.highest(changes, self.time(Instant::now()))
    }

    /// Learns what the raises so far were good for.
    pub(super) fn see(&mut self, demand: &Demand, group: &GroupView, changes: &[Change]) {
        let desired = self.highest(changes).max(group.desired);
        let sight = sight(&self.settings.policy, demand, desired);
        self.experience.see(sight, self.time(Instant::now()));
    }

    /// Raises, if that is still the plan and may be done.
    pub(super) async fn carry_out(
        &mut self,
        context: &TickContext,
        seen: &GroupView,
        decided: &Plan,
        until: Instant,
        record: &mut Record,
    ) -> Result<(), String> {
        let &Plan::Raise { to, .. } = decided else { return Ok(()) };
        if context.dry_run {
            record.result = Outcome::WouldRaise;
            return Ok(());
        }
        let began = Instant::now();
        let groups = &context.regions.region(&self.settings.region).groups;
        let raised = timeout_at(until.into(), groups.raise(seen, to)).await;
        record.ms.raise = Some(millis(began.elapsed()));
        let refused = matches!(&raised, Ok(Err(error)) if !may_have_been_applied(error.kind));
        if !refused {
            let now = self.time(Instant::now());
            self.lately.learn(now, to);
            self.experience.raised(to, now);
        }
        raised
            .map_err(|_| {
                format!(
                    "the raise to {to} was not answered within {}; the next tick sees whether it took effect",
                    format_duration(context.deadline)
                )
            })?
            .map_err(|error| error.to_string())?;
        record.result = Outcome::Raised;
        self.raised = Some(Instant::now());
        for doubt in seen.doubts.iter().filter(|doubt| doubt.kind == DoubtKind::LaunchesSuspended) {
            tracing::warn!(pool = self.settings.name, group = self.settings.group, "{}", doubt.text);
        }
        Ok(())
    }

    /// Tells the agents what to keep. It is advice, so a failure is no failure of the tick.
    pub(super) async fn write_floor(&mut self, context: &TickContext, wanted: u32, group: &GroupView) {
        let Some(floor) = Floor::renewed(group.floor, self.floor, wanted, Timestamp::now()) else { return };
        let region = context.regions.region(&self.settings.region);
        let writing = async {
            let _slot = region.writes.acquire(0).await;
            region.groups.leave_floor(&self.settings.group, floor).await
        };
        let error = match timeout(context.deadline, writing).await {
            Ok(Ok(())) => {
                self.floor = floor;
                tracing::debug!(pool = self.settings.name, %floor, "left a floor for the agents");
                return;
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => "it was not answered in time".into(),
        };
        tracing::warn!(
            pool = self.settings.name,
            %floor,
            error,
            "the floor was not written: spare instances may idle out and be replaced"
        );
    }

    /// What is known all the same: nothing that others did. A raise goes on, because jobs wait.
    fn without_history(&mut self, error: &str) -> Vec<Change> {
        if !std::mem::replace(&mut self.blind, true) {
            tracing::warn!(
                pool = self.settings.name,
                group = self.settings.group,
                error,
                "the group's history cannot be read: what somebody else raised a moment ago may be overwritten by a smaller number"
            );
        }
        Vec::new()
    }

    /// The changes that matter, in this pool's time. The cloud's clock is taken for as good as this machine's.
    fn times(&self, changes: &[CapacityChange]) -> Vec<Change> {
        let (now, time) = (Timestamp::now(), self.time(Instant::now()));
        let times = changes.iter().map(|change| {
            let ago = Duration::try_from(now.duration_since(change.at)).unwrap_or_default();
            (ago <= STALENESS).then(|| Change { at: time.saturating_sub(ago), kind: change.kind })
        });
        times.flatten().collect()
    }

    /// A moment in this pool's time, which begins long enough ago for everything that still matters.
    pub(super) fn time(&self, at: Instant) -> Duration {
        2 * STALENESS + at.saturating_duration_since(self.origin)
    }
}

/// Whether a failed raise may have taken effect all the same, or may yet.
fn may_have_been_applied(kind: CloudErrorKind) -> bool {
    match kind {
        CloudErrorKind::Timeout | CloudErrorKind::Other => true,
        CloudErrorKind::AtFloor
        | CloudErrorKind::OutOfBounds
        | CloudErrorKind::NotFound
        | CloudErrorKind::InProgress
        | CloudErrorKind::NothingHeld
        | CloudErrorKind::Denied
        | CloudErrorKind::Credentials
        | CloudErrorKind::Throttled
        | CloudErrorKind::Unreachable => false,
    }
}
