//! What others see of an agent: an operator, the host that carries its wishes out, and the model.

use std::time::Duration;

use serde::Serialize;

use super::{
    Lifecycle,
    state::{DrainStep, Draining, State},
};
use crate::{
    activity::{Activity, JobId},
    agent::{
        phase::{BrokenBy, LeaveReason, Phase, PhaseName, Saved},
        policy::AgentPolicy,
    },
    time::Tick,
};

/// How often the probes are asked without an occasion: while nothing runs, and while something does.
const IDLE_SAMPLES: Duration = Duration::from_secs(5);
const BUSY_SAMPLES: Duration = Duration::from_secs(1);

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
    /// The present phase.
    pub fn phase(&self) -> Phase {
        self.state.phase()
    }

    /// Whether an operator's undrain would still be heard.
    pub fn can_undrain(&self) -> bool {
        // Whoever makes room must not meet a job.
        matches!(
            self.state,
            State::Draining(Draining { why: LeaveReason::Idle | LeaveReason::Operator, step, .. }) if !matches!(step, DrainStep::MakeRoom { .. })
        )
    }

    /// How many busy periods were counted.
    pub fn served(&self) -> u32 {
        self.observed.served()
    }

    /// Whether it leaves, and it was proven that no job runs and none can come.
    pub fn proven_empty(&self) -> bool {
        match self.state {
            State::Draining(draining) => {
                matches!(
                    draining.step,
                    DrainStep::Confirm { weak: false, .. }
                        | DrainStep::Held { weak: false }
                        | DrainStep::MakeRoom { .. }
                )
            }
            State::Retiring(retiring) => retiring.proven,
            State::Preparing { .. }
            | State::Booting(_)
            | State::Registering { .. }
            | State::Serving(_)
            | State::Returning { .. }
            | State::Gone => false,
        }
    }

    /// Whether its end is agreed on: it cannot come back.
    pub fn end_accepted(&self) -> bool {
        match self.state {
            State::Retiring(retiring) => retiring.accepted.is_some(),
            State::Gone => true,
            State::Preparing { .. }
            | State::Booting(_)
            | State::Registering { .. }
            | State::Serving(_)
            | State::Draining(_)
            | State::Returning { .. } => false,
        }
    }

    /// What makes it broken, once something does.
    pub fn trouble(&self) -> Option<(BrokenBy, &str)> {
        self.reasons.trouble()
    }

    /// Whether its jobs are failed for a deadline of the cloud.
    pub fn aborted(&self) -> bool {
        self.reasons.aborted()
    }

    /// Until when an operator holds the instance, if one does.
    pub fn hold(&self) -> Option<Tick> {
        self.orders.hold()
    }

    /// From when on the platform may refuse the image's runner, as far as the image says so.
    pub fn runner_expires(&self) -> Option<Tick> {
        self.reasons.runner_expires()
    }

    /// When the instance was first seen in service.
    pub fn in_service(&self) -> Option<Tick> {
        self.in_service
    }

    /// What the journal must say in this phase.
    pub fn saved(&self) -> Saved {
        self.phase().why().map_or(Saved::Serving, |why| Saved::Leaving { why })
    }

    /// The policy in force.
    pub fn policy(&self) -> &AgentPolicy {
        &self.policy
    }

    /// How often the shell samples all probes without an occasion.
    pub fn sample_interval(&self) -> Duration {
        match self.phase() {
            Phase::Preparing | Phase::Booting | Phase::Registering | Phase::Idle { .. } => IDLE_SAMPLES,
            Phase::Busy | Phase::Draining { .. } | Phase::Retiring { .. } | Phase::Gone => BUSY_SAMPLES,
        }
    }

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
            held: self.orders.held(),
            deadline: self.reasons.budget().map(|budget| budget.deadline),
        }
    }
}
