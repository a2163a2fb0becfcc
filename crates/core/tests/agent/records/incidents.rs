//! Incidents: each once, with its cause, and none for what is as it should be.

use std::time::Duration;

use lightsout_core::{
    activity::Activity,
    agent::{
        action::{Request, Rung},
        event::{Event, Order, Outcome},
        host::{CloudCall, HostEffect, JournalEntry, PlatformCall, ToldToDrain},
        phase::{LeaveReason, Saved},
        policy::AgentPolicy,
        recorder::Recorder,
    },
    cloud::{Ending, GroupSize, Membership, TargetState},
    exchange::ErrorKind,
    platform::Drained,
    record::{Incident, IncidentCause, IncidentKind},
};

use super::story::{BY_CALL, BY_SIGNAL, Story};
use crate::rig::{busy, secs};

/// A group that has no more than its minimum.
const AT_FLOOR: GroupSize = GroupSize { desired: 1, min: 1, floor: 1, members: 1, rank: 0 };

const NEVER: [u32; 0] = [];

fn of_kind(story: &Story, kind: IncidentKind) -> Vec<&Incident> {
    story.incidents.iter().filter(|incident| incident.what == kind).collect()
}

fn times(story: &Story, kind: IncidentKind) -> Vec<u32> {
    of_kind(story, kind).iter().map(|incident| incident.times).collect()
}

#[test]
fn that_the_floor_holds_an_idle_instance_is_told_when_its_number_has_doubled_and_anew_after_a_job() {
    let mut story = Story::idle(AgentPolicy::default(), BY_SIGNAL);
    story.size = AT_FLOOR;
    story.pass(secs(601));
    assert_eq!(times(&story, IncidentKind::NoRoom), [1]);
    assert!(of_kind(&story, IncidentKind::NoRoom)[0].detail.contains("floor"), "{:?}", story.incidents);
    story.pass(secs(3_600));
    let told = times(&story, IncidentKind::NoRoom);
    assert!(told.len() > 2 && told.iter().enumerate().all(|(n, times)| *times == 1 << n), "{told:?}");

    // A job that comes while the group is asked ends the row, and nothing else that repeats.
    let mut story = Story::idle(AgentPolicy::default(), BY_SIGNAL);
    story.size = AT_FLOOR;
    story.pass(secs(601));
    story.exits();
    story.see(Activity::Quiet);
    story.comes_while_asked = Some(busy("job-1"));
    story.pass(secs(700));
    story.see(Activity::Quiet);
    story.exits();
    story.see(Activity::Quiet);
    story.pass(secs(601));
    assert_eq!(times(&story, IncidentKind::NoRoom), [1, 1], "{:?}", story.told());
    assert_eq!(times(&story, IncidentKind::RunnerExited), [1, 2], "{:?}", story.told());
}

#[test]
fn a_registration_that_works_again_ends_its_row_and_no_other() {
    let mut story = Story::idle(AgentPolicy::default(), BY_SIGNAL);
    for _ in 0..2 {
        story.registers = Err("the token has expired".into());
        story.exits();
        story.pass(secs(120));
        story.registers = Ok(());
        story.pass(secs(400));
        story.see(Activity::Quiet);
    }
    let failed = times(&story, IncidentKind::RegistrationFailed);
    assert_eq!(failed.iter().filter(|times| **times == 1).count(), 2, "{failed:?}");
    assert_eq!(times(&story, IncidentKind::RunnerExited), [1, 2], "{:?}", story.told());
}

#[test]
fn a_hook_that_is_gone_and_one_that_is_not_extended_have_causes_of_their_own() {
    for (gone, because) in [(true, Some(IncidentCause::HookGone)), (false, None)] {
        let mut story = Story::idle(AgentPolicy::default(), BY_SIGNAL);
        story.see(busy("job-1"));
        story.extends = false;
        story.hook_gone = gone;
        story.membership = Membership::Terminating { waiting: true };
        story.event(Event::TargetState(TargetState::Terminated));
        story.pass(secs(120));
        let refused = of_kind(&story, IncidentKind::HeartbeatRefused);
        assert!(!refused.is_empty() && refused.iter().all(|it| it.because == because), "{:#?}", story.incidents);
    }
    // Nothing else that has no hook is told so.
    let mut story = Story::begin(AgentPolicy::default(), BY_SIGNAL);
    story.no_hook = true;
    story.go();
    story.see(Activity::Quiet);
    story.pass(secs(60));
    let missing = of_kind(&story, IncidentKind::NoHook);
    assert_eq!(missing.iter().map(|it| it.because).collect::<Vec<_>>(), [None], "{:#?}", story.incidents);
}

#[test]
fn that_it_is_ready_is_told_once_in_a_life() {
    let mut story = Story::idle(AgentPolicy::default(), BY_SIGNAL);
    assert_eq!(times(&story, IncidentKind::Ready), [1]);
    story.exits();
    story.pass(secs(60));
    story.see(Activity::Quiet);
    assert_eq!(times(&story, IncidentKind::Ready), [1], "{:?}", story.told());

    // The runner of an earlier agent was told to be ready by that one.
    let entry = JournalEntry { saved: Saved::Serving, registered: true, ..JournalEntry::FRESH };
    let mut story = Story::resume(AgentPolicy::default(), BY_SIGNAL, entry, Some(ToldToDrain::No));
    story.go();
    story.see(Activity::Quiet);
    story.exits();
    story.pass(secs(60));
    story.see(Activity::Quiet);
    assert_eq!(times(&story, IncidentKind::Ready), NEVER, "{:?}", story.told());
}

#[test]
fn only_a_group_that_takes_long_is_told_not_to_put_the_instance_in_service() {
    let told = |membership: Membership, waits: u64| {
        let mut story = Story::begin(AgentPolicy::default(), BY_SIGNAL);
        story.membership = membership;
        story.go();
        story.pass(secs(waits));
        times(&story, IncidentKind::NotInService)
    };
    let pending = Membership::Pending { waiting: false };
    assert_eq!(told(pending, 50), NEVER);
    assert_eq!(told(pending, 100).first(), Some(&1));
    assert_eq!(told(Membership::Warm, 100), NEVER);
    assert_eq!(told(Membership::InService { protected: true }, 100), NEVER);
}

#[test]
fn what_an_instance_that_ends_has_asked_for_itself_is_no_news() {
    let mut story = Story::idle(AgentPolicy::default(), BY_SIGNAL);
    // Its group takes its time to end it.
    story.lingers = true;
    story.pass(secs(601));
    story.event(Event::TargetState(TargetState::Terminated));
    story.event(Event::Ending { by: Ending::Termination, at: None });
    story.event(Event::Stop);
    let told = story.told();
    assert!(!told.contains(&IncidentKind::ScaleInNotice) && !told.contains(&IncidentKind::DrainOrdered), "{told:?}");
    // Before, it is.
    let mut story = Story::idle(AgentPolicy::default(), BY_SIGNAL);
    story.see(busy("job-1"));
    story.event(Event::Ending { by: Ending::Termination, at: None });
    assert!(story.told().contains(&IncidentKind::ScaleInNotice), "{:?}", story.told());
}

#[test]
fn doubt_before_it_serves_is_none() {
    let mut story = Story::begin(AgentPolicy::default(), BY_SIGNAL);
    story.membership = Membership::Pending { waiting: false };
    story.go();
    for _ in 0..4 {
        story.see(Activity::Unknown("docker does not answer".into()));
        story.pass(secs(30));
    }
    assert_eq!(times(&story, IncidentKind::ActivityUnknown), NEVER, "{:?}", story.told());
}

#[test]
fn an_ending_waits_for_its_certificate_unless_a_deadline_presses() {
    let effect = HostEffect::Cloud(CloudCall::CompleteHook);
    let mut spot = Story::idle(AgentPolicy::default(), BY_SIGNAL);
    let at = spot.now + secs(120);
    spot.event(Event::Ending { by: Ending::Interruption, at: Some(at) });
    assert_eq!(spot.agent.phase().why(), Some(LeaveReason::Spot));
    assert_eq!(Recorder::patience(effect, &spot.agent), Duration::ZERO);

    let mut pressed = Story::idle(AgentPolicy::default(), BY_CALL);
    pressed.see(busy("job-1"));
    let at = pressed.now + secs(120);
    pressed.event(Event::Ending { by: Ending::Maintenance, at: Some(at) });
    pressed.pass(secs(121));
    assert!(pressed.agent.aborted() && pressed.agent.phase().why() != Some(LeaveReason::Spot));
    assert_eq!(Recorder::patience(effect, &pressed.agent), Duration::ZERO);

    let mut calm = Story::idle(AgentPolicy::default(), BY_SIGNAL);
    calm.order(Order::Drain);
    assert_eq!(Recorder::patience(effect, &calm.agent), secs(2));
}

/// What is told of a request that ends like this.
fn told_of(request: Request, outcome: &Outcome) -> Option<(IncidentKind, String)> {
    let mut story = Story::idle(AgentPolicy::default(), BY_SIGNAL);
    story.recorder.finished(request, outcome, story.moment());
    let told: Vec<Incident> = std::iter::from_fn(|| story.recorder.poll_incident()).collect();
    assert!(told.len() <= 1, "{told:#?}");
    told.into_iter().next().map(|incident| (incident.what, incident.detail))
}

#[test]
fn each_request_that_fails_has_a_record_of_its_kind_that_says_why() {
    use IncidentKind as Kind;
    let why = || "it says no".to_owned();
    let outcomes = [Outcome::Failed(why()), Outcome::Rejected(why()), Outcome::Denied(why())];
    // However it fails.
    for (request, kind, detail) in [
        (Request::GetReady, Kind::RegistrationFailed, "it says no"),
        (Request::Register, Kind::RegistrationFailed, "it says no"),
        (Request::Drain, Kind::DrainFailed, "it says no"),
        (Request::Deregister, Kind::DeregistrationFailed, "it says no"),
        (Request::ExtendHook, Kind::HeartbeatRefused, "it says no"),
        (Request::End(Rung::Terminate), Kind::CloudRefused, "terminating the machine: it says no"),
    ] {
        for outcome in &outcomes {
            assert_eq!(told_of(request, outcome), Some((kind, detail.into())), "{request:?} {outcome:?}");
        }
    }
    // Only what needs somebody's help: the rest may work the next time.
    for (request, kind, detail) in [
        (Request::Prepare { within: secs(60) }, Kind::BeforeRegisterFailed, "it says no"),
        (Request::Describe, Kind::CloudRefused, "asking for the instance's place in its group: it says no"),
        (Request::GroupSize, Kind::CloudRefused, "asking for the group's room: it says no"),
        (Request::Protect(true), Kind::CloudRefused, "protecting the instance from scale-in: it says no"),
        (Request::Protect(false), Kind::CloudRefused, "lifting the protection from scale-in: it says no"),
        (Request::ExtendLaunchHook, Kind::CloudRefused, "extending the launch hook: it says no"),
        (Request::CompleteLaunchHook, Kind::CloudRefused, "answering the launch hook: it says no"),
        (Request::FindHook, Kind::CloudRefused, "looking for the termination hook: it says no"),
        (Request::CompleteHook, Kind::CloudRefused, "answering the termination hook: it says no"),
        (Request::RecordReady, Kind::CloudRefused, "writing on the instance that it is ready: it says no"),
        (
            Request::RecordReason(LeaveReason::Idle),
            Kind::CloudRefused,
            "writing the reason on the instance: it says no",
        ),
    ] {
        let told = outcomes.each_ref().map(|outcome| told_of(request, outcome));
        assert_eq!(told, [None, None, Some((kind, detail.into()))], "{request:?}");
    }
    // An answer, and no failure, and yet somebody may ask about it.
    for (request, outcome, kind, detail) in [
        (Request::Drain, Outcome::Drained(Drained::Refused), Kind::DrainFailed, "the platform refuses"),
        (Request::Drain, Outcome::Alone(why()), Kind::DrainFailed, "it says no"),
        (Request::ExtendHook, Outcome::NoHook, Kind::HeartbeatRefused, "no termination hook waits"),
        (
            Request::FindHook,
            Outcome::NoHook,
            Kind::NoHook,
            "when something else than this agent ends the instance, jobs have no time to finish",
        ),
    ] {
        assert_eq!(told_of(request, &outcome), Some((kind, detail.into())), "{request:?} {outcome:?}");
    }
    for (request, outcome) in [
        (Request::Drain, Outcome::Drained(Drained::StillBusy)),
        (Request::Drain, Outcome::Absent),
        (Request::Deregister, Outcome::Done),
        (Request::CompleteHook, Outcome::NoHook),
        (Request::Probe, Outcome::Failed(why())),
    ] {
        assert_eq!(told_of(request, &outcome), None, "{request:?} {outcome:?}");
    }
}

/// It counts as busy while its drain is taken back, whether or not it ever had a runner.
#[test]
fn an_instance_whose_drain_is_taken_back_before_it_served_is_not_ready() {
    let mut story = Story::begin(AgentPolicy::default(), BY_CALL);
    story.registers = Err("refused".into());
    story.refuses = Some((PlatformCall::Drain, ErrorKind::Unreachable));
    story.go();
    story.order(Order::Drain);
    story.order(Order::Undrain);
    assert_eq!(times(&story, IncidentKind::Ready), NEVER, "{:?}", story.told());
    story.registers = Ok(());
    story.pass(secs(60));
    assert_eq!(times(&story, IncidentKind::Ready), [1], "{:?}", story.told());
}
