//! What the scaler's ticks say, as metrics.

use std::{collections::BTreeMap, time::Duration};

use super::{Id, Program, Registry, first_seen::FirstSeen};
use crate::{
    platform::Waits,
    record::{Decision, LaunchTrouble, Outcome},
    scaling::{Explanation, Limit},
};

/// How long before the program's start a wait may have begun.
const BEFORE: Duration = Duration::from_secs(30 * 86_400);

const LAUNCH_TROUBLES: [(&str, LaunchTrouble); 6] = [
    ("capacity", LaunchTrouble::Capacity),
    ("quota", LaunchTrouble::Quota),
    ("key", LaunchTrouble::Key),
    ("hook", LaunchTrouble::Hook),
    ("settings", LaunchTrouble::Settings),
    ("other", LaunchTrouble::Other),
];

/// What a tick saw beside what its record says.
#[derive(Clone, Debug, Default)]
pub struct TickExtras {
    /// How long jobs waited, where the platform tells.
    pub waits: Option<Waits>,
}

/// Counts what the scaler does. Times are since the program's start.
#[derive(Clone, Debug)]
pub struct ScalerMeter {
    registry: Registry,
    pools: BTreeMap<String, Pool>,
}

#[derive(Clone, Debug)]
struct Pool {
    first_seen: FirstSeen,
    /// Since when the job waits that waits longest, if one waits, and by whose time.
    oldest: Option<(Option<Duration>, &'static str)>,
    /// When the first tick began that saw that instances are missing.
    missing_since: Option<Duration>,
    /// When the last good tick ended.
    good: Duration,
}

impl Default for Pool {
    fn default() -> Self {
        Self { first_seen: FirstSeen::default(), oldest: None, missing_since: None, good: BEFORE }
    }
}

impl ScalerMeter {
    /// Counts for these pools. `keeps`: what is new will be asked for by [`emf`](super::emf).
    pub fn new<'a>(pools: impl IntoIterator<Item = &'a str>, keeps: bool) -> Self {
        let mut meter = Self { registry: Registry::new(Program::Scaler, keeps), pools: BTreeMap::new() };
        for pool in pools {
            meter.registry.meet(pool);
            meter.pools.insert(pool.to_owned(), Pool::default());
        }
        meter
    }

    /// A call failed: `source` and `reason` are words of the table.
    pub fn failed(&mut self, pool: &str, source: &'static str, reason: &'static str) {
        self.registry.add(Id::Errors, pool, &[source, reason], 1.0);
    }

    /// A pool's tick ended at `now`.
    pub fn ticked(&mut self, record: &Decision, seen: &TickExtras, now: Duration) {
        let now = now + BEFORE;
        let (name, registry) = (record.pool.as_str(), &mut self.registry);
        let pool = self.pools.entry(name.to_owned()).or_default();
        let took = Duration::from_millis(record.ms.total);
        registry.add(Id::Ticks, name, &[record.result.as_str()], 1.0);
        registry.observe(Id::TickDuration, name, &[], took.as_secs_f64());
        if record.missing.is_some() {
            registry.add(Id::PartialReadings, name, &[], 1.0);
        }
        if !matches!(record.result, Outcome::Failed) {
            pool.good = now;
        }
        let Some(why) = &record.why else { return };
        pool.take_waits(registry, name, why, seen.waits.as_ref(), record.missing.is_none(), now);
        take_plan(registry, name, why, record);
        if matches!(record.result, Outcome::Raised) {
            let since = pool.missing_since.take().unwrap_or(now.saturating_sub(took));
            registry.observe(Id::RaiseWait, name, &[], now.saturating_sub(since).as_secs_f64());
        } else if why.need.min(why.max) > why.desired.max(why.lately.unwrap_or(0)) {
            pool.missing_since.get_or_insert(now.saturating_sub(took));
        } else {
            pool.missing_since = None;
        }
    }

    /// All values as they are at `now`.
    pub fn at(&mut self, now: Duration) -> &mut Registry {
        let now = now + BEFORE;
        for (name, pool) in &self.pools {
            self.registry.set(Id::TickAge, name, &[], Some(now.saturating_sub(pool.good).as_secs_f64()));
            for source in ["platform", "first_seen"] {
                let wait = match pool.oldest {
                    // It goes on waiting until another reading says that it does not.
                    Some((since, whose)) if whose == source => {
                        Some(since.map_or(0.0, |since| now.saturating_sub(since).as_secs_f64()))
                    }
                    Some(_) | None => None,
                };
                self.registry.set(Id::OldestWait, name, &[source], wait);
            }
        }
        &mut self.registry
    }
}

impl Pool {
    fn take_waits(
        &mut self,
        registry: &mut Registry,
        name: &str,
        why: &Explanation,
        told: Option<&Waits>,
        whole: bool,
        now: Duration,
    ) {
        // What was not read is not gone.
        if !whole {
            return;
        }
        let counted = self.first_seen.see(why.queued, why.running, now);
        let (ended, source) = told.map_or((&counted.ended, "first_seen"), |told| (&told.ended, "platform"));
        for wait in ended {
            registry.observe(Id::JobDuration, name, &["pending", source], wait.as_secs_f64());
        }
        let (oldest, source) = match told {
            Some(told) if !told.unseen => (told.oldest, "platform"),
            Some(told) => (counted.oldest.max(told.oldest), "first_seen"),
            None => (counted.oldest, "first_seen"),
        };
        self.oldest = Some((oldest.map(|wait| now.saturating_sub(wait)), source));
    }
}

fn take_plan(registry: &mut Registry, name: &str, why: &Explanation, record: &Decision) {
    let mut set = |id, labels: &[&str], to: u32| registry.set(id, name, labels, Some(f64::from(to)));
    let outlook = why.outlook.unwrap_or_default();
    let raised = record.to.filter(|_| matches!(record.result, Outcome::Raised));
    set(Id::Jobs, &["pending"], why.queued);
    set(Id::Need, &[], why.need);
    set(Id::Max, &[], why.max);
    set(Id::Desired, &[], raised.unwrap_or(why.desired));
    set(Id::Silent, &[], outlook.silent);
    set(Id::Unmet, &["maximum"], if why.limit == Limit::Max { why.need.saturating_sub(why.max) } else { 0 });
    set(Id::Unmet, &["futile"], outlook.unmet.div_ceil(why.slots.max(1)));
    let told = |trouble| {
        u32::try_from(record.failed_launches.iter().filter(|failed| failed.trouble == trouble).count()).unwrap_or(0)
    };
    let suspended = u32::from(record.launches_suspended);
    let mut failing = suspended;
    for (reason, trouble) in LAUNCH_TROUBLES {
        let failed = told(trouble);
        failing = failing.saturating_add(failed);
        set(Id::FailedLaunches, &[reason], failed);
    }
    set(Id::FailedLaunches, &["suspended"], suspended);
    set(Id::FailingLaunches, &[], failing);
    registry.set(Id::Jobs, name, &["executing"], why.running.map(f64::from));
    let state = match (record.result, record.to) {
        (Outcome::Raised, Some(to)) => {
            registry.add(Id::Launches, name, &[], f64::from(to.saturating_sub(why.desired)));
            "raised"
        }
        (Outcome::WouldRaise, Some(_)) => "would_raise",
        (Outcome::Queued, Some(_)) => "queued",
        (Outcome::Failed, Some(_)) => "failed",
        (Outcome::Held | Outcome::Standby, _) | (_, None) => return,
    };
    registry.add(Id::Raises, name, &[state], 1.0);
}

#[cfg(test)]
mod tests;
