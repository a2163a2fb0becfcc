//! The agent: events in, effects on its host out. It reads no clock and does no I/O.
//!
//! Two layers, both pure. The [`Lifecycle`] decides what is to be done next and why; `operations` decide how each request is carried
//! out, effect by effect, and what the results mean. The shell hands over one event or one result at a time, then takes what
//! [`Agent::poll_output`] yields until there is none, and calls [`Agent::handle_timeout`] when [`Agent::poll_timeout`] is due. The model checker
//! and the simulator drive the same code.

pub mod action;
pub mod backoff;
pub mod budget;
pub mod draining;
pub mod event;
pub mod host;
pub mod jitter;
pub mod lifecycle;
#[expect(clippy::match_same_arms, reason = "an operation is read from its first step to its last")]
mod operations;
pub mod phase;
pub mod policy;
pub mod recorder;
pub mod unusable;

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

pub use lifecycle::{Lifecycle, Status};

use self::{
    action::{Action, Request},
    event::{Event, Order, OrderId, Outcome, RequestId},
    host::{EffectId, HostEffect, HostResult, JournalEntry},
    jitter::Jitter,
    operations::{LifecycleView, Operations},
    phase::{BrokenBy, Phase, Saved},
    policy::AgentPolicy,
};
use crate::{
    activity::Activity,
    cloud::{Capabilities, Ending},
    duration::format_about,
    platform::DrainRules,
    time::Tick,
};

/// What the shell is to do or to say.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Output {
    /// Carry this out, and hand the result to [`Agent::resume`].
    Effect {
        /// Comes back with the result.
        id: EffectId,
        /// What to do.
        effect: HostEffect,
    },
    /// The answer to an operator's order.
    Reply {
        id: OrderId,
        /// What became of it, in words.
        answer: Result<String, String>,
    },
    /// A request ended; for the log only.
    Finished { request: Request, outcome: Outcome },
    /// A time that somebody told cannot be, and another is taken for it; said once for each ending.
    Corrected(Correction),
}

/// What is taken for a time that cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Correction {
    pub by: Ending,
    /// The time that was told, on the shell's clock.
    pub told: Tick,
    /// The time that is taken for it.
    pub taken: Tick,
}

/// One instance's agent. Cheap to clone, so that tests can try several futures.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Agent {
    lifecycle: Lifecycle,
    operations: Operations,
    outputs: VecDeque<Output>,
    /// The orders that wait for a save of theirs to reach the disk.
    unsaved: BTreeMap<RequestId, OrderId>,
}

impl Agent {
    /// An agent that begins: on a fresh instance, or after a restart with what the journal said and whether a runner was found alive.
    /// `rules` is how the CI platform drains, `cloud` what the cloud can do, `jitter` what sets this instance apart from others.
    pub fn new(
        policy: AgentPolicy,
        rules: DrainRules,
        cloud: Capabilities,
        entry: JournalEntry,
        runner_alive: bool,
        jitter: Jitter,
        now: Tick,
    ) -> Self {
        let mut agent = Self {
            lifecycle: Lifecycle::resume(policy, cloud, entry, runner_alive, jitter, now),
            operations: Operations::new(rules, entry),
            outputs: VecDeque::new(),
            unsaved: BTreeMap::new(),
        };
        agent.pump(now);
        agent
    }

    /// Takes in one event.
    pub fn handle(&mut self, event: Event, now: Tick) {
        self.lifecycle.handle(event, now);
        self.pump(now);
    }

    /// Takes in a snapshot of all probes that nobody asked for, and whether the platform refused the token of one.
    pub fn sampled(&mut self, activity: Activity, token_refused: bool, now: Tick) {
        if token_refused {
            self.operations.token_refused(now);
        }
        self.handle(Event::Activity(activity), now);
    }

    /// Takes in what came of an effect. One that nobody waits for any more is dropped.
    pub fn resume(&mut self, id: EffectId, result: HostResult, now: Tick) {
        if let HostResult::Runner(Ok(found)) = &result {
            // One that started late is news, and so is one whose exit was never heard of.
            self.lifecycle.runner_looked_for(found.is_some());
        }
        if let Some((action, outcome)) = self.operations.resume(id, result, self.view(), now) {
            self.finished(action, outcome, now);
        }
        self.pump(now);
    }

    /// Takes in an operator's order; [`Output::Reply`] answers it.
    pub fn order(&mut self, id: OrderId, order: Order, now: Tick) {
        match order {
            Order::Drain => {
                self.lifecycle.handle(Event::Order(order), now);
                self.pump(now);
                // The order outlives a crash from the moment at which it is acknowledged.
                let save = RequestId(u64::MAX - u64::from(id.0));
                self.unsaved.insert(save, id);
                self.start_request(Action { id: save, request: Request::Save(self.lifecycle.saved()) }, now);
            }
            Order::Undrain if !self.lifecycle.can_undrain() => {
                let status = self.lifecycle.status();
                let why = status.why.map_or(String::new(), |why| format!(" ({why})"));
                self.reply(
                    id,
                    Err(format!(
                        "cannot undrain: the agent is {}{why}; only an operator's drain can be taken back, before it retires",
                        status.phase.as_str()
                    )),
                );
            }
            Order::Undrain => {
                self.lifecycle.handle(Event::Order(order), now);
                self.reply(id, Ok("serving again".into()));
            }
            Order::Hold { until } => {
                self.lifecycle.handle(Event::Order(order), now);
                let span = format_about(until.since(now));
                self.reply(id, Ok(format!("the instance does not leave for idleness or age for {span}")));
            }
        }
        self.pump(now);
    }

    /// Must be called when [`Agent::poll_timeout`] is due; calling it earlier is harmless.
    pub fn handle_timeout(&mut self, now: Tick) {
        self.lifecycle.handle_timeout(now);
        self.pump(now);
    }

    /// The next thing to do or to say, until there is none.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Agent::handle_timeout`] is due. May lie in the past.
    pub fn poll_timeout(&self) -> Option<Tick> {
        self.lifecycle.poll_timeout()
    }

    /// The present phase.
    pub fn phase(&self) -> Phase {
        self.lifecycle.phase()
    }

    /// The present status.
    pub fn status(&self) -> Status {
        self.lifecycle.status()
    }

    /// Whether an operator's undrain would still be heard.
    pub fn can_undrain(&self) -> bool {
        self.lifecycle.can_undrain()
    }

    /// The policy in force.
    pub fn policy(&self) -> &AgentPolicy {
        self.lifecycle.policy()
    }

    /// Whether the cloud has agreed to end the instance, or the agent has no more to do for that.
    pub fn end_accepted(&self) -> bool {
        self.lifecycle.end_accepted()
    }

    /// From when on the platform may refuse the image's runner, as far as the image says so.
    pub fn runner_expires(&self) -> Option<Tick> {
        self.lifecycle.runner_expires()
    }

    /// What makes it broken, once something does.
    pub fn trouble(&self) -> Option<(BrokenBy, &str)> {
        self.lifecycle.trouble()
    }

    /// Whether it leaves, and it was proven that no job runs and none can come.
    pub fn proven_empty(&self) -> bool {
        self.lifecycle.proven_empty()
    }

    /// Whether its jobs are failed for a deadline of the cloud.
    pub fn aborted(&self) -> bool {
        self.lifecycle.aborted()
    }

    /// Until when an operator holds the instance, if one does.
    pub fn hold(&self) -> Option<Tick> {
        self.lifecycle.hold()
    }

    /// How often the shell samples all probes without an occasion.
    pub fn sample_interval(&self) -> Duration {
        self.lifecycle.sample_interval()
    }

    fn finished(&mut self, action: Action, outcome: Outcome, now: Tick) {
        self.outputs.push_back(Output::Finished { request: action.request, outcome: outcome.clone() });
        let Some(order) = self.unsaved.remove(&action.id) else {
            return self.lifecycle.complete(action.id, outcome, now);
        };
        let answer = if outcome == Outcome::Done {
            Ok("draining: no more jobs; the instance ends when those that run have finished".into())
        } else {
            Err(format!("draining, but a crash of the agent would forget it: {}", outcome.text()))
        };
        self.reply(order, answer);
    }

    fn reply(&mut self, id: OrderId, answer: Result<String, String>) {
        self.outputs.push_back(Output::Reply { id, answer });
    }

    fn start_request(&mut self, action: Action, now: Tick) {
        self.operations.start(action, self.view(), now);
    }

    /// What the operations need of the lifecycle.
    fn view(&self) -> LifecycleView {
        LifecycleView {
            protection: self.lifecycle.protection(),
            served: self.lifecycle.served(),
            in_service: self.lifecycle.in_service(),
            proven: self.lifecycle.proven_empty(),
            aborted: self.lifecycle.aborted(),
            clean_timeout: self.policy().clean_timeout,
        }
    }

    /// Requests become operations, operations become effects.
    fn pump(&mut self, now: Tick) {
        if let Some(correction) = self.lifecycle.take_correction() {
            self.outputs.push_back(Output::Corrected(correction));
        }
        while let Some(action) = self.lifecycle.poll_action() {
            self.start_request(action, now);
        }
        while let Some((id, effect)) = self.operations.poll_effect() {
            self.outputs.push_back(Output::Effect { id, effect });
        }
    }
}

impl JournalEntry {
    /// What a fresh instance's journal says.
    pub const FRESH: Self =
        Self { saved: Saved::Serving, served: 0, registered: false, in_service: None, proven: false };
}
