//! What is known to have been desired of a group lately.
//!
//! A raise is an absolute number, and clouds answer descriptions that may be some time old. Written over a description that
//! lags behind, a raise would lower. So whatever was read or written of late, and whatever the group's history tells, counts
//! as desired still until it is too old to be hidden by a description, or until the history tells how it fell.

use std::time::Duration;

use crate::cloud::ChangeKind;

/// How far a description may lag behind. What is older than this, a description shows: an operator who lowers a group is
/// held against for so long at most.
pub const STALENESS: Duration = Duration::from_secs(30);

/// What was read and written of one group's desired capacity within [`STALENESS`]. Times are since any origin that stays
/// the same; they may be handed in in any order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecentDesired {
    /// None that a later one makes needless: one that is as high says all that an earlier one does.
    known: Vec<(Duration, u32)>,
}

/// One change of a group's desired capacity, as its history tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// When, in the same time as everything else.
    pub at: Duration,
    pub kind: ChangeKind,
}

impl RecentDesired {
    /// A description or a write said so at this time. A write whose answer was lost counts: it may have been applied.
    pub fn learn(&mut self, at: Duration, desired: u32) {
        if self.known.iter().any(|(later, value)| *later >= at && *value >= desired) {
            return;
        }
        self.known.retain(|(earlier, value)| *earlier > at || *value > desired);
        self.known.push((at, desired));
    }

    /// Takes the numbers over that somebody set, as the history tells: what was known before is superseded by them.
    pub fn learn_changes(&mut self, changes: &[Change]) {
        let mut changes = changes.to_vec();
        changes.sort_by_key(|change| change.at);
        for change in changes {
            if let ChangeKind::Set { to } = change.kind {
                self.known.retain(|(earlier, _)| *earlier >= change.at);
                self.learn(change.at, to);
            }
        }
    }

    /// The highest number that may be desired still at `now`; 0 when nothing is known. Each departure of an instance that
    /// lowered the group after a number was known lowers that number by one.
    pub fn highest(&self, changes: &[Change], now: Duration) -> u32 {
        let left = |since: Duration| {
            changes.iter().filter(|change| change.kind == ChangeKind::Left && change.at > since).count()
        };
        let fresh = self.known.iter().filter(|(at, _)| is_fresh(*at, now));
        fresh.map(|(at, value)| value.saturating_sub(u32::try_from(left(*at)).unwrap_or(u32::MAX))).max().unwrap_or(0)
    }

    /// Forgets what a description shows by now.
    pub fn forget(&mut self, now: Duration) {
        self.known.retain(|(at, _)| is_fresh(*at, now));
    }

    /// Whether nothing is known, so that a single look is all that there is.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }
}

fn is_fresh(at: Duration, now: Duration) -> bool {
    now.saturating_sub(at) <= STALENESS
}

#[cfg(test)]
mod tests;
