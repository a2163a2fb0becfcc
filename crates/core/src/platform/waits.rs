//! How long jobs waited, as a listing with the platform's own time stamps tells. For people only: nothing is decided from it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use jiff::Timestamp;

use super::answer::Stage;

/// The most waits that one reading tells; more of them say nothing new about a pool.
pub const MOST: usize = 1000;

/// How long jobs waited, by the platform's own time stamps. It names no job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Waits {
    /// The waits that ended since the reading before, [`MOST`] at most: of jobs that began, or that were waiting and are gone.
    pub ended: Vec<Duration>,
    /// For how long the job has been waiting that waits longest; `None` when none waits.
    pub oldest: Option<Duration>,
    /// Whether other jobs wait as well, of which the platform does not tell since when: `oldest` is a lower bound.
    pub unseen: bool,
}

/// What is remembered from one whole reading to the next.
#[derive(Debug, Default)]
pub(super) struct WaitLog {
    /// The jobs that waited, each with its wait so far.
    waiting: BTreeMap<u64, Duration>,
    running: BTreeSet<u64>,
    begun: bool,
    /// What the last whole reading told; `None`: the platform's times were missing.
    told: Option<Waits>,
}

impl WaitLog {
    /// Takes the jobs of a whole reading, made when it was `now` on the platform's clock.
    pub(super) fn take(&mut self, jobs: &BTreeMap<u64, Stage>, now: Option<Timestamp>) {
        let (mut waits, mut complete) = (Waits::default(), true);
        let (mut waiting, mut running) = (BTreeMap::new(), BTreeSet::new());
        for (id, stage) in jobs {
            match stage {
                Stage::Waiting { since } => match since.zip(now) {
                    Some((since, now)) => {
                        // A clock that goes wrong by a little must not make a wait negative.
                        let wait = Duration::try_from(now.duration_since(since)).unwrap_or_default();
                        waits.oldest = waits.oldest.max(Some(wait));
                        waiting.insert(*id, wait);
                    }
                    None => complete = false,
                },
                Stage::Running { waited } => {
                    running.insert(*id);
                    let seen = self.waiting.remove(id);
                    // Those that ran before the first reading waited before anybody looked.
                    if let Some(wait) = waited.or(seen).filter(|_| self.begun && !self.running.contains(id)) {
                        waits.ended.push(wait);
                    }
                }
            }
        }
        let gone = self.waiting.iter().filter(|(id, _)| !jobs.contains_key(id)).map(|(_, wait)| *wait);
        waits.ended.extend(gone);
        waits.ended.truncate(MOST);
        *self = Self { waiting, running, begun: true, told: Some(waits).filter(|_| complete) };
    }

    /// What the last whole reading told, once.
    pub(super) fn told(&mut self) -> Option<Waits> {
        self.told.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Option<Timestamp> {
        Timestamp::from_second(1_790_000_000 + second).ok()
    }

    #[expect(clippy::unnecessary_wraps, reason = "as it is compared")]
    fn waits(ended: &[u64], oldest: Option<u64>) -> Option<Waits> {
        let seconds = Duration::from_secs;
        Some(Waits { ended: ended.iter().copied().map(seconds).collect(), oldest: oldest.map(seconds), unseen: false })
    }

    fn told(log: &mut WaitLog, now: i64, jobs: &[(u64, Stage)]) -> Option<Waits> {
        log.take(&jobs.iter().copied().collect(), at(now));
        log.told()
    }

    #[test]
    fn a_wait_ends_once_when_its_job_begins_or_is_gone() {
        let mut log = WaitLog::default();
        let waiting = |since| Stage::Waiting { since: at(since) };
        let running = |waited| Stage::Running { waited: Some(Duration::from_secs(waited)) };
        // One that ran already is nobody's news.
        assert_eq!(told(&mut log, 10, &[(1, running(3)), (2, waiting(4)), (3, waiting(8))]), waits(&[], Some(6)));
        assert_eq!(log.told(), None, "it is told once");
        // The second began, as the platform says after 7 s; the third is gone, and waited for 2 s when it was seen last.
        assert_eq!(told(&mut log, 20, &[(1, running(3)), (2, running(7))]), waits(&[7, 2], None));
        assert_eq!(told(&mut log, 30, &[(2, running(7))]), waits(&[], None));
        // One came and began between two readings.
        assert_eq!(told(&mut log, 40, &[(9, running(1))]), waits(&[1], None));
    }

    #[test]
    fn without_time_stamps_nothing_is_told() {
        let mut log = WaitLog::default();
        assert_eq!(told(&mut log, 10, &[(1, Stage::Waiting { since: None })]), None);
        log.take(&BTreeMap::from([(1, Stage::Waiting { since: at(3) })]), None);
        assert_eq!(log.told(), None, "nor without the platform's clock");
    }

    #[test]
    fn clocks_that_differ_make_no_wait_negative() {
        let mut log = WaitLog::default();
        assert_eq!(told(&mut log, 10, &[(1, Stage::Waiting { since: at(12) })]), waits(&[], Some(0)));
    }
}
