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
        host::{HostEffect, HostResult, ToldToDrain},
    },
    platform::{Requests, Signal},
    time::Tick,
};

/// The pause between two looks at the requests that are on their way.
const PAUSE: Duration = Duration::from_millis(200);
/// Looks in a row that must show none: one that was about to be made when the configuration was read is seen by the second.
const CLEAR: u8 = 2;
/// After this a runner that does not count its requests is taken to have read its configuration.
const RELOADED: Duration = Duration::from_secs(3);
/// After this it is told all the same. A platform holds a request open for up to 50 s, and one more may have been about to be made with the former
/// configuration when that one came back.
const LONGEST: Duration = Duration::from_secs(120);
/// The same while the last count that could be read showed a request on its way, and none can be read any more: it may be a slow one.
const UNSEEN: Duration = Duration::from_secs(15 * 60);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Step {
    NoteBefore(Signal),
    CountBefore { signal: Signal, told: ToldToDrain },
    Quiesce(Waiting),
    Pause(Waiting),
    Count(Waiting),
    Look(Signal),
    Signal,
    NoteAfter,
}

/// While requests may be on their way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Waiting {
    signal: Signal,
    /// What it was told before.
    told: ToldToDrain,
    since: Tick,
    reload: Reload,
    /// Whether the last count that could be read showed a request on its way.
    open: bool,
    /// Looks in a row that have shown nothing on its way.
    clear: u8,
}

/// How it is known that the runner has read the configuration by which it asks for no more jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Reload {
    /// It counts more of them than this.
    After(u32),
    /// It did not tell how many there were: by the time.
    ByTime,
    /// It cannot be made to read one: a moment without a request must do.
    Never,
}

pub(super) enum Next {
    Do(HostEffect, Step),
    /// It has been told.
    Told,
    Gone,
    /// It may have been told, and has a job, or may have one, or one may be on its way: not now.
    StillBusy,
    Failed(Outcome),
}

/// How to begin; `None` when it was told already. `quiesce`: whether the runner must have nothing on its way when it is told.
pub(super) fn first(signal: Signal, told: ToldToDrain, quiesce: bool) -> Option<(HostEffect, Step)> {
    match told {
        ToldToDrain::No => Some((HostEffect::NoteTold(ToldToDrain::Maybe), Step::NoteBefore(signal))),
        // To be quiesced again is harmless, and without it new jobs would go on coming.
        ToldToDrain::Maybe if quiesce => Some((HostEffect::CountRequests, Step::CountBefore { signal, told })),
        ToldToDrain::Maybe => Some((HostEffect::Snapshot, Step::Look(signal))),
        ToldToDrain::Yes => None,
    }
}

pub(super) fn next(step: Step, result: HostResult, quiesce: bool, now: Tick) -> Next {
    match (step, result) {
        (Step::NoteBefore(signal), HostResult::Done(Ok(()))) if quiesce => {
            Next::Do(HostEffect::CountRequests, Step::CountBefore { signal, told: ToldToDrain::No })
        }
        (Step::NoteBefore(signal), HostResult::Done(Ok(())))
        | (Step::Look(signal), HostResult::Snapshot { activity: Activity::Quiet, .. }) => tell(signal),
        (Step::Look(_), HostResult::Snapshot { .. }) => Next::StillBusy,
        (Step::CountBefore { signal, told }, HostResult::Requests(counted)) => {
            let open = counted.as_ref().is_ok_and(|requests| requests.in_flight > 0);
            let reload = counted.map_or(Reload::ByTime, |requests| Reload::After(requests.reloads));
            let waiting = Waiting { signal, told, since: now, reload, open, clear: 0 };
            Next::Do(HostEffect::QuiesceRunner, Step::Quiesce(waiting))
        }
        (Step::Quiesce(waiting), HostResult::Done(Ok(()))) => pause(waiting),
        // A sick disk must not keep the runner at work.
        (Step::Quiesce(waiting), HostResult::Done(Err(_))) => pause(Waiting { reload: Reload::Never, ..waiting }),
        (Step::Pause(_), HostResult::Exited(true)) => Next::Gone,
        (Step::Pause(waiting), HostResult::Exited(false)) => Next::Do(HostEffect::CountRequests, Step::Count(waiting)),
        (Step::Count(waiting), HostResult::Requests(counted)) => look(waiting, counted.ok(), now),
        (Step::Signal, HostResult::Done(Ok(()))) => Next::Do(HostEffect::NoteTold(ToldToDrain::Yes), Step::NoteAfter),
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

/// Nothing is on its way: one that may have heard the signal already must be quiet besides.
fn clear(waiting: Waiting) -> Next {
    match waiting.told {
        ToldToDrain::No => tell(waiting.signal),
        ToldToDrain::Maybe | ToldToDrain::Yes => Next::Do(HostEffect::Snapshot, Step::Look(waiting.signal)),
    }
}

fn pause(waiting: Waiting) -> Next {
    Next::Do(HostEffect::AwaitExit { within: PAUSE }, Step::Pause(waiting))
}

/// What the requests that were counted mean.
fn look(waiting: Waiting, counted: Option<Requests>, now: Tick) -> Next {
    let open = counted.map_or(waiting.open, |requests| requests.in_flight > 0);
    let waiting = Waiting { open, ..waiting };
    let waited = now.since(waiting.since);
    let read = match (waiting.reload, counted) {
        (Reload::After(before), Some(now)) => now.reloads > before,
        (Reload::ByTime, Some(_)) => waited >= RELOADED,
        (Reload::Never, Some(_)) => true,
        (_, None) => false,
    };
    let none = counted.is_some_and(|requests| requests.in_flight == 0);
    let looks = if read && none { waiting.clear + 1 } else { 0 };
    let last = waited >= if open && counted.is_none() { UNSEEN } else { LONGEST };
    match counted {
        _ if looks >= CLEAR => clear(waiting),
        Some(Requests { in_flight: 1.., .. }) if last => Next::StillBusy,
        // The second look is a moment away.
        Some(_) if read => pause(Waiting { clear: looks, ..waiting }),
        _ if last => clear(waiting),
        _ => pause(Waiting { clear: looks, ..waiting }),
    }
}
