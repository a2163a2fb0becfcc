//! What a refusal or a failure means, and what is let go after it.

use super::*;

#[test]
fn a_refused_token_is_fetched_anew_once_a_minute_at_most() {
    let mut host = Host::draining(BY_CALL, LeaveReason::ScaleIn);
    let forgets = |host: &Host| host.open().iter().filter(|effect| **effect == HostEffect::ForgetToken).count();
    host.answer(HostEffect::FindRunner, runner(ToldToDrain::No));
    host.answer(DRAIN, refused(ErrorKind::Unauthorized));
    assert!(matches!(host.outcome_of(Request::Drain), Some(Outcome::Denied(_))));
    assert_eq!(forgets(&host), 1);
    host.agent.sampled(Activity::Quiet, true, host.now + secs(59));
    host.collect();
    assert_eq!(forgets(&host), 1);
    host.agent.sampled(Activity::Quiet, true, host.now + secs(60));
    host.collect();
    assert_eq!(forgets(&host), 2);
}

#[test]
fn failures_of_the_cloud_mean_what_the_caller_should_do() {
    let end = HostEffect::Cloud(CloudCall::End(Rung::Decrement));
    for (kind, expected) in [
        (CloudErrorKind::NotFound, Outcome::NotInGroup),
        (CloudErrorKind::InProgress, Outcome::InProgress),
        (CloudErrorKind::NothingHeld, Outcome::NoHook),
        (CloudErrorKind::AtFloor, Outcome::AtFloor),
        (CloudErrorKind::Denied, Outcome::Denied("no".into())),
        (CloudErrorKind::Credentials, Outcome::Rejected("no".into())),
        (CloudErrorKind::Throttled, Outcome::Rejected("no".into())),
        (CloudErrorKind::Timeout, Outcome::Failed("no".into())),
        (CloudErrorKind::Unreachable, Outcome::Rejected("no".into())),
        (CloudErrorKind::OutOfBounds, Outcome::Rejected("no".into())),
        (CloudErrorKind::Other, Outcome::Failed("no".into())),
    ] {
        let mut host = Host::draining(BY_CALL, LeaveReason::Operator);
        host.now = host.now + secs(60);
        host.answer(HostEffect::FindRunner, NO_RUNNER);
        host.answer(DRAIN, platform(PlatformAnswer::Drained(Drained::Empty)));
        host.answer(HostEffect::Snapshot, QUIET);
        host.answer(HostEffect::SignalRunner(Signal::Int), DONE);
        host.answer(HostEffect::AwaitExit { within: secs(3) }, HostResult::Exited(true));
        let deregister = HostEffect::Platform { call: PlatformCall::Deregister, within: secs(10) };
        host.answer(deregister, platform(PlatformAnswer::Done));
        let member = CloudAnswer::Membership(Membership::InService { protected: true });
        host.answer(HostEffect::Cloud(CloudCall::Membership), HostResult::Cloud(Ok(member)));
        host.answer(end, HostResult::Cloud(Err(CloudError::new(kind, "no"))));
        assert_eq!(host.outcome_of(Request::End(Rung::Decrement)), Some(&expected), "{kind:?}");
    }
}

#[test]
fn a_result_of_another_kind_concludes_nothing() {
    let mut host = Host::draining(BY_SIGNAL, LeaveReason::ScaleIn);
    host.answer(HostEffect::FindRunner, HostResult::Exited(true));
    assert!(matches!(host.outcome_of(Request::Drain), Some(Outcome::Failed(_))));
}

/// Jobs run for hours, and credentials that were refused are refused for as long as they are kept.
#[test]
fn clients_are_let_go_once_a_service_begins_and_after_whatever_failed() {
    let mut host = Host::begin(BY_CALL, AgentPolicy::default(), REGISTERED, true);
    assert_eq!(host.released, 0, "the next answer is a moment away");
    host.answer(HostEffect::Cloud(CloudCall::FindHook), HostResult::Cloud(Ok(CloudAnswer::Hook(None))));
    assert_eq!(host.released, 1, "the last thing that is asked before it serves");
    for kind in [ErrorKind::Unreachable, ErrorKind::Unauthorized] {
        let before = host.released;
        host.answer(UNDRAIN, refused(kind));
        assert_eq!(host.released, before + 1, "{kind:?}");
        host.now = host.now + secs(30);
        host.agent.handle_timeout(host.now);
        host.collect();
    }
    host.answer(UNDRAIN, platform(PlatformAnswer::Done));
    assert_eq!(host.released, 3, "what is answered is kept");
}
