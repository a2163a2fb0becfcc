//! What is said of instances and of jobs.

use lightsout_core::{
    agent::phase::LeaveReason,
    explain::{Cause, Question, Status, explain},
    record::{Departure, IncidentCause, IncidentKind, JobsAtEnd, Record},
};

use crate::made::{at, because, departed, gone, in_phase, incident, recorded, running_jobs, status};

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
fn a_certificate_of_an_instance_that_stays_after_all_does_not_count() {
    let certificate = departed(100, "i-1", LeaveReason::Idle, "no job");
    let withdrawn = Departure { withdrawn: Some("the floor".into()), ..departed(101, "i-1", LeaveReason::Idle, "") };
    for stays in [
        recorded(Record::Departure(withdrawn)),
        incident(101, "i-1", IncidentKind::DrainTakenBack, "it does not leave"),
    ] {
        let evidence = [recorded(Record::Departure(certificate.clone())), stays, status(150, in_phase("idle"))];
        let answer = explain(&Question::Instance("i-1".into()), &evidence, at(160));
        assert_eq!(answer.known.iter().map(|it| it.cause).collect::<Vec<_>>(), [Cause::Idle], "{answer}");
    }
}

/// What counts jobs sees the same ones once more, and no count is a job.
#[test]
fn a_probe_that_only_counts_jobs_names_none() {
    let jobs = vec!["1001".to_owned(), "gitlab_runner_jobs=1".to_owned()];
    let asked = |status_of| {
        let answer = explain(&Question::Instance("i-1".into()), &[status(100, status_of)], at(101));
        (answer.known[0].text.clone(), answer.known[0].remedy.clone())
    };
    assert_eq!(asked(Status { jobs: jobs.clone(), ..in_phase("busy") }).0, "i-1 works: 1001");
    let draining = |why: &str| asked(Status { jobs: jobs.clone(), why: Some(why.into()), ..in_phase("draining") });
    let (text, remedy) = draining("spot");
    assert!(text.ends_with(": 1001 still run"), "{text}");
    assert!(!remedy.contains("undrain") && remedy.contains("failed, visibly"), "nothing brings it back: {remedy}");
    assert!(draining("idle").1.contains("undrain") && !draining("scale-in").1.contains("undrain"));
    let cut = JobsAtEnd { count: Some(0), cut: true, cut_ids: jobs.clone(), ..JobsAtEnd::default() };
    let departure = Departure { jobs: cut, ..departed(100, "i-1", LeaveReason::Spot, "a notice") };
    let answer = explain(&Question::Instance("i-1".into()), &[recorded(Record::Departure(departure))], at(101));
    assert!(answer.known[1].text.starts_with("the jobs 1001 on i-1 were failed"), "{answer}");
}

#[test]
fn a_job_that_an_agent_saw_is_found_in_its_records_and_how_it_ended_is_not_guessed() {
    let ran = [running_jobs(50, &["6", "7"]), running_jobs(60, &["6"])];
    assert_eq!(Question::about("7", &ran), Ok(Question::Job("7".into())));
    let asked = |evidence: &[_]| explain(&Question::Job("7".into()), evidence, at(70));
    let runs = asked(&ran[..1]);
    assert_eq!((runs.known[0].cause, runs.not_known.len()), (Cause::Running, 0), "{runs}");
    let over = asked(&ran);
    assert!(over.known[0].text.ends_with("was seen running on it, and no longer at 2026-11-26T03:01:00Z"), "{over}");
    assert_eq!(over.not_known[0].what, "how job 7 ended", "{over}");
}

/// An agent that is started again on the way out knows the reason alone.
#[test]
fn what_made_an_instance_leave_is_as_the_agent_wrote_it_that_began_the_leave() {
    let began = incident(90, "i-1", IncidentKind::Leaving, "broken: exit status 7");
    let certificate = |decided_at: Option<String>| {
        let departure = departed(100, "i-1", LeaveReason::Broken, "not known, because the agent was started again");
        recorded(Record::Departure(Departure { decided_at, ..departure }))
    };
    let said = |evidence: &[_]| {
        let answer = explain(&Question::Instance("i-1".into()), evidence, at(160));
        (answer.known[0].text.clone(), answer.known[0].basis.references().count())
    };
    let by_the_first = ("i-1 left as broken: exit status 7".to_owned(), 2);
    assert_eq!(said(&[began.clone(), certificate(None)]), by_the_first);
    let not_known = ("i-1 left as broken: not known, because the agent was started again".to_owned(), 1);
    assert_eq!(said(&[certificate(None)]), not_known);
    assert_eq!(said(&[began, certificate(Some("2026-11-26T03:00:00.000Z".into()))]), not_known, "it says so itself");
    let of_another = incident(90, "i-1", IncidentKind::Leaving, "idle: no job for 10m");
    assert_eq!(said(&[of_another, certificate(None)]), not_known);
}

#[test]
fn a_job_that_ran_when_the_service_was_stopped_is_not_said_to_have_ended_by_itself() {
    let jobs = JobsAtEnd { count: Some(0), at_stop: vec!["7".into()], ..JobsAtEnd::default() };
    let departure = Departure { jobs, ..departed(100, "i-1", LeaveReason::Operator, "a stop") };
    let answer = explain(&Question::Job("7".into()), &[recorded(Record::Departure(departure))], at(160));
    assert!(!answer.names(Cause::Ended) && answer.names(Cause::Operator), "{answer}");
    assert!(answer.not_known.iter().any(|it| it.what == "whether job 7 ended by itself"), "{answer}");
}

/// At its longest it ends under a job although each extension was accepted.
#[test]
fn a_hook_that_nothing_kept_from_being_extended_needs_a_longer_time_out_alone() {
    let stop = because(incident(50, "i-1", IncidentKind::DrainOrdered, "a stop"), IncidentCause::HookTimedOut);
    let refused = incident(40, "i-1", IncidentKind::HeartbeatRefused, "the cloud throttles");
    let remedy = |evidence: &[_]| {
        let answer = explain(&Question::Instance("i-1".into()), evidence, at(60));
        answer.known.iter().find(|it| it.cause == Cause::HookTimedOut).expect("named").remedy.clone()
    };
    let alone = remedy(std::slice::from_ref(&stop));
    assert!(alone.starts_with("set a longer time-out for the hook"), "{alone}");
    assert_eq!(remedy(&[refused, stop]), format!("mend what kept it from being extended, and {alone}"));
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
    assert!(chosen.not_known[0].because.contains("the group's history is not among what was read"), "{chosen}");
    let job = explain(&Question::Job("9".into()), &[ready], at(1));
    assert!(!job.is_known() && job.not_known[0].what == "what became of job 9");
}
