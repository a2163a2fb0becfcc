//! The private runner API on the wire: what the built-in runners and the embedded platform say to each other, as JSON.
//!
//! The vendors' own runner protocols are not open, so the built-in runner takes its jobs through this one, below
//! `/_lightsout/runner/`, on every platform that does not publish its own. The vendor's rules hold behind it.
//!
//! | Request | Body | Response |
//! | --- | --- | --- |
//! | `POST connect` | [`Connect`] | 200 [`Connected`]; 400, 401 wrong token, 403 not allowed |
//! | `POST ID/claim` | [`Claim`], or none | 200 [`Claimed`]; 204 nothing, or drained; 409 stopped: never again; 404 unknown or removed |
//! | `POST ID/jobs/JOB` | [`Report`] | 200 [`Reported`], as the platform sees the job now; 404 not this runner's |
//! | `POST ID/disconnect` | | 200 `{}`; jobs that it still has fail |
//!
//! The response to a claim may be lost, so a claim names the jobs that the runner has: one that it was given and does not name is given
//! again, also to a runner that is drained by now. One that cannot tell is given again what it never reported on, once its slots are all
//! taken. Each request is a sign of life; a runner with a long job reports `running` now and then. Refusals are
//! `{"error": "..."}`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::fleet::JobState;

/// The path below which all of it answers.
pub const PATH: &str = "/_lightsout/runner";

/// What a runner says when it connects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Connect {
    /// The name of the platform that it works for.
    pub platform: String,
    /// The token that the vendor's runner would be given.
    pub token: String,
    pub name: String,
    /// The instance that it runs on; when left out, that of the metadata or in the name.
    #[serde(default)]
    pub instance_id: Option<String>,
    /// What the vendor's runner tells about itself, such as a worker's metadata or an agent's tags.
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
    /// Jobs at once; where a runner of the platform takes one job at once, more is refused.
    #[serde(default = "one")]
    pub slots: u32,
    /// Whether it goes on after a job.
    #[serde(default)]
    pub mode: Mode,
}

impl Connect {
    /// A runner with one job at once that goes on after it, and nothing to tell about itself.
    pub fn new(platform: &str, token: String, name: String) -> Self {
        Self {
            platform: platform.to_owned(),
            token,
            name,
            instance_id: None,
            metadata: BTreeMap::new(),
            slots: one(),
            mode: Mode::default(),
        }
    }
}

fn one() -> u32 {
    1
}

/// Whether a runner goes on after a job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// It takes the next one.
    #[default]
    Continuous,
    /// It is done.
    Single,
}

/// A runner is connected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connected {
    /// The platform's id of it, for all other requests.
    pub runner: String,
}

/// A runner asks for a job.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// The jobs that it has, when it can tell.
    #[serde(default)]
    pub has: Option<Vec<u64>>,
}

/// A runner has been given a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Claimed {
    pub job: ClaimedJob,
}

/// A job as a runner is given it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClaimedJob {
    /// The platform's id of it.
    pub id: u64,
    /// The name for people.
    #[serde(default)]
    pub name: String,
    /// The command, as arguments.
    #[serde(default)]
    pub argv: Vec<String>,
    /// The container image that it wants.
    #[serde(default)]
    pub image: Option<String>,
    /// How long it sleeps when nobody said what to do, in seconds.
    #[serde(default)]
    pub seconds: f64,
    /// The tags that a runner must have for it.
    #[serde(default)]
    pub tags: Vec<String>,
    /// What the vendor's runner puts into its environment.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
}

/// What a runner says about a job of its.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// How it stands.
    pub state: ReportState,
    /// More of its output.
    #[serde(default)]
    pub trace: String,
    /// The exit code of its command, once it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i64>,
}

/// How a job stands, as its runner sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReportState {
    Running,
    /// It succeeded.
    Success,
    /// It failed by itself.
    Failed,
    /// The runner could not run it, or lost it.
    SystemFailure,
    /// The runner was told to end and cut it.
    Canceled,
}

/// How the platform sees a job after a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reported {
    /// Its state; anything but `running` ends the runner's part in it.
    pub state: JobState,
}
