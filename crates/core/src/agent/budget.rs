//! How the time between a notice and its deadline is shared out.

use std::time::Duration;

use crate::time::Tick;

/// The share of a late notice, in percent of what is left, that is kept for failing jobs visibly.
const LATE_SHARE_PERCENT: u64 = 40;

/// The plan for a deadline of the cloud. Jobs run until `abort_at`; from `leave_at` on nothing is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Budget {
    /// When the cloud ends the instance, or what runs on it.
    pub deadline: Tick,
    /// When jobs that still run are failed visibly.
    pub abort_at: Tick,
    /// When the agent deregisters whatever is still there.
    pub leave_at: Tick,
}

impl Budget {
    /// Shares out the time from `now` to `deadline`. The margin shrinks when the notice comes late, and never lies in the past.
    pub fn new(now: Tick, deadline: Tick, abort_margin: Duration) -> Self {
        let left = u64::try_from(deadline.since(now).as_millis()).unwrap_or(u64::MAX);
        let margin = abort_margin.min(Duration::from_millis(left / 100 * LATE_SHARE_PERCENT));
        Self { deadline, abort_at: (deadline - margin).max(now), leave_at: (deadline - margin / 4).max(now) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARGIN: Duration = Duration::from_secs(25);

    #[test]
    fn a_full_notice_keeps_the_whole_margin() {
        let budget = Budget::new(Tick(1_000), Tick(121_000), MARGIN);
        assert_eq!(budget.abort_at, Tick(96_000));
        assert_eq!(budget.leave_at, Tick(121_000 - 6_250));
    }

    #[test]
    fn a_late_notice_shrinks_the_shares() {
        let budget = Budget::new(Tick(0), Tick(10_000), MARGIN);
        assert_eq!(budget.abort_at, Tick(6_000));
        assert!(budget.abort_at < budget.leave_at && budget.leave_at < budget.deadline);
    }

    #[test]
    fn a_deadline_in_the_past_acts_at_once() {
        let budget = Budget::new(Tick(50_000), Tick(10_000), MARGIN);
        assert_eq!((budget.abort_at, budget.leave_at), (Tick(50_000), Tick(50_000)));
    }
}
