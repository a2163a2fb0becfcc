//! How long jobs waited, as the messages of a scale set tell.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use jiff::Timestamp;

use crate::platform::{MOST_WAITS, Waits, answer::Node};

/// Earlier is no time: GitHub writes the year 1 for one that has not come.
const TOLD: Timestamp = Timestamp::UNIX_EPOCH;

/// What a message says of one job, with GitHub's own times (actions/scaleset, types.go).
#[derive(Debug)]
pub(super) struct JobEvent {
    job: String,
    queued: Timestamp,
    turn: Turn,
}

#[derive(Debug)]
enum Turn {
    /// It waits for a runner of the scale set.
    Assigned,
    /// It began, or ended without having begun: it waits no longer.
    Left(Timestamp),
    /// It has ended, and had begun.
    Completed,
}

impl JobEvent {
    /// What this entry of a message says; `None` where it is something else, or a time is missing. Nothing depends on it but what is told of waits.
    pub(super) fn read(kind: &str, event: &Node<'_>) -> Option<Self> {
        let time = |key| event.optional(key).ok()??.text().ok()?.parse().ok().filter(|time: &Timestamp| *time > TOLD);
        // Where GitHub assigns jobs by itself their request has the number 0, and the job an id of its own.
        let id = event.optional("jobId").ok()?.map(|id| id.text().map(str::to_owned)).transpose().ok()?;
        let job = match id.filter(|id| !id.is_empty()) {
            Some(id) => id,
            None => event.key("runnerRequestId").ok()?.number().ok()?.to_string(),
        };
        let queued = time("queueTime")?;
        let turn = match (kind, time("runnerAssignTime")) {
            ("JobAssigned", _) => Turn::Assigned,
            ("JobStarted", Some(began)) => Turn::Left(began),
            ("JobCompleted", Some(_)) => Turn::Completed,
            ("JobCompleted", None) => Turn::Left(time("finishTime")?),
            _ => return None,
        };
        Some(Self { job, queued, turn })
    }

    /// Whether it says that a job waits for a runner from now on.
    pub(super) fn is_assigned(&self) -> bool {
        matches!(self.turn, Turn::Assigned)
    }
}

/// The jobs that wait, as far as messages told of them. GitHub tells of a job when it is assigned, and of those that were assigned before the
/// session nothing until they begin.
#[derive(Debug, Default)]
pub(super) struct WaitingJobs {
    /// When each was queued.
    queued: BTreeMap<String, Timestamp>,
    /// The waits that have ended.
    ended: Vec<Duration>,
    /// Whether others wait as well.
    unseen: bool,
    /// Those of them that were assigned in this reading.
    fresh: BTreeSet<String>,
}

impl WaitingJobs {
    /// A reading begins.
    pub(super) fn begin(&mut self) {
        self.fresh.clear();
    }

    /// How many are known to have been assigned in this reading, and not to have begun.
    pub(super) fn fresh(&self) -> u32 {
        u32::try_from(self.fresh.len()).unwrap_or(u32::MAX)
    }

    /// Takes what a message told.
    pub(super) fn take(&mut self, events: Vec<JobEvent>) {
        for JobEvent { job, queued, turn } in events {
            self.fresh.remove(&job);
            match turn {
                Turn::Assigned => {
                    self.queued.insert(job.clone(), queued);
                    self.fresh.insert(job);
                }
                Turn::Left(at) => {
                    self.queued.remove(&job);
                    if self.ended.len() < MOST_WAITS {
                        self.ended.push(between(queued, at));
                    }
                }
                Turn::Completed => _ = self.queued.remove(&job),
            }
        }
    }

    /// So many wait, by GitHub's own count. Where that is fewer than messages told of, the others have begun, in the order in which they came: the
    /// message that says so comes later, or went to a session that is lost.
    pub(super) fn settle(&mut self, waiting: u32) {
        let waiting = usize::try_from(waiting).unwrap_or(usize::MAX);
        while self.queued.len() > waiting
            && let Some((job, _)) =
                self.queued.iter().map(|(job, queued)| (job.clone(), *queued)).min_by_key(|(_, at)| *at)
        {
            self.queued.remove(&job);
        }
        self.unseen = self.queued.len() < waiting;
    }

    /// What is known by now; each wait that has ended once.
    pub(super) fn told(&mut self, now: Timestamp) -> Waits {
        let oldest = self.queued.values().min().map(|queued| between(*queued, now));
        Waits { ended: std::mem::take(&mut self.ended), oldest, unseen: self.unseen }
    }
}

/// Clocks that differ a little make no wait negative.
fn between(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}
