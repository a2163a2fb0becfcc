//! The fleet as people see it: one snapshot, and the timeline that leads to it. Times are milliseconds since the Unix epoch.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Everything about the fleet at one moment: `GET /_lightsout/fleet`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// When it was taken.
    pub at_ms: i64,
    /// The number of the newest event of the timeline that it includes.
    pub seq: u64,
    /// The Auto Scaling groups, by name, and then Azure's scale sets.
    pub groups: Vec<GroupView>,
    /// The instances, oldest first. Of those that have ended the last are shown, and `forgotten` has sums of the others.
    pub instances: Vec<InstanceView>,
    /// What is left of instances that ended before those.
    #[serde(default)]
    pub forgotten: Forgotten,
    /// Every job ever queued, oldest first.
    pub jobs: Vec<JobView>,
    /// How many jobs are in which state.
    pub queue: QueueView,
    /// What was asked of the cloud and of the CI platform so far.
    pub counters: Counters,
}

impl Snapshot {
    /// How many instances were launched so far.
    pub fn launched(&self) -> usize {
        self.instances.len() + self.forgotten.instances
    }
}

/// Sums over instances that ended so long ago that nothing else is kept of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forgotten {
    /// How many they were.
    pub instances: usize,
    /// From launch to end, in milliseconds.
    pub billed_ms: u64,
}

/// One Auto Scaling group or scale set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupView {
    pub name: String,
    /// The minimum size.
    pub min: u32,
    /// The maximum size.
    pub max: u32,
    /// The desired capacity.
    pub desired: u32,
    /// Instances in service.
    pub in_service: u32,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct InstanceView {
    /// The instance id.
    pub id: String,
    /// Its group, when it belongs to one.
    pub group: Option<String>,
    /// The lifecycle state in Auto Scaling's words, such as `Pending`, `InService`, `Terminating:Wait`, `Terminated`; on
    /// Azure `Creating`, `Running`, `Stopped`, `Deallocated`, `Deleting`, `Deleted` and the like.
    pub state: String,
    /// The state that it is moving to, as its metadata service says.
    pub target_state: Option<String>,
    /// Whether it is protected from scale-in.
    pub protected: bool,
    /// Whether the group believes it healthy.
    pub healthy: bool,
    /// When it was launched.
    pub launched_ms: i64,
    /// When it came into service.
    pub in_service_ms: Option<i64>,
    /// When it ended.
    pub ended_ms: Option<i64>,
    /// Why it left, in the words of the group's activity history.
    pub cause: Option<String>,
    /// The spot interruption notice that it carries.
    pub spot_notice: Option<NoticeView>,
    /// When a rebalance recommendation was given.
    pub rebalance_ms: Option<i64>,
    /// Jobs that run on it.
    pub jobs: Vec<u64>,
    /// What its agent says about itself.
    pub agent: Option<AgentReport>,
}

/// A spot interruption notice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoticeView {
    /// `terminate`, `stop` or `hibernate`.
    pub action: String,
    /// When the cloud ends the machine.
    pub time_ms: i64,
}

/// What an agent's status says, as it says it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AgentReport(pub serde_json::Value);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobView {
    /// The CI platform's id of the job.
    pub id: u64,
    /// How it stands.
    pub state: JobState,
    /// The instance that runs it or ran it, when the runner could be matched to one that is not forgotten.
    pub instance: Option<String>,
    /// Seconds from queued to picked by a runner, or until now.
    pub waited_s: f64,
    /// Seconds from picked to ended, or until now; none while it waits.
    pub ran_s: Option<f64>,
    /// The tags that a runner must have to take it.
    pub tags: Vec<String>,
    /// Why it failed, in the CI platform's words, such as `script_failure`.
    pub failure: Option<String>,
}

/// How a job stands, from the point of view of whoever waits for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// Waits for a runner.
    Waiting,
    /// A runner has it.
    Running,
    /// Succeeded.
    Done,
    /// Failed or was cancelled, by no fault of the machine.
    Failed,
    /// Its machine went away, or its runner reported a system failure, after a spot notice.
    Interrupted,
    /// Its machine went away, or its runner reported a system failure, without a spot notice.
    Lost,
}

impl JobState {
    /// The state as it stands in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
            Self::Lost => "lost",
        }
    }
}

/// How many jobs are in which state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueView {
    /// The queue depth: jobs that wait for a runner.
    pub waiting: u32,
    /// Jobs that run.
    pub running: u32,
    /// Jobs that succeeded.
    pub done: u32,
    /// Jobs that failed by themselves.
    pub failed: u32,
    /// Jobs that a spot interruption cut.
    pub interrupted: u32,
    /// Jobs that were lost.
    pub lost: u32,
}

/// What was asked so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// AWS API calls: action, then who called (`instance`, the access key id of another caller, or `unsigned`).
    pub aws: BTreeMap<String, BTreeMap<String, u64>>,
    /// Calls of Azure's APIs: operation, then who called (`instance`, `operator`, or `unauthenticated`).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub azure: BTreeMap<String, BTreeMap<String, u64>>,
    /// Requests to the metadata service, by instance; those of instances that are forgotten together, as `forgotten`.
    pub imds: BTreeMap<String, u64>,
    /// Requests to the CI platform's API, by route.
    pub platform: BTreeMap<String, u64>,
}

/// One line of the timeline: `GET /_lightsout/events`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FleetEvent {
    /// Its number; the first is 1, and none is left out.
    pub seq: u64,
    /// When it happened.
    pub at_ms: i64,
    /// Where it comes from.
    pub source: Source,
    /// The group that it is about.
    pub group: Option<String>,
    /// The instance that it is about.
    pub instance: Option<String>,
    /// The job that it is about.
    pub job: Option<u64>,
    /// What happened, as a short sentence.
    pub what: String,
}

/// Where an event comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The cloud: groups and instances.
    Cloud,
    /// The CI platform: jobs and runners.
    Ci,
    /// The machines themselves.
    Machine,
    /// Somebody used the control API.
    Control,
}

/// Jobs to put into the queue: `POST /_lightsout/jobs`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NewJobs {
    /// How many; 1 when left out.
    pub count: u32,
    /// The container image that they want.
    pub image: Option<String>,
    /// The command of each, as arguments; when empty it sleeps.
    pub argv: Vec<String>,
    /// How long an empty command sleeps, in seconds.
    pub seconds: f64,
    /// The tags that a runner must have.
    pub tags: Vec<String>,
    /// What their environment has beside what the platform itself puts there.
    pub variables: BTreeMap<String, String>,
}

impl Default for NewJobs {
    fn default() -> Self {
        Self { count: 1, image: None, argv: Vec::new(), seconds: 3.0, tags: Vec::new(), variables: BTreeMap::new() }
    }
}
