//! What an operator sees of an agent.

use serde::Serialize;

use super::Lifecycle;
use crate::{
    activity::{Activity, JobId},
    agent::phase::{LeaveReason, PhaseName},
    time::Tick,
};

/// A snapshot of the agent for its status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Status {
    /// What it does.
    pub phase: PhaseName,
    /// Why it leaves, once it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<LeaveReason>,
    /// The jobs that the last snapshot saw.
    pub jobs: Vec<JobId>,
    /// Why activity is not known, when it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unknown: Option<String>,
    /// Whether the instance is protected from scale-in, as far as known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protected: Option<bool>,
    /// Busy periods so far.
    pub served: u32,
    /// The last thing that an operator should know.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Whether a hold is in force.
    pub held: bool,
    /// When the cloud ends the instance, or what runs on it.
    #[serde(skip)]
    pub deadline: Option<Tick>,
}

impl Lifecycle {
    /// The present status.
    pub fn status(&self) -> Status {
        let (jobs, unknown) = match self.observed.activity() {
            Activity::Busy(jobs) | Activity::Occupied(jobs) => (jobs.iter().cloned().collect(), None),
            Activity::Quiet => (Vec::new(), None),
            Activity::Unknown(why) => (Vec::new(), Some(why.clone())),
        };
        let phase = self.phase();
        Status {
            phase: phase.name(),
            why: phase.why(),
            jobs,
            unknown,
            protected: self.side.protected(),
            served: self.served(),
            note: self.note.clone(),
            held: self.reasons.hold.is_some(),
            deadline: self.reasons.budget().map(|budget| budget.deadline),
        }
    }
}
