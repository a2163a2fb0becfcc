//! What is written down of an instance's life: each reason and each way has its certificate, and nothing is said twice.

mod aborts;
mod certificates;
mod incidents;
mod last_words;
mod reasons;
mod serving;
mod story;

use std::time::Duration;

use lightsout_core::{
    activity::Activity,
    agent::{
        action::Rung,
        event::{Event, Order},
        host::{JournalEntry, Prepared, ToldToDrain},
        phase::{LeaveReason, Saved},
        policy::AgentPolicy,
    },
    cloud::{CloudErrorKind, Ending, Membership, TargetState},
    record::{DecidedBy, IncidentCause, IncidentKind, NoticeKind, ProofBy, Way},
};

use crate::rig::{busy, secs};
use reasons::left_for;
use story::{BY_CALL, BY_SIGNAL, Story, steps};

#[test]
fn phases_and_their_times_are_those_that_were() {
    let mut story = Story::idle(AgentPolicy::default(), BY_SIGNAL);
    story.pass(secs(100));
    story.see(busy("job-1"));
    story.pass(secs(50));
    story.see(Activity::Quiet);
    story.pass(secs(20));
    story.see(busy("job-2"));
    story.order(Order::Drain);
    story.pass(secs(7));
    assert_eq!(story.departures, [], "it waits for its job");
    story.see(Activity::Quiet);
    let departure = story.departure();
    let spans: Vec<(&str, u64)> = departure.phases.iter().map(|span| (span.phase.as_str(), span.ms)).collect();
    let expected =
        [("booting", 0), ("registering", 0), ("busy", 50_000), ("idle", 120_000), ("draining", 7_000), ("retiring", 0)];
    let mut sorted = spans.clone();
    sorted.sort_unstable();
    let mut wanted = expected.to_vec();
    wanted.sort_unstable();
    assert_eq!(sorted, wanted, "{spans:?}");
    assert_eq!(departure.served, 2);
}

/// How an ending is answered.
type Ends = fn(Rung) -> Result<(), CloudErrorKind>;

/// One that begins to leave by the gentlest way that there is for it: a launch that fails is given up first.
fn leaving(gentlest: Rung, ends: Ends) -> Story {
    let policy = AgentPolicy { rung_patience: secs(10), ..AgentPolicy::default() };
    if gentlest == Rung::Abandon {
        let policy = AgentPolicy { before_register: Some(secs(60)), launch_hook: true, ..policy };
        let mut story = Story::begin(policy, BY_SIGNAL);
        story.prepared = Prepared::Failed("exit status: 3: no disk".into());
        story.membership = Membership::Pending { waiting: true };
        story.ends = ends;
        story.go();
        return story;
    }
    let mut story = Story::idle(policy, BY_SIGNAL);
    story.pass(secs(20));
    story.ends = ends;
    story.order(Order::Drain);
    story
}

#[test]
fn each_way_that_is_tried_has_a_certificate_and_the_last_tells_how_it_ended() {
    let all = [Way::Abandon, Way::Decrement, Way::Replace, Way::Unhealthy, Way::Terminate, Way::PowerOff];
    for (first, why) in [(Rung::Abandon, LeaveReason::Broken), (Rung::Decrement, LeaveReason::Operator)] {
        let mut story = leaving(first, |_| Err(CloudErrorKind::Denied));
        story.pass(secs(600));
        let ways: Vec<Way> = story.departures.iter().map(|departure| departure.way).collect();
        assert_eq!(ways, all[first as usize..], "one for each way, however often it is tried");
        assert!(story.departures.iter().all(|departure| departure.reason == why && departure.proof.proven), "{why}");
        let (last, others) = story.patience.split_last().unwrap();
        assert!(*last == Duration::ZERO && others.iter().all(|wait| *wait == secs(2)), "{:?}", story.patience);
        let refused = story.incidents.iter().find(|incident| incident.what == IncidentKind::CloudRefused).unwrap();
        let call = if first == Rung::Abandon { "giving the launch up" } else { "with decrement" };
        assert!(refused.detail.contains(&format!("{call}: the role may not do this")), "{refused:#?}");
    }
    let until: [(Rung, Ends); 6] = [
        (Rung::Abandon, |_| Ok(())),
        (Rung::Decrement, |rung| denied_below(Rung::Decrement, rung)),
        (Rung::Replace, |rung| denied_below(Rung::Replace, rung)),
        (Rung::Unhealthy, |rung| denied_below(Rung::Unhealthy, rung)),
        (Rung::Terminate, |rung| denied_below(Rung::Terminate, rung)),
        (Rung::PowerOff, |rung| denied_below(Rung::PowerOff, rung)),
    ];
    for (last, ends) in until {
        for first in [Rung::Abandon, Rung::Decrement].into_iter().filter(|first| *first <= last) {
            let mut story = leaving(first, ends);
            let ended = Membership::Terminating { waiting: false };
            let passed = (0..600).find(|_| {
                story.pass(secs(1));
                story.membership == ended
            });
            assert!(passed.is_some(), "{:#?}", story.departures);
            assert_eq!(story.departures.last().map(|departure| departure.way), Some(Way::from(last)), "from {first:?}");
        }
    }
}

fn denied_below(last: Rung, rung: Rung) -> Result<(), CloudErrorKind> {
    if rung < last { Err(CloudErrorKind::Denied) } else { Ok(()) }
}

#[test]
fn before_a_spot_deadline_nothing_waits() {
    let story = left_for(LeaveReason::Spot, BY_SIGNAL);
    assert_eq!(story.patience, [Duration::ZERO]);
    let story = left_for(LeaveReason::Idle, BY_SIGNAL);
    assert_eq!(story.patience, [secs(2)]);
}

/// Whoever deleted the machine: its group has chosen it, and its cloud has not taken it back.
#[test]
fn an_ending_of_the_group_with_a_deadline_is_a_scale_in() {
    let mut story = Story::idle(AgentPolicy::default(), BY_SIGNAL);
    story.membership = Membership::Terminating { waiting: true };
    let at = story.now + secs(100);
    story.event(Event::Ending { by: Ending::Termination, at: Some(at) });
    let departure = story.departure();
    assert_eq!((departure.reason, departure.decided_by), (LeaveReason::ScaleIn, DecidedBy::Group));
    assert!(departure.trigger.contains("with time until 2026-11-26T03:01:40.000Z"), "{}", departure.trigger);
    let notices: Vec<_> = departure.notices.iter().map(|seen| (seen.notice, seen.at.as_deref())).collect();
    assert_eq!(notices, [(NoticeKind::ScaleIn, Some("2026-11-26T03:01:40.000Z"))]);
    assert_eq!(story.patience, [secs(2)], "there is time to hand the certificate in");
}

/// A deadline for which its jobs are about to be failed is called off before they are.
#[test]
fn jobs_that_were_not_failed_are_not_told_as_such_and_those_of_the_next_deadline_are() {
    let cut = |story: &Story| story.told().iter().filter(|what| **what == IncidentKind::JobsCut).count();
    let called_off = |rules| {
        let mut story = Story::idle(AgentPolicy::default(), rules);
        story.see(busy("a"));
        let at = story.now + secs(1_000);
        story.event(Event::Ending { by: Ending::Maintenance, at: Some(at) });
        story.pass(secs(970));
        story.now = story.agent.poll_timeout().unwrap().max(at - AgentPolicy::default().abort_margin);
        story.agent.handle_timeout(story.now);
        assert!(story.agent.aborted());
        story.recorder.stands(&story.agent, story.moment());
        story.event(Event::Lifted(Ending::Maintenance));
        assert!(!story.agent.aborted() && story.runner.is_some());
        story
    };
    for rules in [BY_SIGNAL, BY_CALL] {
        let mut story = called_off(rules);
        story.see(Activity::Quiet);
        story.pass(secs(60));
        let jobs = &story.departure().jobs;
        assert_eq!((jobs.cut, &jobs.cut_ids[..], cut(&story)), (false, &[][..], 0), "it ran to its end");
        assert!(!story.told().contains(&IncidentKind::StuckRunner), "{:?}", story.told());

        let mut story = called_off(rules);
        story.see(busy("b"));
        let at = story.now + secs(120);
        story.event(Event::Ending { by: Ending::Interruption, at: Some(at) });
        story.pass(secs(121));
        let jobs = &story.departure().jobs;
        assert_eq!((jobs.cut, &jobs.cut_ids[..], cut(&story)), (true, &["b".to_owned()][..], 1));
        assert!(!story.told().contains(&IncidentKind::StuckRunner), "{:?}", story.told());
    }
}

/// The journal has the reason and the proof, and nothing else: what is lost is said, and not guessed.
#[test]
fn an_agent_that_is_started_again_while_it_leaves_writes_a_certificate_that_says_what_is_missing() {
    for why in [LeaveReason::Idle, LeaveReason::ScaleIn, LeaveReason::Broken] {
        for (proven, runner) in [(true, None), (false, Some(ToldToDrain::Yes))] {
            let entry =
                JournalEntry { saved: Saved::Leaving { why }, served: 4, registered: true, in_service: None, proven };
            let mut story = Story::resume(AgentPolicy::default(), BY_SIGNAL, entry, runner);
            story.go();
            if runner.is_some() {
                story.runner = None;
                story.event(Event::RunnerExited);
            }
            // Its end may have been asked for already.
            story.pass(secs(90));
            let departure = story.departure();
            assert_eq!((departure.reason, departure.served, &departure.decided_at), (why, 4, &None));
            let why = "what made it so is not known, because the agent was started again at 2026-11-26T03:00:00.000Z";
            assert!(departure.trigger.contains(why), "{}", departure.trigger);
            assert!(departure.not_known[0].contains("before 2026-11-26T03:00:00.000Z"), "{:?}", departure.not_known);
            assert!(departure.proof.proven, "{departure:#?}");
            let first = if proven { ProofBy::Journal } else { ProofBy::RunnerExit };
            assert_eq!(steps(departure).first(), Some(&first), "{:#?}", departure.proof);
        }
    }
}

#[test]
fn a_leave_that_is_taken_back_is_told_and_the_next_one_has_a_certificate_of_its_own() {
    let mut story = Story::idle(AgentPolicy::default(), BY_CALL);
    // Its group reaches its minimum between the question for room and the ending.
    story.ends = |_| Err(CloudErrorKind::AtFloor);
    story.pass(secs(601));
    let [certificate, withdrawn] = &story.departures[..] else { panic!("{:#?}", story.departures) };
    assert_eq!(certificate.withdrawn, None, "it was about to end");
    assert!(withdrawn.withdrawn.as_ref().unwrap().contains("floor"), "{withdrawn:#?}");
    assert_eq!((withdrawn.way, &withdrawn.decided_at), (certificate.way, &certificate.decided_at));
    assert!(story.told().ends_with(&[IncidentKind::Leaving, IncidentKind::DrainTakenBack]), "{:?}", story.told());
    story.ends = |_| Ok(());
    story.see(busy("job-1"));
    story.see(Activity::Quiet);
    story.pass(secs(1_200));
    assert_eq!(story.departures.len(), 3);
    let last = &story.departures[2];
    assert!(last.proof.proven && last.served == 1 && last.withdrawn.is_none(), "{last:#?}");
}

/// A machine that shuts down ends jobs before its agent sees it.
#[test]
fn the_jobs_that_ran_when_the_service_was_told_to_stop_are_named() {
    let mut story = Story::idle(AgentPolicy::default(), BY_SIGNAL);
    story.see(busy("job-1"));
    story.event(Event::Stop);
    let stop = story.incidents.iter().find(|incident| incident.what == IncidentKind::DrainOrdered).unwrap();
    assert_eq!(stop.because, Some(IncidentCause::ServiceStopped));
    story.runner = None;
    story.see(Activity::Quiet);
    story.event(Event::RunnerExited);
    story.pass(secs(60));
    let jobs = &story.departure().jobs;
    assert_eq!((jobs.count, jobs.cut, &jobs.at_stop[..]), (Some(0), false, &["job-1".to_owned()][..]), "{jobs:?}");
}

/// The group says nothing when the time of its hook is over: it has the machine shut down.
#[test]
fn a_stop_after_the_time_of_the_hook_is_told_from_one_before() {
    let stopped = |extends: bool, wait: u64| {
        let mut story = Story::idle(AgentPolicy::default(), BY_SIGNAL);
        story.extends = extends;
        story.see(busy("job-1"));
        story.event(Event::TargetState(TargetState::Terminated));
        story.pass(secs(wait));
        story.event(Event::Stop);
        let stop = story.incidents.iter().rfind(|it| it.what == IncidentKind::DrainOrdered).unwrap();
        (stop.because, stop.detail.clone())
    };
    assert_eq!(stopped(false, 300).0, Some(IncidentCause::ServiceStopped), "the hook waits for 600 s");
    assert_eq!(stopped(true, 3000).0, Some(IncidentCause::ServiceStopped), "and longer when it is extended");
    let (because, detail) = stopped(false, 600);
    assert_eq!(because, Some(IncidentCause::HookTimedOut), "{detail}");
    assert!(detail.contains("its time-out is 10m"), "{detail}");
    assert_eq!(stopped(false, 596).0, Some(IncidentCause::HookTimedOut), "its notice may be seen late");
}

/// AWS accepts an extension until the end, and the hook runs out all the same: at 100 times its time-out, at 48 h at most.
#[test]
fn a_hook_that_was_extended_to_its_longest_has_run_out_and_begins_anew_for_another_ending() {
    const HOUR: u64 = 3_600;
    let waiting = |time_out: u64| {
        let mut story = Story::begin(AgentPolicy::default(), BY_SIGNAL);
        story.time_out = secs(time_out);
        story.go();
        story.see(busy("job-1"));
        story.event(Event::TargetState(TargetState::Terminated));
        story
    };
    let stop = |mut story: Story| {
        story.event(Event::Stop);
        let stop = story.incidents.iter().rfind(|it| it.what == IncidentKind::DrainOrdered).unwrap();
        (stop.because, stop.detail.clone())
    };
    for (time_out, longest, told) in [(600, 60_000, "16h40m"), (7_200, 48 * HOUR, "2d")] {
        let after = |wait: u64| {
            let mut story = waiting(time_out);
            story.pass(secs(wait));
            stop(story)
        };
        assert_eq!(after(longest - 60).0, Some(IncidentCause::ServiceStopped), "it waits for {longest} s");
        assert_eq!(after(longest - 4).0, Some(IncidentCause::HookTimedOut), "its notice may be seen late");
        let (because, detail) = after(longest);
        assert_eq!(because, Some(IncidentCause::HookTimedOut), "{detail}");
        assert!(detail.contains(&format!("cannot be extended beyond {told}")), "{detail}");
    }
    let mut story = waiting(600);
    story.pass(secs(59_000));
    story.event(Event::Lifted(Ending::Termination));
    story.event(Event::TargetState(TargetState::Terminated));
    story.pass(secs(3_000));
    assert_eq!(stop(story).0, Some(IncidentCause::ServiceStopped), "another ending has its own time");
}

/// The group ends it without a call of ours: there is a certificate all the same.
#[test]
fn an_instance_that_its_group_ends_already_has_a_certificate() {
    let mut story = Story::idle(AgentPolicy::default(), BY_SIGNAL);
    story.membership = Membership::Terminating { waiting: false };
    story.order(Order::Drain);
    assert_eq!(story.departure().way, Way::Group);
    story.pass(secs(60));
    assert_eq!(story.departures.len(), 1);
}
