//! The ladder: by which ways an instance asks for its end, and when it takes to a blunter one.

use lightsout_core::{
    activity::Activity,
    agent::{
        action::{Request, Rung},
        event::{Event, Outcome},
        host::JournalEntry,
        phase::{LeaveReason, Saved},
        policy::AgentPolicy,
    },
    cloud::{Ending, Membership},
    time::Tick,
};

use crate::{
    retiring::{GOING, late, retire, retiring},
    rig::{BARE_CLOUD, CLOUD, EMPTY, HELD_CLOUD, IN_SERVICE, QUIET, Rig, secs},
};

#[test]
fn outside_a_group_it_climbs_as_well() {
    let mut rig = retiring(LeaveReason::Operator);
    let start = rig.now;
    while !rig.open().contains(&Request::End(Rung::PowerOff)) {
        match rig.open().first() {
            Some(Request::Describe) => rig.answer(Request::Describe, Outcome::Member(Membership::Outside)),
            Some(Request::End(Rung::Terminate)) => {
                rig.answer(Request::End(Rung::Terminate), Outcome::Failed("unreachable".into()));
            }
            _ => rig.pass(secs(1)),
        }
        assert!(rig.now.since(start) < secs(900), "{:?}", rig.lifecycle.status());
    }
}

#[test]
fn without_any_right_it_climbs_to_power_off() {
    let mut rig = late(LeaveReason::Operator);
    rig.answer(Request::Describe, Outcome::Denied("no".into()));
    for rung in [Rung::Decrement, Rung::Replace, Rung::Unhealthy, Rung::Terminate] {
        rig.answer(Request::End(rung), Outcome::Denied("no".into()));
    }
    assert_eq!(rig.open(), [Request::End(Rung::PowerOff)]);
}

#[test]
fn the_last_way_is_asked_for_with_pauses_while_it_is_refused() {
    for look in [Outcome::Denied("no".into()), IN_SERVICE] {
        let mut rig = Rig::on(HELD_CLOUD, AgentPolicy::default());
        rig.answer(Request::Describe, IN_SERVICE);
        rig.answer(Request::Register, Outcome::Registered);
        rig.event(Event::Activity(Activity::Quiet));
        rig.pass(secs(301));
        let mut rig = retire(rig, LeaveReason::Operator);
        let (start, mut asked) = (rig.now, 0);
        while rig.now.since(start) < secs(3600) {
            match rig.open().first() {
                Some(Request::Describe) => rig.answer(Request::Describe, look.clone()),
                Some(Request::End(rung)) => {
                    let rung = *rung;
                    asked += 1;
                    assert!(asked < 200, "asked so often within {:?}", rig.now.since(start));
                    rig.answer(Request::End(rung), Outcome::Denied("no".into()));
                }
                _ => rig.pass(secs(1)),
            }
        }
        assert!(asked > 20, "asked {asked} times in an hour: a right that is given must be noticed");
    }
}

#[test]
fn with_a_dead_cloud_it_powers_off_at_last() {
    let mut rig = retiring(LeaveReason::Operator);
    let start = rig.now;
    loop {
        match rig.open().first() {
            Some(Request::Describe) => rig.answer(Request::Describe, Outcome::Failed("unreachable".into())),
            Some(Request::End(Rung::PowerOff)) => break,
            Some(Request::End(rung)) => {
                let rung = *rung;
                rig.answer(Request::End(rung), Outcome::Failed("unreachable".into()));
            }
            _ => rig.pass(secs(1)),
        }
        assert!(rig.now.since(start) < secs(7200), "it must end: {:?}", rig.lifecycle.status());
    }
}

#[test]
fn an_accepted_end_that_never_comes_climbs() {
    let mut rig = retiring(LeaveReason::Operator);
    rig.answer(Request::Describe, IN_SERVICE);
    rig.answer(Request::End(Rung::Decrement), Outcome::Done);
    let start = rig.now;
    while !rig.open().contains(&Request::End(Rung::Replace)) {
        match rig.open().first() {
            Some(Request::Describe) => rig.answer(Request::Describe, GOING),
            _ => rig.pass(secs(1)),
        }
        assert!(rig.now.since(start) < secs(900));
    }
    assert!(rig.now.since(start) >= secs(600));
}

#[test]
fn the_ladder_has_the_rungs_that_the_cloud_has() {
    let rungs = |cloud| {
        let mut rung = Rung::Decrement;
        let mut rungs = vec![rung];
        while rung.next(cloud) != rung {
            rung = rung.next(cloud);
            rungs.push(rung);
        }
        rungs
    };
    assert_eq!(rungs(CLOUD), [Rung::Decrement, Rung::Replace, Rung::Unhealthy, Rung::Terminate, Rung::PowerOff]);
    assert_eq!(rungs(HELD_CLOUD), [Rung::Decrement, Rung::Terminate], "it replaces nobody who is unhealthy");
    assert_eq!(
        rungs(BARE_CLOUD),
        [Rung::Decrement, Rung::Unhealthy, Rung::Terminate],
        "power-off would not end the bill"
    );
}

#[test]
fn credentials_that_fail_for_a_while_climb_nothing() {
    let mut rig = late(LeaveReason::Idle);
    let start = rig.now;
    while rig.now.since(start) < secs(400) {
        match rig.open().first() {
            Some(Request::Describe) => rig.answer(Request::Describe, Outcome::Rejected("the token has expired".into())),
            Some(Request::End(rung)) => panic!("it asked for {rung:?} on no description"),
            _ => rig.pass(secs(1)),
        }
    }
    rig.pass(secs(30));
    rig.answer(Request::Describe, IN_SERVICE);
    rig.answer(Request::End(Rung::Decrement), Outcome::Rejected("the token has expired".into()));
    rig.pass(secs(30));
    rig.answer(Request::Describe, IN_SERVICE);
    assert_eq!(rig.open(), [Request::End(Rung::Decrement)], "the same again, at once: it was not applied");
}

#[test]
fn rights_that_are_still_on_their_way_climb_nothing() {
    let mut rig = retiring(LeaveReason::Operator);
    rig.answer(Request::Describe, Outcome::Denied("not authorized".into()));
    rig.pass(secs(1));
    rig.answer(Request::Describe, IN_SERVICE);
    rig.answer(Request::End(Rung::Decrement), Outcome::Denied("not authorized".into()));
    rig.pass(secs(5));
    rig.answer(Request::Describe, IN_SERVICE);
    assert_eq!(rig.open(), [Request::End(Rung::Decrement)]);
}

/// Else an agent that ends again and again would wait for them for ever.
#[test]
fn a_restart_of_the_agent_is_no_birth_of_its_instance() {
    // It was in service for 31 s more when it is refused; rights may come for five minutes.
    for (age, expected) in [(10, Rung::Decrement), (268, Rung::Decrement), (269, Rung::Replace), (400, Rung::Replace)] {
        let why = LeaveReason::Operator;
        let now = Tick(1_000_000);
        let entry = JournalEntry {
            saved: Saved::Leaving { why },
            in_service: Some(Tick(now.0 - 1_000 * age)),
            registered: true,
            ..JournalEntry::FRESH
        };
        let mut rig = Rig::resumed_with(AgentPolicy::default(), entry, false);
        rig.answer(Request::Drain, EMPTY);
        rig.answer(Request::Probe, QUIET);
        rig.answer(Request::Deregister, Outcome::Done);
        rig.pass(secs(31));
        rig.answer(Request::Describe, IN_SERVICE);
        rig.answer(Request::End(Rung::Decrement), Outcome::Denied("not authorized".into()));
        if expected == Rung::Decrement {
            rig.pass(secs(5));
            rig.answer(Request::Describe, IN_SERVICE);
        }
        assert_eq!(rig.open(), [Request::End(expected)], "in service for {age} s");
    }
}

#[test]
fn another_way_has_its_whole_time() {
    let mut rig = retiring(LeaveReason::Operator);
    rig.answer(Request::Describe, IN_SERVICE);
    rig.answer(Request::End(Rung::Decrement), Outcome::Done);
    rig.pass(secs(500));
    rig.answer(Request::Describe, Outcome::Member(Membership::Outside));
    rig.answer(Request::End(Rung::Terminate), Outcome::Done);
    rig.pass(secs(150));
    rig.answer(Request::Describe, Outcome::Member(Membership::Outside));
    assert_eq!(rig.open(), [], "it is waited for");
}

#[test]
fn before_a_spot_deadline_no_right_is_waited_for() {
    let mut rig = Rig::idle(AgentPolicy::default());
    rig.event(Event::Ending { by: Ending::Interruption, at: Some(rig.now + secs(120)) });
    rig.answer(Request::Save(Saved::Leaving { why: LeaveReason::Spot }), Outcome::Done);
    rig.answer(Request::Drain, EMPTY);
    rig.answer(Request::Probe, QUIET);
    rig.answer(Request::Deregister, Outcome::Done);
    rig.answer(Request::Describe, Outcome::Denied("not authorized".into()));
    assert_eq!(rig.open(), [Request::End(Rung::Decrement)]);
}

#[test]
fn who_is_not_in_service_yet_and_holds_no_launch_is_ended_at_once() {
    let mut rig = retiring(LeaveReason::Operator);
    rig.answer(Request::Describe, Outcome::Member(Membership::Pending { waiting: false }));
    assert_eq!(rig.open(), [Request::End(Rung::Decrement)]);
}

#[test]
fn a_word_about_a_hook_in_answer_to_another_way_is_no_reason_for_a_blunter_one() {
    let mut rig = retiring(LeaveReason::Operator);
    rig.answer(Request::Describe, IN_SERVICE);
    rig.answer(Request::End(Rung::Decrement), Outcome::NoHook);
    assert_eq!(rig.open(), [], "it looks first, a moment later");
    rig.pass(secs(1));
    rig.answer(Request::Describe, IN_SERVICE);
    assert_eq!(rig.open(), [Request::End(Rung::Decrement)]);
}
