//! What must hold for one instance, whoever looks: stated once, for the model checker, the properties, the simulator and the fleet tests.
//!
//! A [`Ledger`] is told what happens to an instance and keeps the first violation.

use std::{fmt, time::Duration};

use crate::{cloud::Membership, time::Tick};

/// A promise that was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Violation {
    /// A job ended by what the agent did, and no deadline of the cloud was near.
    JobKilled,
    /// A second runner was started beside the first.
    TwoRunners,
    /// A runner was started before the group had put the instance in service, so before protection held.
    StartedTooEarly,
    /// A runner was started before the operator's own program for this boot had succeeded.
    StartedUnprepared,
    /// A runner was started before it was seen that there is room for its jobs.
    StartedWithoutRoom,
    /// A runner was started before the protection held that the policy asks for.
    StartedUnprotected,
    /// One instance lowered the group's desired capacity more than once.
    LoweredTwice,
    /// An instance in standby or outside its group lowered the desired capacity, for which it did not count.
    LoweredUncounted,
    /// The group was told that the instance is ready, before it was.
    LetInUnready,
    /// The launch of an instance was given up whose boot had not failed.
    LaunchGivenUp,
    /// Room was made while a job ran, or one could come.
    CleanedUnderJob,
    /// The instance left though neither its cloud, nor an operator, nor its own state called it away.
    LeftUncalled,
    /// A blunt way to end was taken while a gentler one may still have worked.
    TooBlunt,
    /// Nothing is in the way any more, and yet the instance neither serves nor ends.
    Stuck,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::JobKilled => "a job died by the agent's own action",
            Self::TwoRunners => "a second runner was started beside the first",
            Self::StartedTooEarly => "a runner was started before the instance was in service",
            Self::StartedUnprepared => "a runner was started before the operator's own program had succeeded",
            Self::StartedWithoutRoom => "a runner was started before it was seen that there is room",
            Self::StartedUnprotected => "a runner was started before the instance was protected",
            Self::LoweredTwice => "one instance lowered the desired capacity twice",
            Self::LoweredUncounted => "an instance that did not count lowered the desired capacity",
            Self::LetInUnready => "the launch hook was let go before the instance was ready",
            Self::LaunchGivenUp => "a launch was given up though the boot had not failed",
            Self::CleanedUnderJob => "room was made while a job ran or could come",
            Self::LeftUncalled => "the instance left though nothing had called it away",
            Self::TooBlunt => "a blunt way to end was taken while a gentler one may still have worked",
            Self::Stuck => "the instance neither serves nor ends",
        })
    }
}

/// How close a deadline of the cloud must be before running jobs may be failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Deadline {
    /// When the cloud ends the instance, or what runs on it.
    pub at: Tick,
    /// How long before that jobs may be failed.
    pub margin: Duration,
}

/// What happened to one instance so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Ledger {
    lowered: bool,
    violation: Option<Violation>,
}

impl Ledger {
    /// The first promise that was broken.
    pub fn violation(&self) -> Option<Violation> {
        self.violation
    }

    /// A job was ended by something that the agent did.
    pub fn job_ended(&mut self, deadline: Option<Deadline>, now: Tick) {
        let allowed = deadline.is_some_and(|deadline| deadline.at.since(now) <= deadline.margin);
        self.check(allowed, Violation::JobKilled);
    }

    /// A runner was started; `another` tells whether one ran already, `protect` whether the instance must be protected for that.
    pub fn runner_started(&mut self, another: bool, membership: Membership, protect: bool) {
        self.check(!another, Violation::TwoRunners);
        self.check(
            !matches!(membership, Membership::Warm { .. } | Membership::Pending { .. }),
            Violation::StartedTooEarly,
        );
        let unprotected = membership == Membership::InService { protected: false };
        self.check(!(protect && unprotected), Violation::StartedUnprotected);
    }

    /// The same, for the operator's own program for this boot: whether it has succeeded, or there is none.
    pub fn runner_started_prepared(&mut self, prepared: bool) {
        self.check(prepared, Violation::StartedUnprepared);
    }

    /// The same; `looked` when there was room for a job at the last look, or that could not be told.
    pub fn runner_started_with_room(&mut self, looked: bool) {
        self.check(looked, Violation::StartedWithoutRoom);
    }

    /// Room is being made; `alone` when no job runs and none can come.
    pub fn makes_room(&mut self, alone: bool) {
        self.check(alone, Violation::CleanedUnderJob);
    }

    /// The launch hook was told to go on; `ready` when nothing was missing but the start of the runner.
    pub fn let_in(&mut self, ready: bool) {
        self.check(ready, Violation::LetInUnready);
    }

    /// The launch was given up; `failed` when the boot had.
    pub fn launch_given_up(&mut self, failed: bool) {
        self.check(failed, Violation::LaunchGivenUp);
    }

    /// The instance left with decrement, from this place in its group.
    pub fn lowered(&mut self, membership: Membership) {
        self.check(!self.lowered, Violation::LoweredTwice);
        let counted = match membership {
            Membership::Pending { .. } | Membership::InService { .. } | Membership::Terminating { .. } => true,
            Membership::Warm { .. } | Membership::Standby | Membership::Outside => false,
        };
        self.check(counted, Violation::LoweredUncounted);
        self.lowered = true;
    }

    /// It leaves for an order that nobody gave.
    pub fn left_uncalled(&mut self) {
        self.check(false, Violation::LeftUncalled);
    }

    /// It was asked to end by a way that its group does not hear of in time; `excused` when a right is missing, or the gentler ways had
    /// their time.
    pub fn ended_bluntly(&mut self, excused: bool) {
        self.check(excused, Violation::TooBlunt);
    }

    /// Nothing is pending and time has passed: whether the instance is in a good end.
    pub fn settled(&mut self, good: bool) {
        self.check(good, Violation::Stuck);
    }

    fn check(&mut self, holds: bool, violation: Violation) {
        if !holds {
            self.violation.get_or_insert(violation);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVING: Membership = Membership::InService { protected: true };

    fn after(acts: impl FnOnce(&mut Ledger)) -> Option<Violation> {
        let mut ledger = Ledger::default();
        acts(&mut ledger);
        ledger.violation()
    }

    #[test]
    fn each_violation_is_told_from_the_others() {
        let all = [
            Violation::JobKilled,
            Violation::TwoRunners,
            Violation::StartedTooEarly,
            Violation::StartedUnprepared,
            Violation::StartedUnprotected,
            Violation::LetInUnready,
            Violation::LaunchGivenUp,
            Violation::CleanedUnderJob,
            Violation::LoweredTwice,
            Violation::LoweredUncounted,
            Violation::Stuck,
        ];
        let texts: std::collections::BTreeSet<String> = all.iter().map(ToString::to_string).collect();
        assert_eq!(texts.len(), all.len());
        assert!(texts.iter().all(|text| text.len() > 10), "{texts:?}");
    }

    #[test]
    fn a_job_may_end_only_when_a_deadline_is_near() {
        let spot = Some(Deadline { at: Tick(120_000), margin: Duration::from_secs(25) });
        assert_eq!(after(|ledger| ledger.job_ended(None, Tick(0))), Some(Violation::JobKilled));
        assert_eq!(after(|ledger| ledger.job_ended(spot, Tick(94_999))), Some(Violation::JobKilled));
        assert_eq!(after(|ledger| ledger.job_ended(spot, Tick(95_000))), None);
    }

    #[test]
    fn capacity_is_lowered_once_and_by_who_counts() {
        assert_eq!(after(|ledger| ledger.lowered(SERVING)), None);
        let twice = after(|ledger| {
            ledger.lowered(SERVING);
            ledger.lowered(Membership::Terminating { waiting: true });
        });
        assert_eq!(twice, Some(Violation::LoweredTwice));
        for place in [Membership::Warm { waiting: false }, Membership::Standby, Membership::Outside] {
            assert_eq!(after(|ledger| ledger.lowered(place)), Some(Violation::LoweredUncounted));
        }
    }

    #[test]
    fn a_runner_starts_alone_and_in_service() {
        assert_eq!(after(|ledger| ledger.runner_started(false, SERVING, true)), None);
        assert_eq!(after(|ledger| ledger.runner_started(true, SERVING, true)), Some(Violation::TwoRunners));
        for place in [Membership::Warm { waiting: false }, Membership::Pending { waiting: true }] {
            let early = after(|ledger| ledger.runner_started(false, place, false));
            assert_eq!(early, Some(Violation::StartedTooEarly));
        }
        let unprepared = after(|ledger| ledger.runner_started_prepared(false));
        assert_eq!(unprepared, Some(Violation::StartedUnprepared));
        let unprotected = Membership::InService { protected: false };
        assert_eq!(after(|ledger| ledger.runner_started(false, unprotected, false)), None);
        let started = after(|ledger| ledger.runner_started(false, unprotected, true));
        assert_eq!(started, Some(Violation::StartedUnprotected));
    }

    #[test]
    fn a_launch_goes_on_when_ready_and_is_given_up_when_it_failed() {
        assert_eq!(after(|ledger| ledger.let_in(true)), None);
        assert_eq!(after(|ledger| ledger.let_in(false)), Some(Violation::LetInUnready));
        assert_eq!(after(|ledger| ledger.launch_given_up(true)), None);
        assert_eq!(after(|ledger| ledger.launch_given_up(false)), Some(Violation::LaunchGivenUp));
    }

    #[test]
    fn room_is_made_where_no_job_is() {
        assert_eq!(after(|ledger| ledger.makes_room(true)), None);
        assert_eq!(after(|ledger| ledger.makes_room(false)), Some(Violation::CleanedUnderJob));
    }

    #[test]
    fn a_blunt_way_needs_an_excuse() {
        assert_eq!(after(|ledger| ledger.ended_bluntly(true)), None);
        assert_eq!(after(|ledger| ledger.ended_bluntly(false)), Some(Violation::TooBlunt));
    }

    #[test]
    fn the_first_violation_is_kept() {
        let first = after(|ledger| {
            ledger.settled(false);
            ledger.job_ended(None, Tick(0));
        });
        assert_eq!(first, Some(Violation::Stuck));
    }
}
