//! The scaler's decision: hold, or raise the desired capacity to an absolute number. There is no lowering.
//!
//! ```text
//! need = ceil((queued - unmet + running) / slots / utilisation) + spare + silent, within the bounds
//! ```
//!
//! The target follows from demand alone, never from the desired capacity that was read plus something. So it does not
//! matter how often it is planned, or by how many scalers. It is compared with the desired capacity and not with the
//! instances in service: instances that still boot count. It is compared with what is known to have been desired lately,
//! too ([`RecentDesired`]), because a write is absolute and a reading may be stale: what is only the higher of the two numbers
//! that were read must not be written over the higher one.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::platform::Demand;

mod explanation;
mod raise_history;
mod recent_desired;
mod schedule;

pub use explanation::{Explanation, Limit};
pub use raise_history::{Observation, Outlook, RaiseHistory};
pub use recent_desired::{Change, RecentDesired, STALENESS};
pub use schedule::{Entry, Schedule, Zone};

/// What the operator decides about a pool's growth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScalerPolicy {
    /// Jobs that one instance takes at once; at least 1, which is the default.
    pub slots: u32,
    /// Instances kept ready beyond the demand. Default 0.
    pub spare: u32,
    /// The entry of a schedule that says `spare`, as [`Schedule::apply`] notes it. Default `None`: no schedule says it.
    pub entry: Option<String>,
    /// A lower bound above the group's own. Default `None`.
    pub min: Option<u32>,
    /// An upper bound below the group's own. Default `None`.
    pub max: Option<u32>,
    /// Whether the platform's number of running jobs is this pool's alone. Default true; false: as if it were not known.
    pub count_running: bool,
    /// How full the slots are planned, in percent from 1 to 100, which is the default.
    pub utilisation: u32,
    /// Fewer waiting jobs than this count as none. Default 1.
    pub threshold: u32,
    /// The most instances that one tick adds. Default `None`: what is needed.
    pub max_step: Option<u32>,
    /// How long nothing is raised after a raise by the same process. Default zero.
    pub cooldown: Duration,
    /// How long nothing may happen beside waiting jobs until so many instances count as silent that one is raised past them;
    /// and one more each time. Default 25 min: the agents' boot deadline and idle timeout are ten each unless set otherwise.
    pub silent_after: Duration,
}

impl Default for ScalerPolicy {
    fn default() -> Self {
        Self {
            slots: 1,
            spare: 0,
            entry: None,
            min: None,
            max: None,
            count_running: true,
            utilisation: 100,
            threshold: 1,
            max_step: None,
            cooldown: Duration::ZERO,
            silent_after: Duration::from_secs(25 * 60),
        }
    }
}

/// A group's capacity as it was read, in instances.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capacity {
    /// The group's smallest size.
    pub min: u32,
    /// The group's largest size.
    pub max: u32,
    /// The desired capacity: instances that boot count.
    pub desired: u32,
    /// The highest that is known to have been desired lately ([`RecentDesired::highest`]), where that is above `desired`. It may
    /// hold still, so nothing is written below it.
    pub lately: u32,
}

impl Capacity {
    /// What may be desired now, at most: nothing is raised unless it goes above this.
    pub fn at_most_desired(&self) -> u32 {
        self.desired.max(self.lately)
    }
}

/// What came before a plan. [`Default`]: nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PlanHistory {
    /// How long ago this process raised the pool, for the cooldown; `None` when it never did.
    pub since_raise: Option<Duration>,
    /// What the last raise wrote, when it is not known whether that took effect: it is written again while it is needed. Where it did take
    /// effect that changes nothing.
    pub unanswered: Option<u32>,
    /// What became of the raises so far.
    pub outlook: Outlook,
}

/// What to do with the desired capacity.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Plan {
    /// Nothing.
    Hold(Explanation),
    Raise {
        /// The new desired capacity; above the one that was read, and not below what was desired lately.
        to: u32,
        /// How it came about.
        explanation: Explanation,
    },
}

impl Plan {
    /// How it came about.
    pub fn explanation(&self) -> &Explanation {
        match self {
            Self::Hold(explanation) | Self::Raise { explanation, .. } => explanation,
        }
    }

    /// How many instances a raise adds to those that were read; 0 for none.
    pub fn missing(&self) -> u32 {
        match self {
            Self::Hold(_) => 0,
            Self::Raise { to, explanation } => to.saturating_sub(explanation.desired),
        }
    }
}

/// Plans one pool.
///
/// When the running jobs are not known, waiting jobs alone are counted. It is tempting to take every instance for busy and
/// to plan `desired + ceil(queued / slots)`, and it would run away: jobs stay queued while instances boot, so that each tick
/// would add the same instances again. The rule here is bounded by the demand; its price is that jobs may wait for
/// instances that are busy. A platform that tells its running jobs has no such price.
pub fn plan(policy: &ScalerPolicy, demand: &Demand, capacity: Capacity, past: PlanHistory) -> Plan {
    let mut explanation = weigh(policy, demand, capacity, past.outlook);
    let desired = capacity.at_most_desired();
    if capacity.desired < desired && explanation.target == desired && past.unanswered == Some(desired) {
        explanation.again = true;
        return Plan::Raise { to: desired, explanation };
    }
    if explanation.target <= desired {
        return Plan::Hold(explanation);
    }
    if let Some(left) =
        past.since_raise.and_then(|since| policy.cooldown.checked_sub(since)).filter(|left| !left.is_zero())
    {
        explanation.limit = Limit::Cooldown { left_ms: u64::try_from(left.as_millis()).unwrap_or(u64::MAX).max(1) };
        return Plan::Hold(explanation);
    }
    let step = policy.max_step.map_or(u32::MAX, |step| desired.saturating_add(step.max(1)));
    if step < explanation.target {
        explanation.limit = Limit::Step;
        explanation.target = step;
    }
    Plan::Raise { to: explanation.target, explanation }
}

/// What idle agents may not undercut, in instances: what is kept without any demand (spare instances, or a minimum above the
/// group's own); 0 when nothing is. Without it they would idle out only to be replaced. It is advice: late or lost, it costs
/// money for a moment and never a job. The demand has no part in it: that ends, and advice that lingers would keep it alive.
pub fn floor(policy: &ScalerPolicy, capacity: Capacity) -> u32 {
    let kept = policy.spare > 0 || policy.min.is_some_and(|min| min > capacity.min);
    if kept { weigh(policy, &Demand::default(), capacity, Outlook::default()).target } else { 0 }
}

/// What a tick saw of a pool, given what is desired, at most.
pub fn observation(policy: &ScalerPolicy, demand: &Demand, desired: u32) -> Observation {
    let terms = weigh(policy, demand, Capacity { desired, ..Capacity::default() }, Outlook::default());
    Observation {
        queued: demand.queued,
        running: terms.running,
        desired,
        slots: terms.slots,
        needed: terms.need,
        silent_after: policy.silent_after,
    }
}

/// The terms of the formula and the target within the bounds.
fn weigh(policy: &ScalerPolicy, demand: &Demand, capacity: Capacity, outlook: Outlook) -> Explanation {
    let slots = policy.slots.max(1);
    let utilisation = policy.utilisation.clamp(1, 100);
    let running = demand.running.filter(|_| policy.count_running);
    let waiting = if demand.queued < policy.threshold { 0 } else { demand.queued.saturating_sub(outlook.unmet) };
    let jobs = u64::from(waiting) + u64::from(running.unwrap_or(0));
    let instances = (jobs * 100).div_ceil(u64::from(slots) * u64::from(utilisation));
    let instances = instances + u64::from(policy.spare) + u64::from(outlook.silent);
    let need = u32::try_from(instances).unwrap_or(u32::MAX);

    // The group's bounds hold in any case; the upper one wins, because a call above it would be refused.
    let max = policy.max.map_or(capacity.max, |max| max.min(capacity.max));
    let min = policy.min.map_or(capacity.min, |min| min.max(capacity.min)).min(max);
    let (target, limit) = match need {
        need if need < min => (min, Limit::Min),
        need if need > max => (max, Limit::Max),
        need => (need, Limit::None),
    };
    Explanation {
        queued: demand.queued,
        running,
        slots,
        utilisation,
        threshold: policy.threshold,
        spare: policy.spare,
        entry: policy.entry.clone(),
        need,
        min,
        max,
        desired: capacity.desired,
        lately: Some(capacity.lately).filter(|lately| *lately > capacity.desired),
        again: false,
        target,
        limit,
        outlook: Some(outlook).filter(|outlook| *outlook != Outlook::default()),
    }
}

#[cfg(test)]
mod tests;
