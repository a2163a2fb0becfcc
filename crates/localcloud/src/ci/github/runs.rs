//! Workflow runs and their jobs. Jobs that were queued together are one run.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{GitHub, not_found};
use crate::{
    ci::contract::CiState,
    ci::jobs::{Job, Status},
    ci::page,
    ci::workers::Worker,
    http::{Request, Response},
};

/// A search finds this many runs at most.
const MOST_RUNS: usize = 1000;
/// What makes run ids other than job ids.
const RUN_OFFSET: u64 = 30_000_000;

/// The id of the run that a job belongs to.
pub(super) fn run_id(job: &Job) -> u64 {
    RUN_OFFSET + job.batch
}

/// The words for a job's status and conclusion.
pub(super) fn status_and_conclusion(job: &Job) -> (&'static str, Option<&'static str>) {
    match job.status {
        Status::Pending => ("queued", None),
        Status::Running => ("in_progress", None),
        Status::Success => ("completed", Some("success")),
        Status::Failed => ("completed", Some("failure")),
        Status::Canceled => ("completed", Some("cancelled")),
    }
}

impl GitHub {
    pub(super) fn repositories(&self, request: &Request, state: &CiState) -> Response {
        let repository = json!({
            "id": 1,
            "name": self.options.repository,
            "full_name": self.full_name(),
            "private": true,
            "archived": false,
            "disabled": false,
            "owner": {"login": self.options.organization},
        });
        if request.path.ends_with("/installation/repositories") {
            page::page(request, &state.url, "repositories", &[repository], Clone::clone)
        } else {
            page::bare(request, &state.url, &[repository], Clone::clone)
        }
    }

    pub(super) fn runs(&self, request: &Request, state: &CiState) -> Response {
        let mut batches: BTreeMap<u64, Vec<&Job>> = BTreeMap::new();
        for job in state.jobs.iter() {
            batches.entry(job.batch).or_default().push(job);
        }
        let wanted = request.query("status");
        let runs = batches.values().rev().filter_map(|jobs| Some((*jobs.first()?, status_of(jobs))));
        let runs = runs.filter(|(_, (status, conclusion))| {
            wanted.is_none_or(|wanted| wanted == *status || Some(wanted) == *conclusion)
        });
        let runs: Vec<_> = runs.take(MOST_RUNS).collect();
        page::page(request, &state.url, "workflow_runs", &runs, |(first, (status, conclusion))| {
            json!({
                "id": run_id(first),
                "name": "CI",
                "event": "push",
                "head_branch": "main",
                "run_number": first.batch,
                "run_attempt": 1,
                "status": status,
                "conclusion": conclusion,
                "created_at": first.queued_at.to_seconds(),
                "jobs_url": format!("{}/repos/{}/actions/runs/{}/jobs", state.url, self.full_name(), run_id(first)),
                "repository": {"full_name": self.full_name()},
            })
        })
    }

    pub(super) fn run_jobs(&self, run: u64, request: &Request, state: &CiState) -> Result<Response, Response> {
        let jobs: Vec<&Job> = state.jobs.iter().filter(|job| run_id(job) == run).collect();
        if jobs.is_empty() {
            return Err(not_found());
        }
        Ok(page::page(request, &state.url, "jobs", &jobs, |job| self.show_job(job, state)))
    }

    pub(super) fn job(&self, id: u64, state: &CiState) -> Result<Response, Response> {
        let job = state.jobs.get(id).ok_or_else(not_found)?;
        Ok(Response::json(200, &self.show_job(job, state)))
    }

    pub(super) fn show_job(&self, job: &Job, state: &CiState) -> Value {
        let (status, conclusion) = status_and_conclusion(job);
        let runner = job.runner.and_then(|id| state.workers.get(id));
        json!({
            "id": job.id,
            "run_id": run_id(job),
            "run_attempt": 1,
            "name": job.name(),
            "workflow_name": "CI",
            "head_branch": "main",
            "status": status,
            "conclusion": conclusion,
            "labels": self.labels_of(job),
            // A runner that removed itself is still named.
            "runner_id": job.runner,
            "runner_name": runner.map(|runner: &Worker| &runner.name).or(job.machine.as_ref().filter(|_| job.runner.is_some())),
            "runner_group_id": job.runner.map(|_| self.options.runner_group),
            "created_at": job.queued_at.to_seconds(),
            "started_at": job.started_at.unwrap_or(job.queued_at).to_seconds(),
            "completed_at": job.finished_at.map(crate::time::Timestamp::to_seconds),
        })
    }
}

/// A run is in progress from its first job's start to its last job's end.
fn status_of(jobs: &[&Job]) -> (&'static str, Option<&'static str>) {
    if jobs.iter().all(|job| job.status == Status::Pending) {
        ("queued", None)
    } else if jobs.iter().any(|job| !job.status.is_over()) {
        ("in_progress", None)
    } else if jobs.iter().all(|job| job.status == Status::Success) {
        ("completed", Some("success"))
    } else {
        ("completed", Some("failure"))
    }
}
