//! What an agent can be doing, and why it leaves.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::time::Tick;

/// A reason to leave, weakest first: a weaker one never replaces a stronger one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LeaveReason {
    /// Too little room is left for jobs. No reason to leave yet: once no job runs and none can come, room is made, and the instance serves
    /// again; where that does not help it is [`Broken`](Self::Broken).
    Full,
    /// No job for as long as the policy allows. The only reason that a job takes back.
    Idle,
    /// It has served as many jobs as the policy allows.
    Limit,
    /// It is as old as the policy allows.
    Age,
    /// The platform may refuse the image's runner from now on, since it has become too old.
    RunnerExpired,
    /// An operator asked for it, or the service was told to stop.
    Operator,
    /// The cloud recommends to rebalance: a spot interruption is likely.
    Rebalance,
    /// The cloud has scheduled maintenance for this instance.
    Maintenance,
    /// The group has chosen this instance for termination.
    ScaleIn,
    /// A spot notice: the instance dies at a known time.
    Spot,
    /// It cannot do its work.
    Broken,
}

impl LeaveReason {
    /// The word that stands in logs, tags and the status.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Idle => "idle",
            Self::Limit => "limit",
            Self::Age => "age",
            Self::RunnerExpired => "runner-expired",
            Self::Operator => "operator",
            Self::Rebalance => "rebalance",
            Self::Maintenance => "maintenance",
            Self::ScaleIn => "scale-in",
            Self::Spot => "spot",
            Self::Broken => "broken",
        }
    }
}

impl fmt::Display for LeaveReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What makes an instance broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BrokenBy {
    /// The operator's own program for each boot failed.
    BeforeRegister,
    /// It was not ready in time.
    BootDeadline,
    /// Its runner ended again and again right after its start.
    RunnerExits,
    /// For too long it could not be told what runs on it.
    UnknownActivity,
    /// There was too little room for another job, and none could be made.
    Full,
}

impl BrokenBy {
    /// The word in records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BeforeRegister => "before_register",
            Self::BootDeadline => "boot_deadline",
            Self::RunnerExits => "runner_exits",
            Self::UnknownActivity => "unknown_activity",
            Self::Full => "full",
        }
    }
}

/// What the agent is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// The operator's own program for each boot runs; no runner starts before it has succeeded.
    Preparing,
    /// Waiting for the group to put the instance in service: before that it is not protected.
    Booting,
    /// Registering and starting the runner.
    Registering,
    /// Ready, and every probe has been quiet since then.
    Idle {
        /// When it became quiet.
        since: Tick,
    },
    /// At least one job runs, or it is not known that none does.
    Busy,
    /// No more jobs wanted; waiting for the proof that none runs.
    Draining {
        /// The strongest reason so far.
        why: LeaveReason,
    },
    /// Proven empty; deregistering and ending the instance.
    Retiring {
        /// The strongest reason so far.
        why: LeaveReason,
    },
    /// The agent has nothing left to do and exits.
    Gone,
}

impl Phase {
    /// Which one it is.
    pub fn name(self) -> PhaseName {
        match self {
            Self::Preparing => PhaseName::Preparing,
            Self::Booting => PhaseName::Booting,
            Self::Registering => PhaseName::Registering,
            Self::Idle { .. } => PhaseName::Idle,
            Self::Busy => PhaseName::Busy,
            Self::Draining { .. } => PhaseName::Draining,
            Self::Retiring { .. } => PhaseName::Retiring,
            Self::Gone => PhaseName::Gone,
        }
    }

    /// The reason to leave, once there is one.
    pub fn why(self) -> Option<LeaveReason> {
        match self {
            Self::Draining { why } | Self::Retiring { why } => Some(why),
            Self::Preparing | Self::Booting | Self::Registering | Self::Idle { .. } | Self::Busy | Self::Gone => None,
        }
    }
}

/// Which phase it is, for those who tell of it: the same [`Phase`]s, without what they carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PhaseName {
    Preparing,
    Booting,
    Registering,
    Idle,
    Busy,
    Draining,
    Retiring,
    Gone,
}

impl PhaseName {
    /// The word in logs, the status and records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Preparing => "preparing",
            Self::Booting => "booting",
            Self::Registering => "registering",
            Self::Idle => "idle",
            Self::Busy => "busy",
            Self::Draining => "draining",
            Self::Retiring => "retiring",
            Self::Gone => "gone",
        }
    }
}

/// What survives a crash of the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum Saved {
    /// It serves, or is about to.
    Serving,
    /// It serves again once a drain is taken back: a restart takes it back again, which is harmless.
    Returning,
    /// It has decided to leave: a restart resumes the drain and never registers again.
    Leaving { why: LeaveReason },
}
