//! The jobs that were failed for a deadline of the cloud. One may be called off, and another come.

use super::leaving::JOBS;
use crate::agent::event::Outcome;

#[derive(Clone, Debug, Default)]
pub(super) struct Cut {
    /// Whether the agent fails jobs for a deadline, as it stood last.
    stands: bool,
    /// What ran when each abort that is under way began: it may be over before its end is seen, and the machine before the abort's.
    under_way: Vec<Vec<String>>,
    /// Whether any told a runner to fail its jobs, and which ran then.
    happened: bool,
    ids: Vec<String>,
}

impl Cut {
    /// Whether an abort begins, by whether the agent fails jobs now.
    pub(super) fn begins(&self, aborted: bool) -> bool {
        aborted && !self.stands
    }

    /// The same, noted, with the jobs that run.
    pub(super) fn stands(&mut self, aborted: bool, jobs: &[String]) {
        if self.begins(aborted) {
            self.under_way.push(jobs.to_vec());
        }
        self.stands = aborted;
    }

    /// An abort ended like this; whether it was one for a deadline.
    pub(super) fn ended(&mut self, outcome: &Outcome) -> bool {
        if self.under_way.is_empty() {
            return false;
        }
        let jobs = self.under_way.remove(0);
        if *outcome != Outcome::Unneeded {
            self.happened = true;
            self.ids = joined(self.ids.iter().chain(&jobs));
        }
        true
    }

    /// Whether jobs were failed, or are about to be.
    pub(super) fn any(&self) -> bool {
        self.happened || !self.under_way.is_empty()
    }

    pub(super) fn ids(&self) -> Vec<String> {
        joined(self.ids.iter().chain(self.under_way.iter().flatten()))
    }
}

/// Each once, and no more than are kept.
fn joined<'a>(ids: impl Iterator<Item = &'a String>) -> Vec<String> {
    let mut joined = Vec::new();
    for id in ids {
        if joined.len() < JOBS && !joined.contains(id) {
            joined.push(id.clone());
        }
    }
    joined
}
