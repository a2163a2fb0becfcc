//! From the boot to the first look at an idle runner.

use lightsout_core::{
    agent::{
        action::Request,
        event::{Event, Outcome},
        phase::{LeaveReason, Phase},
        policy::AgentPolicy,
    },
    cloud::{Membership, TargetState},
};

use crate::rig::{BARE_CLOUD, IN_SERVICE, Rig, busy, secs};

#[test]
fn the_runner_is_registered_only_in_service() {
    let mut rig = Rig::new(AgentPolicy::default());
    rig.answer(Request::Describe, Outcome::Member(Membership::Pending));
    assert_eq!(rig.open(), []);
    rig.pass(secs(5));
    rig.answer(Request::Describe, Outcome::Failed("throttled".into()));
    rig.pass(secs(5));
    rig.answer(Request::Describe, IN_SERVICE);
    assert_eq!(rig.phase(), Phase::Registering);
    assert_eq!(rig.open(), [Request::Register]);
}

#[test]
fn a_warm_pool_waits_without_asking_and_without_a_deadline() {
    let mut rig = Rig::new(AgentPolicy::default());
    rig.event(Event::TargetState(TargetState::Warmed));
    rig.answer(Request::Describe, Outcome::Member(Membership::Pending));
    rig.pass(secs(86_400));
    assert_eq!((rig.phase(), rig.open()), (Phase::Booting, vec![]));
    rig.event(Event::TargetState(TargetState::InService));
    assert_eq!(rig.open(), [Request::Describe]);
}

#[test]
fn not_ready_in_time_is_broken_and_leaves() {
    let mut rig = Rig::new(AgentPolicy::default());
    rig.answer(Request::Describe, IN_SERVICE);
    while rig.phase() == Phase::Registering {
        rig.answer(Request::Register, Outcome::Denied("403 invalid token".into()));
        rig.pass(secs(30));
    }
    assert_eq!(rig.phase(), Phase::Draining { why: LeaveReason::Broken });
    assert!(rig.lifecycle.status().note.unwrap().contains("invalid token"), "it says why");
}

#[test]
fn where_instances_are_not_born_protected_none_serves_before_it_is_seen_to_be() {
    let unprotected = Outcome::Member(Membership::InService { protected: false });
    let mut rig = Rig::on(BARE_CLOUD, AgentPolicy::default());
    rig.answer(Request::Describe, unprotected.clone());
    assert_eq!((rig.phase(), rig.open()), (Phase::Booting, vec![Request::Protect(true)]));
    rig.answer(Request::Protect(true), Outcome::Done);
    assert_eq!(rig.phase(), Phase::Booting, "asked for is not seen");
    rig.pass(secs(1));
    rig.answer(Request::Describe, unprotected);
    assert_eq!(rig.phase(), Phase::Booting);
    rig.answer(Request::Protect(true), Outcome::Done);
    rig.pass(secs(5));
    rig.answer(Request::Describe, IN_SERVICE);
    assert_eq!((rig.phase(), rig.open()), (Phase::Registering, vec![Request::Register]));
}

#[test]
fn a_stop_of_an_instance_that_does_not_serve_yet_is_no_order() {
    for warmed in [false, true] {
        let mut rig = Rig::new(AgentPolicy::default());
        if warmed {
            rig.event(Event::TargetState(TargetState::Warmed));
        }
        rig.event(Event::Stop);
        assert_eq!(rig.phase(), Phase::Gone, "the machine may only be stopped for a while");
        let saves = rig.all_open().filter(|request| matches!(request, Request::Save(_))).count();
        assert_eq!(saves, 0, "or it would leave when it is started again");
    }
}

#[test]
fn the_time_in_a_warm_pool_is_neither_a_delay_nor_age() {
    let policy = AgentPolicy { max_age: Some(secs(3600)), ..AgentPolicy::default() };
    let mut rig = Rig::new(policy);
    // Metadata do not say so yet; the group does.
    for _ in 0..2_000 {
        if rig.open() == [Request::Describe] {
            rig.answer(Request::Describe, Outcome::Member(Membership::Warm));
        }
        rig.pass(secs(1));
    }
    rig.event(Event::TargetState(TargetState::Warmed));
    // Resumed after a night.
    rig.pass(secs(36_000));
    assert_eq!((rig.phase(), rig.phase().why()), (Phase::Booting, None));
    rig.event(Event::TargetState(TargetState::InService));
    rig.answer(Request::Describe, IN_SERVICE);
    rig.answer(Request::Register, Outcome::Registered);
    rig.event(Event::Activity(busy("job")));
    rig.pass(secs(3599));
    assert_eq!(rig.phase(), Phase::Busy);
    rig.pass(secs(1));
    assert_eq!(rig.phase(), Phase::Draining { why: LeaveReason::Age });
}
