//! Launches that fail: why nothing comes of a raise. They stand in the group's history, which is looked at for them only while jobs wait and
//! nothing is raised, and the less often the longer that lasts.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use lightsout_core::record::{Decision, FailedLaunch, Outcome};
use tokio::time::timeout_at;

use super::{Pool, TickContext};

/// How long jobs wait, with nothing raised, before the first look.
const FIRST_LOOK_AFTER: Duration = Duration::from_secs(10);
/// How long a reading may take: it is no part of what a tick is for.
const READING: Duration = Duration::from_secs(5);
/// The longest pause between two looks.
const LONGEST_PAUSE: Duration = Duration::from_secs(5 * 60);
/// How old a failure may be and still be told.
const RECENT: Duration = Duration::from_secs(10 * 60);
/// How many are told.
const TOLD: usize = 3;

/// What is known of a pool's failed launches.
#[derive(Debug, Default)]
pub(super) struct Launches {
    /// Newest first.
    failed: Vec<FailedLaunch>,
    /// Since when jobs wait and nothing is raised.
    still: Option<Instant>,
    /// When the history was read last.
    read: Option<Instant>,
}

impl Launches {
    /// Takes in whether jobs wait, with nothing raised. Whether the history has to be read for it.
    fn waits(&mut self, still: bool, now: Instant) -> bool {
        if !still {
            self.still = None;
            return false;
        }
        let since = *self.still.get_or_insert(now);
        let pause = self
            .read
            .map_or(FIRST_LOOK_AFTER, |read| read.saturating_duration_since(since))
            .clamp(FIRST_LOOK_AFTER, LONGEST_PAUSE);
        self.read.unwrap_or(since).max(since) + pause <= now
    }

    /// Takes over what the history tells.
    pub(super) fn learn(&mut self, mut failed: Vec<FailedLaunch>) {
        failed.dedup_by(|next, newer| (next.trouble, &next.message) == (newer.trouble, &newer.message));
        self.failed = failed;
        self.read = Some(Instant::now());
    }

    /// Those of late, newest first.
    fn recent(&self, now: Timestamp) -> Vec<FailedLaunch> {
        let is_recent = |failed: &&FailedLaunch| {
            let at = failed.time.parse::<Timestamp>();
            at.is_ok_and(|at| Duration::try_from(now.duration_since(at)).unwrap_or_default() <= RECENT)
        };
        self.failed.iter().filter(is_recent).take(TOLD).cloned().collect()
    }
}

impl Pool {
    /// Tells in the record why nothing comes of the raises, as far as the group's history says; reads that when it is time to.
    pub(super) async fn tell_launches(&mut self, context: &TickContext, until: Instant, record: &mut Decision) {
        let waits = record.why.as_ref().is_some_and(|plan| plan.queued > 0);
        let still = waits && record.result == Outcome::Held && record.why.as_ref().is_some_and(|plan| plan.desired > 0);
        if self.launches.waits(still, Instant::now()) {
            let region = context.regions.region(&self.settings.location());
            let reading = async {
                let _permit = region.histories.acquire(0).await;
                region.groups.history(&self.settings.group).await
            };
            match timeout_at(until.min(Instant::now() + READING).into(), reading).await {
                Ok(Ok(history)) => self.launches.learn(history.failed_launches),
                // What is known stays; before a raise it is told that the history cannot be read.
                Ok(Err(_)) | Err(_) => self.launches.read = Some(Instant::now()),
            }
        }
        if waits {
            record.failed_launches = self.launches.recent(Timestamp::now());
        }
    }
}

impl Launches {
    /// Jobs have waited for long enough to look at the history, if they still do.
    pub(super) fn have_waited(&mut self) {
        self.still = Instant::now().checked_sub(2 * FIRST_LOOK_AFTER);
    }
}

#[cfg(test)]
impl Pool {
    /// The same pool, whose jobs have waited for long enough to look at the history.
    pub(crate) fn having_waited(mut self) -> Self {
        self.launches.have_waited();
        self
    }
}

#[cfg(test)]
mod tests {
    use lightsout_core::record::LaunchTrouble;

    use super::*;

    /// In which seconds of an hour the history is read, when jobs wait all the time.
    #[test]
    fn it_is_looked_at_the_less_often_the_longer_nothing_comes() {
        let begun = Instant::now();
        let mut launches = Launches::default();
        let read: Vec<u64> = (0..1200)
            .filter(|second| {
                let now = begun + Duration::from_secs(*second);
                let due = launches.waits(true, now);
                if due {
                    launches.read = Some(now);
                }
                due
            })
            .collect();
        assert_eq!(read, [10, 20, 40, 80, 160, 320, 620, 920]);
        let later = begun + Duration::from_secs(1300);
        assert!(!launches.waits(false, later), "nothing waits");
        assert!(!launches.waits(true, later), "and when something does again, a raise has its time first");
        assert!(launches.waits(true, later + FIRST_LOOK_AFTER));
    }

    #[test]
    fn the_last_few_that_differ_are_told_and_old_ones_are_not() {
        let now: Timestamp = "2026-11-26T03:00:00Z".parse().unwrap();
        let failure = |minutes: i64, message: &str| FailedLaunch {
            time: Timestamp::from_second(now.as_second() - 60 * minutes).unwrap().to_string(),
            trouble: LaunchTrouble::Capacity,
            message: message.into(),
        };
        let mut launches = Launches::default();
        launches.learn(vec![failure(1, "a"), failure(2, "a"), failure(3, "b"), failure(11, "c")]);
        let messages: Vec<_> = launches.recent(now).into_iter().map(|failed| failed.message).collect();
        assert_eq!(messages, ["a", "b"]);
    }
}
