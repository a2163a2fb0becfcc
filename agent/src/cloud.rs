//! Ends the instance, and says what came of a call to the cloud in the core's words.

use std::time::Duration;

use lightsout_cloud::Host;
use lightsout_core::{
    agent::{action::Rung, event::Outcome},
    cloud::{CloudError, CloudErrorKind, Leave},
};

/// How long the command that switches the machine off may take.
const POWER_OFF: Duration = Duration::from_secs(60);

/// What came of a call that gives nothing.
pub fn done(result: Result<(), CloudError>) -> Outcome {
    outcome(result, |()| Outcome::Done)
}

/// What came of a call, said by `told` when it was answered.
pub fn outcome<T>(result: Result<T, CloudError>, told: impl FnOnce(T) -> Outcome) -> Outcome {
    let error = match result {
        Ok(answer) => return told(answer),
        Err(error) => error,
    };
    match error.kind {
        CloudErrorKind::AtFloor => Outcome::AtFloor,
        CloudErrorKind::NotFound => Outcome::NotInGroup,
        CloudErrorKind::InProgress => Outcome::InProgress,
        CloudErrorKind::NothingHeld => Outcome::NoHook,
        CloudErrorKind::Denied | CloudErrorKind::Credentials => Outcome::Denied(error.message),
        CloudErrorKind::OutOfBounds
        | CloudErrorKind::Throttled
        | CloudErrorKind::Timeout
        | CloudErrorKind::Unreachable
        | CloudErrorKind::Other => Outcome::Failed(error.message),
    }
}

/// Ends this instance in this way.
pub async fn end(host: &dyn Host, rung: Rung, power_off: &[String]) -> Outcome {
    match rung {
        Rung::Shrink => done(host.leave(Leave::Decrement).await),
        Rung::Replace => done(host.leave(Leave::Replace).await),
        Rung::Unhealthy => done(host.report_unhealthy().await),
        Rung::Terminate => done(host.terminate().await),
        Rung::PowerOff => switch_off(power_off).await,
    }
}

async fn switch_off(command: &[String]) -> Outcome {
    tracing::error!(?command, "switching the machine off: no gentler way worked");
    let Some((program, arguments)) = command.split_first() else {
        return Outcome::Denied("power_off is empty: nothing is left to try".into());
    };
    let running = tokio::process::Command::new(program).args(arguments).kill_on_drop(true).status();
    match tokio::time::timeout(POWER_OFF, running).await {
        Ok(Ok(status)) if status.success() => Outcome::Done,
        Ok(Ok(status)) => Outcome::Failed(format!("{program}: {status}")),
        Ok(Err(error)) => Outcome::Failed(format!("{program}: {error}")),
        Err(_) => Outcome::Failed(format!("{program} did not end within {POWER_OFF:?}")),
    }
}

#[cfg(test)]
mod tests {
    use lightsout_cloud::fake::{FakeHost, Fault, HostCall};
    use lightsout_core::cloud::Membership;

    use super::*;

    #[test]
    fn each_kind_of_error_has_its_outcome() {
        let told = |kind| done(Err(CloudError::new(kind, "why")));
        assert_eq!(done(Ok(())), Outcome::Done);
        assert_eq!(told(CloudErrorKind::AtFloor), Outcome::AtFloor);
        assert_eq!(told(CloudErrorKind::NotFound), Outcome::NotInGroup);
        assert_eq!(told(CloudErrorKind::InProgress), Outcome::InProgress);
        assert_eq!(told(CloudErrorKind::NothingHeld), Outcome::NoHook);
        for kind in [CloudErrorKind::Denied, CloudErrorKind::Credentials] {
            assert_eq!(told(kind), Outcome::Denied("why".into()), "{kind:?}");
        }
        for kind in [
            CloudErrorKind::OutOfBounds,
            CloudErrorKind::Throttled,
            CloudErrorKind::Timeout,
            CloudErrorKind::Unreachable,
            CloudErrorKind::Other,
        ] {
            assert_eq!(told(kind), Outcome::Failed("why".into()), "{kind:?}");
        }
    }

    #[tokio::test]
    async fn each_rung_has_its_call() {
        for (rung, call) in [
            (Rung::Shrink, HostCall::Leave(Leave::Decrement)),
            (Rung::Replace, HostCall::Leave(Leave::Replace)),
            (Rung::Unhealthy, HostCall::ReportUnhealthy),
            (Rung::Terminate, HostCall::Terminate),
        ] {
            let host = FakeHost::default();
            assert_eq!(end(&host, rung, &[]).await, Outcome::Done);
            assert_eq!(host.calls(), [call]);
            assert!(matches!(host.state().membership, Membership::Terminating { .. }), "{rung:?}");
        }
    }

    #[tokio::test]
    async fn a_lost_answer_is_a_failure_after_which_one_looks() {
        let host = FakeHost::default();
        host.inject(HostCall::Leave(Leave::Decrement), Fault::Lost { applied: true });
        assert!(matches!(end(&host, Rung::Shrink, &[]).await, Outcome::Failed(_)));
        assert_eq!(host.state().membership, Membership::Terminating { waiting: true });
    }

    #[tokio::test]
    async fn the_last_rung_runs_the_command() {
        let host = FakeHost::default();
        let argv = |program: &str| vec![program.to_owned()];
        assert_eq!(end(&host, Rung::PowerOff, &argv("true")).await, Outcome::Done);
        assert!(matches!(end(&host, Rung::PowerOff, &argv("false")).await, Outcome::Failed(_)));
        assert!(matches!(end(&host, Rung::PowerOff, &[]).await, Outcome::Denied(_)));
        assert_eq!(host.calls(), []);
    }
}
