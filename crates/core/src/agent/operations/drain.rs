//! Draining: the runner or the platform is told "no more jobs", and what comes back is a proof, a refusal, or neither.

use std::time::Duration;

use super::{Context, Next, Step as Operation, signal_drain, unexpected};
use crate::{
    agent::{
        event::Outcome,
        host::{HostEffect, HostResult, PlatformAnswer, PlatformCall, RunnerSeen, ToldToDrain},
    },
    exchange::ErrorKind,
    platform::{DrainBy, Drained, Signal, UndrainBy},
};

/// How long the platform may take.
pub(super) const WITHIN: Duration = Duration::from_secs(15);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Step {
    Find,
    SignalDrain(signal_drain::Step),
    Ask {
        /// Whether a runner was there.
        runner: bool,
    },
    /// The platform has lost sight of the runner, which is told by this signal.
    FindToTell(Signal),
    /// It is noted that the platform may let the runner go, without the runner's knowledge.
    NoteBefore,
    /// The platform's answer waits until it is noted.
    NoteAfter(Drained),
}

pub(super) fn first() -> (HostEffect, Operation) {
    (HostEffect::FindRunner, Operation::Drain(Step::Find))
}

pub(super) fn next(step: Step, result: HostResult, cx: &mut Context<'_>) -> Next<Step> {
    match (step, result) {
        (Step::Find, HostResult::Runner(found)) => find(found, cx),
        (Step::SignalDrain(step), result) => match signal_drain::next(step, result, cx.facts.rules.quiesce, cx.now) {
            signal_drain::Next::Do(effect, step) => Next::Do(effect, Step::SignalDrain(step)),
            signal_drain::Next::Told => Next::Done(Outcome::Signalled),
            signal_drain::Next::Gone => Next::Done(Outcome::Drained(Drained::Empty)),
            signal_drain::Next::StillBusy => Next::Done(Outcome::Drained(Drained::StillBusy)),
            signal_drain::Next::Failed(outcome) => Next::Done(outcome),
        },
        // Noted or not: the host remembers it, and a sick disk must not keep the runner at work.
        (Step::NoteBefore, HostResult::Done(_)) => ask(true),
        (Step::Ask { .. }, HostResult::Platform(Ok(PlatformAnswer::Drained(drained)))) => {
            if lets_go(cx) {
                Next::Do(HostEffect::NoteTold(told_by(drained)), Step::NoteAfter(drained))
            } else {
                Next::Done(Outcome::Drained(drained))
            }
        }
        (Step::Ask { .. }, HostResult::Platform(Ok(PlatformAnswer::BySignal(signal)))) => {
            Next::Do(HostEffect::FindRunner, Step::FindToTell(signal))
        }
        (Step::FindToTell(signal), HostResult::Runner(found)) => by_signal(signal, found, cx),
        (Step::NoteAfter(drained), HostResult::Done(_)) => Next::Done(Outcome::Drained(drained)),
        (Step::Ask { runner: true }, HostResult::Platform(Err(error))) => Next::Done(cx.platform_failed(&error)),
        // Neither here nor there.
        (Step::Ask { runner: false }, HostResult::Platform(Err(error))) if error.kind == ErrorKind::NoRunner => {
            Next::Done(Outcome::Absent)
        }
        (Step::Ask { runner: false }, HostResult::Platform(Err(error))) => {
            cx.platform_failed(&error);
            Next::Done(Outcome::Alone(error.to_string()))
        }
        (_, other) => Next::Done(unexpected(&other)),
    }
}

fn find(found: Result<Option<RunnerSeen>, String>, cx: &Context<'_>) -> Next<Step> {
    match (cx.facts.rules.drain, found) {
        // Nothing was ever registered, so the platform knows nothing of this instance.
        (DrainBy::Call, Ok(None)) if !cx.facts.registered => Next::Done(Outcome::Drained(Drained::Empty)),
        (DrainBy::Call, Ok(None)) => ask(false),
        (DrainBy::Call, Ok(Some(_))) if lets_go(cx) => {
            Next::Do(HostEffect::NoteTold(ToldToDrain::Maybe), Step::NoteBefore)
        }
        (DrainBy::Call, Ok(Some(_)) | Err(_)) => ask(true),
        (DrainBy::Signal(signal), found) => by_signal(signal, found, cx),
    }
}

fn by_signal(signal: Signal, found: Result<Option<RunnerSeen>, String>, cx: &Context<'_>) -> Next<Step> {
    match found {
        Ok(None) => Next::Done(Outcome::Drained(Drained::Empty)),
        Ok(Some(RunnerSeen { told })) => match signal_drain::first(signal, told, cx.facts.rules.quiesce) {
            Some((effect, step)) => Next::Do(effect, Step::SignalDrain(step)),
            None => Next::Done(Outcome::Signalled),
        },
        Err(why) => Next::Done(Outcome::Failed(format!("whether a runner runs is not known: {why}"))),
    }
}

fn ask(runner: bool) -> Next<Step> {
    Next::Do(HostEffect::Platform { call: PlatformCall::Drain, within: WITHIN }, Step::Ask { runner })
}

/// Whether a drained runner is of no more use, and does not know.
fn lets_go(cx: &Context<'_>) -> bool {
    cx.facts.rules.undrain == UndrainBy::Relaunch
}

/// What the platform's answer means for a runner that it lets go.
pub(super) fn told_by(drained: Drained) -> ToldToDrain {
    match drained {
        Drained::Empty | Drained::StillBusy => ToldToDrain::Yes,
        Drained::Refused => ToldToDrain::No,
    }
}
