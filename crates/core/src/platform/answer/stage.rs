//! The jobs of a pool, counted.

use std::{collections::BTreeMap, time::Duration};

use crate::platform::Demand;

/// What a job of this pool does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// It waits for a runner.
    Waiting,
    /// It runs on one of ours.
    Running,
}

/// The demand of these jobs, each by its id, so that one that moved between two pages counts once.
pub(crate) fn demand(jobs: &BTreeMap<u64, Stage>, poll_after: Option<Duration>) -> Demand {
    let count = |stage| u32::try_from(jobs.values().filter(|found| **found == stage).count()).unwrap_or(u32::MAX);
    Demand { queued: count(Stage::Waiting), running: Some(count(Stage::Running)), poll_after }
}
