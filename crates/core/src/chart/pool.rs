//! What the scaler read of a pool and decided, over time.

use std::{cmp::Reverse, collections::BTreeMap};

use jiff::Timestamp;
use serde::Serialize;

use crate::{
    explain::{Evidence, Said},
    record::{Decision, Outcome},
};

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Pool {
    pub pool: String,
    /// Its readings, the earliest first; of those that are alike in a row, the first.
    pub readings: Vec<Reading>,
    /// How jobs waited.
    pub waits: Waits,
    /// Whether it is drawn: where there are too many pools to look at, those are where jobs wait, then those where most happens.
    pub drawn: bool,
}

/// The most pools that are drawn one above the other.
pub(super) const MOST_DRAWN: usize = 60;

/// How much a pool is worth a look, by what was read of it: the jobs that wait, then how much happens.
pub(super) fn interest(readings: &[Reading]) -> (u32, usize) {
    (newest(readings, |it| it.queued).unwrap_or(0), readings.len())
}

/// The newest of its readings that tells this.
fn newest<T>(readings: &[Reading], value: impl Fn(&Reading) -> Option<T>) -> Option<T> {
    readings.iter().rev().find_map(value)
}

/// Says which of these are drawn.
pub(super) fn draw_most(mut pools: Vec<Pool>) -> Vec<Pool> {
    let mut order: Vec<usize> = (0..pools.len()).collect();
    order.sort_by_key(|at| (Reverse(interest(&pools[*at].readings)), *at));
    for at in order.into_iter().take(MOST_DRAWN) {
        pools[at].drawn = true;
    }
    pools
}

/// What the scaler read in a tick, and what it made of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reading {
    pub at: i64,
    /// What became of the tick; a word of [`Outcome`].
    pub result: &'static str,
    /// Jobs that waited; absent where the tick came to no plan.
    pub queued: Option<u32>,
    /// Jobs that ran, where that was known.
    pub running: Option<u32>,
    /// The desired capacity after the tick.
    pub desired: Option<u32>,
    /// The upper bound.
    pub max: Option<u32>,
    /// The decision as a sentence.
    pub sentence: String,
    /// Whether it is more than another tick that came to the same: a raise, or what differs from the tick before in kind.
    pub news: bool,
}

/// How jobs waited, as far as the readings tell: what was read counts until the next reading.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Waits {
    /// The time of all waiting jobs together, in milliseconds.
    pub jobs_ms: u64,
    /// The longest time in which some job waited throughout, in milliseconds.
    pub longest_ms: u64,
    /// The most that waited at once.
    pub most: u32,
}

/// What the scaler read of one pool, tick by tick; of ticks that are alike in a row, the first.
#[derive(Clone, Debug, Default)]
pub struct Readings {
    list: Vec<Reading>,
    /// The ticks before. A scaler that stands by beside the one that decides is compared with itself, else each of their ticks would differ from the one
    /// before.
    before: [Option<Before>; 2],
}

/// A tick, as the next one is compared with it.
#[derive(Clone, Debug)]
struct Before {
    result: Outcome,
    failure: Option<String>,
    /// Where its reading stands, unless that was forgotten.
    kept: Option<usize>,
}

impl Readings {
    /// One more tick, which ended at this time.
    pub fn push(&mut self, time: Timestamp, decision: &Decision) {
        let before = &mut self.before[usize::from(decision.result == Outcome::Standby)];
        let (result, failure) = (decision.result, decision.failure());
        let differs = before.as_ref().is_none_or(|it| it.result != result || it.failure.as_deref() != failure);
        let why = decision.why.as_ref();
        let raised = decision.to.filter(|_| result == Outcome::Raised);
        let reading = Reading {
            at: time.as_millisecond(),
            result: result.as_str(),
            queued: why.map(|why| why.queued),
            running: why.and_then(|why| why.running),
            desired: raised.or(why.map(|why| why.desired)),
            max: why.map(|why| why.max),
            sentence: decision.sentence(),
            news: result == Outcome::Raised || differs,
        };
        let same = |last: &Reading| Reading { at: reading.at, news: false, ..last.clone() } == reading;
        let kept = before.as_ref().and_then(|it| it.kept).filter(|kept| same(&self.list[*kept]));
        let place = kept.unwrap_or(self.list.len());
        *before = Some(Before { result, failure: failure.map(str::to_owned), kept: Some(place) });
        if kept.is_none() {
            self.list.push(reading);
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Forgets so many of them, the oldest first.
    pub fn forget(&mut self, count: usize) {
        self.list.drain(..count.min(self.list.len()));
        for before in self.before.iter_mut().flatten() {
            before.kept = before.kept.and_then(|kept| kept.checked_sub(count));
        }
    }

    /// The readings that are kept.
    pub(super) fn list(&self) -> &[Reading] {
        &self.list
    }

    /// The desired capacity that was read last.
    pub(super) fn desired(&self) -> Option<u32> {
        newest(&self.list, |it| it.desired)
    }

    /// When the first was.
    pub(super) fn from(&self) -> Option<i64> {
        self.list.first().map(|reading| reading.at)
    }

    /// The pool of this name, of which these are, as it was at `to`.
    pub(super) fn pool(&self, pool: &str, to: Timestamp) -> Pool {
        let waits = waits(&self.list, to.as_millisecond());
        Pool { pool: pool.to_owned(), readings: self.list.clone(), waits, drawn: false }
    }
}

/// The pools that are decided on in this evidence.
pub(super) fn pools(evidence: &[Evidence], to: Timestamp) -> Vec<Pool> {
    let mut ticks: BTreeMap<&str, Vec<(Timestamp, &Decision)>> = BTreeMap::new();
    for it in evidence.iter().filter(|it| it.time <= to) {
        if let Said::Decision(decision) = &it.said {
            ticks.entry(&decision.pool).or_default().push((it.time, decision));
        }
    }
    let pool = |(pool, mut ticks): (&str, Vec<(Timestamp, &Decision)>)| {
        ticks.sort_by_key(|(time, _)| *time);
        let mut readings = Readings::default();
        for (time, decision) in ticks {
            readings.push(time, decision);
        }
        readings.pool(pool, to)
    };
    draw_most(ticks.into_iter().map(pool).collect())
}

fn waits(readings: &[Reading], to: i64) -> Waits {
    let mut waits = Waits::default();
    let mut waited = 0;
    let ends = readings.iter().skip(1).map(|reading| reading.at).chain([to]);
    let mut queued = 0;
    for (reading, end) in readings.iter().zip(ends) {
        // A tick that failed says nothing of the queue: what was read before holds.
        queued = reading.queued.unwrap_or(queued);
        let ms = u64::try_from(end - reading.at).unwrap_or(0);
        waited = if queued > 0 { waited + ms } else { 0 };
        waits.jobs_ms += u64::from(queued) * ms;
        waits.longest_ms = waits.longest_ms.max(waited);
        waits.most = waits.most.max(queued);
    }
    waits
}
