//! What lanes cost: seconds by state for each pool, instance or job, in a window of time, and a price for them.
//!
//! Each instance second is in exactly one row: rows by pool, by instance and by job add up to the same. A second with several jobs is shared evenly
//! among them; one without a job belongs to [`NO_JOB`].

use std::{collections::BTreeMap, iter::Sum, ops::AddAssign};

use jiff::Timestamp;
use serde::Serialize;

use crate::{
    lanes::{Lane, Span, State},
    record::Record,
};

/// The row of the seconds in which no job ran that has a name.
pub const NO_JOB: &str = "(no job)";
/// The row of instances whose group no record names.
pub const NO_GROUP: &str = "(no group)";

/// What the rows are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CostRows {
    /// Pools, or groups where no decision names their pool.
    Pool,
    /// Instances.
    Instance,
    /// Jobs.
    Job,
}

/// Milliseconds of instances, by what they did: each is in exactly one state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct StateTimes {
    /// See [`State::Booting`].
    pub booting_ms: u64,
    /// See [`State::Idle`].
    pub idle_ms: u64,
    /// See [`State::Busy`].
    pub busy_ms: u64,
    /// See [`State::Draining`]; of these, no part is in `busy_ms`.
    pub draining_ms: u64,
    /// Of all these, those in which a job ran or may have run ([`Span::works`]): also the last ones of an instance that drains.
    pub worked_ms: u64,
}

impl StateTimes {
    /// All together.
    pub fn all_ms(&self) -> u64 {
        self.booting_ms + self.idle_ms + self.busy_ms + self.draining_ms
    }

    /// The share in which no job ran, from 0 to 1; 0 for nothing.
    pub fn without_job(&self) -> f64 {
        let all = self.all_ms();
        if all == 0 { 0.0 } else { hours(all - self.worked_ms) / hours(all) }
    }

    /// At this price for an instance hour.
    pub fn price(&self, per_hour: f64) -> f64 {
        hours(self.all_ms()) * per_hour
    }

    /// So much of what an instance did in this span.
    fn of(span: &Span, ms: u64) -> Self {
        let worked_ms = if span.works() { ms } else { 0 };
        let mut spent = Self { worked_ms, ..Self::default() };
        *match span.state {
            State::Booting => &mut spent.booting_ms,
            State::Idle => &mut spent.idle_ms,
            State::Busy => &mut spent.busy_ms,
            State::Draining => &mut spent.draining_ms,
        } = ms;
        spent
    }
}

impl AddAssign for StateTimes {
    fn add_assign(&mut self, other: Self) {
        self.booting_ms += other.booting_ms;
        self.idle_ms += other.idle_ms;
        self.busy_ms += other.busy_ms;
        self.draining_ms += other.draining_ms;
        self.worked_ms += other.worked_ms;
    }
}

impl Sum for StateTimes {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |mut sum, spent| {
            sum += spent;
            sum
        })
    }
}

/// Hours, for people and prices.
pub fn hours(ms: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    let ms = ms as f64;
    ms / 3_600_000.0
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// The pool, the instance or the job.
    pub name: String,
    /// Its pool, by whose price it is paid for.
    pub pool: String,
    /// Instances that took part.
    pub instances: usize,
    /// Of these, those of whose end no record tells.
    pub open: usize,
    /// How long they did what.
    pub spent: StateTimes,
    /// What that cost, of all that has a price; `None` when nothing has.
    #[serde(skip)]
    pub cost: Option<f64>,
    /// Of all of it, the milliseconds that have no price.
    pub unpriced_ms: u64,
}

impl Row {
    fn empty(name: &str, pool: &str) -> Self {
        let (name, pool) = (name.to_owned(), pool.to_owned());
        Self { name, pool, instances: 0, open: 0, spent: StateTimes::default(), cost: None, unpriced_ms: 0 }
    }
}

/// What these lanes cost between two times, the longest row first. `pool_of` names a group's pool, `per_hour` tells the price of an instance, which is in
/// that pool, for an hour.
pub fn cost(
    lanes: &[Lane],
    from: Timestamp,
    to: Timestamp,
    by: CostRows,
    pool_of: impl Fn(&str) -> Option<String>,
    per_hour: impl Fn(&Lane, &str) -> Option<f64>,
) -> Vec<Row> {
    let mut rows: BTreeMap<(String, String), Row> = BTreeMap::new();
    for lane in lanes {
        let pool = self::pool_of(lane, &pool_of);
        let per_hour = per_hour(lane, &pool);
        let mut seen: BTreeMap<String, StateTimes> = BTreeMap::new();
        for span in lane.spans.iter().filter_map(|span| span.within(from, to)) {
            let ms = u64::try_from(span.length().as_millis()).unwrap_or(u64::MAX);
            for (name, ms) in names(by, &pool, lane, &span, ms) {
                *seen.entry(name).or_default() += StateTimes::of(&span, ms);
            }
        }
        for (name, spent) in seen {
            let row = rows.entry((pool.clone(), name.clone())).or_insert_with(|| Row::empty(&name, &pool));
            row.instances += 1;
            row.open += usize::from(lane.end.is_none());
            row.spent += spent;
            match per_hour {
                Some(per_hour) => *row.cost.get_or_insert_default() += spent.price(per_hour),
                None => row.unpriced_ms += spent.all_ms(),
            }
        }
    }
    let mut rows: Vec<Row> = rows.into_values().collect();
    rows.sort_by(|a, b| b.spent.all_ms().cmp(&a.spent.all_ms()).then_with(|| a.name.cmp(&b.name)));
    rows
}

/// The pool of an instance, as far as it has one: else its group, else [`NO_GROUP`].
pub fn pool_of(lane: &Lane, pool_of: impl Fn(&str) -> Option<String>) -> String {
    let group = lane.group.as_deref();
    group.map_or_else(|| NO_GROUP.to_owned(), |group| pool_of(group).unwrap_or_else(|| group.to_owned()))
}

/// The pool of each group, where one pool is its only one.
pub fn pools(records: &[Record]) -> BTreeMap<String, String> {
    let mut pools: BTreeMap<String, Option<String>> = BTreeMap::new();
    for record in records {
        if let Record::Decision(decision) = record {
            let known = pools.entry(decision.group.clone()).or_insert_with(|| Some(decision.pool.clone()));
            if known.as_ref().is_some_and(|pool| *pool != decision.pool) {
                *known = None;
            }
        }
    }
    pools.into_iter().filter_map(|(group, pool)| Some((group, pool?))).collect()
}

/// The rows that a span belongs to, and its part in each: together they are all of it.
fn names(by: CostRows, pool: &str, lane: &Lane, span: &Span, ms: u64) -> Vec<(String, u64)> {
    match by {
        CostRows::Pool => vec![(pool.to_owned(), ms)],
        CostRows::Instance => vec![(lane.instance.clone(), ms)],
        CostRows::Job if span.jobs.is_empty() => vec![(NO_JOB.to_owned(), ms)],
        CostRows::Job => {
            let count = span.jobs.len() as u64;
            let part = |index: u64| ms / count + u64::from(index < ms % count);
            (0..).zip(&span.jobs).map(|(index, job)| (job.clone(), part(index))).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::cloud::Machine;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_795_662_000 + seconds).expect("a time")
    }

    fn lane(instance: &str, group: Option<&str>, parts: &[(State, i64, &[&str])]) -> Lane {
        let mut since = 0;
        let spans = parts.iter().map(|(state, seconds, jobs)| {
            let to = since + seconds;
            let from = std::mem::replace(&mut since, to);
            let jobs = jobs.iter().map(|job| (*job).to_owned()).collect();
            Span { state: *state, from: at(from), to: at(to), jobs, why: None }
        });
        let spans = spans.collect();
        let machine = Machine::default();
        Lane { instance: instance.into(), group: group.map(str::to_owned), machine, spans, end: None }
    }

    fn ms_in(spent: &StateTimes, state: State) -> u64 {
        match state {
            State::Booting => spent.booting_ms,
            State::Idle => spent.idle_ms,
            State::Busy => spent.busy_ms,
            State::Draining => spent.draining_ms,
        }
    }

    fn fleet() -> Vec<Lane> {
        vec![
            lane(
                "i-1",
                Some("g"),
                &[(State::Booting, 90, &[]), (State::Busy, 300, &["7", "8"]), (State::Draining, 10, &["8"])],
            ),
            lane("i-2", Some("g"), &[(State::Booting, 60, &[]), (State::Idle, 600, &[])]),
            lane("i-3", None, &[(State::Busy, 100, &[])]),
        ]
    }

    #[test]
    fn each_second_is_paid_for_once_by_whatever_it_is_told() {
        let all = |by| {
            let rows =
                cost(&fleet(), at(0), at(10_000), by, |group| (group == "g").then(|| "linux".into()), |_, _| None);
            rows.into_iter().map(|row| (row.name, row.instances, row.spent.all_ms() / 1000)).collect::<Vec<_>>()
        };
        let named = |rows: &[(&str, usize, u64)]| {
            rows.iter().map(|(name, count, all)| ((*name).to_owned(), *count, *all)).collect::<Vec<_>>()
        };
        assert_eq!(all(CostRows::Pool), named(&[("linux", 2, 1_060), (NO_GROUP, 1, 100)]));
        assert_eq!(all(CostRows::Instance), named(&[("i-2", 1, 660), ("i-1", 1, 400), ("i-3", 1, 100)]));
        assert_eq!(all(CostRows::Job), named(&[(NO_JOB, 2, 750), ("8", 1, 160), ("7", 1, 150), (NO_JOB, 1, 100)]));
    }

    #[test]
    fn a_window_takes_what_lies_in_it_and_the_last_jobs_of_one_that_drains_are_jobs() {
        let rows = cost(&fleet()[..1], at(60), at(120), CostRows::Pool, |_| None, |_, _| None);
        let spent = StateTimes { booting_ms: 30_000, busy_ms: 30_000, worked_ms: 30_000, ..StateTimes::default() };
        assert_eq!((rows[0].name.as_str(), rows[0].spent, rows[0].open), ("g", spent, 1));
        assert!((spent.without_job() - 0.5).abs() < 1e-9 && (spent.price(60.0) - 1.0).abs() < 1e-9);
        let drains = cost(&fleet()[..1], at(390), at(400), CostRows::Pool, |_| None, |_, _| None)[0].spent;
        assert_eq!(drains, StateTimes { draining_ms: 10_000, worked_ms: 10_000, ..StateTimes::default() });
        assert!(drains.without_job().abs() < 1e-9);
        assert!(cost(&fleet(), at(5_000), at(6_000), CostRows::Pool, |_| None, |_, _| None).is_empty());
    }

    proptest! {
        #[test]
        fn every_table_adds_up_to_what_a_clock_on_the_wall_counts(
            lives in proptest::collection::vec(
                proptest::collection::vec((0..4_usize, 0_i64..1_000, 0..3_usize), 1..8),
                1..6,
            ),
            from in 0_i64..2_000,
            length in 0_i64..4_000,
        ) {
            let jobs: [&[&str]; 3] = [&[], &["7"], &["7", "8", "9"]];
            let lanes: Vec<Lane> = (0..)
                .zip(&lives)
                .map(|(number, life)| {
                    let parts: Vec<_> = life.iter().map(|(state, seconds, named)| (State::ALL[*state], *seconds, jobs[*named])).collect();
                    lane(&format!("i-{number}"), [None, Some("g"), Some("h")][number % 3], &parts)
                })
                .collect();
            // Looked at once a second, as somebody who watches the fleet would count it.
            let (mut wall, mut worked) = ([0_u64; 4], 0_u64);
            for second in from..from + length {
                for lane in &lanes {
                    let now = lane.spans.iter().find(|span| (span.from..span.to).contains(&at(second)));
                    if let Some(span) = now {
                        wall[span.state as usize] += 1_000;
                        worked += if span.works() { 1_000 } else { 0 };
                    }
                }
            }
            let (from, to) = (at(from), at(from + length));
            // One a second for every second instance; nobody knows the price of the others.
            let per_hour = |lane: &Lane, _: &str| (lane.instance.ends_with(['0', '2', '4'])).then_some(3_600.0);
            let priced = |of: bool| {
                let lanes = lanes.iter().filter(move |lane| per_hour(lane, "").is_some() == of);
                lanes.flat_map(|lane| &lane.spans).filter_map(|span| span.within(from, to)).map(|span| span.length().as_secs()).sum::<u64>()
            };
            for by in [CostRows::Pool, CostRows::Instance, CostRows::Job] {
                let rows = cost(&lanes, from, to, by, |_| None, per_hour);
                let of = |state| rows.iter().map(|row| ms_in(&row.spent, state)).sum::<u64>();
                prop_assert_eq!(State::ALL.map(of), wall, "{:?}", by);
                let all: StateTimes = rows.iter().map(|row| row.spent).sum();
                prop_assert_eq!((all.all_ms(), all.worked_ms), (wall.iter().sum::<u64>(), worked));
                let costs: f64 = rows.iter().filter_map(|row| row.cost).sum();
                prop_assert!((costs - Duration::from_secs(priced(true)).as_secs_f64()).abs() < 1e-6, "{}", costs);
                prop_assert_eq!(rows.iter().map(|row| row.unpriced_ms).sum::<u64>(), priced(false) * 1_000);
                prop_assert!(all.worked_ms >= all.busy_ms && all.worked_ms <= all.busy_ms + all.draining_ms);
            }
        }
    }
}
