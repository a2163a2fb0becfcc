//! Serving: idle and busy, protection, the floor, and orders.

mod runner;

use lightsout_core::{
    activity::Activity,
    agent::{
        action::Request,
        event::{Event, Order, Outcome},
        phase::{LeaveReason, Phase, Saved},
        policy::{AgentPolicy, Protection},
    },
    cloud::{Capabilities, GroupSize, Membership, ProtectionSupport, TargetState},
};

use crate::rig::{BARE_CLOUD, HELD_CLOUD, IN_SERVICE, QUIET, Rig, busy, roomy, secs};

/// How often it was asked, and not answered, to write that it is ready.
fn signs(rig: &Rig) -> usize {
    rig.all_open().filter(|request| *request == Request::RecordReady).count()
}

#[test]
fn that_it_is_ready_is_written_once_it_serves_and_no_more() {
    let mut rig = Rig::new(AgentPolicy { idle_timeout: None, ..AgentPolicy::default() });
    rig.answer(Request::Describe, IN_SERVICE);
    assert_eq!(signs(&rig), 0, "not before its runner runs");
    rig.answer(Request::Register, Outcome::Registered);
    assert_eq!(signs(&rig), 1);
    rig.answer(Request::RecordReady, Outcome::Done);
    rig.pass(secs(86_400));
    rig.event(Event::Activity(busy("job-1")));
    assert_eq!(signs(&rig), 0);
}

#[test]
fn what_could_not_be_written_of_that_is_tried_again_ever_more_rarely() {
    let mut rig = Rig::idle(AgentPolicy { idle_timeout: None, ..AgentPolicy::default() });
    for (after, tries) in [(60, 1), (120, 1), (240, 1), (86_400 - 420, 1)] {
        rig.answer(Request::RecordReady, Outcome::Failed("no way to EC2".into()));
        rig.pass(secs(after));
        assert_eq!(signs(&rig), tries, "after {after} s");
    }
    rig.answer(Request::RecordReady, Outcome::Denied("its role may not".into()));
    rig.pass(secs(86_400));
    assert_eq!(signs(&rig), 0, "nobody grants it by waiting");
    // In its first minutes its rights may still be on their way.
    let mut rig = Rig::idle(AgentPolicy { idle_timeout: None, ..AgentPolicy::default() });
    rig.answer(Request::RecordReady, Outcome::Denied("its role may not".into()));
    rig.pass(secs(60));
    rig.answer(Request::RecordReady, Outcome::Done);
    // Who leaves is not ready.
    let mut rig = Rig::idle(AgentPolicy::default());
    rig.answer(Request::RecordReady, Outcome::Failed("no way to EC2".into()));
    rig.event(Event::Order(Order::Drain));
    rig.pass(secs(3600));
    assert_eq!(signs(&rig), 0);
}

#[test]
fn unknown_is_busy() {
    let mut rig = Rig::idle(AgentPolicy::default());
    rig.event(Event::Activity(Activity::Unknown("docker is gone".into())));
    assert_eq!(rig.phase(), Phase::Busy);
    rig.pass(secs(899));
    assert_eq!(rig.phase(), Phase::Busy, "and stays so");
    rig.event(Event::Activity(busy("job")));
    rig.event(Event::Activity(Activity::Unknown("docker is gone".into())));
    rig.pass(secs(899));
    assert_eq!(rig.phase(), Phase::Busy, "a job that is seen starts it anew");
    rig.pass(secs(1));
    assert_eq!(
        rig.phase(),
        Phase::Draining { why: LeaveReason::Broken },
        "in the end it drains, and waits for the proof"
    );
    assert!(rig.lifecycle.status().note.unwrap().contains("docker is gone"));
}

#[test]
fn a_drain_that_was_being_taken_back_is_taken_back_after_a_restart() {
    let rig = Rig::resumed(AgentPolicy::default(), Saved::Returning, true);
    assert_eq!((rig.phase(), rig.open()), (Phase::Busy, vec![Request::Undrain]));
    let rig = Rig::resumed(AgentPolicy::default(), Saved::Returning, false);
    assert_eq!((rig.phase(), rig.open()), (Phase::Booting, vec![Request::Describe]));
}

#[test]
fn a_drain_that_cannot_be_taken_back_is_broken_in_the_end() {
    let mut rig = Rig::working(AgentPolicy::default());
    rig.event(Event::Order(Order::Drain));
    rig.event(Event::Order(Order::Undrain));
    rig.answer(Request::Save(Saved::Returning), Outcome::Done);
    while rig.phase() == Phase::Busy {
        rig.answer(Request::Undrain, Outcome::Failed("401".into()));
        rig.pass(secs(30));
    }
    assert_eq!(rig.phase(), Phase::Draining { why: LeaveReason::Broken });
}

#[test]
fn outside_a_group_no_floor_holds_an_idle_instance() {
    let mut rig = Rig::idle(AgentPolicy::default());
    rig.pass(secs(596));
    rig.answer(Request::Probe, QUIET);
    rig.pass(secs(4));
    rig.answer(Request::GroupSize, Outcome::NotInGroup);
    assert_eq!(rig.phase(), Phase::Draining { why: LeaveReason::Idle });
}

#[test]
fn a_restarted_agent_never_assumes_idle() {
    let mut rig = Rig::resumed(AgentPolicy::default(), Saved::Serving, true);
    assert_eq!(rig.phase(), Phase::Busy);
    assert_eq!(rig.open(), [Request::Undrain], "a drain may have begun of which the journal does not know");
    rig.answer(Request::Undrain, Outcome::Done);
    assert_eq!(rig.phase(), Phase::Busy);
    rig.event(Event::Activity(Activity::Quiet));
    assert!(matches!(rig.phase(), Phase::Idle { since } if since == rig.now), "the idle clock starts anew");
}

#[test]
fn a_restarted_agent_resumes_its_drain() {
    let rig = Rig::resumed(AgentPolicy::default(), Saved::Leaving { why: LeaveReason::ScaleIn }, false);
    assert_eq!(rig.phase(), Phase::Draining { why: LeaveReason::ScaleIn });
    assert_eq!(rig.open(), [Request::Drain], "and never registers again");
}

#[test]
fn every_busy_moment_restarts_the_idle_clock() {
    let mut rig = Rig::idle(AgentPolicy::default());
    rig.pass(secs(594));
    rig.event(Event::Activity(busy("late")));
    rig.pass(secs(1));
    rig.event(Event::Activity(Activity::Quiet));
    rig.pass(secs(590));
    assert_eq!(rig.open(), []);
    rig.pass(secs(6));
    assert_eq!(rig.open(), [Request::Probe], "a fresh look opens the confirmation window");
    rig.answer(Request::Probe, QUIET);
    assert_eq!(rig.open(), []);
    rig.pass(secs(4));
    assert_eq!(rig.open(), [Request::GroupSize]);
}

#[test]
fn a_job_seen_in_the_confirmation_window_keeps_it() {
    let mut rig = Rig::idle(AgentPolicy::default());
    rig.pass(secs(596));
    rig.answer(Request::Probe, Outcome::Snapshot(busy("sneaky")));
    rig.pass(secs(60));
    assert_eq!((rig.phase(), rig.open()), (Phase::Busy, vec![]));
}

#[test]
fn at_the_floor_it_stays_and_asks_again_later() {
    for size in [
        GroupSize { desired: 1, min: 1, floor: 0, members: 1, rank: 0 },
        GroupSize { desired: 2, min: 0, floor: 2, members: 2, rank: 0 },
        GroupSize { desired: 1, min: 0, floor: 5, members: 1, rank: 0 },
    ] {
        let mut rig = Rig::idle(AgentPolicy::default());
        rig.pass(secs(596));
        rig.answer(Request::Probe, QUIET);
        rig.pass(secs(4));
        rig.answer(Request::GroupSize, Outcome::GroupSize(size));
        assert!(matches!(rig.phase(), Phase::Idle { .. }));
        rig.pass(secs(59));
        assert_eq!(rig.open(), [], "nothing was asked of the platform");
        rig.pass(secs(1));
        assert_eq!(rig.open(), [Request::GroupSize]);
    }
}

#[test]
fn where_leaving_lowers_the_capacity_members_that_still_end_make_no_room() {
    let idle = || {
        let mut rig = Rig::on(HELD_CLOUD, AgentPolicy::default());
        rig.answer(Request::Describe, IN_SERVICE);
        rig.answer(Request::Register, Outcome::Registered);
        rig.event(Event::Activity(Activity::Quiet));
        rig.pass(secs(596));
        rig.answer(Request::Probe, QUIET);
        rig.pass(secs(4));
        rig
    };
    let size = |desired, rank| Outcome::GroupSize(GroupSize { desired, min: 0, floor: 3, members: 10, rank });
    // One is launched still, and no member yet.
    let mut rig = idle();
    rig.answer(Request::GroupSize, Outcome::GroupSize(GroupSize { desired: 4, min: 0, floor: 3, members: 3, rank: 0 }));
    assert!(matches!(rig.phase(), Phase::Idle { .. }), "{:?}", rig.phase());
    // Seven of ten have left; their names are still listed.
    for rank in [0, 9] {
        let mut rig = idle();
        rig.answer(Request::GroupSize, size(3, rank));
        assert!(matches!(rig.phase(), Phase::Idle { .. }), "rank {rank}: {:?}", rig.phase());
        assert_eq!(rig.open(), [], "nothing was asked of the platform");
    }
    let mut rig = idle();
    rig.answer(Request::GroupSize, size(4, 0));
    assert_eq!(rig.phase(), Phase::Draining { why: LeaveReason::Idle }, "above the floor it leaves");
}

#[test]
fn a_job_that_comes_while_the_group_is_asked_wins() {
    let mut rig = Rig::idle(AgentPolicy::default());
    rig.pass(secs(596));
    rig.answer(Request::Probe, QUIET);
    rig.pass(secs(4));
    let late = rig.take(Request::GroupSize);
    rig.event(Event::Activity(busy("job")));
    rig.complete(late, roomy());
    assert_eq!((rig.phase(), rig.open()), (Phase::Busy, vec![]), "the late answer is dropped");
}

#[test]
fn never_idle_out_when_the_policy_says_never() {
    let mut rig = Rig::idle(AgentPolicy { idle_timeout: None, ..AgentPolicy::default() });
    rig.pass(secs(10 * 86_400));
    assert_eq!(rig.open(), []);
}

#[test]
fn a_hold_keeps_an_idle_instance() {
    let mut rig = Rig::idle(AgentPolicy::default());
    rig.event(Event::Order(Order::Hold { until: rig.now + secs(7200) }));
    rig.pass(secs(7000));
    assert_eq!(rig.open(), []);
    rig.pass(secs(300));
    rig.answer(Request::Probe, QUIET);
    assert_eq!(rig.open(), [Request::GroupSize]);
}

#[test]
fn it_does_not_leave_for_idleness_before_the_fresh_look_has_come_back() {
    let mut rig = Rig::idle(AgentPolicy::default());
    rig.pass(secs(596));
    let look = rig.take(Request::Probe);
    rig.pass(secs(600));
    rig.event(Event::Activity(Activity::Quiet));
    assert_eq!(rig.open(), [], "neither a look that hangs nor an older one is the fresh one");
    let mut busy_after_all = rig.clone();
    busy_after_all.complete(look, Outcome::Snapshot(busy("unseen")));
    assert_eq!((busy_after_all.phase(), busy_after_all.open()), (Phase::Busy, vec![]));
    rig.complete(look, QUIET);
    assert_eq!(rig.open(), [Request::GroupSize]);
}

#[test]
fn unprotected_at_birth_is_mended() {
    let mut rig = Rig::new(AgentPolicy::default());
    rig.answer(Request::Describe, Outcome::Member(Membership::InService { protected: false }));
    rig.answer(Request::Register, Outcome::Registered);
    assert_eq!(rig.open(), [Request::Protect(true)]);
    rig.answer(Request::Protect(true), Outcome::Failed("timeout".into()));
    rig.pass(secs(5));
    rig.answer(Request::Protect(true), Outcome::Done);
    rig.pass(secs(500));
    assert_eq!(rig.open(), []);
}

#[test]
fn while_busy_protection_follows_the_jobs() {
    let mut rig = Rig::idle(AgentPolicy { protection: Protection::WhileBusy, ..AgentPolicy::default() });
    rig.answer(Request::Protect(false), Outcome::Done);
    rig.event(Event::Activity(busy("a")));
    rig.answer(Request::Protect(true), Outcome::Done);
    rig.event(Event::Activity(Activity::Quiet));
    rig.answer(Request::Protect(false), Outcome::Done);
    assert_eq!(rig.open(), []);
}

#[test]
fn once_the_group_has_chosen_it_protection_is_left_alone() {
    for protection in [Protection::Always, Protection::WhileBusy] {
        let mut rig = Rig::new(AgentPolicy { protection, ..AgentPolicy::default() });
        rig.answer(Request::Describe, Outcome::Member(Membership::InService { protected: false }));
        rig.answer(Request::Register, Outcome::Registered);
        rig.event(Event::Activity(busy("job")));
        rig.answer(Request::Protect(true), Outcome::Failed("the group is choosing".into()));
        rig.event(Event::TargetState(TargetState::Terminated));
        assert_eq!(rig.phase(), Phase::Draining { why: LeaveReason::ScaleIn });
        rig.pass(secs(60));
        let asked = rig.open().into_iter().find(|request| matches!(request, Request::Protect(_)));
        assert_eq!(asked, None, "{protection:?}");
    }
}

#[test]
fn an_operator_may_change_their_mind() {
    let mut rig = Rig::working(AgentPolicy::default());
    rig.event(Event::Order(Order::Drain));
    rig.answer(Request::Save(Saved::Leaving { why: LeaveReason::Operator }), Outcome::Done);
    rig.answer(Request::Drain, Outcome::Signalled);
    assert!(rig.lifecycle.can_undrain());
    rig.event(Event::Order(Order::Undrain));
    rig.answer(Request::Save(Saved::Returning), Outcome::Done);
    rig.answer(Request::Undrain, Outcome::Relaunch);
    assert_eq!((rig.phase(), rig.open()), (Phase::Busy, vec![]), "the old runner finishes its job first");
    rig.event(Event::RunnerExited);
    rig.answer(Request::Describe, IN_SERVICE);
    rig.answer(Request::Register, Outcome::Registered);
    rig.event(Event::Activity(Activity::Quiet));
    assert!(matches!(rig.phase(), Phase::Idle { .. }));
}

#[test]
fn a_drain_before_it_was_in_service_is_taken_back_to_where_it_was() {
    for answer in [Outcome::Done, Outcome::Relaunch] {
        let mut rig = Rig::new(AgentPolicy::default());
        rig.event(Event::Order(Order::Drain));
        rig.event(Event::Order(Order::Undrain));
        rig.answer(Request::Save(Saved::Returning), Outcome::Done);
        rig.answer(Request::Undrain, answer);
        assert_eq!(rig.phase(), Phase::Booting, "no runner starts before the group says so");
    }
}

#[test]
fn a_drain_that_was_never_told_is_taken_back_at_once() {
    let mut rig = Rig::working(AgentPolicy::default());
    rig.event(Event::Order(Order::Drain));
    rig.event(Event::Order(Order::Undrain));
    rig.answer(Request::Save(Saved::Returning), Outcome::Done);
    rig.answer(Request::Undrain, Outcome::Done);
    assert_eq!(rig.phase(), Phase::Busy);
}

#[test]
fn what_a_cloud_does_not_know_is_not_asked_of_it() {
    let never = Capabilities { protection: ProtectionSupport::Never, ..BARE_CLOUD };
    let mut rig = Rig::on(never, AgentPolicy::default());
    rig.answer(Request::Describe, Outcome::Member(Membership::InService { protected: false }));
    rig.answer(Request::Register, Outcome::Registered);
    rig.event(Event::Activity(busy("job")));
    rig.event(Event::TargetState(TargetState::Terminated));
    rig.pass(secs(60));
    let asked: Vec<Request> = rig.all_open().collect();
    let asks = |kind: fn(&Request) -> bool| asked.iter().any(kind);
    assert!(!asks(|request| matches!(request, Request::Protect(_))), "{asked:?}");
    assert!(!asks(|request| matches!(request, Request::FindHook | Request::ExtendHook)), "{asked:?}");
}

/// The sizes that it is told, one after another, and what it does about each: leaves, or asks again after so many seconds.
#[test]
fn who_lets_others_go_first_asks_again_in_turn() {
    let size = |desired, members, rank| GroupSize { desired, min: 2, floor: 0, members, rank };
    for (sizes, wanted) in [
        (&[size(3, 3, 1), size(3, 3, 1)][..], &[Some(3), None][..]),
        (&[size(3, 3, 2)], &[Some(6)]),
        (&[size(3, 200, 198), size(3, 3, 2)], &[Some(3), None]),
        (&[size(3, 3, 100)], &[Some(60)]),
        // At the floor meanwhile: it has to let others go first anew.
        (&[size(3, 3, 1), size(2, 2, 1), size(3, 3, 1)], &[Some(3), Some(60), Some(3)]),
    ] {
        let mut rig = Rig::idle(AgentPolicy::default());
        rig.pass(secs(596));
        rig.answer(Request::Probe, QUIET);
        rig.pass(secs(4));
        for (size, again) in sizes.iter().zip(wanted) {
            rig.answer(Request::GroupSize, Outcome::GroupSize(*size));
            let Some(again) = again else {
                assert_eq!(rig.phase(), Phase::Draining { why: LeaveReason::Idle }, "{sizes:?}");
                break;
            };
            rig.pass(secs(again - 1));
            assert_eq!(rig.open(), [], "{sizes:?}: {again} s");
            rig.pass(secs(1));
            assert_eq!(rig.open(), [Request::GroupSize], "{sizes:?}: {again} s");
        }
    }
}

#[test]
fn told_to_stop_and_called_back_it_drains_for_the_next_stop_as_well() {
    let mut rig = Rig::working(AgentPolicy::default());
    rig.event(Event::Stop);
    rig.event(Event::Order(Order::Undrain));
    assert_eq!(rig.phase(), Phase::Busy);
    rig.event(Event::Stop);
    assert_eq!(rig.phase(), Phase::Draining { why: LeaveReason::Operator });
}
