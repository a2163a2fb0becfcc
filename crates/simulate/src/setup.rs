//! The world in which a trace is played, and the fleets that it is played to.

use std::time::Duration;

use lightsout_core::{
    agent::policy::AgentPolicy,
    platform::Demand,
    scaling::{Capacity, Plan, PlanHistory, ScalerPolicy, Schedule, plan},
};

use crate::peers::Peer;

/// What is the same for each fleet.
#[derive(Clone, Debug, PartialEq)]
pub struct Setup {
    /// Decides everything that is left to chance: boot times, which free runner takes a job, spot losses, the phase of ticks.
    pub seed: u64,
    /// From a machine's start to its readiness for jobs.
    pub boots: Boots,
    /// From a raise to the machine's start, at which it begins to cost. Default 10 s.
    pub launch: Duration,
    /// From a machine's start until its group says that it is in service; never later than it is ready. Default 25 s.
    pub in_service: Duration,
    /// The group's smallest size. Default 0.
    pub min: u32,
    /// The group's largest size. Default 1,000.
    pub max: u32,
    /// How many of a hundred instances the cloud takes back in an hour, as spot instances are, two minutes after it has said so. Default 0.
    pub losses: f64,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            seed: 1,
            boots: Boots::default(),
            launch: Duration::from_secs(10),
            in_service: Duration::from_secs(25),
            min: 0,
            max: 1_000,
            losses: 0.0,
        }
    }
}

/// Boot times, of which each instance draws one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Boots(Vec<Duration>);

impl Boots {
    /// These, each as likely as the others; `None` when there are none.
    pub fn new(mut samples: Vec<Duration>) -> Option<Self> {
        samples.sort_unstable();
        (!samples.is_empty()).then_some(Self(samples))
    }

    /// All of them, the shortest first.
    pub fn samples(&self) -> &[Duration] {
        &self.0
    }
}

impl Default for Boots {
    /// 90 s: what a stock image with a runner's package takes, about.
    fn default() -> Self {
        Self(vec![Duration::from_secs(90)])
    }
}

/// Who keeps the instances.
#[expect(clippy::large_enum_variant, reason = "there are some dozens at most")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fleet {
    /// Lightsout, with these settings.
    Lightsout(LightsoutSettings),
    /// Another system, by its rules and their defaults.
    Peer(Peer),
}

/// The scaler's decision.
pub type PlanFn = fn(&ScalerPolicy, &Demand, Capacity, PlanHistory) -> Plan;

#[derive(Clone, Debug)]
pub struct LightsoutSettings {
    /// Of each instance's agent.
    pub agent: AgentPolicy,
    /// Of the pool.
    pub scaler: ScalerPolicy,
    /// What overrides the pool's `spare`, and when, by the time at which the trace begins.
    pub schedule: Schedule,
    /// From one tick of the scaler to the next.
    pub tick: Duration,
    /// Whether a job that comes makes the scaler look at once, within a second of its last look.
    pub webhook: bool,
    /// The scaler's decision: the shipped one, unless a change of it is to be tried.
    pub plan: PlanFn,
}

impl PartialEq for LightsoutSettings {
    fn eq(&self, other: &Self) -> bool {
        let Self { agent, scaler, schedule, tick, webhook, plan: _ } = other;
        (&self.agent, &self.scaler, &self.schedule) == (agent, scaler, schedule)
            && (self.tick, self.webhook) == (*tick, *webhook)
            && std::ptr::fn_addr_eq(self.plan, other.plan)
    }
}

impl Eq for LightsoutSettings {}

impl Default for LightsoutSettings {
    /// What is shipped: a tick each ten seconds, and no webhook.
    fn default() -> Self {
        Self {
            agent: AgentPolicy::default(),
            scaler: ScalerPolicy::default(),
            schedule: Schedule::default(),
            tick: Duration::from_secs(10),
            webhook: false,
            plan,
        }
    }
}

impl Fleet {
    /// Jobs that one instance takes at once.
    pub fn slots(&self) -> u32 {
        match self {
            Self::Lightsout(ours) => ours.scaler.slots.max(1),
            Self::Peer(_) => 1,
        }
    }
}
