//! What an instance is seen to be doing: always a whole snapshot, never a change.

use std::{collections::BTreeSet, fmt};

use serde::{Deserialize, Serialize};

/// The name of a job as the probe that saw it knows it (a CI job id, a container name, a process id).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobId(pub String);

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One snapshot of what is running. `Unknown` counts as busy wherever a decision is taken.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Activity {
    /// These jobs run.
    Busy(BTreeSet<JobId>),
    /// Every probe answered, and none saw a job.
    Quiet,
    /// At least one probe could not answer, and none saw a job; the text names it and says why.
    Unknown(String),
}

impl fmt::Display for Activity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy(jobs) => {
                f.write_str("jobs")?;
                jobs.iter().try_for_each(|job| write!(f, " {job}"))
            }
            Self::Quiet => f.write_str("nothing"),
            Self::Unknown(why) => write!(f, "something unknown ({why})"),
        }
    }
}

impl Activity {
    /// Busy with one job.
    pub fn busy(job: impl Into<String>) -> Self {
        Self::Busy(BTreeSet::from([JobId(job.into())]))
    }

    /// Two snapshots of the same moment as one: any job wins over any doubt, any doubt over quiet.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Busy(mut a), Self::Busy(b)) => {
                a.extend(b);
                Self::Busy(a)
            }
            (Self::Busy(jobs), Self::Quiet | Self::Unknown(_)) | (Self::Quiet | Self::Unknown(_), Self::Busy(jobs)) => {
                Self::Busy(jobs)
            }
            (Self::Unknown(why), Self::Quiet | Self::Unknown(_)) | (Self::Quiet, Self::Unknown(why)) => {
                Self::Unknown(why)
            }
            (Self::Quiet, Self::Quiet) => Self::Quiet,
        }
    }
}
