//! An Auto Scaling group: its settings, hooks and what it is busy with.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

use super::{LifecycleState, Refresh, ScheduledAction, Timestamp};

/// No hook keeps an instance waiting for longer (EC2 Auto Scaling User Guide, lifecycle hooks): 48 h.
const LONGEST_WAIT: Duration = Duration::from_secs(48 * 3600);

/// An Auto Scaling group. Its members are the instances that name it.
#[derive(Clone, Debug)]
pub struct Group {
    /// Unique name.
    pub name: String,
    /// The UUID inside its ARN.
    pub uuid: String,
    /// When it was made.
    pub created: Timestamp,
    /// Smallest, largest and wanted number of instances.
    pub bounds: Bounds,
    /// Launch template by id, and the version as it was asked for: a number, `$Default` or `$Latest`.
    pub template: (String, String),
    /// How instances are bought and of which types, when the group has a mixed-instances policy.
    pub mixed: Option<MixedInstances>,
    /// Zones that instances are spread over; never empty.
    pub zones: Vec<String>,
    /// Subnets, one for each zone, when the group was made with subnets.
    pub subnets: Vec<String>,
    /// Whether instances that come into service from now on are protected from scale-in.
    pub protect_new: bool,
    /// Whether a rebalance recommendation is answered with a replacement.
    pub capacity_rebalance: bool,
    /// Instances older than this are replaced, unless protected. Seconds on the wire.
    pub max_lifetime: Option<Duration>,
    /// Kept and given back.
    pub default_cooldown: Duration,
    /// Kept and given back; counts for instance refreshes.
    pub warmup: Option<Duration>,
    /// How long `SetInstanceHealth` leaves a new instance alone.
    pub grace: Duration,
    /// `EC2` or `ELB`, kept and given back.
    pub health_check: String,
    /// In order of use; empty means `Default`.
    pub termination_policies: Vec<String>,
    /// `none`, `prevent-force-deletion` or `prevent-all-deletion`.
    pub deletion_protection: Option<String>,
    /// By key.
    pub tags: BTreeMap<String, GroupTag>,
    /// By name.
    pub lifecycle_hooks: BTreeMap<String, LifecycleHook>,
    /// By name.
    pub scheduled: BTreeMap<String, ScheduledAction>,
    /// Names of the metrics that are collected; kept and given back.
    pub metrics: BTreeSet<&'static str>,
    /// What each topic is told of the group's instances; kept and given back.
    pub notifications: BTreeMap<String, BTreeSet<&'static str>>,
    /// Processes that do not run now.
    pub suspended: BTreeSet<Process>,
    /// Whether the group goes away with its last instance.
    pub deleting: bool,
    /// Scaling policies by name, kept and given back: none of them ever scales.
    pub policies: BTreeSet<String>,
    /// Instances that are kept ready outside of the group's capacity.
    pub warm_pool: Option<WarmPool>,
    /// Instance refreshes, oldest first.
    pub refreshes: Vec<Refresh>,
    /// When the group next compares what it has with what it wants.
    pub(crate) act_due: Option<Timestamp>,
    /// When a failed launch is tried again, and how many failed in a row.
    pub(crate) backoff: Option<(Timestamp, u32)>,
    /// Who changed the desired capacity last, in the words of the activity history.
    pub(crate) last_change: Option<String>,
    /// Whether the history already tells that protection keeps the group larger than wanted.
    pub(crate) surplus_reported: bool,
    /// End of the last scaling activity, for `HonorCooldown`.
    pub(crate) last_scaled: Option<Timestamp>,
}

impl Group {
    /// Its ARN in a region and account.
    pub fn arn(&self, region: &str, account: &str) -> String {
        let (uuid, name) = (&self.uuid, &self.name);
        format!("arn:aws:autoscaling:{region}:{account}:autoScalingGroup:{uuid}:autoScalingGroupName/{name}")
    }

    /// Hooks of one transition, by name.
    pub fn lifecycle_hooks_for(&self, transition: LifecycleTransition) -> impl Iterator<Item = &LifecycleHook> {
        self.lifecycle_hooks.values().filter(move |hook| hook.transition == transition)
    }

    /// Whether the default cooldown after the last scaling activity is still on.
    pub(crate) fn cooling(&self, now: Timestamp) -> bool {
        self.last_scaled.is_some_and(|last| last + self.default_cooldown > now)
    }

    /// Whether a process runs.
    pub fn runs(&self, process: Process) -> bool {
        !self.suspended.contains(&process)
    }
}

/// `MinSize`, `MaxSize` and `DesiredCapacity`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    pub min: u32,
    pub max: u32,
    pub desired: u32,
}

/// A warm pool (EC2 Auto Scaling API reference, `PutWarmPool`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WarmPool {
    /// `MinSize`.
    pub min: u32,
    /// `MaxGroupPreparedCapacity`: members in service and in the pool together; without it the group's largest size.
    pub most_prepared: Option<u32>,
    /// `PoolState`: whether its instances run while they wait; else they are stopped.
    pub running: bool,
    /// Whether it goes away with its last instance.
    pub deleting: bool,
}

impl WarmPool {
    /// How many instances it is to hold beside so many that are desired.
    pub fn wanted(&self, bounds: Bounds) -> u32 {
        let prepared = self.most_prepared.unwrap_or(bounds.max);
        if self.deleting { 0 } else { prepared.saturating_sub(bounds.desired).max(self.min) }
    }

    /// The state in which its instances wait.
    pub fn state(&self) -> LifecycleState {
        if self.running { LifecycleState::WarmedRunning } else { LifecycleState::WarmedStopped }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupTag {
    pub value: String,
    /// Whether new instances get it too.
    pub propagate: bool,
}

/// What this model acts on of a mixed-instances policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MixedInstances {
    /// What instances may be instead of what the launch template says, in order of preference; the first is taken.
    pub overrides: Vec<Override>,
    /// The first so many instances are on-demand.
    pub on_demand_base: u32,
    /// Percent of the rest that is on-demand; the API's default is 100.
    pub on_demand_percent: u32,
    /// Kept and given back.
    pub spot_strategy: Option<String>,
    /// Kept and given back.
    pub on_demand_strategy: Option<String>,
}

/// One of a mixed-instances policy's overrides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Override {
    /// The instance type; `None`: that of the launch template.
    pub instance_type: Option<String>,
    /// `WeightedCapacity`, kept and given back: every instance counts as one here.
    pub weight: Option<String>,
    /// Id and version of a launch template that stands in the place of the group's.
    pub template: Option<(String, String)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LifecycleHook {
    /// Unique within the group.
    pub name: String,
    /// When it runs.
    pub transition: LifecycleTransition,
    /// How long one heartbeat lasts, 30 s to 7,200 s.
    pub heartbeat: Duration,
    /// What happens when nobody answers in time.
    pub default: LifecycleActionResult,
    /// Kept and given back.
    pub metadata: Option<String>,
    /// Kept and given back.
    pub target_arn: Option<String>,
    /// Kept and given back.
    pub role_arn: Option<String>,
}

impl LifecycleHook {
    /// How long an instance can be kept waiting at most: 100 heartbeats, but no more than 48 h.
    pub fn global_timeout(&self) -> Duration {
        (self.heartbeat * 100).min(LONGEST_WAIT)
    }
}

/// Which way an instance goes when a hook runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LifecycleTransition {
    /// `autoscaling:EC2_INSTANCE_LAUNCHING`.
    Launching,
    /// `autoscaling:EC2_INSTANCE_TERMINATING`.
    Terminating,
}

impl LifecycleTransition {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Launching => "autoscaling:EC2_INSTANCE_LAUNCHING",
            Self::Terminating => "autoscaling:EC2_INSTANCE_TERMINATING",
        }
    }
}

/// How a lifecycle action ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LifecycleActionResult {
    /// `CONTINUE`.
    Continue,
    /// `ABANDON`.
    Abandon,
}

impl LifecycleActionResult {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Continue => "CONTINUE",
            Self::Abandon => "ABANDON",
        }
    }
}

/// Processes of a group that can be suspended (EC2 Auto Scaling API reference, `SuspendProcesses`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Process {
    AddToLoadBalancer,
    AlarmNotification,
    AzRebalance,
    HealthCheck,
    InstanceRefresh,
    Launch,
    ReplaceUnhealthy,
    ScheduledActions,
    Terminate,
}

impl Process {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::AddToLoadBalancer,
        Self::AlarmNotification,
        Self::AzRebalance,
        Self::HealthCheck,
        Self::InstanceRefresh,
        Self::Launch,
        Self::ReplaceUnhealthy,
        Self::ScheduledActions,
        Self::Terminate,
    ];

    /// The process of a name on the wire.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|process| process.as_str() == name)
    }

    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AddToLoadBalancer => "AddToLoadBalancer",
            Self::AlarmNotification => "AlarmNotification",
            Self::AzRebalance => "AZRebalance",
            Self::HealthCheck => "HealthCheck",
            Self::InstanceRefresh => "InstanceRefresh",
            Self::Launch => "Launch",
            Self::ReplaceUnhealthy => "ReplaceUnhealthy",
            Self::ScheduledActions => "ScheduledActions",
            Self::Terminate => "Terminate",
        }
    }
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
