//! Making room for jobs: what an earlier agent began is waited for, it is made once, and what counts is what is seen afterwards.

use std::time::Duration;

use super::{Context, Next, Step as Operation, unexpected};
use crate::{
    agent::{
        event::Outcome,
        host::{HostEffect, HostResult},
    },
    duration::not_within,
    space::Room,
    time::Tick,
};

/// The pause between two looks at what an earlier agent began, or at what could not be told.
const PAUSE: Duration = Duration::from_secs(1);
/// How long it is tried to tell how much there is once room was made.
const DOUBT: Duration = Duration::from_secs(60);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Step {
    LookForCleaning {
        /// Since when it is waited for.
        since: Tick,
    },
    PauseForCleaning {
        since: Tick,
    },
    /// It may have made enough.
    LookBefore,
    Make,
    Look(Made),
    Pause(Made),
}

/// That room was made.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Made {
    at: Tick,
    /// What came of it.
    said: String,
}

pub(super) fn first(cx: &Context<'_>) -> (HostEffect, Operation) {
    (HostEffect::LookForCleaning, Operation::MakeRoom(Step::LookForCleaning { since: cx.now }))
}

pub(super) fn next(step: Step, result: HostResult, cx: &Context<'_>) -> Next<Step> {
    let within = cx.view.clean_timeout;
    match (step, result) {
        (Step::LookForCleaning { .. }, HostResult::Done(Ok(()))) => Next::Do(HostEffect::LookForRoom, Step::LookBefore),
        (Step::LookForCleaning { since }, HostResult::Done(Err(why))) if cx.now.since(since) >= within => {
            let remedy = "see what it waits for; agent.clean_timeout gives it longer";
            Next::Done(Outcome::Failed(format!("{why}: {}", not_within("that did not end", within, remedy))))
        }
        (Step::LookForCleaning { since }, HostResult::Done(Err(_))) => {
            Next::Do(HostEffect::Pause(PAUSE), Step::PauseForCleaning { since })
        }
        (Step::PauseForCleaning { since }, HostResult::Done(_)) => {
            Next::Do(HostEffect::LookForCleaning, Step::LookForCleaning { since })
        }
        (Step::LookBefore, HostResult::Room(Room::Enough)) => Next::Done(Outcome::Unneeded),
        (Step::LookBefore, HostResult::Room(Room::Short(_) | Room::Unknown)) => {
            Next::Do(HostEffect::MakeRoom { within }, Step::Make)
        }
        (Step::Make, HostResult::Cleaned(Ok(said))) => {
            Next::Do(HostEffect::LookForRoom, Step::Look(Made { at: cx.now, said }))
        }
        (Step::Make, HostResult::Cleaned(Err(why))) => Next::Done(Outcome::Failed(why)),
        (Step::Look(_), HostResult::Room(Room::Enough)) => Next::Done(Outcome::Done),
        (Step::Look(Made { said, .. }), HostResult::Room(Room::Short(what))) => {
            Next::Done(Outcome::StillShort { what, said })
        }
        (Step::Look(made), HostResult::Room(Room::Unknown)) if cx.now.since(made.at) < DOUBT => {
            Next::Do(HostEffect::Pause(PAUSE), Step::Pause(made))
        }
        (Step::Look(_), HostResult::Room(Room::Unknown)) => Next::Done(Outcome::RoomUnknown),
        (Step::Pause(made), HostResult::Done(_)) => Next::Do(HostEffect::LookForRoom, Step::Look(made)),
        (_, other) => Next::Done(unexpected(&other)),
    }
}
