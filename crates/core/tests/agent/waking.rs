//! A machine that stood still for hours, in each phase: no job dies, nothing is lowered, and nothing is concluded from what was seen before.

use std::time::Duration;

use lightsout_core::{
    activity::Activity,
    agent::{
        action::{Request, Rung},
        event::{Event, Order, Outcome},
        phase::{LeaveReason, Phase, Saved},
        policy::AgentPolicy,
    },
    cloud::{Capabilities, Ending, Membership, StandingOrder, TargetState},
};

use crate::rig::{CLOUD, EMPTY, IN_SERVICE, QUIET, Rig, busy, roomy, secs};

const HOURS: Duration = secs(6 * 3600);

/// What a machine was doing that stood still: its processes frozen, so that the ticks went on, or all of it asleep, so that they did not.
fn asleep(rig: &Rig) -> [Rig; 2] {
    let (mut frozen, mut hibernated) = (rig.clone(), rig.clone());
    frozen.now = frozen.now + HOURS;
    frozen.event(Event::Woke { unseen: Duration::ZERO });
    hibernated.event(Event::Woke { unseen: HOURS });
    for rig in [&frozen, &hibernated] {
        let wrong =
            |request: &Request| matches!(request, Request::Abort { .. } | Request::End(_) | Request::Deregister);
        assert!(!rig.all_open().any(|request| wrong(&request)), "{:?}", rig.open());
        assert!(rig.lifecycle.trouble().is_none(), "{:?}", rig.lifecycle.trouble());
        assert!(rig.all_open().any(|request| request == Request::Probe), "it is looked at: {:?}", rig.open());
    }
    [frozen, hibernated]
}

#[test]
fn a_way_into_service_begins_its_time_anew() {
    let policy = || AgentPolicy { before_register: Some(secs(300)), ..AgentPolicy::default() };
    for mut rig in asleep(&Rig::new(policy())) {
        rig.pass(secs(299));
        assert_eq!(rig.phase(), Phase::Preparing);
    }
    for mut rig in asleep(&Rig::new(AgentPolicy::default())) {
        // Asked before, told after: it may be anywhere by now.
        rig.answer(Request::Describe, IN_SERVICE);
        assert_eq!(rig.phase(), Phase::Booting, "what was asked before is no fresh look");
        rig.answer(Request::Describe, Outcome::Member(Membership::Pending { waiting: false }));
        rig.pass(secs(590));
        assert_eq!(rig.phase(), Phase::Booting);
    }
    let mut rig = Rig::new(AgentPolicy::default());
    rig.answer(Request::Describe, IN_SERVICE);
    for mut rig in asleep(&rig) {
        rig.pass(secs(590));
        assert_eq!(rig.phase(), Phase::Registering);
        rig.answer(Request::Register, Outcome::Registered);
        assert_eq!(rig.phase(), Phase::Busy, "not before a fresh look is it idle");
    }
}

#[test]
fn a_warmed_machine_waits_on_and_serves_after_a_fresh_look() {
    let mut rig = Rig::new(AgentPolicy::default());
    rig.answer(Request::Describe, Outcome::Member(Membership::Warm));
    rig.event(Event::TargetState(TargetState::Warmed));
    for mut rig in asleep(&rig) {
        rig.pass(HOURS);
        assert_eq!(rig.phase(), Phase::Booting);
        rig.event(Event::TargetState(TargetState::InService));
        rig.answer(Request::Describe, IN_SERVICE);
        rig.answer(Request::Register, Outcome::Registered);
        rig.event(Event::Activity(Activity::Quiet));
        assert!(matches!(rig.phase(), Phase::Idle { .. }));
        assert_eq!(rig.lifecycle.in_service(), Some(rig.now), "its age begins now");
    }
}

#[test]
fn who_idled_is_looked_at_and_idles_anew() {
    let idle = AgentPolicy { idle_timeout: Some(secs(600)), confirm: secs(60), ..AgentPolicy::default() };
    let mut rig = Rig::idle(idle);
    rig.pass(secs(545));
    for mut rig in asleep(&rig) {
        assert_eq!(rig.phase(), Phase::Busy, "what is not known is busy");
        let (stale, fresh) = (rig.take(Request::Probe), rig.take(Request::Probe));
        rig.complete(stale, QUIET);
        assert_eq!(rig.phase(), Phase::Busy, "a look from before is none");
        rig.complete(fresh, QUIET);
        rig.pass(secs(530));
        assert!(matches!(rig.phase(), Phase::Idle { .. }), "{:?}", rig.phase());
        assert!(!rig.open().contains(&Request::GroupSize));
    }
    // The answer to the question for room, and a leave that followed from it, are of another day.
    rig.pass(secs(1));
    rig.answer(Request::Probe, QUIET);
    rig.pass(secs(60));
    for mut rig in asleep(&rig) {
        rig.answer(Request::GroupSize, roomy());
        assert_eq!(rig.phase(), Phase::Busy, "{:?}", rig.open());
    }
    rig.answer(Request::GroupSize, roomy());
    assert_eq!(rig.phase(), Phase::Draining { why: LeaveReason::Idle });
    for rig in asleep(&rig) {
        assert_eq!(rig.phase(), Phase::Busy, "it is taken back");
    }
}

#[test]
fn a_job_that_ran_is_waited_for() {
    let mut rig = Rig::working(AgentPolicy::default());
    rig.event(Event::Activity(Activity::Unknown("the engine is silent".into())));
    rig.pass(secs(600));
    for mut rig in asleep(&rig) {
        rig.pass(secs(600));
        assert_eq!(rig.phase(), Phase::Busy, "doubt begins anew");
        rig.event(Event::Activity(busy("job-1")));
        rig.pass(HOURS);
        assert_eq!(rig.phase(), Phase::Busy);
    }
}

#[test]
fn a_drain_goes_on_and_takes_nothing_for_a_proof_that_is_from_before() {
    let why = LeaveReason::Operator;
    let mut rig = Rig::working(AgentPolicy::default());
    rig.event(Event::Order(Order::Drain));
    rig.answer(Request::Save(Saved::Leaving { why }), Outcome::Done);
    let mut told = rig.clone();
    told.answer(Request::Drain, Outcome::Signalled);
    told.event(Event::Activity(Activity::Quiet));
    told.pass(secs(600));
    for mut rig in asleep(&told) {
        rig.pass(secs(600));
        assert_eq!(rig.phase(), Phase::Draining { why });
        assert!(!rig.open().iter().any(|request| matches!(request, Request::Abort { .. })), "not stuck yet");
    }
    // Nobody is left and the platform says nothing: how long that has been is not known any more.
    let mut alone = rig.clone();
    alone.event(Event::RunnerExited);
    alone.event(Event::Activity(Activity::Quiet));
    alone.answer(Request::Drain, Outcome::Alone("HTTP 500".into()));
    alone.pass(secs(16));
    for mut rig in asleep(&alone) {
        rig.answer(Request::Drain, Outcome::Alone("HTTP 500".into()));
        assert_eq!(rig.phase(), Phase::Draining { why }, "{:?}", rig.open());
        rig.pass(secs(600));
        assert_eq!(rig.phase(), Phase::Draining { why });
    }
    // Proven, and something is still seen: it gets its whole time again.
    rig.answer(Request::Drain, EMPTY);
    rig.answer(Request::Probe, Outcome::Snapshot(busy("remnant")));
    for mut rig in asleep(&rig) {
        rig.pass(secs(600));
        assert_eq!(rig.phase(), Phase::Draining { why });
    }
}

#[test]
fn a_deadline_comes_nearer_by_what_the_clock_did_not_see_and_one_that_passed_is_over() {
    let mut rig = Rig::working(AgentPolicy::default());
    rig.event(Event::Ending { by: Ending::Interruption, at: Some(rig.now + secs(110)) });
    rig.answer(Request::Save(Saved::Leaving { why: LeaveReason::Spot }), Outcome::Done);
    rig.answer(Request::Drain, Outcome::Signalled);
    for mut rig in asleep(&rig) {
        rig.pass(HOURS);
        assert!(!rig.open().iter().any(|request| matches!(request, Request::Abort { .. })), "it was not taken");
        assert_eq!(rig.phase(), Phase::Draining { why: LeaveReason::Spot }, "what it began goes on");
    }
    rig.event(Event::Woke { unseen: secs(60) });
    rig.pass(secs(24));
    assert!(!rig.open().iter().any(|request| matches!(request, Request::Abort { .. })));
    rig.pass(secs(1));
    assert!(rig.open().iter().any(|request| matches!(request, Request::Abort { .. })), "85 s after the notice");
}

/// On a cloud that tells when it restarts a machine.
#[test]
fn maintenance_whose_time_passed_in_the_sleep_fails_no_job() {
    let mut rig = Rig::working(AgentPolicy::default());
    let told = Event::Ending { by: Ending::Maintenance, at: Some(rig.now + secs(3_600)) };
    rig.event(told.clone());
    rig.answer(Request::Save(Saved::Leaving { why: LeaveReason::Maintenance }), Outcome::Done);
    rig.answer(Request::Drain, Outcome::Signalled);
    let [_, mut rig] = asleep(&rig);
    // It stands in the metadata for a while yet.
    rig.event(told);
    rig.pass(secs(60));
    assert!(!rig.open().iter().any(|request| matches!(request, Request::Abort { .. })), "{:?}", rig.open());
    assert_eq!(rig.phase(), Phase::Draining { why: LeaveReason::Maintenance }, "what it began goes on");
}

#[test]
fn what_is_written_on_the_instance_ends_a_hold_as_before_the_sleep() {
    let mut rig = Rig::idle(AgentPolicy { idle_timeout: Some(secs(600)), ..AgentPolicy::default() });
    rig.event(Event::StandingOrder(Some(StandingOrder::Hold { until: rig.now + secs(8 * 3600) })));
    for mut rig in asleep(&rig) {
        rig.event(Event::StandingOrder(None));
        assert!(!rig.lifecycle.status().held, "it was taken off");
    }
}

/// The hook may have run out meanwhile: getting ready for it would answer nobody.
#[test]
fn who_got_ready_for_a_launch_hook_looks_first_whether_it_still_waits() {
    let mut rig = Rig::new(AgentPolicy { launch_hook: true, ..AgentPolicy::default() });
    rig.answer(Request::Describe, Outcome::Member(Membership::Pending { waiting: true }));
    assert!(rig.open().contains(&Request::GetReady));
    for mut rig in asleep(&rig) {
        rig.answer(Request::Describe, Outcome::Member(Membership::InService { protected: true }));
        assert_eq!(rig.phase(), Phase::Registering);
    }
}

#[test]
fn a_hold_comes_nearer_by_what_the_clock_did_not_see() {
    let mut rig = Rig::idle(AgentPolicy::default());
    rig.event(Event::Order(Order::Hold { until: rig.now + secs(3_600) }));
    rig.event(Event::Woke { unseen: secs(3_000) });
    rig.pass(secs(599));
    rig.event(Event::Activity(Activity::Quiet));
    assert!(rig.lifecycle.status().held);
    rig.pass(secs(1));
    rig.event(Event::Activity(Activity::Quiet));
    assert!(!rig.lifecycle.status().held);
}

#[test]
fn a_runner_that_expires_in_the_sleep_is_left_all_the_same() {
    let mut rig = Rig::idle(AgentPolicy { idle_timeout: None, ..AgentPolicy::default() });
    rig.event(Event::RunnerExpires { at: rig.now + secs(3_600) });
    let [_, mut rig] = asleep(&rig);
    rig.event(Event::Activity(Activity::Quiet));
    rig.pass(secs(3_600));
    assert_eq!(rig.phase(), Phase::Draining { why: LeaveReason::RunnerExpired });
}

#[test]
fn a_warm_pool_in_which_it_waited_before_is_looked_at_again() {
    let mut rig = Rig::new(AgentPolicy { launch_hook: true, ..AgentPolicy::default() });
    rig.event(Event::TargetState(TargetState::Warmed));
    rig.answer(Request::Describe, Outcome::Member(Membership::Warm));
    assert!(!rig.all_open().any(|request| request == Request::Describe));
    for rig in asleep(&rig) {
        assert!(rig.all_open().any(|request| request == Request::Describe), "{:?}", rig.open());
    }
}

#[test]
fn the_end_that_was_agreed_on_has_its_whole_time_again() {
    let mut rig = Rig::working(AgentPolicy::default());
    rig.event(Event::Order(Order::Drain));
    rig.answer(Request::Save(Saved::Leaving { why: LeaveReason::Operator }), Outcome::Done);
    rig.answer(Request::Drain, EMPTY);
    rig.answer(Request::Probe, QUIET);
    rig.answer(Request::Deregister, Outcome::Done);
    rig.answer(Request::Describe, IN_SERVICE);
    rig.answer(Request::End(Rung::Decrement), Outcome::Done);
    rig.pass(secs(500));
    for mut rig in asleep(&rig) {
        rig.pass(secs(300));
        rig.answer(Request::Describe, Outcome::Member(Membership::Terminating { waiting: false }));
        assert!(!rig.all_open().any(|request| matches!(request, Request::End(_))), "{:?}", rig.open());
    }
}

#[test]
fn what_was_no_proof_before_is_none_after() {
    let mut rig = Rig::resumed(AgentPolicy::default(), Saved::Leaving { why: LeaveReason::Operator }, false);
    rig.answer(Request::Drain, Outcome::Absent);
    for mut rig in asleep(&rig) {
        assert!(!rig.lifecycle.proven_empty());
        rig.event(Event::Activity(busy("run")));
        rig.pass(secs(3600));
        assert_eq!(rig.phase(), Phase::Draining { why: LeaveReason::Operator }, "a job that is seen is a job");
    }
}

/// A notice that is told anew after the sleep counts from when it was first seen, and what the clock slept over is a part of that.
#[test]
fn the_first_sight_of_a_notice_is_as_long_ago_as_the_walls_clock_says() {
    let mut rig = Rig::working(AgentPolicy::default());
    let by = Ending::Maintenance;
    rig.event(Event::Ending { by, at: Some(rig.now + secs(5 * 86_400)) });
    rig.event(Event::Woke { unseen: secs(50) });
    rig.event(Event::Ending { by, at: Some(rig.now - secs(1)) });
    let taken = rig.lifecycle.take_correction().map(|correction| correction.taken.since(rig.now));
    assert_eq!(taken, Some(secs(70)), "two minutes after it was first seen");
}

#[test]
fn all_of_a_deadline_comes_nearer_by_what_the_clock_did_not_see() {
    let why = LeaveReason::ScaleIn;
    let mut rig = Rig::idle_on(Capabilities { longest_notice: secs(900), ..CLOUD }, AgentPolicy::default()).at_work();
    rig.event(Event::Ending { by: Ending::Termination, at: Some(rig.now + secs(600)) });
    rig.answer(Request::Save(Saved::Leaving { why }), Outcome::Done);
    rig.answer(Request::Drain, Outcome::Signalled);
    rig.event(Event::Woke { unseen: secs(300) });
    rig.event(Event::Activity(busy("job-1")));
    rig.pass(secs(275));
    let within = Duration::from_millis(18_750);
    assert!(rig.open().contains(&Request::Abort { within }), "{:?}", rig.open());
    rig.pass(secs(18));
    assert_eq!(rig.phase(), Phase::Draining { why });
    rig.pass(secs(1));
    assert_eq!(rig.phase(), Phase::Retiring { why }, "nothing is waited for past the deadline");
}
