//! What is written down of the last words of a runner, and of the operator's own program.

use lightsout_core::{
    agent::{
        event::Event,
        host::Prepared,
        phase::{BrokenBy, LeaveReason},
        policy::AgentPolicy,
    },
    record::{Incident, IncidentCause, IncidentKind},
};

use super::{
    reasons::left_for,
    story::{BY_SIGNAL, Story},
};
use crate::rig::secs;

#[test]
fn the_last_words_of_a_runner_are_in_the_record_of_its_exit() {
    for (said, because) in [
        ("An error occurred: Runner version v2.300.0 is deprecated and cannot receive messages.", true),
        ("it fell over", false),
        // The end of much is what tells why, and its beginning what it was.
        (
            &format!(
                "{}Runner version v2.300.0 is deprecated and cannot receive messages. | bye",
                "a banner ".repeat(90)
            ),
            true,
        ),
    ] {
        let mut story = Story::idle(AgentPolicy::default(), BY_SIGNAL);
        story.recorder.runner_said(said);
        story.runner = None;
        story.event(Event::RunnerExited);
        let exited = story.incidents.iter().find(|incident| incident.what == IncidentKind::RunnerExited).unwrap();
        let end: String = said.chars().skip(said.chars().count().saturating_sub(130)).collect();
        assert!(exited.detail.ends_with(&end), "{exited:?}");
        assert!(exited.detail.contains(&format!("; it said: {}", said.split_once(' ').unwrap().0)), "{exited:?}");
        assert_eq!(exited.because, because.then_some(IncidentCause::RunnerTooOld));
    }
}

/// It may end before anyone can call it one that runs: the same runner, a little quicker.
#[test]
fn the_last_words_of_a_runner_whose_start_came_to_nothing_are_in_the_record_of_that() {
    let mut story = Story::begin(AgentPolicy::default(), BY_SIGNAL);
    // As it is where the programs lie deep.
    let program = "/opt/actions-runner/".repeat(20);
    story.registers = Err(format!("{program} ended at once with exit status: 1"));
    let said = format!(
        "token=abc | {}Runner version v2.300.0 is deprecated and cannot receive messages.",
        "a banner ".repeat(12)
    );
    story.recorder.runner_said(&said);
    story.go();
    let of_it = |incident: &&Incident| incident.what == IncidentKind::RegistrationFailed;
    let failed = story.incidents.iter().find(of_it).unwrap();
    assert_eq!(failed.because, Some(IncidentCause::RunnerTooOld));
    assert!(failed.detail.ends_with("is deprecated and cannot receive messages.") && !failed.detail.contains("abc"));
    assert!(failed.detail.contains("exit status: 1; it said: "), "the end of both: {failed:?}");
    assert!(failed.detail.contains("/opt/actions-runner/") && failed.detail.chars().count() <= 300, "{failed:?}");
    // The next tries do not come as far as a runner.
    story.pass(secs(700));
    let last = story.incidents.iter().rfind(of_it).unwrap();
    assert!(last.times > 1 && last.because.is_none() && !last.detail.contains("it said"), "{last:#?}");
    let departure = story.departure();
    assert_eq!(departure.broken_by, Some(BrokenBy::BootDeadline));
    assert!(departure.runner_said.as_deref().is_some_and(|said| said.contains("deprecated")), "{departure:#?}");
}

/// A tag, which many may read, has none of them.
#[test]
fn the_certificate_of_an_instance_whose_runner_never_registers_has_its_last_words() {
    let mut story = Story::idle(AgentPolicy::default(), BY_SIGNAL);
    for time in 1..=5 {
        story.recorder.runner_said(&format!("error: token=abc is refused, try {time}"));
        story.runner = None;
        story.event(Event::RunnerExited);
        story.pass(secs(120));
    }
    let departure = story.departure();
    assert_eq!((departure.reason, departure.broken_by), (LeaveReason::Broken, Some(BrokenBy::RunnerExits)));
    let said = departure.runner_said.as_deref().expect("its words");
    assert!(said.ends_with("is refused, try 5") && !said.contains("abc"), "{said}");
    assert!(
        !story.recorder.tag(LeaveReason::Broken).contains("refused"),
        "{}",
        story.recorder.tag(LeaveReason::Broken)
    );
    // Where something else is the reason they are of no interest.
    assert_eq!(left_for(LeaveReason::Idle, BY_SIGNAL).departure().runner_said, None);
}

/// Words of the operator's own program are in the certificate, and nowhere where more people read.
#[test]
fn the_certificate_of_an_instance_whose_program_failed_has_its_last_words() {
    let failed = |said: &str| {
        let mut story =
            Story::begin(AgentPolicy { before_register: Some(secs(60)), ..AgentPolicy::default() }, BY_SIGNAL);
        story.prepared = Prepared::Failed("exit status 3".into());
        story.recorder.before_register_said(said.into());
        story.go();
        story
    };
    let story = failed("mount: no such device");
    let departure = story.departure();
    assert_eq!(departure.broken_by, Some(BrokenBy::BeforeRegister));
    assert_eq!(departure.before_register_said.as_deref(), Some("mount: no such device"));
    assert!(
        !departure.trigger.contains("no such device") && !story.recorder.tag(LeaveReason::Broken).contains("device")
    );
    assert!(
        story.incidents.iter().all(|incident| !incident.detail.contains("no such device")),
        "{:#?}",
        story.incidents
    );
    assert_eq!(failed("").departure().before_register_said, None, "it said nothing");
}
