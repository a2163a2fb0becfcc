//! What a run came to, as numbers.

use std::fmt;

use lightsout_localcloud::fleet::{InstanceView, Snapshot};
use serde::Serialize;

use crate::plural::plural;

/// The summary, in the form that `--json` ends with.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Summary {
    pub jobs: Jobs,
    pub instances: Instances,
    pub scaler: Scaler,
}

/// The jobs of the run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Jobs {
    pub total: usize,
    pub done: u32,
    pub failed: u32,
    pub interrupted: u32,
    pub lost: u32,
    /// The median of the seconds from queued to picked, over the jobs that were picked.
    pub wait_p50_s: Option<f64>,
    /// The same at 95 percent.
    pub wait_p95_s: Option<f64>,
}

/// The instances of the run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Instances {
    pub launched: usize,
    /// Those that were there when the run ended.
    #[serde(rename = "final")]
    pub remaining: usize,
    /// Seconds from launch to end, over all instances.
    pub billed_s: f64,
    /// Seconds in service without a job; of an instance with several slots the free share counts.
    pub idle_s: f64,
}

/// The scaler's work during the run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Scaler {
    pub ticks: u64,
    pub raises: u64,
}

impl Summary {
    /// Sums a fleet up as it is.
    pub(super) fn of(snapshot: &Snapshot, slots: u32, scaler: Scaler) -> Self {
        let queue = &snapshot.queue;
        let mut waits: Vec<f64> =
            snapshot.jobs.iter().filter(|job| job.ran_s.is_some()).map(|job| job.waited_s).collect();
        waits.sort_by(f64::total_cmp);
        let now = snapshot.at_ms;
        Self {
            jobs: Jobs {
                total: snapshot.jobs.len(),
                done: queue.done,
                failed: queue.failed,
                interrupted: queue.interrupted,
                lost: queue.lost,
                wait_p50_s: percentile(&waits, 50).map(tenths),
                wait_p95_s: percentile(&waits, 95).map(tenths),
            },
            instances: Instances {
                launched: snapshot.instances.len(),
                remaining: alive(snapshot),
                billed_s: tenths(snapshot.instances.iter().map(|it| seconds(it.launched_ms, it.ended_ms, now)).sum()),
                idle_s: tenths(snapshot.instances.iter().map(|it| idle(it, snapshot, slots)).sum()),
            },
            scaler,
        }
    }

    /// Whether the run kept its promise.
    pub(super) fn is_success(&self) -> bool {
        self.jobs.lost == 0
    }
}

/// Instances that have not ended.
pub(super) fn alive(snapshot: &Snapshot) -> usize {
    snapshot.instances.iter().filter(|instance| instance.ended_ms.is_none()).count()
}

/// Whether a run is over: there were jobs, all have ended, and the fleet is back at its minimum.
pub(super) fn is_over(snapshot: &Snapshot, min: u32) -> bool {
    let queue = &snapshot.queue;
    let at_minimum = snapshot.groups.iter().all(|group| group.desired == min) && alive(snapshot) == min as usize;
    !snapshot.jobs.is_empty() && queue.waiting == 0 && queue.running == 0 && at_minimum
}

fn idle(instance: &InstanceView, snapshot: &Snapshot, slots: u32) -> f64 {
    let Some(start) = instance.in_service_ms else { return 0.0 };
    let jobs = snapshot.jobs.iter().filter(|job| job.instance.as_ref() == Some(&instance.id));
    let worked: f64 = jobs.filter_map(|job| job.ran_s).sum();
    (seconds(start, instance.ended_ms, snapshot.at_ms) - worked / f64::from(slots.max(1))).max(0.0)
}

fn seconds(from_ms: i64, to_ms: Option<i64>, now_ms: i64) -> f64 {
    let millis = to_ms.unwrap_or(now_ms).saturating_sub(from_ms).max(0);
    std::time::Duration::from_millis(millis.unsigned_abs()).as_secs_f64()
}

/// The nearest-rank percentile of sorted values.
fn percentile(sorted: &[f64], percent: usize) -> Option<f64> {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
}

fn tenths(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Jobs { total, done, failed, interrupted, lost, wait_p50_s, wait_p95_s } = &self.jobs;
        let Instances { launched, remaining, billed_s, idle_s } = &self.instances;
        write!(f, "jobs       {done} of {total} done, {lost} lost")?;
        if *interrupted > 0 {
            write!(f, ", {interrupted} interrupted by spot notices")?;
        }
        if *failed > 0 {
            write!(f, ", {failed} failed by themselves")?;
        }
        if let (Some(p50), Some(p95)) = (wait_p50_s, wait_p95_s) {
            write!(f, "; half of them waited up to {p50:.1} s, 95 % up to {p95:.1} s")?;
        }
        write!(
            f,
            "\ninstances  {launched} launched, {remaining} there at the end; {billed_s:.1} s billed, {idle_s:.1} s of it \
             in service without a job"
        )?;
        write!(
            f,
            "\nscaler     {}, {}",
            plural(self.scaler.ticks, "tick", "ticks"),
            plural(self.scaler.raises, "raise", "raises")
        )
    }
}

#[cfg(test)]
mod tests {
    use lightsout_localcloud::fleet::{GroupView, JobState, JobView, QueueView};

    use super::*;

    fn instance(id: &str, in_service_ms: Option<i64>, ended_ms: Option<i64>) -> InstanceView {
        InstanceView { id: id.to_owned(), launched_ms: 1_000, in_service_ms, ended_ms, ..InstanceView::default() }
    }

    fn job(instance: &str, waited_s: f64, ran_s: Option<f64>) -> JobView {
        JobView {
            id: 1,
            state: JobState::Done,
            instance: ran_s.map(|_| instance.to_owned()),
            waited_s,
            ran_s,
            tags: Vec::new(),
            failure: None,
        }
    }

    #[test]
    fn the_bill_runs_from_launch_to_end_and_idle_is_service_without_jobs() {
        let snapshot = Snapshot {
            at_ms: 31_000,
            instances: vec![
                instance("i-1", Some(3_000), Some(21_000)),
                instance("i-2", Some(3_000), None),
                instance("i-3", None, Some(2_000)),
            ],
            jobs: vec![
                job("i-1", 2.0, Some(5.0)),
                job("i-1", 4.0, Some(3.0)),
                job("i-2", 9.0, Some(28.0)),
                job("", 30.0, None),
            ],
            queue: QueueView { done: 3, waiting: 1, ..QueueView::default() },
            ..Snapshot::default()
        };
        let summary = Summary::of(&snapshot, 1, Scaler { ticks: 15, raises: 2 });
        assert_eq!((summary.jobs.total, summary.jobs.done), (4, 3));
        assert_eq!((summary.jobs.wait_p50_s, summary.jobs.wait_p95_s), (Some(4.0), Some(9.0)));
        let expected = Instances { launched: 3, remaining: 1, billed_s: 20.0 + 30.0 + 1.0, idle_s: 10.0 + 0.0 };
        assert_eq!(summary.instances, expected);
        let two_slots = Summary::of(&snapshot, 2, Scaler::default()).instances;
        assert_eq!(two_slots, Instances { idle_s: 14.0 + 14.0, ..expected });
    }

    #[test]
    fn only_a_lost_job_breaks_the_promise() {
        let with = |queue| Summary::of(&Snapshot { queue, ..Snapshot::default() }, 1, Scaler::default());
        assert!(with(QueueView { failed: 1, interrupted: 1, ..QueueView::default() }).is_success());
        assert!(!with(QueueView { lost: 1, done: 19, ..QueueView::default() }).is_success());
    }

    #[test]
    fn percentiles_are_values_that_occurred() {
        let values: Vec<f64> = (1..=20).map(f64::from).collect();
        assert_eq!((percentile(&values, 50), percentile(&values, 95)), (Some(10.0), Some(19.0)));
        assert_eq!((percentile(&[7.0], 50), percentile(&[7.0], 95)), (Some(7.0), Some(7.0)));
        assert_eq!(percentile(&[], 50), None);
    }

    #[test]
    fn the_json_has_the_documented_keys() {
        let summary = Summary::of(&Snapshot::default(), 1, Scaler { ticks: 3, raises: 1 });
        let json = serde_json::to_value(&summary).unwrap();
        for (part, keys) in [
            ("jobs", &["total", "done", "lost", "wait_p50_s", "wait_p95_s"][..]),
            ("instances", &["launched", "final", "billed_s", "idle_s"]),
            ("scaler", &["ticks", "raises"]),
        ] {
            for key in keys {
                assert!(json[part].get(key).is_some(), "{part}.{key}");
            }
        }
    }

    #[test]
    fn a_run_is_over_when_the_work_is_done_and_the_fleet_is_back() {
        let group = |desired| vec![GroupView { desired, ..GroupView::default() }];
        let over = Snapshot {
            groups: group(0),
            instances: vec![instance("i-1", None, Some(5_000))],
            jobs: vec![job("i-1", 1.0, Some(1.0))],
            ..Snapshot::default()
        };
        assert!(is_over(&over, 0));
        assert!(!is_over(&over, 1));
        assert!(!is_over(&Snapshot { jobs: Vec::new(), ..over.clone() }, 0));
        assert!(!is_over(&Snapshot { groups: group(1), ..over.clone() }, 0));
        assert!(!is_over(&Snapshot { instances: vec![instance("i-1", None, None)], ..over.clone() }, 0));
        assert!(!is_over(&Snapshot { queue: QueueView { running: 1, ..QueueView::default() }, ..over.clone() }, 0));
        assert!(is_over(&Snapshot { groups: group(1), instances: vec![instance("i-1", None, None)], ..over }, 1));
    }
}
