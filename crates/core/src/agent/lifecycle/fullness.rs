//! Too little room for another job: no more are taken, room is made between jobs, and the instance serves again or is broken.

use std::time::Duration;

use super::{
    Lifecycle,
    state::{DrainStep, Draining, State},
};
use crate::{
    agent::{action::Request, event::Outcome, phase::LeaveReason},
    time::Tick,
};

/// How long after room was made a shortage does not count yet: it may have been seen before.
const STALE: Duration = Duration::from_secs(10);

impl Lifecycle {
    /// Takes no more jobs where there is too little room for another.
    pub(super) fn check_shortage(&mut self, now: Tick) {
        let serves = matches!(self.state, State::Registering { .. } | State::Serving(_) | State::Returning { .. });
        let Some(shortage) = self.shortage.clone().filter(|_| serves && self.reasons.trouble().is_none()) else {
            return;
        };
        match self.made_room {
            Some((_, at)) if now.since(at) < STALE => {}
            // Whatever fills it, it is no job, and it would do so again.
            Some((before, _)) if before == self.served() => {
                self.reasons.break_down(format!("{shortage}, and no job has run since room was made"));
            }
            _ => {
                self.note(format!("no more jobs until there is room: {shortage}"));
                self.leave(LeaveReason::Full, now);
            }
        }
    }

    pub(super) fn make_room_answer(&mut self, draining: Draining, outcome: Outcome, now: Tick) {
        self.made_room = Some((self.served(), now));
        match outcome {
            // Called away by something stronger meanwhile.
            _ if draining.why != LeaveReason::Full => self.retire(draining, now),
            Outcome::Done => {
                self.shortage = None;
                self.note("there is room again; serving");
                self.turn_back(now);
            }
            other => {
                let why = self.stays_full(&other.text());
                self.retire(Draining { why, step: DrainStep::MakeRoom, ..draining }, now);
                // For a restart only.
                self.ask(Request::Save(self.saved()));
            }
        }
    }

    /// It stays as full as it is, and is broken.
    pub(super) fn stays_full(&mut self, why: &str) -> LeaveReason {
        let shortage = self.shortage.as_deref().unwrap_or("too little room for another job");
        let trouble = if why.contains(shortage) { why.to_owned() } else { format!("{shortage}; {why}") };
        self.note(trouble.clone());
        self.reasons.break_down(trouble);
        LeaveReason::Broken
    }
}
