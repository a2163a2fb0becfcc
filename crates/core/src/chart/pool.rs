//! What the scaler read of a pool and decided, over time.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use crate::{
    explain::{Evidence, Said},
    record::{Decision, Outcome},
};

/// One pool.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Pool {
    /// Its name.
    pub pool: String,
    /// Its readings, the earliest first; of those that are alike in a row, the first.
    pub readings: Vec<Reading>,
    /// How jobs waited.
    pub waits: Waits,
}

/// What the scaler read in a tick, and what it made of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reading {
    /// When.
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

/// The pools that are decided on in this evidence.
pub(super) fn pools(evidence: &[Evidence], to: Timestamp) -> Vec<Pool> {
    let mut ticks: BTreeMap<&str, Vec<(i64, &Decision)>> = BTreeMap::new();
    for it in evidence.iter().filter(|it| it.time <= to) {
        if let Said::Decision(decision) = &it.said {
            ticks.entry(&decision.pool).or_default().push((it.time.as_millisecond(), decision));
        }
    }
    let pool = |(pool, mut ticks): (&str, Vec<(i64, &Decision)>)| {
        ticks.sort_by_key(|(at, _)| *at);
        let readings = readings(&ticks);
        let waits = waits(&readings, to.as_millisecond());
        Pool { pool: pool.to_owned(), readings, waits }
    };
    ticks.into_iter().map(pool).collect()
}

fn readings(ticks: &[(i64, &Decision)]) -> Vec<Reading> {
    let mut readings: Vec<Reading> = Vec::new();
    // A scaler that stands by beside the one that decides is compared with itself, else each of their ticks would differ from the one before.
    let mut before: [Option<(&Decision, usize)>; 2] = [None, None];
    for (at, decision) in ticks {
        let before = &mut before[usize::from(decision.result == Outcome::Standby)];
        let differs = before.is_none_or(|(it, _)| it.result != decision.result || it.failure() != decision.failure());
        let why = decision.why.as_ref();
        let raised = decision.to.filter(|_| decision.result == Outcome::Raised);
        let reading = Reading {
            at: *at,
            result: decision.result.as_str(),
            queued: why.map(|why| why.queued),
            running: why.and_then(|why| why.running),
            desired: raised.or(why.map(|why| why.desired)),
            max: why.map(|why| why.max),
            sentence: decision.sentence(),
            news: decision.result == Outcome::Raised || differs,
        };
        let same = |last: &Reading| Reading { at: reading.at, news: false, ..last.clone() } == reading;
        let kept = before.map(|(_, kept)| kept).filter(|kept| same(&readings[*kept]));
        *before = Some((decision, kept.unwrap_or(readings.len())));
        if kept.is_none() {
            readings.push(reading);
        }
    }
    readings
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
