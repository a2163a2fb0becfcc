//! The runner's own exits, and what follows.

use std::time::Duration;

use lightsout_core::{
    activity::Activity,
    agent::{
        action::Request,
        event::{Event, Order, Outcome},
        phase::{LeaveReason, Phase, Saved},
        policy::AgentPolicy,
    },
};

use crate::rig::{IN_SERVICE, Rig, busy, secs};

#[test]
fn a_runner_that_exits_while_a_drain_is_taken_back_is_started_again() {
    let mut rig = Rig::working(AgentPolicy::default());
    rig.event(Event::Order(Order::Drain));
    rig.event(Event::Order(Order::Undrain));
    rig.answer(Request::Save(Saved::Returning), Outcome::Done);
    rig.event(Event::RunnerExited);
    rig.answer(Request::Undrain, Outcome::Done);
    rig.answer(Request::Describe, IN_SERVICE);
    assert_eq!(rig.phase(), Phase::Registering);
}

#[test]
fn a_runner_that_exits_is_started_again_and_given_up_at_last() {
    let mut rig = Rig::idle(AgentPolicy::default());
    for _ in 0..4 {
        rig.event(Event::RunnerExited);
        assert_eq!(rig.phase(), Phase::Registering);
        rig.pass(secs(30));
        rig.answer(Request::Register, Outcome::Registered);
        rig.event(Event::Activity(Activity::Quiet));
    }
    rig.event(Event::RunnerExited);
    assert_eq!(rig.phase(), Phase::Draining { why: LeaveReason::Broken });
}

#[test]
fn a_runner_that_lived_long_is_not_broken() {
    let mut rig = Rig::idle(AgentPolicy { idle_timeout: None, ..AgentPolicy::default() });
    for _ in 0..20 {
        rig.pass(secs(700));
        rig.event(Event::RunnerExited);
        rig.pass(secs(30));
        rig.answer(Request::Register, Outcome::Registered);
        rig.event(Event::Activity(Activity::Quiet));
        assert!(matches!(rig.phase(), Phase::Idle { .. }));
    }
}

#[test]
fn a_runner_that_exits_after_each_job_is_registered_again_at_once() {
    let mut rig = Rig::idle(AgentPolicy::default());
    for _ in 0..20 {
        rig.event(Event::Activity(busy("single")));
        rig.event(Event::RunnerExited);
        rig.answer(Request::Register, Outcome::Registered);
        rig.event(Event::Activity(Activity::Quiet));
        assert!(matches!(rig.phase(), Phase::Idle { .. }));
    }
}

#[test]
fn a_runner_that_exits_without_a_job_is_started_again_later_each_time() {
    let mut rig = Rig::idle(AgentPolicy::default());
    for pause in [1, 2, 4] {
        rig.event(Event::RunnerExited);
        rig.pass(secs(pause).saturating_sub(Duration::from_millis(1)));
        assert_eq!(rig.open(), [], "not within {pause} s");
        rig.pass(Duration::from_millis(1));
        rig.answer(Request::Register, Outcome::Registered);
        rig.event(Event::Activity(Activity::Quiet));
    }
}

#[test]
fn a_runner_that_is_found_gone_is_started_again_once_no_job_is_seen() {
    let mut rig = Rig::working(AgentPolicy::default());
    rig.lifecycle.runner_looked_for(false);
    rig.event(Event::Activity(busy("job-1")));
    assert_eq!((rig.phase(), rig.open()), (Phase::Busy, vec![]), "what it left behind may still run");
    rig.event(Event::Activity(Activity::Quiet));
    assert_eq!((rig.phase(), rig.open()), (Phase::Registering, vec![Request::Register]));
}
