//! Deregistering: the runner ends first, since one that lived on would register itself again. It is proven empty, so this ends no job.

use std::time::Duration;

use super::{Context, Next, Step as Operation, ending, unexpected};
use crate::agent::{
    event::Outcome,
    host::{HostEffect, HostResult, PlatformCall},
};

/// How long the platform may take.
const WITHIN: Duration = Duration::from_secs(10);
/// How long a runner without a job may take to exit before it is killed.
const EXIT_GRACE: Duration = Duration::from_secs(3);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Step {
    End(ending::Step),
    Ask,
}

pub(super) fn first(cx: &Context<'_>) -> (HostEffect, Operation) {
    let (effect, step) = ending::first(cx.stop_signal(), EXIT_GRACE);
    (effect, Operation::Deregister(Step::End(step)))
}

pub(super) fn next(step: Step, result: HostResult, cx: &mut Context<'_>) -> Next<Step> {
    match (step, result) {
        (Step::End(step), result) => match ending::next(step, &result) {
            Some((effect, step)) => Next::Do(effect, Step::End(step)),
            None => Next::Do(HostEffect::Platform { call: PlatformCall::Deregister, within: WITHIN }, Step::Ask),
        },
        (Step::Ask, HostResult::Platform(Ok(_))) => Next::Done(Outcome::Done),
        (Step::Ask, HostResult::Platform(Err(error))) => Next::Done(cx.platform_failed(&error)),
        (Step::Ask, other) => Next::Done(unexpected(&other)),
    }
}
