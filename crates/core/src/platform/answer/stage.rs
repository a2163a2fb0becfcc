//! What each job of a pool does, waiting or running, and their sum: the demand.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::platform::Demand;

/// What a job of this pool does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Stage {
    /// It waits for a runner.
    Waiting {
        /// Since when, by the platform's own clock, where it tells.
        since: Option<Timestamp>,
    },
    /// It runs on one of ours.
    Running {
        /// How long it waited before, where the platform tells.
        waited: Option<Duration>,
    },
}

/// The demand of these jobs, each by its id, so that one that moved between two pages counts once.
pub(crate) fn demand(jobs: &BTreeMap<u64, Stage>, poll_after: Option<Duration>) -> Demand {
    let count = |waits| {
        let jobs = jobs.values().filter(|stage| matches!(stage, Stage::Waiting { .. }) == waits);
        u32::try_from(jobs.count()).unwrap_or(u32::MAX)
    };
    Demand { queued: count(true), running: Some(count(false)), poll_after }
}
