//! `departure`: an instance's death certificate.

use serde::{Deserialize, Serialize};

use super::line;
use crate::{
    agent::{
        action::Rung,
        phase::{BrokenBy, LeaveReason},
    },
    cloud::Machine,
};

/// Why an instance ended, and what is known of its life. Written before the ending is asked for, and again before each blunter way: the last one
/// of an instance tells how it ended. The JSON form is one line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Departure {
    /// When it was written, RFC 3339 in UTC.
    pub time: String,
    pub instance: String,
    /// Its group, as far as known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// What kind of machine it is.
    #[serde(flatten)]
    pub machine: Machine,
    /// Its CI platform.
    pub platform: String,
    /// Why it leaves.
    pub reason: LeaveReason,
    /// Who decided that.
    pub decided_by: DecidedBy,
    /// What made it so, in words.
    pub trigger: String,
    /// What made it broken, if that is why it leaves, and the present agent saw it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken_by: Option<BrokenBy>,
    /// The last that its runner said, where that ended right after a start, if the instance is broken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runner_said: Option<String>,
    /// The last that `agent.before_register` said, where that failed: what a shell shows of itself (`set -x`) and what looks like a secret is left
    /// out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before_register_said: Option<String>,
    /// Why this certificate no longer counts: the instance stays after all. It is the last one again, otherwise as it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withdrawn: Option<String>,
    /// When it began to leave; absent when that was before the present agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_at: Option<String>,
    /// The way that is taken now.
    pub way: Way,
    /// Jobs at this time.
    pub jobs: JobsAtEnd,
    /// Busy periods served.
    pub served: u32,
    /// How long it was in each phase, in the order in which each was first entered. Of the present agent only.
    pub phases: Vec<PhaseSpan>,
    /// How it came up; empty when the present agent did not see it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub boot: Vec<BootPart>,
    /// What the cloud, the group and operators said, each at its first time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notices: Vec<NoticeSeen>,
    /// What shows that no job ran and none could come.
    pub proof: Proof,
    /// The last warnings and errors of the log, oldest first, at most eight.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Warning>,
    /// Of what took part.
    pub versions: Versions,
    /// The kernel's id of this boot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot_id: Option<String>,
    /// What is missing here, and why; empty when nothing is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_known: Vec<String>,
}

impl Departure {
    /// The certificate as one line of JSON.
    pub fn json(&self) -> String {
        line("departure", self)
    }
}

/// Whose decision it was that an instance leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DecidedBy {
    /// The agent: it had nothing to do, or found itself broken.
    Agent,
    /// A person, or whoever stopped the service.
    Operator,
    /// The group, or whoever told it to: a refresh, a scale-in.
    Group,
    /// The cloud: a spot notice, a recommendation, maintenance.
    Cloud,
    /// A limit: age, of the instance or of its runner, or the number of jobs.
    Limit,
}

impl From<LeaveReason> for DecidedBy {
    fn from(reason: LeaveReason) -> Self {
        match reason {
            LeaveReason::Full | LeaveReason::Idle | LeaveReason::Broken => Self::Agent,
            LeaveReason::Limit | LeaveReason::Age | LeaveReason::RunnerExpired => Self::Limit,
            LeaveReason::Operator => Self::Operator,
            LeaveReason::Rebalance | LeaveReason::Maintenance | LeaveReason::Spot => Self::Cloud,
            LeaveReason::ScaleIn => Self::Group,
        }
    }
}

impl DecidedBy {
    /// The word in records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Operator => "operator",
            Self::Group => "group",
            Self::Cloud => "cloud",
            Self::Limit => "limit",
        }
    }
}

/// How an instance is ended, gentlest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// The group ends it already: its hook is answered, or the ending waited for.
    Group,
    /// Its launch is given up: its group ends it, and launches another.
    Abandon,
    /// It is terminated in its group, the desired capacity one lower.
    Decrement,
    /// It is terminated in its group, which replaces it if it must.
    Replace,
    /// The group is told that it is unhealthy.
    Unhealthy,
    /// The machine itself is terminated, past the group.
    Terminate,
    /// The machine is switched off.
    PowerOff,
}

impl Way {
    /// The word in records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Group => "group",
            Self::Abandon => "abandon",
            Self::Decrement => "decrement",
            Self::Replace => "replace",
            Self::Unhealthy => "unhealthy",
            Self::Terminate => "terminate",
            Self::PowerOff => "power_off",
        }
    }
}

impl From<Rung> for Way {
    fn from(rung: Rung) -> Self {
        match rung {
            Rung::Abandon => Self::Abandon,
            Rung::Decrement => Self::Decrement,
            Rung::Replace => Self::Replace,
            Rung::Unhealthy => Self::Unhealthy,
            Rung::Terminate => Self::Terminate,
            Rung::PowerOff => Self::PowerOff,
        }
    }
}

/// The jobs that the last snapshot saw.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobsAtEnd {
    /// How many; absent when that could not be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
    /// Their ids as far as known, at most twenty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ids: Vec<String>,
    /// Why they could not be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown: Option<String>,
    /// Whether jobs were failed, visibly, because a deadline of the cloud was near.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
    /// The ids of those that ran then, at most twenty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cut_ids: Vec<String>,
    /// The ids of those that ran when the service was told to stop, at most twenty. A machine that shuts down ends jobs before the agent can see
    /// it: whether these ended by themselves, their platform knows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub at_stop: Vec<String>,
}

/// How long an instance was in a phase, all its times together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhaseSpan {
    /// The phase's word, as in the status.
    pub phase: String,
    /// In milliseconds.
    pub ms: u64,
}

/// One part of the boot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BootPart {
    /// Its name, as in the status.
    pub part: String,
    /// When it ended, in milliseconds since the kernel started.
    pub until_ms: u64,
}

/// Something that an instance was told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoticeSeen {
    /// When it was first seen, RFC 3339 in UTC.
    pub time: String,
    /// What it was.
    pub notice: NoticeKind,
    /// When it takes effect, where it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
}

/// What an instance can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoticeKind {
    /// The cloud ends it at a known time.
    Spot,
    /// The cloud recommends to rebalance.
    Rebalance,
    /// The cloud has scheduled maintenance.
    Maintenance,
    /// The group has chosen it for termination.
    ScaleIn,
    /// An operator's `drain`.
    Drain,
    /// An operator's `undrain`.
    Undrain,
    /// An operator's `hold`.
    Hold,
    /// The service was told to stop.
    Stop,
}

impl NoticeKind {
    /// The word in records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Spot => "spot",
            Self::Rebalance => "rebalance",
            Self::Maintenance => "maintenance",
            Self::ScaleIn => "scale_in",
            Self::Drain => "drain",
            Self::Undrain => "undrain",
            Self::Hold => "hold",
            Self::Stop => "stop",
        }
    }
}

/// What shows that no job ran and none could come.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// Whether it was proven. Not where a spot deadline or a limit cut the wait short, nor where only silence spoke for it.
    pub proven: bool,
    /// What spoke for it, in order, at most eight.
    pub steps: Vec<ProofStep>,
    /// Why it was not proven, or why the last look was not quiet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub without: Option<String>,
}

/// One piece of a proof.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProofStep {
    /// When, RFC 3339 in UTC.
    pub time: String,
    /// Whose word it was.
    pub by: ProofBy,
    /// In words.
    pub detail: String,
}

/// Whose word it was that no job runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProofBy {
    /// The platform's: nothing runs, and nothing can come.
    Platform,
    /// The runner exited, after it was told to take no more jobs.
    RunnerExit,
    /// No runner was left.
    NoRunner,
    /// All probes were quiet in a snapshot begun after the rest.
    Probes,
    /// The journal of an earlier agent says that it was proven.
    Journal,
}

/// How bad a line of the log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Somebody wants to know tomorrow.
    Warn,
    /// Somebody must act.
    Error,
}

/// A warning or an error of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// When, RFC 3339 in UTC.
    pub time: String,
    pub level: Severity,
    /// What it said, at most 300 characters.
    pub message: String,
}

/// Of what took part.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Versions {
    pub agent: String,
    /// The machine image's, as far as known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// The runner's, as far as known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runner: Option<String>,
}
