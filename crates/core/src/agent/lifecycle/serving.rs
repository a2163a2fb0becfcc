//! Serving: the change between idle and busy, the runner's unasked exits, and the end of an idle period.

use std::time::Duration;

use super::{
    Lifecycle, RUNNER_RESTARTS,
    runner::MOST_EXITS,
    state::{DrainStep, Draining, ReturnStep, Serving, State},
    timers::Timer,
};
use crate::{
    activity::Activity,
    agent::{
        action::Rung,
        event::Outcome,
        phase::{BrokenBy, LeaveReason},
    },
    cloud::GroupSize,
    duration::format_duration,
    time::Tick,
};

/// How much later each one further back in the group's order looks for room again: by then a description shows who has left.
const YIELD: Duration = Duration::from_secs(3);
/// The turn of this instance's [`Jitter`](crate::agent::jitter::Jitter) for its looks at the floor.
const FLOOR: u64 = 3 << 32;
/// The same for its turn in a large herd.
const FURTHER_BACK: u64 = 4 << 32;

impl Lifecycle {
    /// Takes in a snapshot.
    pub(super) fn observe(&mut self, activity: Activity, now: Tick) {
        if self.observed.take(activity, now) {
            self.runner.has_worked();
        }
        let quiet = self.observed.quiet();
        self.state.run_exit_clock(quiet, now);
        match self.state {
            State::Serving(Serving::Idle { .. }) if !quiet => self.serve(now),
            State::Serving(Serving::Busy) if quiet => self.serve(now),
            State::Draining(Draining { why: LeaveReason::Idle, .. }) if self.observed.job_seen() => self.turn_back(now),
            State::Preparing { .. }
            | State::Booting(_)
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
        if !std::mem::replace(&mut self.has_served, true) {
            // What could not be told before it served, in a warm pool for days, is no doubt about its jobs.
            self.observed.restart_doubt(now);
        }
        self.enter(State::Serving(if self.observed.quiet() {
            Serving::Idle { since: now, confirmed: false, asking_size: false, yielded: false }
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
            State::Preparing { .. }
            | State::Booting(_)
            | State::Registering { .. }
            | State::Returning { .. }
            | State::Draining(_)
            | State::Retiring(_)
            | State::Gone => {}
        }
    }

    fn start_again(&mut self, now: Tick) {
        if self.runner.count_exit(self.policy.boot_deadline, now) {
            let words = format!("the runner exited {MOST_EXITS} times in a row right after its start");
            self.reasons.break_down(BrokenBy::RunnerExits, words);
            return;
        }
        self.register(now);
        if !self.runner.worked() {
            self.note(RUNNER_RESTARTS);
            self.main_line.backoff.tries = self.runner.exits().saturating_sub(1);
            self.again(now);
        }
    }

    /// Idle long enough? The last part of the time begins with a fresh snapshot, its end with the question for room.
    pub(super) fn check_idle(&mut self, now: Tick) {
        if self.elapsed(Timer::IdleConfirm, now) {
            self.state.confirm_idle();
            self.probe_early();
        }
        if self.elapsed(Timer::IdleTimeout, now) {
            self.ask_room(true);
        }
    }

    /// Both ways drop an answer that is still to come.
    fn ask_room(&mut self, ask: bool) {
        if let State::Serving(Serving::Idle { since, confirmed, yielded, .. }) = self.state {
            self.enter(State::Serving(Serving::Idle { since, confirmed, asking_size: ask, yielded }));
        }
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "an outcome that does not fit is noted in its own words, whichever it is"
    )]
    pub(super) fn room_answer(&mut self, outcome: Outcome, now: Tick) {
        match outcome {
            Outcome::GroupSize(size) => self.use_group_size(size, now),
            // Detached, or without a group at all: no floor holds it.
            Outcome::NotInGroup => self.leave_by(LeaveReason::Idle, Rung::Terminate, now),
            other => {
                let why = other.text();
                self.stay(format!("idle, but whether the group has room is not known: {why}"), now);
            }
        }
    }

    /// Many that are idle see the same room in the same second: as many leave as there is room for, the others look again when those are gone.
    fn use_group_size(&mut self, size: GroupSize, now: Tick) {
        let GroupSize { desired, min, floor, members, rank } = size;
        // Those that the group has too many leave without lowering it further; then those above its floor. Where everybody who leaves lowers it, it
        // has none too many: those above its capacity are on their way out and still listed.
        let (surplus, kept) = if self.cloud.leaving_lowers_capacity {
            (0, desired.min(members))
        } else {
            (members.saturating_sub(desired), desired)
        };
        let free = surplus + kept.saturating_sub(min.max(floor));
        let yielded = matches!(self.state, State::Serving(Serving::Idle { yielded: true, .. }));
        let place = if yielded { 0 } else { rank };
        if place < free {
            let gentlest = if place < surplus { self.without_decrement() } else { Rung::Decrement };
            self.leave_by(LeaveReason::Idle, gentlest, now);
        } else if free == 0 {
            let why = format!("idle, but the group is at its floor (desired {desired}, min {min}, floor {floor})");
            self.stay(why, now);
        } else {
            self.note(format!("idle; {free} of {members} may leave, and others go first"));
            let (turn, retry) = (YIELD.saturating_mul(place - free + 1), self.policy.floor_retry);
            // Those too far back for a turn of their own are spread over a while.
            self.idle_retry = now + if turn <= retry { turn } else { retry + self.jitter.within(retry, FURTHER_BACK) };
            self.ask_room(false);
            self.state.set_yielded(true);
        }
    }

    fn stay(&mut self, note: String, now: Tick) {
        self.note(note);
        let retry = self.policy.floor_retry;
        self.idle_retry = now + retry.saturating_sub(self.jitter.within(retry / 4, FLOOR));
        self.ask_room(false);
        self.state.set_yielded(false);
    }

    /// An instance of which nothing can be said for long is broken. It drains, so a job that runs all the same is waited for.
    pub(super) fn check_doubt_limit(&mut self, now: Tick) {
        if let Activity::Unknown(why) = self.observed.activity()
            && self.elapsed(Timer::DoubtLimit, now)
        {
            let limit = format_duration(self.policy.unknown_limit);
            let words = format!("what runs here has not been known for {limit} (agent.unknown_limit): {why}");
            self.reasons.break_down(BrokenBy::UnknownActivity, words);
        }
    }
}
