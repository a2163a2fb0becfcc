//! What is said of instances and of jobs.

use lightsout_core::{
    agent::phase::LeaveReason,
    explain::{Cause, Question, explain},
    record::IncidentKind,
};

use crate::made::{at, gone, in_phase, incident, status};

#[test]
fn the_last_certificate_counts_and_whatever_was_before_it_does_not() {
    let evidence = [
        incident(10, "i-1", IncidentKind::Held, "for 10m"),
        gone(100, "i-1", LeaveReason::Idle, "no job"),
        gone(200, "i-1", LeaveReason::Spot, "a spot notice"),
        status(50, in_phase("busy")),
    ];
    let answer = explain(&Question::Instance("i-1".into()), &evidence, at(300));
    assert_eq!(answer.known.iter().map(|it| it.cause).collect::<Vec<_>>(), [Cause::Spot], "{answer}");
}

#[test]
fn the_newest_word_about_one_that_lives_counts() {
    let unknown = incident(50, "i-1", IncidentKind::ActivityUnknown, "no answer");
    let known = incident(60, "i-1", IncidentKind::ActivityKnown, "");
    let asked = |evidence: &[_]| explain(&Question::Instance("i-1".into()), evidence, at(70));
    assert!(asked(std::slice::from_ref(&unknown)).names(Cause::UnknownProbe));
    assert!(!asked(&[unknown.clone(), known]).names(Cause::UnknownProbe));
    let later = asked(&[unknown, status(65, in_phase("idle"))]);
    assert!(later.names(Cause::Idle) && !later.names(Cause::UnknownProbe), "{later}");
}

#[test]
fn what_no_record_tells_is_not_known() {
    let asked = |evidence: &[_], second| explain(&Question::Instance("i-1".into()), evidence, at(second));
    let nothing = asked(&[], 0);
    assert!(
        !nothing.is_known()
            && nothing.not_known[0].because.contains("its agent never began, or its records are elsewhere")
    );
    let ready = incident(0, "i-1", IncidentKind::Ready, "for jobs");
    assert!(!asked(std::slice::from_ref(&ready), 10).is_known());
    assert_eq!(asked(std::slice::from_ref(&ready), 10_000).not_known.len(), 2, "nor what became of it since");
    let chosen = asked(&[gone(100, "i-1", LeaveReason::ScaleIn, "chosen")], 101);
    assert!(
        chosen.not_known[0].remedy.contains("describe-scaling-activities --auto-scaling-group-name ci-linux"),
        "{chosen}"
    );
    let job = explain(&Question::Job("9".into()), &[ready], at(1));
    assert!(!job.is_known() && job.not_known[0].what == "what became of job 9");
}
