//! Taking a drain back: by a call to the platform, or by a new runner once the old one is gone.

use std::time::Duration;

use super::{Context, Next, Step as Operation, drain, ending, signal_drain, unexpected};
use crate::{
    activity::Activity,
    agent::{
        event::Outcome,
        host::{HostEffect, HostResult, PlatformAnswer, PlatformCall, RunnerSeen, ToldToDrain},
    },
    platform::{DrainBy, UndrainBy},
};

/// How long a runner that the platform has let go may take to end.
const EXIT_GRACE: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Step {
    LookForCleaning,
    Ask,
    /// What was told to a runner that was drained in this way?
    Find(DrainBy),
    SignalDrain(signal_drain::Step),
    /// Has the platform let it go? Asking again tells.
    AskAgain,
    NoteAgain(ToldToDrain),
    Look,
    End(ending::Step),
}

/// No jobs come while room is made.
pub(super) fn first() -> (HostEffect, Operation) {
    (HostEffect::LookForCleaning, Operation::Undrain(Step::LookForCleaning))
}

pub(super) fn next(step: Step, result: HostResult, cx: &mut Context<'_>) -> Next<Step> {
    match (step, result) {
        (Step::LookForCleaning, HostResult::Done(Ok(()))) => match cx.facts.rules.undrain {
            UndrainBy::Call => {
                Next::Do(HostEffect::Platform { call: PlatformCall::Undrain, within: drain::WITHIN }, Step::Ask)
            }
            UndrainBy::Relaunch => Next::Do(HostEffect::FindRunner, Step::Find(cx.facts.rules.drain)),
        },
        (Step::LookForCleaning, HostResult::Done(Err(why))) => Next::Done(Outcome::Failed(why)),
        (Step::Ask, HostResult::Platform(Ok(PlatformAnswer::BySignal(signal)))) => {
            Next::Do(HostEffect::FindRunner, Step::Find(DrainBy::Signal(signal)))
        }
        (Step::Ask, HostResult::Platform(Ok(_))) => Next::Done(Outcome::Done),
        (Step::Ask, HostResult::Platform(Err(error))) => Next::Done(cx.platform_failed(&error)),
        (Step::Find(_), HostResult::Runner(Ok(None))) => Next::Done(Outcome::Relaunch),
        (Step::Find(drained_by), HostResult::Runner(Ok(Some(RunnerSeen { told })))) => relaunch(told, drained_by, cx),
        (Step::Find(_), HostResult::Runner(Err(why))) => {
            Next::Done(Outcome::Failed(format!("whether a runner runs is not known: {why}")))
        }
        (Step::SignalDrain(step), result) => match signal_drain::next(step, result, cx.facts.rules.quiesce, cx.now) {
            signal_drain::Next::Do(effect, step) => Next::Do(effect, Step::SignalDrain(step)),
            signal_drain::Next::Told | signal_drain::Next::Gone => Next::Done(Outcome::Relaunch),
            signal_drain::Next::StillBusy => {
                let why = "whether the runner was told to finish is not known, and it is not quiet";
                Next::Done(Outcome::Failed(why.into()))
            }
            signal_drain::Next::Failed(outcome) => Next::Done(outcome),
        },
        (Step::AskAgain, HostResult::Platform(Ok(PlatformAnswer::Drained(drained)))) => {
            let told = drain::told_by(drained);
            Next::Do(HostEffect::NoteTold(told), Step::NoteAgain(told))
        }
        (Step::AskAgain, HostResult::Platform(Err(error))) => Next::Done(cx.platform_failed(&error)),
        (Step::NoteAgain(told), HostResult::Done(Ok(()))) => relaunch(told, DrainBy::Call, cx),
        (Step::NoteAgain(_), HostResult::Done(Err(why))) => Next::Done(Outcome::Failed(why)),
        (Step::Look, HostResult::Snapshot { activity: Activity::Quiet, .. }) => {
            let (effect, step) = ending::first(cx.facts.rules.abort, EXIT_GRACE);
            Next::Do(effect, Step::End(step))
        }
        (Step::Look, HostResult::Snapshot { .. }) => Next::Done(Outcome::Relaunch),
        (Step::End(step), result) => match ending::next(step, &result) {
            Some((effect, step)) => Next::Do(effect, Step::End(step)),
            None => Next::Done(Outcome::Relaunch),
        },
        (_, other) => Next::Done(unexpected(&other)),
    }
}

fn relaunch(told: ToldToDrain, drained_by: DrainBy, cx: &Context<'_>) -> Next<Step> {
    match (told, drained_by) {
        // It serves as before.
        (ToldToDrain::No, _) => Next::Done(Outcome::Done),
        // It ends its jobs and exits, once it has heard of it for certain.
        (ToldToDrain::Maybe | ToldToDrain::Yes, DrainBy::Signal(signal)) => {
            match signal_drain::first(signal, told, cx.facts.rules.quiesce) {
                Some((effect, step)) => Next::Do(effect, Step::SignalDrain(step)),
                None => Next::Done(Outcome::Relaunch),
            }
        }
        (ToldToDrain::Maybe, DrainBy::Call) => {
            Next::Do(HostEffect::Platform { call: PlatformCall::Drain, within: drain::WITHIN }, Step::AskAgain)
        }
        // The platform has let it go without its knowledge, so it does not exit by itself: idle, it is ended.
        (ToldToDrain::Yes, DrainBy::Call) => Next::Do(HostEffect::Snapshot, Step::Look),
    }
}
