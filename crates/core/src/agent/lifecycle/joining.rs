//! Into service: booting, registering, and coming back from a drain that was taken back.

use super::{
    Lifecycle,
    state::{BootStep, Booting, ReturnStep, State},
    timers::Timer,
};
use crate::{
    agent::{
        action::Request,
        event::Outcome,
        phase::{BrokenBy, Saved},
        policy::Protection,
    },
    cloud::{Membership, ProtectionSupport, TargetState},
    duration::format_duration,
    time::Tick,
};

impl Lifecycle {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "an outcome that does not fit is noted in its own words, whichever it is"
    )]
    pub(super) fn prepare_answer(&mut self, outcome: Outcome, now: Tick) {
        match outcome {
            Outcome::Done => {
                self.note = None;
                self.enter(State::booting(now));
            }
            // It runs once a boot: what it did not do, nobody will.
            Outcome::Denied(why) => {
                self.reasons.break_down(BrokenBy::BeforeRegister, format!("agent.before_register failed: {why}"));
            }
            other => {
                self.note(other.text());
                self.again(now);
            }
        }
    }

    pub(super) fn boot_answer(&mut self, booting: Booting, outcome: Outcome, now: Tick) {
        match booting.step {
            BootStep::Look => self.join_answer(booting, outcome, now),
            BootStep::GetReady if outcome == Outcome::Done => {
                self.note = None;
                self.boot_by(Booting { step: BootStep::CompleteLaunchHook, ..booting });
            }
            BootStep::GetReady if let Outcome::Short(what) = outcome => self.found_short(what, now),
            // The group moves it on within moments: asked at once, and often.
            BootStep::CompleteLaunchHook if outcome == Outcome::Done => {
                self.enter(State::Booting(Booting { step: BootStep::Look, let_in: booting.seen, ..booting }));
            }
            // The group may have moved on by itself meanwhile.
            BootStep::GetReady | BootStep::CompleteLaunchHook => {
                self.note(outcome.text());
                self.boot_by(Booting { step: BootStep::Look, ..booting });
                self.again(now);
            }
        }
    }

    /// The next step of the way into service. The pauses go on from where they are.
    fn boot_by(&mut self, booting: Booting) {
        self.amend(State::Booting(booting));
    }

    /// Whether it waits in the warm pool until it is needed, and nothing is to be asked meanwhile. A launch hook holds it on its way in, too.
    pub(super) fn rests_in_pool(&self, booting: Booting) -> bool {
        let arrived = booting.seen == Some(Membership::Warm);
        self.reasons.target() == TargetState::Warmed && (arrived || !self.policy.launch_hook)
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "an outcome that does not fit is noted in its own words, whichever it is"
    )]
    fn join_answer(&mut self, booting: Booting, outcome: Outcome, now: Tick) {
        if let Outcome::Member(seen) = outcome {
            self.boot_by(Booting { seen: Some(seen), ..booting });
        }
        match outcome {
            // A job must not begin before a description shows the protection that was asked for.
            Outcome::Member(Membership::InService { protected: false }) if self.protects_itself_first() => {
                self.side.set_protected(false);
                self.note("in service, but not protected from scale-in yet");
                self.again(now);
            }
            Outcome::Member(Membership::InService { protected }) => {
                self.side.set_protected(protected);
                self.note = None;
                self.in_service.get_or_insert(now);
                self.enter(State::Registering { since: booting.since });
            }
            Outcome::Member(held @ (Membership::Pending { waiting: true } | Membership::Warming { waiting: true }))
                if self.policy.launch_hook && booting.let_in != Some(held) =>
            {
                self.boot_by(Booting { step: BootStep::GetReady, seen: Some(held), ..booting });
            }
            Outcome::Member(place @ (Membership::Warming { .. } | Membership::Warm)) => {
                // The time in a warm pool is no delay of ours; what the metadata announce may come later.
                self.state.restart_boot_clock(now);
                let there = place == Membership::Warm;
                self.note(if there { "waiting in the warm pool" } else { "on its way into the warm pool" });
                self.again(now);
            }
            Outcome::Member(membership) => {
                self.note(format!("waiting to be in service; the group says that {}", membership.in_words()));
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

    /// Whether the instance must protect itself before it serves: the cloud did not at its launch.
    pub(super) fn protects_itself_first(&self) -> bool {
        self.cloud.protection == ProtectionSupport::OnDemand && self.protection() == Protection::Always
    }

    pub(super) fn register(&mut self, now: Tick) {
        self.enter(State::Registering { since: now });
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "an outcome that does not fit is noted in its own words, whichever it is"
    )]
    pub(super) fn register_answer(&mut self, outcome: Outcome, now: Tick) {
        match outcome {
            Outcome::Registered => {
                self.runner.started(now);
                self.note = None;
                self.serve(now);
            }
            Outcome::Short(what) => self.found_short(what, now),
            other => {
                self.note(other.text());
                self.again(now);
            }
        }
    }

    /// Leaves a drain and serves again: a job slipped in, the group has no room, or an operator changed their mind.
    pub(super) fn turn_back(&mut self, now: Tick) {
        self.enter(State::Returning { since: Some(now), step: ReturnStep::Save });
    }

    pub(super) fn undrain_ordered(&mut self, now: Tick) {
        if self.can_undrain() {
            self.orders.undrain();
            self.turn_back(now);
        }
    }

    pub(super) fn return_answer(&mut self, step: ReturnStep, outcome: Outcome, now: Tick) {
        match (step, outcome) {
            (ReturnStep::Save, Outcome::Done) if self.runner.deregistered() => self.rejoin(now),
            (ReturnStep::Save, Outcome::Done) => self.return_by(ReturnStep::Undrain),
            (ReturnStep::Undrain, Outcome::Done) => {
                self.ask(Request::Save(Saved::Serving));
                if self.runner.alive() { self.serve(now) } else { self.rejoin(now) }
            }
            (ReturnStep::Undrain, Outcome::Relaunch) if self.runner.alive() => {
                // How long it was quiet before it was told to go says nothing about after.
                self.return_by(ReturnStep::OldExit { quiet_since: None });
            }
            (ReturnStep::Undrain, Outcome::Relaunch) => self.rejoin(now),
            (ReturnStep::Save | ReturnStep::Undrain | ReturnStep::OldExit { .. }, other) => {
                self.note(other.text());
                self.again(now);
            }
        }
    }

    /// Without a runner the way back is through the same door as a boot: it may never have been in service, and the group may have moved it.
    pub(super) fn rejoin(&mut self, now: Tick) {
        self.enter(State::first(&self.policy, now));
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
            let limit = format_duration(self.policy.boot_deadline);
            let words = format!("not ready within {limit} (agent.boot_deadline): {last}");
            self.reasons.break_down(BrokenBy::BootDeadline, words);
        }
    }
}

impl Booting {
    /// Whether the launch hook may hold the instance, as far as known, and was not answered.
    pub(super) fn may_be_held(self) -> bool {
        match self.seen {
            None => true,
            Some(seen @ (Membership::Pending { waiting: true } | Membership::Warming { waiting: true })) => {
                self.let_in != Some(seen)
            }
            Some(
                Membership::Pending { waiting: false }
                | Membership::Warming { waiting: false }
                | Membership::Warm
                | Membership::InService { .. }
                | Membership::Standby
                | Membership::Terminating { .. }
                | Membership::Outside,
            ) => false,
        }
    }
}
