//! Registering: adopt the runner that runs, or register and start one.

use std::time::Duration;

use super::{Context, Next, cloud::NO_HOOK, unexpected};
use crate::{
    agent::{
        event::Outcome,
        host::{CloudAnswer, CloudCall, HostEffect, HostResult, PlatformCall, RunnerSeen, ToldToDrain},
        policy::Protection,
    },
    space::Room,
};

/// How long the platform may take.
const WITHIN: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Step {
    Find,
    LookForCleaning,
    LookForRoom,
    FindHook,
    OpenPlatform,
    NoteRegistered,
    Ask,
    Start,
}

pub(super) fn next(step: Step, result: HostResult, cx: &mut Context<'_>) -> Next<Step> {
    match (step, result) {
        // One that was told to go is not adopted: it takes no more jobs, and must be gone before the next one starts.
        (Step::Find, HostResult::Runner(Ok(Some(RunnerSeen { told: ToldToDrain::Maybe | ToldToDrain::Yes })))) => {
            Next::Done(Outcome::Failed("the old runner is still finishing its jobs".into()))
        }
        (Step::Find, HostResult::Runner(Ok(Some(RunnerSeen { told: ToldToDrain::No })))) => {
            Next::Done(Outcome::Registered)
        }
        // No runner starts while room is made, and nothing begins to make any while this goes on.
        (Step::Find, HostResult::Runner(Ok(None))) => Next::Do(HostEffect::LookForCleaning, Step::LookForCleaning),
        (Step::LookForCleaning, HostResult::Done(Ok(()))) => Next::Do(HostEffect::LookForRoom, Step::LookForRoom),
        (Step::LookForCleaning, HostResult::Done(Err(why))) => Next::Done(Outcome::Failed(why)),
        (Step::LookForRoom, HostResult::Room(Room::Short(what))) => Next::Done(Outcome::Short(what)),
        // Giving up protection while idle is safe only when a hook lets the instance finish what slips in.
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
        // Noted before the platform hears of it: a drain after a crash must know whether there is anything to ask about.
        (Step::OpenPlatform, HostResult::Platform(Ok(_))) if !cx.facts.registered => {
            cx.facts.registered = true;
            Next::Do(cx.write_journal(), Step::NoteRegistered)
        }
        (Step::OpenPlatform, HostResult::Platform(Ok(_))) | (Step::NoteRegistered, HostResult::Done(Ok(()))) => ask(),
        (Step::NoteRegistered, HostResult::Done(Err(why))) => {
            cx.facts.registered = false;
            Next::Done(Outcome::Failed(format!("cannot write the journal: {why}")))
        }
        (Step::Ask, HostResult::Platform(Ok(_))) => {
            Next::Do(HostEffect::StartRunner { stop_signal: cx.stop_signal() }, Step::Start)
        }
        (Step::OpenPlatform | Step::Ask, HostResult::Platform(Err(error))) => Next::Done(cx.platform_failed(&error)),
        (Step::Start, HostResult::Done(Ok(()))) => Next::Done(Outcome::Registered),
        (Step::Start, HostResult::Done(Err(why))) => Next::Done(Outcome::Failed(why)),
        (_, other) => Next::Done(unexpected(&other)),
    }
}

fn ask() -> Next<Step> {
    Next::Do(HostEffect::Platform { call: PlatformCall::Register, within: WITHIN }, Step::Ask)
}
