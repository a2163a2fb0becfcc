//! Retiring: the instance's end, each way verified, and what an answer that got lost means.

mod lost;

use lightsout_core::{
    activity::Activity,
    agent::{
        action::{Request, Rung},
        event::{Event, Order, Outcome},
        phase::{LeaveReason, Phase, Saved},
        policy::AgentPolicy,
    },
    cloud::{GroupSize, Membership, TargetState},
};

use crate::rig::{BARE_CLOUD, EMPTY, IN_SERVICE, QUIET, Rig, secs};

pub(crate) const GOING: Outcome = Outcome::Member(Membership::Terminating { waiting: false });
pub(crate) const WAITING: Outcome = Outcome::Member(Membership::Terminating { waiting: true });

/// An agent that is proven empty and has deregistered, for this reason.
pub(crate) fn retiring(why: LeaveReason) -> Rig {
    retire(Rig::idle(AgentPolicy::default()), why)
}

pub(crate) fn retire(mut rig: Rig, why: LeaveReason) -> Rig {
    match why {
        LeaveReason::Idle => {
            rig.pass(secs(596));
            rig.answer(Request::Probe, QUIET);
            rig.pass(secs(4));
            rig.answer(
                Request::GroupSize,
                Outcome::GroupSize(GroupSize { desired: 3, min: 0, floor: 0, members: 3, rank: 0 }),
            );
        }
        LeaveReason::ScaleIn => {
            rig.event(Event::TargetState(TargetState::Terminated));
            rig.answer(Request::ExtendHook, Outcome::Done);
        }
        LeaveReason::Operator => rig.event(Event::Order(Order::Drain)),
        LeaveReason::Full
        | LeaveReason::Limit
        | LeaveReason::Age
        | LeaveReason::RunnerExpired
        | LeaveReason::Rebalance
        | LeaveReason::Maintenance
        | LeaveReason::Spot
        | LeaveReason::Broken => unreachable!("no test asks for {why}"),
    }
    rig.answer(Request::Save(Saved::Leaving { why }), Outcome::Done);
    rig.answer(Request::Drain, EMPTY);
    rig.answer(Request::Probe, QUIET);
    rig.answer(Request::Deregister, Outcome::Done);
    assert_eq!((rig.phase(), rig.open()), (Phase::Retiring { why }, vec![Request::Describe]));
    rig
}

/// The same, some time after the agent's start: rights that are missing now will not come by themselves.
pub(crate) fn late(why: LeaveReason) -> Rig {
    let mut rig = Rig::idle(AgentPolicy::default());
    rig.pass(secs(301));
    retire(rig, why)
}

/// Whoever ends it: the group says so, by its description or because no hook waits for an answer.
#[test]
fn an_end_that_the_group_is_about_counts_as_agreed_on() {
    let mut rig = retiring(LeaveReason::ScaleIn);
    assert!(!rig.lifecycle.end_accepted());
    let mut waiting = rig.clone();
    rig.answer(Request::Describe, GOING);
    assert!(rig.lifecycle.end_accepted());
    waiting.answer(Request::Describe, WAITING);
    assert!(!waiting.lifecycle.end_accepted(), "it waits for this instance");
    waiting.answer(Request::CompleteHook, Outcome::NoHook);
    assert!(waiting.lifecycle.end_accepted(), "it waits for somebody else");
}

#[test]
fn what_was_agreed_on_of_one_way_is_not_of_the_next() {
    let mut rig = retiring(LeaveReason::Idle);
    let (gentle, next) = (Request::End(Rung::Decrement), Request::End(Rung::Replace));
    for _ in 0..1_000 {
        match rig.open().as_slice() {
            [Request::Describe] => rig.answer(Request::Describe, IN_SERVICE),
            [asked] if *asked == gentle => {
                rig.answer(gentle, Outcome::Done);
                assert!(rig.lifecycle.end_accepted());
            }
            [asked] if *asked == next => break,
            _ => rig.pass(secs(10)),
        }
    }
    assert_eq!((rig.open(), rig.lifecycle.end_accepted()), (vec![next], false));
}

#[test]
fn the_usual_way_is_to_shrink_and_to_answer_the_hook() {
    let mut rig = retiring(LeaveReason::Idle);
    rig.answer(Request::Describe, IN_SERVICE);
    rig.answer(Request::End(Rung::Decrement), Outcome::Done);
    rig.event(Event::TargetState(TargetState::Terminated));
    assert_eq!(rig.phase(), Phase::Retiring { why: LeaveReason::Idle }, "its own request is no other reason");
    rig.answer(Request::Describe, WAITING);
    rig.answer(Request::CompleteHook, Outcome::Done);
    rig.pass(secs(1));
    rig.answer(Request::Describe, GOING);
    rig.event(Event::Stop);
    assert_eq!(rig.phase(), Phase::Gone, "the machine goes down");
}

#[test]
fn chosen_by_the_group_it_only_answers_the_hook() {
    let mut rig = retiring(LeaveReason::ScaleIn);
    rig.answer(Request::Describe, WAITING);
    rig.answer(Request::CompleteHook, Outcome::NoHook);
    rig.pass(secs(2));
    rig.answer(Request::Describe, WAITING);
    rig.answer(Request::CompleteHook, Outcome::Done);
    assert!(!rig.open().iter().any(|request| matches!(request, Request::End(_))));
}

#[test]
fn at_the_floor_an_idle_one_comes_back_and_registers_anew() {
    let mut rig = retiring(LeaveReason::Idle);
    rig.answer(Request::Describe, IN_SERVICE);
    rig.answer(Request::End(Rung::Decrement), Outcome::AtFloor);
    rig.answer(Request::Save(Saved::Returning), Outcome::Done);
    rig.answer(Request::Describe, IN_SERVICE);
    rig.answer(Request::Register, Outcome::Registered);
    rig.event(Event::Activity(Activity::Quiet));
    assert!(matches!(rig.phase(), Phase::Idle { .. }));
}

#[test]
fn at_the_floor_any_other_one_is_replaced() {
    let mut rig = retiring(LeaveReason::Operator);
    rig.answer(Request::Describe, IN_SERVICE);
    rig.answer(Request::End(Rung::Decrement), Outcome::AtFloor);
    assert_eq!(rig.open(), [Request::End(Rung::Replace)]);
}

#[test]
fn a_group_larger_than_desired_is_not_shrunk_further() {
    let mut rig = Rig::idle(AgentPolicy::default());
    rig.pass(secs(596));
    rig.answer(Request::Probe, QUIET);
    rig.pass(secs(4));
    rig.answer(Request::GroupSize, Outcome::GroupSize(GroupSize { desired: 1, min: 1, floor: 0, members: 3, rank: 0 }));
    rig.answer(Request::Save(Saved::Leaving { why: LeaveReason::Idle }), Outcome::Done);
    rig.answer(Request::Drain, EMPTY);
    rig.answer(Request::Probe, QUIET);
    rig.answer(Request::Deregister, Outcome::Done);
    rig.answer(Request::Describe, IN_SERVICE);
    assert_eq!(rig.open(), [Request::End(Rung::Replace)]);
}

#[test]
fn outside_a_group_it_ends_itself() {
    let mut rig = retiring(LeaveReason::Operator);
    rig.answer(Request::Describe, Outcome::Member(Membership::Outside));
    assert_eq!(rig.open(), [Request::End(Rung::Terminate)]);
    let mut rig = retiring(LeaveReason::Operator);
    rig.answer(Request::Describe, IN_SERVICE);
    rig.answer(Request::End(Rung::Decrement), Outcome::NotInGroup);
    assert_eq!(rig.open(), [Request::End(Rung::Terminate)]);
}

#[test]
fn told_to_stop_it_exits_once_the_cloud_has_agreed_for_a_while() {
    let mut rig = Rig::idle(AgentPolicy::default());
    rig.event(Event::Stop);
    rig.answer(Request::Save(Saved::Leaving { why: LeaveReason::Operator }), Outcome::Done);
    rig.answer(Request::Drain, EMPTY);
    rig.answer(Request::Probe, QUIET);
    rig.answer(Request::Deregister, Outcome::Done);
    rig.answer(Request::Describe, IN_SERVICE);
    rig.answer(Request::End(Rung::Decrement), Outcome::Done);
    let agreed = rig.now;
    while rig.phase() != Phase::Gone {
        match rig.open().first() {
            Some(Request::Describe) => rig.answer(Request::Describe, GOING),
            _ => rig.pass(secs(1)),
        }
        assert!(rig.now.since(agreed) < secs(60));
    }
    assert!(rig.now.since(agreed) >= secs(30), "the group may still be about to wait at a hook");
}

#[test]
fn standby_does_not_count_so_it_does_not_shrink() {
    let mut rig = retiring(LeaveReason::Operator);
    rig.answer(Request::Describe, Outcome::Member(Membership::Standby));
    assert_eq!(rig.open(), [Request::End(Rung::Replace)]);
}

#[test]
fn a_registration_that_cannot_be_removed_does_not_keep_the_instance() {
    let mut rig = Rig::idle(AgentPolicy::default());
    rig.event(Event::Order(Order::Drain));
    rig.answer(Request::Save(Saved::Leaving { why: LeaveReason::Operator }), Outcome::Done);
    rig.answer(Request::Drain, EMPTY);
    rig.answer(Request::Probe, QUIET);
    let mut tries = 0;
    while rig.open() == [Request::Deregister] {
        rig.answer(Request::Deregister, Outcome::Failed("503".into()));
        tries += 1;
        rig.pass(secs(30));
    }
    assert_eq!((tries, rig.open()), (4, vec![Request::Describe]));
    assert!(rig.lifecycle.status().note.unwrap().contains("stays behind"));
}

#[test]
fn a_second_stop_exits_at_once_and_a_first_one_drains() {
    let mut rig = Rig::working(AgentPolicy::default());
    rig.event(Event::Stop);
    assert_eq!(rig.phase(), Phase::Draining { why: LeaveReason::Operator });
    rig.event(Event::Stop);
    assert_eq!(rig.phase(), Phase::Gone);
}

#[test]
fn whatever_is_answered_retiring_slows_down() {
    let why = || String::from("as it is");
    let places = [
        IN_SERVICE,
        WAITING,
        GOING,
        Outcome::Member(Membership::Warm),
        Outcome::Member(Membership::Pending { waiting: false }),
        Outcome::Member(Membership::Standby),
        Outcome::Member(Membership::Outside),
        Outcome::Failed(why()),
        Outcome::Rejected(why()),
        Outcome::Denied(why()),
    ];
    let ends = [
        Outcome::Done,
        Outcome::AtFloor,
        Outcome::NotInGroup,
        Outcome::InProgress,
        Outcome::Failed(why()),
        Outcome::Rejected(why()),
        Outcome::Denied(why()),
    ];
    let hooks =
        [Outcome::Done, Outcome::NoHook, Outcome::Failed(why()), Outcome::Rejected(why()), Outcome::Denied(why())];
    for place in &places {
        for (end, hook) in ends.iter().flat_map(|end| hooks.iter().map(move |hook| (end, hook))) {
            let mut rig = late(LeaveReason::Operator);
            let (start, mut calls) = (rig.now, 0);
            while rig.now.since(start) < secs(590) {
                let outcome = match rig.open().first() {
                    Some(Request::Describe) => place,
                    Some(Request::End(_)) => end,
                    Some(Request::CompleteHook) => hook,
                    _ => {
                        rig.pass(secs(1));
                        continue;
                    }
                };
                rig.answer(rig.open()[0], outcome.clone());
                calls += 1;
                if calls > 100 {
                    break;
                }
            }
            assert!(calls <= 100, "{calls} calls in ten minutes: {place:?} {end:?} {hook:?}");
        }
    }
}

#[test]
fn a_hook_of_somebody_else_is_waited_for() {
    let mut rig = retiring(LeaveReason::Operator);
    rig.answer(Request::Describe, IN_SERVICE);
    rig.answer(Request::End(Rung::Decrement), Outcome::Done);
    let start = rig.now;
    while rig.now.since(start) < secs(3600) {
        match rig.open().first() {
            Some(Request::Describe) => rig.answer(Request::Describe, WAITING),
            Some(Request::CompleteHook) => rig.answer(Request::CompleteHook, Outcome::NoHook),
            Some(other) => panic!("{other:?} cuts the other hook's time short"),
            None => rig.pass(secs(1)),
        }
    }
}

#[test]
fn told_to_stop_after_the_cloud_agreed_it_still_answers_its_hook() {
    let mut rig = retiring(LeaveReason::Idle);
    rig.answer(Request::Describe, IN_SERVICE);
    rig.answer(Request::End(Rung::Decrement), Outcome::Done);
    rig.event(Event::Stop);
    assert_eq!(rig.phase(), Phase::Retiring { why: LeaveReason::Operator }, "nobody else would answer the hook");
    rig.answer(Request::Describe, WAITING);
    rig.answer(Request::CompleteHook, Outcome::Done);
    assert_eq!(rig.phase(), Phase::Gone);
}

#[test]
fn told_to_stop_where_no_hook_is_it_exits_once_the_cloud_agreed() {
    let mut rig = Rig::idle(AgentPolicy::default());
    rig.answer(Request::FindHook, Outcome::NoHook);
    let mut rig = retire(rig, LeaveReason::Idle);
    rig.answer(Request::Describe, IN_SERVICE);
    rig.answer(Request::End(Rung::Decrement), Outcome::Done);
    rig.event(Event::Stop);
    assert_eq!(rig.phase(), Phase::Gone);
}

#[test]
fn in_a_warm_pool_it_never_lowers_the_capacity() {
    let mut rig = retiring(LeaveReason::Operator);
    rig.answer(Request::Describe, Outcome::Member(Membership::Warm));
    assert_eq!(rig.open(), [Request::End(Rung::Terminate)]);
}

#[test]
fn a_deregistration_that_failed_is_not_hurried_by_the_groups_choice() {
    let mut rig = Rig::idle(AgentPolicy::default());
    rig.event(Event::Order(Order::Drain));
    rig.answer(Request::Save(Saved::Leaving { why: LeaveReason::Operator }), Outcome::Done);
    rig.answer(Request::Drain, EMPTY);
    rig.answer(Request::Probe, QUIET);
    rig.answer(Request::Deregister, Outcome::Failed("502".into()));
    rig.event(Event::TargetState(TargetState::Terminated));
    assert_eq!(rig.open(), []);
    rig.pass(secs(1));
    assert_eq!(rig.open(), [Request::Deregister]);
}

/// Whoever was in service has answered its launch hook, and in a warm pool another one waits for the next launch.
#[test]
fn who_was_in_service_fails_no_launch() {
    let mut rig = Rig::idle(AgentPolicy { launch_hook: true, ..AgentPolicy::default() });
    rig.event(Event::Activity(Activity::Unknown("the engine is down".into())));
    rig.pass(secs(900));
    let why = LeaveReason::Broken;
    rig.answer(Request::Save(Saved::Leaving { why }), Outcome::Done);
    rig.answer(Request::Drain, EMPTY);
    rig.answer(Request::Probe, QUIET);
    rig.answer(Request::Deregister, Outcome::Done);
    rig.answer(Request::Describe, Outcome::Member(Membership::Warming { waiting: true }));
    assert_eq!(rig.open(), [Request::End(Rung::Terminate)]);
}

#[test]
fn taken_out_of_the_group_after_it_agreed_it_ends_itself() {
    let mut rig = retiring(LeaveReason::Operator);
    rig.answer(Request::Describe, IN_SERVICE);
    rig.answer(Request::End(Rung::Decrement), Outcome::Done);
    rig.pass(secs(30));
    rig.answer(Request::Describe, Outcome::Member(Membership::Outside));
    assert_eq!(rig.open(), [Request::End(Rung::Terminate)]);
}

#[test]
fn at_the_floor_it_does_not_come_back_after_it_was_agreed_that_it_ends() {
    let mut rig = retiring(LeaveReason::Idle);
    rig.answer(Request::Describe, IN_SERVICE);
    rig.answer(Request::End(Rung::Decrement), Outcome::Done);
    while !rig.open().contains(&Request::End(Rung::Replace)) {
        if rig.open() == [Request::Describe] {
            rig.answer(Request::Describe, GOING);
        }
        rig.pass(secs(1));
    }
    rig.answer(Request::End(Rung::Replace), Outcome::AtFloor);
    assert_eq!(rig.phase(), Phase::Retiring { why: LeaveReason::Idle });
    assert!(!rig.open().contains(&Request::Save(Saved::Returning)), "{:?}", rig.open());
}

#[test]
fn where_every_leave_lowers_the_capacity_there_is_no_way_beside_it() {
    let mut rig = retire(Rig::idle_on(BARE_CLOUD, AgentPolicy::default()), LeaveReason::Operator);
    rig.answer(Request::Describe, Outcome::Member(Membership::Standby));
    assert_eq!(rig.open(), [Request::End(Rung::Decrement)]);
}

#[test]
fn why_it_ends_is_written_on_the_instance_once() {
    let written = |rig: &Rig| rig.all_open().filter(|request| matches!(request, Request::RecordReason(_))).count();
    let serving = Rig::idle(AgentPolicy::default());
    assert_eq!(written(&serving), 0);
    let mut rig = retire(serving, LeaveReason::Operator);
    assert_eq!(written(&rig), 1);
    rig.answer(Request::RecordReason(LeaveReason::Operator), Outcome::Failed("too many calls".into()));
    rig.answer(Request::Describe, IN_SERVICE);
    rig.answer(Request::End(Rung::Decrement), Outcome::Done);
    rig.pass(secs(60));
    assert_eq!(written(&rig), 0, "nothing waits for it");
}
