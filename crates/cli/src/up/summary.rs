//! What a run came to, as numbers.

use std::{collections::BTreeMap, fmt, time::Duration};

use jiff::Timestamp;
use lightsout_core::{
    cloud::Machine,
    cost::{self, By, Spent, hours},
    lanes::{Lane, Span, State, lanes},
    record::Record,
};
use lightsout_localcloud::fleet::{InstanceView, Snapshot};
use serde::Serialize;

use crate::{cost::Pricing, plural::plural};

/// The summary, in the form that `--json` ends with.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Summary {
    pub jobs: Jobs,
    pub instances: Instances,
    /// Where `--price` or `--prices` say what instances cost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<Cost>,
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
    /// Seconds from launch to end, over all instances: what the cloud bills. The others share them.
    pub billed_s: f64,
    pub booting_s: f64,
    pub idle_s: f64,
    pub busy_s: f64,
    pub draining_s: f64,
    /// Of instances that were in service and of which no record tells: nobody knows what they did.
    pub unknown_s: f64,
}

/// What the instances cost, in the currency of the price.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Cost {
    /// Of each instance; absent where each has its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price_per_hour: Option<f64>,
    /// What it is in, where that is told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    pub total: f64,
    /// Of it, the part of the seconds in which no job ran: with the last jobs of an instance that drains one did.
    pub without_job: f64,
    /// Billed seconds that have no price; nothing of them is in the total.
    pub unpriced_s: f64,
}

/// The scaler's work during the run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Scaler {
    pub ticks: u64,
    pub raises: u64,
}

impl Summary {
    /// Sums a fleet up as it was at that moment, by what its agents have written down until then.
    pub(super) fn of(snapshot: &Snapshot, records: &[Record], scaler: Scaler, pricing: &Pricing) -> Self {
        let queue = &snapshot.queue;
        let mut waits: Vec<f64> =
            snapshot.jobs.iter().filter(|job| job.ran_s.is_some()).map(|job| job.waited_s).collect();
        waits.sort_by(f64::total_cmp);
        let Spending { billed_ms, spent, cost } = spending(snapshot, records, pricing);
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
                launched: snapshot.launched(),
                remaining: alive(snapshot),
                billed_s: seconds(billed_ms),
                booting_s: seconds(spent.booting_ms),
                idle_s: seconds(spent.idle_ms),
                busy_s: seconds(spent.busy_ms),
                draining_s: seconds(spent.draining_ms),
                unknown_s: seconds(billed_ms.saturating_sub(spent.all_ms())),
            },
            cost: (!pricing.is_empty()).then_some(cost),
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

/// What the cloud bills, and what is known of it.
struct Spending {
    billed_ms: u64,
    spent: Spent,
    cost: Cost,
}

fn spending(snapshot: &Snapshot, records: &[Record], pricing: &Pricing) -> Spending {
    let now = time(snapshot.at_ms);
    let mut told: BTreeMap<String, Lane> =
        lanes(records, now).into_iter().map(|lane| (lane.instance.clone(), lane)).collect();
    let bill = |instance: &InstanceView| {
        let gone = instance.ended_ms.map_or(now, time);
        let known = told.remove(&instance.id).map(|lane| (lane, gone));
        // Before it was in service it booted, whoever wrote that down.
        let (lane, until) = known.unwrap_or_else(|| (silent(instance), instance.in_service_ms.map_or(gone, time)));
        (lane.billed(time(instance.launched_ms), until), gone)
    };
    let bills: Vec<(Lane, Timestamp)> = snapshot.instances.iter().map(bill).collect();
    let ms = |from: Timestamp, to: Timestamp| u64::try_from(to.duration_since(from).as_millis()).unwrap_or_default();
    let mut bills: Vec<(u64, Lane)> = bills.into_iter().map(|(lane, gone)| (ms(lane.from(), gone), lane)).collect();
    let billed_ms = bills.iter().map(|(billed_ms, _)| billed_ms).sum::<u64>() + snapshot.forgotten.billed_ms;
    if snapshot.forgotten.instances > 0 {
        // Of those only the records tell, and whole where they tell of the end.
        let ended = told.into_values().filter(|lane| lane.end.is_some());
        bills.extend(ended.map(|lane| (ms(lane.from(), lane.to()), lane)));
    }
    let mut sums = Sums::default();
    for (billed_ms, lane) in &bills {
        sums.add(*billed_ms, spent(lane), pricing.per_hour(lane, ""));
    }
    // Of others that are forgotten nobody knows more than the bill.
    sums.add(billed_ms.saturating_sub(sums.billed_ms), Spent::default(), pricing.flat());
    let cost = Cost {
        price_per_hour: pricing.flat(),
        currency: pricing.currency().map(str::to_owned),
        total: sums.cost,
        without_job: sums.without_job,
        unpriced_s: seconds(sums.unpriced_ms),
    };
    Spending { billed_ms, spent: sums.spent, cost }
}

/// Bills, summed up.
#[derive(Default)]
struct Sums {
    billed_ms: u64,
    spent: Spent,
    cost: f64,
    without_job: f64,
    unpriced_ms: u64,
}

impl Sums {
    fn add(&mut self, billed_ms: u64, spent: Spent, per_hour: Option<f64>) {
        self.billed_ms += billed_ms;
        self.spent += spent;
        match per_hour {
            Some(per_hour) => {
                self.cost += hours(billed_ms) * per_hour;
                self.without_job += hours(billed_ms.saturating_sub(spent.worked_ms)) * per_hour;
            }
            None => self.unpriced_ms += billed_ms,
        }
    }
}

fn spent(lane: &Lane) -> Spent {
    let rows = cost::cost(std::slice::from_ref(lane), Timestamp::MIN, Timestamp::MAX, By::Pool, |_| None, |_, _| None);
    rows.iter().map(|row| row.spent).sum()
}

/// An instance of which no record tells.
fn silent(instance: &InstanceView) -> Lane {
    let launched = time(instance.launched_ms);
    let boots = Span { state: State::Booting, from: launched, to: launched, jobs: Vec::new(), why: None };
    let (id, group) = (instance.id.clone(), instance.group.clone());
    Lane { instance: id, group, machine: Machine::default(), spans: vec![boots], end: None }
}

fn time(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap_or_default()
}

fn seconds(ms: u64) -> f64 {
    Duration::from_millis(ms).as_secs_f64()
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
        let Instances { launched, remaining, billed_s, booting_s, idle_s, busy_s, draining_s, unknown_s } =
            &self.instances;
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
            "\ninstances  {launched} launched, {remaining} there at the end; {billed_s:.1} s billed: {booting_s:.1} s booting, \
             {idle_s:.1} s idle, {busy_s:.1} s busy, {draining_s:.1} s draining"
        )?;
        if *unknown_s > 0.0 {
            write!(f, ", {unknown_s:.1} s of which no record tells")?;
        }
        if let Some(Cost { price_per_hour, currency, total, without_job, unpriced_s }) = &self.cost {
            let currency = currency.as_ref().map(|currency| format!(" {currency}")).unwrap_or_default();
            let at = price_per_hour.map(|price| format!(" at {price} an instance hour")).unwrap_or_default();
            write!(f, "\ncost       {total:.4}{currency}{at}, {without_job:.4} of it without a job")?;
            if *unpriced_s > 0.0 {
                write!(f, "; {unpriced_s:.1} s of machines whose price is not known are not in it")?;
            }
        }
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
    use lightsout_core::settings::{Fragment, Prices};
    use lightsout_localcloud::fleet::{Forgotten, GroupView, JobState, JobView, QueueView};

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

    fn at(per_hour: f64) -> Pricing {
        Pricing::of_every_pool(Some(per_hour), None)
    }

    /// What an agent wrote down, at these milliseconds.
    fn told(instance: &str, what: &str, ms: i64) -> Record {
        let time = Timestamp::from_millisecond(ms).unwrap();
        let line = format!(
            r#"{{"schema":1,"kind":"incident","time":"{time:.3}","instance":"{instance}","platform":"gitlab","what":"{what}","detail":""}}"#
        );
        Record::find(&line).unwrap()
    }

    #[test]
    fn the_bill_runs_from_launch_to_end_and_each_second_of_it_is_in_one_state() {
        let snapshot = Snapshot {
            at_ms: 31_000,
            instances: vec![
                instance("i-1", Some(3_000), Some(21_000)),
                // Its agent was killed in the middle of a job, and a spot loss took it.
                instance("i-2", Some(3_000), Some(15_000)),
                // Nothing is heard of either: one did not come into service, of the other the records are lost.
                instance("i-3", None, Some(2_000)),
                instance("i-4", Some(6_000), None),
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
        let records = [
            told("i-1", "started", 4_000),
            told("i-1", "ready", 5_000),
            told("i-1", "busy", 6_000),
            told("i-1", "idle", 14_000),
            told("i-1", "leaving", 18_500),
            told("i-2", "started", 4_000),
            told("i-2", "ready", 5_000),
            told("i-2", "busy", 5_500),
            // Younger than the snapshot.
            told("i-1", "busy", 40_000),
        ];
        let summary = Summary::of(&snapshot, &records, Scaler { ticks: 15, raises: 2 }, &at(36.0));
        assert_eq!((summary.jobs.total, summary.jobs.done), (4, 3));
        assert_eq!((summary.jobs.wait_p50_s, summary.jobs.wait_p95_s), (Some(4.0), Some(9.0)));
        let expected = Instances {
            launched: 4,
            remaining: 1,
            billed_s: 20.0 + 14.0 + 1.0 + 30.0,
            booting_s: 4.0 + 4.0 + 1.0 + 5.0,
            idle_s: 1.0 + 4.5 + 0.5,
            busy_s: 8.0 + 9.5,
            draining_s: 2.5,
            unknown_s: 25.0,
        };
        assert_eq!(summary.instances, expected);
        let cost = summary.cost.as_ref().unwrap();
        assert!((cost.total - 0.65).abs() < 1e-9 && (cost.without_job - 0.475).abs() < 1e-9, "{cost:?}");
        let text = summary.to_string();
        assert!(text.contains("25.0 s of which no record tells"), "{text}");
        assert!(text.contains("\ncost       0.6500 at 36 an instance hour, 0.4750 of it without a job\n"), "{text}");
        let forgotten = Forgotten { instances: 7, billed_ms: 9_000 };
        let long =
            Summary::of(&Snapshot { forgotten, ..snapshot.clone() }, &records, Scaler::default(), &Pricing::default())
                .instances;
        let (launched, billed_s, unknown_s) = (11, expected.billed_s + 9.0, expected.unknown_s + 9.0);
        assert_eq!(long, Instances { launched, billed_s, unknown_s, ..expected });
        let unpriced = Summary::of(&snapshot, &records, Scaler::default(), &Pricing::default());
        assert!(
            !unpriced.to_string().contains("cost") && serde_json::to_value(&unpriced).unwrap().get("cost").is_none()
        );
    }

    #[test]
    fn each_instance_has_the_price_of_its_machine_and_one_that_has_none_is_told() {
        let snapshot = Snapshot {
            at_ms: 31_000,
            instances: vec![instance("i-1", Some(3_000), Some(21_000)), instance("i-2", Some(3_000), None)],
            ..Snapshot::default()
        };
        let Record::Incident(mut started) = told("i-1", "started", 4_000) else { panic!("an incident") };
        started.machine = Machine { machine_type: Some("m5.large".into()), spot: Some(true) };
        let records = [Record::Incident(started), told("i-1", "ready", 5_000), told("i-1", "busy", 6_000)];
        let table = "[prices]\ncurrency = 'USD'\nmachines.'m5.large' = { on_demand = 7200, spot = 3600 }\n";
        let prices = Prices::parse(&[Fragment::new("prices.toml", table)]).unwrap().unwrap();
        let summary = Summary::of(&snapshot, &records, Scaler::default(), &Pricing::of_every_pool(None, Some(prices)));
        let cost = summary.cost.as_ref().unwrap();
        assert_eq!((cost.price_per_hour, cost.currency.as_deref(), cost.unpriced_s), (None, Some("USD"), 30.0));
        assert!((cost.total - 20.0).abs() < 1e-9 && (cost.without_job - 5.0).abs() < 1e-9, "{cost:?}");
        let line = "\ncost       20.0000 USD, 5.0000 of it without a job; 30.0 s of machines whose price is not known are not in it\n";
        assert!(summary.to_string().contains(line), "{summary}");
    }

    #[test]
    fn the_last_jobs_of_an_instance_that_drains_are_no_time_without_a_job() {
        // As with agent.jobs_per_instance = 1: it drains from the moment it has a job.
        let snapshot = Snapshot {
            at_ms: 31_000,
            instances: vec![instance("i-1", Some(3_000), Some(31_000))],
            ..Snapshot::default()
        };
        let jobs = |what, ms, jobs: &[&str]| {
            let Record::Incident(mut incident) = told("i-1", what, ms) else { panic!("an incident") };
            incident.jobs = jobs.iter().map(|job| (*job).to_owned()).collect();
            Record::Incident(incident)
        };
        let records = [
            told("i-1", "started", 4_000),
            told("i-1", "ready", 5_000),
            jobs("busy", 6_000, &["7"]),
            told("i-1", "leaving", 6_000),
            jobs("busy", 16_000, &["7", "8"]),
            jobs("busy", 18_000, &["8"]),
            told("i-1", "idle", 26_000),
        ];
        let Summary { instances, cost, .. } = Summary::of(&snapshot, &records, Scaler::default(), &at(3600.0));
        assert_eq!((instances.billed_s, instances.busy_s, instances.draining_s), (30.0, 0.0, 25.0));
        let cost = cost.unwrap();
        assert!((cost.total - 30.0).abs() < 1e-9 && (cost.without_job - 10.0).abs() < 1e-9, "{cost:?}");
    }

    #[test]
    fn only_a_lost_job_breaks_the_promise() {
        let with = |queue| {
            Summary::of(&Snapshot { queue, ..Snapshot::default() }, &[], Scaler::default(), &Pricing::default())
        };
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
        let summary = Summary::of(&Snapshot::default(), &[], Scaler { ticks: 3, raises: 1 }, &at(1.0));
        let json = serde_json::to_value(&summary).unwrap();
        for (part, keys) in [
            ("jobs", &["total", "done", "lost", "wait_p50_s", "wait_p95_s"][..]),
            (
                "instances",
                &["launched", "final", "billed_s", "booting_s", "idle_s", "busy_s", "draining_s", "unknown_s"],
            ),
            ("cost", &["price_per_hour", "total", "without_job"]),
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
