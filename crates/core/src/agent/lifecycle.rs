//! The lifecycle of one instance as a state machine: events in, requests out. It reads no clock and does no I/O.
//!
//! ```text
//! preparing -> booting -> registering -> idle <-> busy
//!                                          \       /
//!                                          draining --(a job slipped in, or no room)--> busy / registering
//!                                              |
//!                                          retiring -> gone
//! ```
//!
//! One request of the main line is in flight at a time; what runs beside it (heartbeats, protection, aborts) is kept in
//! `side_requests`. Facts are level-triggered: whatever holds is acted upon whenever `Lifecycle::decide` runs.
//! `docs/protocol.md` tells the protocol in words.

mod draining;
mod fullness;
mod joining;
mod observed;
mod orders;
mod reasons;
mod repeated;
mod retiring;
mod runner;
mod serving;
mod side_requests;
mod state;
mod status;
mod timers;
mod waking;

use std::collections::VecDeque;

pub use status::Status;

use self::{
    fullness::Shortage,
    observed::Observed,
    orders::Orders,
    reasons::Reasons,
    repeated::Repeated,
    runner::RunnerRecord,
    side_requests::SideRequests,
    state::{BootStep, Booting, DrainStep, Draining, RetireStep, ReturnStep, Serving, State},
    timers::Timer,
};
use super::{
    Correction,
    action::{Action, Request},
    event::{Event, Order, Outcome, RequestId},
    host::JournalEntry,
    jitter::Jitter,
    phase::{LeaveReason, Saved},
    policy::AgentPolicy,
};
use crate::{
    cloud::{Capabilities, Ending, TargetState},
    time::Tick,
};

/// The note of an instance whose runner exited, until the next one is registered.
pub const RUNNER_RESTARTS: &str = "the runner exited by itself and is started again";

/// One instance's lifecycle. Cheap to clone, so that tests can try several futures.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Lifecycle {
    policy: AgentPolicy,
    /// What the cloud on which the instance runs can do.
    cloud: Capabilities,
    jitter: Jitter,
    /// When this agent began.
    began: Tick,
    /// When the instance was first seen in service.
    in_service: Option<Tick>,
    /// Whether it has been ready for jobs since this agent began.
    has_served: bool,
    state: State,
    /// The main line's question.
    main_line: Repeated,
    side: SideRequests,
    runner: RunnerRecord,
    observed: Observed,
    reasons: Reasons,
    orders: Orders,
    /// Before this an idle leave is not tried again.
    idle_retry: Tick,
    /// Since when an earlier agent on this instance may have asked the cloud to end it.
    end_asked: Option<Tick>,
    /// Of what there is too little room for another job.
    shortage: Option<Shortage>,
    /// How many busy periods had been counted when something was last removed to make room, and when that was.
    made_room: Option<(u32, Tick)>,
    /// The last thing that went wrong, for the status.
    note: Option<String>,
    /// What was just taken for a time that cannot be.
    correction: Option<Correction>,
    out: VecDeque<Action>,
    next_id: u64,
}

impl Lifecycle {
    /// A fresh instance.
    pub fn new(policy: AgentPolicy, cloud: Capabilities, now: Tick) -> Self {
        Self::resume(policy, cloud, JournalEntry::FRESH, false, Jitter::NONE, now)
    }

    /// After a restart of the agent: what the journal says, and whether the runner was found alive. Whatever runs is unknown until the first
    /// snapshot, and unknown is busy.
    pub fn resume(
        policy: AgentPolicy,
        cloud: Capabilities,
        entry: JournalEntry,
        runner_alive: bool,
        jitter: Jitter,
        now: Tick,
    ) -> Self {
        let JournalEntry { saved, served, in_service, proven, .. } = entry;
        let state = match (saved, runner_alive) {
            // Nobody was left to start a runner since. What the platform says of one that is gone it may not say again.
            (Saved::Leaving { why }, false) if proven => {
                State::draining(why, DrainStep::Confirm { proven_at: now, weak: false })
            }
            (Saved::Leaving { why }, _) => State::draining(why, DrainStep::Ask { alone_since: None }),
            // A runner that is found is asked back in, which is harmless: a drain that began while the journal could not be written would
            // else leave one that is alive and is sent no jobs.
            (Saved::Serving, true) => State::Returning { since: None, step: ReturnStep::Undrain },
            (Saved::Returning, true) => State::Returning { since: Some(now), step: ReturnStep::Undrain },
            (Saved::Serving | Saved::Returning, false) => State::first(&policy, now),
        };
        let mut lifecycle = Self {
            policy,
            cloud,
            jitter,
            began: now,
            in_service,
            has_served: false,
            main_line: Repeated::new(state.pace()),
            state,
            side: SideRequests::default(),
            runner: RunnerRecord::new(runner_alive, now),
            observed: Observed::new(served),
            reasons: Reasons::default(),
            orders: Orders::default(),
            idle_retry: now,
            end_asked: matches!(saved, Saved::Leaving { .. }).then_some(now),
            shortage: None,
            made_room: None,
            note: None,
            correction: None,
            out: VecDeque::new(),
            next_id: 0,
        };
        lifecycle.decide(now);
        lifecycle
    }

    /// Takes in one event.
    pub fn handle(&mut self, event: Event, now: Tick) {
        match event {
            Event::Activity(activity) => self.observe(activity, now),
            Event::RunnerExited => self.runner_exited(now),
            Event::TargetState(target) => self.set_target(target, now),
            Event::Ending { by, at } => {
                if by == Ending::Termination {
                    self.set_target(TargetState::Terminated, now);
                }
                let (ahead, margin) = (self.cloud.longest_notice, self.policy.abort_margin);
                self.correction = self.reasons.announce(by, at, ahead, margin, now);
            }
            Event::Lifted(by) => self.reasons.lift(by, now),
            Event::Rebalance => self.reasons.set_rebalance(true),
            Event::RebalanceLifted => self.reasons.set_rebalance(false),
            Event::RunnerExpires { at } => self.reasons.set_runner_expires(Some(at)),
            Event::Room(room) => self.take_room(room),
            Event::Order(Order::Drain) => self.orders.drain(),
            Event::Order(Order::Undrain) => self.undrain_ordered(now),
            Event::Order(Order::Hold { until }) => self.orders.hold_until(until),
            Event::Woke { unseen } => self.wake(unseen, now),
            Event::StandingOrder(order) => {
                if self.orders.follow(order) && self.can_undrain() {
                    self.turn_back(now);
                }
            }
            Event::Stop => self.stop(now),
            // What concerns the boot is what this agent began with.
            Event::Policy(policy) => {
                let AgentPolicy { before_register, launch_hook, .. } = self.policy;
                self.policy = AgentPolicy { before_register, launch_hook, ..policy };
            }
        }
        self.decide(now);
    }

    /// Takes in how a request ended. An answer to one that has been superseded is dropped.
    pub fn complete(&mut self, id: RequestId, outcome: Outcome, now: Tick) {
        self.completed(id, outcome, now);
        self.decide(now);
    }

    /// A runner was looked for. The exit of one that was found will be an event.
    pub fn runner_looked_for(&mut self, found: bool) {
        if found {
            self.runner.found();
        } else {
            self.runner.exited();
        }
    }

    /// Must be called when [`Lifecycle::poll_timeout`] is due; calling it earlier is harmless.
    pub fn handle_timeout(&mut self, now: Tick) {
        self.decide(now);
    }

    /// What the last event's time was taken for, where that cannot be and was not said yet.
    pub fn take_correction(&mut self) -> Option<Correction> {
        self.correction.take()
    }

    /// The next thing to do, until there is none.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.out.pop_front()
    }

    /// Everything that follows from what is known now.
    fn decide(&mut self, now: Tick) {
        if self.state == State::Gone {
            return;
        }
        self.orders.end_hold(now);
        self.check_boot_deadline(now);
        self.check_doubt_limit(now);
        self.check_shortage(now);
        if let Some(why) = self.called_away(now) {
            self.leave(why, now);
        }
        self.check_deadline(now);
        self.check_proof_limit(now);
        self.check_held(now);
        self.check_make_room_limit(now);
        self.check_exit_limit(now);
        self.check_idle(now);
        self.advance(now);
        self.keep_protection(now);
        self.keep_launch_hook_alive(now);
        self.keep_hook_alive(now);
        self.keep_ready_sign(now);
        self.keep_record();
    }

    /// The strongest reason to leave that holds now, idleness aside.
    fn called_away(&self, now: Tick) -> Option<LeaveReason> {
        let old = self.elapsed(Timer::Age, now);
        let expired = self.elapsed(Timer::RunnerExpiry, now);
        let served = self.policy.jobs_per_instance.is_some_and(|most| self.observed.served() >= most);
        // Once it retires, the group's choice is the consequence of its own request.
        let retiring = matches!(self.state, State::Retiring(_));
        let risky = self.elapsed(Timer::Rebalance, now);
        self.reasons.strongest(!retiring, risky).or_else(|| {
            [
                (self.orders.to_drain(), LeaveReason::Operator),
                (expired, LeaveReason::RunnerExpired),
                (old, LeaveReason::Age),
                (served, LeaveReason::Limit),
            ]
            .into_iter()
            .find_map(|(holds, why)| holds.then_some(why))
        })
    }

    /// Asks the main line's next question, unless one is in flight or it pauses.
    fn advance(&mut self, now: Tick) {
        if self.main_line.ready(now) {
            // What asks nothing waits for no pause either: an event asks again.
            self.main_line.drop_pause();
            if let Some(request) = self.question() {
                let id = self.ask(request);
                self.main_line.asked(id);
            }
        }
    }

    /// What the present state asks, if it asks anything.
    fn question(&self) -> Option<Request> {
        Some(match &self.state {
            State::Preparing { within, .. } => Request::Prepare { within: *within },
            // Asked again as soon as the metadata announce another state.
            State::Booting(booting) if self.rests_in_pool(*booting) => return None,
            State::Booting(Booting { step: BootStep::Look, .. }) => Request::Describe,
            State::Booting(Booting { step: BootStep::GetReady, .. }) => Request::GetReady,
            State::Booting(Booting { step: BootStep::CompleteLaunchHook, .. }) => Request::CompleteLaunchHook,
            State::Registering { .. } => Request::Register,
            State::Serving(Serving::Idle { asking_size: true, .. }) => Request::GroupSize,
            State::Serving(Serving::Idle { .. } | Serving::Busy)
            | State::Returning { step: ReturnStep::OldExit { .. }, .. }
            | State::Draining(Draining { step: DrainStep::Exit { .. } | DrainStep::Held { .. }, .. })
            | State::Gone => return None,
            State::Returning { step: ReturnStep::Save, .. } => Request::Save(Saved::Returning),
            State::Returning { step: ReturnStep::Undrain, .. } => Request::Undrain,
            State::Draining(Draining { step: DrainStep::Save, .. }) => Request::Save(self.saved()),
            State::Draining(Draining { step: DrainStep::Ask { .. }, .. }) => Request::Drain,
            State::Draining(Draining { step: DrainStep::Confirm { .. }, .. }) => Request::Probe,
            State::Draining(Draining { step: DrainStep::MakeRoom { .. }, .. }) => Request::MakeRoom,
            State::Retiring(retiring) => match retiring.step {
                RetireStep::Deregister => Request::Deregister,
                RetireStep::Look => Request::Describe,
                RetireStep::CompleteHook => Request::CompleteHook,
                RetireStep::End => Request::End(retiring.rung),
            },
        })
    }

    fn completed(&mut self, id: RequestId, outcome: Outcome, now: Tick) {
        if self.main_line.awaits(id) {
            self.main_line.answered();
            match self.state {
                State::Preparing { .. } => self.prepare_answer(outcome, now),
                State::Booting(booting) => self.boot_answer(booting, outcome, now),
                State::Registering { .. } => self.register_answer(outcome, now),
                State::Serving(_) => self.room_answer(outcome, now),
                State::Returning { step, .. } => self.return_answer(step, outcome, now),
                State::Draining(draining) => self.drain_answer(draining, outcome, now),
                State::Retiring(retiring) => self.retire_answer(retiring, outcome, now),
                State::Gone => {}
            }
        } else if outcome == Outcome::Registered {
            // Superseded by a drain, but the runner runs: only its exit, or the platform, proves that it takes no job.
            self.runner.started_late(now);
        } else {
            self.side_answer(id, outcome, now);
        }
    }

    /// Moves the main line on. An answer to the question that is left will be dropped.
    fn enter(&mut self, state: State) {
        self.main_line = Repeated::new(state.pace());
        self.state = state;
    }

    /// The same place, of which more is known: the question that is left goes on, and so do its pauses.
    fn amend(&mut self, state: State) {
        self.state = state;
    }

    /// Repeats the present question after its next pause.
    fn again(&mut self, now: Tick) {
        self.again_by(None, now);
    }

    /// The same, but not later than at this time.
    fn again_by(&mut self, latest: Option<Tick>, now: Tick) {
        let next = now + self.main_line.backoff.pause(self.jitter);
        self.main_line.pause_until(latest.map_or(next, |latest| next.min(latest)));
    }

    fn ask(&mut self, request: Request) -> RequestId {
        let id = RequestId(self.next_id);
        self.next_id += 1;
        self.out.push_back(Action { id, request });
        id
    }

    fn note(&mut self, note: impl Into<String>) {
        self.note = Some(note.into());
    }

    fn set_target(&mut self, target: TargetState, now: Tick) {
        let before = self.reasons.set_target(target);
        if before == TargetState::Warmed {
            // The time in a warm pool is no delay of ours.
            self.state.restart_boot_clock(now);
        }
        // What the metadata announce, the group will say soon: ask at once, and often again.
        let awaited = match self.state {
            State::Booting(_) => target == TargetState::InService,
            State::Retiring(retiring) => retiring.step == RetireStep::Look && target == TargetState::Terminated,
            State::Preparing { .. }
            | State::Registering { .. }
            | State::Serving(_)
            | State::Returning { .. }
            | State::Draining(_)
            | State::Gone => false,
        };
        if awaited && before != target {
            self.main_line.backoff = self.state.pace();
            self.main_line.hurry(now);
        }
    }

    fn stop(&mut self, now: Tick) {
        // Nothing runs and nothing can come: there is nothing to drain. The machine may only be stopped for a while (a warm pool).
        let nothing_begun = matches!(self.state, State::Preparing { .. } | State::Booting(_)) && !self.runner.alive();
        if nothing_begun || self.orders.to_stop() {
            self.enter(State::Gone);
            return;
        }
        self.orders.stop();
        if let State::Retiring(retiring) = self.state {
            self.stop_retiring(retiring, now);
        }
    }
}
