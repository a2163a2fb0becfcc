//! What the shell tells the agent.

use std::time::Duration;

use crate::{activity::Activity, agent::policy::AgentPolicy, platform::Drained, time::Tick};

/// Names one request, so that a late answer to one that has been superseded is recognised and dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// Something happened.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// A whole snapshot of all probes.
    Activity(Activity),
    /// A runner was found alive that had started late. Its exit will be told.
    RunnerFound,
    /// The runner's main process is gone, for whatever reason.
    RunnerExited,
    /// The lifecycle state that the group moves this instance to, as instance metadata shows it.
    Target(Target),
    /// A spot notice: the instance dies at about this time.
    Spot {
        /// When, on the shell's clock.
        at: Tick,
    },
    /// A rebalance recommendation.
    Rebalance,
    /// Scheduled maintenance that stops or reboots the instance.
    Maintenance,
    /// An operator's order.
    Order(Order),
    /// The service is told to stop (`SIGTERM`).
    Stop,
    /// The group's termination hook is known.
    Hook {
        /// How often it wants to be extended: well within its time-out.
        heartbeat: Duration,
    },
    /// The settings were read again.
    Policy(AgentPolicy),
    /// A request ended.
    Completed {
        /// Which one.
        id: RequestId,
        /// How.
        outcome: Outcome,
    },
}

/// The target lifecycle state (EC2 Auto Scaling User Guide, "Retrieve the target lifecycle state through instance metadata").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Target {
    /// Not known: absent, unreadable, or a state this version does not know.
    #[default]
    Unknown,
    /// The group wants it in service.
    InService,
    /// The group wants it gone.
    Terminated,
    /// It is being taken out of the group and goes on running.
    Detached,
    /// It is in standby and goes on running.
    Standby,
    /// It waits in a warm pool and must not register.
    Warmed,
}

/// What an operator may order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Order {
    /// Take no more jobs, finish those that run, leave.
    Drain,
    /// Take a drain back, if it is not too late.
    Undrain,
    /// Do not leave for idleness or age before this time.
    Hold {
        /// Until when.
        until: Tick,
    },
}

/// The agent's place in its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Member {
    /// On its way into service (`Pending*`), or in a warm pool.
    Pending,
    /// In service.
    InService {
        /// Whether it is protected from scale-in.
        protected: bool,
    },
    /// In standby, or entering it.
    Standby,
    /// On its way out (`Terminating*`).
    Terminating {
        /// Whether a termination hook waits for an answer now (`Terminating:Wait`).
        waiting: bool,
    },
    /// Not in a group: detached, or never in one.
    Outside,
}

/// How much room the group has for one instance less.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Room {
    /// The group's desired capacity.
    pub desired: u32,
    /// The group's minimum.
    pub min: u32,
    /// What the scaler advises to keep; advice only.
    pub floor: u32,
    /// Instances that count towards the desired capacity (pending and in service), this one among them.
    pub members: u32,
}

/// How a request ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It is done.
    Done,
    /// The runner is registered and runs.
    Registered,
    /// The platform's answer to a drain. `Empty` also when no runner runs that could take a job.
    Drained(Drained),
    /// No runner is alive on the instance, and the platform gives no answer about it.
    Alone(String),
    /// The runner was signalled; its exit will be the proof.
    Signalled,
    /// The drain is taken back only by a new runner after the old one's exit.
    Relaunch,
    /// A fresh snapshot, begun after the request.
    Snapshot(Activity),
    /// The group's room.
    Room(Room),
    /// The agent's place in its group.
    Member(Member),
    /// The group is at its minimum and refuses to shrink.
    AtFloor,
    /// The group does not know this instance.
    NotInGroup,
    /// Another activity on this instance is in progress.
    InProgress,
    /// No hook waits for an answer.
    NoHook,
    /// It may work later (time-out, throttling, no connection); whether it was applied may be unknown.
    Failed(String),
    /// It will not work without someone's help (missing right, wrong token).
    Denied(String),
}
