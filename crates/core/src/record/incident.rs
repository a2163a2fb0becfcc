//! `incident`: a trouble or a turn in an instance's life that somebody may ask about later.

use serde::{Deserialize, Serialize};

use super::line;
use crate::cloud::Machine;

/// Something that happened to an instance. The JSON form is one line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    /// When, RFC 3339 in UTC.
    pub time: String,
    /// The instance.
    pub instance: String,
    /// Its group, as far as known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// What kind of machine it is.
    #[serde(flatten)]
    pub machine: Machine,
    /// Its CI platform.
    pub platform: String,
    /// What happened.
    pub what: IncidentKind,
    /// In words, and whose answer it was; at most 300 characters.
    pub detail: String,
    /// What is behind it, where the agent knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub because: Option<IncidentCause>,
    /// Of [`IncidentKind::Busy`] alone: the jobs that are seen, at most twenty; empty when they have no names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub jobs: Vec<String>,
    /// How often this has happened in a row by now: what repeats is written down the first time, and then whenever the number has doubled.
    #[serde(default = "once", skip_serializing_if = "is_once")]
    pub times: u32,
}

impl Incident {
    /// The incident as one line of JSON.
    pub fn json(&self) -> String {
        line("incident", self)
    }
}

/// What is behind an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IncidentCause {
    /// The platform sends no jobs to a runner of this version.
    RunnerTooOld,
    /// No termination hook waits for this instance any more, so that nothing holds off its end.
    HookGone,
    /// The service manager told the agent to stop: an operator's wish, or a machine that shuts down.
    ServiceStopped,
    /// The service manager told the agent to stop when the time of the termination hook was over: the group has the machine shut down.
    HookTimedOut,
}

fn once() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_once(times: &u32) -> bool {
    *times == 1
}

macro_rules! kinds {
    ($($(#[doc = $doc:literal])* $name:ident = $word:literal),+ $(,)?) => {
        /// What happened.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum IncidentKind { $($(#[doc = $doc])* #[serde(rename = $word)] $name),+ }

        impl IncidentKind {
            /// Every kind.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// The word in records.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word),+ }
            }

            /// What it means, as its documentation says.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc),*).trim_ascii()),+ }
            }
        }
    };
}

kinds! {
    /// The agent began, on a fresh instance or with nothing left of an earlier agent's runner.
    Started = "started",
    /// The agent began and found the runner of an earlier agent, which had crashed, hung or been upgraded.
    RunnerFound = "runner_found",
    /// `agent.before_register` failed.
    BeforeRegisterFailed = "before_register_failed",
    /// The group does not say yet that the instance is in service.
    NotInService = "not_in_service",
    /// The runner could not be registered or started: the platform's answer, a token that cannot be read, a runner that is too old.
    RegistrationFailed = "registration_failed",
    /// The instance is ready for jobs.
    Ready = "ready",
    /// Jobs run here: which, when the first one is seen and whenever they are others.
    Busy = "busy",
    /// No job runs here any more.
    Idle = "idle",
    /// The runner exited by itself.
    RunnerExited = "runner_exited",
    /// What runs here could not be told for a minute or longer, so that the instance counts as busy.
    ActivityUnknown = "activity_unknown",
    /// What runs here can be told again.
    ActivityKnown = "activity_known",
    /// The instance is idle and stays: the group has no room to shrink, or that could not be told.
    NoRoom = "no_room",
    /// An operator holds the instance: it does not leave for idleness or age.
    Held = "held",
    /// An operator ended the hold.
    HoldEnded = "hold_ended",
    /// An operator, or whoever stopped the service, asked it to leave.
    DrainOrdered = "drain_ordered",
    /// A spot notice: the cloud ends the instance at a known time.
    SpotNotice = "spot_notice",
    /// The cloud recommends to rebalance.
    RebalanceNotice = "rebalance_notice",
    /// The cloud has scheduled maintenance.
    MaintenanceNotice = "maintenance_notice",
    /// The group has chosen the instance for termination: a refresh, a scale-in, an operator.
    ScaleInNotice = "scale_in_notice",
    /// The instance begins to leave.
    Leaving = "leaving",
    /// A drain is taken back.
    DrainTakenBack = "drain_taken_back",
    /// The platform or the runner did not take the word that no more jobs are wanted.
    DrainFailed = "drain_failed",
    /// Jobs that still ran were failed, visibly, because a deadline of the cloud was near.
    JobsCut = "jobs_cut",
    /// A runner that was told to exit, had no job and did not exit was ended.
    StuckRunner = "stuck_runner",
    /// A termination hook could not be extended.
    HeartbeatRefused = "heartbeat_refused",
    /// The group has no termination hook: what else ends the instance leaves its jobs no time.
    NoHook = "no_hook",
    /// The registration could not be removed from the platform.
    DeregistrationFailed = "deregistration_failed",
    /// The cloud refused a call, for want of a right or otherwise for good.
    CloudRefused = "cloud_refused",
}
