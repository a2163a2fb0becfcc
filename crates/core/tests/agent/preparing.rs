//! Before anything else: the operator's own program of this boot.

use lightsout_core::{
    agent::{
        action::Request,
        event::{Event, Order, Outcome},
        phase::{LeaveReason, Phase, Saved},
        policy::AgentPolicy,
    },
    cloud::TargetState,
};

use crate::rig::{IN_SERVICE, Rig, secs};

/// The operator's own program, with five minutes.
fn preparing() -> (AgentPolicy, Request) {
    let policy = AgentPolicy { before_register: Some(secs(300)), ..AgentPolicy::default() };
    (policy, Request::Prepare { within: secs(300) })
}

#[test]
fn nothing_is_registered_before_the_operators_program_has_succeeded() {
    let (policy, prepare) = preparing();
    let mut rig = Rig::new(policy);
    rig.event(Event::TargetState(TargetState::InService));
    assert_eq!((rig.phase(), rig.open()), (Phase::Preparing, vec![prepare]));
    rig.answer(prepare, Outcome::Failed("systemd does not answer".into()));
    rig.pass(secs(299));
    assert!(rig.lifecycle.status().note.unwrap().contains("systemd"));
    rig.answer(prepare, Outcome::Done);
    assert_eq!((rig.phase(), rig.open()), (Phase::Booting, vec![Request::Describe]));
    rig.answer(Request::Describe, IN_SERVICE);
    rig.pass(secs(500));
    assert_eq!(rig.phase(), Phase::Registering, "the time that the program took is no delay of the boot");
}

#[test]
fn a_program_that_fails_or_of_which_nothing_is_heard_is_broken() {
    let (policy, prepare) = preparing();
    let mut rig = Rig::new(policy.clone());
    rig.answer(prepare, Outcome::Denied("/usr/local/bin/setup: exit status 1; the last that it said: no disk".into()));
    assert_eq!(rig.phase(), Phase::Draining { why: LeaveReason::Broken });
    let note = rig.lifecycle.status().note.unwrap();
    assert!(note.starts_with("agent.before_register failed: ") && note.ends_with("no disk"), "{note}");
    let mut rig = Rig::new(policy);
    rig.pass(secs(899));
    assert_eq!(rig.phase(), Phase::Preparing);
    rig.pass(secs(1));
    assert_eq!(rig.phase(), Phase::Draining { why: LeaveReason::Broken });
}

#[test]
fn a_drain_that_is_taken_back_while_the_program_runs_leads_back_to_it() {
    let (policy, prepare) = preparing();
    let mut rig = Rig::new(policy);
    rig.take(prepare);
    rig.event(Event::Order(Order::Drain));
    rig.event(Event::Policy(AgentPolicy::default()));
    rig.event(Event::Order(Order::Undrain));
    rig.answer(Request::Save(Saved::Returning), Outcome::Done);
    rig.answer(Request::Undrain, Outcome::Relaunch);
    assert_eq!((rig.phase(), rig.open().last()), (Phase::Preparing, Some(&prepare)));
}

#[test]
fn who_is_told_to_stop_while_the_program_runs_has_nothing_to_drain() {
    let (policy, prepare) = preparing();
    let mut rig = Rig::new(policy.clone());
    rig.event(Event::Stop);
    assert_eq!(rig.phase(), Phase::Gone);
    // The next agent asks again: the host knows whether it has run.
    assert_eq!(Rig::resumed(policy.clone(), Saved::Serving, false).open(), [prepare]);
    // Where a runner runs, it has, and who leaves needs it no more.
    assert_eq!(Rig::resumed(policy.clone(), Saved::Serving, true).open(), [Request::Undrain]);
    let leaving = Rig::resumed(policy, Saved::Leaving { why: LeaveReason::Age }, false);
    assert_eq!(leaving.open(), [Request::Drain]);
}
