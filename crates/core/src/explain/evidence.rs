//! What an answer may rest on: what somebody said at a time.

use jiff::Timestamp;
use serde::Deserialize;

use crate::record::{Decision, Departure, Incident, IncidentKind, LaunchTrouble, Record};

/// Something that was said at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    pub time: Timestamp,
    /// Where it was read, such as `records.jsonl:17`.
    pub source: String,
    pub said: Said,
}

/// What was said, by whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// The scaler's record of one tick.
    Decision(Box<Decision>),
    /// An instance's death certificate.
    Departure(Box<Departure>),
    /// What happened to an instance.
    Incident(Box<Incident>),
    /// What an agent says about itself, when it is asked.
    Status(Box<Status>),
    /// What the CI platform says about a job.
    Job(Box<Job>),
    /// An entry of the group's own history.
    Activity(Box<Activity>),
}

impl Evidence {
    /// A record; `None` when its time is none.
    pub fn record(record: Record, source: impl Into<String>) -> Option<Self> {
        let time = record.time().parse().ok()?;
        let said = match record {
            Record::Decision(decision) => Said::Decision(Box::new(decision)),
            Record::Departure(departure) => Said::Departure(Box::new(departure)),
            Record::Incident(incident) => Said::Incident(Box::new(incident)),
        };
        Some(Self { time, source: source.into(), said })
    }
}

impl Said {
    /// The record, where it is one.
    pub fn record(&self) -> Option<Record> {
        match self {
            Self::Decision(decision) => Some(Record::Decision((**decision).clone())),
            Self::Departure(departure) => Some(Record::Departure((**departure).clone())),
            Self::Incident(incident) => Some(Record::Incident((**incident).clone())),
            Self::Status(_) | Self::Job(_) | Self::Activity(_) => None,
        }
    }

    pub fn kind(&self) -> &'static str {
        match self {
            Self::Decision(_) => "decision",
            Self::Departure(_) => "departure",
            Self::Incident(_) => "incident",
            Self::Status(_) => "status",
            Self::Job(_) => "job",
            Self::Activity(_) => "activity",
        }
    }

    /// The pool, instance, job or group that it is about.
    pub fn of(&self) -> &str {
        match self {
            Self::Decision(decision) => &decision.pool,
            Self::Departure(departure) => &departure.instance,
            Self::Incident(incident) => &incident.instance,
            Self::Status(status) => &status.instance,
            Self::Job(job) => &job.id,
            Self::Activity(activity) => activity.instance.as_deref().unwrap_or(&activity.group),
        }
    }

    /// The instance of which this says that it stays after all, so that no earlier certificate of it counts.
    pub(super) fn stays(&self) -> Option<&str> {
        match self {
            Self::Departure(departure) => departure.withdrawn.is_some().then_some(&departure.instance),
            Self::Incident(incident) => (incident.what == IncidentKind::DrainTakenBack).then_some(&incident.instance),
            Self::Decision(_) | Self::Status(_) | Self::Job(_) | Self::Activity(_) => None,
        }
    }

    /// The group that it is about, as far as known.
    pub fn group(&self) -> Option<&str> {
        match self {
            Self::Decision(decision) => Some(&decision.group),
            Self::Departure(departure) => departure.group.as_deref(),
            Self::Incident(incident) => incident.group.as_deref(),
            Self::Status(status) => status.group.as_deref(),
            Self::Job(_) => None,
            Self::Activity(activity) => Some(&activity.group),
        }
    }

    /// The instance that it is about, if it is about one.
    pub fn instance(&self) -> Option<&str> {
        match self {
            Self::Decision(_) => None,
            Self::Departure(departure) => Some(&departure.instance),
            Self::Incident(incident) => Some(&incident.instance),
            Self::Status(status) => Some(&status.instance),
            Self::Job(job) => job.instance.as_deref(),
            Self::Activity(activity) => activity.instance.as_deref(),
        }
    }
}

/// What an agent says about itself: `lightsout-agent status --json`, and its `status.json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Status {
    pub instance: String,
    /// Its group, as far as known.
    #[serde(default)]
    pub group: Option<String>,
    /// What it does: `booting`, `idle`, `busy` and so on.
    pub phase: String,
    /// Why it leaves, once it does.
    #[serde(default)]
    pub why: Option<String>,
    /// The jobs that it sees.
    #[serde(default)]
    pub jobs: Vec<String>,
    /// Why it is not known what runs, when it is not.
    #[serde(default)]
    pub unknown: Option<String>,
    /// The last thing that an operator should know.
    #[serde(default)]
    pub note: Option<String>,
    /// Whether an operator holds it.
    #[serde(default)]
    pub held: bool,
    /// Since when it is in this phase, in milliseconds since the Unix epoch.
    #[serde(default)]
    pub since_ms: i64,
}

/// What the CI platform says about one job.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Job {
    pub id: String,
    /// How it stands.
    pub state: JobState,
    /// The instance that has it or had it.
    pub instance: Option<String>,
    /// The tags or labels that it asks for.
    pub tags: Vec<String>,
    /// Why it failed, in the platform's words.
    pub failure: Option<String>,
    /// How long it has waited, or had, in milliseconds.
    pub waited_ms: u64,
}

/// How a job stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// It waits for a runner.
    #[default]
    Waiting,
    /// A runner has it.
    Running,
    /// It succeeded.
    Done,
    /// It failed, or was cancelled, by no fault of its machine.
    Failed,
    /// It was cut after a notice of its cloud.
    Interrupted,
    /// Its machine went away, or its runner gave it up.
    Lost,
}

/// One entry of a group's history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Activity {
    pub group: String,
    /// The instance, if it got that far.
    pub instance: Option<String>,
    /// What it tells.
    pub kind: ActivityKind,
    /// The cloud's own words.
    pub text: String,
}

/// What an entry of a group's history tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActivityKind {
    LaunchFailed(LaunchTrouble),
    /// The group ended the instance for an instance refresh.
    Refresh,
    /// The group ended the instance because somebody lowered its capacity.
    Lowered,
    /// The group ended the instance because it took it for unhealthy.
    Unhealthy,
}
