//! Draining: from the reason to leave to the proof that no job runs and none can come.

use crate::{
    activity::Activity,
    agent::{
        Agent, Step,
        action::Request,
        event::Outcome,
        phase::{LeaveReason, Phase},
        serving::text,
    },
    platform::Drained,
    time::Tick,
};

impl Agent {
    /// Begins to leave, or goes on for a stronger reason.
    pub(super) fn leave(&mut self, why: LeaveReason, now: Tick) {
        match self.phase {
            Phase::Booting | Phase::Registering | Phase::Idle { .. } | Phase::Busy => {
                self.phase = Phase::Draining { why };
                self.proof = None;
                if why == LeaveReason::Broken {
                    self.note.clone_from(&self.trouble);
                }
                self.go(Step::Save);
            }
            Phase::Draining { why: old } if why > old => {
                self.phase = Phase::Draining { why };
                if self.step == Step::Save {
                    self.go(Step::Save);
                } else {
                    // For a restart only; the drain itself goes on as it is.
                    self.ask(Request::Save(self.saved()));
                }
            }
            Phase::Retiring { why: old } if why > old => self.phase = Phase::Retiring { why },
            Phase::Draining { .. } | Phase::Retiring { .. } | Phase::Gone => {}
        }
        self.advance(now);
    }

    pub(super) fn leaving_answer(&mut self, outcome: Outcome, now: Tick) {
        let idle = self.phase == Phase::Draining { why: LeaveReason::Idle };
        match (self.step, outcome) {
            (Step::Save, Outcome::Done) => self.go(Step::Ask),
            (Step::Save, other) => {
                self.note = Some(format!("the journal cannot be written: {}", text(other)));
                if idle {
                    self.back_to_idle(now);
                } else {
                    // Not to leave would be worse: after a restart the reason is found again.
                    self.go(Step::Ask);
                }
            }
            (Step::Ask, Outcome::Drained(Drained::Empty)) => self.proven(now),
            (Step::Ask, Outcome::Signalled) if !self.runner_alive => self.proven(now),
            (Step::Ask, Outcome::Signalled) => {
                self.go(Step::Exit);
                if idle && matches!(self.activity, Activity::Busy(_)) {
                    self.turn_back(now);
                }
            }
            (Step::Ask, Outcome::Drained(Drained::StillBusy | Drained::Refused)) if idle => self.turn_back(now),
            (Step::Ask, Outcome::Alone(why)) => {
                self.note = Some(format!("no runner is left here, but the platform cannot confirm it: {why}"));
                if matches!(self.activity, Activity::Busy(_)) {
                    self.alone_since = None;
                }
                let since = *self.alone_since.get_or_insert(now);
                if now.since(since) >= self.policy.unknown_limit {
                    // Nobody is left to take a job: waiting for the platform for ever would only leave a zombie.
                    self.proven(now);
                    self.weak_proof = true;
                } else {
                    self.again(now);
                }
            }
            (Step::Ask, Outcome::Failed(why) | Outcome::Denied(why)) if idle => {
                self.note = Some(why);
                self.idle_retry = now + self.policy.floor_retry;
                self.turn_back(now);
            }
            (Step::Ask, Outcome::Drained(Drained::StillBusy | Drained::Refused)) => {
                self.alone_since = None;
                self.again(now);
            }
            (Step::Confirm, Outcome::Snapshot(activity)) => {
                let quiet = activity == Activity::Quiet;
                self.observe(activity, now);
                if self.step != Step::Confirm {
                    return;
                }
                if quiet {
                    self.retire(now);
                } else {
                    self.again(now);
                }
            }
            (_, other) => {
                self.alone_since = None;
                self.note = Some(text(other));
                self.again(now);
            }
        }
    }

    /// The platform or the runner has proved that it has no job and takes none.
    pub(super) fn proven(&mut self, now: Tick) {
        self.proof = Some(now);
        self.weak_proof = false;
        self.go(Step::Confirm);
    }

    /// Nothing was asked of the platform yet: the idle leave is tried again later.
    fn back_to_idle(&mut self, now: Tick) {
        self.idle_retry = now + self.policy.floor_retry;
        self.serve(now);
    }

    /// A spot deadline: fail what runs while there is time to say so, and leave before the machine dies.
    pub(super) fn check_spot_budget(&mut self, now: Tick) {
        let (Some(budget), Phase::Draining { .. }) = (self.spot, self.phase) else { return };
        if now >= budget.abort_at && !self.aborted && self.step != Step::Confirm {
            self.aborted = true;
            self.ask(Request::Abort);
        }
        if now >= budget.leave_at {
            self.note = Some("the spot deadline is here; leaving whatever is still seen running".into());
            self.retire(now);
        }
    }

    pub(super) fn spot_timer(&self) -> Option<Tick> {
        let (Some(budget), Phase::Draining { .. }) = (self.spot, self.phase) else { return None };
        Some(if self.aborted || self.step == Step::Confirm { budget.leave_at } else { budget.abort_at })
    }

    /// After the proof nobody is left to finish a job: what is still seen then is a remnant, and must not keep the instance for ever.
    pub(super) fn check_proof_limit(&mut self, now: Tick) {
        if self.proof_timer().is_some_and(|due| due <= now) {
            self.note = Some(format!(
                "no proof was contradicted for {:?}, but the probes are not quiet",
                self.policy.unknown_limit
            ));
            self.retire(now);
        }
    }

    pub(super) fn proof_timer(&self) -> Option<Tick> {
        let (Some(proof), Phase::Draining { .. }) = (self.proof, self.phase) else { return None };
        if self.weak_proof && matches!(self.activity, Activity::Busy(_)) {
            // Without the platform's word a job that is seen is a job.
            return None;
        }
        Some(proof + self.policy.unknown_limit)
    }

    /// A runner that was told to exit, has nothing to do and does not exit is stuck: it is made to.
    pub(super) fn check_exit_limit(&mut self, now: Tick) {
        if self.exit_timer().is_some_and(|due| due <= now) {
            self.quiet_since = Some(now);
            self.note = Some("the runner was told to exit, has no job and does not exit; ending it".into());
            self.ask(Request::Abort);
        }
    }

    pub(super) fn exit_timer(&self) -> Option<Tick> {
        let leaving = matches!(self.step, Step::Exit | Step::OldExit);
        self.quiet_since.filter(|_| leaving).map(|since| since + self.policy.unknown_limit)
    }
}
