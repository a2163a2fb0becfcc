//! Too little room for another job.

use lightsout_core::{
    activity::Activity,
    agent::{
        action::Request,
        event::{Event, Order, Outcome},
        phase::{LeaveReason, Phase, Saved},
        policy::AgentPolicy,
    },
    platform::Drained,
};

use crate::rig::{EMPTY, QUIET, Rig, busy, secs};

const FULL: LeaveReason = LeaveReason::Full;

fn short(rig: &mut Rig) {
    rig.event(Event::Shortage(Some("0 B are free in /data, less than agent.disk_free".into())));
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
    short(&mut rig);
    back(&mut rig);
    rig.pass(secs(10));
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
