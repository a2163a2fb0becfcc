//! Booting, registering, and the change between idle and busy.

use crate::cloud::{Membership, Room, TargetState};
use crate::{
    activity::Activity,
    agent::{
        Agent, MOST_EXITS, Step,
        action::{Request, Rung},
        event::Outcome,
        phase::{LeaveReason, Phase, Saved},
    },
    time::Tick,
};

impl Agent {
    /// Takes in a snapshot.
    pub(super) fn observe(&mut self, activity: Activity, now: Tick) {
        match &activity {
            Activity::Busy(_) if !self.working => {
                self.working = true;
                self.served = self.served.saturating_add(1);
            }
            Activity::Quiet => self.working = false,
            Activity::Busy(_) | Activity::Unknown(_) => {}
        }
        self.worked |= self.working;
        self.doubt_since = matches!(activity, Activity::Unknown(_)).then(|| self.doubt_since.unwrap_or(now));
        self.quiet_since = (activity == Activity::Quiet).then(|| self.quiet_since.unwrap_or(now));
        self.activity = activity;
        match self.phase {
            Phase::Idle { .. } if self.activity != Activity::Quiet => self.serve(now),
            Phase::Busy if self.activity == Activity::Quiet && matches!(self.step, Step::Serve) => self.serve(now),
            Phase::Draining { why: LeaveReason::Idle } if matches!(self.activity, Activity::Busy(_)) => {
                self.turn_back(now);
            }
            Phase::Booting
            | Phase::Registering
            | Phase::Idle { .. }
            | Phase::Busy
            | Phase::Draining { .. }
            | Phase::Retiring { .. }
            | Phase::Gone => {}
        }
    }

    /// Idle or busy, as the last snapshot says. The idle clock starts anew.
    pub(super) fn serve(&mut self, now: Tick) {
        if !self.runner_alive {
            // It exited while something else was asked.
            self.register(now);
            return;
        }
        self.phase = if self.activity == Activity::Quiet { Phase::Idle { since: now } } else { Phase::Busy };
        self.go(Step::Serve);
    }

    /// Leaves a drain and serves again. A job slipped in, the group has no room, or an operator changed their mind.
    pub(super) fn turn_back(&mut self, now: Tick) {
        self.phase = Phase::Busy;
        self.proof = None;
        self.booting_since = now;
        self.go(Step::Return);
    }

    pub(super) fn undrain_ordered(&mut self, now: Tick) {
        if self.can_undrain() {
            self.drain_ordered = false;
            self.stops = 0;
            self.turn_back(now);
        }
    }

    pub(super) fn runner_exited(&mut self, now: Tick) {
        self.runner_alive = false;
        match self.step {
            Step::Exit => self.proven(now),
            Step::OldExit => self.register(now),
            Step::Serve | Step::Room => {
                let came_to_something = self.worked || now.since(self.registered_at) >= self.policy.boot_deadline;
                self.exits = if came_to_something { 0 } else { self.exits.saturating_add(1) };
                if self.exits >= MOST_EXITS {
                    self.trouble = Some(format!("the runner exited {MOST_EXITS} times in a row right after its start"));
                    return;
                }
                self.register(now);
                if !self.worked {
                    self.note = Some("the runner exited by itself and is started again".into());
                    self.backoff.tries = self.exits.saturating_sub(1);
                    self.again(now);
                }
            }
            // Whoever asked learns it from the answer in flight.
            Step::Join
            | Step::Register
            | Step::Return
            | Step::Undrain
            | Step::Save
            | Step::Ask
            | Step::Confirm
            | Step::Deregister
            | Step::Look
            | Step::Complete
            | Step::End => {}
        }
    }

    fn register(&mut self, now: Tick) {
        self.phase = Phase::Registering;
        self.booting_since = now;
        self.go(Step::Register);
    }

    /// Answers to everything before a drain and after one that was taken back.
    pub(super) fn serving_answer(&mut self, outcome: Outcome, now: Tick) {
        match (self.step, outcome) {
            (Step::Join, Outcome::Member(Membership::InService { protected })) => {
                self.slots.protected = Some(protected);
                self.note = None;
                self.phase = Phase::Registering;
                self.go(Step::Register);
            }
            (Step::Join, Outcome::Member(member)) => {
                self.note = Some(format!("waiting to be in service; the group says {member:?}"));
                if matches!(member, Membership::Terminating { .. }) {
                    self.target = TargetState::Terminated;
                }
                self.again(now);
            }
            (Step::Register, Outcome::Registered) => {
                self.runner_alive = true;
                self.registered_at = now;
                self.worked = false;
                self.deregistered = false;
                self.note = None;
                self.serve(now);
            }
            (Step::Room, Outcome::Room(room)) => self.room(room, now),
            // Detached, or without a group at all: no floor holds it.
            (Step::Room, Outcome::NotInGroup) => {
                self.rung = Rung::Terminate;
                self.leave(LeaveReason::Idle, now);
            }
            (Step::Room, other) => {
                self.note = Some(format!("idle, but whether the group has room is not known: {}", text(other)));
                self.stay(now);
            }
            (Step::Return, Outcome::Done) if self.deregistered => self.register(now),
            (Step::Return, Outcome::Done) => self.go(Step::Undrain),
            (Step::Undrain, Outcome::Done) => {
                self.ask(Request::Save(Saved::Serving));
                self.serve(now);
            }
            (Step::Undrain, Outcome::Relaunch) if self.runner_alive => self.go(Step::OldExit),
            (Step::Undrain, Outcome::Relaunch) => self.register(now),
            (_, other) => {
                self.note = Some(text(other));
                self.again(now);
            }
        }
    }

    fn room(&mut self, room: Room, now: Tick) {
        self.rung_for(room);
        if room.members > room.desired || room.desired > room.min.max(room.floor) {
            self.leave(LeaveReason::Idle, now);
        } else {
            self.note = Some(format!(
                "idle, but the group is at its floor (desired {}, min {}, floor {})",
                room.desired, room.min, room.floor
            ));
            self.stay(now);
        }
    }

    fn stay(&mut self, now: Tick) {
        self.idle_retry = now + self.policy.floor_retry;
        self.go(Step::Serve);
    }

    /// Idle long enough? The last part of the time begins with a fresh snapshot, its end with the question for room.
    pub(super) fn check_idle(&mut self, now: Tick) {
        let (Phase::Idle { since }, Step::Serve, Some(limit), None) =
            (self.phase, self.step, self.policy.idle_timeout, self.hold)
        else {
            return;
        };
        if now >= since + limit.saturating_sub(self.policy.confirm) && self.checked != Some(since) {
            self.checked = Some(since);
            self.probe_early();
        }
        if now >= since + limit && now >= self.idle_retry && self.slots.probe.is_none() {
            self.go(Step::Room);
        }
    }

    pub(super) fn idle_timer(&self) -> Option<Tick> {
        let (Phase::Idle { since }, Step::Serve, Some(limit)) = (self.phase, self.step, self.policy.idle_timeout)
        else {
            return None;
        };
        if self.hold.is_some() {
            return self.hold;
        }
        if self.checked != Some(since) {
            return Some(since + limit.saturating_sub(self.policy.confirm));
        }
        self.slots.probe.is_none().then(|| (since + limit).max(self.idle_retry))
    }

    /// An instance that is not ready in time is broken.
    pub(super) fn check_boot_deadline(&mut self, now: Tick) {
        if self.boot_timer().is_some_and(|due| due <= now) && self.trouble.is_none() {
            let last = self.note.as_deref().unwrap_or("no answer yet");
            self.trouble = Some(format!("not ready within {:?}: {last}", self.policy.boot_deadline));
        }
    }

    /// An instance of which nothing can be said for long is broken. It drains, so a job that runs all the same is waited for.
    pub(super) fn check_doubt_limit(&mut self, now: Tick) {
        if let (Some(due), Activity::Unknown(why)) = (self.doubt_timer(), &self.activity)
            && due <= now
            && self.trouble.is_none()
        {
            self.trouble =
                Some(format!("what runs here has not been known for {:?}: {why}", self.policy.unknown_limit));
        }
    }

    pub(super) fn doubt_timer(&self) -> Option<Tick> {
        let serving = self.phase == Phase::Busy && self.step == Step::Serve && self.trouble.is_none();
        self.doubt_since.filter(|_| serving).map(|since| since + self.policy.unknown_limit)
    }

    pub(super) fn boot_timer(&self) -> Option<Tick> {
        match self.phase {
            Phase::Booting if self.target == TargetState::Warmed => None,
            Phase::Booting | Phase::Registering => Some(self.booting_since + self.policy.boot_deadline),
            // A drain that cannot be taken back: whether it serves is not known.
            Phase::Busy if matches!(self.step, Step::Return | Step::Undrain) => {
                Some(self.booting_since + self.policy.boot_deadline)
            }
            Phase::Idle { .. } | Phase::Busy | Phase::Draining { .. } | Phase::Retiring { .. } | Phase::Gone => None,
        }
    }
}

/// What an unexpected answer says.
pub(super) fn text(outcome: Outcome) -> String {
    match outcome {
        Outcome::Failed(why) | Outcome::Denied(why) | Outcome::Alone(why) => why,
        other => format!("unexpected answer {other:?}"),
    }
}
