//! What a certificate says: the reason that counts, whose word the proof is, and how long everything took.

use jiff::Timestamp;
use lightsout_core::{
    activity::Activity,
    agent::{
        action::Rung,
        event::{Event, Order},
        host::{JournalEntry, PlatformCall},
        phase::{LeaveReason, Phase, Saved},
        policy::AgentPolicy,
    },
    cloud::{CloudErrorKind, Ending},
    exchange::ErrorKind,
    platform::DrainRules,
    record::{IncidentKind, Proof, ProofBy, Way},
};

use super::story::{BEGAN_MS, BY_CALL, BY_SIGNAL, Story, steps};
use crate::rig::{busy, secs};

#[test]
fn a_stronger_reason_that_comes_while_it_leaves_is_the_one_that_is_told_and_a_weaker_one_is_not() {
    let mut story = Story::idle(AgentPolicy::default(), BY_SIGNAL);
    story.see(busy("job-1"));
    story.order(Order::Drain);
    story.pass(secs(60));
    let at = story.now + secs(120);
    story.event(Event::Ending { by: Ending::Interruption, at: Some(at) });
    story.event(Event::Ending { by: Ending::Maintenance, at: None });
    story.pass(secs(121));
    let leaving = story.incidents.iter().filter(|incident| incident.what == IncidentKind::Leaving);
    let told: Vec<&str> = leaving.map(|incident| incident.detail.as_str()).collect();
    let [drain, spot] = told[..] else { panic!("{told:?}") };
    assert!(drain.starts_with("operator: an operator's drain at ") && spot.starts_with("spot: a spot notice"));
    let departure = story.departure();
    assert_eq!(departure.reason, LeaveReason::Spot);
    assert_eq!(departure.decided_at.as_deref(), Some("2026-11-26T03:01:00.000Z"));
    assert!(departure.trigger.starts_with("a spot notice, seen at 2026-11-26T03:01:00.000Z"), "{}", departure.trigger);
    assert!(story.recorder.tag(LeaveReason::Spot).starts_with("spot: a spot notice"));
}

/// One that leaves without a runner, in the words of its proof.
fn proof(rules: DrainRules, registered: bool, refuses: Option<(PlatformCall, ErrorKind)>) -> Proof {
    let saved = Saved::Leaving { why: LeaveReason::Operator };
    let mut story =
        Story::resume(AgentPolicy::default(), rules, JournalEntry { saved, registered, ..JournalEntry::FRESH }, None);
    story.refuses = refuses;
    story.go();
    story.pass(secs(90));
    story.departure().proof.clone()
}

#[test]
fn a_proof_says_whose_word_it_is_that_no_job_can_come() {
    let absent = Some((PlatformCall::Drain, ErrorKind::NoRunner));
    for (rules, registered, refuses, by, detail) in [
        (BY_SIGNAL, false, None, ProofBy::NoRunner, "nothing was ever registered on this instance"),
        (BY_CALL, false, None, ProofBy::NoRunner, "nothing was ever registered on this instance"),
        (BY_SIGNAL, true, None, ProofBy::NoRunner, "no runner runs that could take a job"),
        (BY_CALL, true, None, ProofBy::Platform, "the platform sends no more jobs, and none runs by its word"),
        (BY_CALL, true, absent, ProofBy::NoRunner, "no runner is left, and the platform knows of none"),
    ] {
        let proof = proof(rules, registered, refuses);
        let steps: Vec<(ProofBy, &str)> = proof.steps.iter().map(|step| (step.by, step.detail.as_str())).collect();
        assert_eq!(steps, [(by, detail), (ProofBy::Probes, "all probes were asked, and none saw a job")]);
        // One of another name may still be there.
        assert_eq!((proof.proven, proof.without.is_some()), (refuses.is_none(), refuses.is_some()), "{proof:#?}");
    }
}

#[test]
fn a_certificate_that_the_probes_gainsay_says_what_it_went_by() {
    let mut story = Story::idle(AgentPolicy::default(), BY_SIGNAL);
    story.see(busy("job-1"));
    story.order(Order::Drain);
    // Its runner is gone, and what it has left behind looks like a job.
    story.exits();
    story.pass(secs(1_000));
    let departure = story.departure();
    assert_eq!((departure.proof.proven, &steps(departure)[..]), (true, &[ProofBy::RunnerExit][..]));
    let without = departure.proof.without.as_deref();
    assert!(without.is_some_and(|why| why.contains("the probes still see jobs job-1")), "{without:?}");
}

#[test]
fn an_agent_that_is_stopped_while_it_retires_leaves_a_certificate_and_one_that_still_drains_leaves_none() {
    let mut story = Story::idle(AgentPolicy::default(), BY_SIGNAL);
    story.refuses = Some((PlatformCall::Deregister, ErrorKind::Server));
    story.order(Order::Drain);
    assert!(matches!(story.agent.phase(), Phase::Retiring { .. }), "{:?}", story.agent.status());
    assert_eq!(story.departures, [], "nothing ends it yet");
    story.event(Event::Stop);
    story.event(Event::Stop);
    assert_eq!(story.agent.phase(), Phase::Gone);
    let departure = story.departure();
    assert_eq!((departure.way, departure.reason), (Way::Group, LeaveReason::Operator));
    assert_eq!(departure.phases.last().map(|span| span.phase.as_str()), Some("gone"));

    let mut story = Story::idle(AgentPolicy::default(), BY_SIGNAL);
    story.see(busy("job-1"));
    story.event(Event::Stop);
    story.event(Event::Stop);
    assert_eq!((story.agent.phase(), story.departures.len()), (Phase::Gone, 0), "its job runs on");
}

#[test]
fn the_phases_of_a_certificate_add_up_to_its_life_even_where_one_comes_again() {
    let mut story = Story::idle(AgentPolicy::default(), BY_CALL);
    // Its ending cannot be asked for at first, and then its group has reached its minimum.
    story.ends = |_| Err(CloudErrorKind::Throttled);
    story.pass(secs(650));
    assert!(matches!(story.agent.phase(), Phase::Retiring { .. }), "{:?}", story.agent.status());
    story.ends = |_| Err(CloudErrorKind::AtFloor);
    story.pass(secs(120));
    assert!(matches!(story.agent.phase(), Phase::Idle { .. }), "{:?}", story.agent.status());
    // The second time it takes long, and goes by another way.
    story.ends = |rung| if rung == Rung::Decrement { Err(CloudErrorKind::Throttled) } else { Ok(()) };
    story.pass(secs(1_300));
    let last = story.departures.last().unwrap();
    assert_eq!((story.departures.len(), last.way), (4, Way::Replace), "{:#?}", story.departures);
    let life = last.time.parse::<Timestamp>().unwrap().as_millisecond() - BEGAN_MS;
    let phases: u64 = last.phases.iter().map(|span| span.ms).sum();
    assert_eq!(i64::try_from(phases), Ok(life), "{:?}", last.phases);
    let retiring = last.phases.iter().filter(|span| span.phase == "retiring");
    assert_eq!(retiring.count(), 1, "{:?}", last.phases);
}

#[test]
fn a_job_that_has_ended_is_not_named_as_one_that_ran_when_the_service_was_told_to_stop() {
    let mut story = Story::idle(AgentPolicy::default(), BY_CALL);
    story.see(busy("job-1"));
    story.see(Activity::Quiet);
    story.event(Event::Stop);
    assert_eq!(story.departure().jobs.at_stop, [""; 0]);
}

#[test]
fn a_proof_keeps_its_first_pieces_and_its_last_whatever_repeats() {
    let mut story = Story::idle(AgentPolicy::default(), BY_CALL);
    story.see(busy("job-1"));
    story.order(Order::Drain);
    for _ in 0..20 {
        story.event(Event::RunnerExited);
    }
    story.see(Activity::Quiet);
    story.pass(secs(90));
    let steps = steps(story.departure());
    assert_eq!((steps.len(), steps.last()), (8, Some(&ProofBy::Probes)), "{steps:?}");
}
