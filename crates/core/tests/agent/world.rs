//! A small world around the real agent: one instance, its runner, its group and its platform, in which everything that may happen next is
//! a move. Whatever the agent asks of its host is answered here, sooner or later, rightly or wrongly.

use std::time::Duration;

use lightsout_core::{
    activity::Activity,
    agent::{
        Agent, Output,
        action::Rung,
        event::{Event, Order, OrderId},
        host::{
            CloudAnswer, CloudCall, EffectId, HostEffect, HostResult, JournalEntry, PlatformAnswer, PlatformCall,
            RunnerSeen, Told,
        },
        phase::{LeaveReason, Phase},
        policy::{AgentPolicy, Protection},
        salt::Salt,
    },
    cloud::{Capabilities, CloudError, CloudErrorKind, Membership, ProtectionSupport, Room, TargetState},
    exchange::{ErrorKind, ExchangeError},
    invariants::{Ledger, SpotDeadline},
    platform::{DrainBy, DrainRules, Drained, Requests, Signal, UndrainBy},
    time::Tick,
};

use crate::rig::secs;

/// How long a description may lag behind the truth.
const STALE: Duration = Duration::from_secs(30);

/// How the platform is drained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// A signal; the exit is the proof. Another signal cancels the jobs (GitLab).
    Signal,
    /// A signal that also cancels a request that is on its way, and with it the job that the platform hands out (gitlab-runner).
    CancelsRequests,
    /// The same signal cancels when it comes again (Buildkite, CircleCI).
    SameSignal,
    /// The platform stops sending and says whether a job runs (StackGuardian, Spacelift).
    Call,
    /// The platform refuses while a job runs (GitHub).
    Remove,
}

impl Kind {
    pub(crate) const ALL: [Self; 5] = [Self::Signal, Self::CancelsRequests, Self::SameSignal, Self::Call, Self::Remove];

    fn rules(self) -> DrainRules {
        let (drain, undrain) = match self {
            Self::Signal | Self::CancelsRequests => (DrainBy::Signal(Signal::Quit), UndrainBy::Relaunch),
            Self::SameSignal => (DrainBy::Signal(Signal::Term), UndrainBy::Relaunch),
            Self::Call => (DrainBy::Call, UndrainBy::Call),
            Self::Remove => (DrainBy::Call, UndrainBy::Relaunch),
        };
        DrainRules { drain, undrain, abort: Signal::Term, quiesce: self == Self::CancelsRequests }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Runner {
    pub accepting: bool,
    /// What the host's memory and its disk say of what it was told.
    remembered: Told,
    noted: Told,
    /// Signalled to finish.
    finishing: bool,
    /// Signalled to cancel: it exits at any moment.
    dying: bool,
    pub job: bool,
    /// A request for a job is on its way, and whether the platform has answered it with a job.
    asking: bool,
    handed_out: bool,
    /// It is to read a configuration by which it asks for no more jobs; it has; and how often it read one.
    reload_due: bool,
    quiesced: bool,
    reloads: u8,
    /// Whether a request that was about to be made when it read its configuration is still to come: before the second look at it.
    late: bool,
    looks: u8,
    /// Whether one more is made, by the former configuration, when the one that is on its way comes back.
    stale: bool,
}

impl Runner {
    const FRESH: Self = Self {
        accepting: true,
        remembered: Told::No,
        noted: Told::No,
        finishing: false,
        dying: false,
        job: false,
        asking: false,
        handed_out: false,
        reload_due: false,
        quiesced: false,
        reloads: 1,
        late: false,
        looks: 0,
        stale: false,
    };
}

/// The truth about the instance's place in its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Place {
    Warmed,
    InService,
    Standby,
    /// `Terminating:Wait`.
    Waiting,
    Detached,
    Gone,
}

/// What may still go wrong or happen, so that a run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Budget {
    pub faults: u8,
    pub crashes: u8,
    pub notices: u8,
    /// What operators do to the instance's place: standby, detach.
    pub moves: u8,
    pub orders: u8,
    pub jobs: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct World {
    kind: Kind,
    capabilities: Capabilities,
    policy: AgentPolicy,
    pub agent: Agent,
    pub now: Tick,
    open: Vec<(EffectId, HostEffect)>,
    /// Whether local effects are answered at once, so that a search gets deeper.
    coarse: bool,
    pub runner: Option<Runner>,
    launch: bool,
    queued: u8,
    journal: JournalEntry,
    pub place: Place,
    /// The place before, which a stale description may still show, and when it changed.
    was: (Place, Tick),
    desired: u8,
    protected: bool,
    /// Whether an operator called the instance away.
    called: bool,
    /// Whether an operator stopped the agent before it served.
    excused: bool,
    /// Whether a right was missing.
    denied: bool,
    /// Since when it has been retiring.
    retiring_since: Option<Tick>,
    /// A snapshot that was taken and has not arrived yet.
    sampled: Option<Activity>,
    exit_news: bool,
    target_news: Option<TargetState>,
    spot: Option<Tick>,
    pub left: Budget,
    pub ledger: Ledger,
}

/// One thing that may happen next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Move {
    Answer(usize),
    /// It fails and had no effect.
    Lose(usize),
    /// It had its effect, but the answer says that it failed.
    LoseAnswer(usize),
    /// A right is missing.
    Deny(usize),
    /// It was refused this time, without effect: credentials that have expired, too many calls.
    Reject(usize),
    /// Another activity is in progress.
    InProgress(usize),
    /// The description is older than the last change.
    Stale(usize),
    Enqueue,
    Assign,
    /// The runner reads its configuration again.
    Reload,
    /// The runner asks for a job; the platform hands one out; the answer arrives.
    Request,
    HandOut,
    Receive,
    Finish,
    Exit,
    ExitNews,
    Sample,
    SampleBlind,
    Arrive,
    RunnerDies,
    Crash,
    Choose,
    Activate,
    EnterStandby,
    ExitStandby,
    Detach,
    TargetNews,
    Spot,
    Drain,
    Undrain,
    /// The service is told to stop.
    Stop,
    /// The group stops a machine of its warm pool and starts it again.
    PowerCycle,
    Rebalance,
    Time,
}

impl World {
    /// An instance that has just booted, in a group of `desired` whose minimum is 1.
    pub(crate) fn new(
        kind: Kind,
        capabilities: Capabilities,
        protection: Protection,
        place: Place,
        desired: u8,
        coarse: bool,
    ) -> Self {
        let policy = AgentPolicy {
            idle_timeout: Some(secs(60)),
            protection,
            boot_deadline: secs(3600),
            rebalance_after: secs(30),
            ..AgentPolicy::default()
        };
        let now = Tick(1_000_000);
        let agent =
            Agent::begin(policy.clone(), kind.rules(), capabilities, JournalEntry::FRESH, false, Salt::NONE, now);
        let mut world = Self {
            kind,
            capabilities,
            agent,
            policy,
            now,
            open: Vec::new(),
            coarse,
            runner: None,
            launch: false,
            queued: 0,
            journal: JournalEntry::FRESH,
            place,
            was: (place, Tick::ZERO),
            desired,
            protected: capabilities.protection == ProtectionSupport::AtLaunch,
            called: false,
            excused: false,
            denied: false,
            retiring_since: None,
            sampled: None,
            exit_news: false,
            target_news: (place == Place::Warmed).then_some(TargetState::Warmed),
            spot: None,
            left: Budget { faults: 1, crashes: 1, notices: 1, moves: 1, orders: 2, jobs: 2 },
            ledger: Ledger::default(),
        };
        world.collect();
        world
    }

    /// The same with its runner registered, once the agent has seen that all is quiet.
    pub(crate) fn idle(
        kind: Kind,
        capabilities: Capabilities,
        protection: Protection,
        desired: u8,
        coarse: bool,
    ) -> Self {
        let mut world = Self::new(kind, capabilities, protection, Place::InService, desired, coarse);
        while world.runner.is_none() {
            world.step(if world.open.is_empty() { Move::Time } else { Move::Answer(0) });
        }
        while !world.open.is_empty() {
            world.step(Move::Answer(0));
        }
        world.step(Move::Sample);
        world.step(Move::Arrive);
        assert!(matches!(world.agent.phase(), Phase::Idle { .. }), "{:?}", world.agent);
        world
    }

    /// Everything that may happen next.
    pub(crate) fn moves(&self) -> Vec<Move> {
        let mut moves = Vec::new();
        if self.place == Place::Gone || self.ledger.violation().is_some() {
            return moves;
        }
        // The host writes the journal in the order in which it was asked to.
        let first_entry = self.open.iter().position(|(_, effect)| is_entry(*effect));
        for (index, (_, effect)) in self.open.iter().enumerate() {
            if is_entry(*effect) && Some(index) != first_entry {
                continue;
            }
            moves.push(Move::Answer(index));
            let stale = self.now.since(self.was.1) < STALE && self.was.0 != self.place;
            if *effect == HostEffect::Cloud(CloudCall::Membership) && stale {
                moves.push(Move::Stale(index));
            }
            if self.left.faults == 0 {
                continue;
            }
            moves.push(Move::Lose(index));
            moves.push(Move::LoseAnswer(index));
            if matches!(effect, HostEffect::Cloud(_)) {
                moves.push(Move::Reject(index));
            }
            if matches!(effect, HostEffect::Cloud(_) | HostEffect::Platform { .. } | HostEffect::OpenPlatform) {
                moves.push(Move::Deny(index));
            }
            if matches!(effect, HostEffect::Cloud(CloudCall::End(_))) {
                moves.push(Move::InProgress(index));
            }
        }
        let mut may = |holds: bool, then: Move| {
            if holds {
                moves.push(then);
            }
        };
        let (runner, left) = (self.runner, self.left);
        may(left.jobs > 0, Move::Enqueue);
        let requests = self.kind == Kind::CancelsRequests;
        let free = runner.is_some_and(|runner| runner.accepting && !runner.job);
        may(self.queued > 0 && free && !requests, Move::Assign);
        let asks = |runner: Runner| !runner.asking && (!runner.quiesced || runner.late);
        may(requests && free && runner.is_some_and(asks), Move::Request);
        may(runner.is_some_and(|runner| runner.reload_due), Move::Reload);
        may(self.queued > 0 && runner.is_some_and(|runner| runner.asking && !runner.handed_out), Move::HandOut);
        may(runner.is_some_and(|runner| runner.asking), Move::Receive);
        may(self.job_runs(), Move::Finish);
        may(runner.is_some_and(|runner| runner.dying || (runner.finishing && !runner.job)), Move::Exit);
        may(self.exit_news, Move::ExitNews);
        may(self.sampled.is_none(), Move::Sample);
        may(self.sampled.is_none() && left.faults > 0, Move::SampleBlind);
        may(self.sampled.is_some(), Move::Arrive);
        may(runner.is_some_and(|runner| !runner.job && !runner.handed_out) && left.faults > 0, Move::RunnerDies);
        may(left.crashes > 0, Move::Crash);
        // Where an ending cannot be held off, only protection keeps the group from it.
        let choosable = self.capabilities.hold.is_some() || !self.protected;
        may(left.notices > 0 && self.place == Place::InService && choosable, Move::Choose);
        may(self.place == Place::Warmed, Move::Activate);
        let standby = !self.capabilities.leaving_lowers_capacity;
        may(standby && left.moves > 0 && self.place == Place::InService, Move::EnterStandby);
        may(self.place == Place::Standby, Move::ExitStandby);
        may(left.moves > 0 && self.place == Place::InService, Move::Detach);
        may(self.target_news.is_some(), Move::TargetNews);
        may(left.notices > 0 && self.spot.is_none(), Move::Spot);
        may(left.orders == 2 && self.agent.phase() != Phase::Gone, Move::Stop);
        may(left.moves > 0 && self.place == Place::Warmed && self.agent.phase() != Phase::Gone, Move::PowerCycle);
        may(left.notices > 0, Move::Rebalance);
        may(left.orders > 0, Move::Drain);
        may(left.orders == 1 && self.agent.can_undrain(), Move::Undrain);
        // It reads its configuration within moments.
        let reads = runner.is_some_and(|runner| runner.reload_due);
        may(self.agent.poll_timeout().is_some() && !reads, Move::Time);
        moves
    }

    pub(crate) fn step(&mut self, step: Move) {
        match step {
            Move::Answer(index) => {
                let (id, effect) = self.open.remove(index);
                let result = self.perform(effect);
                self.resume(id, result);
            }
            Move::Lose(index) => {
                self.left.faults -= 1;
                let (id, effect) = self.open.remove(index);
                if let (HostEffect::NoteTold(told), Some(runner)) = (effect, &mut self.runner) {
                    // The disk did not take it; the host remembers it until it crashes.
                    runner.remembered = told;
                }
                self.resume(id, failure(effect, CloudErrorKind::Timeout, ErrorKind::Unreachable));
            }
            Move::LoseAnswer(index) => {
                self.left.faults -= 1;
                let (id, effect) = self.open.remove(index);
                self.perform(effect);
                self.resume(id, failure(effect, CloudErrorKind::Timeout, ErrorKind::Unreachable));
            }
            Move::Reject(index) => {
                self.left.faults -= 1;
                let (id, effect) = self.open.remove(index);
                self.resume(id, failure(effect, CloudErrorKind::Credentials, ErrorKind::Unreachable));
            }
            Move::Deny(index) => {
                self.left.faults -= 1;
                let (id, effect) = self.open.remove(index);
                self.denied |= matches!(effect, HostEffect::Cloud(_));
                self.resume(id, failure(effect, CloudErrorKind::Denied, ErrorKind::Unauthorized));
            }
            Move::InProgress(index) => {
                self.left.faults -= 1;
                let (id, effect) = self.open.remove(index);
                self.resume(id, failure(effect, CloudErrorKind::InProgress, ErrorKind::Unreachable));
            }
            Move::Stale(index) => {
                let (id, _) = self.open.remove(index);
                let membership = membership(self.was.0, self.protected);
                self.resume(id, HostResult::Cloud(Ok(CloudAnswer::Membership(membership))));
            }
            Move::Reload => {
                let runner = self.runner.as_mut().unwrap();
                (runner.reload_due, runner.quiesced, runner.late, runner.looks) = (false, true, true, 0);
                runner.stale = runner.asking;
                runner.reloads = runner.reloads.saturating_add(1);
            }
            Move::Request => {
                let runner = self.runner.as_mut().unwrap();
                (runner.asking, runner.late) = (true, runner.late && !runner.quiesced);
            }
            Move::HandOut => {
                self.queued -= 1;
                self.runner.as_mut().unwrap().handed_out = true;
            }
            Move::Receive => {
                let runner = self.runner.as_mut().unwrap();
                runner.job |= std::mem::take(&mut runner.handed_out);
                runner.asking = std::mem::take(&mut runner.stale) && !runner.job;
            }
            Move::Enqueue => {
                self.left.jobs -= 1;
                self.queued += 1;
            }
            Move::Assign => {
                self.queued -= 1;
                self.runner.as_mut().unwrap().job = true;
            }
            Move::Finish => self.runner.as_mut().unwrap().job = false,
            Move::Exit => self.lose_runner(),
            Move::ExitNews => {
                self.exit_news = false;
                self.tell(Event::RunnerExited);
            }
            Move::Sample => self.sampled = Some(self.truth()),
            Move::SampleBlind => {
                self.left.faults -= 1;
                self.sampled = Some(Activity::Unknown("docker".into()));
            }
            Move::Arrive => {
                let activity = self.sampled.take().unwrap();
                self.agent.sampled(activity, false, self.now);
                self.collect();
            }
            Move::RunnerDies => {
                self.left.faults -= 1;
                self.lose_runner();
            }
            Move::Crash => self.crash(),
            Move::Choose => {
                // A scale-in of an unprotected one, a refresh, an operator: with the hook.
                self.left.notices -= 1;
                self.leave_group();
            }
            Move::Activate => {
                self.go(Place::InService);
                self.target_news = Some(TargetState::InService);
            }
            Move::EnterStandby => {
                self.left.moves -= 1;
                self.desired = self.desired.saturating_sub(1);
                self.go(Place::Standby);
            }
            Move::ExitStandby => {
                self.desired += 1;
                self.go(Place::InService);
            }
            Move::Detach => {
                self.left.moves -= 1;
                self.go(Place::Detached);
            }
            Move::TargetNews => {
                let target = self.target_news.take().unwrap();
                self.tell(Event::TargetState(target));
            }
            Move::Spot => {
                self.left.notices -= 1;
                let at = self.now + secs(120);
                self.spot = Some(at);
                self.tell(Event::Spot { at });
            }
            Move::Rebalance => {
                self.left.notices -= 1;
                self.tell(Event::Rebalance);
            }
            Move::Stop => {
                self.left.orders -= 1;
                self.called = true;
                // Before it served nothing was begun: what becomes of the instance is the operator's to say.
                let booting = self.agent.phase() == Phase::Booting;
                self.tell(Event::Stop);
                self.excused = booting && self.agent.phase() == Phase::Gone;
            }
            Move::PowerCycle => {
                self.left.moves -= 1;
                self.tell(Event::Stop);
                // The shutdown waits for the service, so what it writes is written.
                while let Some(index) = self.open.iter().position(|(_, effect)| is_entry(*effect)) {
                    self.step(Move::Answer(index));
                }
                self.restart();
            }
            Move::Drain => self.order(Order::Drain),
            Move::Undrain => self.order(Order::Undrain),
            Move::Time => {
                self.now = self.agent.poll_timeout().unwrap().max(self.now);
                self.agent.handle_timeout(self.now);
                self.collect();
            }
        }
    }

    /// Ended, waiting in the warm pool, or ready for jobs.
    pub(crate) fn good(&self) -> bool {
        let serves = matches!(self.agent.phase(), Phase::Idle { .. } | Phase::Busy);
        self.place == Place::Gone
            || self.excused
            || (serves && self.runner.is_some_and(|runner| runner.accepting && !runner.quiesced && !runner.reload_due))
    }

    /// Without further faults and notices, everything that is pending happens, jobs end, and time passes: the world at the end, in which no
    /// promise is broken if all is well.
    pub(crate) fn settle(mut self) -> Self {
        self.left = Budget { faults: 0, crashes: 0, notices: 0, moves: 0, orders: 0, jobs: 0 };
        self.queued = 0;
        for round in 0..4_000 {
            if self.place == Place::Gone || (self.good() && self.open.is_empty()) {
                return self;
            }
            let moves = self.moves();
            let pick = |wanted: fn(&Move) -> bool| moves.iter().copied().find(wanted);
            let next = pick(|step| {
                matches!(
                    step,
                    Move::Finish
                        | Move::Reload
                        | Move::Receive
                        | Move::Exit
                        | Move::ExitNews
                        | Move::TargetNews
                        | Move::Arrive
                        | Move::Activate
                        | Move::ExitStandby
                )
            })
            .or_else(|| (round % 8 == 0).then(|| pick(|step| *step == Move::Sample)).flatten())
            .or_else(|| pick(|step| matches!(step, Move::Answer(_))))
            .or_else(|| pick(|step| *step == Move::Time))
            .or_else(|| pick(|step| *step == Move::Sample));
            match next {
                Some(step) => self.step(step),
                None => break,
            }
        }
        let good = self.good();
        self.ledger.settled(good);
        self
    }

    /// What an effect does to the world.
    pub(crate) fn perform(&mut self, effect: HostEffect) -> HostResult {
        match effect {
            HostEffect::WriteJournal(entry) => self.journal = entry,
            HostEffect::FindRunner => {
                return HostResult::Runner(Ok(self
                    .runner
                    .map(|runner| RunnerSeen { told: runner.noted.max(runner.remembered) })));
            }
            HostEffect::StartRunner { .. } => {
                let protect = self.policy.protection == Protection::Always;
                self.ledger.runner_started(self.runner.is_some(), membership(self.place, self.protected), protect);
                assert!(std::mem::take(&mut self.launch), "started without a registration");
                self.runner = Some(Runner::FRESH);
            }
            HostEffect::NoteTold(told) => {
                if let Some(runner) = &mut self.runner {
                    (runner.noted, runner.remembered) = (told, told);
                }
            }
            HostEffect::SignalRunner(signal) => self.signal(signal),
            HostEffect::QuiesceRunner => {
                if let Some(runner) = &mut self.runner {
                    runner.reload_due = true;
                }
            }
            HostEffect::CountRequests => {
                let Some(runner) = &mut self.runner else {
                    return HostResult::Requests(Err("nobody answers".into()));
                };
                runner.looks = runner.looks.saturating_add(1).min(2);
                runner.late &= runner.looks < 2;
                return HostResult::Requests(Ok(Requests {
                    in_flight: u32::from(runner.asking),
                    reloads: u32::from(runner.reloads),
                }));
            }
            HostEffect::AwaitExit { within } => {
                if self.runner.is_some_and(|runner| runner.dying || (runner.finishing && !runner.job)) {
                    self.lose_runner();
                }
                if self.runner.is_some_and(|runner| !runner.reload_due) {
                    self.now = self.now + within;
                }
                return HostResult::Exited(self.runner.is_none());
            }
            HostEffect::EndJobs => self.cut(),
            HostEffect::KillRunner => {
                self.cut();
                if self.runner.is_some() {
                    self.lose_runner();
                }
            }
            HostEffect::NoteJobs | HostEffect::Pause(_) | HostEffect::ForgetToken | HostEffect::ReleaseClients => {}
            HostEffect::OpenPlatform => return HostResult::Platform(Ok(PlatformAnswer::Done)),
            HostEffect::Platform { call, .. } => return HostResult::Platform(Ok(self.platform(call))),
            HostEffect::Snapshot => {
                return HostResult::Snapshot { activity: self.truth(), token_refused: false };
            }
            HostEffect::Cloud(call) => return HostResult::Cloud(self.cloud(call)),
        }
        HostResult::Done(Ok(()))
    }

    fn platform(&mut self, call: PlatformCall) -> PlatformAnswer {
        match (call, &mut self.runner, self.kind) {
            (PlatformCall::Register, ..) => self.launch = true,
            (PlatformCall::Drain, None, _) => return PlatformAnswer::Drained(Drained::Empty),
            (PlatformCall::Drain, Some(runner), Kind::Remove) if runner.job => {
                return PlatformAnswer::Drained(Drained::Refused);
            }
            (PlatformCall::Drain, Some(runner), _) => {
                runner.accepting = false;
                return PlatformAnswer::Drained(if runner.job { Drained::StillBusy } else { Drained::Empty });
            }
            (PlatformCall::Undrain, Some(runner), _) => runner.accepting = !runner.dying,
            (PlatformCall::Deregister, Some(runner), _) => runner.accepting = false,
            (PlatformCall::Undrain | PlatformCall::Deregister, None, _) => {}
        }
        PlatformAnswer::Done
    }

    fn cloud(&mut self, call: CloudCall) -> Result<CloudAnswer, CloudError> {
        let refuse = |kind| Err(CloudError::new(kind, "refused"));
        match call {
            CloudCall::Membership => Ok(CloudAnswer::Membership(membership(self.place, self.protected))),
            CloudCall::Room if matches!(self.place, Place::Detached | Place::Gone) => refuse(CloudErrorKind::NotFound),
            CloudCall::Room => {
                let desired = u32::from(self.desired);
                Ok(CloudAnswer::Room(Room { desired, min: 1, floor: 0, members: desired, rank: 0 }))
            }
            CloudCall::Protect(on) => {
                self.protected = on;
                Ok(CloudAnswer::Done)
            }
            CloudCall::FindHook => Ok(CloudAnswer::Hook(self.capabilities.hold.map(|_| secs(30)))),
            CloudCall::ExtendHook if self.place == Place::Waiting => Ok(CloudAnswer::Done),
            CloudCall::CompleteHook if self.place == Place::Waiting => {
                self.end();
                Ok(CloudAnswer::Done)
            }
            CloudCall::ExtendHook | CloudCall::CompleteHook => refuse(CloudErrorKind::NothingHeld),
            CloudCall::RecordReason(_) => Ok(CloudAnswer::Done),
            CloudCall::End(Rung::PowerOff) if !self.capabilities.power_off_ends_billing => {
                panic!("switched off, and billed for ever")
            }
            CloudCall::End(Rung::Replace) if self.capabilities.leaving_lowers_capacity => {
                panic!("a way to leave that this cloud does not have")
            }
            CloudCall::End(Rung::Terminate | Rung::PowerOff) => {
                self.end();
                Ok(CloudAnswer::Done)
            }
            CloudCall::End(Rung::Shrink | Rung::Replace | Rung::Unhealthy) if self.place == Place::Detached => {
                refuse(CloudErrorKind::NotFound)
            }
            // The group lowers its capacity once for each call, also for an instance that is on its way out already.
            CloudCall::End(Rung::Shrink) if self.desired <= 1 => refuse(CloudErrorKind::AtFloor),
            CloudCall::End(rung) => {
                if rung == Rung::Shrink {
                    // Whoever was put in standby a moment ago may not know it yet, and nobody can tell them.
                    let told = if self.now.since(self.was.1) < STALE { self.was.0 } else { self.place };
                    let counted = [told, self.place].into_iter().find(|place| *place == Place::InService);
                    self.ledger.lowered(membership(counted.unwrap_or(self.place), self.protected));
                    self.desired -= 1;
                }
                if self.place != Place::Waiting {
                    self.leave_group();
                }
                Ok(CloudAnswer::Done)
            }
        }
    }

    /// The group ends the instance; a hook holds that off, if there can be one.
    fn leave_group(&mut self) {
        if self.capabilities.hold.is_some() {
            self.go(Place::Waiting);
            self.target_news = Some(TargetState::Terminated);
        } else {
            self.end();
        }
    }

    fn signal(&mut self, signal: Signal) {
        if self.kind == Kind::CancelsRequests {
            self.cancel_request();
        }
        let Some(runner) = &mut self.runner else { return };
        let drains = match self.kind {
            Kind::Signal | Kind::CancelsRequests => signal == Signal::Quit,
            Kind::SameSignal => !runner.finishing,
            Kind::Call | Kind::Remove => false,
        };
        (runner.accepting, runner.finishing) = (false, true);
        if !drains {
            runner.dying = true;
            self.cut();
        }
    }

    fn crash(&mut self) {
        self.left.crashes -= 1;
        self.restart();
    }

    fn restart(&mut self) {
        self.open.clear();
        if let Some(runner) = &mut self.runner {
            runner.remembered = Told::No;
        }
        (self.sampled, self.exit_news, self.launch) = (None, false, false);
        let (policy, rules) = (self.policy.clone(), self.kind.rules());
        self.agent =
            Agent::begin(policy, rules, self.capabilities, self.journal, self.runner.is_some(), Salt::NONE, self.now);
        self.target_news = match self.place {
            Place::Warmed => Some(TargetState::Warmed),
            Place::Waiting => Some(TargetState::Terminated),
            Place::InService | Place::Standby | Place::Detached | Place::Gone => None,
        };
        self.collect();
        if let Some(at) = self.spot {
            self.tell(Event::Spot { at });
        }
    }

    fn order(&mut self, order: Order) {
        self.left.orders -= 1;
        self.called |= order == Order::Drain;
        self.agent.order(OrderId(u32::from(self.left.orders)), order, self.now);
        self.collect();
    }

    fn tell(&mut self, event: Event) {
        self.agent.handle(event, self.now);
        self.collect();
    }

    fn resume(&mut self, id: EffectId, result: HostResult) {
        self.agent.resume(id, result, self.now);
        self.collect();
    }

    fn collect(&mut self) {
        while let Some(output) = self.agent.poll_output() {
            let Output::Effect { id, effect } = output else { continue };
            self.judge(effect);
            if aside(effect) {
                continue;
            }
            if self.coarse && local(effect) {
                let result = self.perform(effect);
                self.agent.resume(id, result, self.now);
            } else {
                self.open.push((id, effect));
            }
        }
    }

    /// What the agent asks for, whatever comes of it.
    fn judge(&mut self, effect: HostEffect) {
        match self.agent.phase() {
            Phase::Retiring { .. } => _ = self.retiring_since.get_or_insert(self.now),
            Phase::Booting
            | Phase::Registering
            | Phase::Idle { .. }
            | Phase::Busy
            | Phase::Draining { .. }
            | Phase::Gone => self.retiring_since = None,
        }
        // Where leaving always lowers the capacity, this is how one at the floor leaves.
        let gentle =
            self.capabilities.leaving_lowers_capacity && effect == HostEffect::Cloud(CloudCall::End(Rung::Unhealthy));
        if self.agent.phase().why() == Some(LeaveReason::Operator) && !self.called {
            self.ledger.left_uncalled();
        }
        if let HostEffect::Cloud(CloudCall::End(Rung::Unhealthy | Rung::PowerOff)) = effect
            && !gentle
        {
            let long = self.retiring_since.is_some_and(|since| self.now.since(since) >= self.policy.rung_patience);
            self.ledger.ended_bluntly(self.denied || long);
        }
    }

    fn job_runs(&self) -> bool {
        self.runner.is_some_and(|runner| runner.job)
    }

    fn truth(&self) -> Activity {
        if self.job_runs() { Activity::busy("job") } else { Activity::Quiet }
    }

    fn lose_runner(&mut self) {
        self.cut();
        self.runner = None;
        self.exit_news = true;
    }

    /// A request that is on its way is cancelled: a job that was handed out is nobody's.
    fn cancel_request(&mut self) {
        if let Some(runner) = &mut self.runner {
            runner.job |= std::mem::take(&mut runner.handed_out);
            if std::mem::take(&mut runner.asking) && runner.job {
                self.cut();
            }
        }
    }

    /// Whatever runs is ended by what the agent did.
    fn cut(&mut self) {
        if let Some(runner) = &mut self.runner {
            runner.job |= std::mem::take(&mut runner.handed_out);
        }
        if let Some(runner) = &mut self.runner
            && std::mem::take(&mut runner.job)
        {
            let spot = self.spot.map(|at| SpotDeadline { at, margin: self.policy.abort_margin });
            self.ledger.job_ended(spot, self.now);
        }
    }

    fn go(&mut self, place: Place) {
        self.was = (self.place, self.now);
        self.place = place;
    }

    fn end(&mut self) {
        self.cut();
        self.go(Place::Gone);
    }
}

/// Nothing waits for these.
fn aside(effect: HostEffect) -> bool {
    matches!(
        effect,
        HostEffect::ForgetToken | HostEffect::ReleaseClients | HostEffect::Cloud(CloudCall::RecordReason(_))
    )
}

/// These are over in no time.
fn local(effect: HostEffect) -> bool {
    matches!(effect, HostEffect::FindRunner | HostEffect::NoteTold(_) | HostEffect::Pause(_) | HostEffect::OpenPlatform)
}

fn is_entry(effect: HostEffect) -> bool {
    matches!(effect, HostEffect::WriteJournal(_))
}

fn membership(place: Place, protected: bool) -> Membership {
    match place {
        Place::Warmed => Membership::Warm,
        Place::InService => Membership::InService { protected },
        Place::Standby => Membership::Standby,
        Place::Waiting => Membership::Terminating { waiting: true },
        Place::Detached | Place::Gone => Membership::Outside,
    }
}

/// The result of an effect that failed in this way.
fn failure(effect: HostEffect, cloud: CloudErrorKind, platform: ErrorKind) -> HostResult {
    let why = "no answer";
    match effect {
        HostEffect::FindRunner => HostResult::Runner(Err(why.into())),
        HostEffect::AwaitExit { .. } => HostResult::Exited(false),
        HostEffect::OpenPlatform | HostEffect::Platform { .. } => {
            HostResult::Platform(Err(ExchangeError::new(platform, why)))
        }
        HostEffect::CountRequests => HostResult::Requests(Err(why.into())),
        HostEffect::Snapshot => HostResult::Snapshot { activity: Activity::Unknown(why.into()), token_refused: false },
        HostEffect::Cloud(_) => HostResult::Cloud(Err(CloudError::new(cloud, why))),
        HostEffect::WriteJournal(_)
        | HostEffect::StartRunner { .. }
        | HostEffect::NoteTold(_)
        | HostEffect::SignalRunner(_)
        | HostEffect::QuiesceRunner
        | HostEffect::NoteJobs
        | HostEffect::EndJobs
        | HostEffect::KillRunner
        | HostEffect::Pause(_)
        | HostEffect::ForgetToken
        | HostEffect::ReleaseClients => HostResult::Done(Err(why.into())),
    }
}
