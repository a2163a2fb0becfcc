//! Ending the runner: a signal, some patience, and then by force.

use std::time::Duration;

use crate::{
    agent::host::{HostEffect, HostResult},
    platform::Signal,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Step {
    Signal { patience: Duration },
    Await,
    Kill,
}

pub(super) fn first(signal: Signal, patience: Duration) -> (HostEffect, Step) {
    (HostEffect::SignalRunner(signal), Step::Signal { patience })
}

/// What is next; `None` once the runner is gone or was killed.
pub(super) fn next(step: Step, result: &HostResult) -> Option<(HostEffect, Step)> {
    match step {
        // One that cannot be signalled may exit all the same; if it does not, it is killed.
        Step::Signal { patience } => Some((HostEffect::AwaitExit { within: patience }, Step::Await)),
        Step::Await if *result == HostResult::Exited(true) => None,
        Step::Await => Some((HostEffect::KillRunner, Step::Kill)),
        Step::Kill => None,
    }
}
