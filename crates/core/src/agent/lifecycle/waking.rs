//! After the machine stood still: hibernated, suspended, paused by its host, or frozen. What was seen before says nothing about now, and what waits for
//! time waits anew: nobody could answer meanwhile, and no time that nobody saw counts against anybody.

use std::time::Duration;

use super::{
    Lifecycle,
    state::{BootStep, Booting, DrainStep, Draining, State},
};
use crate::{activity::Activity, agent::phase::LeaveReason, cloud::Ending, time::Tick};

impl Lifecycle {
    /// The machine goes on. `unseen` is how much of the wall's time this agent's clock did not see.
    pub(super) fn wake(&mut self, unseen: Duration, now: Tick) {
        self.note("the machine stood still; everything is looked at anew");
        self.shift_times(unseen, now);
        self.observe(Activity::Unknown("the machine stood still, and was not looked at since".into()), now);
        self.observed.restart_doubt(now);
        self.state.restart_clocks(now);
        match self.state {
            // An answer that is on its way tells of a place in which it may not be any more.
            State::Booting(booting) => {
                self.enter(State::Booting(Booting { step: BootStep::Look, seen: None, ..booting }));
            }
            // The room that was seen is nobody's any more.
            State::Draining(Draining { why: LeaveReason::Idle, .. }) => self.turn_back(now),
            // Nor is a snapshot from before.
            State::Draining(Draining { step: step @ DrainStep::Confirm { .. }, .. }) => self.drain_by(step),
            State::Preparing { .. }
            | State::Registering { .. }
            | State::Serving(_)
            | State::Returning { .. }
            | State::Draining(_)
            | State::Retiring(_)
            | State::Gone => {}
        }
        self.probe_anew();
    }

    /// Times of the wall's clock come nearer by what was not seen. What takes the instance back and should have done so by now did not: it is over.
    fn shift_times(&mut self, unseen: Duration, now: Tick) {
        self.orders.shift(unseen);
        let in_time = self.served_before_expiry();
        if self.reasons.shift(unseen, now) {
            self.reasons.lift(Ending::Interruption, now);
        }
        // The beginning of service stays, since age counts what was seen: who came in time is not too late by a sleep.
        if in_time && !self.served_before_expiry() {
            self.reasons.set_runner_expires(self.in_service.map(|at| at + Duration::from_millis(1)));
        }
    }

    fn served_before_expiry(&self) -> bool {
        self.in_service.zip(self.reasons.runner_expires()).is_some_and(|(since, expires)| since < expires)
    }
}
