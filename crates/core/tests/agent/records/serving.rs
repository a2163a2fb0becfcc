//! What is told while it serves: doubt, jobs, holds and standing orders, and what repeats.

use lightsout_core::{
    activity::Activity,
    agent::{
        event::{Event, Order},
        host::{JournalEntry, ToldToDrain},
        phase::{LeaveReason, Saved},
        policy::AgentPolicy,
    },
    cloud::StandingOrder,
    record::{IncidentKind, NoticeKind},
};

use super::story::{BY_CALL, BY_SIGNAL, Story};
use crate::rig::{busy, secs};

#[test]
fn what_repeats_is_told_when_its_number_has_doubled() {
    let mut story = Story::begin(AgentPolicy::default(), BY_SIGNAL);
    story.registers = Err("the token has expired".into());
    story.go();
    story.pass(secs(599));
    let failed = story.incidents.iter().filter(|incident| incident.what == IncidentKind::RegistrationFailed);
    let times: Vec<u32> = failed.clone().map(|incident| incident.times).collect();
    assert!(times.len() >= 4 && times.iter().all(|times| times.is_power_of_two()) && times.is_sorted(), "{times:?}");
    assert!(failed.clone().all(|incident| incident.detail.contains("the token has expired")));
    story.registers = Ok(());
    story.pass(secs(31));
    let told = story.told();
    assert!(!told.contains(&IncidentKind::Ready) || told.last() == Some(&IncidentKind::Ready), "{told:?}");
}

#[test]
fn doubt_is_told_when_it_lasts_and_when_it_ends() {
    let mut story = Story::idle(AgentPolicy::default(), BY_SIGNAL);
    let doubt = || Activity::Unknown("docker does not answer".into());
    story.see(doubt());
    story.pass(secs(30));
    story.see(Activity::Quiet);
    assert!(!story.told().contains(&IncidentKind::ActivityUnknown), "{:?}", story.told());
    for _ in 0..5 {
        story.see(doubt());
        story.pass(secs(30));
    }
    story.see(Activity::Quiet);
    assert!(
        story.told().ends_with(&[IncidentKind::ActivityUnknown, IncidentKind::ActivityKnown]),
        "{:?}",
        story.told()
    );
    let unknown = story.incidents.iter().find(|incident| incident.what == IncidentKind::ActivityUnknown);
    assert_eq!(unknown.map(|incident| incident.detail.as_str()), Some("docker does not answer"));
}

#[test]
fn which_jobs_run_is_told_whenever_they_are_others() {
    let mut story = Story::idle(AgentPolicy::default(), BY_CALL);
    for activity in [
        busy("job-1"),
        busy("job-1"),
        Activity::Unknown("docker does not answer".into()),
        busy("job-1"),
        busy("job-2"),
        Activity::Quiet,
        Activity::Quiet,
    ] {
        story.see(activity);
    }
    let turns = [(IncidentKind::Busy, "job-1"), (IncidentKind::Busy, "job-2"), (IncidentKind::Idle, "")];
    assert_eq!(story.turns(), turns);
}

#[test]
fn a_drain_whose_jobs_are_not_known_for_a_moment_is_not_told_to_have_none() {
    let doubt = || Activity::Unknown("docker does not answer".into());
    let turns = [(IncidentKind::Busy, "job-1"), (IncidentKind::Idle, "")];
    let mut story = Story::idle(AgentPolicy::default(), BY_SIGNAL);
    story.see(busy("job-1"));
    story.order(Order::Drain);
    story.see(doubt());
    story.see(busy("job-1"));
    assert_eq!(story.turns(), turns[..1]);
    story.see(Activity::Quiet);
    assert_eq!(story.turns(), turns);

    // An agent that is started again beside a job has seen nothing yet.
    let saved = Saved::Leaving { why: LeaveReason::Operator };
    let entry = JournalEntry { saved, served: 1, registered: true, in_service: None, proven: false };
    let mut story = Story::resume(AgentPolicy::default(), BY_SIGNAL, entry, Some(ToldToDrain::Yes));
    story.go();
    story.pass(secs(1));
    assert_eq!(story.turns(), []);
    story.see(busy("job-1"));
    story.see(Activity::Quiet);
    assert_eq!(story.turns(), turns);
}

#[test]
fn a_hold_and_its_orders_are_told() {
    let mut story = Story::idle(AgentPolicy::default(), BY_SIGNAL);
    let until = story.now + secs(3_600);
    story.order(Order::Hold { until });
    story.order(Order::Drain);
    let told = story.told();
    assert!(told.contains(&IncidentKind::Held) && told.contains(&IncidentKind::DrainOrdered), "{told:?}");
    let held = &story.departure().notices[0];
    assert_eq!((held.notice, held.at.as_deref()), (NoticeKind::Hold, Some("2026-11-26T04:00:00.000Z")));
}

#[test]
fn what_stands_on_the_instance_is_told_like_an_order() {
    let mut story = Story::idle(AgentPolicy::default(), BY_SIGNAL);
    let until = story.now + secs(3_600);
    story.event(Event::StandingOrder(Some(StandingOrder::Hold { until })));
    story.event(Event::StandingOrder(None));
    story.event(Event::StandingOrder(Some(StandingOrder::Drain)));
    let told = story.told();
    for kind in [IncidentKind::Held, IncidentKind::HoldEnded, IncidentKind::DrainOrdered] {
        assert_eq!(told.iter().filter(|it| **it == kind).count(), 1, "{kind:?} in {told:?}");
    }
    assert!(story.departure().trigger.starts_with("an operator's drain at "), "{:?}", story.departure().trigger);
}
