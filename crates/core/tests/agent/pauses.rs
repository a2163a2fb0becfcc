//! What is asked beside the main line, and refused: ever more rarely, since others share what the account may ask, and early enough for what it is for.

use std::collections::BTreeSet;

use lightsout_core::{
    activity::Activity,
    agent::{
        action::Request,
        event::{Event, Order, Outcome},
        jitter::Jitter,
        phase::{LeaveReason, Phase, Saved},
        policy::{AgentPolicy, Protection},
    },
    cloud::{Membership, TargetState},
    time::Tick,
};

use crate::rig::{HELD_CLOUD, PROGRAM_CLOUD, Rig, busy, secs};

/// When this is asked within an hour in which it is always answered like this.
fn asked(rig: &mut Rig, request: Request, outcome: &Outcome) -> Vec<Tick> {
    let (start, mut asked) = (rig.now, Vec::new());
    while rig.now.since(start) < secs(3600) {
        if rig.open().contains(&request) {
            asked.push(rig.now);
            rig.answer(request, outcome.clone());
        }
        rig.pass(secs(1));
    }
    asked
}

fn while_busy() -> AgentPolicy {
    AgentPolicy { protection: Protection::WhileBusy, idle_timeout: None, ..AgentPolicy::default() }
}

/// One that was not protected at its launch, and serves.
fn born_without(jitter: Jitter) -> Rig {
    let mut rig = Rig::with_jitter(AgentPolicy { idle_timeout: None, ..AgentPolicy::default() }, jitter);
    rig.answer(Request::Describe, Outcome::Member(Membership::InService { protected: false }));
    rig.answer(Request::Register, Outcome::Registered);
    rig.event(Event::Activity(Activity::Quiet));
    rig
}

#[test]
fn protection_that_is_refused_for_good_is_asked_for_ever_more_rarely() {
    let denied = || Outcome::Denied("not authorized".into());
    let throttled = || Outcome::Rejected("too many calls".into());
    // A detached one has nothing to be protected from; nor does one find that out that was started again beside its runner.
    let restarted = Rig::resumed(while_busy(), Saved::Serving, true);
    for (mut rig, request, outcome) in [
        (born_without(Jitter::NONE), Request::Protect(true), denied()),
        (born_without(Jitter::NONE), Request::Protect(true), Outcome::NotInGroup),
        (restarted, Request::Protect(true), Outcome::NotInGroup),
        (Rig::idle(while_busy()), Request::Protect(false), denied()),
        (Rig::idle(while_busy()), Request::Protect(false), throttled()),
    ] {
        let asked = asked(&mut rig, request, &outcome);
        assert!(asked[1].since(asked[0]) <= secs(5), "soon at first: {asked:?}");
        assert!((50..=90).contains(&asked.len()), "{request:?} {} times in an hour", asked.len());
    }
}

/// Nothing is registered before it is there, and whatever runs without it can be chosen by the group.
#[test]
fn protection_that_is_wanted_and_may_come_is_asked_for_every_quarter_of_a_minute() {
    let booting = |cloud| {
        let mut rig = Rig::on(cloud, AgentPolicy { boot_deadline: secs(7200), ..AgentPolicy::default() });
        rig.answer(Request::Describe, Outcome::Member(Membership::InService { protected: false }));
        assert_eq!(rig.phase(), Phase::Booting);
        rig
    };
    let mut works = Rig::idle(while_busy());
    works.answer(Request::Protect(false), Outcome::Done);
    works.event(Event::Activity(busy("a")));
    for outcome in [Outcome::Rejected("the scale set is being changed".into()), Outcome::Failed("no answer".into())] {
        for mut rig in [booting(HELD_CLOUD), booting(PROGRAM_CLOUD), born_without(Jitter::NONE), works.clone()] {
            let asked = asked(&mut rig, Request::Protect(true), &outcome);
            let longest = asked.windows(2).map(|pair| pair[1].since(pair[0])).max();
            assert!(longest <= Some(secs(15)), "{outcome:?}: {longest:?}");
            assert!((235..=245).contains(&asked.len()), "{} times in an hour", asked.len());
        }
    }
    let mut rig = born_without(Jitter::of("i-1"));
    let asked = asked(&mut rig, Request::Protect(true), &Outcome::Rejected("too many calls".into()));
    let pauses: BTreeSet<_> = asked[10..].windows(2).map(|pair| pair[1].since(pair[0])).collect();
    assert!(pauses.len() > 2, "the longest differs, too: {pauses:?}");
    assert!((240..=330).contains(&asked.len()), "{} times in an hour", asked.len());
}

#[test]
fn a_heartbeat_that_is_refused_is_tried_in_time_and_no_more_often_than_that() {
    for (heartbeat, most) in [(10, 730), (60, 150), (1200, 90)] {
        let mut rig = Rig::working(AgentPolicy::default());
        rig.answer(Request::FindHook, Outcome::HookFound { heartbeat: secs(heartbeat) });
        rig.event(Event::TargetState(TargetState::Terminated));
        rig.answer(Request::Save(Saved::Leaving { why: LeaveReason::ScaleIn }), Outcome::Done);
        assert_eq!(rig.phase(), Phase::Draining { why: LeaveReason::ScaleIn });
        let asked = asked(&mut rig, Request::ExtendHook, &Outcome::Rejected("too many calls".into()));
        assert!(asked.len() <= most, "{} times in an hour, of a hook that waits for {} s", asked.len(), 3 * heartbeat);
        let longest = asked.windows(2).map(|pair| pair[1].since(pair[0])).max();
        assert!(longest <= Some(secs(heartbeat)), "{longest:?}: two more tries before it runs out");
    }
}

/// Else a job would run without protection, for as long as it takes, since the agent believed to have it.
#[test]
fn protection_that_may_have_been_given_up_is_taken_again_for_the_next_job() {
    let mut rig = Rig::idle(while_busy());
    rig.answer(Request::Protect(false), Outcome::Failed("no answer".into()));
    rig.event(Event::Activity(busy("a")));
    assert_eq!(rig.open(), [Request::Protect(true)]);
    let mut rig = Rig::idle(while_busy());
    let lost = rig.take(Request::Protect(false));
    rig.event(Event::Activity(busy("a")));
    rig.complete(lost, Outcome::Failed("no answer".into()));
    assert_eq!(rig.open(), [Request::Protect(true)], "also where the job came first");
}

/// The policy changes meanwhile.
#[test]
fn protection_that_may_have_been_given_up_is_taken_again_where_it_is_always_wanted_now() {
    for lost_after in [false, true] {
        let mut rig = Rig::idle(while_busy());
        let lost = rig.take(Request::Protect(false));
        let always = AgentPolicy { protection: Protection::Always, ..while_busy() };
        let complete = |rig: &mut Rig| rig.complete(lost, Outcome::Failed("no answer".into()));
        if !lost_after {
            complete(&mut rig);
        }
        rig.event(Event::Policy(always));
        if lost_after {
            complete(&mut rig);
        }
        assert_eq!(rig.open(), [Request::Protect(true)], "while idle");
        rig.answer(Request::Protect(true), Outcome::Failed("no answer".into()));
        rig.event(Event::Activity(busy("a")));
        rig.pass(secs(5));
        rig.answer(Request::Protect(true), Outcome::Done);
        assert_eq!(rig.lifecycle.status().protected, Some(true));
        assert!(asked(&mut rig, Request::Protect(true), &Outcome::Done).is_empty(), "once it is there");
    }
}

/// Between the two the settings may have changed from `while-busy`, and the job that begins next is the first of many without.
#[test]
fn protection_that_the_agent_before_may_have_given_up_is_taken_again() {
    for saved in [Saved::Serving, Saved::Returning, Saved::Leaving { why: LeaveReason::Age }] {
        let mut rig = Rig::resumed(AgentPolicy { idle_timeout: None, ..AgentPolicy::default() }, saved, true);
        assert_eq!(rig.lifecycle.status().protected, Some(true), "{saved:?}");
        assert!(asked(&mut rig, Request::Protect(true), &Outcome::Done).is_empty(), "{saved:?}: once it is there");
    }
}

#[test]
fn a_refusal_to_give_protection_up_delays_nothing_that_a_job_needs() {
    let mut rig = Rig::idle(while_busy());
    rig.answer(Request::Protect(false), Outcome::Done);
    rig.event(Event::Activity(busy("a")));
    for _ in 0..8 {
        rig.answer(Request::Protect(true), Outcome::Rejected("too many calls".into()));
        rig.pass(secs(60));
    }
    rig.event(Event::Activity(Activity::Quiet));
    rig.event(Event::Activity(busy("b")));
    let asked = rig.open().into_iter().filter(|request| matches!(request, Request::Protect(_))).collect::<Vec<_>>();
    assert_eq!(asked, [Request::Protect(true)], "at once for each job");
    rig.answer(Request::Protect(true), Outcome::Rejected("too many calls".into()));
    rig.pass(secs(5));
    assert!(rig.open().contains(&Request::Protect(true)), "and soon again");
}

#[test]
fn a_heartbeat_of_the_launch_hook_that_is_refused_is_tried_in_time() {
    for known in [None, Some(20)] {
        let policy = AgentPolicy { launch_hook: true, before_register: Some(secs(7200)), ..AgentPolicy::default() };
        let mut rig = Rig::new(policy);
        if let Some(heartbeat) = known {
            rig.pass(secs(5));
            rig.answer(Request::ExtendLaunchHook, Outcome::HookFound { heartbeat: secs(heartbeat) });
        }
        let asked = asked(&mut rig, Request::ExtendLaunchHook, &Outcome::Rejected("too many calls".into()));
        let longest = asked.windows(2).map(|pair| pair[1].since(pair[0])).max();
        let third = known.unwrap_or(10);
        assert_eq!(longest, Some(secs(third / 2)), "{known:?}: there is time for another try");
    }
}

/// Protection belongs to the jobs there, and on its way back into service it has none.
#[test]
fn who_is_protected_only_while_busy_asks_for_nothing_on_its_way_back() {
    let mut rig = Rig::idle(while_busy());
    rig.answer(Request::Protect(false), Outcome::Done);
    rig.event(Event::Order(Order::Drain));
    rig.answer(Request::Save(Saved::Leaving { why: LeaveReason::Operator }), Outcome::Done);
    rig.answer(Request::Drain, Outcome::Signalled);
    rig.answer(Request::Protect(true), Outcome::Rejected("too many calls".into()));
    rig.event(Event::Order(Order::Undrain));
    rig.event(Event::RunnerExited);
    rig.answer(Request::Save(Saved::Returning), Outcome::Done);
    rig.answer(Request::Undrain, Outcome::Relaunch);
    assert_eq!(rig.phase(), Phase::Booting);
    rig.pass(secs(60));
    assert_eq!(rig.open(), [Request::Describe]);
}

/// The cloud applies two calls in any order: the second would be undone by the first.
#[test]
fn protection_is_not_asked_for_anew_while_the_answer_to_the_opposite_is_on_its_way() {
    let mut rig = Rig::idle(while_busy());
    let protection =
        |rig: &Rig| rig.open().into_iter().filter(|it| matches!(it, Request::Protect(_))).collect::<Vec<_>>();
    // It may have been given up all the same: what it is now is not known.
    rig.answer(Request::Protect(false), Outcome::Failed("no answer".into()));
    rig.pass(secs(60));
    assert_eq!(protection(&rig), [Request::Protect(false)]);
    rig.event(Event::Activity(busy("job-1")));
    rig.pass(secs(60));
    assert_eq!(protection(&rig), [Request::Protect(false)], "one at a time");
    rig.answer(Request::Protect(false), Outcome::Done);
    assert_eq!(protection(&rig), [Request::Protect(true)]);
}
