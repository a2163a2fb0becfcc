//! Retiring: deregister, then end the instance, by ever blunter ways, each verified.

use std::time::Duration;

use super::{
    Lifecycle,
    draining::failure_text,
    state::{Draining, RetireStep, Retiring, State},
};
use crate::{
    agent::{action::Rung, event::Outcome, phase::LeaveReason},
    cloud::Membership,
    time::Tick,
};

/// Tries before a registration that cannot be removed is left behind.
const DEREGISTER_TRIES: u8 = 4;
/// How long a description may lag behind an accepted termination.
const STALE: Duration = Duration::from_secs(30);

impl Lifecycle {
    pub(super) fn retire(&mut self, draining: Draining, now: Tick) {
        let Draining { why, gentlest: rung, .. } = draining;
        self.enter(State::Retiring(Retiring {
            why,
            step: RetireStep::Deregister,
            rung,
            rung_since: now,
            accepted: None,
        }));
    }

    pub(super) fn retire_answer(&mut self, retiring: Retiring, outcome: Outcome, now: Tick) {
        match retiring.step {
            RetireStep::Deregister => self.deregister_answer(retiring, outcome, now),
            RetireStep::Look => self.look_answer(retiring, outcome, now),
            RetireStep::CompleteHook if outcome == Outcome::Done => {
                self.retire_by(Retiring { step: RetireStep::Look, accepted: Some(now), ..retiring });
                self.again(now);
            }
            // The wait may not be registered yet, or may be over: look again.
            RetireStep::CompleteHook => self.look_again(retiring, now),
            RetireStep::End => self.end_answer(retiring, outcome, now),
        }
    }

    fn deregister_answer(&mut self, retiring: Retiring, outcome: Outcome, now: Tick) {
        match outcome {
            Outcome::Done => {}
            Outcome::Failed(why)
                if self.main_line.backoff.tries + 1 < DEREGISTER_TRIES && self.reasons.spot.is_none() =>
            {
                self.note(why);
                self.again(now);
                return;
            }
            other => self.note(format!("the registration stays behind at the platform: {}", failure_text(other))),
        }
        self.runner.deregister();
        self.retire_by(Retiring { step: RetireStep::Look, ..retiring });
    }

    fn look_answer(&mut self, retiring: Retiring, outcome: Outcome, now: Tick) {
        if now.since(retiring.rung_since) >= self.policy.rung_patience {
            self.climb(retiring, now);
            return;
        }
        // What was accepted a moment ago may not show yet, and is not asked for again.
        let fresh = retiring.accepted.is_some_and(|at| now.since(at) < STALE);
        match outcome {
            Outcome::Member(Membership::Terminating { waiting: true }) => {
                self.retire_by(Retiring { step: RetireStep::CompleteHook, ..retiring });
            }
            Outcome::Member(Membership::Terminating { waiting: false }) => {
                let accepted = Some(retiring.accepted.unwrap_or(now));
                self.await_end(Retiring { accepted, ..retiring }, now);
            }
            Outcome::Member(Membership::Outside) if retiring.rung >= Rung::Terminate && retiring.accepted.is_some() => {
                self.await_end(retiring, now);
            }
            Outcome::Member(Membership::Outside) => self.end_by(retiring, retiring.rung.max(Rung::Terminate), now),
            Outcome::Member(Membership::Pending | Membership::InService { .. } | Membership::Standby) if fresh => {
                self.again(now);
            }
            Outcome::Member(Membership::Pending | Membership::InService { .. }) => {
                self.end_by(retiring, retiring.rung, now);
            }
            Outcome::Member(Membership::Standby) => self.end_by(retiring, retiring.rung.max(Rung::Replace), now),
            // Without the right to look, act.
            Outcome::Denied(why) => {
                self.note(why);
                if fresh { self.again(now) } else { self.end_by(retiring, retiring.rung, now) }
            }
            other => {
                self.note(failure_text(other));
                self.again(now);
            }
        }
    }

    fn end_answer(&mut self, retiring: Retiring, outcome: Outcome, now: Tick) {
        match outcome {
            Outcome::Done => {
                self.retire_by(Retiring { step: RetireStep::Look, accepted: Some(now), ..retiring });
                self.again(now);
            }
            Outcome::AtFloor if retiring.why == LeaveReason::Idle => {
                self.note("the group reached its floor meanwhile; serving again");
                self.idle_retry = now + self.policy.floor_retry;
                self.turn_back(now);
            }
            Outcome::AtFloor => self.end_by(retiring, retiring.rung.max(Rung::Replace), now),
            Outcome::NotInGroup if retiring.rung < Rung::Terminate => self.end_by(retiring, Rung::Terminate, now),
            Outcome::Denied(why) if retiring.rung < Rung::PowerOff => {
                self.note(why);
                self.climb(retiring, now);
            }
            // Whether it was applied is not known: look before it is repeated.
            other => {
                if let Outcome::Failed(why) | Outcome::Denied(why) = other {
                    self.note(why);
                }
                self.look_again(retiring, now);
            }
        }
    }

    /// The cloud has agreed; the machine ends at any moment. Who was told to stop does not wait for that for ever: the shutdown waits for
    /// the service, and sends no second signal to one that is being stopped already.
    fn await_end(&mut self, retiring: Retiring, now: Tick) {
        if self.reasons.stops > 0 && retiring.accepted.is_some_and(|at| now.since(at) >= STALE) {
            self.enter(State::Gone);
        } else {
            self.state = State::Retiring(retiring);
            self.again(now);
        }
    }

    fn climb(&mut self, retiring: Retiring, now: Tick) {
        self.end_by(Retiring { rung_since: now, ..retiring }, retiring.rung.next(), now);
    }

    fn end_by(&mut self, retiring: Retiring, rung: Rung, now: Tick) {
        let step = RetireStep::End;
        self.retire_by(if rung == retiring.rung {
            Retiring { step, ..retiring }
        } else {
            Retiring { step, rung, rung_since: now, accepted: None, ..retiring }
        });
    }

    fn retire_by(&mut self, retiring: Retiring) {
        self.enter(State::Retiring(retiring));
    }

    /// Looks, later each time that nothing came of it.
    fn look_again(&mut self, retiring: Retiring, now: Tick) {
        let backoff = self.main_line.backoff;
        self.retire_by(Retiring { step: RetireStep::Look, ..retiring });
        self.main_line.backoff = backoff;
        self.again(now);
    }
}
