//! Too little room for another job.

use lightsout_core::{
    activity::Activity,
    agent::{
        action::Request,
        event::{Event, Order, Outcome},
        phase::{LeaveReason, Phase, Saved},
        policy::AgentPolicy,
    },
    cloud::Membership,
    platform::Drained,
    space::Room,
};

use crate::rig::{EMPTY, IN_SERVICE, QUIET, Rig, busy, secs};

const FULL: LeaveReason = LeaveReason::Full;

/// One look that finds it.
fn look(rig: &mut Rig) {
    rig.event(Event::Room(Room::Short("0 B are free in /data, less than agent.disk_free".into())));
}

/// As many as count.
fn short(rig: &mut Rig) {
    for _ in 0..3 {
        rig.pass(secs(5));
        look(rig);
    }
}

/// From the shortage to the proof and the quiet look after it.
fn emptied(rig: &mut Rig) {
    assert_eq!(rig.phase(), Phase::Draining { why: FULL });
    rig.answer(Request::Save(Saved::Leaving { why: FULL }), Outcome::Failed("no space left on device".into()));
    rig.answer(Request::Drain, EMPTY);
    rig.answer(Request::Probe, QUIET);
}

/// Back at work, by a call to the platform.
fn back(rig: &mut Rig) {
    rig.answer(Request::Save(Saved::Returning), Outcome::Done);
    rig.answer(Request::Undrain, Outcome::Done);
    rig.answer(Request::Save(Saved::Serving), Outcome::Done);
    assert!(matches!(rig.phase(), Phase::Idle { .. }), "{:?}", rig.phase());
}

#[test]
fn a_full_disk_takes_no_more_jobs_and_room_is_made_after_the_last() {
    let mut rig = Rig::working(AgentPolicy::default());
    short(&mut rig);
    rig.answer(Request::Save(Saved::Leaving { why: FULL }), Outcome::Done);
    rig.answer(Request::Drain, Outcome::Drained(Drained::StillBusy));
    rig.pass(secs(600));
    assert_eq!(rig.open(), [Request::Drain], "the job is waited for, and nothing is cleaned");
    assert!(rig.lifecycle.status().note.unwrap().contains("agent.disk_free"), "it says why");
    rig.event(Event::Activity(Activity::Quiet));
    rig.answer(Request::Drain, EMPTY);
    assert_eq!(rig.open(), [Request::Probe]);
    rig.answer(Request::Probe, QUIET);
    assert_eq!(rig.open(), [Request::MakeRoom]);
    rig.answer(Request::MakeRoom, Outcome::Done);
    back(&mut rig);
}

/// What the first look says, before there is a runner.
fn full_at_boot() -> Outcome {
    Outcome::Short("0 B are free in /data, less than agent.disk_free".into())
}

#[test]
fn one_that_boots_full_takes_no_job_before_room_is_made() {
    let mut rig = Rig::new(AgentPolicy::default());
    rig.answer(Request::Describe, IN_SERVICE);
    rig.answer(Request::Register, full_at_boot());
    emptied(&mut rig);
    rig.answer(Request::MakeRoom, Outcome::Done);
    rig.answer(Request::Save(Saved::Returning), Outcome::Done);
    rig.answer(Request::Undrain, Outcome::Relaunch);
    rig.answer(Request::Describe, IN_SERVICE);
    let mut again = rig.clone();
    rig.answer(Request::Register, Outcome::Registered);
    assert!(matches!(rig.phase(), Phase::Idle { .. }), "{:?}", rig.phase());
    again.answer(Request::Register, full_at_boot());
    assert_eq!(again.phase(), Phase::Draining { why: LeaveReason::Broken }, "no job has run since room was made");
}

#[test]
fn one_that_boots_full_and_stays_so_is_broken() {
    let mut rig = Rig::new(AgentPolicy::default());
    rig.answer(Request::Describe, IN_SERVICE);
    rig.answer(Request::Register, full_at_boot());
    emptied(&mut rig);
    rig.answer(Request::MakeRoom, Outcome::Failed("nothing was left to remove".into()));
    assert_eq!(rig.phase(), Phase::Retiring { why: LeaveReason::Broken });
    assert!(rig.lifecycle.status().note.unwrap().contains("agent.disk_free"));
}

#[test]
fn room_is_made_while_a_launch_hook_waits_and_the_hook_with_it() {
    let held = || Outcome::Member(Membership::Pending { waiting: true });
    let policy = AgentPolicy { launch_hook: true, ..AgentPolicy::default() };
    let mut rig = Rig::new(policy);
    rig.answer(Request::Describe, held());
    rig.answer(Request::GetReady, full_at_boot());
    emptied(&mut rig);
    for _ in 0..4 {
        rig.pass(secs(60));
        rig.answer(Request::ExtendLaunchHook, Outcome::HookFound { heartbeat: secs(60) });
        assert_eq!(rig.open(), [Request::MakeRoom]);
    }
    rig.answer(Request::MakeRoom, Outcome::Done);
    rig.answer(Request::Save(Saved::Returning), Outcome::Done);
    rig.answer(Request::Undrain, Outcome::Relaunch);
    rig.answer(Request::Describe, held());
    rig.answer(Request::GetReady, Outcome::Done);
    assert_eq!(rig.open(), [Request::CompleteLaunchHook]);
}

#[test]
fn what_is_still_seen_after_the_proof_is_not_cleaned_under() {
    let mut rig = Rig::idle(AgentPolicy::default());
    short(&mut rig);
    rig.answer(Request::Save(Saved::Leaving { why: FULL }), Outcome::Done);
    rig.answer(Request::Drain, EMPTY);
    let end = rig.now + secs(1_000);
    while rig.now < end && rig.phase() == (Phase::Draining { why: FULL }) {
        if rig.open().contains(&Request::Probe) {
            rig.answer(Request::Probe, Outcome::Snapshot(busy("a remnant")));
        }
        assert!(!rig.open().contains(&Request::MakeRoom));
        rig.pass(secs(1));
    }
    assert_eq!(rig.phase(), Phase::Retiring { why: LeaveReason::Broken });
}

#[test]
fn an_instance_that_stays_full_is_broken_and_says_of_what() {
    let mut rig = Rig::idle(AgentPolicy::default());
    short(&mut rig);
    emptied(&mut rig);
    rig.answer(Request::MakeRoom, Outcome::Failed("nothing was left to remove".into()));
    assert_eq!(rig.phase(), Phase::Retiring { why: LeaveReason::Broken });
    let note = rig.lifecycle.status().note.unwrap();
    assert!(note.contains("agent.disk_free") && note.contains("nothing was left to remove"), "{note}");
    assert!(rig.open().contains(&Request::Save(Saved::Leaving { why: LeaveReason::Broken })), "{:?}", rig.open());
}

#[test]
fn one_that_fills_up_without_a_job_is_broken() {
    let mut rig = Rig::idle(AgentPolicy::default());
    short(&mut rig);
    emptied(&mut rig);
    rig.answer(Request::MakeRoom, Outcome::Done);
    // Measured before there was room.
    look(&mut rig);
    back(&mut rig);
    short(&mut rig);
    assert_eq!(rig.phase(), Phase::Draining { why: LeaveReason::Broken });
}

#[test]
fn after_another_job_room_is_made_again() {
    let mut rig = Rig::idle(AgentPolicy::default());
    for job in ["one", "two", "three"] {
        rig.event(Event::Activity(busy(job)));
        rig.event(Event::Activity(Activity::Quiet));
        short(&mut rig);
        emptied(&mut rig);
        rig.answer(Request::MakeRoom, Outcome::Done);
        back(&mut rig);
        rig.pass(secs(20));
    }
}

#[test]
fn while_room_is_made_no_order_brings_jobs_back() {
    let mut rig = Rig::idle(AgentPolicy::default());
    short(&mut rig);
    emptied(&mut rig);
    rig.event(Event::Order(Order::Drain));
    assert_eq!(rig.phase(), Phase::Draining { why: LeaveReason::Operator });
    rig.event(Event::Order(Order::Undrain));
    assert_eq!(rig.phase(), Phase::Draining { why: LeaveReason::Operator }, "not now");
    rig.answer(Request::MakeRoom, Outcome::Done);
    assert_eq!(rig.phase(), Phase::Retiring { why: LeaveReason::Operator });
}

#[test]
fn an_agent_that_was_restarted_while_room_was_made_makes_it_again() {
    let mut rig = Rig::resumed(AgentPolicy::default(), Saved::Leaving { why: FULL }, true);
    rig.answer(Request::Drain, EMPTY);
    rig.answer(Request::Probe, QUIET);
    rig.answer(Request::MakeRoom, Outcome::Done);
    assert_eq!(rig.open(), [Request::Save(Saved::Returning)]);
}

#[test]
fn a_peak_that_passes_drains_nobody() {
    let mut rig = Rig::working(AgentPolicy::default());
    for _ in 0..10 {
        look(&mut rig);
        look(&mut rig);
        rig.event(Event::Room(Room::Enough));
        assert_eq!(rig.phase(), Phase::Busy, "a job's own peak");
        rig.pass(secs(5));
    }
    short(&mut rig);
    assert_eq!(rig.phase(), Phase::Draining { why: FULL });
}

#[test]
fn making_room_that_does_not_end_is_not_waited_for() {
    let policy = AgentPolicy { clean_timeout: secs(300), ..AgentPolicy::default() };
    for (order, why) in [(None, LeaveReason::Broken), (Some(Order::Drain), LeaveReason::Operator)] {
        let mut rig = Rig::idle(policy.clone());
        short(&mut rig);
        emptied(&mut rig);
        let answer = rig.take(Request::MakeRoom);
        if let Some(order) = order {
            rig.event(Event::Order(order));
        }
        // What an earlier agent began, and then the program itself.
        rig.pass(secs(600));
        assert!(matches!(rig.phase(), Phase::Draining { .. }), "it may still end");
        rig.pass(secs(150));
        assert_eq!(rig.phase(), Phase::Retiring { why });
        assert!(rig.lifecycle.proven_empty());
        rig.complete(answer, Outcome::Done);
        assert_eq!(rig.phase(), Phase::Retiring { why }, "too late");
    }
}

#[test]
fn what_cannot_be_told_is_neither_a_shortage_nor_its_end() {
    let mut rig = Rig::working(AgentPolicy::default());
    for _ in 0..10 {
        rig.event(Event::Room(Room::Unknown));
        rig.pass(secs(5));
    }
    assert_eq!(rig.phase(), Phase::Busy);
    for _ in 0..3 {
        assert_eq!(rig.phase(), Phase::Busy);
        look(&mut rig);
        rig.event(Event::Room(Room::Unknown));
    }
    assert_eq!(rig.phase(), Phase::Draining { why: FULL });
}

#[test]
fn room_that_was_made_and_cannot_be_told_is_served_in() {
    let mut rig = Rig::idle(AgentPolicy::default());
    short(&mut rig);
    emptied(&mut rig);
    rig.answer(Request::MakeRoom, Outcome::RoomUnknown);
    assert!(rig.lifecycle.status().note.unwrap().contains("cannot be told"));
    look(&mut rig);
    look(&mut rig);
    back(&mut rig);
}

#[test]
fn an_instance_that_stays_full_says_what_was_seen_last_and_what_came_of_it() {
    let mut rig = Rig::idle(AgentPolicy::default());
    short(&mut rig);
    emptied(&mut rig);
    let (what, said) = ("7 B are free in /data".to_owned(), "nothing was left to remove".to_owned());
    rig.answer(Request::MakeRoom, Outcome::StillShort { what, said });
    assert_eq!(rig.phase(), Phase::Retiring { why: LeaveReason::Broken });
    assert_eq!(rig.lifecycle.status().note.unwrap(), "7 B are free in /data; nothing was left to remove");
}

#[test]
fn dips_that_pass_by_themselves_break_nobody() {
    let mut rig = Rig::idle(AgentPolicy::default());
    for _ in 0..3 {
        short(&mut rig);
        emptied(&mut rig);
        rig.answer(Request::MakeRoom, Outcome::Unneeded);
        back(&mut rig);
    }
}

#[test]
fn that_room_was_made_without_a_job_since_lapses() {
    let mut rig = Rig::idle(AgentPolicy { idle_timeout: None, ..AgentPolicy::default() });
    for _ in 0..3 {
        short(&mut rig);
        emptied(&mut rig);
        rig.answer(Request::MakeRoom, Outcome::Done);
        back(&mut rig);
        rig.pass(secs(3_600));
    }
}

#[test]
fn nothing_is_removed_while_an_operator_holds_the_instance() {
    let mut rig = Rig::idle(AgentPolicy::default());
    rig.event(Event::Order(Order::Hold { until: rig.now + secs(7_200) }));
    short(&mut rig);
    emptied(&mut rig);
    for _ in 0..13 {
        rig.pass(secs(500));
        short(&mut rig);
        assert_eq!(
            (rig.phase(), rig.open()),
            (Phase::Draining { why: FULL }, vec![]),
            "it takes no job and stays as it is"
        );
    }
    assert!(rig.lifecycle.proven_empty() && rig.lifecycle.status().note.unwrap().contains("hold"));
    rig.pass(secs(600));
    rig.answer(Request::Probe, QUIET);
    rig.answer(Request::MakeRoom, Outcome::Done);
    back(&mut rig);
}

#[test]
fn a_held_instance_that_fills_again_is_not_broken_before_the_hold_ends() {
    let mut rig = Rig::idle(AgentPolicy::default());
    short(&mut rig);
    emptied(&mut rig);
    rig.answer(Request::MakeRoom, Outcome::Done);
    back(&mut rig);
    rig.event(Event::Order(Order::Hold { until: rig.now + secs(3_600) }));
    short(&mut rig);
    assert_eq!(rig.phase(), Phase::Draining { why: FULL });
    rig.answer(Request::Save(Saved::Leaving { why: FULL }), Outcome::Done);
    rig.answer(Request::Drain, EMPTY);
    let end = rig.now + secs(3_000);
    while rig.now < end {
        if rig.open().contains(&Request::Probe) {
            rig.answer(Request::Probe, Outcome::Snapshot(busy("a remnant")));
        }
        rig.pass(secs(1));
    }
    assert_eq!(rig.phase(), Phase::Draining { why: FULL }, "a remnant is kept, too");
}

#[test]
fn a_stronger_reason_ends_the_wait_for_the_hold() {
    let mut rig = Rig::idle(AgentPolicy::default());
    rig.event(Event::Order(Order::Hold { until: rig.now + secs(7_200) }));
    short(&mut rig);
    emptied(&mut rig);
    assert_eq!(rig.open(), []);
    rig.event(Event::Order(Order::Drain));
    rig.answer(Request::Probe, QUIET);
    assert_eq!(rig.phase(), Phase::Retiring { why: LeaveReason::Operator });
}

#[test]
fn room_is_made_only_upon_a_proof() {
    let mut rig = Rig::idle(AgentPolicy::default());
    short(&mut rig);
    rig.answer(Request::Save(Saved::Leaving { why: FULL }), Outcome::Done);
    rig.answer(Request::Drain, Outcome::Absent);
    rig.answer(Request::Probe, QUIET);
    assert!(!rig.open().contains(&Request::MakeRoom), "{:?}", rig.open());
    assert_eq!(rig.phase(), Phase::Retiring { why: LeaveReason::Broken });
}

#[test]
fn an_hour_after_room_was_made_a_shortage_is_another_one() {
    for (looks, why) in [(3_599, LeaveReason::Broken), (3_600, FULL)] {
        let mut rig = Rig::idle(AgentPolicy { idle_timeout: None, ..AgentPolicy::default() });
        short(&mut rig);
        emptied(&mut rig);
        rig.answer(Request::MakeRoom, Outcome::Done);
        back(&mut rig);
        rig.pass(secs(looks - 15));
        short(&mut rig);
        assert_eq!(rig.phase(), Phase::Draining { why }, "{looks} s later");
    }
}
