//! What a run came to, as numbers.

use std::{collections::BTreeMap, fmt, time::Duration};

use jiff::Timestamp;
use lightsout_core::{
    cloud::Machine,
    cost::{self, CostRows, StateTimes, hours},
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
    spent: StateTimes,
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
    sums.add(billed_ms.saturating_sub(sums.billed_ms), StateTimes::default(), pricing.flat());
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
    spent: StateTimes,
    cost: f64,
    without_job: f64,
    unpriced_ms: u64,
}

impl Sums {
    fn add(&mut self, billed_ms: u64, spent: StateTimes, per_hour: Option<f64>) {
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

fn spent(lane: &Lane) -> StateTimes {
    let rows =
        cost::cost(std::slice::from_ref(lane), Timestamp::MIN, Timestamp::MAX, CostRows::Pool, |_| None, |_, _| None);
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
mod tests;
