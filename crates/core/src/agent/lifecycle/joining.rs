//! Into service: booting, registering, and coming back from a drain that was taken back.

use super::{
    Lifecycle,
    state::{ReturnStep, State},
    timers::Timer,
};
use crate::{
    agent::{action::Request, event::Outcome, phase::Saved},
    cloud::{Membership, TargetState},
    time::Tick,
};

impl Lifecycle {
    pub(super) fn join_answer(&mut self, outcome: Outcome, now: Tick) {
        match outcome {
            Outcome::Member(Membership::InService { protected }) => {
                self.side.set_protected(protected);
                self.note = None;
                if let State::Booting { since } = self.state {
                    self.enter(State::Registering { since });
                }
            }
            Outcome::Member(membership) => {
                self.note(format!("waiting to be in service; the group says {membership:?}"));
                if matches!(membership, Membership::Terminating { .. }) {
                    self.reasons.set_target(TargetState::Terminated);
                }
                self.again(now);
            }
            other => {
                self.note(other.text());
                self.again(now);
            }
        }
    }

    pub(super) fn register(&mut self, now: Tick) {
        self.enter(State::Registering { since: now });
    }

    pub(super) fn register_answer(&mut self, outcome: Outcome, now: Tick) {
        if outcome == Outcome::Registered {
            self.runner.started(now);
            self.note = None;
            self.serve(now);
        } else {
            self.note(outcome.text());
            self.again(now);
        }
    }

    /// Leaves a drain and serves again: a job slipped in, the group has no room, or an operator changed their mind.
    pub(super) fn turn_back(&mut self, now: Tick) {
        self.enter(State::Returning { since: Some(now), step: ReturnStep::Save });
    }

    pub(super) fn undrain_ordered(&mut self, now: Tick) {
        if self.can_undrain() {
            self.reasons.drain_ordered = false;
            self.reasons.stops = 0;
            self.turn_back(now);
        }
    }

    pub(super) fn return_answer(&mut self, step: ReturnStep, outcome: Outcome, now: Tick) {
        match (step, outcome) {
            // It was about to end: back through the same door as a boot, since the group may have moved it meanwhile.
            (ReturnStep::Save, Outcome::Done) if self.runner.deregistered() => {
                self.enter(State::Booting { since: now });
            }
            (ReturnStep::Save, Outcome::Done) => self.return_by(ReturnStep::Undrain),
            (ReturnStep::Undrain, Outcome::Done) => {
                self.ask(Request::Save(Saved::Serving));
                self.serve(now);
            }
            (ReturnStep::Undrain, Outcome::Relaunch) if self.runner.alive() => {
                // How long it was quiet before it was told to go says nothing about after.
                self.return_by(ReturnStep::OldExit { quiet_since: None });
            }
            (ReturnStep::Undrain, Outcome::Relaunch) => self.register(now),
            (ReturnStep::Save | ReturnStep::Undrain | ReturnStep::OldExit { .. }, other) => {
                self.note(other.text());
                self.again(now);
            }
        }
    }

    fn return_by(&mut self, step: ReturnStep) {
        if let State::Returning { since, .. } = self.state {
            self.enter(State::Returning { since, step });
        }
    }

    /// An instance that is not ready in time is broken.
    pub(super) fn check_boot_deadline(&mut self, now: Tick) {
        if self.elapsed(Timer::BootDeadline, now) {
            let last = self.note.as_deref().unwrap_or("no answer yet");
            self.reasons.break_down(format!("not ready within {:?}: {last}", self.policy.boot_deadline));
        }
    }
}
