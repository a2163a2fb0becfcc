//! The members of a group, by the sign that an agent leaves on its instance once it is ready.

use std::time::Duration;

use jiff::Timestamp;

/// How far the clocks of an instance and of its cloud may be apart: a sign that is no older than this before the start is of this boot.
const CLOCKS: Duration = Duration::from_secs(600);

/// A member that counts towards its group's capacity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// When its machine was started last, by the cloud's clock.
    pub started: Timestamp,
    /// When its agent was ready, by the instance's clock; `None`: no agent of it ever said so.
    pub ready: Option<Timestamp>,
}

impl Member {
    /// Whether its agent was ready since the machine was started: a sign from before that is of an earlier start.
    fn was_ready(self) -> bool {
        self.ready.is_some_and(|ready| ready.saturating_add(CLOCKS).is_ok_and(|latest| latest >= self.started))
    }
}

/// How many members have been ready, and how many should have been. No member is both; one that was started a short while ago is neither.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadyCounts {
    /// Those whose agent has been ready in this boot.
    pub ready: u32,
    /// Those whose agent has not, although they were started long enough ago.
    pub missing: u32,
}

impl ReadyCounts {
    /// Of these members, where an agent has so long to become ready.
    pub fn of(members: &[Member], boot: Duration, now: Timestamp) -> Self {
        let mut ready_counts = Self::default();
        for member in members {
            let age = Duration::try_from(now.duration_since(member.started)).unwrap_or_default();
            if member.was_ready() {
                ready_counts.ready += 1;
            } else if age >= boot {
                ready_counts.missing += 1;
            }
        }
        ready_counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_member_is_ready_or_missing_or_too_young_and_never_two_of_them() {
        let at = |minutes: i64| Timestamp::from_second(1_800_000_000 + 60 * minutes).unwrap();
        let member = |started, ready: Option<i64>| Member { started: at(started), ready: ready.map(at) };
        for (name, it, ready, missing) in [
            ("ready two minutes after its start", member(0, Some(2)), 1, 0),
            ("ready, and its clock is slow", member(0, Some(-8)), 1, 0),
            ("its sign is of an earlier start", member(0, Some(-30)), 0, 1),
            ("never ready", member(0, None), 0, 1),
            ("still booting", member(59, None), 0, 0),
            ("booting again", member(59, Some(2)), 0, 0),
            ("started in the future, by another clock", member(70, None), 0, 0),
        ] {
            let ready_counts = ReadyCounts::of(&[it], Duration::from_secs(25 * 60), at(60));
            assert_eq!(ready_counts, ReadyCounts { ready, missing }, "{name}");
        }
    }
}
