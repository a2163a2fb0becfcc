//! Requests beside the main line, one of each kind in flight at most: protection, the hook's heartbeat, an early snapshot, a second save, an abort.

use crate::cloud::TargetState;
use std::time::Duration;

use crate::{
    agent::{
        Agent,
        action::Request,
        event::{Outcome, RequestId},
        phase::Phase,
        policy::Protection,
    },
    time::Tick,
};

/// The pause before protection that could not be set is tried again, and before a heartbeat that failed.
const RETRY: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Slot {
    /// The request in flight.
    pub(super) asked: Option<RequestId>,
    /// When the next one is due.
    pub(super) due: Option<Tick>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Slots {
    pub(super) heartbeat: Slot,
    pub(super) protect: Slot,
    /// What protection was asked for.
    wanted: bool,
    /// What protection is known to be.
    pub(super) protected: Option<bool>,
    pub(super) probe: Option<RequestId>,
}

impl Agent {
    /// Sets or lifts protection where the policy wants it otherwise than it is.
    pub(super) fn keep_protection(&mut self, now: Tick) {
        let want = match (self.policy.protection, self.phase) {
            (_, Phase::Booting | Phase::Registering | Phase::Retiring { .. } | Phase::Gone) => None,
            (Protection::Always, Phase::Idle { .. } | Phase::Busy | Phase::Draining { .. }) => {
                // Never known since a restart: it was born protected, and only this agent could have lifted it.
                (self.slots.protected == Some(false)).then_some(true)
            }
            (Protection::WhileBusy, Phase::Idle { .. }) => Some(false),
            (Protection::WhileBusy, Phase::Busy | Phase::Draining { .. }) => Some(true),
        };
        let Some(want) =
            want.filter(|want| self.slots.protected != Some(*want) && self.target != TargetState::Terminated)
        else {
            self.slots.protect.due = None;
            return;
        };
        if self.slots.protect.asked.is_some() || self.slots.protect.due.is_some_and(|due| due > now) {
            return;
        }
        self.slots.wanted = want;
        self.slots.protect = Slot { asked: Some(self.ask(Request::Protect(want))), due: None };
    }

    /// Extends the termination hook for as long as jobs are waited for.
    pub(super) fn keep_hook_alive(&mut self, now: Tick) {
        if self.target != TargetState::Terminated || !matches!(self.phase, Phase::Draining { .. }) {
            self.slots.heartbeat.due = None;
            return;
        }
        if self.slots.heartbeat.asked.is_some() || self.slots.heartbeat.due.is_some_and(|due| due > now) {
            return;
        }
        self.slots.heartbeat = Slot { asked: Some(self.ask(Request::Heartbeat)), due: None };
    }

    /// An early look at all probes, in the last part of an idle period.
    pub(super) fn probe_early(&mut self) {
        if self.slots.probe.is_none() {
            self.slots.probe = Some(self.ask(Request::Probe));
        }
    }

    pub(super) fn slot_answer(&mut self, id: RequestId, outcome: Outcome, now: Tick) {
        if self.slots.heartbeat.asked == Some(id) {
            let pause = match outcome {
                Outcome::Done => self.heartbeat,
                _ => self.heartbeat.min(RETRY),
            };
            self.slots.heartbeat = Slot { asked: None, due: Some(now + pause) };
        } else if self.slots.protect.asked == Some(id) {
            let done = outcome == Outcome::Done;
            self.slots.protect = Slot { asked: None, due: (!done).then(|| now + RETRY) };
            if done {
                self.slots.protected = Some(self.slots.wanted);
            }
        } else if self.slots.probe == Some(id) {
            self.slots.probe = None;
            if let Outcome::Snapshot(activity) = outcome {
                self.observe(activity, now);
            }
        }
    }
}
