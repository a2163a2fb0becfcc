//! Getting ready while a launch hook holds the instance off: whatever a registration needs is seen to be there, and none is begun.

use std::time::Duration;

use super::{Context, Next, cloud::NO_HOOK, unexpected};
use crate::{
    agent::{
        event::Outcome,
        host::{CloudAnswer, CloudCall, HostEffect, HostResult, PlatformCall},
        policy::Protection,
    },
    space::Room,
};

/// How long the platform may take.
const WITHIN: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Step {
    Find,
    LookForRoom,
    FindHook,
    OpenPlatform,
    Check,
    FindProgram,
}

pub(super) fn next(step: Step, result: HostResult, cx: &mut Context<'_>) -> Next<Step> {
    match (step, result) {
        // It is more than ready.
        (Step::Find, HostResult::Runner(Ok(Some(_)))) => Next::Done(Outcome::Done),
        (Step::Find, HostResult::Runner(Ok(None))) => Next::Do(HostEffect::LookForRoom, Step::LookForRoom),
        (Step::LookForRoom, HostResult::Room(Room::Short(what))) => Next::Done(Outcome::Short(what)),
        (Step::LookForRoom, HostResult::Room(Room::Enough | Room::Unknown)) => match cx.view.protection {
            Protection::WhileBusy => Next::Do(HostEffect::Cloud(CloudCall::FindHook), Step::FindHook),
            Protection::Always => Next::Do(HostEffect::OpenPlatform, Step::OpenPlatform),
        },
        (Step::Find, HostResult::Runner(Err(why))) => {
            Next::Done(Outcome::Failed(format!("whether a runner runs is not known: {why}")))
        }
        (Step::FindHook, HostResult::Cloud(Ok(CloudAnswer::Hook(Some(_))))) => {
            Next::Do(HostEffect::OpenPlatform, Step::OpenPlatform)
        }
        (Step::FindHook, HostResult::Cloud(Ok(CloudAnswer::Hook(None)))) => Next::Done(Outcome::Denied(NO_HOOK.into())),
        (Step::FindHook, HostResult::Cloud(Err(error))) => Next::Done(Outcome::Failed(error.message)),
        (Step::OpenPlatform, HostResult::Platform(Ok(_))) => {
            Next::Do(HostEffect::Platform { call: PlatformCall::Check, within: WITHIN }, Step::Check)
        }
        (Step::Check, HostResult::Platform(Ok(_))) => Next::Do(HostEffect::FindProgram, Step::FindProgram),
        (Step::OpenPlatform | Step::Check, HostResult::Platform(Err(error))) => Next::Done(cx.platform_failed(&error)),
        (Step::FindProgram, HostResult::Done(Ok(()))) => Next::Done(Outcome::Done),
        (Step::FindProgram, HostResult::Done(Err(why))) => Next::Done(Outcome::Failed(why)),
        (_, other) => Next::Done(unexpected(&other)),
    }
}
