//! The values of one program, pool by pool.

use std::collections::BTreeMap;

use super::{Dimension, Histogram, Id, Kind, METRICS, Metric, Program, Unit, metric};

/// The most pools that are told apart, as a bound of last resort: settings name no more than some thousand.
const MOST_POOLS: usize = 10_000;

/// Values of metrics.
#[derive(Clone, Debug)]
pub struct Registry {
    program: Program,
    /// Whether what is new is kept for [`emf`](super::emf).
    keeps: bool,
    pools: BTreeMap<String, Pool>,
}

/// The values of one pool, dense: each metric has its places.
#[derive(Clone, Debug, Default)]
struct Pool {
    /// Counters and gauges; what is not known is no number.
    numbers: Vec<f64>,
    /// What of the counters has been told to CloudWatch.
    told: Vec<f64>,
    /// By the place of their series, those that have any value.
    histograms: BTreeMap<u16, Histogram>,
}

/// One series and its value.
#[derive(Debug)]
pub struct Sample<'a> {
    pub pool: &'a str,
    /// Its other labels.
    pub labels: Vec<(Dimension, &'static str)>,
    pub value: Value<'a>,
}

/// The value of a series.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// Of a counter or a gauge.
    Number(f64),
    /// Of a histogram.
    Histogram(&'a Histogram),
}

/// A value that is new since it was asked for last.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Delta {
    /// What a counter grew by, or what a gauge is.
    Number(f64),
    /// The values that a histogram took.
    Values(Vec<f64>),
}

impl Registry {
    /// An empty one. `keeps`: what is new since it was last told is kept, for those who send and are not asked.
    pub fn new(program: Program, keeps: bool) -> Self {
        Self { program, keeps, pools: BTreeMap::new() }
    }

    /// The names of the pools.
    pub fn pools(&self) -> impl Iterator<Item = &str> {
        self.pools.keys().map(String::as_str)
    }

    /// Makes a pool known, with its counters at 0: the first step of one that begins with 1 is seen by nobody. Money begins when there is a price: what
    /// has none has not cost nothing.
    pub fn meet(&mut self, pool: &str) {
        if self.pools.len() < MOST_POOLS && !self.pools.contains_key(pool) {
            let mut new = Pool { numbers: vec![f64::NAN; numbers()], ..Pool::default() };
            if self.keeps {
                new.told = vec![0.0; numbers()];
            }
            let begins = |metric: &&Metric| {
                metric.kind == Kind::Counter && metric.dimensions.len() < 2 && metric.unit != Unit::Money
            };
            for metric in self.metrics().filter(begins) {
                let first = first(metric);
                new.numbers[first..first + metric.series()].fill(0.0);
            }
            self.pools.insert(pool.to_owned(), new);
        }
    }

    /// Adds to a counter.
    pub fn add(&mut self, id: Id, pool: &str, labels: &[&str], by: f64) {
        if let Some(number) = self.number(id, pool, labels) {
            *number = if number.is_nan() { by } else { *number + by };
        }
    }

    /// Sets a gauge; `None`: it is not known.
    pub fn set(&mut self, id: Id, pool: &str, labels: &[&str], to: Option<f64>) {
        if let Some(number) = self.number(id, pool, labels) {
            *number = to.unwrap_or(f64::NAN);
        }
    }

    /// Has a histogram take a value.
    pub fn observe(&mut self, id: Id, pool: &str, labels: &[&str], value: f64) {
        let metric = metric(id);
        let Kind::Histogram(bounds) = metric.kind else { return };
        let Some(place) = metric.place(labels) else { return };
        self.meet(pool);
        let keeps = self.keeps;
        if let Some(pool) = self.pools.get_mut(pool)
            && let Ok(place) = u16::try_from(first(metric) + place)
        {
            pool.histograms.entry(place).or_default().observe(bounds, value, keeps);
        }
    }

    /// The metrics of this program.
    pub fn metrics(&self) -> impl Iterator<Item = &'static Metric> + use<> {
        let program = self.program;
        METRICS.iter().filter(move |metric| metric.program == Program::Both || metric.program == program)
    }

    /// The samples of a metric, of all pools or of one.
    pub fn samples(&self, metric: &'static Metric, only: Option<&str>) -> impl Iterator<Item = Sample<'_>> {
        let pools = self.pools.iter().filter(move |(name, _)| only.is_none_or(|only| only == name.as_str()));
        pools.flat_map(move |(name, pool)| {
            (0..metric.series()).filter_map(move |place| {
                let value = pool.value(metric, place)?;
                Some(Sample { pool: name, labels: metric.labels(place), value })
            })
        })
    }

    /// What is new of a metric since it was asked for last, with the labels. Counters that stand still, and errors that never were, are left out.
    pub(super) fn fresh(&mut self, metric: &Metric, pool: &str) -> Vec<(Vec<&'static str>, Delta)> {
        let Some(pool) = self.pools.get_mut(pool) else { return Vec::new() };
        let mut found = Vec::new();
        for place in 0..metric.series() {
            let at = first(metric) + place;
            let fresh = match metric.kind {
                Kind::Gauge => Some(pool.numbers[at]).filter(|now| !now.is_nan()).map(Delta::Number),
                Kind::Counter => Some(pool.numbers[at]).filter(|now| !now.is_nan()).map(|now| {
                    let told = pool.told.get_mut(at).map_or(0.0, |told| std::mem::replace(told, now));
                    Delta::Number(now - told)
                }),
                Kind::Histogram(_) => {
                    let taken = u16::try_from(at).ok().and_then(|at| pool.histograms.get_mut(&at));
                    let values = taken.map(|histogram| std::mem::take(&mut histogram.fresh)).unwrap_or_default();
                    (!values.is_empty()).then_some(Delta::Values(values))
                }
            };
            found.extend(fresh.map(|fresh| (metric.labels(place).iter().map(|(_, value)| *value).collect(), fresh)));
        }
        found
    }

    fn number(&mut self, id: Id, pool: &str, labels: &[&str]) -> Option<&mut f64> {
        let metric = metric(id);
        let place = metric.place(labels)?;
        self.meet(pool);
        self.pools.get_mut(pool)?.numbers.get_mut(first(metric) + place)
    }
}

impl Pool {
    fn value(&self, metric: &Metric, place: usize) -> Option<Value<'_>> {
        let at = first(metric) + place;
        match metric.kind {
            Kind::Counter | Kind::Gauge => Some(self.numbers[at]).filter(|number| !number.is_nan()).map(Value::Number),
            Kind::Histogram(_) => self.histograms.get(&u16::try_from(at).ok()?).map(Value::Histogram),
        }
    }
}

/// The place of a metric's first series.
fn first(metric: &Metric) -> usize {
    METRICS[..metric.id as usize].iter().map(Metric::series).sum()
}

/// How many places there are.
fn numbers() -> usize {
    METRICS.iter().map(Metric::series).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(registry: &Registry, id: Id) -> Vec<(String, f64)> {
        let samples = registry.samples(metric(id), None);
        samples
            .map(|sample| {
                let labels: Vec<_> = sample.labels.iter().map(|(_, value)| *value).collect();
                let value = match sample.value {
                    Value::Number(number) => number,
                    Value::Histogram(histogram) => histogram.sum(),
                };
                (format!("{} {}", sample.pool, labels.join(" ")), value)
            })
            .collect()
    }

    #[test]
    fn each_series_keeps_its_own_value() {
        let mut registry = Registry::new(Program::Scaler, false);
        registry.add(Id::Raises, "a", &["raised"], 1.0);
        registry.add(Id::Raises, "a", &["raised"], 1.0);
        registry.add(Id::Raises, "b", &["failed"], 1.0);
        registry.set(Id::Need, "a", &[], Some(7.0));
        registry.observe(Id::RaiseWait, "a", &[], 3.0);
        let raises = shown(&registry, Id::Raises);
        assert_eq!(raises.len(), 8, "counters begin at 0: {raises:?}");
        assert!(raises.contains(&("a raised".into(), 2.0)) && raises.contains(&("b failed".into(), 1.0)), "{raises:?}");
        assert_eq!(shown(&registry, Id::Need), [("a ".to_owned(), 7.0)], "a gauge that is not known is not shown");
        assert_eq!(shown(&registry, Id::RaiseWait), [("a ".to_owned(), 3.0)]);
        registry.set(Id::Need, "a", &[], None);
        assert!(shown(&registry, Id::Need).is_empty());
    }

    #[test]
    fn what_is_not_in_the_table_becomes_no_series() {
        let mut registry = Registry::new(Program::Agent, false);
        registry.add(Id::Departures, "a", &["because"], 1.0);
        registry.add(Id::Departures, "a", &[], 1.0);
        assert!(shown(&registry, Id::Departures).iter().all(|(_, value)| *value == 0.0));
    }

    #[test]
    fn what_was_told_is_not_told_again() {
        let mut registry = Registry::new(Program::Scaler, true);
        registry.add(Id::Launches, "a", &[], 5.0);
        registry.observe(Id::RaiseWait, "a", &[], 3.0);
        assert_eq!(registry.fresh(metric(Id::Launches), "a"), [(vec![], Delta::Number(5.0))]);
        assert_eq!(registry.fresh(metric(Id::RaiseWait), "a"), [(vec![], Delta::Values(vec![3.0]))]);
        registry.add(Id::Launches, "a", &[], 2.0);
        assert_eq!(registry.fresh(metric(Id::Launches), "a"), [(vec![], Delta::Number(2.0))]);
        assert_eq!(registry.fresh(metric(Id::RaiseWait), "a"), []);
        assert_eq!(shown(&registry, Id::Launches), [("a ".to_owned(), 7.0)], "Prometheus sees all of it");
    }
}
