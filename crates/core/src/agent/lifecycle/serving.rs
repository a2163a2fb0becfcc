//! Serving: the change between idle and busy, the runner's unasked exits, and the end of an idle period.

use super::{
    Lifecycle,
    runner::MOST_EXITS,
    state::{DrainStep, Draining, ReturnStep, Serving, State},
    timers::Timer,
};
use crate::{
    activity::Activity,
    agent::{action::Rung, event::Outcome, phase::LeaveReason},
    cloud::Room,
    time::Tick,
};

impl Lifecycle {
    /// Takes in a snapshot.
    pub(super) fn observe(&mut self, activity: Activity, now: Tick) {
        if self.observed.take(activity, now) {
            self.runner.has_worked();
        }
        let quiet = self.observed.quiet();
        match &mut self.state {
            State::Serving(Serving::Idle { .. }) if !quiet => self.serve(now),
            State::Serving(Serving::Busy) if quiet => self.serve(now),
            State::Draining(Draining { why: LeaveReason::Idle, .. }) if self.observed.job_seen() => self.turn_back(now),
            State::Draining(Draining { step: DrainStep::Exit { quiet_since }, .. })
            | State::Returning { step: ReturnStep::OldExit { quiet_since }, .. } => {
                *quiet_since = quiet.then(|| quiet_since.unwrap_or(now));
            }
            State::Booting { .. }
            | State::Registering { .. }
            | State::Serving(_)
            | State::Returning { .. }
            | State::Draining(_)
            | State::Retiring(_)
            | State::Gone => {}
        }
    }

    /// Idle or busy, as the last snapshot says. The idle clock starts anew.
    pub(super) fn serve(&mut self, now: Tick) {
        if !self.runner.alive() {
            // It exited while something else was asked.
            self.register(now);
            return;
        }
        self.enter(State::Serving(if self.observed.quiet() {
            Serving::Idle { since: now, confirmed: false, asking_room: false }
        } else {
            Serving::Busy
        }));
    }

    pub(super) fn runner_exited(&mut self, now: Tick) {
        self.runner.exited();
        match self.state {
            State::Draining(Draining { step: DrainStep::Exit { .. }, .. }) => self.proven(now),
            State::Returning { step: ReturnStep::OldExit { .. }, .. } => self.rejoin(now),
            State::Serving(_) => self.start_again(now),
            // The answer in flight reports it.
            State::Booting { .. }
            | State::Registering { .. }
            | State::Returning { .. }
            | State::Draining(_)
            | State::Retiring(_)
            | State::Gone => {}
        }
    }

    fn start_again(&mut self, now: Tick) {
        if self.runner.count_exit(self.policy.boot_deadline, now) {
            self.reasons.break_down(format!("the runner exited {MOST_EXITS} times in a row right after its start"));
            return;
        }
        self.register(now);
        if !self.runner.worked() {
            self.note("the runner exited by itself and is started again");
            self.main_line.backoff.tries = self.runner.exits().saturating_sub(1);
            self.again(now);
        }
    }

    /// Idle long enough? The last part of the time begins with a fresh snapshot, its end with the question for room.
    pub(super) fn check_idle(&mut self, now: Tick) {
        let confirm = self.elapsed(Timer::IdleConfirm, now);
        if let State::Serving(Serving::Idle { confirmed, .. }) = &mut self.state
            && confirm
        {
            *confirmed = true;
            self.probe_early();
        }
        if self.elapsed(Timer::IdleTimeout, now) {
            self.ask_room(true);
        }
    }

    /// Both ways drop an answer that is still to come.
    fn ask_room(&mut self, ask: bool) {
        if let State::Serving(Serving::Idle { since, confirmed, .. }) = self.state {
            self.enter(State::Serving(Serving::Idle { since, confirmed, asking_room: ask }));
        }
    }

    pub(super) fn room_answer(&mut self, outcome: Outcome, now: Tick) {
        match outcome {
            Outcome::Room(room) if has_room(room) => {
                // Where the group is larger than its desired capacity, shrinking it would go one too far.
                let gentlest = if room.members > room.desired { self.without_shrinking() } else { Rung::Shrink };
                self.leave_by(LeaveReason::Idle, gentlest, now);
            }
            Outcome::Room(room) => {
                let Room { desired, min, floor, .. } = room;
                self.stay(
                    format!("idle, but the group is at its floor (desired {desired}, min {min}, floor {floor})"),
                    now,
                );
            }
            // Detached, or without a group at all: no floor holds it.
            Outcome::NotInGroup => self.leave_by(LeaveReason::Idle, Rung::Terminate, now),
            other => {
                let why = other.text();
                self.stay(format!("idle, but whether the group has room is not known: {why}"), now);
            }
        }
    }

    fn stay(&mut self, note: String, now: Tick) {
        self.note(note);
        self.idle_retry = now + self.policy.floor_retry;
        self.ask_room(false);
    }

    /// An instance of which nothing can be said for long is broken. It drains, so a job that runs all the same is waited for.
    pub(super) fn check_doubt_limit(&mut self, now: Tick) {
        if let Activity::Unknown(why) = self.observed.activity()
            && self.elapsed(Timer::DoubtLimit, now)
        {
            let limit = self.policy.unknown_limit;
            self.reasons.break_down(format!("what runs here has not been known for {limit:?}: {why}"));
        }
    }
}

/// Whether the group has room for one instance less.
fn has_room(room: Room) -> bool {
    room.members > room.desired || room.desired > room.min.max(room.floor)
}
