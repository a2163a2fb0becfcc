//! Draining: from the reason to leave to the proof that no job runs and none can come.

use std::time::Duration;

use super::{
    Lifecycle,
    state::{DrainStep, Draining, State},
    timers::Timer,
};
use crate::{
    activity::Activity,
    agent::{
        action::{Request, Rung},
        event::Outcome,
        phase::LeaveReason,
    },
    duration::format_about,
    platform::Drained,
    time::Tick,
};

/// How long a runner that is stuck without a job may take to end before it is killed.
const STUCK: Duration = Duration::from_secs(15);

impl Lifecycle {
    /// Begins to leave, or goes on for a stronger reason.
    pub(super) fn leave(&mut self, why: LeaveReason, now: Tick) {
        self.leave_by(why, Rung::Decrement, now);
    }

    /// The same, by no gentler way than this one. A leave that has begun keeps its own.
    pub(super) fn leave_by(&mut self, why: LeaveReason, gentlest: Rung, now: Tick) {
        match self.state {
            State::Preparing { .. }
            | State::Booting(_)
            | State::Registering { .. }
            | State::Serving(_)
            | State::Returning { .. } => {
                if why == LeaveReason::Broken {
                    self.note = self.reasons.trouble().map(|(_, words)| words.to_owned());
                }
                self.enter(State::Draining(Draining { why, step: DrainStep::Save, gentlest }));
            }
            State::Draining(draining) => {
                let stronger = self.state.strengthen(why);
                if stronger && draining.step == DrainStep::Save {
                    self.enter(self.state);
                } else if stronger {
                    // The drain itself goes on as it is; the journal needs the reason for a restart only.
                    self.ask(Request::Save(self.saved()));
                }
            }
            State::Retiring(_) => {
                self.state.strengthen(why);
            }
            State::Gone => {}
        }
        self.advance(now);
    }

    pub(super) fn drain_answer(&mut self, draining: Draining, outcome: Outcome, now: Tick) {
        match draining.step {
            DrainStep::Save => self.save_answer(draining, outcome, now),
            DrainStep::Ask { alone_since } => self.ask_answer(draining, alone_since, outcome, now),
            DrainStep::Confirm { .. } => self.confirm_answer(outcome, now),
            DrainStep::MakeRoom { .. } => self.make_room_answer(draining, outcome, now),
            // Nothing is asked; the exit comes as an event.
            DrainStep::Exit { .. } | DrainStep::Held { .. } => {}
        }
    }

    fn save_answer(&mut self, draining: Draining, outcome: Outcome, now: Tick) {
        if outcome != Outcome::Done {
            self.note(format!("the journal cannot be written: {}", outcome.text()));
            if draining.why == LeaveReason::Idle {
                // Nothing was asked of the platform yet: the idle leave is tried again later.
                self.idle_retry = now + self.policy.floor_retry;
                self.serve(now);
                return;
            }
            // Not to leave would be worse: after a restart the reason is found again.
        }
        self.drain_by(DrainStep::Ask { alone_since: None });
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "an outcome that does not fit is noted in its own words, whichever it is"
    )]
    fn ask_answer(&mut self, draining: Draining, alone_since: Option<Tick>, outcome: Outcome, now: Tick) {
        let idle = draining.why == LeaveReason::Idle;
        let mut alone = None;
        match outcome {
            Outcome::Drained(Drained::Empty) => return self.proven(now),
            // Nobody is left to take a job; but one that is seen may be the job of a runner that died, or of another pool than is named.
            Outcome::Absent => return self.drain_by(DrainStep::Confirm { proven_at: now, weak: true }),
            Outcome::Signalled if !self.runner.alive() => return self.proven(now),
            Outcome::Signalled => {
                // How long it was quiet before it was told to go says nothing about after.
                self.drain_by(DrainStep::Exit { quiet_since: None });
                if idle && self.observed.job_seen() {
                    self.turn_back(now);
                }
                return;
            }
            Outcome::Drained(Drained::StillBusy | Drained::Refused) if idle => return self.turn_back(now),
            Outcome::Drained(Drained::StillBusy | Drained::Refused) => {}
            Outcome::Alone(why) => {
                self.note(format!("no runner is left here, but the platform cannot confirm it: {why}"));
                let since = alone_since.filter(|_| !self.observed.job_seen()).unwrap_or(now);
                if now.since(since) >= self.policy.unknown_limit {
                    // Nobody is left to take a job: waiting for the platform for ever would only leave a zombie.
                    return self.drain_by(DrainStep::Confirm { proven_at: now, weak: true });
                }
                alone = Some(since);
            }
            Outcome::Failed(why) | Outcome::Denied(why) if idle => {
                self.note(why);
                self.idle_retry = now + self.policy.floor_retry;
                return self.turn_back(now);
            }
            other => self.note(other.text()),
        }
        self.amend(State::Draining(Draining { step: DrainStep::Ask { alone_since: alone }, ..draining }));
        self.again(now);
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "an outcome that does not fit is noted in its own words, whichever it is"
    )]
    fn confirm_answer(&mut self, outcome: Outcome, now: Tick) {
        match outcome {
            Outcome::Snapshot(activity) => {
                let quiet = activity == Activity::Quiet;
                self.observe(activity, now);
                let State::Draining(draining) = self.state else { return };
                match draining {
                    _ if !quiet => self.again(now),
                    Draining { why: LeaveReason::Full, step: DrainStep::Confirm { weak, .. }, .. }
                        if self.orders.held() =>
                    {
                        self.note(
                            "there is too little room, and nothing is removed while an operator holds the instance",
                        );
                        self.drain_by(DrainStep::Held { weak });
                    }
                    Draining { why: LeaveReason::Full, step: DrainStep::Confirm { weak: false, .. }, .. } => {
                        self.drain_by(DrainStep::MakeRoom { since: now });
                    }
                    _ => self.retire(draining, now),
                }
            }
            other => {
                self.note(other.text());
                self.again(now);
            }
        }
    }

    /// The platform or the runner has proved that it has no job and takes none.
    pub(super) fn proven(&mut self, now: Tick) {
        self.drain_by(DrainStep::Confirm { proven_at: now, weak: false });
        self.ask(Request::NoteProof);
    }

    pub(super) fn drain_by(&mut self, step: DrainStep) {
        if let State::Draining(draining) = self.state {
            self.enter(State::Draining(Draining { step, ..draining }));
        }
    }

    /// A deadline of the cloud: fail what runs while there is time to say so, and leave before the machine dies.
    pub(super) fn check_deadline(&mut self, now: Tick) {
        if let Some(budget) = self.reasons.budget()
            && self.elapsed(Timer::Abort, now)
        {
            self.reasons.abort();
            self.ask(Request::Abort { within: budget.leave_at.since(now) });
        }
        if let State::Draining(draining) = self.state
            && self.elapsed(Timer::LastLeave, now)
        {
            self.note("the deadline is here; leaving whatever is still seen running");
            self.retire(draining, now);
        }
    }

    pub(super) fn check_proof_limit(&mut self, now: Tick) {
        if let State::Draining(draining) = self.state
            && let DrainStep::Confirm { proven_at, .. } = draining.step
            && self.elapsed(Timer::ProofLimit, now)
        {
            let (span, seen) = (now.since(proven_at), self.observed.activity());
            let span = format_about(span);
            self.note(format!(
                "proven empty {span} ago (agent.unknown_limit), yet the probes still see {seen}; leaving"
            ));
            self.retire(draining, now);
        }
    }

    /// Quiet long enough after it was told to exit? Only a fresh snapshot tells: the last may be as old as the limit.
    pub(super) fn check_exit_limit(&mut self, now: Tick) {
        if self.elapsed(Timer::ExitLimit, now) {
            self.probe_early();
        }
    }

    /// A runner that was told to exit, has nothing to do as a fresh snapshot shows, and does not exit is stuck: it is made to.
    pub(super) fn end_stuck_runner(&mut self, now: Tick) {
        if self.elapsed(Timer::ExitLimit, now) {
            self.state.restart_exit_clock(now);
            self.note("the runner was told to exit, has no job and does not exit; ending it");
            self.ask(Request::Abort { within: STUCK });
        }
    }
}
