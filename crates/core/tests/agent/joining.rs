//! From the boot to the first look at an idle runner.

use lightsout_core::{
    activity::Activity,
    agent::{
        action::{Request, Rung},
        event::{Event, Order, Outcome},
        phase::{LeaveReason, Phase, Saved},
        policy::{AgentPolicy, Protection},
    },
    cloud::{Membership, TargetState},
};

use crate::rig::{BARE_CLOUD, EMPTY, HELD_CLOUD, IN_SERVICE, QUIET, Rig, busy, secs};

#[test]
fn the_runner_is_registered_only_in_service() {
    let mut rig = Rig::new(AgentPolicy::default());
    rig.answer(Request::Describe, Outcome::Member(Membership::Pending { waiting: false }));
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
    rig.answer(Request::Describe, Outcome::Member(Membership::Pending { waiting: false }));
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

/// A job that slips in between the group's choice and its own protection would be cut.
#[test]
fn protection_is_never_given_up_where_no_ending_can_be_held_off_for_as_long_as_a_job_takes() {
    for cloud in [HELD_CLOUD, BARE_CLOUD] {
        let policy = AgentPolicy { protection: Protection::WhileBusy, ..AgentPolicy::default() };
        let mut rig = Rig::on(cloud, policy);
        rig.answer(Request::Describe, Outcome::Member(Membership::InService { protected: false }));
        assert_eq!((rig.phase(), rig.open()), (Phase::Booting, vec![Request::Protect(true)]));
        rig.answer(Request::Protect(true), Outcome::Done);
        rig.pass(secs(5));
        rig.answer(Request::Describe, IN_SERVICE);
        rig.answer(Request::Register, Outcome::Registered);
        rig.event(Event::Activity(Activity::Quiet));
        rig.pass(secs(5));
        assert!(!rig.all_open().any(|request| matches!(request, Request::Protect(_))), "idle, and protected still");
    }
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

const HELD: Outcome = Outcome::Member(Membership::Pending { waiting: true });
const LET_IN: Outcome = Outcome::Member(Membership::Pending { waiting: false });
const POOL: Outcome = Outcome::Member(Membership::Warm);

fn hooked() -> AgentPolicy {
    AgentPolicy { launch_hook: true, ..AgentPolicy::default() }
}

#[test]
fn a_launch_hook_is_let_go_when_all_is_ready_and_the_runner_starts_in_service() {
    let mut rig = Rig::new(hooked());
    rig.answer(Request::Describe, LET_IN);
    rig.pass(secs(1));
    rig.answer(Request::Describe, HELD);
    rig.answer(Request::GetReady, Outcome::Failed("the platform does not answer".into()));
    assert_eq!(rig.open(), [], "not let in, and not given up");
    rig.pass(secs(1));
    rig.answer(Request::Describe, HELD);
    rig.answer(Request::GetReady, Outcome::Done);
    rig.answer(Request::CompleteLaunchHook, Outcome::Failed("no answer".into()));
    rig.pass(secs(2));
    // The answer was lost, and so was the request.
    rig.answer(Request::Describe, HELD);
    rig.answer(Request::GetReady, Outcome::Done);
    rig.answer(Request::CompleteLaunchHook, Outcome::Done);
    // A description that is stale, or another hook that waits on.
    rig.answer(Request::Describe, HELD);
    rig.pass(secs(1));
    rig.answer(Request::Describe, LET_IN);
    assert_eq!((rig.phase(), rig.open()), (Phase::Booting, vec![]));
    rig.pass(secs(5));
    rig.answer(Request::Describe, IN_SERVICE);
    assert_eq!((rig.phase(), rig.open()), (Phase::Registering, vec![Request::Register]));
}

#[test]
fn a_launch_hook_is_nobodys_business_unless_the_settings_name_it() {
    let mut rig = Rig::new(AgentPolicy::default());
    rig.answer(Request::Describe, HELD);
    rig.pass(secs(5));
    assert_eq!(rig.open(), [Request::Describe]);
}

#[test]
fn a_launch_hook_is_extended_well_within_its_time_out_while_the_boot_takes_long() {
    let policy = AgentPolicy { before_register: Some(secs(300)), ..hooked() };
    let mut rig = Rig::new(policy);
    let mut beats = vec![rig.now];
    let found = Outcome::HookFound { heartbeat: secs(20) };
    let begun = rig.now;
    while rig.now.since(begun) < secs(290) {
        rig.pass(secs(1));
        if rig.open().contains(&Request::ExtendLaunchHook) {
            beats.push(rig.now);
            // It does not hold the instance yet, and one answer is lost.
            let answer = match beats.len() {
                2 => Outcome::NoHook,
                5 => Outcome::Failed("no answer".into()),
                _ => found.clone(),
            };
            rig.answer(Request::ExtendLaunchHook, answer);
        }
    }
    let gaps: Vec<_> = beats.windows(2).map(|pair| pair[1].since(pair[0])).collect();
    assert!(gaps.len() > 12 && gaps.iter().all(|gap| *gap <= secs(20)), "{gaps:?}");
    rig.answer(Request::Prepare { within: secs(300) }, Outcome::Done);
    rig.answer(Request::Describe, IN_SERVICE);
    rig.pass(secs(60));
    assert_eq!(rig.open(), [Request::Register], "in service nothing is extended");
}

#[test]
fn a_boot_that_fails_gives_the_launch_up() {
    for (answer, then) in [
        (Outcome::Done, Request::Describe),
        // It ran out, or what holds the instance is somebody else's.
        (Outcome::NoHook, Request::End(Rung::Decrement)),
    ] {
        let mut rig = Rig::new(AgentPolicy { before_register: Some(secs(300)), ..hooked() });
        rig.answer(Request::Prepare { within: secs(300) }, Outcome::Denied("exit status 7".into()));
        leave(&mut rig);
        // It failed before the hook began to hold it.
        rig.answer(Request::Describe, LET_IN);
        rig.pass(secs(1));
        rig.answer(Request::Describe, HELD);
        rig.answer(Request::End(Rung::Abandon), answer);
        rig.pass(secs(1));
        assert_eq!(rig.open(), [then]);
    }
}

#[test]
fn a_launch_is_given_up_by_an_agent_that_was_restarted_meanwhile() {
    let mut rig = Rig::resumed(hooked(), Saved::Leaving { why: LeaveReason::Broken }, false);
    rig.answer(Request::Drain, EMPTY);
    rig.answer(Request::Probe, QUIET);
    rig.answer(Request::Deregister, Outcome::Done);
    // It may have been asked for.
    rig.answer(Request::Describe, HELD);
    rig.pass(secs(31));
    rig.answer(Request::Describe, HELD);
    assert_eq!(rig.open(), [Request::End(Rung::Abandon)]);
}

#[test]
fn a_launch_hook_is_answered_as_the_settings_named_it_when_the_agent_began() {
    let mut rig = Rig::new(hooked());
    rig.event(Event::Policy(AgentPolicy::default()));
    rig.answer(Request::Describe, HELD);
    rig.answer(Request::GetReady, Outcome::Done);
    assert_eq!(rig.open(), [Request::CompleteLaunchHook]);
}

#[test]
fn an_operators_order_shrinks_the_group_and_gives_no_launch_up() {
    let mut rig = Rig::new(hooked());
    rig.answer(Request::Describe, HELD);
    rig.answer(Request::GetReady, Outcome::Failed("the platform does not answer".into()));
    rig.event(Event::Order(Order::Drain));
    leave(&mut rig);
    rig.answer(Request::Describe, HELD);
    assert_eq!(rig.open(), [Request::End(Rung::Decrement)]);
}

#[test]
fn on_the_way_through_a_warm_pool_the_launch_hook_is_answered_twice_and_nothing_is_asked_between() {
    let mut rig = Rig::new(hooked());
    rig.event(Event::TargetState(TargetState::Warmed));
    rig.answer(Request::Describe, Outcome::Member(Membership::Warming { waiting: true }));
    rig.answer(Request::GetReady, Outcome::Done);
    rig.answer(Request::CompleteLaunchHook, Outcome::Done);
    rig.answer(Request::Describe, POOL);
    rig.pass(secs(86_400));
    assert_eq!((rig.phase(), rig.open()), (Phase::Booting, vec![]));
    rig.event(Event::TargetState(TargetState::InService));
    rig.answer(Request::Describe, HELD);
    rig.answer(Request::GetReady, Outcome::Done);
    rig.answer(Request::CompleteLaunchHook, Outcome::Done);
    rig.answer(Request::Describe, IN_SERVICE);
    assert_eq!(rig.open(), [Request::Register]);
}

/// The hook begins to wait a moment after the machine has begun to boot; what the metadata announce meanwhile is the place in the pool.
#[test]
fn a_launch_hook_that_does_not_wait_yet_on_the_way_into_a_warm_pool_is_looked_for_again() {
    let mut rig = Rig::new(hooked());
    rig.answer(Request::Describe, Outcome::Member(Membership::Warming { waiting: false }));
    rig.event(Event::TargetState(TargetState::Warmed));
    assert_eq!(rig.lifecycle.status().note.unwrap(), "on its way into the warm pool");
    rig.pass(secs(5));
    rig.answer(Request::Describe, Outcome::Member(Membership::Warming { waiting: true }));
    rig.answer(Request::GetReady, Outcome::Done);
    rig.answer(Request::CompleteLaunchHook, Outcome::Done);
    rig.answer(Request::Describe, POOL);
    assert_eq!(rig.lifecycle.status().note.unwrap(), "waiting in the warm pool");
}

#[test]
fn one_that_does_not_get_ready_on_its_way_into_a_warm_pool_is_given_up_in_time() {
    let mut rig = Rig::new(hooked());
    rig.event(Event::TargetState(TargetState::Warmed));
    while rig.phase() == Phase::Booting {
        for request in rig.open() {
            let answer = if request == Request::Describe {
                Outcome::Member(Membership::Warming { waiting: true })
            } else if request == Request::ExtendLaunchHook {
                Outcome::HookFound { heartbeat: secs(20) }
            } else {
                Outcome::Denied("401".into())
            };
            rig.answer(request, answer);
        }
        rig.pass(secs(5));
    }
    assert!(rig.lifecycle.status().note.unwrap().contains("401"));
    leave(&mut rig);
    rig.answer(Request::Describe, Outcome::Member(Membership::Warming { waiting: true }));
    assert_eq!(rig.open(), [Request::End(Rung::Abandon)]);
}

/// From the reason to leave to the first look at the group.
fn leave(rig: &mut Rig) {
    let why = rig.phase().why().unwrap();
    rig.answer(Request::Save(Saved::Leaving { why }), Outcome::Done);
    rig.answer(Request::Drain, EMPTY);
    rig.answer(Request::Probe, QUIET);
    rig.answer(Request::Deregister, Outcome::Done);
}

#[test]
fn a_launch_hook_that_the_group_has_not_keeps_nobody_from_leaving() {
    let mut rig = Rig::new(AgentPolicy { boot_deadline: secs(60), ..hooked() });
    while rig.phase() == Phase::Booting {
        for request in rig.open() {
            let answer = if request == Request::ExtendLaunchHook { Outcome::NoHook } else { LET_IN };
            rig.answer(request, answer);
        }
        rig.pass(secs(5));
    }
    leave(&mut rig);
    rig.answer(Request::Describe, HELD);
    assert_eq!(rig.open(), [Request::End(Rung::Abandon)]);
    rig.answer(Request::End(Rung::Abandon), Outcome::NoHook);
    for _ in 0..20 {
        if rig.open() == [Request::Describe] {
            rig.answer(Request::Describe, IN_SERVICE);
        }
        rig.pass(secs(1));
    }
    assert_eq!(rig.open(), [Request::End(Rung::Decrement)]);
}

/// What an operator reads while an instance does not come into service, or does not leave.
#[test]
fn what_the_group_says_is_told_in_words() {
    let places = [
        Membership::Pending { waiting: true },
        Membership::Pending { waiting: false },
        Membership::Standby,
        Membership::Terminating { waiting: true },
        Membership::Terminating { waiting: false },
    ];
    let answers = places.map(Outcome::Member).into_iter();
    for answer in answers.chain([Outcome::NotInGroup, Outcome::InProgress, Outcome::AtFloor]) {
        let mut rig = Rig::new(AgentPolicy::default());
        rig.answer(Request::Describe, answer.clone());
        let note = rig.lifecycle.status().note.unwrap_or_else(|| panic!("nothing is said of {answer:?}"));
        assert!(!note.contains([':', '{', '(']) && !note.contains("unexpected"), "{note}");
    }
}

#[test]
fn a_group_that_puts_it_in_service_is_asked_at_once() {
    let mut rig = Rig::new(AgentPolicy::default());
    rig.answer(Request::Describe, Outcome::Member(Membership::Pending { waiting: false }));
    assert_eq!(rig.open(), []);
    rig.event(Event::TargetState(TargetState::InService));
    assert_eq!(rig.open(), [Request::Describe]);
}

#[test]
fn a_group_that_ends_it_already_is_followed() {
    let mut rig = Rig::new(AgentPolicy::default());
    rig.answer(Request::Describe, Outcome::Member(Membership::Terminating { waiting: true }));
    assert_eq!(rig.phase(), Phase::Draining { why: LeaveReason::ScaleIn });
}

#[test]
fn the_wait_for_the_group_counts_to_the_boot() {
    let mut rig = Rig::new(AgentPolicy::default());
    rig.pass(secs(500));
    rig.answer(Request::Describe, IN_SERVICE);
    rig.answer(Request::Register, Outcome::Failed("502".into()));
    rig.pass(secs(99));
    assert_eq!(rig.phase(), Phase::Registering);
    rig.pass(secs(1));
    assert_eq!(rig.phase(), Phase::Draining { why: LeaveReason::Broken });
}

/// A runner that an agent before it started.
#[test]
fn who_boots_beside_a_runner_drains_when_told_to_stop() {
    let mut rig = Rig::new(AgentPolicy::default());
    let mut alone = rig.clone();
    alone.event(Event::Stop);
    assert_eq!(alone.phase(), Phase::Gone, "nothing runs and nothing can come");
    rig.lifecycle.runner_looked_for(true);
    rig.event(Event::Stop);
    assert_eq!(rig.phase(), Phase::Draining { why: LeaveReason::Operator });
}
