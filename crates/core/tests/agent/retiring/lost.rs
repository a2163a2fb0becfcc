//! An answer that got lost, a description that is stale, and an agent that comes back while it leaves.

use lightsout_core::{
    agent::{
        action::{Request, Rung},
        event::Outcome,
        host::JournalEntry,
        phase::{LeaveReason, Saved},
        policy::AgentPolicy,
    },
    cloud::Membership,
};

use super::{GOING, retiring};
use crate::rig::{EMPTY, IN_SERVICE, QUIET, Rig, secs};

#[test]
fn an_answer_that_got_lost_leads_to_a_look_not_to_a_second_decrement() {
    let mut rig = retiring(LeaveReason::Idle);
    rig.answer(Request::Describe, IN_SERVICE);
    rig.answer(Request::End(Rung::Decrement), Outcome::Failed("no answer".into()));
    rig.pass(secs(2));
    assert_eq!(rig.open(), [Request::Describe]);
    rig.answer(Request::Describe, GOING);
    rig.pass(secs(30));
    assert_eq!(rig.open(), [Request::Describe]);
}

#[test]
fn a_stale_description_does_not_end_it_twice() {
    let mut rig = retiring(LeaveReason::Idle);
    rig.answer(Request::Describe, IN_SERVICE);
    rig.answer(Request::End(Rung::Decrement), Outcome::Done);
    for _ in 0..4 {
        rig.pass(secs(2));
        rig.answer(Request::Describe, IN_SERVICE);
    }
    rig.pass(secs(10));
    assert_eq!(rig.open(), [Request::Describe], "it waits for the description to catch up");
    rig.pass(secs(12));
    rig.answer(Request::Describe, IN_SERVICE);
    assert_eq!(rig.open(), [Request::End(Rung::Decrement)], "and then believes it");
}

/// How often the request is made within ten minutes in which the group always answers this and every end is accepted.
fn asked(request: Request, says: &Outcome) -> usize {
    let mut rig = retiring(LeaveReason::Operator);
    let (start, mut count) = (rig.now, 0);
    while rig.now.since(start) < secs(590) {
        match rig.open().first() {
            Some(Request::Describe) => rig.answer(Request::Describe, says.clone()),
            Some(Request::End(rung)) => {
                let end = Request::End(*rung);
                count += usize::from(end == request);
                rig.answer(end, Outcome::Done);
            }
            _ => rig.pass(secs(1)),
        }
    }
    count
}

#[test]
fn what_was_accepted_is_not_asked_for_again_at_once() {
    assert_eq!(asked(Request::End(Rung::Terminate), &Outcome::Member(Membership::Outside)), 1);
    let standby = asked(Request::End(Rung::Replace), &Outcome::Member(Membership::Standby));
    let blind = asked(Request::End(Rung::Decrement), &Outcome::Denied("no right to look".into()));
    assert!((1..=20).contains(&standby) && (1..=20).contains(&blind), "{standby} {blind}");
}

#[test]
fn a_lost_answer_at_the_floor_does_not_bring_an_instance_back_that_may_be_ending() {
    let mut rig = retiring(LeaveReason::Idle);
    rig.answer(Request::Describe, IN_SERVICE);
    rig.answer(Request::End(Rung::Decrement), Outcome::Failed("no answer".into()));
    for _ in 0..20 {
        rig.pass(secs(1));
        if rig.open() == [Request::Describe] {
            rig.answer(Request::Describe, IN_SERVICE);
        }
        assert!(!rig.open().contains(&Request::End(Rung::Decrement)), "the description may be stale");
    }
    rig.pass(secs(20));
    rig.answer(Request::Describe, IN_SERVICE);
    rig.answer(Request::End(Rung::Decrement), Outcome::AtFloor);
    assert_eq!(rig.open(), [Request::Save(Saved::Returning)], "now it is known that nothing was applied");
}

#[test]
fn an_agent_that_comes_back_after_the_proof_need_not_prove_it_again() {
    let leaving = JournalEntry { saved: Saved::Leaving { why: LeaveReason::Operator }, ..JournalEntry::FRESH };
    let proven = JournalEntry { proven: true, ..leaving };
    // On a platform whose worker vanishes with its process there is nobody left to ask about.
    let rig = Rig::resumed_with(AgentPolicy::default(), proven, false);
    assert_eq!(rig.open(), [Request::Probe]);
    let rig = Rig::resumed_with(AgentPolicy::default(), proven, true);
    assert_eq!(rig.open(), [Request::Drain], "a runner that lives is asked again");
    let rig = Rig::resumed_with(AgentPolicy::default(), leaving, false);
    assert_eq!(rig.open(), [Request::Drain]);
}

#[test]
fn an_agent_that_comes_back_while_it_leaves_waits_for_a_description_that_cannot_be_stale() {
    let mut rig = Rig::resumed(AgentPolicy::default(), Saved::Leaving { why: LeaveReason::Operator }, false);
    rig.answer(Request::Drain, EMPTY);
    rig.answer(Request::Probe, QUIET);
    rig.answer(Request::Deregister, Outcome::Done);
    rig.answer(Request::Describe, IN_SERVICE);
    assert_eq!(rig.open(), [], "the one before it may have asked for the end already");
    rig.pass(secs(31));
    rig.answer(Request::Describe, IN_SERVICE);
    assert_eq!(rig.open(), [Request::End(Rung::Decrement)]);
}

#[test]
fn an_agent_that_comes_back_while_it_leaves_waits_no_longer_than_a_description_may_be_stale() {
    let mut rig = Rig::resumed(AgentPolicy::default(), Saved::Leaving { why: LeaveReason::Operator }, false);
    let came_back = rig.now;
    rig.answer(Request::Drain, EMPTY);
    rig.answer(Request::Probe, QUIET);
    rig.answer(Request::Deregister, Outcome::Done);
    while rig.open() != [Request::End(Rung::Decrement)] {
        if rig.open() == [Request::Describe] {
            rig.answer(Request::Describe, IN_SERVICE);
            assert!(!rig.open().is_empty() || rig.lifecycle.status().note.is_some(), "it says what it waits for");
        }
        rig.pass(secs(1));
        assert!(rig.now.since(came_back) <= secs(32), "each look comes later than the one before");
    }
}

#[test]
fn while_a_lost_answer_is_waited_out_it_says_what_was_lost() {
    let mut rig = retiring(LeaveReason::Operator);
    rig.answer(Request::Describe, IN_SERVICE);
    rig.answer(Request::End(Rung::Decrement), Outcome::Failed("no answer in time".into()));
    rig.pass(secs(1));
    rig.answer(Request::Describe, IN_SERVICE);
    assert_eq!(rig.open(), [], "the description may be stale");
    assert_eq!(rig.lifecycle.status().note.as_deref(), Some("no answer in time"));
}
