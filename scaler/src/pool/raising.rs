//! How a pool is raised: in its turn, after a look at what the group was lately, by one write.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use futures_util::future::join;
use jiff::Timestamp;
use lightsout_cloud::{DoubtKind, GroupView, History};
use lightsout_core::{
    cloud::{CapacityChange, CloudErrorKind, Floor},
    duration::not_within,
    metrics::cloud_reason,
    platform::Demand,
    record::{Decision, Outcome},
    scaling::{Change, Plan, STALENESS, observation},
    settings::PoolSettings,
};
use tokio::time::{timeout, timeout_at};

use super::{
    Pool, TickContext, View,
    record::{millis, wall_clock},
    view,
};
use crate::{
    call_permits::CallPermit,
    regions::PendingDescribe,
    trouble::{LONGER, Trouble},
};

/// How old a describe may be when its capacity is raised. An absolute write over an older one could undo what somebody
/// else raised.
const MAX_VIEW_AGE: Duration = Duration::from_secs(1);
/// How long before it was made a pool's time begins: what an earlier run remembers may be of then.
const LONG_AGO: Duration = Duration::from_secs(86_400);

/// What was seen of a group right before a raise.
pub(super) struct Recheck {
    /// The group, if it was described again.
    view: Option<Result<View, Trouble>>,
    /// Its history, unless the cloud refuses a raise on a stale reading by itself.
    history: Option<Result<History, String>>,
    at: Instant,
}

/// What became of a raise that did not fail.
#[derive(Debug)]
pub(super) enum RaiseResult {
    /// It is done, or there was nothing to do.
    Done,
    /// The cloud refused it, because the group was changed since it was seen.
    Outrun,
    /// The cloud refused it as above a bound, and this maximum was seen.
    Above(u32, Trouble),
}

/// Whether a raise has to be guarded against a stale reading.
pub(super) fn is_guarded(context: &TickContext, settings: &PoolSettings) -> bool {
    !context.regions.region(&settings.location()).groups.capabilities().conditional_raise
}

/// Looks at the group's history, and at the group again when `describe`.
async fn second_look(context: &TickContext, settings: &PoolSettings, describe: bool, until: Instant) -> Recheck {
    let looking = async {
        if !describe {
            return None;
        }
        let names = BTreeSet::from([settings.group.clone()]);
        let again = context.regions.describe_one(settings.location(), names);
        Some(view(context, settings, again, until).await)
    };
    let reading = async {
        if !is_guarded(context, settings) {
            return None;
        }
        // Half of the time is for the write.
        let left = until.saturating_duration_since(Instant::now()) / 2;
        let reading = context.regions.region(&settings.location()).groups.history(&settings.group);
        Some(match timeout(left, reading).await {
            Ok(history) => history.map_err(|error| error.to_string()),
            Err(_) => Err(not_within("it was not answered", left, LONGER)),
        })
    };
    let (view, history) = join(looking, reading).await;
    Recheck { view, history, at: Instant::now() }
}

/// The first look at a group, and, where this is the only tick, the second one with it: by then the queue is still read, so
/// that it costs no time. Only where a raise is possible.
pub(super) async fn looks(
    context: &TickContext,
    settings: &PoolSettings,
    describing: PendingDescribe,
    until: Instant,
) -> Result<(View, Option<Recheck>), Trouble> {
    let seen = view(context, settings, describing, until).await?;
    if context.looks_early && is_guarded(context, settings) && seen.group.desired < seen.group.max {
        let look = Box::pin(second_look(context, settings, true, until)).await;
        return Ok((seen, Some(look)));
    }
    Ok((seen, None))
}

impl Pool {
    /// Takes a reading of the group over. Whether it is the only one of late.
    pub(super) fn look(&mut self, view: &View) -> bool {
        self.recent_desired.forget(self.time(Instant::now()));
        let first = self.recent_desired.is_empty();
        self.recent_desired.learn(self.time(view.at), view.group.desired);
        first
    }

    /// Waits until it is this pool's turn to be raised by so many instances. `None`: not until then, and so in the next
    /// tick, where there is one; each tick that it waited makes it more urgent.
    pub(super) async fn turn(&mut self, context: &TickContext, missing: u32, until: Instant) -> Option<CallPermit> {
        let need = u64::from(missing) * (u64::from(self.waited) + 1);
        let permit = self.write_permit(context, need, until).await;
        if permit.is_none() {
            if self.waited == 0 {
                tracing::info!(
                    pool = self.settings.name,
                    "its raise waits for those of other pools and is carried into the next tick"
                );
            }
            self.waited = self.waited.saturating_add(1);
        }
        permit
    }

    /// The right to write, for whoever needs it so much. `None`: not until then, where a next tick follows.
    async fn write_permit(&self, context: &TickContext, need: u64, until: Instant) -> Option<CallPermit> {
        let writes = &context.regions.region(&self.settings.location()).writes;
        if context.carries {
            timeout_at(until.into(), writes.acquire(need)).await.ok()
        } else {
            Some(writes.acquire(need).await)
        }
    }

    /// What the group is now, and how it changed of late: the history is read before every raise, and the group again when
    /// this was the first look, when it is old, or when the group was higher of late. `early` is a second look that was
    /// taken while the queue was read.
    pub(super) async fn look_again(
        &mut self,
        context: &TickContext,
        seen: View,
        first: bool,
        early: Option<Recheck>,
        until: Instant,
    ) -> Result<(View, Vec<Change>), Trouble> {
        let higher = self.highest(&[]) > seen.group.desired;
        let describe = seen.at.elapsed() > MAX_VIEW_AGE || (is_guarded(context, &self.settings) && (first || higher));
        let look = match early.filter(|look| look.at.elapsed() <= MAX_VIEW_AGE) {
            Some(look) => look,
            None => second_look(context, &self.settings, describe, until).await,
        };
        let latest = look.view.unwrap_or(Ok(seen))?;
        let changes = match look.history {
            None => Vec::new(),
            Some(Ok(history)) => {
                self.blind = false;
                self.launches.learn(history.failed_launches);
                self.times(&history.changes)
            }
            Some(Err(error)) => self.without_history(&error),
        };
        self.look(&latest);
        self.recent_desired.learn_changes(&changes);
        Ok((latest, changes))
    }

    /// The highest that may be desired, given these changes of late.
    pub(super) fn highest(&self, changes: &[Change]) -> u32 {
        self.recent_desired.highest(changes, self.time(Instant::now()))
    }

    /// Learns what the raises so far were good for.
    pub(super) async fn see(&mut self, context: &TickContext, demand: &Demand, group: &GroupView, changes: &[Change]) {
        let desired = self.highest(changes).max(group.desired);
        let observation = observation(&self.policy, demand, desired);
        self.raise_history.see(observation, wall_clock());
        if self.raise_history.doubts_members() {
            let ready_counts = Box::pin(self.ready_counts(context)).await;
            self.raise_history.learn(ready_counts, wall_clock());
        }
    }

    /// Raises, if that is still the plan and may be done.
    ///
    /// # Errors
    /// When it was refused or not answered, but for a group, or a maximum, that may have been changed since it was seen.
    pub(super) async fn carry_out(
        &mut self,
        context: &TickContext,
        seen: &GroupView,
        decided: &Plan,
        until: Instant,
        record: &mut Decision,
    ) -> Result<RaiseResult, Trouble> {
        let &Plan::Raise { to, .. } = decided else { return Ok(RaiseResult::Done) };
        if context.dry_run {
            record.result = Outcome::WouldRaise;
            return Ok(RaiseResult::Done);
        }
        let began = Instant::now();
        let groups = &context.regions.region(&self.settings.location()).groups;
        self.writing = Some(to);
        self.writing_since = Some(began);
        let raised = timeout_at(until.into(), groups.raise(seen, to)).await;
        self.writing = None;
        record.ms.raise = Some(millis(began.elapsed()));
        let refused = matches!(&raised, Ok(Err(error)) if !error.kind.may_have_been_applied());
        let failed = match &raised {
            Ok(Ok(())) => None,
            Ok(Err(error)) => cloud_reason(error.kind),
            Err(_) => Some("timeout"),
        };
        context.meter.failed(&self.settings.name, "raise", failed);
        if refused {
            self.unanswered = None;
        } else {
            self.wrote(to, matches!(raised, Ok(Ok(()))));
        }
        let conditional = seen.version.is_some() && !is_guarded(context, &self.settings);
        match raised {
            Ok(Ok(())) => {}
            Ok(Err(error)) if conditional && error.kind == CloudErrorKind::InProgress => {
                return Ok(RaiseResult::Outrun);
            }
            Ok(Err(error)) if error.kind == CloudErrorKind::OutOfBounds => {
                return Ok(RaiseResult::Above(seen.max, error.into()));
            }
            Ok(Err(error)) => return Err(error.into()),
            Err(_) => {
                let remedy = format!("{} sees whether it took effect; {LONGER}", context.next_look());
                let what = format!("the raise to {to} was not answered");
                return Err(Trouble::late(not_within(what, context.deadline, remedy)));
            }
        }
        record.result = Outcome::Raised;
        self.raised = Some(Instant::now());
        for doubt in seen.doubts.iter().filter(|doubt| doubt.kind == DoubtKind::LaunchesSuspended) {
            tracing::warn!(pool = self.settings.name, group = self.settings.group, "{}", doubt.text);
        }
        Ok(RaiseResult::Done)
    }

    /// Remembers a write that has taken effect, or, without an answer, may have or may yet.
    pub(super) fn wrote(&mut self, to: u32, answered: bool) {
        self.unanswered = Some(to).filter(|_| !answered);
        self.recent_desired.learn(self.time(Instant::now()), to);
        self.raise_history.raised(to);
    }

    /// Tells the agents what to keep, once all raises that wait have had their turn. It is advice, so a failure is no failure of the tick.
    pub(super) async fn write_floor(&mut self, context: &TickContext, floor: Floor, until: Instant) {
        let Some(_permit) = self.write_permit(context, 0, until).await else {
            tracing::debug!(
                pool = self.settings.name,
                %floor,
                "its floor waits for raises of other pools and is carried into the next tick"
            );
            return;
        };
        // It holds for an hour from the moment at which it is written, however long the others took.
        let floor = Floor { written: Some(Timestamp::now()), ..floor };
        let groups = &context.regions.region(&self.settings.location()).groups;
        let error = match timeout(context.deadline, groups.leave_floor(&self.settings.group, floor)).await {
            Ok(Ok(())) => {
                self.floor = floor;
                tracing::debug!(pool = self.settings.name, %floor, "left a floor for the agents");
                return;
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => not_within("it was not answered", context.deadline, LONGER),
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

    /// The changes that matter, in this pool's time.
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
        LONG_AGO + at.saturating_duration_since(self.origin)
    }
}
