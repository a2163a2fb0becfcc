//! How requests are carried out: each is an operation that asks the host for one effect after the other and decides what the results mean.
//!
//! Operations that touch the runner run one after the other, in the order in which they were asked for; all others run beside them.

mod abort;
mod cloud;
mod deregister;
mod drain;
mod ending;
mod make_room;
mod ready;
mod register;
mod signal_drain;
mod undrain;

pub(super) use self::cloud::HEARTBEATS;

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use super::{
    action::{Action, Request},
    event::Outcome,
    host::{EffectId, HostEffect, HostResult, JournalEntry, Prepared},
    phase::Saved,
    policy::Protection,
};
use crate::{
    exchange::{ErrorKind, ExchangeError},
    platform::{DrainBy, DrainRules, Signal},
    time::Tick,
};

/// How often a refused token is fetched anew, at most.
const ROTATION: Duration = Duration::from_secs(60);

/// What an operation wants next.
enum Next<S> {
    /// This effect; `S` says where the operation is meanwhile.
    Do(HostEffect, S),
    /// It is over.
    Done(Outcome),
}

impl<S> Next<S> {
    fn map<T>(self, wrap: impl FnOnce(S) -> T) -> Next<T> {
        match self {
            Self::Do(effect, step) => Next::Do(effect, wrap(step)),
            Self::Done(outcome) => Next::Done(outcome),
        }
    }
}

/// Where an operation is, while an effect is under way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Step {
    Save,
    Prepare,
    GetReady(ready::Step),
    Register(register::Step),
    Drain(drain::Step),
    Undrain(undrain::Step),
    Abort {
        step: abort::Step,
        /// Whether it is for a deadline of the cloud, which may be called off.
        deadline: bool,
    },
    Deregister(deregister::Step),
    MakeRoom(make_room::Step),
    Probe,
    Cloud(cloud::Step),
}

/// What operations know of the lifecycle.
#[derive(Clone, Copy)]
pub(super) struct LifecycleView {
    pub(super) protection: Protection,
    pub(super) served: u32,
    pub(super) in_service: Option<Tick>,
    pub(super) proven: bool,
    /// Whether jobs are failed for a deadline of the cloud.
    pub(super) aborted: bool,
    /// How long making room may take.
    pub(super) clean_timeout: Duration,
}

/// What operations know beside their own step.
pub(super) struct Context<'a> {
    pub(super) view: LifecycleView,
    pub(super) now: Tick,
    pub(super) facts: &'a mut Facts,
}

/// What outlives an operation.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Facts {
    rules: DrainRules,
    /// Whether a registration was ever begun.
    registered: bool,
    /// What the journal says or is about to say.
    saved: Saved,
    /// When the token was last dropped because the platform refused it.
    token_dropped: Option<Tick>,
    /// Effects that nothing waits for.
    aside: VecDeque<HostEffect>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Operations {
    facts: Facts,
    running: BTreeMap<EffectId, (Action, Step)>,
    /// Those that touch the runner and wait for their turn.
    waiting: VecDeque<Action>,
    effects: VecDeque<(EffectId, HostEffect)>,
    next_id: u64,
}

impl Operations {
    pub(super) fn new(rules: DrainRules, entry: JournalEntry) -> Self {
        let facts = Facts {
            rules,
            registered: entry.registered,
            saved: entry.saved,
            token_dropped: None,
            aside: VecDeque::new(),
        };
        Self { facts, running: BTreeMap::new(), waiting: VecDeque::new(), effects: VecDeque::new(), next_id: 0 }
    }

    pub(super) fn poll_effect(&mut self) -> Option<(EffectId, HostEffect)> {
        self.effects.pop_front()
    }

    /// The platform refused the token of a probe.
    pub(super) fn token_refused(&mut self, now: Tick) {
        self.facts.token_refused(now);
        self.flush_aside();
    }

    /// Begins an operation, or has it wait for its turn.
    pub(super) fn start(&mut self, action: Action, view: LifecycleView, now: Tick) {
        if action.request == Request::Deregister {
            // The instance goes now, and its runner with it: what is still being told to that one is no matter any more, nor is room for jobs.
            let idle = |request| matches!(request, Request::Drain | Request::Undrain | Request::MakeRoom);
            self.running.retain(|_, (other, _)| !idle(other.request));
            self.waiting.retain(|other| !idle(other.request));
        }
        if touches_runner(action.request) && self.running.values().any(|(other, _)| touches_runner(other.request)) {
            self.waiting.push_back(action);
            return;
        }
        let mut cx = Context { view, now, facts: &mut self.facts };
        let (effect, step) = first(action.request, &mut cx);
        self.run(action, effect, step);
    }

    /// Goes on with a result: the operation's outcome, once it is over. A result that nobody waits for is dropped.
    pub(super) fn resume(
        &mut self,
        id: EffectId,
        result: HostResult,
        view: LifecycleView,
        now: Tick,
    ) -> Option<(Action, Outcome)> {
        let (action, step) = self.running.remove(&id)?;
        let mut cx = Context { view, now, facts: &mut self.facts };
        match next(step, result, &mut cx) {
            Next::Do(effect, step) => {
                self.run(action, effect, step);
                None
            }
            Next::Done(outcome) => {
                self.release_clients_after(action.request, &outcome);
                if touches_runner(action.request)
                    && let Some(waiting) = self.waiting.pop_front()
                {
                    self.start(waiting, view, now);
                }
                Some((action, outcome))
            }
        }
    }

    fn run(&mut self, action: Action, effect: HostEffect, step: Step) {
        self.flush_aside();
        let id = self.take_id();
        self.running.insert(id, (action, step));
        self.effects.push_back((id, effect));
    }

    fn take_id(&mut self) -> EffectId {
        let id = EffectId(self.next_id);
        self.next_id += 1;
        id
    }

    /// Clients are not needed while jobs run, and those that failed may hold credentials that are refused for as long as they are kept.
    fn release_clients_after(&mut self, request: Request, outcome: &Outcome) {
        if request == Request::FindHook
            || matches!(outcome, Outcome::Failed(_) | Outcome::Rejected(_) | Outcome::Denied(_))
        {
            self.facts.aside.push_back(HostEffect::ReleaseClients);
        }
        self.flush_aside();
    }

    fn flush_aside(&mut self) {
        while let Some(aside) = self.facts.aside.pop_front() {
            let id = self.take_id();
            self.effects.push_back((id, aside));
        }
    }
}

/// Those run one after the other.
fn touches_runner(request: Request) -> bool {
    match request {
        Request::Register | Request::Drain | Request::Undrain | Request::Deregister => true,
        Request::Save(_)
        | Request::NoteProof
        | Request::Prepare { .. }
        | Request::GetReady
        | Request::Abort { .. }
        | Request::MakeRoom
        | Request::Probe
        | Request::Describe
        | Request::GroupSize
        | Request::Protect(_)
        | Request::ExtendLaunchHook
        | Request::CompleteLaunchHook
        | Request::FindHook
        | Request::ExtendHook
        | Request::CompleteHook
        | Request::End(_)
        | Request::RecordReady
        | Request::RecordReason(_) => false,
    }
}

fn first(request: Request, cx: &mut Context<'_>) -> (HostEffect, Step) {
    match request {
        Request::Save(saved) => {
            cx.facts.saved = saved;
            (cx.write_journal(), Step::Save)
        }
        Request::NoteProof => (cx.write_journal(), Step::Save),
        Request::Prepare { within } => (HostEffect::Prepare { within }, Step::Prepare),
        Request::GetReady => (HostEffect::FindRunner, Step::GetReady(ready::Step::Find)),
        Request::Register => (HostEffect::FindRunner, Step::Register(register::Step::Find)),
        Request::Drain => drain::first(),
        Request::Undrain => undrain::first(),
        Request::Abort { within } => {
            let step = Step::Abort { step: abort::Step::Find { within }, deadline: cx.view.aborted };
            (HostEffect::FindRunner, step)
        }
        Request::Deregister => deregister::first(cx),
        Request::MakeRoom => make_room::first(cx),
        Request::Probe => (HostEffect::Snapshot, Step::Probe),
        Request::Describe
        | Request::GroupSize
        | Request::Protect(_)
        | Request::ExtendLaunchHook
        | Request::CompleteLaunchHook
        | Request::FindHook
        | Request::ExtendHook
        | Request::CompleteHook
        | Request::End(_)
        | Request::RecordReady
        | Request::RecordReason(_) => {
            let (call, step) = cloud::first(request);
            (HostEffect::Cloud(call), Step::Cloud(step))
        }
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "a result that does not fit is a failure with its text, whichever it is"
)]
fn next(step: Step, result: HostResult, cx: &mut Context<'_>) -> Next<Step> {
    match step {
        Step::Save => Next::Done(match result {
            HostResult::Done(Ok(())) => Outcome::Done,
            HostResult::Done(Err(why)) => Outcome::Failed(format!("cannot write the journal: {why}")),
            other => unexpected(&other),
        }),
        Step::Prepare => Next::Done(match result {
            HostResult::Prepared(Prepared::Succeeded) => Outcome::Done,
            HostResult::Prepared(Prepared::Failed(why)) => Outcome::Denied(why),
            HostResult::Prepared(Prepared::Unknown(why)) => Outcome::Failed(why),
            other => unexpected(&other),
        }),
        Step::GetReady(step) => ready::next(step, result, cx).map(Step::GetReady),
        Step::Register(step) => register::next(step, result, cx).map(Step::Register),
        Step::Drain(step) => drain::next(step, result, cx).map(Step::Drain),
        Step::Undrain(step) => undrain::next(step, result, cx).map(Step::Undrain),
        Step::Abort { step, deadline } => {
            abort::next(step, result, deadline && !cx.view.aborted, cx).map(|step| Step::Abort { step, deadline })
        }
        Step::Deregister(step) => deregister::next(step, result, cx).map(Step::Deregister),
        Step::MakeRoom(step) => make_room::next(step, result, cx).map(Step::MakeRoom),
        Step::Probe => Next::Done(match result {
            HostResult::Snapshot { activity, token_refused } => {
                if token_refused {
                    cx.facts.token_refused(cx.now);
                }
                Outcome::Snapshot(activity)
            }
            other => unexpected(&other),
        }),
        Step::Cloud(step) => cloud::next(step, result).map(Step::Cloud),
    }
}

impl Context<'_> {
    fn write_journal(&self) -> HostEffect {
        let Facts { saved, registered, .. } = *self.facts;
        let LifecycleView { served, in_service, proven, .. } = self.view;
        HostEffect::WriteJournal(JournalEntry { saved, served, registered, in_service, proven })
    }

    /// The signal that ends a runner without a job.
    fn stop_signal(&self) -> Signal {
        match self.facts.rules.drain {
            DrainBy::Signal(signal) => signal,
            DrainBy::Call => self.facts.rules.abort,
        }
    }

    /// What a failed conversation with the platform means.
    fn platform_failed(&mut self, error: &ExchangeError) -> Outcome {
        if error.kind == ErrorKind::Unauthorized {
            self.facts.token_refused(self.now);
        }
        if error.is_transient() { Outcome::Failed(error.to_string()) } else { Outcome::Denied(error.to_string()) }
    }
}

impl Facts {
    /// The token may have been rotated: it is fetched anew, once a minute at most.
    fn token_refused(&mut self, now: Tick) {
        if self.token_dropped.is_none_or(|at| now.since(at) >= ROTATION) {
            self.token_dropped = Some(now);
            self.aside.push_back(HostEffect::ForgetToken);
        }
    }
}

/// A result of another kind than the effect's: a fault of the host, from which nothing is concluded.
fn unexpected(result: &HostResult) -> Outcome {
    Outcome::Failed(format!("the host answered something else than was asked: {result:?}"))
}
