//! The agent's state machine: events in, actions out. It reads no clock and does no I/O.
//!
//! ```text
//! booting -> registering -> idle <-> busy
//!                             \       /
//!                             draining --(a job slipped in, or no room)--> busy / registering
//!                                 |
//!                             retiring -> gone
//! ```
//!
//! The shell hands over one event at a time ([`Agent::handle`]), carries out what [`Agent::poll_action`] yields, and calls
//! [`Agent::handle_timeout`] when [`Agent::poll_timeout`] is due. One request of the protocol is in flight at a time; what runs beside it
//! (heartbeats, protection, aborts) has a slot of its own. `docs/protocol.md` tells the protocol in words.

pub mod action;
pub mod backoff;
pub mod budget;
pub mod event;
mod leaving;
pub mod phase;
pub mod policy;
mod retiring;
mod serving;
mod slots;
mod status;

use crate::cloud::TargetState;
use std::{collections::VecDeque, time::Duration};

pub use status::Status;

use crate::{
    activity::Activity,
    agent::{
        action::{Action, Request, Rung},
        backoff::Backoff,
        budget::Budget,
        event::{Event, Order, Outcome, RequestId},
        phase::{LeaveReason, Phase, Saved},
        policy::AgentPolicy,
        slots::Slots,
    },
    time::Tick,
};

/// The pause between two heartbeats while the hook's time-out is not known: a third of the shortest one that there is.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// Failed starts in a row after which the instance is broken.
const MOST_EXITS: u8 = 5;

/// What the main line of the protocol waits for. Its order is the order of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Step {
    /// Booting: until the group has put the instance in service.
    Join,
    /// Registering: until the runner runs.
    Register,
    /// Serving: nothing to ask.
    Serve,
    /// Idle long enough: has the group room for one less?
    Room,
    /// Coming back: the journal says "serving" again.
    Return,
    /// Coming back: the drain is taken back.
    Undrain,
    /// Coming back: the old runner must exit before a new one starts.
    OldExit,
    /// Draining: the journal says "leaving".
    Save,
    /// Draining: the platform or the runner is told "no more jobs".
    Ask,
    /// Draining: the runner's exit will be the proof.
    Exit,
    /// Draining: the proof is there; one more snapshot must be quiet.
    Confirm,
    /// Retiring: the registration goes.
    Deregister,
    /// Retiring: what does the group think of this instance?
    Look,
    /// Retiring: the termination hook is answered.
    Complete,
    /// Retiring: one rung of the ladder.
    End,
}

/// One instance's agent. Cheap to clone, so that tests can try several futures.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Agent {
    policy: AgentPolicy,
    born: Tick,
    phase: Phase,

    step: Step,
    /// The main line's request in flight.
    asked: Option<RequestId>,
    /// When the main line goes on, if it pauses.
    pause: Option<Tick>,
    backoff: Backoff,
    /// Requests beside the main line.
    slots: Slots,

    /// Since when the boot deadline runs.
    booting_since: Tick,
    runner_alive: bool,
    registered_at: Tick,
    /// Starts of the runner in a row that came to nothing.
    exits: u8,
    /// Whether this runner has had a job. Some runners exit after each.
    worked: bool,
    activity: Activity,
    /// Since when every snapshot has been quiet.
    quiet_since: Option<Tick>,
    /// Since when no snapshot could tell anything.
    doubt_since: Option<Tick>,
    /// Since when every answer to a drain has been that no runner is left to ask about.
    alone_since: Option<Tick>,
    /// Whether a job is running for the count of served jobs.
    working: bool,
    served: u32,
    /// Before this an idle leave is not tried again.
    idle_retry: Tick,
    /// The idle period that the confirmation window has checked.
    checked: Option<Tick>,

    target: TargetState,
    /// The pause between two heartbeats of the termination hook.
    heartbeat: Duration,
    spot: Option<Budget>,
    aborted: bool,
    rebalance: bool,
    maintenance: bool,
    drain_ordered: bool,
    stops: u8,
    hold: Option<Tick>,
    /// Why it is broken.
    trouble: Option<String>,
    /// The last thing that went wrong, for the status.
    note: Option<String>,

    /// When the proof came that no job can run.
    proof: Option<Tick>,
    /// The proof is only that no runner was left and the platform said nothing for long.
    weak_proof: bool,
    deregistered: bool,
    rung: Rung,
    rung_since: Tick,
    /// When the cloud accepted to end the instance.
    accepted: Option<Tick>,

    out: VecDeque<Action>,
    next_id: u64,
}

impl Agent {
    /// An agent on a fresh instance.
    pub fn new(policy: AgentPolicy, now: Tick) -> Self {
        Self::resume(policy, Saved::Serving, false, 0, now, now)
    }

    /// An agent after a restart: what the journal says, whether the runner was found alive, how many jobs were counted, when the instance
    /// was born. Whatever runs is unknown until the first snapshot, and unknown is busy.
    pub fn resume(policy: AgentPolicy, saved: Saved, runner_alive: bool, served: u32, born: Tick, now: Tick) -> Self {
        let (phase, step) = match (saved, runner_alive) {
            (Saved::Leaving { why }, _) => (Phase::Draining { why }, Step::Ask),
            (Saved::Serving, true) => (Phase::Busy, Step::Serve),
            (Saved::Returning, true) => (Phase::Busy, Step::Undrain),
            (Saved::Serving | Saved::Returning, false) => (Phase::Booting, Step::Join),
        };
        let mut agent = Self {
            policy,
            born,
            phase,
            step,
            asked: None,
            pause: None,
            backoff: pace(step),
            slots: Slots::default(),
            booting_since: now,
            runner_alive,
            registered_at: now,
            exits: 0,
            worked: false,
            activity: Activity::Unknown("nothing has been observed yet".into()),
            quiet_since: None,
            doubt_since: None,
            alone_since: None,
            working: false,
            served,
            idle_retry: now,
            checked: None,
            target: TargetState::Unknown,
            heartbeat: HEARTBEAT,
            spot: None,
            aborted: false,
            rebalance: false,
            maintenance: false,
            drain_ordered: false,
            stops: 0,
            hold: None,
            trouble: None,
            note: None,
            proof: None,
            weak_proof: false,
            deregistered: false,
            rung: Rung::Shrink,
            rung_since: now,
            accepted: None,
            out: VecDeque::new(),
            next_id: 0,
        };
        agent.decide(now);
        agent
    }

    /// The present phase.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Whether an operator's undrain would still be heard.
    pub fn can_undrain(&self) -> bool {
        matches!(self.phase, Phase::Draining { why: LeaveReason::Idle | LeaveReason::Operator })
    }

    /// Takes in one event.
    pub fn handle(&mut self, event: Event, now: Tick) {
        match event {
            Event::Activity(activity) => self.observe(activity, now),
            Event::RunnerFound => self.runner_alive = true,
            Event::RunnerExited => self.runner_exited(now),
            Event::TargetState(target) => self.set_target(target, now),
            Event::Spot { at } => {
                if self.spot.is_none_or(|budget| budget.deadline != at) {
                    self.spot = Some(Budget::new(now, at, self.policy.abort_margin));
                }
            }
            Event::Rebalance => self.rebalance = true,
            Event::Maintenance => self.maintenance = true,
            Event::Order(Order::Drain) => self.drain_ordered = true,
            Event::Order(Order::Undrain) => self.undrain_ordered(now),
            Event::Order(Order::Hold { until }) => self.hold = Some(until),
            Event::Stop => self.stop(),
            Event::Hook { heartbeat } => self.heartbeat = heartbeat,
            Event::Policy(policy) => self.policy = policy,
            Event::Completed { id, outcome } => self.completed(id, outcome, now),
        }
        self.decide(now);
    }

    /// Must be called when [`Agent::poll_timeout`] is due; calling it earlier is harmless.
    pub fn handle_timeout(&mut self, now: Tick) {
        self.decide(now);
    }

    /// The next thing to do, until there is none.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.out.pop_front()
    }

    /// When [`Agent::handle_timeout`] is due. May lie in the past.
    pub fn poll_timeout(&self) -> Option<Tick> {
        if self.phase == Phase::Gone {
            return None;
        }
        [
            self.pause,
            self.boot_timer(),
            self.idle_timer(),
            self.age_timer(),
            self.spot_timer(),
            self.proof_timer(),
            self.exit_timer(),
            self.doubt_timer(),
            self.slots.heartbeat.due,
            self.slots.protect.due,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Everything that follows from what is known now. Level-triggered: a fact that holds is acted upon whenever this runs.
    fn decide(&mut self, now: Tick) {
        if self.phase == Phase::Gone {
            return;
        }
        if self.hold.is_some_and(|until| until <= now) {
            self.hold = None;
        }
        self.check_boot_deadline(now);
        self.check_doubt_limit(now);
        if let Some(why) = self.called_away(now) {
            self.leave(why, now);
        }
        self.check_spot_budget(now);
        self.check_proof_limit(now);
        self.check_exit_limit(now);
        self.check_idle(now);
        self.advance(now);
        self.keep_protection(now);
        self.keep_hook_alive(now);
    }

    /// The strongest reason to leave that holds now, idleness aside.
    fn called_away(&self, now: Tick) -> Option<LeaveReason> {
        let old = self.policy.max_age.is_some_and(|most| now.since(self.born) >= most) && self.hold.is_none();
        let served = self.policy.jobs_per_instance.is_some_and(|most| self.served >= most);
        // Once it retires, the group's choice is the consequence of its own request.
        let chosen = self.target == TargetState::Terminated && !matches!(self.phase, Phase::Retiring { .. });
        [
            (self.trouble.is_some(), LeaveReason::Broken),
            (self.spot.is_some(), LeaveReason::Spot),
            (chosen, LeaveReason::ScaleIn),
            (self.maintenance, LeaveReason::Maintenance),
            (self.rebalance && self.policy.leave_on_rebalance, LeaveReason::Rebalance),
            (self.drain_ordered, LeaveReason::Operator),
            (old, LeaveReason::Age),
            (served, LeaveReason::Limit),
        ]
        .into_iter()
        .find_map(|(holds, why)| holds.then_some(why))
    }

    /// Asks the main line's next question, unless one is in flight or it pauses.
    fn advance(&mut self, now: Tick) {
        if self.asked.is_some() || self.pause.is_some_and(|until| until > now) {
            return;
        }
        let request = match self.step {
            Step::Serve | Step::Exit | Step::OldExit => return,
            Step::Join if self.target == TargetState::Warmed => {
                self.pause = None;
                return;
            }
            Step::Join | Step::Look => Request::Describe,
            Step::Register => Request::Register,
            Step::Room => Request::Room,
            Step::Return => Request::Save(Saved::Returning),
            Step::Undrain => Request::Undrain,
            Step::Save => Request::Save(self.saved()),
            Step::Ask => Request::Drain,
            Step::Confirm => Request::Probe,
            Step::Deregister => Request::Deregister,
            Step::Complete => Request::CompleteHook,
            Step::End => Request::End(self.rung),
        };
        self.pause = None;
        self.asked = Some(self.ask(request));
    }

    fn completed(&mut self, id: RequestId, outcome: Outcome, now: Tick) {
        if self.asked == Some(id) {
            self.asked = None;
            match self.step {
                Step::Join | Step::Register | Step::Room | Step::Return | Step::Undrain => {
                    self.serving_answer(outcome, now);
                }
                Step::Save | Step::Ask | Step::Confirm => self.leaving_answer(outcome, now),
                Step::Deregister | Step::Look | Step::Complete | Step::End => self.retiring_answer(outcome, now),
                Step::Serve | Step::Exit | Step::OldExit => {}
            }
        } else if outcome == Outcome::Registered {
            // Superseded by a drain, but the runner runs: only its exit, or the platform, proves that it takes no job.
            self.runner_alive = true;
            self.registered_at = now;
        } else {
            self.slot_answer(id, outcome, now);
        }
    }

    /// Moves the main line on. An answer to the step that is left will be dropped.
    fn go(&mut self, step: Step) {
        self.alone_since = None;
        if matches!(step, Step::Exit | Step::OldExit) {
            // How long it was quiet before it was told to go says nothing about after.
            self.quiet_since = None;
        }
        self.step = step;
        self.asked = None;
        self.pause = None;
        self.backoff = pace(step);
    }

    /// Repeats the present step after its next pause.
    fn again(&mut self, now: Tick) {
        self.pause = Some(now + self.backoff.pause());
    }

    fn ask(&mut self, request: Request) -> RequestId {
        let id = RequestId(self.next_id);
        self.next_id += 1;
        self.out.push_back(Action { id, request });
        id
    }

    /// What the journal must say in this phase.
    pub fn saved(&self) -> Saved {
        self.phase.why().map_or(Saved::Serving, |why| Saved::Leaving { why })
    }

    fn set_target(&mut self, target: TargetState, now: Tick) {
        let news = self.target != target;
        if self.target == TargetState::Warmed {
            // The time in a warm pool is no delay of ours.
            self.booting_since = now;
        }
        self.target = target;
        // What the metadata announce, the group will say soon: ask at once, and often again.
        let awaited = match self.step {
            Step::Join => TargetState::InService,
            _ => TargetState::Terminated,
        };
        if news && target == awaited && matches!(self.step, Step::Join | Step::Look) {
            self.backoff = pace(self.step);
            self.pause = self.pause.map(|_| now);
        }
    }

    fn stop(&mut self) {
        self.stops = self.stops.saturating_add(1);
        self.drain_ordered = true;
        // The cloud has agreed to end the machine, so this signal is the machine going down; a second one is an order.
        if self.stops > 1 || self.accepted.is_some() {
            self.phase = Phase::Gone;
        }
    }

    fn age_timer(&self) -> Option<Tick> {
        let leaving = self.phase.why().is_some();
        let due = self.born + self.policy.max_age?;
        (!leaving).then(|| self.hold.map_or(due, |until| until.max(due)))
    }
}

/// How fast a step is repeated.
fn pace(step: Step) -> Backoff {
    const fn ms(first: u64, most: u64) -> Backoff {
        Backoff::new(Duration::from_millis(first), Duration::from_millis(most))
    }
    match step {
        Step::Join | Step::Confirm => ms(500, 5_000),
        Step::Register | Step::Return | Step::Undrain | Step::Deregister | Step::End => ms(1_000, 30_000),
        Step::Ask => ms(1_000, 15_000),
        Step::Look | Step::Complete => ms(200, 10_000),
        Step::Serve | Step::Room | Step::OldExit | Step::Save | Step::Exit => ms(1_000, 1_000),
    }
}
