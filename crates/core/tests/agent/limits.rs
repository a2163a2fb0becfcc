//! What ends its service beside idleness: age, the number of jobs, an expiring runner, a risk, lasting doubt.

use lightsout_core::{
    activity::Activity,
    agent::{
        action::Request,
        event::{Event, Order, Outcome},
        host::JournalEntry,
        phase::{LeaveReason, Phase, Saved},
        policy::{AgentPolicy, Protection},
    },
    cloud::{Ending, Membership, TargetState},
    space::Room,
    time::Tick,
};

use crate::rig::{IN_SERVICE, QUIET, Rig, busy, secs};

#[test]
fn a_hold_postpones_age_and_no_stronger_reason() {
    let mut rig = Rig::working(AgentPolicy { max_age: Some(secs(3600)), ..AgentPolicy::default() });
    rig.event(Event::Order(Order::Hold { until: rig.now + secs(7200) }));
    rig.pass(secs(7199));
    rig.event(Event::Activity(busy("job-2")));
    assert_eq!((rig.phase(), rig.open()), (Phase::Busy, vec![]), "held past its age, whatever happens");
    let mut called = rig.clone();
    called.event(Event::Rebalance);
    assert_eq!(called.phase(), Phase::Draining { why: LeaveReason::Rebalance });
    rig.pass(secs(1));
    assert_eq!(rig.phase(), Phase::Draining { why: LeaveReason::Age }, "as soon as the hold ends");
}

#[test]
fn the_last_allowed_job_begins_the_drain() {
    let mut rig = Rig::idle(AgentPolicy { jobs_per_instance: Some(2), ..AgentPolicy::default() });
    for activity in [busy("job-1"), busy("job-1"), Activity::Quiet] {
        rig.event(Event::Activity(activity));
        assert_eq!(rig.phase().why(), None);
    }
    rig.event(Event::Activity(busy("job-2")));
    assert_eq!(rig.phase(), Phase::Draining { why: LeaveReason::Limit });
}

/// A sidecar that restarts, a hook at the runner's start, what a job left behind.
#[test]
fn what_may_be_no_job_keeps_the_instance_and_is_not_counted() {
    let mut rig = Rig::idle(AgentPolicy { jobs_per_instance: Some(2), ..AgentPolicy::default() });
    let occupied = || Activity::busy("sh:17").unsure();
    for activity in [occupied(), Activity::Quiet, occupied(), Activity::Quiet, occupied(), busy("job-1"), occupied()] {
        let busy = activity != Activity::Quiet;
        rig.event(Event::Activity(activity));
        assert_eq!(rig.phase() == Phase::Busy, busy);
    }
    assert_eq!(rig.phase(), Phase::Busy, "one job was served");
    rig.event(Event::Activity(busy("job-2")));
    assert_eq!(rig.phase(), Phase::Draining { why: LeaveReason::Limit });
}

#[test]
fn an_expired_runner_is_a_reason_only_for_whoever_was_there_before() {
    let policy = AgentPolicy { idle_timeout: None, ..AgentPolicy::default() };
    let expiring = |policy: &AgentPolicy, after: u64| {
        let mut rig = Rig::working(policy.clone());
        rig.event(Event::RunnerExpires { at: rig.now + secs(after) });
        rig
    };
    let mut rig = expiring(&policy, 3600);
    rig.pass(secs(3599));
    assert_eq!(rig.phase(), Phase::Busy);
    rig.pass(secs(1));
    assert_eq!(rig.phase(), Phase::Draining { why: LeaveReason::RunnerExpired });
    rig.answer(Request::Save(Saved::Leaving { why: LeaveReason::RunnerExpired }), Outcome::Done);
    rig.answer(Request::Drain, Outcome::Signalled);
    rig.pass(secs(36_000));
    assert_eq!(rig.phase(), Phase::Draining { why: LeaveReason::RunnerExpired }, "however long the job takes");

    // Its successor may come from the same image, and so may that one's.
    let mut late = expiring(&policy, 0);
    late.pass(secs(360_000));
    assert_eq!((late.phase(), late.open()), (Phase::Busy, vec![]));
    let mut switched_off = expiring(&AgentPolicy { leave_on_runner_expiry: false, ..policy.clone() }, 3600);
    switched_off.pass(secs(360_000));
    assert_eq!(switched_off.phase(), Phase::Busy);

    let mut held = expiring(&policy, 3600);
    held.event(Event::Order(Order::Hold { until: held.now + secs(7200) }));
    held.pass(secs(7199));
    assert_eq!(held.phase(), Phase::Busy);
    held.pass(secs(1));
    assert_eq!(held.phase(), Phase::Draining { why: LeaveReason::RunnerExpired }, "as soon as the hold ends");
}

#[test]
fn old_age_waits_for_the_job_and_takes_no_new_one() {
    let mut rig = Rig::working(AgentPolicy { max_age: Some(secs(3600)), ..AgentPolicy::default() });
    rig.pass(secs(3600));
    assert_eq!(rig.phase(), Phase::Draining { why: LeaveReason::Age });
    rig.answer(Request::Save(Saved::Leaving { why: LeaveReason::Age }), Outcome::Done);
    rig.answer(Request::Drain, Outcome::Signalled);
    rig.pass(secs(36_000));
    assert_eq!(
        (rig.phase(), rig.open()),
        (Phase::Draining { why: LeaveReason::Age }, vec![]),
        "however long the job takes"
    );
    rig.event(Event::RunnerExited);
    rig.answer(Request::Probe, QUIET);
    assert_eq!(rig.open(), [Request::Deregister]);
}

#[test]
fn age_goes_on_over_a_restart() {
    let policy = AgentPolicy { max_age: Some(secs(1500)), ..AgentPolicy::default() };
    let since = Tick(1_000_000) - secs(900);
    let mut rig = Rig::resumed_with(policy, JournalEntry { in_service: Some(since), ..JournalEntry::FRESH }, false);
    rig.answer(Request::Describe, IN_SERVICE);
    rig.answer(Request::Register, Outcome::Registered);
    rig.event(Event::Activity(busy("job")));
    rig.pass(secs(600));
    assert_eq!(rig.phase(), Phase::Draining { why: LeaveReason::Age });
}

#[test]
fn a_risk_is_no_end_before_it_has_served() {
    let mut rig = Rig::new(AgentPolicy { idle_timeout: None, ..AgentPolicy::default() });
    rig.event(Event::Rebalance);
    rig.answer(Request::Describe, IN_SERVICE);
    rig.answer(Request::Register, Outcome::Registered);
    rig.event(Event::Activity(Activity::Quiet));
    rig.pass(secs(899));
    assert!(matches!(rig.phase(), Phase::Idle { .. }), "recommended from birth, it serves all the same");
    rig.pass(secs(1));
    assert_eq!(rig.phase(), Phase::Draining { why: LeaveReason::Rebalance });
}

/// Whether a replacement is in service its group knows, which then ends the instance at risk: nothing is asked for it.
#[test]
fn who_is_at_risk_leaves_between_jobs_once_the_group_has_replaced_it() {
    let policy = AgentPolicy { protection: Protection::WhileBusy, idle_timeout: None, ..AgentPolicy::default() };
    let mut idle = Rig::idle(policy);
    idle.answer(Request::Protect(false), Outcome::Done);
    idle.event(Event::Rebalance);
    idle.pass(secs(60));
    assert_eq!((idle.phase().why(), idle.open()), (None, vec![]), "it serves, and asks nothing");

    let mut busy = idle.clone().at_work();
    busy.answer(Request::Protect(true), Outcome::Done);
    busy.pass(secs(60));
    assert_eq!((busy.phase(), busy.open()), (Phase::Busy, vec![]), "nobody may end it under its job");
    busy.event(Event::Activity(Activity::Quiet));
    busy.answer(Request::Protect(false), Outcome::Done);

    for mut rig in [idle, busy] {
        rig.event(Event::TargetState(TargetState::Terminated));
        assert_eq!(rig.phase(), Phase::Draining { why: LeaveReason::ScaleIn }, "long before it has served its while");
        assert!(rig.open().contains(&Request::ExtendHook), "behind the hook: {:?}", rig.open());
    }
}

#[test]
fn a_recommendation_that_is_taken_back_in_time_calls_nobody_away() {
    let policy = || AgentPolicy { idle_timeout: None, ..AgentPolicy::default() };
    let mut rig = Rig::idle(policy());
    rig.event(Event::Rebalance);
    rig.pass(secs(600));
    rig.event(Event::RebalanceLifted);
    rig.pass(secs(86_000));
    assert!(matches!(rig.phase(), Phase::Idle { .. }), "{:?}", rig.phase());
    rig.event(Event::Rebalance);
    assert_eq!(rig.phase(), Phase::Draining { why: LeaveReason::Rebalance }, "given again it counts again");
    rig.event(Event::RebalanceLifted);
    assert_eq!(rig.phase(), Phase::Draining { why: LeaveReason::Rebalance }, "what it began goes on");
    assert!(!rig.lifecycle.can_undrain(), "and is nobody's to take back");
}

#[test]
fn what_was_not_known_before_it_served_is_no_doubt_about_its_jobs() {
    let mut rig = Rig::new(AgentPolicy::default());
    rig.event(Event::Activity(Activity::Unknown("the engine is not up".into())));
    rig.answer(Request::Describe, Outcome::Member(Membership::Warm));
    rig.event(Event::TargetState(TargetState::Warmed));
    rig.pass(secs(86_400));
    rig.event(Event::TargetState(TargetState::InService));
    rig.answer(Request::Describe, IN_SERVICE);
    rig.answer(Request::Register, Outcome::Registered);
    rig.event(Event::Activity(Activity::Unknown("the engine is not up".into())));
    rig.pass(secs(899));
    assert_eq!(rig.phase(), Phase::Busy, "it has its whole time");
    rig.pass(secs(1));
    assert_eq!(rig.phase(), Phase::Draining { why: LeaveReason::Broken });
}

/// A launcher that exits every quarter of an hour and a platform that never answers.
#[test]
fn no_new_runner_ends_the_doubt_about_what_runs_here() {
    let mut rig = Rig::working(AgentPolicy { idle_timeout: None, ..AgentPolicy::default() });
    rig.event(Event::Activity(Activity::Unknown("HTTP 401".into())));
    rig.pass(secs(800));
    rig.event(Event::Activity(Activity::Unknown("HTTP 401".into())));
    rig.event(Event::RunnerExited);
    rig.answer(Request::Register, Outcome::Registered);
    assert_eq!(rig.phase(), Phase::Busy);
    rig.pass(secs(101));
    assert!(rig.lifecycle.trouble().is_some(), "{:?}", rig.lifecycle.status());
}

#[test]
fn of_several_ends_at_once_the_strongest_is_told() {
    let policy = AgentPolicy { max_age: Some(secs(600)), jobs_per_instance: Some(1), ..AgentPolicy::default() };
    let since = Tick(1_000_000) - secs(900);
    let both = JournalEntry { served: 1, in_service: Some(since), ..JournalEntry::FRESH };
    let mut rig = Rig::resumed_with(policy, both, true);
    assert_eq!(rig.phase(), Phase::Draining { why: LeaveReason::Age });
    rig.event(Event::RunnerExpires { at: since + secs(1) });
    assert_eq!(rig.phase(), Phase::Draining { why: LeaveReason::RunnerExpired });
}

/// One that is drained by a person may be called back, and one that is full serves again: not one that is too old as well, or at risk.
#[test]
fn age_and_a_risk_count_while_it_drains_for_a_weaker_reason_and_for_no_stronger_one() {
    let policy = || AgentPolicy { max_age: Some(secs(900)), idle_timeout: None, ..AgentPolicy::default() };
    let full = |rig: &mut Rig| {
        for _ in 0..3 {
            rig.event(Event::Room(Room::Short("0 B are free".into())));
        }
    };
    let drain = |rig: &mut Rig| rig.event(Event::Order(Order::Drain));
    let maintenance = |rig: &mut Rig| rig.event(Event::Ending { by: Ending::Maintenance, at: None });
    let cases: [(fn(&mut Rig), _, _); 5] = [
        (full, LeaveReason::Full, LeaveReason::Age),
        (drain, LeaveReason::Operator, LeaveReason::Operator),
        (maintenance, LeaveReason::Maintenance, LeaveReason::Maintenance),
        (|rig| rig.event(Event::TargetState(TargetState::Terminated)), LeaveReason::ScaleIn, LeaveReason::ScaleIn),
        (
            |rig| {
                rig.event(Event::Rebalance);
                rig.event(Event::Order(Order::Drain));
            },
            LeaveReason::Operator,
            LeaveReason::Rebalance,
        ),
    ];
    for (begin, why, then) in cases {
        let mut rig = Rig::working(policy());
        begin(&mut rig);
        rig.pass(secs(899));
        assert_eq!(rig.phase(), Phase::Draining { why });
        rig.pass(secs(1));
        assert_eq!(rig.phase(), Phase::Draining { why: then }, "{why}");
        rig.event(Event::Rebalance);
        rig.pass(secs(3600));
        assert_eq!(rig.phase(), Phase::Draining { why: then.max(LeaveReason::Rebalance) }, "{why}");
    }
}
