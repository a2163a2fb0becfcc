//! What must hold for one instance, whoever looks: each rule is stated here once, and nowhere else.
//!
//! A [`Ledger`] is told what happens to an instance, in facts and not in verdicts, and keeps the first violation. The model checker and the
//! properties tell it all; the simulator what its world has: runners, endings, capacity, jobs. The fleet tests see whole programs from outside: they tell
//! it what the events of a fleet say of each instance, its place, its first job, what it gave back of the capacity, and the jobs that were lost with it.

use std::{fmt, time::Duration};

use crate::{
    agent::{
        action::Rung,
        phase::{LeaveReason, Phase},
    },
    cloud::{Capabilities, Membership, ProtectionSupport},
    time::Tick,
};

macro_rules! violations {
    ($($(#[$doc:meta])* $name:ident = $text:literal),+ $(,)?) => {
        /// A promise that was broken.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Violation { $($(#[$doc])* $name),+ }

        impl fmt::Display for Violation {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$name => $text),+ })
            }
        }

        #[cfg(test)]
        const ALL: &[Violation] = &[$(Violation::$name),+];
    };
}

violations! {
    /// A job ended by what the agent did, and no deadline of the cloud was near.
    JobKilled = "a job died by the agent's own action",
    /// A second runner was started beside the first.
    TwoRunners = "a second runner was started beside the first",
    /// A runner was started before the group had put the instance in service, so before protection held.
    StartedTooEarly = "a runner was started before the instance was in service",
    /// A runner was started before the operator's own program for this boot had succeeded.
    StartedUnprepared = "a runner was started before the operator's own program had succeeded",
    /// A runner was started before it was seen that there is room for its jobs.
    StartedWithoutRoom = "a runner was started before it was seen that there is room",
    /// A runner was started before the protection held that the policy asks for.
    StartedUnprotected = "a runner was started before the instance was protected",
    /// One instance lowered the group's desired capacity more than once.
    LoweredTwice = "one instance lowered the desired capacity twice",
    /// An instance in standby or outside its group lowered the desired capacity, for which it did not count.
    LoweredUncounted = "an instance that did not count lowered the desired capacity",
    /// The group was told that the instance is ready, before it was.
    LetInUnready = "the launch hook was let go before the instance was ready",
    /// The launch of an instance was given up whose boot had not failed.
    LaunchGivenUp = "a launch was given up though the boot had not failed",
    /// Room was made while a job ran, or one could come.
    CleanedUnderJob = "room was made while a job ran or could come",
    /// The instance left though neither its cloud, nor an operator, nor its own state called it away.
    LeftUncalled = "the instance left though nothing had called it away",
    /// A blunt way to end was taken while a gentler one may still have worked.
    TooBlunt = "a blunt way to end was taken while a gentler one may still have worked",
    /// Nothing is in the way any more, and yet the instance neither serves nor ends.
    Stuck = "the instance neither serves nor ends",
}

/// How close a deadline of the cloud must be before running jobs may be failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Deadline {
    /// When the cloud ends the instance, or what runs on it.
    pub at: Tick,
    /// How long before that jobs may be failed.
    pub margin: Duration,
}

/// How far the operator's own program for this boot is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Preparation {
    /// The operator has none.
    NotAsked,
    /// It has not ended.
    Open,
    /// It has succeeded.
    Succeeded,
    /// It has failed.
    Failed,
}

impl Preparation {
    fn is_done(self) -> bool {
        match self {
            Self::NotAsked | Self::Succeeded => true,
            Self::Open | Self::Failed => false,
        }
    }
}

/// What the present agent can see to be there before it lets its instance in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// The platform's token.
    Token,
    /// The platform itself, which answers.
    Platform,
    /// The runner's program.
    Program,
}

/// A runner, and what may come of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RunnerFacts {
    /// Whether a job runs.
    pub job: bool,
    /// Whether a request for one is on its way, answered or not.
    pub asks: bool,
    /// Whether the platform sends it jobs.
    pub accepts: bool,
    /// Whether it was told to ask for no more.
    pub quiesced: bool,
}

/// What an instance asks for that wants to end, and how things stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EndFacts {
    /// The way that it takes.
    pub rung: Rung,
    /// What its cloud can do.
    pub cloud: Capabilities,
    /// How long it has been retiring.
    pub retiring: Duration,
    /// How long a gentler way is given.
    pub patience: Duration,
    /// Where it is in its group, and where a description may still show it.
    pub places: [Membership; 2],
    /// Whether the group has more members than it wants.
    pub surplus: bool,
    /// Whether the group has refused to let it go.
    pub refused: bool,
    /// Whether a right is missing that cannot be on its way any more.
    pub denied: bool,
}

/// What happened to one instance so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Ledger {
    lowered: bool,
    token: bool,
    platform: bool,
    program: bool,
    /// Whether there was room for a job at the last look since a runner was started, or that could not be told.
    room: bool,
    violation: Option<Violation>,
}

impl Ledger {
    /// The first promise that was broken.
    pub fn violation(&self) -> Option<Violation> {
        self.violation
    }

    /// An agent begins, who has seen nothing yet.
    pub fn agent_began(&mut self) {
        let Self { lowered, violation, .. } = *self;
        *self = Self { lowered, violation, ..Self::default() };
    }

    /// The agent has seen that this is there.
    pub fn seen(&mut self, part: Part) {
        match part {
            Part::Token => self.token = true,
            Part::Platform => self.platform = true,
            Part::Program => self.program = true,
        }
    }

    /// The agent has looked whether there is room for a job; `short` when it was told that there is not. What cannot be told is no shortage.
    pub fn looked_for_room(&mut self, short: bool) {
        self.room |= !short;
    }

    /// A job was ended by something that the agent did.
    pub fn job_ended(&mut self, deadline: Option<Deadline>, now: Tick) {
        let allowed = deadline.is_some_and(|deadline| deadline.at.since(now) <= deadline.margin);
        self.check(allowed, Violation::JobKilled);
    }

    /// A runner was started; `another` tells whether one ran already, `protect` whether the policy wants the instance protected for that.
    pub fn runner_started(
        &mut self,
        another: bool,
        membership: Membership,
        protect: bool,
        support: ProtectionSupport,
        preparation: Preparation,
    ) {
        self.check(!another, Violation::TwoRunners);
        self.check(
            !matches!(membership, Membership::Warming { .. } | Membership::Warm | Membership::Pending { .. }),
            Violation::StartedTooEarly,
        );
        let unprotected = membership == Membership::InService { protected: false };
        let protect = protect && support != ProtectionSupport::Never;
        self.check(!(protect && unprotected), Violation::StartedUnprotected);
        self.check(preparation.is_done(), Violation::StartedUnprepared);
        let room = std::mem::take(&mut self.room);
        self.check(room, Violation::StartedWithoutRoom);
    }

    /// Room is being made, beside this runner.
    pub fn makes_room(&mut self, runner: Option<RunnerFacts>) {
        let alone = runner.is_none_or(|runner| !runner.job && !runner.asks && !runner.accepts);
        self.check(alone, Violation::CleanedUnderJob);
    }

    /// The launch hook was told to go on: nothing may be missing but the registration and the start of the runner.
    pub fn let_in(&mut self, preparation: Preparation) {
        let ready = preparation.is_done() && self.token && self.platform && self.program && self.room;
        self.check(ready, Violation::LetInUnready);
    }

    /// The launch was given up; `failed` when the operator's own program had, in this boot or an earlier one, `deadline` is the boot's.
    pub fn launch_given_up(&mut self, failed: bool, deadline: Tick, now: Tick) {
        self.check(failed || deadline <= now, Violation::LaunchGivenUp);
    }

    /// The instance left with decrement, from this place in its group.
    pub fn lowered(&mut self, membership: Membership) {
        self.check(!self.lowered, Violation::LoweredTwice);
        let counted = match membership {
            Membership::Pending { .. } | Membership::InService { .. } | Membership::Terminating { .. } => true,
            Membership::Warming { .. } | Membership::Warm | Membership::Standby | Membership::Outside => false,
        };
        self.check(counted, Violation::LoweredUncounted);
        self.lowered = true;
    }

    /// It leaves, or is about to, for this reason; `called` when an operator has called it away.
    pub fn leaves(&mut self, why: Option<LeaveReason>, called: bool) {
        self.check(called || why != Some(LeaveReason::Operator), Violation::LeftUncalled);
    }

    /// It asks to end. A way of which its group does not hear in time is for whom a right is missing, or who gave the gentler ways their time; one
    /// that leaves the capacity as it is also for whom the group does not let go, does not count, or has too many of.
    pub fn asked_to_end(&mut self, facts: EndFacts) {
        let EndFacts { rung, cloud, places, .. } = facts;
        // Where leaving always lowers the capacity, this is how one at the floor leaves.
        let gentle = rung <= Rung::Decrement || cloud.leaving_lowers_capacity && rung == Rung::Unhealthy;
        let elsewhere = places.iter().any(|place| !matches!(place, Membership::InService { .. }));
        let heard = rung != Rung::Unhealthy && rung != Rung::PowerOff;
        let suits = heard && (facts.refused || elsewhere || facts.surplus);
        let excused = facts.denied || facts.retiring >= facts.patience;
        self.check(gentle || suits || excused, Violation::TooBlunt);
    }

    /// Nothing is pending and time has passed: an instance that is there has an agent that serves, and a runner that takes jobs. `excused` when an
    /// operator stopped the agent before it served.
    pub fn settled(&mut self, there: bool, excused: bool, phase: Phase, runner: Option<RunnerFacts>) {
        self.check(!there || excused || serves(phase, runner), Violation::Stuck);
    }

    fn check(&mut self, holds: bool, violation: Violation) {
        if !holds {
            self.violation.get_or_insert(violation);
        }
    }
}

/// Whether an instance is where it takes jobs.
fn serves(phase: Phase, runner: Option<RunnerFacts>) -> bool {
    let serving = match phase {
        Phase::Idle { .. } | Phase::Busy => true,
        Phase::Preparing
        | Phase::Booting
        | Phase::Registering
        | Phase::Draining { .. }
        | Phase::Retiring { .. }
        | Phase::Gone => false,
    };
    serving && runner.is_some_and(|runner| runner.accepts && !runner.quiesced)
}

#[cfg(test)]
mod tests;
