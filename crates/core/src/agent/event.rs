//! What the shell tells the agent.

use std::time::Duration;

use crate::{
    activity::Activity,
    agent::policy::AgentPolicy,
    cloud::{Ending, GroupSize, Membership, StandingOrder, TargetState},
    platform::Drained,
    space::Room,
    time::Tick,
};

/// Names one request, so that a late answer to one that has been superseded is recognised and dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// A whole snapshot of all probes.
    Activity(Activity),
    /// The runner's main process is gone, for whatever reason.
    RunnerExited,
    /// The lifecycle state that the group moves this instance to, as instance metadata shows it.
    TargetState(TargetState),
    /// Something is going to end the instance, or what runs on it.
    Ending {
        by: Ending,
        /// When, about, on the shell's clock; `None`: at a time that nobody can tell.
        at: Option<Tick>,
    },
    /// What was told of this kind will not be. What it began goes on, without a deadline.
    Lifted(Ending),
    /// A rebalance recommendation.
    Rebalance,
    /// It was taken back. What it began goes on.
    RebalanceLifted,
    /// From when on the platform may refuse the runner that the machine image brought.
    RunnerExpires {
        /// When, on the shell's clock; may have passed.
        at: Tick,
    },
    /// A look at the room for another job; told again for as long as there is too little.
    Room(Room),
    /// An operator's order.
    Order(Order),
    /// What stands on the instance for the agent to follow, told when that changes; `None`: nothing any more.
    StandingOrder(Option<StandingOrder<Tick>>),
    /// The machine stood still for longer than any pause of the shell, and goes on: it was hibernated, suspended, paused or frozen.
    Woke {
        /// How much of that the shell's clock did not see.
        unseen: Duration,
    },
    /// The service is told to stop (`SIGTERM`).
    Stop,
    /// The settings were read again.
    Policy(AgentPolicy),
}

/// Names one order of an operator, so that the answer finds its way back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrderId(pub u32);

/// What an operator may order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Order {
    /// Take no more jobs, finish those that run, leave.
    Drain,
    /// Take a drain back, if it is not too late.
    Undrain,
    /// Do not leave for idleness or age before this time.
    Hold { until: Tick },
}

/// How a request ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    Done,
    /// There was enough room already, and nothing was removed.
    Unneeded,
    /// No runner was registered, since there is too little room for a job; of what.
    Short(String),
    /// Room was made, and there is too little all the same.
    StillShort {
        /// Of what.
        what: String,
        /// What came of making it.
        said: String,
    },
    /// Room was made, and how much there is cannot be told.
    RoomUnknown,
    /// The runner is registered and runs.
    Registered,
    /// The platform's answer to a drain. `Empty` also when no runner runs that could take a job.
    Drained(Drained),
    /// No runner is alive on the instance, and the platform gives no answer about it.
    Alone(String),
    /// No runner is alive on the instance, and the platform has none of it.
    Absent,
    /// The runner was signalled; its exit will be the proof.
    Signalled,
    /// The drain is taken back only by a new runner after the old one's exit.
    Relaunch,
    /// A fresh snapshot, begun after the request.
    Snapshot(Activity),
    GroupSize(GroupSize),
    /// The agent's place in its group.
    Member(Membership),
    /// The group is at its minimum and refuses to shrink.
    AtFloor,
    /// The group does not know this instance.
    NotInGroup,
    /// Another activity on this instance is in progress.
    InProgress,
    /// The group has a hook of the kind that was asked for.
    HookFound {
        /// How often it wants to be extended: well within its time-out.
        heartbeat: Duration,
    },
    /// The group has no such hook, or none waits for an answer.
    NoHook,
    /// It may work later (no answer in time, a fault of the other side); whether it was applied may be unknown.
    Failed(String),
    /// It was not applied, and may be later (too many calls, no connection, credentials that have expired).
    Rejected(String),
    /// It was not applied, and will not be without someone's help (missing right, wrong token).
    Denied(String),
}

impl Outcome {
    /// What an outcome says that does not help.
    pub(super) fn text(self) -> String {
        match self {
            Self::NoHook => "no hook of the group waits for that".into(),
            Self::Failed(why) | Self::Rejected(why) | Self::Denied(why) | Self::Alone(why) | Self::Short(why) => why,
            Self::StillShort { what, said } => format!("{what}; {said}"),
            Self::Member(membership) => format!("the group says that {}", membership.in_words()),
            Self::AtFloor => "the group is at its minimum, and does not shrink further".into(),
            Self::NotInGroup => "the group, or this instance in it, is not there".into(),
            Self::InProgress => "another change of the group is in progress".into(),
            Self::Done
            | Self::Unneeded
            | Self::RoomUnknown
            | Self::Registered
            | Self::Drained(_)
            | Self::Absent
            | Self::Signalled
            | Self::Relaunch
            | Self::Snapshot(_)
            | Self::GroupSize(_)
            | Self::HookFound { .. } => "an answer to something else than was asked".into(),
        }
    }
}
