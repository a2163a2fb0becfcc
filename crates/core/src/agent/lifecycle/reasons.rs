//! What calls an instance away, idleness, age and count of jobs aside: notices of the cloud, orders of people, its own trouble.

use std::time::Duration;

use crate::{
    agent::{
        budget::Budget,
        phase::{BrokenBy, LeaveReason},
    },
    cloud::{StandingOrder, TargetState},
    time::Tick,
};

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Reasons {
    target: TargetState,
    pub(super) spot: Option<Budget>,
    /// When the first spot notice was seen.
    spot_seen: Option<Tick>,
    /// Whether the jobs were failed for the spot deadline.
    pub(super) aborted: bool,
    pub(super) rebalance: bool,
    pub(super) maintenance: bool,
    /// From when on the platform may refuse the image's runner.
    pub(super) runner_expires: Option<Tick>,
    pub(super) drain_ordered: bool,
    /// The order that stands on the instance, as it was told last.
    pub(super) standing: Option<StandingOrder<Tick>>,
    /// Whether a drain that stands there calls it away: it does so until it is lifted, or overruled.
    pub(super) drain_stands: bool,
    /// How often the service was told to stop.
    pub(super) stops: u8,
    /// Neither idleness nor age, of the instance or of its runner, is a reason before.
    pub(super) hold: Option<Tick>,
    /// Why it is broken; the first trouble counts.
    trouble: Option<(BrokenBy, String)>,
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

    /// A notice, that at most so long after its first sight the instance goes. Its time was turned from the wall's clock, which may be wrong: one that
    /// has passed already cannot be, and one that is too far off comes sooner. Told again, it only ever comes nearer.
    pub(super) fn spot_notice(&mut self, at: Tick, ahead: Duration, margin: Duration, now: Tick) {
        let latest = *self.spot_seen.get_or_insert(now) + ahead;
        let at = if at <= now { latest } else { at.min(latest) };
        if self.spot.is_none_or(|budget| at < budget.deadline) {
            self.spot = Some(Budget::new(now, at, margin));
        }
    }

    pub(super) fn trouble(&self) -> Option<(BrokenBy, &str)> {
        self.trouble.as_ref().map(|(by, words)| (*by, words.as_str()))
    }

    pub(super) fn break_down(&mut self, by: BrokenBy, words: String) {
        self.trouble.get_or_insert((by, words));
    }

    pub(super) fn end_hold(&mut self, now: Tick) {
        self.hold = self.hold.filter(|until| *until > now);
    }

    /// The strongest one that holds. The group's choice counts only if `choice_counts`, the risk of an interruption only if `risk_counts`.
    pub(super) fn strongest(&self, choice_counts: bool, risk_counts: bool) -> Option<LeaveReason> {
        [
            (self.trouble.is_some(), LeaveReason::Broken),
            (self.spot.is_some(), LeaveReason::Spot),
            (self.chosen() && choice_counts, LeaveReason::ScaleIn),
            (self.maintenance, LeaveReason::Maintenance),
            (risk_counts, LeaveReason::Rebalance),
            (self.drain_ordered || self.drain_stands, LeaveReason::Operator),
        ]
        .into_iter()
        .find_map(|(holds, why)| holds.then_some(why))
    }
}
