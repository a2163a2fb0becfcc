//! Retiring: deregister, then end the instance, by ever blunter ways, each verified.

use crate::cloud::{Membership, Room};
use std::time::Duration;

use crate::{
    agent::{
        Agent, Step,
        action::Rung,
        event::Outcome,
        phase::{LeaveReason, Phase},
        serving::text,
    },
    time::Tick,
};

/// Tries before a registration that cannot be removed is left behind.
const DEREGISTER_TRIES: u8 = 4;
/// How long a description may lag behind an accepted termination.
const STALE: Duration = Duration::from_secs(30);

impl Agent {
    pub(super) fn retire(&mut self, now: Tick) {
        let why = self.phase.why().unwrap_or(LeaveReason::Broken);
        self.phase = Phase::Retiring { why };
        self.rung_since = now;
        self.accepted = None;
        self.go(Step::Deregister);
    }

    /// Where the group is larger than its desired capacity, shrinking it would go one too far.
    pub(super) fn rung_for(&mut self, room: Room) {
        self.rung = if room.members > room.desired { Rung::Replace } else { Rung::Shrink };
    }

    pub(super) fn retiring_answer(&mut self, outcome: Outcome, now: Tick) {
        match self.step {
            Step::Deregister => self.deregister_answer(outcome, now),
            Step::Look => self.look_answer(outcome, now),
            Step::Complete => {
                if outcome == Outcome::Done {
                    self.accepted = Some(now);
                    self.go(Step::Look);
                } else {
                    // The wait may not be registered yet, or may be over: look again.
                    let tries = self.backoff;
                    self.go(Step::Look);
                    self.backoff = tries;
                }
                self.again(now);
            }
            Step::End => self.end_answer(outcome, now),
            Step::Join
            | Step::Register
            | Step::Serve
            | Step::Room
            | Step::Return
            | Step::Undrain
            | Step::OldExit
            | Step::Save
            | Step::Ask
            | Step::Exit
            | Step::Confirm => {}
        }
    }

    fn deregister_answer(&mut self, outcome: Outcome, now: Tick) {
        match outcome {
            Outcome::Done => {
                self.deregistered = true;
                self.go(Step::Look);
            }
            Outcome::Failed(why) if self.backoff.tries + 1 < DEREGISTER_TRIES && self.spot.is_none() => {
                self.note = Some(why);
                self.again(now);
            }
            other => {
                self.note = Some(format!("the registration stays behind at the platform: {}", text(other)));
                self.deregistered = true;
                self.go(Step::Look);
            }
        }
    }

    fn look_answer(&mut self, outcome: Outcome, now: Tick) {
        if now.since(self.rung_since) >= self.policy.rung_patience {
            self.climb(now);
            return;
        }
        // What was accepted a moment ago may not show yet, and is not asked for again.
        let fresh = self.accepted.is_some_and(|at| now.since(at) < STALE);
        match outcome {
            Outcome::Member(Membership::Terminating { waiting: true }) => self.go(Step::Complete),
            Outcome::Member(Membership::Terminating { waiting: false }) => {
                self.accepted.get_or_insert(now);
                self.await_end(now);
            }
            Outcome::Member(Membership::Outside) if self.rung >= Rung::Terminate && self.accepted.is_some() => {
                self.await_end(now);
            }
            Outcome::Member(Membership::Outside) => self.end_by(self.rung.max(Rung::Terminate), now),
            Outcome::Member(Membership::Pending | Membership::InService { .. } | Membership::Standby) if fresh => {
                self.again(now);
            }
            Outcome::Member(Membership::Pending | Membership::InService { .. }) => self.go(Step::End),
            Outcome::Member(Membership::Standby) => self.end_by(self.rung.max(Rung::Replace), now),
            // Without the right to look, act.
            Outcome::Denied(why) => {
                self.note = Some(why);
                if fresh { self.again(now) } else { self.go(Step::End) }
            }
            other => {
                self.note = Some(text(other));
                self.again(now);
            }
        }
    }

    fn end_answer(&mut self, outcome: Outcome, now: Tick) {
        match outcome {
            Outcome::Done => {
                self.accepted = Some(now);
                self.go(Step::Look);
                self.again(now);
            }
            Outcome::AtFloor if self.phase == (Phase::Retiring { why: LeaveReason::Idle }) => {
                self.note = Some("the group reached its floor meanwhile; serving again".into());
                self.idle_retry = now + self.policy.floor_retry;
                self.turn_back(now);
            }
            Outcome::AtFloor => self.end_by(self.rung.max(Rung::Replace), now),
            Outcome::NotInGroup if self.rung < Rung::Terminate => self.end_by(Rung::Terminate, now),
            Outcome::Denied(why) if self.rung < Rung::PowerOff => {
                self.note = Some(why);
                self.climb(now);
            }
            // Whether it was applied is not known: look before it is repeated.
            other => {
                if let Outcome::Failed(why) | Outcome::Denied(why) = other {
                    self.note = Some(why);
                }
                let tries = self.backoff;
                self.go(Step::Look);
                self.backoff = tries;
                self.again(now);
            }
        }
    }

    /// The cloud has agreed; the machine ends at any moment. Who was told to stop does not wait for that for ever: the shutdown waits for
    /// the service, and sends no second signal to one that is being stopped already.
    fn await_end(&mut self, now: Tick) {
        if self.stops > 0 && self.accepted.is_some_and(|at| now.since(at) >= STALE) {
            self.phase = Phase::Gone;
        } else {
            self.again(now);
        }
    }

    fn climb(&mut self, now: Tick) {
        self.rung_since = now;
        self.end_by(self.rung.next(), now);
    }

    fn end_by(&mut self, rung: Rung, now: Tick) {
        if rung != self.rung {
            self.rung = rung;
            self.accepted = None;
            self.rung_since = now;
        }
        self.go(Step::End);
    }
}
