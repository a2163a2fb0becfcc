//! A job as every vendor's runner sees it, how it ends, and its output on the way to the platform.

use std::{collections::BTreeMap, fmt, time::Duration};

use bytes::Bytes;
use lightsout_localcloud::runner_protocol::ClaimedJob;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

/// A job as it is handed out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Job {
    pub id: u64,
    pub argv: Vec<String>,
    /// Where jobs run in containers; the runner's own default when the job names none.
    pub image: Option<String>,
    pub env: BTreeMap<String, String>,
    /// How long it may run, where the platform says so.
    #[serde(skip)]
    pub timeout: Option<Duration>,
}

impl From<ClaimedJob> for Job {
    fn from(job: ClaimedJob) -> Self {
        let ClaimedJob { id, argv, image, env, name: _, seconds: _, tags: _ } = job;
        Self { id, argv, image, env, timeout: None }
    }
}

impl AsRef<Job> for Job {
    fn as_ref(&self) -> &Job {
        self
    }
}

/// How a job ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Success,
    /// Its command failed with this exit code.
    Failed(i64),
    /// Its image is not there and cannot be pulled.
    NoImage(String),
    TimedOut,
    /// The runner could not run it.
    SystemFailure(String),
    /// The runner was told to stop.
    Aborted,
    /// The platform no longer wants it.
    Canceled,
}

impl Outcome {
    /// The outcome of a job that ran to its end.
    pub(crate) fn of(exit: anyhow::Result<i64>) -> Self {
        match exit {
            Ok(0) => Self::Success,
            Ok(code) => Self::Failed(code),
            Err(error) => Self::SystemFailure(format!("{error:#}")),
        }
    }

    /// The exit code, when the job ran to its end.
    pub(crate) fn exit_code(&self) -> Option<i64> {
        match self {
            Self::Success => Some(0),
            Self::Failed(code) => Some(*code),
            Self::NoImage(_) | Self::TimedOut | Self::SystemFailure(_) | Self::Aborted | Self::Canceled => None,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Success => f.write_str("succeeded"),
            Self::Failed(code) => write!(f, "failed with exit code {code}"),
            Self::NoImage(why) => write!(f, "has no image: {why}"),
            Self::TimedOut => f.write_str("ran out of time"),
            Self::SystemFailure(why) => write!(f, "could not go on: {why}"),
            Self::Aborted => f.write_str("was ended because the runner was told to stop"),
            Self::Canceled => f.write_str("was canceled"),
        }
    }
}

/// Where a job's output goes on its way to the platform.
pub(crate) type Log = mpsc::Sender<Bytes>;
