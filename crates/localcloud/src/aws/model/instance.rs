//! One instance: what EC2 knows of it, what its group knows of it, and what its own metadata service shows.

use std::{collections::BTreeMap, fmt, time::Duration};

use super::{ActivityId, Timestamp, lifecycle_hooks::LifecycleAction, template::ShutdownBehavior};

/// A machine of the cloud. It stays listed after its end, so that a run can be looked back at.
#[derive(Clone, Debug)]
pub struct Instance {
    /// `i-` and 17 hexadecimal digits; never used twice in a run.
    pub id: String,
    /// The group that it belongs to or belonged to when it ended; none when it was detached.
    pub group: Option<String>,
    /// Where it stands in the life cycle of EC2 Auto Scaling.
    pub state: LifecycleState,
    /// Where it stands for EC2.
    pub ec2_state: Ec2State,
    /// Whether its group may choose it for scale-in.
    pub protected: bool,
    /// What its group believes of its health.
    pub healthy: bool,
    /// When EC2 accepted the launch.
    pub launched_at: Timestamp,
    /// When it first reached `InService`.
    pub in_service_at: Option<Timestamp>,
    /// When EC2 called it terminated.
    pub ended_at: Option<Timestamp>,
    /// What IMDS shows in `autoscaling/target-lifecycle-state`; 404 while none.
    pub target_state: Option<&'static str>,
    /// What IMDS shows in `spot/instance-action`; 404 while none.
    pub spot_notice: Option<SpotNotice>,
    /// The time in IMDS `events/recommendations/rebalance`; 404 while none.
    pub rebalance: Option<Timestamp>,
    /// What IMDS shows in `events/maintenance/scheduled`.
    pub maintenance: Vec<MaintenanceEvent>,
    /// Its EC2 tags.
    pub tags: BTreeMap<String, String>,
    /// User data, already decoded from base64.
    pub user_data: String,
    /// Such as `m7i.large`.
    pub instance_type: String,
    /// Such as `eu-central-1a`.
    pub availability_zone: String,
    /// Subnet id, when the group names subnets.
    pub subnet: Option<String>,
    /// The image it runs.
    pub image: String,
    /// Its private IPv4 address (made up; nothing listens there).
    pub private_ip: String,
    /// Whether it is a Spot instance.
    pub spot: bool,
    /// Name of its instance profile, if it has one.
    pub profile: Option<String>,
    /// How its metadata service is set up.
    pub metadata: MetadataOptions,
    /// Id of the launch template it came from.
    pub template_id: String,
    /// Name of that launch template.
    pub template_name: String,
    /// Version of that launch template.
    pub template_version: u64,
    /// Why it left, or is about to; the first reason stays.
    pub cause: Option<String>,
    /// Why EC2 says that it does not run.
    pub state_reason: Option<StateReason>,
    /// What it does when its operating system powers off.
    pub(crate) shutdown: ShutdownBehavior,
    /// Order of launch in this run; breaks ties between instances of the same age.
    pub(crate) serial: u64,
    /// When its life cycle takes the next step by itself.
    pub(crate) step_due: Option<Timestamp>,
    /// When a machine that was told to end counts as off even if nobody reports it.
    pub(crate) power_due: Option<Timestamp>,
    /// When its group notices that it does not run.
    pub(crate) notice_due: Option<Timestamp>,
    /// Whether its machine is powered on, as far as the model knows.
    pub(crate) machine_on: bool,
    /// Whether hooks run on its way in and out.
    pub(crate) hooked: bool,
    /// Lifecycle actions that it waits for.
    pub(crate) lifecycle_actions: Vec<LifecycleAction>,
    /// The activity under way for it.
    pub(crate) activity: Option<ActivityId>,
    /// Whether its group replaces it although it still works (capacity rebalancing): a new one comes first.
    pub(crate) outgoing: bool,
}

/// The life-cycle states of EC2 Auto Scaling that this model knows (EC2 Auto Scaling API reference, `LifecycleState`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LifecycleState {
    Pending,
    PendingWait,
    PendingProceed,
    InService,
    Terminating,
    TerminatingWait,
    TerminatingProceed,
    Terminated,
    Detaching,
    Detached,
    EnteringStandby,
    Standby,
    WarmedPending,
    WarmedPendingWait,
    WarmedPendingProceed,
    WarmedRunning,
    WarmedStopped,
    WarmedTerminating,
    WarmedTerminatingWait,
    WarmedTerminatingProceed,
}

impl LifecycleState {
    /// The name on the wire, such as `Pending:Wait`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::PendingWait => "Pending:Wait",
            Self::PendingProceed => "Pending:Proceed",
            Self::InService => "InService",
            Self::Terminating => "Terminating",
            Self::TerminatingWait => "Terminating:Wait",
            Self::TerminatingProceed => "Terminating:Proceed",
            Self::Terminated => "Terminated",
            Self::Detaching => "Detaching",
            Self::Detached => "Detached",
            Self::EnteringStandby => "EnteringStandby",
            Self::Standby => "Standby",
            Self::WarmedPending => "Warmed:Pending",
            Self::WarmedPendingWait => "Warmed:Pending:Wait",
            Self::WarmedPendingProceed => "Warmed:Pending:Proceed",
            Self::WarmedRunning => "Warmed:Running",
            Self::WarmedStopped => "Warmed:Stopped",
            Self::WarmedTerminating => "Warmed:Terminating",
            Self::WarmedTerminatingWait => "Warmed:Terminating:Wait",
            Self::WarmedTerminatingProceed => "Warmed:Terminating:Proceed",
        }
    }

    /// On its way in: `Pending` and the two states around a launch hook.
    pub fn is_pending(self) -> bool {
        matches!(self, Self::Pending | Self::PendingWait | Self::PendingProceed)
    }

    /// On its way into a warm pool.
    pub fn is_warming(self) -> bool {
        matches!(self, Self::WarmedPending | Self::WarmedPendingWait | Self::WarmedPendingProceed)
    }

    /// In a warm pool, and ready to be put in service.
    pub fn is_warm(self) -> bool {
        matches!(self, Self::WarmedRunning | Self::WarmedStopped)
    }

    /// In a warm pool, on its way in or out or there: it does not count, and its group does not list it.
    pub fn is_in_warm_pool(self) -> bool {
        self.is_warming() || self.is_warm() || self.is_leaving_warm_pool()
    }

    /// Ended out of a warm pool.
    fn is_leaving_warm_pool(self) -> bool {
        matches!(self, Self::WarmedTerminating | Self::WarmedTerminatingWait | Self::WarmedTerminatingProceed)
    }

    /// On its way out for good.
    pub fn is_terminating(self) -> bool {
        matches!(self, Self::Terminating | Self::TerminatingWait | Self::TerminatingProceed)
            || self.is_leaving_warm_pool()
    }

    /// Whether it counts toward the desired capacity of its group.
    pub fn is_counted(self) -> bool {
        self.is_pending() || self == Self::InService
    }

    /// Whether its group lists it.
    pub fn is_member(self) -> bool {
        !matches!(self, Self::Terminated | Self::Detached)
    }
}

impl fmt::Display for LifecycleState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The states of an instance in EC2 (EC2 API reference, `InstanceState`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ec2State {
    Pending,
    Running,
    ShuttingDown,
    Terminated,
    Stopping,
    Stopped,
}

impl Ec2State {
    /// The name on the wire, such as `shutting-down`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::ShuttingDown => "shutting-down",
            Self::Terminated => "terminated",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
        }
    }

    /// The number on the wire.
    pub fn code(self) -> u8 {
        match self {
            Self::Pending => 0,
            Self::Running => 16,
            Self::ShuttingDown => 32,
            Self::Terminated => 48,
            Self::Stopping => 64,
            Self::Stopped => 80,
        }
    }

    /// Whether a machine runs, or is about to.
    pub fn is_up(self) -> bool {
        matches!(self, Self::Pending | Self::Running)
    }

    /// Whether EC2 has ended it, or is doing so.
    pub fn is_ending(self) -> bool {
        matches!(self, Self::ShuttingDown | Self::Terminated)
    }
}

impl fmt::Display for Ec2State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why an instance does not run (EC2 API reference, `StateReason`), as far as it occurs here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateReason {
    /// Somebody called `TerminateInstances` or `StopInstances`, or its group ended it.
    User,
    /// Its operating system powered off.
    Own,
    /// EC2 took a Spot instance back.
    Spot,
    /// EC2 retired the hardware.
    Retired,
    /// EC2 could not start it.
    NoBoot,
}

impl StateReason {
    /// The code on the wire.
    pub fn code(self) -> &'static str {
        match self {
            Self::User => "Client.UserInitiatedShutdown",
            Self::Own => "Client.InstanceInitiatedShutdown",
            Self::Spot => "Server.SpotInstanceTermination",
            Self::Retired => "Server.ScheduledStop",
            Self::NoBoot => "Server.InternalError",
        }
    }

    /// The message on the wire, without the code.
    pub fn message(self) -> &'static str {
        match self {
            Self::User => "User initiated shutdown",
            Self::Own => "Instance initiated shutdown",
            Self::Spot => "Spot instance termination",
            Self::Retired => "Stopped due to a scheduled retirement",
            Self::NoBoot => "Internal error on launch",
        }
    }
}

/// A Spot interruption notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpotNotice {
    /// `terminate`; what EC2 will do.
    pub action: &'static str,
    /// When EC2 will do it.
    pub time: Timestamp,
}

/// A scheduled event of EC2: the hardware of the instance retires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MaintenanceEvent {
    /// Such as `instance-event-0d59937288b749b32`.
    pub event_id: String,
    /// Such as `instance-retirement`.
    pub code: &'static str,
    /// A sentence for people.
    pub description: &'static str,
    /// `active` or `completed`.
    pub state: &'static str,
    /// Not before this time does EC2 act.
    pub not_before: Timestamp,
}

/// The `MetadataOptions` of a launch template, with EC2's own defaults where nothing was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetadataOptions {
    /// `HttpEndpoint`: whether the instance has a metadata service at all.
    pub enabled: bool,
    /// `HttpTokens=required`: whether only IMDSv2 is answered.
    pub tokens_required: bool,
    /// `HttpPutResponseHopLimit`, 1 to 64.
    pub hop_limit: u8,
    /// `InstanceMetadataTags=enabled`: whether `tags/instance/` exists.
    pub tags: bool,
}

/// How long after the earliest time EC2 is done with an event.
const MAINTENANCE_WINDOW: Duration = Duration::from_secs(2 * 3600);
/// How far an event can be put off.
const MAINTENANCE_DEADLINE: Duration = Duration::from_secs(7 * 86_400);

impl MaintenanceEvent {
    /// When EC2 is done with it at the latest.
    pub fn not_after(&self) -> Timestamp {
        self.not_before + MAINTENANCE_WINDOW
    }

    /// Until when it can be put off.
    pub fn deadline(&self) -> Timestamp {
        self.not_before + MAINTENANCE_DEADLINE
    }
}

impl Default for MetadataOptions {
    fn default() -> Self {
        Self { enabled: true, tokens_required: false, hop_limit: 1, tags: false }
    }
}
