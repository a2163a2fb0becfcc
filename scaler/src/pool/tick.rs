//! One tick of a pool, from the first look to the record of what came of it.

use std::{collections::BTreeSet, rc::Rc, time::Instant};

use futures_util::future::{join, pending};
use jiff::Timestamp;
use lightsout_cloud::{DoubtKind, GroupView};
use lightsout_core::{
    cloud::Floor,
    platform::{Demand, Reading},
    record::{Decision, Outcome},
    scaling::{Capacity, Change, Plan, PlanHistory, floor, plan},
};
use tokio::time::sleep_until;

use super::{
    Pool, ReadError, TickContext, View,
    raising::{self, RaiseResult},
    record::{explain, millis, now, wall_clock},
    view,
};
use crate::{
    regions::PendingDescribe,
    trouble::{Trouble, of_platform},
};

/// When a tick that has not ended by itself is cut off, since the process stands still afterwards.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TickDeadline {
    pub(crate) at: Instant,
    /// What the record of such a tick says.
    pub(crate) why: &'static str,
}

impl Pool {
    /// One tick: queue and group at the same time, the plan, the raise, then everything else.
    ///
    /// All pools tick at the same time, so what a tick holds while it waits for others counts a thousand times: the pool is
    /// not held by value, and what only few do at a time is in a box of its own. A tick that is cut off wherever it waits
    /// leaves a pool that remembers what it knew until then, and what it may have written.
    pub(crate) async fn tick(
        mut self: Box<Self>,
        context: Rc<TickContext>,
        group: PendingDescribe,
        cut: Option<TickDeadline>,
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
        let lowered = match ended {
            Ok(lowered) => lowered,
            // What follows a raise is advice, and no reason to deny it.
            Err(Trouble { message, .. }) if record.result == Outcome::Raised => {
                tracing::warn!(
                    pool = record.pool,
                    to = record.to,
                    why = message,
                    "the raise was written, and what follows it was not done"
                );
                None
            }
            Err(error) => {
                record.result = Outcome::Failed;
                (record.trouble, record.error) = (Some(error.kind), Some(error.message));
                None
            }
        };
        self.failed = record.trouble.zip(record.failure().map(str::to_owned));
        // Of this tick alone: a later run sees the group anew.
        if let Some(lowered) = lowered {
            (record.trouble, record.error) = (Some(lowered.kind), Some(lowered.message));
        }
        self.log_transition(&record);
        record.ms.total = millis(started.elapsed());
        record.time = now();
        let waits = self.queue.as_mut().and_then(|(queue, _)| queue.waits(Timestamp::now()));
        context.meter.ticked(&record, waits);
        (self, record)
    }

    /// Everything but what is made of it. Gives what became of a raise that was written, and does not stand.
    async fn attempt(
        &mut self,
        context: &TickContext,
        group: PendingDescribe,
        started: Instant,
        record: &mut Decision,
    ) -> Result<Option<Trouble>, Trouble> {
        let until = started + context.deadline;
        let settings = Rc::clone(&self.settings);
        self.policy = settings.policy_at(Timestamp::now()).into_owned();
        let reading = async { (self.read(context, started, until).await, started.elapsed()) };
        let ((reading, took), looks) = join(reading, raising::looks(context, &settings, group, until)).await;
        record.ms.demand = Some(millis(took));
        record.ms.describe = looks.as_ref().ok().map(|(view, _)| millis(view.took));
        let (Reading { demand, missing }, (mut view, early)) = match (reading, looks) {
            (Ok(reading), Ok(looks)) => (reading, looks),
            (Ok(_) | Err(ReadError::Elsewhere(_)), Err(group)) => return Err(group),
            (Err(ReadError::Elsewhere(why)), Ok(_)) => {
                record.result = Outcome::Standby;
                record.reason = Some(why);
                return Ok(None);
            }
            (Err(ReadError::Failed(queue)), Ok(_)) => return Err(queue),
            (Err(ReadError::Failed(queue)), Err(group)) => return Err(queue.and(&group)),
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
        let mut lowered = None;
        explain(record, &decided);
        if matches!(decided, Plan::Raise { .. }) {
            let Some(permit) = self.turn(context, decided.missing(), until).await else {
                record.result = Outcome::Queued;
                return Ok(None);
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
                    RaiseResult::Done => Ok(view),
                    refused @ (RaiseResult::Outrun | RaiseResult::Above(..)) => {
                        self.carry_out_again(context, &demand, &changes, refused, until, record).await
                    }
                }
            };
            view = Box::pin(raise).await?;
            drop(permit);
            let raised = record.to.zip(self.writing_since).filter(|_| record.result == Outcome::Raised);
            if let Some((to, began)) = raised.filter(|_| context.looks_after) {
                lowered = Box::pin(self.verify_raise(context, to, began, until)).await;
            }
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
        Ok(lowered)
    }

    /// Somebody else changed the group, or its maximum, between the look and the raise: looks and decides anew, once.
    async fn carry_out_again(
        &mut self,
        context: &TickContext,
        demand: &Demand,
        changes: &[Change],
        refused: RaiseResult,
        until: Instant,
        record: &mut Decision,
    ) -> Result<View, Trouble> {
        let settings = Rc::clone(&self.settings);
        let group = BTreeSet::from([settings.group.clone()]);
        let again = view(context, &settings, context.regions.describe_one(settings.location(), group), until).await;
        let view = match (again, refused) {
            // Another bound than the maximum, such as a quota, which a second try would meet as well; or nobody knows.
            (Ok(view), RaiseResult::Above(max, why)) if view.group.max >= max => {
                self.look(&view);
                return Err(why);
            }
            (Err(_), RaiseResult::Above(_, why)) => return Err(why),
            (again, _) => again?,
        };
        self.look(&view);
        // What a conditional raise is written over is as it was seen.
        let lately = if raising::is_guarded(context, &settings) { self.highest(changes) } else { 0 };
        let decided = self.decide(demand, &view.group, lately);
        explain(record, &decided);
        match self.carry_out(context, &view.group, &decided, until, record).await? {
            RaiseResult::Done => Ok(view),
            RaiseResult::Above(_, why) => Err(why),
            RaiseResult::Outrun => Err(Trouble::other(format!(
                "the group {} was changed twice while it was to be raised; {} looks again",
                settings.group,
                context.next_look()
            ))),
        }
    }

    fn decide(&self, demand: &Demand, group: &GroupView, lately: u32) -> Plan {
        let outlook = self.raise_history.outlook(wall_clock());
        let past =
            PlanHistory { since_raise: self.raised.map(|at| at.elapsed()), unanswered: self.unanswered, outlook };
        plan(&self.policy, demand, capacity(group, lately), past)
    }
}

/// Waits until a tick is cut off.
async fn cut_off(cut: Option<TickDeadline>) -> Trouble {
    let Some(TickDeadline { at, why }) = cut else { return pending().await };
    sleep_until(at.into()).await;
    Trouble::late(why.into())
}

fn capacity(group: &GroupView, lately: u32) -> Capacity {
    Capacity { min: group.min, max: group.max, desired: group.desired, lately }
}
