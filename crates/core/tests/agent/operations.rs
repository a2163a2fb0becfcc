//! How requests are carried out: results of effects in, the next effects out.

mod abort;
mod failures;
mod making_room;
mod orders;
mod readings;
mod signal_drain;
mod taking_back;

use std::collections::BTreeSet;

use lightsout_core::{
    activity::Activity,
    agent::{
        Agent, Output,
        action::{Request, Rung},
        event::{Event, Order, OrderId, Outcome},
        host::{
            CloudAnswer, CloudCall, EffectId, HostEffect, HostResult, JournalEntry, PlatformAnswer, PlatformCall,
            RunnerSeen, ToldToDrain,
        },
        jitter::Jitter,
        phase::{LeaveReason, Phase, Saved},
        policy::{AgentPolicy, Protection},
    },
    cloud::{Capabilities, CloudError, CloudErrorKind, Ending, Membership},
    exchange::{ErrorKind, ExchangeError},
    platform::{DrainBy, DrainRules, Drained, Requests, Signal, UndrainBy},
    space::Room,
    time::Tick,
};

use crate::rig::{BARE_CLOUD, CLOUD, HELD_CLOUD, TRUSTED_CLOUD, busy, secs};

const BY_SIGNAL: DrainRules = DrainRules {
    drain: DrainBy::Signal(Signal::Quit),
    undrain: UndrainBy::Relaunch,
    abort: Signal::Term,
    quiesce: false,
};
const BY_SAME_SIGNAL: DrainRules = DrainRules { drain: DrainBy::Signal(Signal::Term), ..BY_SIGNAL };
const BY_CALL: DrainRules =
    DrainRules { drain: DrainBy::Call, undrain: UndrainBy::Call, abort: Signal::Int, quiesce: false };
const BY_REMOVAL: DrainRules = DrainRules { undrain: UndrainBy::Relaunch, ..BY_CALL };

const DONE: HostResult = HostResult::Done(Ok(()));
const NO_RUNNER: HostResult = HostResult::Runner(Ok(None));
const QUIET: HostResult = HostResult::Snapshot { activity: Activity::Quiet, token_refused: false };
const REGISTERED: JournalEntry = JournalEntry { registered: true, ..JournalEntry::FRESH };

fn runner(told: ToldToDrain) -> HostResult {
    HostResult::Runner(Ok(Some(RunnerSeen { told })))
}

fn platform(answer: PlatformAnswer) -> HostResult {
    HostResult::Platform(Ok(answer))
}

fn refused(kind: ErrorKind) -> HostResult {
    HostResult::Platform(Err(ExchangeError::new(kind, "the platform says no")))
}

/// An agent and its open effects.
struct Host {
    agent: Agent,
    now: Tick,
    open: Vec<(EffectId, HostEffect)>,
    replies: Vec<(OrderId, Result<String, String>)>,
    finished: Vec<(Request, Outcome)>,
    /// How often clients were let go.
    released: usize,
    /// Whether that an earlier agent makes room is for the test to say; else none does.
    cleaning: bool,
}

impl Host {
    fn begin(rules: DrainRules, policy: AgentPolicy, entry: JournalEntry, alive: bool) -> Self {
        Self::begin_on(CLOUD, rules, policy, entry, alive)
    }

    fn begin_on(cloud: Capabilities, rules: DrainRules, policy: AgentPolicy, entry: JournalEntry, alive: bool) -> Self {
        let now = Tick(1_000_000);
        let agent = Agent::new(policy, rules, cloud, entry, alive, Jitter::NONE, now);
        let mut host = Self {
            agent,
            now,
            open: Vec::new(),
            replies: Vec::new(),
            finished: Vec::new(),
            released: 0,
            cleaning: false,
        };
        host.collect();
        let protect = HostEffect::Cloud(CloudCall::Protect(true));
        if host.open().contains(&protect) {
            host.answer(protect, HostResult::Cloud(Ok(CloudAnswer::Done)));
        }
        host
    }

    /// In service, about to register.
    fn registering(rules: DrainRules, policy: AgentPolicy) -> Self {
        let mut host = Self::begin(rules, policy, JournalEntry::FRESH, false);
        let member = CloudAnswer::Membership(Membership::InService { protected: true });
        host.answer(HostEffect::Cloud(CloudCall::Membership), HostResult::Cloud(Ok(member)));
        host
    }

    /// Leaving for this reason after a restart, about to drain.
    fn draining(rules: DrainRules, why: LeaveReason) -> Self {
        let mut host = Self::begin(
            rules,
            AgentPolicy::default(),
            JournalEntry { saved: Saved::Leaving { why }, ..REGISTERED },
            true,
        );
        host.answer(HostEffect::Cloud(CloudCall::FindHook), HostResult::Cloud(Ok(CloudAnswer::Hook(None))));
        host
    }

    fn collect(&mut self) {
        while let Some(output) = self.agent.poll_output() {
            match output {
                Output::Effect { effect: HostEffect::ReleaseClients, .. } => self.released += 1,
                Output::Corrected(_) => {}
                Output::Effect { id, effect: HostEffect::LookForCleaning } if !self.cleaning => {
                    self.agent.resume(id, DONE, self.now);
                }
                Output::Effect { id, effect } => self.open.push((id, effect)),
                Output::Reply { id, answer } => self.replies.push((id, answer)),
                Output::Finished { request, outcome } => self.finished.push((request, outcome)),
            }
        }
    }

    fn open(&self) -> Vec<HostEffect> {
        self.open.iter().map(|(_, effect)| *effect).collect()
    }

    #[track_caller]
    fn answer(&mut self, effect: HostEffect, result: HostResult) {
        let found = self.open.iter().position(|(_, open)| *open == effect);
        let Some(index) = found else { panic!("{effect:?} was not asked; open: {:?}", self.open()) };
        let (id, _) = self.open.remove(index);
        self.agent.resume(id, result, self.now);
        self.collect();
    }

    fn event(&mut self, event: Event) {
        self.agent.handle(event, self.now);
        self.collect();
    }

    fn aborted(&self) -> bool {
        self.finished.iter().any(|(request, _)| matches!(request, Request::Abort { .. }))
    }

    fn outcome_of(&self, request: Request) -> Option<&Outcome> {
        self.finished.iter().rev().find(|(finished, _)| *finished == request).map(|(_, outcome)| outcome)
    }
}

/// An agent that was restarted, found its runner, and asks it back in.
fn returning(rules: DrainRules) -> Host {
    let mut host = Host::begin(rules, AgentPolicy::default(), REGISTERED, true);
    host.answer(HostEffect::Cloud(CloudCall::FindHook), HostResult::Cloud(Ok(CloudAnswer::Hook(None))));
    host
}

const DRAIN: HostEffect = HostEffect::Platform { call: PlatformCall::Drain, within: secs_const(15) };
const UNDRAIN: HostEffect = HostEffect::Platform { call: PlatformCall::Undrain, within: secs_const(15) };
const REGISTER: HostEffect = HostEffect::Platform { call: PlatformCall::Register, within: secs_const(60) };

const fn secs_const(seconds: u64) -> std::time::Duration {
    std::time::Duration::from_secs(seconds)
}

#[test]
fn a_runner_is_registered_noted_and_started_in_this_order() {
    let mut host = Host::registering(BY_SIGNAL, AgentPolicy::default());
    host.answer(HostEffect::FindRunner, NO_RUNNER);
    host.answer(HostEffect::LookForRoom, HostResult::Room(Room::Enough));
    host.answer(HostEffect::OpenPlatform, platform(PlatformAnswer::Done));
    let entry = JournalEntry { in_service: Some(host.now), ..REGISTERED };
    host.answer(HostEffect::WriteJournal(entry), DONE);
    host.answer(REGISTER, platform(PlatformAnswer::Done));
    host.answer(HostEffect::StartRunner { stop_signal: Signal::Quit }, DONE);
    assert_eq!(host.outcome_of(Request::Register), Some(&Outcome::Registered));
    assert_eq!(host.agent.phase(), Phase::Busy, "nothing has been seen yet");
}

#[test]
fn a_runner_that_runs_is_adopted_unless_it_was_told_to_go() {
    for (told, registered) in [(ToldToDrain::No, true), (ToldToDrain::Maybe, false), (ToldToDrain::Yes, false)] {
        let mut host = Host::registering(BY_SIGNAL, AgentPolicy::default());
        host.answer(HostEffect::FindRunner, runner(told));
        let outcome = host.outcome_of(Request::Register).unwrap();
        assert_eq!(*outcome == Outcome::Registered, registered, "{told:?}: {outcome:?}");
    }
}

#[test]
fn whether_a_runner_runs_must_be_known() {
    let mut host = Host::registering(BY_SIGNAL, AgentPolicy::default());
    host.answer(HostEffect::FindRunner, HostResult::Runner(Err("/proc is gone".into())));
    assert!(matches!(host.outcome_of(Request::Register), Some(Outcome::Failed(why)) if why.contains("/proc is gone")));
    assert_eq!(host.open(), [], "and none is started beside it");
}

#[test]
fn without_a_hook_protection_is_not_given_up_and_no_runner_starts() {
    let policy = AgentPolicy { protection: Protection::WhileBusy, ..AgentPolicy::default() };
    let mut host = Host::registering(BY_SIGNAL, policy);
    host.answer(HostEffect::FindRunner, NO_RUNNER);
    host.answer(HostEffect::LookForRoom, HostResult::Room(Room::Enough));
    host.answer(HostEffect::Cloud(CloudCall::FindHook), HostResult::Cloud(Ok(CloudAnswer::Hook(None))));
    assert!(matches!(host.outcome_of(Request::Register), Some(Outcome::Denied(why)) if why.contains("while-busy")));
    assert_eq!(host.open(), []);
}

/// `while-busy` is taken for `always` there, by whoever asks: no hook is missed that could not help.
#[test]
fn a_cloud_that_holds_no_ending_off_for_long_needs_no_hook_to_begin() {
    let places = [(false, Membership::InService { protected: true }), (true, Membership::Pending { waiting: true })];
    for cloud in [BARE_CLOUD, HELD_CLOUD, TRUSTED_CLOUD] {
        for (launch_hook, place) in places {
            let policy = AgentPolicy { protection: Protection::WhileBusy, launch_hook, ..AgentPolicy::default() };
            let mut host = Host::begin_on(cloud, BY_SIGNAL, policy, JournalEntry::FRESH, false);
            let place = HostResult::Cloud(Ok(CloudAnswer::Membership(place)));
            host.answer(HostEffect::Cloud(CloudCall::Membership), place);
            host.answer(HostEffect::FindRunner, NO_RUNNER);
            host.answer(HostEffect::LookForRoom, HostResult::Room(Room::Enough));
            assert_eq!(host.open(), [HostEffect::OpenPlatform], "{cloud:?}, {launch_hook}");
        }
    }
}

#[test]
fn a_platform_that_lets_a_runner_go_is_noted_and_a_refusal_takes_the_note_back() {
    for (drained, told) in [
        (Drained::Empty, ToldToDrain::Yes),
        (Drained::StillBusy, ToldToDrain::Yes),
        (Drained::Refused, ToldToDrain::No),
    ] {
        let mut host = Host::draining(BY_REMOVAL, LeaveReason::ScaleIn);
        host.answer(HostEffect::FindRunner, runner(ToldToDrain::No));
        host.answer(HostEffect::NoteTold(ToldToDrain::Maybe), DONE);
        host.answer(DRAIN, platform(PlatformAnswer::Drained(drained)));
        host.answer(HostEffect::NoteTold(told), DONE);
        assert_eq!(host.outcome_of(Request::Drain), Some(&Outcome::Drained(drained)));
    }
}

#[test]
fn without_a_runner_silence_is_alone_and_never_registered_is_empty() {
    let mut host = Host::draining(BY_CALL, LeaveReason::ScaleIn);
    host.answer(HostEffect::FindRunner, NO_RUNNER);
    host.answer(DRAIN, refused(ErrorKind::Unreachable));
    assert!(matches!(host.outcome_of(Request::Drain), Some(Outcome::Alone(_))));
    let entry = JournalEntry { saved: Saved::Leaving { why: LeaveReason::ScaleIn }, ..JournalEntry::FRESH };
    let mut host = Host::begin(BY_CALL, AgentPolicy::default(), entry, false);
    host.answer(HostEffect::FindRunner, NO_RUNNER);
    assert_eq!(host.outcome_of(Request::Drain), Some(&Outcome::Drained(Drained::Empty)));
    let mut host = Host::draining(BY_CALL, LeaveReason::ScaleIn);
    host.answer(HostEffect::FindRunner, HostResult::Runner(Err("?".into())));
    host.answer(DRAIN, refused(ErrorKind::Unreachable));
    assert!(matches!(host.outcome_of(Request::Drain), Some(Outcome::Failed(_))), "unknown is not alone");
}

#[test]
fn a_platform_that_lost_sight_of_its_runner_has_it_signalled() {
    let mut host = Host::draining(BY_CALL, LeaveReason::ScaleIn);
    host.answer(HostEffect::FindRunner, runner(ToldToDrain::No));
    host.answer(DRAIN, platform(PlatformAnswer::BySignal(Signal::Term)));
    host.answer(HostEffect::FindRunner, runner(ToldToDrain::No));
    host.answer(HostEffect::NoteTold(ToldToDrain::Maybe), DONE);
    host.answer(HostEffect::SignalRunner(Signal::Term), DONE);
    host.answer(HostEffect::NoteTold(ToldToDrain::Yes), DONE);
    assert_eq!(host.outcome_of(Request::Drain), Some(&Outcome::Signalled));
}

#[test]
fn the_runner_ends_before_its_registration_goes() {
    let mut host = Host::draining(BY_CALL, LeaveReason::ScaleIn);
    host.answer(HostEffect::FindRunner, runner(ToldToDrain::No));
    host.answer(DRAIN, platform(PlatformAnswer::Drained(Drained::Empty)));
    host.answer(HostEffect::Snapshot, QUIET);
    assert!(!host.open().iter().any(|effect| matches!(effect, HostEffect::Platform { .. })));
    host.answer(HostEffect::SignalRunner(Signal::Int), DONE);
    host.answer(HostEffect::AwaitExit { within: secs(3) }, HostResult::Exited(false));
    host.answer(HostEffect::KillRunner, DONE);
    let deregister = HostEffect::Platform { call: PlatformCall::Deregister, within: secs(10) };
    host.answer(deregister, platform(PlatformAnswer::Done));
    assert_eq!(host.outcome_of(Request::Deregister), Some(&Outcome::Done));
}

#[test]
fn what_touches_the_runner_goes_one_after_the_other() {
    let mut host = Host::registering(BY_SIGNAL, AgentPolicy::default());
    host.event(Event::Ending { by: Ending::Maintenance, at: None });
    let saved = Saved::Leaving { why: LeaveReason::Maintenance };
    let leaving = JournalEntry { saved, in_service: Some(host.now), ..JournalEntry::FRESH };
    host.answer(HostEffect::WriteJournal(leaving), DONE);
    assert!(host.open().contains(&HostEffect::FindRunner), "the start is under way");
    assert_eq!(host.open().iter().filter(|effect| **effect == HostEffect::FindRunner).count(), 1);
    host.answer(HostEffect::FindRunner, runner(ToldToDrain::No));
    assert_eq!(host.outcome_of(Request::Register), Some(&Outcome::Registered));
    host.answer(HostEffect::FindRunner, runner(ToldToDrain::No));
    assert!(host.open().contains(&HostEffect::NoteTold(ToldToDrain::Maybe)), "and then the drain: {:?}", host.open());
}

#[test]
fn a_platform_that_has_no_runner_of_an_instance_without_one_has_answered() {
    let mut host = Host::draining(BY_CALL, LeaveReason::ScaleIn);
    host.answer(HostEffect::FindRunner, NO_RUNNER);
    host.answer(DRAIN, refused(ErrorKind::NoRunner));
    assert_eq!(host.outcome_of(Request::Drain), Some(&Outcome::Absent));
    // But a runner that lives may be about to appear there.
    let mut host = Host::draining(BY_CALL, LeaveReason::ScaleIn);
    host.answer(HostEffect::FindRunner, runner(ToldToDrain::No));
    host.answer(DRAIN, refused(ErrorKind::NoRunner));
    assert!(matches!(host.outcome_of(Request::Drain), Some(Outcome::Failed(_))));
}

#[test]
fn a_runner_that_is_found_late_is_waited_for() {
    let entry = JournalEntry { saved: Saved::Leaving { why: LeaveReason::ScaleIn }, ..REGISTERED };
    let mut host = Host::begin(BY_SIGNAL, AgentPolicy::default(), entry, false);
    host.answer(HostEffect::FindRunner, runner(ToldToDrain::Yes));
    assert!(!host.open().contains(&HostEffect::Snapshot), "it lives, so told is no proof: {:?}", host.open());
    host.event(Event::RunnerExited);
    assert!(host.open().contains(&HostEffect::Snapshot));
}

#[test]
fn a_hook_that_is_gone_keeps_the_protection() {
    let policy = AgentPolicy { protection: Protection::WhileBusy, ..AgentPolicy::default() };
    let mut host = Host::registering(BY_SIGNAL, policy);
    host.answer(HostEffect::FindRunner, runner(ToldToDrain::No));
    host.event(Event::Activity(Activity::Quiet));
    while host.open().contains(&HostEffect::Cloud(CloudCall::FindHook)) {
        host.answer(HostEffect::Cloud(CloudCall::FindHook), HostResult::Cloud(Ok(CloudAnswer::Hook(None))));
    }
    assert!(
        matches!(host.outcome_of(Request::Protect(false)), Some(Outcome::Denied(why)) if why.contains("while-busy"))
    );
    assert!(!host.open().contains(&HostEffect::Cloud(CloudCall::Protect(false))), "{:?}", host.open());
}

#[test]
fn what_the_journal_did_not_take_is_written_before_the_platform_hears_of_it() {
    let mut host = Host::registering(BY_SIGNAL, AgentPolicy::default());
    let entry = JournalEntry { in_service: Some(host.now), ..REGISTERED };
    for written in [Err("no space left on device".to_owned()), Ok(())] {
        host.answer(HostEffect::FindRunner, NO_RUNNER);
        host.answer(HostEffect::LookForRoom, HostResult::Room(Room::Enough));
        host.answer(HostEffect::OpenPlatform, platform(PlatformAnswer::Done));
        assert_eq!(host.open(), [HostEffect::WriteJournal(entry)]);
        host.answer(HostEffect::WriteJournal(entry), HostResult::Done(written));
        host.now = host.now + secs(1);
        host.agent.handle_timeout(host.now);
        host.collect();
    }
    assert_eq!(host.open(), [REGISTER]);
}

/// The start is under way when the cloud calls, and at the deadline the drain still waits for its turn.
#[test]
fn a_runner_that_is_about_to_be_removed_is_told_nothing_before() {
    let mut host = Host::registering(BY_CALL, AgentPolicy::default());
    host.event(Event::Ending { by: Ending::Interruption, at: Some(host.now + secs(120)) });
    let saved = Saved::Leaving { why: LeaveReason::Spot };
    let leaving = JournalEntry { saved, in_service: Some(host.now), ..JournalEntry::FRESH };
    host.answer(HostEffect::WriteJournal(leaving), DONE);
    host.now = host.now + secs(115);
    host.agent.handle_timeout(host.now);
    host.collect();
    assert_eq!(host.agent.phase(), Phase::Retiring { why: LeaveReason::Spot });
    host.answer(HostEffect::FindRunner, HostResult::Runner(Err("/proc is gone".into())));
    assert!(matches!(host.outcome_of(Request::Register), Some(Outcome::Failed(_))));
    assert!(host.open().contains(&HostEffect::SignalRunner(Signal::Int)), "its end is next: {:?}", host.open());
}
