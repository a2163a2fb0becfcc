//! A drain is taken back: what the runner was told decides how.

use super::*;

#[test]
fn a_drain_is_taken_back_by_what_the_runner_was_told() {
    let mut host = returning(BY_CALL);
    host.answer(UNDRAIN, platform(PlatformAnswer::Done));
    assert_eq!(host.outcome_of(Request::Undrain), Some(&Outcome::Done));
    for (told, outcome) in [(ToldToDrain::No, Outcome::Done), (ToldToDrain::Yes, Outcome::Relaunch)] {
        let mut host = returning(BY_SIGNAL);
        host.answer(HostEffect::FindRunner, runner(told));
        assert_eq!(host.outcome_of(Request::Undrain), Some(&outcome));
    }
    let mut host = returning(BY_SIGNAL);
    host.answer(HostEffect::FindRunner, runner(ToldToDrain::Maybe));
    host.answer(HostEffect::Snapshot, QUIET);
    host.answer(HostEffect::SignalRunner(Signal::Quit), DONE);
    host.answer(HostEffect::NoteTold(ToldToDrain::Yes), DONE);
    assert_eq!(host.outcome_of(Request::Undrain), Some(&Outcome::Relaunch), "told for certain, it will exit");
}

#[test]
fn a_runner_that_the_platform_may_have_let_go_is_asked_about_again() {
    let mut host = returning(BY_REMOVAL);
    host.answer(HostEffect::FindRunner, runner(ToldToDrain::Maybe));
    host.answer(DRAIN, platform(PlatformAnswer::Drained(Drained::Refused)));
    host.answer(HostEffect::NoteTold(ToldToDrain::No), DONE);
    assert_eq!(host.outcome_of(Request::Undrain), Some(&Outcome::Done), "it works, so it is still registered");
    let mut host = returning(BY_REMOVAL);
    host.answer(HostEffect::FindRunner, runner(ToldToDrain::Maybe));
    host.answer(DRAIN, platform(PlatformAnswer::Drained(Drained::Empty)));
    host.answer(HostEffect::NoteTold(ToldToDrain::Yes), DONE);
    host.answer(HostEffect::Snapshot, QUIET);
    host.answer(HostEffect::SignalRunner(Signal::Int), DONE);
    host.answer(HostEffect::AwaitExit { within: secs(10) }, HostResult::Exited(true));
    assert_eq!(host.outcome_of(Request::Undrain), Some(&Outcome::Relaunch));
}

#[test]
fn a_runner_that_was_let_go_is_not_ended_while_a_job_is_seen_or_feared() {
    for activity in [busy("job"), Activity::Unknown("docker".into())] {
        let mut host = returning(BY_REMOVAL);
        host.answer(HostEffect::FindRunner, runner(ToldToDrain::Yes));
        host.answer(HostEffect::Snapshot, HostResult::Snapshot { activity, token_refused: false });
        assert_eq!((host.outcome_of(Request::Undrain), host.open()), (Some(&Outcome::Relaunch), vec![]));
    }
}

#[test]
fn a_refusal_that_the_disk_does_not_take_is_asked_for_again() {
    let mut host = returning(BY_REMOVAL);
    host.answer(HostEffect::FindRunner, runner(ToldToDrain::Maybe));
    host.answer(DRAIN, platform(PlatformAnswer::Drained(Drained::Refused)));
    host.answer(HostEffect::NoteTold(ToldToDrain::No), HostResult::Done(Err("no space left on device".into())));
    assert!(matches!(host.outcome_of(Request::Undrain), Some(Outcome::Failed(why)) if why.contains("no space left")));
}
