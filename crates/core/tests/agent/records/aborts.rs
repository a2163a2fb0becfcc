//! What is told of runners that are made to fail their jobs for a deadline, and of those that do not end when they should.

use std::ops::Range;

use lightsout_core::{
    activity::{Activity, JobId},
    agent::{
        event::{Event, Order},
        policy::AgentPolicy,
    },
    cloud::Ending,
    record::IncidentKind,
};

use super::story::{BY_SIGNAL, Story};
use crate::rig::{busy, secs};

/// What was told of this kind.
fn details(story: &Story, kind: IncidentKind) -> Vec<&str> {
    story.incidents.iter().filter(|incident| incident.what == kind).map(|incident| incident.detail.as_str()).collect()
}

/// The machine may be gone before the runner has ended.
#[test]
fn jobs_that_are_failed_while_the_instance_ends_are_told_with_its_certificate_and_once() {
    let mut story = Story::idle(AgentPolicy::default(), BY_SIGNAL);
    story.see(busy("job-1"));
    story.hangs = true;
    let at = story.now + secs(120);
    story.event(Event::Ending { by: Ending::Interruption, at: Some(at) });
    story.pass(secs(110));
    let jobs = &story.departure().jobs;
    assert_eq!((jobs.cut, &jobs.cut_ids[..]), (true, &["job-1".to_owned()][..]));
    let told = ["the cloud was about to end them: job-1"];
    assert_eq!(details(&story, IncidentKind::JobsCut), told);
    story.answers_late();
    assert_eq!(details(&story, IncidentKind::JobsCut), told);
    assert!(!story.told().contains(&IncidentKind::StuckRunner), "{:?}", story.told());
}

#[test]
fn a_certificate_names_each_failed_job_once_and_no_more_than_twenty() {
    let named = |jobs: Range<u32>| jobs.map(|n| format!("job-{n:02}"));
    let running = |jobs: Range<u32>| Activity::Busy(named(jobs).map(JobId).collect());
    let mut story = Story::idle(AgentPolicy::default(), BY_SIGNAL);
    story.stubborn = true;
    story.see(running(0..15));
    // Jobs are failed for a deadline that is called off when it is too late for them.
    story.hangs = true;
    let at = story.now + secs(1_000);
    story.event(Event::Ending { by: Ending::Maintenance, at: Some(at) });
    story.pass(secs(980));
    assert!(story.agent.aborted());
    story.event(Event::Lifted(Ending::Maintenance));
    story.answers_late();
    assert_eq!(details(&story, IncidentKind::JobsCut).len(), 1, "{:?}", story.told());
    // Another comes. Five of the jobs still run then, and ten more.
    story.see(running(10..25));
    let at = story.now + secs(120);
    story.event(Event::Ending { by: Ending::Interruption, at: Some(at) });
    story.pass(secs(121));
    assert_eq!(story.departure().jobs.cut_ids, named(0..20).collect::<Vec<_>>());
    assert_eq!(details(&story, IncidentKind::JobsCut).len(), 2, "{:?}", story.told());
}

#[test]
fn a_runner_that_has_no_job_and_does_not_exit_is_told_when_it_is_ended_and_none_of_its_jobs_as_failed() {
    let mut story = Story::idle(AgentPolicy::default(), BY_SIGNAL);
    story.stubborn = true;
    story.see(busy("job-1"));
    story.order(Order::Drain);
    story.see(Activity::Quiet);
    story.pass(secs(890));
    assert!(story.runner.is_some() && details(&story, IncidentKind::StuckRunner).is_empty());
    story.pass(secs(60));
    let told = ["told to exit, it had no job and did not exit"];
    assert_eq!(details(&story, IncidentKind::StuckRunner), told, "{:?}", story.told());
    assert!(!story.told().contains(&IncidentKind::JobsCut), "{:?}", story.told());
    assert!(!story.departure().jobs.cut);
}

/// The drain is taken back, but the runner was told to go: the next one begins when it has.
#[test]
fn a_runner_that_does_not_exit_is_told_when_it_is_ended_after_its_drain_was_taken_back_too() {
    let mut story = Story::idle(AgentPolicy::default(), BY_SIGNAL);
    story.stubborn = true;
    story.see(busy("job-1"));
    story.order(Order::Drain);
    story.order(Order::Undrain);
    story.see(Activity::Quiet);
    story.pass(secs(950));
    let told = ["told to exit, it had no job and did not exit"];
    assert_eq!(details(&story, IncidentKind::StuckRunner), told, "{:?}", story.told());
    assert!(story.runner.is_some(), "{:?}", story.agent.status());
}
