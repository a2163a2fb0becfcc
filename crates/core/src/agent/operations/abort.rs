//! Aborting: the runner fails its jobs, visibly, and ends; the facts of the platform are enough for that, no token is waited for.

use std::time::Duration;

use super::{Context, Next, ending, unexpected};
use crate::{
    agent::{
        event::Outcome,
        host::{HostEffect, HostResult, RunnerSeen, Told},
    },
    platform::DrainBy,
};

/// How long a runner may take to fail its jobs before it is killed.
const PATIENCE: Duration = Duration::from_secs(10);
/// The pause between two signals, so that the runner notices both.
const BETWEEN: Duration = Duration::from_millis(200);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Step {
    Find,
    Note,
    Drain,
    Pause,
    End(ending::Step),
}

pub(super) fn next(step: Step, result: HostResult, cx: &Context<'_>) -> Next<Step> {
    let abort = cx.facts.rules.abort;
    match (step, result) {
        // To some runners the same signal means "finish" at first and "cancel" only when it comes again.
        (Step::Find, HostResult::Runner(Ok(Some(RunnerSeen { told: Told::No | Told::Maybe }))))
            if cx.facts.rules.drain == DrainBy::Signal(abort) =>
        {
            Next::Do(HostEffect::NoteTold(Told::Maybe), Step::Note)
        }
        (Step::Note, HostResult::Done(_)) => Next::Do(HostEffect::SignalRunner(abort), Step::Drain),
        (Step::Drain, HostResult::Done(_)) => Next::Do(HostEffect::Pause(BETWEEN), Step::Pause),
        (Step::Find, HostResult::Runner(_)) | (Step::Pause, HostResult::Done(_)) => {
            let (effect, step) = ending::first(abort, PATIENCE);
            Next::Do(effect, Step::End(step))
        }
        (Step::End(step), result) => match ending::next(step, &result) {
            Some((effect, step)) => Next::Do(effect, Step::End(step)),
            None => Next::Done(Outcome::Done),
        },
        (_, other) => Next::Done(unexpected(&other)),
    }
}
