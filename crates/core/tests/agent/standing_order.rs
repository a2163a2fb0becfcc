//! Orders that stand on the instance itself.

use lightsout_core::{
    activity::Activity,
    agent::{
        action::Request,
        event::{Event, Order, Outcome},
        phase::{LeaveReason, Phase, Saved},
        policy::AgentPolicy,
    },
    cloud::{Ending, StandingOrder},
    platform::Drained,
    time::Tick,
};

use crate::rig::{EMPTY, QUIET, Rig, busy, roomy, secs};

const CALLED: Phase = Phase::Draining { why: LeaveReason::Operator };
const LEAVING: Request = Request::Save(Saved::Leaving { why: LeaveReason::Operator });
const DRAIN: Event = Event::StandingOrder(Some(StandingOrder::Drain));
const NOTHING: Event = Event::StandingOrder(None);

fn hold(until: Tick) -> Event {
    Event::StandingOrder(Some(StandingOrder::Hold { until }))
}

/// One that was called away by what stands on it, while a job runs.
fn called() -> Rig {
    let mut rig = Rig::working(AgentPolicy::default());
    rig.event(DRAIN);
    assert_eq!(rig.phase(), CALLED);
    rig.answer(LEAVING, Outcome::Done);
    rig.answer(Request::Drain, Outcome::Drained(Drained::StillBusy));
    rig
}

#[test]
fn a_drain_waits_for_the_job_and_is_taken_back_when_it_is_wiped() {
    let mut rig = called();
    rig.event(NOTHING);
    rig.answer(Request::Save(Saved::Returning), Outcome::Done);
    rig.answer(Request::Undrain, Outcome::Done);
    assert_eq!(rig.phase(), Phase::Busy);
    rig.event(DRAIN);
    assert_eq!(rig.phase(), CALLED, "written again it counts again");
}

#[test]
fn a_drain_is_as_final_as_one_over_the_socket() {
    let mut rig = called();
    rig.pass(secs(30));
    rig.answer(Request::Drain, EMPTY);
    rig.answer(Request::Probe, QUIET);
    assert_eq!(rig.phase(), Phase::Retiring { why: LeaveReason::Operator });
    rig.event(NOTHING);
    assert_eq!(rig.phase(), Phase::Retiring { why: LeaveReason::Operator });
}

#[test]
fn what_is_wiped_takes_no_other_order_back() {
    for order in [Event::Order(Order::Drain), Event::Stop] {
        let mut rig = called();
        rig.event(order.clone());
        rig.event(NOTHING);
        assert_eq!((rig.phase(), rig.open()), (CALLED, vec![]), "{order:?}: the drain goes on as it was");
    }
    let mut rig = called();
    rig.event(Event::Ending { by: Ending::Maintenance, at: None });
    rig.event(NOTHING);
    assert_eq!(rig.phase(), Phase::Draining { why: LeaveReason::Maintenance });
}

#[test]
fn an_undrain_over_the_socket_overrules_what_stands() {
    let mut rig = called();
    rig.event(Event::Order(Order::Undrain));
    rig.answer(Request::Save(Saved::Returning), Outcome::Done);
    rig.answer(Request::Undrain, Outcome::Done);
    rig.event(DRAIN);
    assert_eq!(rig.phase(), Phase::Busy, "told again, it is no news");
    rig.event(Event::Activity(Activity::Quiet));
    rig.event(NOTHING);
    assert!(matches!(rig.phase(), Phase::Idle { .. }), "there is nothing left to take back");
}

#[test]
fn after_a_restart_it_is_followed_anew_and_can_be_taken_back() {
    let saved = Saved::Leaving { why: LeaveReason::Operator };
    let mut rig = Rig::resumed(AgentPolicy::default(), saved, true);
    rig.event(Event::Activity(busy("job-1")));
    assert_eq!(rig.phase(), CALLED, "also before it is seen");
    rig.event(DRAIN);
    rig.event(NOTHING);
    rig.answer(Request::Save(Saved::Returning), Outcome::Done);
    rig.answer(Request::Undrain, Outcome::Done);
    assert_eq!(rig.phase(), Phase::Busy);
}

#[test]
fn a_hold_keeps_an_idle_instance_until_it_is_wiped_or_over() {
    let mut rig = Rig::idle(AgentPolicy::default());
    rig.event(hold(rig.now + secs(7_200)));
    rig.pass(secs(7_000));
    assert_eq!(rig.open(), [], "held");
    let mut wiped = rig.clone();
    wiped.event(NOTHING);
    rig.pass(secs(300));
    for mut rig in [rig, wiped] {
        rig.answer(Request::Probe, QUIET);
        rig.answer(Request::GroupSize, roomy());
        assert_eq!(rig.phase(), Phase::Draining { why: LeaveReason::Idle });
    }
}

#[test]
fn a_hold_that_is_wiped_ends_no_other() {
    let mut rig = Rig::idle(AgentPolicy::default());
    rig.event(hold(rig.now + secs(600)));
    let until = rig.now + secs(7_200);
    rig.event(Event::Order(Order::Hold { until }));
    rig.event(NOTHING);
    assert_eq!(rig.lifecycle.hold(), Some(until));
    rig.event(hold(rig.now + secs(60)));
    rig.event(DRAIN);
    assert_eq!((rig.lifecycle.hold(), rig.phase()), (None, CALLED), "one order stands there at a time");
}

#[test]
fn what_was_overruled_takes_nothing_back_when_it_is_wiped() {
    let mut rig = called();
    rig.event(Event::Order(Order::Undrain));
    rig.answer(Request::Save(Saved::Returning), Outcome::Done);
    rig.answer(Request::Undrain, Outcome::Done);
    rig.event(Event::Activity(Activity::Quiet));
    rig.pass(secs(596));
    rig.answer(Request::Probe, QUIET);
    rig.pass(secs(4));
    rig.answer(Request::GroupSize, roomy());
    rig.event(NOTHING);
    assert_eq!(rig.phase(), Phase::Draining { why: LeaveReason::Idle }, "it leaves for another reason");
}
