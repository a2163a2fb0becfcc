//! What came of a simulation.

use lightsout_core::{agent::phase::LeaveReason, invariants::Violation};
use serde::Serialize;

/// What came of a trace in a fleet.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Outcome {
    /// Jobs that came.
    pub jobs: usize,
    /// Jobs that no instance had taken a week after the last one came.
    pub unserved: usize,
    /// Jobs that were ended by the fleet's own rule.
    pub cut: usize,
    /// Jobs that a spot loss ended.
    pub spot: usize,
    /// How long jobs waited until they ran.
    pub waits: Waits,
    /// Instances that were launched.
    pub launched: usize,
    /// The most that there were at the same time.
    pub peak: usize,
    /// How long the instances were in each state, all together.
    pub seconds: Seconds,
    /// What the entries of the schedule had to do, in their order; empty without one.
    pub entries: Vec<Held>,
    /// Raises and departures in their order.
    #[serde(skip)]
    pub turns: Vec<Turn>,
    /// The first promise that an agent broke; there is none.
    #[serde(skip)]
    pub violation: Option<Violation>,
}

/// How long jobs waited, in seconds; each is a wait that a job had (nearest rank).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Waits {
    /// Half of the jobs waited no longer.
    pub p50: f64,
    /// 95 of a hundred.
    pub p95: f64,
    /// 99 of a hundred.
    pub p99: f64,
    /// All of them.
    pub most: f64,
    /// What all of them waited together.
    pub total: f64,
}

/// What an entry of a schedule had to do.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Held {
    /// The entry, as it is written.
    pub entry: String,
    /// How long it was in force, in seconds, as the scaler's ticks saw it.
    pub seconds: f64,
    /// Jobs that came meanwhile, and ran.
    pub jobs: usize,
    /// How long these waited.
    pub waits: Waits,
}

/// Instance seconds by state. Together they are the time for which the instances cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Seconds {
    /// From the machine's start to its readiness for jobs.
    pub booting: f64,
    /// Ready, and without a job.
    pub idle: f64,
    /// At least one job runs.
    pub busy: f64,
    /// Without a job, and taking none any more.
    pub draining: f64,
}

impl Seconds {
    /// All of them.
    pub fn all(&self) -> f64 {
        self.booting + self.idle + self.busy + self.draining
    }

    /// The share in which no job ran, from 0 to 1; 0 without any instance.
    pub fn waste(&self) -> f64 {
        let all = self.all();
        if all > 0.0 { (all - self.busy) / all } else { 0.0 }
    }

    /// What they cost at a price for an hour.
    pub fn cost(&self, per_hour: f64) -> f64 {
        self.all() / 3600.0 * per_hour
    }
}

/// A raise or a departure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// The desired capacity was raised.
    Raised {
        /// To this.
        to: u32,
    },
    /// An instance left.
    Left {
        /// Why, where an agent says so.
        why: Option<LeaveReason>,
    },
}

impl Waits {
    /// Of waits in milliseconds, in whatever order.
    pub(crate) fn of(mut waits: Vec<u64>) -> Self {
        waits.sort_unstable();
        let rank = |percent: usize| {
            let rank = (waits.len() * percent).div_ceil(100).max(1);
            waits.get(rank - 1).map_or(0.0, |ms| seconds(*ms))
        };
        Self { p50: rank(50), p95: rank(95), p99: rank(99), most: rank(100), total: seconds(waits.iter().sum()) }
    }
}

pub(crate) fn seconds(ms: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    let ms = ms as f64;
    ms / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_a_wait_that_somebody_had() {
        let waits = Waits::of((1..=200).rev().map(|n| n * 1000).collect());
        assert_eq!((waits.p50, waits.p95, waits.p99, waits.most), (100.0, 190.0, 198.0, 200.0));
        assert!((waits.total - 20_100.0).abs() < 1e-9, "{waits:?}");
        assert_eq!(Waits::of(Vec::new()), Waits::default());
        assert_eq!(Waits::of(vec![1500]), Waits { p50: 1.5, p95: 1.5, p99: 1.5, most: 1.5, total: 1.5 });
    }

    #[test]
    fn waste_is_what_no_job_used() {
        let seconds = Seconds { booting: 90.0, idle: 600.0, busy: 300.0, draining: 10.0 };
        let near = |found: f64, expected: f64| assert!((found - expected).abs() < 1e-9, "{found}");
        near(seconds.all(), 1000.0);
        near(seconds.waste(), 0.7);
        near(seconds.cost(3.6), 1.0);
        near(Seconds::default().waste(), 0.0);
    }
}
