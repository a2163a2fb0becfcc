//! Jobs out of a scaler's records: each tick tells how many waited and how many ran.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use jiff::Timestamp;
use lightsout_core::record::{Decision, Departure, Record};

use super::{BadHistory, History};
use crate::{
    outcome::Waits,
    setup::Boots,
    trace::{Job, Trace},
};

/// The fewest jobs that explain what the scaler saw of a pool, and the boot times of its group's instances.
///
/// A job that came and ended between two ticks is not seen, and times are as exact as the ticks are close. Where one number falls while the other
/// rises, jobs have moved from waiting to running; those that waited longest are taken first, and those that ran longest end first.
///
/// # Errors
///
/// When there is no decision that tells how many jobs wait and run, or there are several pools and none was chosen.
pub fn from_records<'a>(
    records: impl IntoIterator<Item = &'a Record>,
    pool: Option<&str>,
) -> Result<History, BadHistory> {
    let (mut decisions, mut departures, mut pools) = (Vec::new(), Vec::new(), BTreeSet::new());
    for record in records {
        match record {
            Record::Decision(decision) => {
                pools.insert(decision.pool.clone());
                decisions.push(decision);
            }
            Record::Departure(departure) => departures.push(departure),
            Record::Incident(_) => {}
        }
    }
    let pool = match pool {
        Some(pool) => pool.to_owned(),
        None if pools.len() > 1 => return Err(BadHistory::Pools(pools.into_iter().collect())),
        None => pools.into_iter().next().unwrap_or_default(),
    };
    decisions.retain(|decision| decision.pool == pool || decision.group == pool);
    let group = decisions.first().map(|decision| decision.group.clone());
    departures.retain(|departure| departure.group.is_none() || departure.group == group);
    let mut sights: Vec<Sight> = decisions.iter().filter_map(|decision| Sight::of(decision)).collect();
    sights.sort_by_key(|sight| sight.ms);
    let (jobs, waits, unfinished) = jobs(&sights);
    if jobs.is_empty() {
        let count = decisions.len();
        return Err(BadHistory::Empty(format!(
            "no job is seen in {count} decisions of a scaler; they must have `why` with `queued` and `running`"
        )));
    }
    let boots = boots_of(departures);
    let origin = sights.first().and_then(|sight| Timestamp::from_millisecond(sight.ms).ok()).unwrap_or_default();
    let trace = Trace::since(origin, jobs);
    Ok(History { trace, waits: Some(Waits::of(waits)), boots, skipped: unfinished, group })
}

/// How long these records' instances took from their start until they were ready, as far as they tell: each instance once.
pub fn boots<'a>(records: impl IntoIterator<Item = &'a Record>) -> Option<Boots> {
    boots_of(records.into_iter().filter_map(|record| match record {
        Record::Departure(departure) => Some(departure),
        Record::Decision(_) | Record::Incident(_) => None,
    }))
}

fn boots_of<'a>(departures: impl IntoIterator<Item = &'a Departure>) -> Option<Boots> {
    let ready = |departure: &'a Departure| {
        let part = departure.boot.iter().find(|part| part.part == "ready")?;
        Some((departure.instance.as_str(), Duration::from_millis(part.until_ms)))
    };
    let boots: BTreeMap<&str, Duration> = departures.into_iter().filter_map(ready).collect();
    Boots::new(boots.into_values().collect())
}

struct Sight {
    ms: i64,
    queued: u32,
    running: u32,
}

impl Sight {
    fn of(decision: &Decision) -> Option<Self> {
        let why = decision.why.as_ref()?;
        let time: Timestamp = decision.time.parse().ok()?;
        // What was read in part would look as if jobs had ended.
        let whole = decision.missing.is_none();
        whole.then_some(Self { ms: time.as_millisecond(), queued: why.queued, running: why.running? })
    }
}

/// Jobs with their waits in milliseconds, and how many had not ended.
fn jobs(sights: &[Sight]) -> (Vec<Job>, Vec<u64>, usize) {
    let Some(first) = sights.first() else { return (Vec::new(), Vec::new(), 0) };
    let since = |ms: i64| u64::try_from(ms - first.ms).unwrap_or(0);
    // When those that wait came; and of those that run, when they came and began.
    let mut waiting: VecDeque<u64> = VecDeque::new();
    let mut running: VecDeque<(u64, u64)> = VecDeque::new();
    let (mut jobs, mut waits) = (Vec::new(), Vec::new());
    let number = |of: usize| i64::try_from(of).unwrap_or(i64::MAX);
    for sight in sights {
        let now = since(sight.ms);
        let (queued, runs) = (i64::from(sight.queued), i64::from(sight.running));
        // The least that explains it: what runs more began, what runs less ended; what waits less began as well.
        let more = (runs - number(running.len())).max(0);
        let began = more.max(number(waiting.len()) - queued);
        let ended = number(running.len()) + began - runs;
        let came = queued - number(waiting.len()) + began;
        waiting.extend((0..came).map(|_| now));
        for _ in 0..began {
            running.extend(waiting.pop_front().map(|came| (came, now)));
        }
        for _ in 0..ended {
            if let Some((came, began)) = running.pop_front() {
                jobs.push(Job { arrives: Duration::from_millis(came), runs: Duration::from_millis(now - began) });
                waits.push(began - came);
            }
        }
    }
    (jobs, waits, waiting.len() + running.len())
}
