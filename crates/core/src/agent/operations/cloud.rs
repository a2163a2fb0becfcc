//! Calls to the cloud, and what their failures mean.

use super::{Next, unexpected};
use crate::{
    agent::{
        action::Request,
        event::Outcome,
        host::{CloudAnswer, CloudCall, HostEffect, HostResult},
    },
    cloud::{CloudError, CloudErrorKind},
};

/// The part of the hook's time-out after which it is extended.
pub(in crate::agent) const HEARTBEATS: u32 = 3;

/// Why protection is not given up.
pub(super) const NO_HOOK: &str = "agent.protection = \"while-busy\" needs a termination hook on the group, and there is none: add one, or write \"always\"";

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Step {
    /// The answer is the outcome.
    Call,
    /// Protection is given up only if a hook would let the instance finish what slips in. Looked for each time: it may have been removed.
    FindHook,
}

/// # Panics
/// For a request that is none to the cloud.
pub(super) fn first(request: Request) -> (CloudCall, Step) {
    match request {
        Request::Describe => (CloudCall::Membership, Step::Call),
        Request::GroupSize => (CloudCall::GroupSize, Step::Call),
        Request::Protect(false) => (CloudCall::FindHook, Step::FindHook),
        Request::Protect(true) => (CloudCall::Protect(true), Step::Call),
        Request::ExtendLaunchHook => (CloudCall::ExtendLaunchHook, Step::Call),
        Request::CompleteLaunchHook => (CloudCall::CompleteLaunchHook, Step::Call),
        Request::FindHook => (CloudCall::FindHook, Step::Call),
        Request::ExtendHook => (CloudCall::ExtendHook, Step::Call),
        Request::CompleteHook => (CloudCall::CompleteHook, Step::Call),
        Request::End(rung) => (CloudCall::End(rung), Step::Call),
        Request::RecordReady => (CloudCall::RecordReady, Step::Call),
        Request::RecordReason(why) => (CloudCall::RecordReason(why), Step::Call),
        Request::Save(_)
        | Request::NoteProof
        | Request::Prepare { .. }
        | Request::GetReady
        | Request::Register
        | Request::Drain
        | Request::Undrain
        | Request::Abort { .. }
        | Request::Deregister
        | Request::MakeRoom
        | Request::Probe => unreachable!("{request:?} is no call to the cloud"),
    }
}

pub(super) fn next(step: Step, result: HostResult) -> Next<Step> {
    match (step, result) {
        (Step::FindHook, HostResult::Cloud(Ok(CloudAnswer::Hook(Some(_))))) => {
            Next::Do(HostEffect::Cloud(CloudCall::Protect(false)), Step::Call)
        }
        (Step::FindHook, HostResult::Cloud(Ok(CloudAnswer::Hook(None)))) => Next::Done(Outcome::Denied(NO_HOOK.into())),
        (Step::Call, HostResult::Cloud(Ok(answer))) => Next::Done(match answer {
            CloudAnswer::Done => Outcome::Done,
            CloudAnswer::Membership(membership) => Outcome::Member(membership),
            CloudAnswer::GroupSize(size) => Outcome::GroupSize(size),
            CloudAnswer::Hook(Some(timeout)) => Outcome::HookFound { heartbeat: timeout / HEARTBEATS },
            CloudAnswer::Hook(None) => Outcome::NoHook,
        }),
        (Step::Call | Step::FindHook, HostResult::Cloud(Err(error))) => Next::Done(failed(error)),
        (_, other) => Next::Done(unexpected(&other)),
    }
}

fn failed(error: CloudError) -> Outcome {
    match error.kind {
        CloudErrorKind::AtFloor => Outcome::AtFloor,
        CloudErrorKind::NotFound => Outcome::NotInGroup,
        CloudErrorKind::InProgress => Outcome::InProgress,
        CloudErrorKind::NothingHeld => Outcome::NoHook,
        CloudErrorKind::Denied => Outcome::Denied(error.message),
        CloudErrorKind::Credentials
        | CloudErrorKind::Throttled
        | CloudErrorKind::Unreachable
        | CloudErrorKind::OutOfBounds => Outcome::Rejected(error.message),
        CloudErrorKind::Timeout | CloudErrorKind::Other => Outcome::Failed(error.message),
    }
}
