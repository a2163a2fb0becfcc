//! Telling a runner by a signal to take no more jobs, once.
//!
//! Some runners take a second signal for "cancel your jobs". So it is noted before and after. Where only the first note is found, the signal
//! may have arrived or not; then it is sent again only when a snapshot is quiet: a runner that has heard of it takes no job any more, and to
//! one that has not it is the first.
//!
//! Some runners cancel a request for a job when they are told, and with it the job that the platform hands out in that moment. They are
//! quiesced first: they ask for no more, and are told when nothing is on its way by their own count.

use std::time::Duration;

use super::unexpected;
use crate::{
    activity::Activity,
    agent::{
        event::Outcome,
        host::{HostEffect, HostResult, Told},
    },
    platform::{Requests, Signal},
};

/// The pause between two looks at the requests that are on their way.
const PAUSE: Duration = Duration::from_millis(200);
/// Looks in a row that must show none: one that was about to be made when the configuration was read is seen by the second.
const CLEAR: u8 = 2;
/// Looks after which a runner that does not count its requests is taken to have read its configuration: 3 s.
const RELOADED: u16 = 15;
/// Looks after which a runner that does not count them is told all the same: 80 s, longer than a platform holds a request open.
const MOST_LOOKS: u16 = 400;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Step {
    Look(Signal),
    NoteBefore(Signal),
    CountBefore(Signal),
    Quiesce(Waiting),
    Pause(Waiting),
    Count(Waiting),
    Signal,
    NoteAfter,
}

/// While requests may be on their way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Waiting {
    signal: Signal,
    /// How often the runner had read its configuration before; `None` where it does not tell.
    reloads: Option<u32>,
    /// Looks in a row that have shown nothing on its way.
    clear: u8,
    looks: u16,
}

pub(super) enum Next {
    Do(HostEffect, Step),
    /// It has been told.
    Told,
    /// It may have been told, and has a job, or may have one, or one may be on its way: not now.
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

/// Goes on; `quiesce`: whether the runner must have nothing on its way when it is told.
pub(super) fn next(step: Step, result: HostResult, quiesce: bool) -> Next {
    match (step, result) {
        (Step::Look(signal), HostResult::Snapshot { activity: Activity::Quiet, .. })
        | (Step::NoteBefore(signal), HostResult::Done(Ok(()))) => {
            if quiesce {
                Next::Do(HostEffect::CountRequests, Step::CountBefore(signal))
            } else {
                tell(signal)
            }
        }
        (Step::Look(_), HostResult::Snapshot { .. }) => Next::StillBusy,
        (Step::CountBefore(signal), HostResult::Requests(counted)) => {
            let reloads = counted.ok().map(|requests| requests.reloads);
            Next::Do(HostEffect::QuiesceRunner, Step::Quiesce(Waiting { signal, reloads, clear: 0, looks: 0 }))
        }
        (Step::Quiesce(waiting), HostResult::Done(Ok(()))) => pause(waiting),
        (Step::Quiesce(_), HostResult::Done(Err(why))) => {
            Next::Failed(Outcome::Failed(format!("the runner cannot be made to ask for no more jobs: {why}")))
        }
        (Step::Pause(waiting), HostResult::Done(_)) => Next::Do(HostEffect::CountRequests, Step::Count(waiting)),
        (Step::Count(waiting), HostResult::Requests(counted)) => look(waiting, counted.ok()),
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

fn tell(signal: Signal) -> Next {
    Next::Do(HostEffect::SignalRunner(signal), Step::Signal)
}

fn pause(waiting: Waiting) -> Next {
    Next::Do(HostEffect::Pause(PAUSE), Step::Pause(waiting))
}

/// What the requests that were counted mean.
fn look(waiting: Waiting, counted: Option<Requests>) -> Next {
    let looks = waiting.looks + 1;
    let read = match (waiting.reloads, counted) {
        (Some(before), Some(now)) => now.reloads > before,
        (None, Some(_)) => looks >= RELOADED,
        (_, None) => false,
    };
    let none = counted.is_some_and(|requests| requests.in_flight == 0);
    let clear = if read && none { waiting.clear + 1 } else { 0 };
    let last = looks >= MOST_LOOKS;
    match counted {
        _ if clear >= CLEAR => tell(waiting.signal),
        Some(Requests { in_flight: 1.., .. }) if last => Next::StillBusy,
        // No platform holds a request open for so long.
        _ if last => tell(waiting.signal),
        _ => pause(Waiting { clear, looks, ..waiting }),
    }
}
