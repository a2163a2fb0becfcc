//! How requests are carried out: results of effects in, the next effects out.

use std::collections::BTreeSet;

use lightsout_core::{
    activity::Activity,
    agent::{
        Agent, Output,
        action::{Request, Rung},
        event::{Event, Order, OrderId, Outcome},
        host::{
            CloudAnswer, CloudCall, EffectId, HostEffect, HostResult, JournalEntry, PlatformAnswer, PlatformCall,
            RunnerSeen, Told,
        },
        phase::{LeaveReason, Phase, Saved},
        policy::{AgentPolicy, Protection},
        salt::Salt,
    },
    cloud::{CloudError, CloudErrorKind, Membership},
    exchange::{ErrorKind, ExchangeError},
    platform::{DrainBy, DrainRules, Drained, Requests, Signal, UndrainBy},
    time::Tick,
};

use crate::rig::{CLOUD, busy, secs};

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

fn runner(told: Told) -> HostResult {
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
}

impl Host {
    fn begin(rules: DrainRules, policy: AgentPolicy, entry: JournalEntry, alive: bool) -> Self {
        let now = Tick(1_000_000);
        let agent = Agent::begin(policy, rules, CLOUD, entry, alive, Salt::NONE, now);
        let mut host = Self { agent, now, open: Vec::new(), replies: Vec::new(), finished: Vec::new() };
        host.collect();
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
                Output::Effect { effect: HostEffect::ReleaseClients, .. } => {}
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

    fn outcome_of(&self, request: Request) -> Option<&Outcome> {
        self.finished.iter().rev().find(|(finished, _)| *finished == request).map(|(_, outcome)| outcome)
    }
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
    for (told, registered) in [(Told::No, true), (Told::Maybe, false), (Told::Yes, false)] {
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
    host.answer(HostEffect::Cloud(CloudCall::FindHook), HostResult::Cloud(Ok(CloudAnswer::Hook(None))));
    assert!(matches!(host.outcome_of(Request::Register), Some(Outcome::Denied(why)) if why.contains("while-busy")));
    assert_eq!(host.open(), []);
}

#[test]
fn a_runner_is_told_once_and_noted_before_and_after() {
    let mut host = Host::draining(BY_SIGNAL, LeaveReason::ScaleIn);
    host.answer(HostEffect::FindRunner, runner(Told::No));
    host.answer(HostEffect::NoteTold(Told::Maybe), DONE);
    host.answer(HostEffect::SignalRunner(Signal::Quit), DONE);
    assert_eq!(host.outcome_of(Request::Drain), None);
    host.answer(HostEffect::NoteTold(Told::Yes), DONE);
    assert_eq!(host.outcome_of(Request::Drain), Some(&Outcome::Signalled));
    let mut host = Host::draining(BY_SIGNAL, LeaveReason::ScaleIn);
    host.answer(HostEffect::FindRunner, runner(Told::Yes));
    assert_eq!((host.outcome_of(Request::Drain), host.open()), (Some(&Outcome::Signalled), vec![]));
}

const CANCELS_REQUESTS: DrainRules = DrainRules { quiesce: true, ..BY_SIGNAL };

fn requests(in_flight: u32, reloads: u32) -> HostResult {
    HostResult::Requests(Ok(Requests { in_flight, reloads }))
}

/// A runner that was quiesced and is being watched, after this first count of its requests.
fn quiesced(before: HostResult) -> Host {
    let mut host = Host::draining(CANCELS_REQUESTS, LeaveReason::ScaleIn);
    host.answer(HostEffect::FindRunner, runner(Told::No));
    host.answer(HostEffect::NoteTold(Told::Maybe), DONE);
    host.answer(HostEffect::CountRequests, before);
    host.answer(HostEffect::QuiesceRunner, DONE);
    host
}

impl Host {
    fn aborted(&self) -> bool {
        self.finished.iter().any(|(request, _)| matches!(request, Request::Abort { .. }))
    }

    /// One look at the runner's requests.
    fn look(&mut self, result: HostResult) {
        let pause = std::time::Duration::from_millis(200);
        self.now = self.now + pause;
        self.answer(HostEffect::AwaitExit { within: pause }, HostResult::Exited(false));
        self.answer(HostEffect::CountRequests, result);
    }

    fn told(&self) -> bool {
        self.open().contains(&HostEffect::SignalRunner(Signal::Quit))
    }
}

#[test]
fn a_runner_that_cancels_its_requests_is_told_when_none_is_on_its_way() {
    let mut host = quiesced(requests(1, 1));
    // Not read again yet; then a request that was made before; then one look is not enough.
    for result in [requests(0, 1), requests(0, 1), requests(1, 2), requests(0, 2), requests(1, 2), requests(0, 2)] {
        host.look(result);
        assert!(!host.told());
    }
    host.look(requests(0, 2));
    assert!(host.told());
    host.answer(HostEffect::SignalRunner(Signal::Quit), DONE);
    host.answer(HostEffect::NoteTold(Told::Yes), DONE);
    assert_eq!(host.outcome_of(Request::Drain), Some(&Outcome::Signalled));
}

#[test]
fn a_runner_that_does_not_count_its_requests_is_told_after_the_longest_one() {
    let unknown = || HostResult::Requests(Err("no metrics".into()));
    let mut host = quiesced(unknown());
    // Two minutes: the longest request, and one more that was about to be made.
    for _ in 0..599 {
        host.look(unknown());
        assert!(!host.told());
    }
    host.look(unknown());
    assert!(host.told());
    // However long each count takes.
    let mut host = quiesced(unknown());
    let start = host.now;
    while !host.told() {
        host.now = host.now + secs(2);
        host.look(unknown());
    }
    assert!((secs(120)..secs(125)).contains(&host.now.since(start)), "{:?}", host.now.since(start));
    // Once it counts them, it is believed when it must have read its configuration.
    let mut host = quiesced(unknown());
    for _ in 0..15 {
        host.look(requests(0, 7));
        assert!(!host.told());
    }
    host.look(requests(0, 7));
    assert!(host.told());
}

#[test]
fn a_runner_with_a_request_on_its_way_for_ever_is_busy() {
    let mut host = quiesced(requests(1, 1));
    for _ in 0..600 {
        host.look(requests(1, 2));
    }
    assert_eq!(host.outcome_of(Request::Drain), Some(&Outcome::Drained(Drained::StillBusy)));
}

#[test]
fn a_full_disk_does_not_keep_the_runner_at_work() {
    let mut host = Host::draining(CANCELS_REQUESTS, LeaveReason::ScaleIn);
    host.answer(HostEffect::FindRunner, runner(Told::No));
    host.answer(HostEffect::NoteTold(Told::Maybe), DONE);
    host.answer(HostEffect::CountRequests, requests(1, 1));
    host.answer(HostEffect::QuiesceRunner, HostResult::Done(Err("no space left on device".into())));
    host.look(requests(1, 1));
    host.look(requests(0, 1));
    assert!(!host.told());
    host.look(requests(0, 1));
    assert!(host.told(), "a moment without a request must do");
}

#[test]
fn a_runner_that_may_have_been_told_is_quiesced_before_it_must_be_quiet() {
    let mut host = Host::draining(CANCELS_REQUESTS, LeaveReason::ScaleIn);
    host.answer(HostEffect::FindRunner, runner(Told::Maybe));
    // With several slots it may never be quiet while it takes jobs.
    host.answer(HostEffect::CountRequests, requests(0, 1));
    host.answer(HostEffect::QuiesceRunner, DONE);
    host.look(requests(0, 2));
    host.look(requests(0, 2));
    assert!(!host.told());
    let busy = HostResult::Snapshot { activity: busy("job"), token_refused: false };
    host.answer(HostEffect::Snapshot, busy);
    assert_eq!(host.outcome_of(Request::Drain), Some(&Outcome::Drained(Drained::StillBusy)));
}

#[test]
fn a_runner_that_exits_while_its_requests_are_awaited_is_the_proof_at_once() {
    let mut host = quiesced(requests(1, 1));
    host.answer(HostEffect::AwaitExit { within: std::time::Duration::from_millis(200) }, HostResult::Exited(true));
    assert_eq!(host.outcome_of(Request::Drain), Some(&Outcome::Drained(Drained::Empty)));
}

#[test]
fn a_spot_deadline_does_not_wait_for_what_is_still_being_told() {
    let mut host = quiesced(requests(1, 1));
    let at = host.now + secs(10);
    host.event(Event::Spot { at });
    host.now = at;
    host.agent.handle_timeout(at);
    host.collect();
    // The runner ends, and then its registration goes.
    assert_eq!(host.agent.phase(), Phase::Retiring { why: LeaveReason::Spot });
    assert!(host.open().contains(&HostEffect::SignalRunner(Signal::Quit)), "{:?}", host.open());
}

#[test]
fn a_runner_that_may_have_been_told_is_told_again_only_when_quiet() {
    let mut host = Host::draining(BY_SAME_SIGNAL, LeaveReason::ScaleIn);
    host.answer(HostEffect::FindRunner, runner(Told::Maybe));
    let working = HostResult::Snapshot { activity: busy("job"), token_refused: false };
    host.answer(HostEffect::Snapshot, working);
    assert_eq!(host.outcome_of(Request::Drain), Some(&Outcome::Drained(Drained::StillBusy)));
    assert_eq!(host.open(), [], "a second signal would cancel its job");
    let mut host = Host::draining(BY_SAME_SIGNAL, LeaveReason::ScaleIn);
    host.answer(HostEffect::FindRunner, runner(Told::Maybe));
    host.answer(HostEffect::Snapshot, QUIET);
    assert_eq!(host.open(), [HostEffect::SignalRunner(Signal::Term)]);
}

#[test]
fn a_note_that_the_disk_does_not_take_keeps_the_signal_back() {
    let mut host = Host::draining(BY_SAME_SIGNAL, LeaveReason::ScaleIn);
    host.answer(HostEffect::FindRunner, runner(Told::No));
    host.answer(HostEffect::NoteTold(Told::Maybe), HostResult::Done(Err("the disk is gone".into())));
    assert!(matches!(host.outcome_of(Request::Drain), Some(Outcome::Failed(why)) if why.contains("the disk is gone")));
    assert_eq!(host.open(), []);
}

#[test]
fn a_platform_that_lets_a_runner_go_is_noted_and_a_refusal_takes_the_note_back() {
    for (drained, told) in [(Drained::Empty, Told::Yes), (Drained::StillBusy, Told::Yes), (Drained::Refused, Told::No)]
    {
        let mut host = Host::draining(BY_REMOVAL, LeaveReason::ScaleIn);
        host.answer(HostEffect::FindRunner, runner(Told::No));
        host.answer(HostEffect::NoteTold(Told::Maybe), DONE);
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
    host.answer(HostEffect::FindRunner, runner(Told::No));
    host.answer(DRAIN, platform(PlatformAnswer::BySignal(Signal::Term)));
    host.answer(HostEffect::FindRunner, runner(Told::No));
    host.answer(HostEffect::NoteTold(Told::Maybe), DONE);
    host.answer(HostEffect::SignalRunner(Signal::Term), DONE);
    host.answer(HostEffect::NoteTold(Told::Yes), DONE);
    assert_eq!(host.outcome_of(Request::Drain), Some(&Outcome::Signalled));
}

/// An agent that was restarted, found its runner, and asks it back in.
fn returning(rules: DrainRules) -> Host {
    let mut host = Host::begin(rules, AgentPolicy::default(), REGISTERED, true);
    host.answer(HostEffect::Cloud(CloudCall::FindHook), HostResult::Cloud(Ok(CloudAnswer::Hook(None))));
    host
}

#[test]
fn a_drain_is_taken_back_by_what_the_runner_was_told() {
    let mut host = returning(BY_CALL);
    host.answer(UNDRAIN, platform(PlatformAnswer::Done));
    assert_eq!(host.outcome_of(Request::Undrain), Some(&Outcome::Done));
    for (told, outcome) in [(Told::No, Outcome::Done), (Told::Yes, Outcome::Relaunch)] {
        let mut host = returning(BY_SIGNAL);
        host.answer(HostEffect::FindRunner, runner(told));
        assert_eq!(host.outcome_of(Request::Undrain), Some(&outcome));
    }
    let mut host = returning(BY_SIGNAL);
    host.answer(HostEffect::FindRunner, runner(Told::Maybe));
    host.answer(HostEffect::Snapshot, QUIET);
    host.answer(HostEffect::SignalRunner(Signal::Quit), DONE);
    host.answer(HostEffect::NoteTold(Told::Yes), DONE);
    assert_eq!(host.outcome_of(Request::Undrain), Some(&Outcome::Relaunch), "told for certain, it will exit");
}

#[test]
fn a_runner_that_the_platform_may_have_let_go_is_asked_about_again() {
    let mut host = returning(BY_REMOVAL);
    host.answer(HostEffect::FindRunner, runner(Told::Maybe));
    host.answer(DRAIN, platform(PlatformAnswer::Drained(Drained::Refused)));
    host.answer(HostEffect::NoteTold(Told::No), DONE);
    assert_eq!(host.outcome_of(Request::Undrain), Some(&Outcome::Done), "it works, so it is still registered");
    let mut host = returning(BY_REMOVAL);
    host.answer(HostEffect::FindRunner, runner(Told::Maybe));
    host.answer(DRAIN, platform(PlatformAnswer::Drained(Drained::Empty)));
    host.answer(HostEffect::NoteTold(Told::Yes), DONE);
    host.answer(HostEffect::Snapshot, QUIET);
    host.answer(HostEffect::SignalRunner(Signal::Int), DONE);
    host.answer(HostEffect::AwaitExit { within: secs(10) }, HostResult::Exited(true));
    assert_eq!(host.outcome_of(Request::Undrain), Some(&Outcome::Relaunch));
}

#[test]
fn a_runner_that_was_let_go_is_not_ended_while_a_job_is_seen_or_feared() {
    for activity in [busy("job"), Activity::Unknown("docker".into())] {
        let mut host = returning(BY_REMOVAL);
        host.answer(HostEffect::FindRunner, runner(Told::Yes));
        host.answer(HostEffect::Snapshot, HostResult::Snapshot { activity, token_refused: false });
        assert_eq!((host.outcome_of(Request::Undrain), host.open()), (Some(&Outcome::Relaunch), vec![]));
    }
}

/// The effects of an abort, each done, until it is over.
fn abort(rules: DrainRules, told: Told) -> Vec<HostEffect> {
    let mut host = Host::draining(rules, LeaveReason::Spot);
    host.open.clear();
    let at = host.now + secs(1);
    host.event(Event::Spot { at });
    host.now = at - std::time::Duration::from_millis(400);
    host.agent.handle_timeout(host.now);
    host.collect();
    let (mut done, mut asked) = (Vec::new(), BTreeSet::new());
    while let Some((id, effect)) = host.open.iter().copied().find(|(id, _)| asked.insert(*id)) {
        let result = match effect {
            HostEffect::FindRunner => runner(told),
            HostEffect::AwaitExit { .. } => HostResult::Exited(false),
            HostEffect::Cloud(_) | HostEffect::WriteJournal(_) | HostEffect::Platform { .. } => continue,
            HostEffect::StartRunner { .. }
            | HostEffect::NoteTold(_)
            | HostEffect::SignalRunner(_)
            | HostEffect::QuiesceRunner
            | HostEffect::CountRequests
            | HostEffect::NoteJobs
            | HostEffect::EndJobs
            | HostEffect::KillRunner
            | HostEffect::Pause(_)
            | HostEffect::OpenPlatform
            | HostEffect::ForgetToken
            | HostEffect::Snapshot
            | HostEffect::ReleaseClients => DONE,
        };
        done.push(effect);
        host.open.retain(|(open, _)| *open != id);
        host.agent.resume(id, result, host.now);
        host.collect();
        if host.aborted() {
            break;
        }
    }
    done
}

#[test]
fn an_abort_signals_twice_only_where_the_first_means_finish_and_kills_in_the_end() {
    // One second of notice: aborted 0.4 s before the deadline, left 0.1 s before it.
    let ms = std::time::Duration::from_millis;
    let term = HostEffect::SignalRunner(Signal::Term);
    // The job ends before its reporter, who gets the last third of the time.
    let end = [
        HostEffect::AwaitExit { within: ms(200) },
        HostEffect::EndJobs,
        HostEffect::AwaitExit { within: ms(100) },
        HostEffect::KillRunner,
    ];
    let once = [&[HostEffect::FindRunner, HostEffect::NoteJobs, term][..], &end].concat();
    assert_eq!(abort(BY_SIGNAL, Told::No), once);
    assert_eq!(abort(BY_SAME_SIGNAL, Told::Yes), once);
    let told = [HostEffect::NoteTold(Told::Maybe), term, HostEffect::Pause(ms(200)), term];
    let twice = [&[HostEffect::FindRunner, HostEffect::NoteJobs][..], &told, &end].concat();
    assert_eq!(abort(BY_SAME_SIGNAL, Told::No), twice);
}

#[test]
fn the_runner_ends_before_its_registration_goes() {
    let mut host = Host::draining(BY_CALL, LeaveReason::ScaleIn);
    host.answer(HostEffect::FindRunner, runner(Told::No));
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
    host.event(Event::Maintenance);
    let saved = Saved::Leaving { why: LeaveReason::Maintenance };
    let leaving = JournalEntry { saved, in_service: Some(host.now), ..JournalEntry::FRESH };
    host.answer(HostEffect::WriteJournal(leaving), DONE);
    assert!(host.open().contains(&HostEffect::FindRunner), "the start is under way");
    assert_eq!(host.open().iter().filter(|effect| **effect == HostEffect::FindRunner).count(), 1);
    host.answer(HostEffect::FindRunner, runner(Told::No));
    assert_eq!(host.outcome_of(Request::Register), Some(&Outcome::Registered));
    host.answer(HostEffect::FindRunner, runner(Told::No));
    assert!(host.open().contains(&HostEffect::NoteTold(Told::Maybe)), "and then the drain: {:?}", host.open());
}

#[test]
fn a_refused_token_is_fetched_anew_once_a_minute_at_most() {
    let mut host = Host::draining(BY_CALL, LeaveReason::ScaleIn);
    let forgets = |host: &Host| host.open().iter().filter(|effect| **effect == HostEffect::ForgetToken).count();
    host.answer(HostEffect::FindRunner, runner(Told::No));
    host.answer(DRAIN, refused(ErrorKind::Unauthorized));
    assert!(matches!(host.outcome_of(Request::Drain), Some(Outcome::Denied(_))));
    assert_eq!(forgets(&host), 1);
    host.agent.sampled(Activity::Quiet, true, host.now + secs(59));
    host.collect();
    assert_eq!(forgets(&host), 1);
    host.agent.sampled(Activity::Quiet, true, host.now + secs(60));
    host.collect();
    assert_eq!(forgets(&host), 2);
}

#[test]
fn an_order_to_drain_is_acknowledged_when_it_is_on_the_disk() {
    let mut host = returning(BY_SIGNAL);
    let leaving =
        HostEffect::WriteJournal(JournalEntry { saved: Saved::Leaving { why: LeaveReason::Operator }, ..REGISTERED });
    for (id, written) in [(OrderId(1), Ok(())), (OrderId(2), Err("full".to_owned()))] {
        host.agent.order(id, Order::Drain, host.now);
        host.collect();
        let before = host.replies.len();
        while host.open().contains(&leaving) {
            host.answer(leaving, HostResult::Done(written.clone()));
        }
        assert_eq!(host.replies.len(), before + 1);
        let (of, answer) = host.replies.last().unwrap();
        assert_eq!((*of, answer.is_ok()), (id, written.is_ok()), "{answer:?}");
    }
}

#[test]
fn an_undrain_is_answered_by_whether_it_is_heard() {
    let mut host = returning(BY_CALL);
    host.answer(UNDRAIN, platform(PlatformAnswer::Done));
    let order = |host: &mut Host, id, order| {
        host.agent.order(OrderId(id), order, host.now);
        host.collect();
        let (_, answer) = host.replies.iter().rfind(|(of, _)| *of == OrderId(id))?;
        Some(answer.clone())
    };
    assert!(!host.agent.can_undrain());
    let refused = order(&mut host, 1, Order::Undrain).unwrap().unwrap_err();
    assert!(refused.contains("the agent is busy"), "{refused}");
    assert_eq!(order(&mut host, 2, Order::Drain), None, "not before it is on the disk");
    assert_eq!(order(&mut host, 3, Order::Drain), None);
    assert!(host.agent.can_undrain());
    let leaving = JournalEntry { saved: Saved::Leaving { why: LeaveReason::Operator }, ..REGISTERED };
    while host.open().contains(&HostEffect::WriteJournal(leaving)) {
        host.answer(HostEffect::WriteJournal(leaving), DONE);
    }
    let acknowledged: Vec<OrderId> =
        host.replies.iter().filter(|(_, answer)| answer.is_ok()).map(|(id, _)| *id).collect();
    assert_eq!(acknowledged, [OrderId(2), OrderId(3)], "each gets its own answer");
    assert_eq!(order(&mut host, 4, Order::Undrain), Some(Ok("serving again".into())));
    let held = order(&mut host, 5, Order::Hold { until: Tick(1_090_000) }).unwrap().unwrap();
    assert!(held.contains("90 s"), "{held}");
}

#[test]
fn an_agents_time_passes_through_to_its_lifecycle() {
    let mut host = returning(BY_CALL);
    host.answer(UNDRAIN, platform(PlatformAnswer::Done));
    assert_eq!(host.agent.sample_interval(), secs(1), "busy, as far as known");
    host.agent.sampled(Activity::Quiet, false, host.now);
    host.collect();
    assert_eq!(host.agent.sample_interval(), secs(5));
    let due = host.agent.poll_timeout().unwrap();
    assert_eq!(due, host.now + secs(595), "the last part of the idle time");
    host.agent.handle_timeout(due);
    host.collect();
    assert!(host.open().contains(&HostEffect::Snapshot));
}

#[test]
fn the_journal_counts_the_busy_periods() {
    let mut host = returning(BY_CALL);
    host.answer(UNDRAIN, platform(PlatformAnswer::Done));
    host.event(Event::Activity(busy("job")));
    host.event(Event::Maintenance);
    let leaving = JournalEntry { saved: Saved::Leaving { why: LeaveReason::Maintenance }, served: 1, ..REGISTERED };
    assert!(host.open().contains(&HostEffect::WriteJournal(leaving)), "{:?}", host.open());
}

#[test]
fn the_proof_is_written_down() {
    let mut host = Host::draining(BY_CALL, LeaveReason::ScaleIn);
    host.answer(HostEffect::FindRunner, runner(Told::No));
    host.answer(DRAIN, platform(PlatformAnswer::Drained(Drained::Empty)));
    let saved = Saved::Leaving { why: LeaveReason::ScaleIn };
    let proven = JournalEntry { saved, proven: true, ..REGISTERED };
    assert!(host.open().contains(&HostEffect::WriteJournal(proven)), "{:?}", host.open());
}

#[test]
fn a_platform_that_has_no_runner_of_an_instance_without_one_has_answered() {
    let mut host = Host::draining(BY_CALL, LeaveReason::ScaleIn);
    host.answer(HostEffect::FindRunner, NO_RUNNER);
    host.answer(DRAIN, refused(ErrorKind::NoRunner));
    assert_eq!(host.outcome_of(Request::Drain), Some(&Outcome::Absent));
    // But a runner that lives may be about to appear there.
    let mut host = Host::draining(BY_CALL, LeaveReason::ScaleIn);
    host.answer(HostEffect::FindRunner, runner(Told::No));
    host.answer(DRAIN, refused(ErrorKind::NoRunner));
    assert!(matches!(host.outcome_of(Request::Drain), Some(Outcome::Failed(_))));
}

#[test]
fn a_runner_that_is_found_late_is_waited_for() {
    let entry = JournalEntry { saved: Saved::Leaving { why: LeaveReason::ScaleIn }, ..REGISTERED };
    let mut host = Host::begin(BY_SIGNAL, AgentPolicy::default(), entry, false);
    host.answer(HostEffect::FindRunner, runner(Told::Yes));
    assert!(!host.open().contains(&HostEffect::Snapshot), "it lives, so told is no proof: {:?}", host.open());
    host.event(Event::RunnerExited);
    assert!(host.open().contains(&HostEffect::Snapshot));
}

#[test]
fn failures_of_the_cloud_mean_what_the_caller_should_do() {
    let end = HostEffect::Cloud(CloudCall::End(Rung::Shrink));
    for (kind, expected) in [
        (CloudErrorKind::NotFound, Outcome::NotInGroup),
        (CloudErrorKind::InProgress, Outcome::InProgress),
        (CloudErrorKind::NothingHeld, Outcome::NoHook),
        (CloudErrorKind::AtFloor, Outcome::AtFloor),
        (CloudErrorKind::Denied, Outcome::Denied("no".into())),
        (CloudErrorKind::Credentials, Outcome::Rejected("no".into())),
        (CloudErrorKind::Throttled, Outcome::Rejected("no".into())),
        (CloudErrorKind::Timeout, Outcome::Failed("no".into())),
        (CloudErrorKind::Unreachable, Outcome::Rejected("no".into())),
        (CloudErrorKind::OutOfBounds, Outcome::Rejected("no".into())),
        (CloudErrorKind::Other, Outcome::Failed("no".into())),
    ] {
        let mut host = Host::draining(BY_CALL, LeaveReason::Operator);
        host.now = host.now + secs(60);
        host.answer(HostEffect::FindRunner, NO_RUNNER);
        host.answer(DRAIN, platform(PlatformAnswer::Drained(Drained::Empty)));
        host.answer(HostEffect::Snapshot, QUIET);
        host.answer(HostEffect::SignalRunner(Signal::Int), DONE);
        host.answer(HostEffect::AwaitExit { within: secs(3) }, HostResult::Exited(true));
        let deregister = HostEffect::Platform { call: PlatformCall::Deregister, within: secs(10) };
        host.answer(deregister, platform(PlatformAnswer::Done));
        let member = CloudAnswer::Membership(Membership::InService { protected: true });
        host.answer(HostEffect::Cloud(CloudCall::Membership), HostResult::Cloud(Ok(member)));
        host.answer(end, HostResult::Cloud(Err(CloudError::new(kind, "no"))));
        assert_eq!(host.outcome_of(Request::End(Rung::Shrink)), Some(&expected), "{kind:?}");
    }
}

#[test]
fn a_result_of_another_kind_concludes_nothing() {
    let mut host = Host::draining(BY_SIGNAL, LeaveReason::ScaleIn);
    host.answer(HostEffect::FindRunner, HostResult::Exited(true));
    assert!(matches!(host.outcome_of(Request::Drain), Some(Outcome::Failed(_))));
}
