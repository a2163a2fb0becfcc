//! The hours of a schedule: what holds when, for how long it did, and how long the jobs waited that came meanwhile.

use std::{borrow::Cow, time::Duration};

use jiff::{SignedDuration, Timestamp};
use lightsout_core::{
    scaling::{ScalerPolicy, Schedule},
    time::Tick,
};

use super::JobIndex;
use crate::outcome::{Held, Waits, seconds};

pub(super) struct Hours {
    schedule: Schedule,
    /// What the clock shows as the simulation begins.
    begins: Timestamp,
    /// Of each entry the milliseconds for which it held, and the waits of the jobs that came meanwhile.
    held: Vec<(u64, Vec<u64>)>,
    /// The entry that the last tick saw in force, and when that was.
    last: Option<(usize, Tick)>,
    /// Of each job that came, the entry in force then. Empty without a schedule.
    came: Vec<Option<usize>>,
}

impl Hours {
    pub(super) fn new(schedule: Schedule, begins: Timestamp) -> Self {
        let held = vec![(0, Vec::new()); schedule.entries().len()];
        Self { schedule, begins, held, last: None, came: Vec::new() }
    }

    /// The policy that a tick goes by.
    pub(super) fn policy<'a>(&mut self, policy: &'a ScalerPolicy, now: Tick) -> Cow<'a, ScalerPolicy> {
        if self.schedule.is_empty() {
            return Cow::Borrowed(policy);
        }
        let applied = self.schedule.apply(policy, self.instant(now));
        self.book(now);
        self.last = self.index(&applied).map(|entry| (entry, now));
        applied
    }

    pub(super) fn arrived(&mut self, now: Tick) {
        if !self.schedule.is_empty() {
            let none = ScalerPolicy::default();
            let entry = self.index(&self.schedule.apply(&none, self.instant(now)));
            self.came.push(entry);
        }
    }

    pub(super) fn waited(&mut self, job: JobIndex, span: Duration) {
        if let Some(entry) = self.came.get(job as usize).copied().flatten() {
            self.held[entry].1.push(super::ms(span));
        }
    }

    /// What each entry had to do until the end.
    pub(super) fn held(mut self, end: Tick) -> Vec<Held> {
        self.book(end);
        let entries = self.schedule.entries().iter().zip(self.held);
        entries
            .map(|(entry, (ms, waits))| Held {
                entry: entry.to_string(),
                seconds: seconds(ms),
                jobs: waits.len(),
                waits: Waits::of(waits),
            })
            .collect()
    }

    /// What was in force since the last tick was so until now.
    fn book(&mut self, now: Tick) {
        if let Some((entry, since)) = self.last.take() {
            self.held[entry].0 += super::ms(now.since(since));
        }
    }

    /// Of two entries that are written alike the later one holds.
    fn index(&self, applied: &ScalerPolicy) -> Option<usize> {
        let text = applied.entry.as_ref()?;
        self.schedule.entries().iter().rposition(|entry| entry.to_string() == *text)
    }

    fn instant(&self, now: Tick) -> Timestamp {
        let since = SignedDuration::try_from(now.since(Tick::ZERO)).unwrap_or(SignedDuration::MAX);
        self.begins.checked_add(since).unwrap_or(Timestamp::MAX)
    }
}
