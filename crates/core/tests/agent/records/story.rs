//! An agent on a host that does what it is asked, and what is written down of its life.

use std::{collections::VecDeque, time::Duration};

use lightsout_core::{
    activity::Activity,
    agent::{
        Agent, Output,
        action::Rung,
        event::{Event, Order, OrderId},
        host::{
            CloudAnswer, CloudCall, EffectId, HostEffect, HostResult, JournalEntry, PlatformAnswer, PlatformCall,
            Prepared, RunnerSeen, ToldToDrain,
        },
        jitter::Jitter,
        phase::Phase,
        policy::AgentPolicy,
        recorder::{InstanceFacts, Moment, Recorder},
    },
    cloud::{CloudError, CloudErrorKind, GroupSize, Machine, Membership},
    exchange::{ErrorKind, ExchangeError},
    platform::{DrainBy, DrainRules, Drained, Requests, Signal, UndrainBy},
    record::{Departure, Incident, IncidentKind, ProofBy},
    space::Room,
    time::Tick,
};

use crate::rig::{CLOUD, secs};

pub(super) const BY_SIGNAL: DrainRules = DrainRules {
    drain: DrainBy::Signal(Signal::Quit),
    undrain: UndrainBy::Relaunch,
    abort: Signal::Term,
    quiesce: false,
};
pub(super) const BY_CALL: DrainRules =
    DrainRules { drain: DrainBy::Call, undrain: UndrainBy::Call, abort: Signal::Int, quiesce: false };
pub(super) const SERVED: Membership = Membership::InService { protected: true };
/// The wall's clock at the beginning: 26 November 2026, 03:00.
pub(super) const BEGAN_MS: i64 = 1_795_662_000_000;

/// What kind of machine it is.
pub(super) fn machine() -> Machine {
    Machine { machine_type: Some("m7i.large".into()), spot: Some(false) }
}

/// A whole agent on a host that does what it is asked, and what is written down of it.
pub(super) struct Story {
    pub(super) agent: Agent,
    pub(super) recorder: Recorder,
    pub(super) now: Tick,
    pub(super) runner: Option<ToldToDrain>,
    pub(super) activity: Activity,
    pub(super) membership: Membership,
    /// Whether the runner can be registered.
    pub(super) registers: Result<(), String>,
    pub(super) prepared: Prepared,
    /// The time-out of the termination hook, and whether it can be extended.
    pub(super) time_out: Duration,
    pub(super) extends: bool,
    /// Whether none waits that could be extended, and whether the group has none at all.
    pub(super) hook_gone: bool,
    pub(super) no_hook: bool,
    /// What the group has.
    pub(super) size: GroupSize,
    /// What the runner does while the group is asked for that, once.
    pub(super) comes_while_asked: Option<Activity>,
    /// What the platform refuses, and how.
    pub(super) refuses: Option<(PlatformCall, ErrorKind)>,
    /// Whether its runner heeds no signal.
    pub(super) stubborn: bool,
    /// Whether the next wait for its exit gets no answer before [`Story::answers_late`], and the wait that gets none.
    pub(super) hangs: bool,
    hanging: Option<EffectId>,
    /// Whether an instance whose ending was accepted stays in service.
    pub(super) lingers: bool,
    /// How an ending is answered.
    pub(super) ends: fn(Rung) -> Result<(), CloudErrorKind>,
    pub(super) effects: VecDeque<(EffectId, HostEffect)>,
    pub(super) departures: Vec<Departure>,
    pub(super) incidents: Vec<Incident>,
    /// How long each ending would have waited.
    pub(super) patience: Vec<Duration>,
}

impl Story {
    pub(super) fn begin(policy: AgentPolicy, rules: DrainRules) -> Self {
        Self::resume(policy, rules, JournalEntry::FRESH, None)
    }

    pub(super) fn resume(
        policy: AgentPolicy,
        rules: DrainRules,
        entry: JournalEntry,
        runner: Option<ToldToDrain>,
    ) -> Self {
        let now = Tick(1_000_000);
        let facts = InstanceFacts {
            instance: "i-1".into(),
            machine: machine(),
            platform: "gitlab".into(),
            rules,
            termination_hook: CLOUD.termination_hook,
            first: entry == JournalEntry::FRESH && runner.is_none(),
        };
        let at = Moment { tick: now, unix_ms: BEGAN_MS };
        Self {
            agent: Agent::new(policy, rules, CLOUD, entry, runner.is_some(), Jitter::NONE, now),
            recorder: Recorder::new(facts, entry, runner.is_some(), at),
            now,
            runner,
            activity: Activity::Quiet,
            membership: SERVED,
            registers: Ok(()),
            prepared: Prepared::Succeeded,
            time_out: secs(600),
            extends: true,
            hook_gone: false,
            no_hook: false,
            size: GroupSize { desired: 3, min: 0, floor: 0, members: 3, rank: 0 },
            comes_while_asked: None,
            refuses: None,
            stubborn: false,
            hangs: false,
            hanging: None,
            lingers: false,
            ends: |_| Ok(()),
            effects: VecDeque::new(),
            departures: Vec::new(),
            incidents: Vec::new(),
            patience: Vec::new(),
        }
    }

    /// Idle, its runner registered.
    pub(super) fn idle(policy: AgentPolicy, rules: DrainRules) -> Self {
        let mut story = Self::begin(policy, rules);
        story.go();
        story.see(Activity::Quiet);
        assert!(matches!(story.agent.phase(), Phase::Idle { .. }), "{:?}", story.agent.status());
        story
    }

    pub(super) fn moment(&self) -> Moment {
        let since = self.now.since(Tick(1_000_000));
        Moment { tick: self.now, unix_ms: BEGAN_MS + i64::try_from(since.as_millis()).unwrap() }
    }

    /// Does all that is asked, as the shell would.
    pub(super) fn go(&mut self) {
        loop {
            let now = self.moment();
            self.recorder.stands(&self.agent, now);
            while let Some(output) = self.agent.poll_output() {
                match output {
                    Output::Effect { id, effect } => {
                        if let Some(departure) = self.recorder.before(effect, &self.agent, now) {
                            self.departures.push(departure);
                            self.patience.push(Recorder::patience(effect, &self.agent));
                        }
                        self.effects.push_back((id, effect));
                    }
                    Output::Finished { request, outcome } => self.recorder.finished(request, &outcome, now),
                    Output::Reply { .. } | Output::Corrected(_) => {}
                }
            }
            self.departures.extend(self.recorder.unasked(&self.agent, now));
            self.incidents.extend(std::iter::from_fn(|| self.recorder.poll_incident()));
            let Some((id, effect)) = self.effects.pop_front() else {
                self.recorder.stands(&self.agent, now);
                self.incidents.extend(std::iter::from_fn(|| self.recorder.poll_incident()));
                return;
            };
            if matches!(effect, HostEffect::AwaitExit { .. }) && std::mem::take(&mut self.hangs) {
                self.hanging = Some(id);
                continue;
            }
            let lived = self.runner.is_some();
            let result = self.perform(effect);
            self.agent.resume(id, result, self.now);
            if lived && self.runner.is_none() {
                self.tell(Event::RunnerExited);
            }
        }
    }

    pub(super) fn perform(&mut self, effect: HostEffect) -> HostResult {
        const DONE: HostResult = HostResult::Done(Ok(()));
        match effect {
            HostEffect::Platform { call, .. } if self.refuses.is_some_and(|(refused, _)| refused == call) => {
                let kind = self.refuses.map_or(ErrorKind::Refused, |(_, kind)| kind);
                HostResult::Platform(Err(ExchangeError::new(kind, "the platform says no")))
            }
            HostEffect::Prepare { .. } => HostResult::Prepared(self.prepared.clone()),
            HostEffect::FindRunner => HostResult::Runner(Ok(self.runner.map(|told| RunnerSeen { told }))),
            HostEffect::StartRunner { .. } => {
                self.runner = Some(ToldToDrain::No);
                DONE
            }
            HostEffect::SignalRunner(signal) => {
                // One that works finishes its job first, unless it is aborted.
                if !self.stubborn && (self.activity == Activity::Quiet || signal != Signal::Quit) {
                    self.runner = None;
                    self.activity = Activity::Quiet;
                }
                DONE
            }
            HostEffect::KillRunner => {
                self.runner = None;
                DONE
            }
            HostEffect::NoteTold(told) => {
                self.runner = self.runner.map(|_| told);
                DONE
            }
            HostEffect::AwaitExit { .. } => HostResult::Exited(self.runner.is_none()),
            HostEffect::CountRequests => HostResult::Requests(Ok(Requests { in_flight: 0, reloads: 1 })),
            HostEffect::Platform { call: PlatformCall::Register, .. } => {
                let refused = |why| ExchangeError::new(ErrorKind::Refused, why);
                HostResult::Platform(self.registers.clone().map(|()| PlatformAnswer::Done).map_err(refused))
            }
            HostEffect::Platform { call: PlatformCall::Drain, .. } => {
                let drained = if self.activity == Activity::Quiet { Drained::Empty } else { Drained::StillBusy };
                HostResult::Platform(Ok(PlatformAnswer::Drained(drained)))
            }
            HostEffect::LookForRoom => HostResult::Room(Room::Enough),
            HostEffect::MakeRoom { .. } => HostResult::Cleaned(Ok("all was removed".into())),
            HostEffect::OpenPlatform | HostEffect::Platform { .. } => HostResult::Platform(Ok(PlatformAnswer::Done)),
            HostEffect::Snapshot => HostResult::Snapshot { activity: self.activity.clone(), token_refused: false },
            HostEffect::Cloud(call) => HostResult::Cloud(self.cloud(call)),
            HostEffect::WriteJournal(_)
            | HostEffect::QuiesceRunner
            | HostEffect::NoteJobs
            | HostEffect::EndJobs
            | HostEffect::Pause(_)
            | HostEffect::FindProgram
            | HostEffect::LookForCleaning
            | HostEffect::ForgetToken
            | HostEffect::ReleaseClients => DONE,
        }
    }

    pub(super) fn cloud(&mut self, call: CloudCall) -> Result<CloudAnswer, CloudError> {
        match call {
            CloudCall::Membership => Ok(CloudAnswer::Membership(self.membership)),
            CloudCall::GroupSize => {
                if let Some(activity) = self.comes_while_asked.take() {
                    self.activity = activity.clone();
                    self.tell(Event::Activity(activity));
                }
                Ok(CloudAnswer::GroupSize(self.size))
            }
            CloudCall::FindHook if self.no_hook => Ok(CloudAnswer::Hook(None)),
            CloudCall::FindHook | CloudCall::ExtendLaunchHook => Ok(CloudAnswer::Hook(Some(self.time_out))),
            CloudCall::CompleteHook => {
                self.membership = Membership::Terminating { waiting: false };
                Ok(CloudAnswer::Done)
            }
            CloudCall::End(rung) => match (self.ends)(rung) {
                Ok(()) => {
                    if !self.lingers {
                        self.membership = Membership::Terminating { waiting: false };
                    }
                    Ok(CloudAnswer::Done)
                }
                Err(kind) => Err(CloudError::new(kind, "the role may not do this")),
            },
            CloudCall::ExtendHook if self.hook_gone => {
                Err(CloudError::new(CloudErrorKind::NothingHeld, "No active Lifecycle Action found"))
            }
            CloudCall::ExtendHook if !self.extends => Err(CloudError::new(CloudErrorKind::Throttled, "Rate exceeded")),
            CloudCall::Protect(_)
            | CloudCall::CompleteLaunchHook
            | CloudCall::ExtendHook
            | CloudCall::RecordReady
            | CloudCall::RecordReason(_) => Ok(CloudAnswer::Done),
        }
    }

    pub(super) fn tell(&mut self, event: Event) {
        self.recorder.on_event(&event, self.moment());
        self.agent.handle(event, self.now);
    }

    pub(super) fn event(&mut self, event: Event) {
        self.tell(event);
        self.go();
    }

    pub(super) fn see(&mut self, activity: Activity) {
        self.activity = activity.clone();
        self.event(Event::Activity(activity));
        // One that was told has finished its last job.
        if self.activity == Activity::Quiet && self.runner == Some(ToldToDrain::Yes) && !self.stubborn {
            self.exits();
        }
    }

    /// Its runner ends by itself.
    pub(super) fn exits(&mut self) {
        self.runner = None;
        self.event(Event::RunnerExited);
    }

    /// The wait that hung gets its answer.
    pub(super) fn answers_late(&mut self) {
        let id = self.hanging.take().expect("a wait that hangs");
        self.agent.resume(id, HostResult::Exited(self.runner.is_none()), self.now);
        self.go();
    }

    pub(super) fn order(&mut self, order: Order) {
        self.recorder.ordered(order, self.moment());
        self.agent.order(OrderId(1), order, self.now);
        self.go();
    }

    /// Lets time pass, stopping at each timer.
    pub(super) fn pass(&mut self, span: Duration) {
        let end = self.now + span;
        while let Some(due) = self.agent.poll_timeout().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.agent.handle_timeout(self.now);
            self.go();
        }
        self.now = end;
    }

    pub(super) fn told(&self) -> Vec<IncidentKind> {
        self.incidents.iter().map(|incident| incident.what).collect()
    }

    /// When it was told to be busy, with which jobs, and when idle.
    pub(super) fn turns(&self) -> Vec<(IncidentKind, &str)> {
        let turns = |it: &&Incident| matches!(it.what, IncidentKind::Busy | IncidentKind::Idle);
        self.incidents.iter().filter(turns).map(|it| (it.what, it.jobs.first().map_or("", String::as_str))).collect()
    }

    /// The one certificate.
    pub(super) fn departure(&self) -> &Departure {
        let [departure] = &self.departures[..] else {
            panic!("{:#?}; {:?}, {:#?}", self.departures, self.agent.status(), self.incidents)
        };
        departure
    }
}

pub(super) fn steps(departure: &Departure) -> Vec<ProofBy> {
    departure.proof.steps.iter().map(|step| step.by).collect()
}
