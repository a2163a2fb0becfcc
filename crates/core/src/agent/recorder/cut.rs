//! The jobs that were failed for a deadline of the cloud. One may be called off, and another come.

use crate::agent::event::Outcome;

/// How many ids of jobs are kept.
pub(super) const JOBS: usize = 20;

#[derive(Clone, Debug, Default)]
pub(super) struct Cut {
    /// Whether the agent fails jobs for a deadline, as it stood last.
    stands: bool,
    /// The aborts that are under way: one may be over before its end is seen, and the machine before the abort's.
    under_way: Vec<UnderWay>,
    /// Whether any told a runner to fail its jobs, and which ran then.
    happened: bool,
    ids: Vec<String>,
}

/// An abort, from its beginning to its end.
#[derive(Clone, Debug)]
struct UnderWay {
    /// What ran when it began.
    jobs: Vec<String>,
    /// Whether that they are failed was told already.
    told: bool,
}

/// What an abort that ended was.
pub(super) enum Ended {
    /// It failed these jobs, which was not told yet.
    Untold(Vec<String>),
    /// It failed none, or that is told.
    Told,
    /// None for a deadline.
    Other,
}

impl Cut {
    /// Whether an abort begins, by whether the agent fails jobs now.
    pub(super) fn begins(&self, aborted: bool) -> bool {
        aborted && !self.stands
    }

    /// The same, noted, with the jobs that run.
    pub(super) fn stands(&mut self, aborted: bool, jobs: &[String]) {
        if self.begins(aborted) {
            self.under_way.push(UnderWay { jobs: jobs.to_vec(), told: false });
        }
        self.stands = aborted;
    }

    /// An abort ended like this. One that was called off before it told a runner anything failed no job.
    pub(super) fn ended(&mut self, outcome: &Outcome) -> Ended {
        if self.under_way.is_empty() {
            return Ended::Other;
        }
        let UnderWay { jobs, told } = self.under_way.remove(0);
        if *outcome == Outcome::Unneeded {
            return Ended::Told;
        }
        self.happened = true;
        self.ids = joined(self.ids.iter().chain(&jobs));
        if told { Ended::Told } else { Ended::Untold(jobs) }
    }

    /// The instance ends before the end of these was seen: the jobs of each that was not told.
    pub(super) fn end_unseen(&mut self) -> Vec<Vec<String>> {
        let untold = |abort: &mut UnderWay| (!std::mem::replace(&mut abort.told, true)).then(|| abort.jobs.clone());
        self.under_way.iter_mut().filter_map(untold).collect()
    }

    /// Whether jobs were failed, or are about to be.
    pub(super) fn any(&self) -> bool {
        self.happened || !self.under_way.is_empty()
    }

    pub(super) fn ids(&self) -> Vec<String> {
        joined(self.ids.iter().chain(self.under_way.iter().flat_map(|abort| &abort.jobs)))
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
