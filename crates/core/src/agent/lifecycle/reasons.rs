//! What calls an instance away, idleness, age, count of jobs and orders aside: notices of the cloud, its own trouble.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    agent::{
        Correction,
        budget::Budget,
        phase::{BrokenBy, LeaveReason},
    },
    cloud::{Ending, TargetState},
    time::Tick,
};

/// How far a time may lie outside of what can be without a word: clouds tell theirs to the second, and their clocks are a little apart.
const TOLERATED: Duration = Duration::from_secs(5);

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Reasons {
    target: TargetState,
    /// What the cloud has announced.
    announced: BTreeMap<Ending, Announced>,
    /// Whether jobs are failed for a deadline.
    aborted: bool,
    /// Whether an interruption is likely.
    rebalance: bool,
    /// From when on the platform may refuse the image's runner.
    runner_expires: Option<Tick>,
    /// Why it is broken; the first trouble counts.
    trouble: Option<(BrokenBy, String)>,
}

/// An ending that was announced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Announced {
    /// When its time was first told.
    told: Option<Tick>,
    /// Until when it leaves time, where that was told.
    budget: Option<Budget>,
    /// Whether it was said that its time cannot be.
    corrected: bool,
}

impl Reasons {
    pub(super) fn target(&self) -> TargetState {
        self.target
    }

    /// Whether the group has chosen this instance for termination.
    pub(super) fn chosen(&self) -> bool {
        self.target == TargetState::Terminated
    }

    /// The state before.
    pub(super) fn set_target(&mut self, target: TargetState) -> TargetState {
        std::mem::replace(&mut self.target, target)
    }

    /// An ending is announced. What takes the instance back comes at most so long after its first sight; maintenance may be days away, and a job has
    /// all of them. Its time was turned from the wall's clock, which may be wrong: one that has passed already cannot be, and one that is too far off
    /// comes sooner. Told again, it only ever comes nearer. Answers what is to be said of a time that cannot be, the first time.
    pub(super) fn announce(
        &mut self,
        by: Ending,
        at: Option<Tick>,
        ahead: Duration,
        margin: Duration,
        now: Tick,
    ) -> Option<Correction> {
        let announced = self.announced.entry(by).or_default();
        let told = at?;
        let latest = *announced.told.get_or_insert(now) + ahead;
        let at = match by {
            _ if told <= now => latest,
            Ending::Maintenance => told,
            Ending::Interruption | Ending::Termination => told.min(latest),
        };
        if announced.budget.is_none_or(|budget| at < budget.deadline) {
            announced.budget = Some(Budget::new(now, at, margin));
        }
        let apart = told.since(at).max(at.since(told));
        // One that passes while it is told again and again was right before.
        let first = announced.budget.is_some_and(|budget| budget.deadline == at);
        let wrong = first && apart > TOLERATED && !std::mem::replace(&mut announced.corrected, true);
        wrong.then_some(Correction { by, told, taken: at })
    }

    /// Times of the wall's clock come nearer by so much. Whether that of an interruption has passed by it.
    pub(super) fn shift(&mut self, unseen: Duration, now: Tick) -> bool {
        for announced in self.announced.values_mut() {
            announced.told = announced.told.map(|told| told - unseen);
            if let Some(Budget { deadline, abort_at, leave_at }) = &mut announced.budget {
                (*deadline, *abort_at, *leave_at) = (*deadline - unseen, *abort_at - unseen, *leave_at - unseen);
            }
        }
        self.runner_expires = self.runner_expires.map(|at| at - unseen);
        // Maintenance whose time passed in the sleep fails no job now: it was called off, or comes at a time that is told anew.
        if let Some(announced) = self.announced.get_mut(&Ending::Maintenance)
            && announced.budget.is_some_and(|budget| budget.deadline <= now)
        {
            (announced.told, announced.budget) = (None, None);
            self.settle_abort(now);
        }
        let interruption = self.announced.get(&Ending::Interruption).and_then(|announced| announced.budget);
        interruption.is_some_and(|budget| budget.deadline <= now)
    }

    /// It will not be.
    pub(super) fn lift(&mut self, by: Ending, now: Tick) {
        if self.announced.remove(&by).is_some() {
            self.settle_abort(now);
        }
    }

    /// A deadline is gone: jobs are failed for another one that is as near, or no more.
    fn settle_abort(&mut self, now: Tick) {
        self.aborted &= self.budget().is_some_and(|budget| budget.abort_at <= now);
    }

    /// Whether the cloud takes the instance back.
    pub(super) fn interrupted(&self) -> bool {
        self.announced.contains_key(&Ending::Interruption)
    }

    /// The time until the first ending whose time is known.
    pub(super) fn budget(&self) -> Option<Budget> {
        self.announced.values().filter_map(|announced| announced.budget).min_by_key(|budget| budget.deadline)
    }

    pub(super) fn trouble(&self) -> Option<(BrokenBy, &str)> {
        self.trouble.as_ref().map(|(by, words)| (*by, words.as_str()))
    }

    pub(super) fn break_down(&mut self, by: BrokenBy, words: String) {
        self.trouble.get_or_insert((by, words));
    }

    /// Jobs are failed for a deadline from now on.
    pub(super) fn abort(&mut self) {
        self.aborted = true;
    }

    pub(super) fn aborted(&self) -> bool {
        self.aborted
    }

    pub(super) fn set_rebalance(&mut self, advised: bool) {
        self.rebalance = advised;
    }

    pub(super) fn rebalance(&self) -> bool {
        self.rebalance
    }

    pub(super) fn set_runner_expires(&mut self, at: Option<Tick>) {
        self.runner_expires = at;
    }

    pub(super) fn runner_expires(&self) -> Option<Tick> {
        self.runner_expires
    }

    /// The strongest one that holds. The group's choice counts only if `choice_counts`, the risk of an interruption only if `risk_counts`.
    pub(super) fn strongest(&self, choice_counts: bool, risk_counts: bool) -> Option<LeaveReason> {
        [
            (self.trouble.is_some(), LeaveReason::Broken),
            (self.interrupted(), LeaveReason::Spot),
            (self.chosen() && choice_counts, LeaveReason::ScaleIn),
            (self.announced.contains_key(&Ending::Maintenance), LeaveReason::Maintenance),
            (risk_counts, LeaveReason::Rebalance),
        ]
        .into_iter()
        .find_map(|(holds, why)| holds.then_some(why))
    }
}
