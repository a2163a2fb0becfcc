//! What a session is told of jobs, each turn once.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::{
    ci::jobs::{Job, Status},
    time::Timestamp,
};

/// The most that one message tells (GitHub: 50).
const MOST: usize = 50;

/// How each job stood when a session was told of it last.
#[derive(Clone, Debug)]
pub(super) struct JobEvents {
    told: BTreeMap<u64, Status>,
}

impl JobEvents {
    /// For a session that begins now: of jobs that there are already it is told when they turn.
    pub(super) fn after<'a>(jobs: impl IntoIterator<Item = &'a Job>) -> Self {
        Self { told: jobs.into_iter().map(|job| (job.id, job.status)).collect() }
    }

    /// What is new, as much as fits into a message.
    pub(super) fn next<'a>(&mut self, jobs: impl IntoIterator<Item = &'a Job>) -> Vec<Value> {
        let mut events = Vec::new();
        for job in jobs {
            let before = self.told.get(&job.id).copied();
            let steps: &[(&str, Status)] = match (before, job.status) {
                (None, Status::Pending) => &[("JobAssigned", Status::Pending)],
                (None, Status::Running) => &[("JobAssigned", Status::Pending), ("JobStarted", Status::Running)],
                (Some(Status::Pending), Status::Running) => &[("JobStarted", Status::Running)],
                (Some(before), now) if !before.is_over() && now.is_over() => &[("JobCompleted", now)],
                (None | Some(_), _) => &[],
            };
            if events.len() + steps.len() > MOST {
                break;
            }
            for (kind, status) in steps {
                events.push(event(kind, job));
                self.told.insert(job.id, *status);
            }
        }
        events
    }
}

/// As GitHub writes it (actions/scaleset, types.go): what has not come yet is in the year 1.
fn event(kind: &str, job: &Job) -> Value {
    let time =
        |time: Option<Timestamp>| time.map_or_else(|| "0001-01-01T00:00:00Z".to_owned(), |time| time.to_string());
    let begun = kind != "JobAssigned";
    let mut event = json!({
        "messageType": kind,
        "runnerRequestId": job.id,
        "jobId": format!("00000000-0000-4000-8000-{:012x}", job.id),
        "jobDisplayName": job.name(),
        "requestLabels": job.tags,
        "queueTime": time(Some(job.queued_at)),
        "scaleSetAssignTime": time(Some(job.queued_at)),
        "runnerAssignTime": time(job.started_at.filter(|_| begun)),
        "finishTime": time(job.finished_at.filter(|_| kind == "JobCompleted")),
    });
    if kind == "JobCompleted" {
        let result = match job.status {
            Status::Success => "succeeded",
            Status::Canceled => "canceled",
            Status::Pending | Status::Running | Status::Failed => "failed",
        };
        event["result"] = result.into();
    }
    event
}
