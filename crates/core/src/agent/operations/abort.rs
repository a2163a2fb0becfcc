//! Aborting: the runner fails its jobs, visibly, and ends; the facts of the platform are enough for that, no token is waited for.
//!
//! Only the runner can tell the platform how a job ended. So a job that does not heed it is ended before the runner is: what jobs run in is
//! noted before the first signal, since it cannot be found once its parents are gone, and ended when most of the time is over.
//!
//! Where the deadline is called off meanwhile, nothing more is told or ended by force: a runner that was told ends by itself.

use std::time::Duration;

use super::{Context, Next, unexpected};
use crate::{
    agent::{
        event::Outcome,
        host::{HostEffect, HostResult, RunnerSeen, ToldToDrain},
    },
    platform::DrainBy,
};

/// The pause between two signals, so that the runner notices both.
const BETWEEN: Duration = Duration::from_millis(200);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Step {
    Find { within: Duration },
    NoteJobs { within: Duration, twice: bool },
    NoteTold { within: Duration },
    Drain { within: Duration },
    Pause { within: Duration },
    Signal { within: Duration },
    Await { within: Duration },
    EndJobs { within: Duration },
    AwaitReport,
    Kill,
}

pub(super) fn next(step: Step, result: HostResult, called_off: bool, cx: &Context<'_>) -> Next<Step> {
    let abort = cx.facts.rules.abort;
    match (step, result) {
        // Noted as told, it is told even where the deadline is called off: nobody else does. Its jobs go on after the first signal.
        (Step::NoteTold { within }, HostResult::Done(_)) => {
            Next::Do(HostEffect::SignalRunner(abort), Step::Drain { within })
        }
        (
            Step::Find { .. } | Step::NoteJobs { .. } | Step::Drain { .. } | Step::Pause { .. },
            HostResult::Runner(_) | HostResult::Done(_),
        ) if called_off => Next::Done(Outcome::Unneeded),
        // It was told to fail its jobs.
        (_, HostResult::Done(_) | HostResult::Exited(_)) if called_off => Next::Done(Outcome::Done),
        (Step::Find { within }, HostResult::Runner(found)) => {
            // To some runners the same signal means "finish" at first and "cancel" only when it comes again.
            let told = matches!(found, Ok(Some(RunnerSeen { told: ToldToDrain::Yes })));
            let twice = matches!(found, Ok(Some(_))) && !told && cx.facts.rules.drain == DrainBy::Signal(abort);
            Next::Do(HostEffect::NoteJobs, Step::NoteJobs { within, twice })
        }
        (Step::NoteJobs { within, twice: true }, HostResult::Done(_)) => {
            Next::Do(HostEffect::NoteTold(ToldToDrain::Maybe), Step::NoteTold { within })
        }
        (Step::Drain { within }, HostResult::Done(_)) => Next::Do(HostEffect::Pause(BETWEEN), Step::Pause { within }),
        (Step::NoteJobs { within, twice: false } | Step::Pause { within }, HostResult::Done(_)) => {
            Next::Do(HostEffect::SignalRunner(abort), Step::Signal { within })
        }
        // One that cannot be signalled may exit all the same.
        (Step::Signal { within }, HostResult::Done(_)) => {
            Next::Do(HostEffect::AwaitExit { within: within * 2 / 3 }, Step::Await { within: within / 3 })
        }
        (Step::Await { .. } | Step::AwaitReport, HostResult::Exited(true)) => Next::Done(Outcome::Done),
        (Step::Await { within }, HostResult::Exited(false)) => Next::Do(HostEffect::EndJobs, Step::EndJobs { within }),
        (Step::EndJobs { within }, HostResult::Done(_)) => {
            Next::Do(HostEffect::AwaitExit { within }, Step::AwaitReport)
        }
        (Step::AwaitReport, HostResult::Exited(false)) => Next::Do(HostEffect::KillRunner, Step::Kill),
        (Step::Kill, HostResult::Done(_)) => Next::Done(Outcome::Done),
        (_, other) => Next::Done(unexpected(&other)),
    }
}
