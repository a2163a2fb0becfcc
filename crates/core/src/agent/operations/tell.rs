//! Telling a runner by a signal to take no more jobs, once.
//!
//! Some runners take a second signal for "cancel your jobs". So it is noted before and after. Where only the first note is found, the signal
//! may have arrived or not; then it is sent again only when a snapshot is quiet: a runner that has heard of it takes no job any more, and to
//! one that has not it is the first.

use super::unexpected;
use crate::{
    activity::Activity,
    agent::{
        event::Outcome,
        host::{HostEffect, HostResult, Told},
    },
    platform::Signal,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Step {
    Look(Signal),
    NoteBefore(Signal),
    Signal,
    NoteAfter,
}

pub(super) enum Next {
    Do(HostEffect, Step),
    /// It has been told.
    Told,
    /// It may have been told, and has a job, or may have one: not now.
    StillBusy,
    Failed(Outcome),
}

/// How to begin; `None` when it was told already.
pub(super) fn first(signal: Signal, told: Told) -> Option<(HostEffect, Step)> {
    match told {
        Told::No => Some((HostEffect::NoteTold(Told::Maybe), Step::NoteBefore(signal))),
        Told::Maybe => Some((HostEffect::Snapshot, Step::Look(signal))),
        Told::Yes => None,
    }
}

pub(super) fn next(step: Step, result: HostResult) -> Next {
    match (step, result) {
        (Step::Look(signal), HostResult::Snapshot { activity: Activity::Quiet, .. })
        | (Step::NoteBefore(signal), HostResult::Done(Ok(()))) => {
            Next::Do(HostEffect::SignalRunner(signal), Step::Signal)
        }
        (Step::Look(_), HostResult::Snapshot { .. }) => Next::StillBusy,
        (Step::Signal, HostResult::Done(Ok(()))) => Next::Do(HostEffect::NoteTold(Told::Yes), Step::NoteAfter),
        (Step::Signal, HostResult::Done(Err(why))) => {
            Next::Failed(Outcome::Failed(format!("the runner cannot be signalled: {why}")))
        }
        (Step::NoteAfter, HostResult::Done(Ok(()))) => Next::Told,
        (Step::NoteBefore(_) | Step::NoteAfter, HostResult::Done(Err(why))) => {
            Next::Failed(Outcome::Failed(format!("what the runner is told cannot be noted: {why}")))
        }
        (_, other) => Next::Failed(unexpected(&other)),
    }
}
