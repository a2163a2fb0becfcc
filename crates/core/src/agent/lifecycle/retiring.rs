//! Retiring: deregister, then end the instance, by ever blunter ways, each verified.

use std::time::Duration;

use super::{
    Lifecycle,
    state::{DrainStep, Draining, RetireStep, Retiring, State},
};
use crate::{
    agent::{action::Rung, event::Outcome, phase::LeaveReason},
    cloud::Membership,
    time::Tick,
};

/// Tries before a registration that cannot be removed is left behind.
const DEREGISTER_TRIES: u8 = 4;
/// How long a description may lag behind a termination.
const STALE: Duration = Duration::from_secs(30);

impl Lifecycle {
    pub(super) fn retire(&mut self, draining: Draining, now: Tick) {
        let Draining { why, gentlest, step } = draining;
        // Room is made only where nothing can be in the way; whoever leaves all the same leaves for good.
        let why = if why == LeaveReason::Full {
            self.stays_full("room cannot be made, since it could not be proven that no job runs")
        } else {
            why
        };
        // Only an instance that never was in service may still be held by its launch hook.
        let failed_launch = why == LeaveReason::Broken && self.policy.launch_hook && self.in_service.is_none();
        let rung = if failed_launch { Rung::Abandon } else { gentlest };
        self.enter(State::Retiring(Retiring {
            why,
            step: RetireStep::Deregister,
            rung,
            rung_since: now,
            asked: self.end_asked,
            accepted: None,
            proven: matches!(step, DrainStep::Confirm { weak: false, .. } | DrainStep::MakeRoom { .. }),
            answered: false,
        }));
    }

    pub(super) fn retire_answer(&mut self, retiring: Retiring, outcome: Outcome, now: Tick) {
        match retiring.step {
            RetireStep::Deregister => self.deregister_answer(retiring, outcome, now),
            RetireStep::Look => self.look_answer(retiring, outcome, now),
            RetireStep::CompleteHook => self.hook_answer(retiring, outcome, now),
            RetireStep::End => self.end_answer(retiring, outcome, now),
        }
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "an outcome that does not fit is noted in its own words, whichever it is"
    )]
    fn deregister_answer(&mut self, retiring: Retiring, outcome: Outcome, now: Tick) {
        match outcome {
            Outcome::Done => {}
            Outcome::Failed(why) if self.main_line.backoff.tries + 1 < DEREGISTER_TRIES && self.time_for_more(now) => {
                self.note(why);
                self.again(now);
                return;
            }
            other => self.note(format!("the registration stays behind at the platform: {}", other.text())),
        }
        self.runner.deregister();
        self.enter(State::Retiring(Retiring { step: RetireStep::Look, ..retiring }));
    }

    /// Whether a pause and another try come before a deadline of the cloud.
    fn time_for_more(&self, now: Tick) -> bool {
        let mut backoff = self.main_line.backoff;
        let next = now + backoff.pause(self.jitter);
        self.reasons.budget().is_none_or(|budget| next < budget.leave_at)
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "an outcome that does not fit is noted in its own words, whichever it is"
    )]
    fn look_answer(&mut self, retiring: Retiring, outcome: Outcome, now: Tick) {
        if now.since(retiring.rung_since) >= self.policy.rung_patience {
            self.climb(retiring, now);
            return;
        }
        // What was asked for a moment ago may be applied and not show yet: it is not asked for again.
        let shows_at = retiring.asked.map(|at| at + STALE).filter(|at| now < *at);
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
            Outcome::Member(_) if shows_at.is_some() => {
                // What this agent asked for itself has a note of its own.
                if retiring.accepted.is_none() && retiring.asked == self.end_asked {
                    self.note("the end may have been asked for already, and a description that shows it may be late");
                }
                self.again_by(shows_at, now);
            }
            // A group ends none of its warm pool at an instance's wish.
            Outcome::Member(Membership::Pending { waiting: true } | Membership::Warming { waiting: true })
                if retiring.rung == Rung::Abandon =>
            {
                self.end_anew(retiring, Rung::Abandon, now);
            }
            // The launch hook is about to hold it, or was let go a moment ago.
            Outcome::Member(Membership::Pending { waiting: false }) if retiring.rung == Rung::Abandon => {
                self.again(now);
            }
            Outcome::Member(Membership::Outside | Membership::Warming { .. } | Membership::Warm) => {
                self.end_anew(retiring, Rung::Terminate, now);
            }
            Outcome::Member(Membership::Pending { .. } | Membership::InService { .. }) => {
                self.end_anew(retiring, Rung::Decrement, now);
            }
            Outcome::Member(Membership::Standby) => self.end_anew(retiring, self.without_decrement(), now),
            // Without the right to look, act.
            Outcome::Denied(why) if !self.rights_may_come(now) => {
                self.note(why);
                if shows_at.is_some() {
                    self.again_by(shows_at, now);
                } else {
                    self.end_anew(retiring, Rung::Decrement, now);
                }
            }
            other => {
                self.note(other.text());
                self.again(now);
            }
        }
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "an outcome that does not fit is noted in its own words, whichever it is"
    )]
    fn end_answer(&mut self, retiring: Retiring, outcome: Outcome, now: Tick) {
        match outcome {
            Outcome::Done => self.accepted(retiring, now),
            // Only if nothing that was asked before can have been applied: else the instance may be on its way out already.
            Outcome::AtFloor if retiring.why == LeaveReason::Idle && retiring.asked.is_none() => {
                self.note("the group reached its floor meanwhile; serving again");
                self.idle_retry = now + self.policy.floor_retry;
                self.turn_back(now);
            }
            Outcome::AtFloor if retiring.rung == Rung::Decrement => {
                self.end_by(retiring, Rung::Decrement.next(self.cloud), now);
            }
            // The hook has run out, or another one holds the launch off.
            Outcome::NoHook if retiring.rung == Rung::Abandon => self.climb(retiring, now),
            Outcome::NotInGroup if retiring.rung < Rung::Terminate => self.end_by(retiring, Rung::Terminate, now),
            // The last rung has none above it: it is asked again after a pause, as any refusal is.
            Outcome::Denied(why) if retiring.rung.next(self.cloud) != retiring.rung && !self.rights_may_come(now) => {
                self.note(why);
                self.climb(retiring, now);
            }
            // Whether it was applied is not known: it is treated as applied until a description says otherwise that cannot be stale.
            Outcome::Failed(why) => {
                self.note(why);
                self.look_again(Retiring { asked: Some(now), ..retiring }, now);
            }
            // It was refused as things stand: look before it is repeated.
            other => {
                self.note(other.text());
                self.look_again(retiring, now);
            }
        }
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "an outcome that does not fit is noted in its own words, whichever it is"
    )]
    fn hook_answer(&mut self, retiring: Retiring, outcome: Outcome, now: Tick) {
        match outcome {
            Outcome::Done => self.accepted(Retiring { answered: true, ..retiring }, now),
            // The group ends this instance, and what it waits for is not ours: a blunter way would cut somebody else's time short.
            Outcome::NoHook => {
                let accepted = Some(retiring.accepted.unwrap_or(now));
                let retiring = Retiring { step: RetireStep::Look, accepted, rung_since: now, ..retiring };
                self.await_end(retiring, now);
            }
            other => {
                self.note(other.text());
                self.look_again(retiring, now);
            }
        }
    }

    fn accepted(&mut self, retiring: Retiring, now: Tick) {
        let first = retiring.accepted.is_none();
        let retiring = Retiring { step: RetireStep::Look, asked: Some(now), accepted: Some(now), ..retiring };
        if first {
            self.enter(State::Retiring(retiring));
        }
        self.await_end(retiring, now);
    }

    /// A description that cannot be stale shows that nothing was applied: the present rung again, or the first that suits.
    fn end_anew(&mut self, retiring: Retiring, least: Rung, now: Tick) {
        self.end_by(Retiring { asked: None, ..retiring }, retiring.rung.max(least), now);
    }

    /// The gentlest way to leave that does not lower the group's capacity, where there is one.
    pub(super) fn without_decrement(&self) -> Rung {
        if self.cloud.leaving_lowers_capacity { Rung::Decrement } else { Rung::Replace }
    }

    /// The cloud has agreed; the machine ends at any moment. Who was told to stop does not wait for that for ever: the shutdown waits for
    /// the service, and sends no second signal to one that is being stopped already.
    fn await_end(&mut self, retiring: Retiring, now: Tick) {
        let waited = retiring.accepted.is_some_and(|at| now.since(at) >= STALE);
        if self.orders.to_stop() && (waited || self.ended(retiring)) {
            self.enter(State::Gone);
        } else {
            self.retire_by(retiring);
            self.again(now);
        }
    }

    /// Whether nothing is left to be done for the end of the machine: the cloud has agreed, and no hook waits for an answer of ours.
    fn ended(&self, retiring: Retiring) -> bool {
        let no_hook = self.cloud.termination_hook.is_none() || self.side.no_hook() || retiring.rung >= Rung::Terminate;
        retiring.accepted.is_some() && (retiring.answered || no_hook)
    }

    /// Told to stop while it retires: the machine goes down, or somebody stops the service by hand. What was begun is finished, within a
    /// bound; nobody else would answer the hook.
    pub(super) fn stop_retiring(&mut self, retiring: Retiring, now: Tick) {
        if self.ended(retiring) {
            self.enter(State::Gone);
        } else {
            self.main_line.hurry(now);
        }
    }

    /// Whether a right that is missing may still be on its way: policies reach an instance some time after its birth, which is not that of an agent
    /// that was started again.
    pub(super) fn rights_may_come(&self, now: Tick) -> bool {
        let since = self.in_service.map_or(self.began, |seen| seen.min(self.began));
        !self.reasons.interrupted() && now.since(since) < self.policy.rung_patience / 2
    }

    fn climb(&mut self, retiring: Retiring, now: Tick) {
        self.end_by(Retiring { rung_since: now, ..retiring }, retiring.rung.next(self.cloud), now);
    }

    fn end_by(&mut self, retiring: Retiring, rung: Rung, now: Tick) {
        let step = RetireStep::End;
        self.retire_by(if rung == retiring.rung {
            Retiring { step, ..retiring }
        } else {
            Retiring { step, rung, rung_since: now, accepted: None, ..retiring }
        });
    }

    /// The next step. The pauses go on from where they are: only what the cloud has accepted starts them anew.
    fn retire_by(&mut self, retiring: Retiring) {
        let backoff = self.main_line.backoff;
        self.enter(State::Retiring(retiring));
        self.main_line.backoff = backoff;
    }

    /// Looks, later each time that nothing came of it.
    fn look_again(&mut self, retiring: Retiring, now: Tick) {
        self.retire_by(Retiring { step: RetireStep::Look, ..retiring });
        self.again(now);
    }
}
