//! What an operator sees of an agent.

use serde::Serialize;

use crate::{
    activity::{Activity, JobId},
    agent::{
        Agent,
        phase::{LeaveReason, Phase},
    },
    time::Tick,
};

/// A snapshot of the agent for its status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Status {
    /// The phase's word.
    pub phase: &'static str,
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
    /// When a spot deadline ends the instance.
    #[serde(skip)]
    pub spot_deadline: Option<Tick>,
}

impl Agent {
    /// The present status.
    pub fn status(&self) -> Status {
        let (jobs, unknown) = match &self.activity {
            Activity::Busy(jobs) => (jobs.iter().cloned().collect(), None),
            Activity::Quiet => (Vec::new(), None),
            Activity::Unknown(why) => (Vec::new(), Some(why.clone())),
        };
        Status {
            phase: self.phase.as_str(),
            why: self.phase.why(),
            jobs,
            unknown,
            protected: self.slots.protected,
            served: self.served,
            note: self.note.clone(),
            held: self.hold.is_some(),
            spot_deadline: self.spot.map(|budget| budget.deadline),
        }
    }

    /// How many busy periods were counted; survives a restart through the shell's journal.
    pub fn served(&self) -> u32 {
        self.served
    }

    /// Whether the runner is believed to be alive.
    pub fn runner_alive(&self) -> bool {
        self.runner_alive
    }

    /// Since when it has been idle.
    pub fn idle_since(&self) -> Option<Tick> {
        match self.phase {
            Phase::Idle { since } => Some(since),
            Phase::Booting
            | Phase::Registering
            | Phase::Busy
            | Phase::Draining { .. }
            | Phase::Retiring { .. }
            | Phase::Gone => None,
        }
    }
}
