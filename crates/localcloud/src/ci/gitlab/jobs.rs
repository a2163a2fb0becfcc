//! Jobs, and pipelines of them: how they are found, and how they show in the API.

use serde_json::{Value, json};

use super::{GitLab, PROJECT_ID, invalid, refuse, time};
use crate::{
    ci::jobs::{Job, Jobs, Status, seconds},
    http::{Request, Response},
    time::Timestamp,
};

/// The only branch.
pub(super) const BRANCH: &str = "main";

/// Every scope that the jobs API accepts; this GitLab never has jobs in most of them.
pub(super) const SCOPES: [&str; 12] = [
    "created",
    "waiting_for_resource",
    "preparing",
    "pending",
    "running",
    "success",
    "failed",
    "canceling",
    "canceled",
    "skipped",
    "manual",
    "scheduled",
];

impl Status {
    /// The status, in GitLab's words.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Success => "success",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
        }
    }
}

/// The commit of all jobs.
pub(super) fn sha(gitlab: &GitLab) -> String {
    gitlab.options.repository.as_ref().map_or_else(|| "0".repeat(39) + "1", |repository| repository.sha.clone())
}

impl Job {
    /// Whether a runner record may have it: all of the job's tags, or no tags and the runner takes such.
    pub(super) fn matches(&self, tags: &[String], run_untagged: bool) -> bool {
        if self.tags.is_empty() { run_untagged } else { self.tags.iter().all(|tag| tags.contains(tag)) }
    }

    pub(super) fn runs_on(&self, system_id: &str) -> bool {
        self.status == Status::Running && self.machine.as_deref() == Some(system_id)
    }

    /// The job as the API shows it.
    pub(super) fn entity(&self, gitlab: &GitLab, url: &str, now: Timestamp) -> Value {
        let project = gitlab.projects.get(&PROJECT_ID).map_or("", |project| project.path.as_str());
        let sha = sha(gitlab);
        let queued = seconds(self.queued_at, self.started_at.unwrap_or(now));
        let duration = self.started_at.map(|started| seconds(started, self.finished_at.unwrap_or(now)));
        let runner = self.runner.and_then(|id| gitlab.runners.get(&id));
        let manager = runner.zip(self.machine.as_ref()).and_then(|(runner, id)| runner.managers.get(id));
        let web = format!("{url}/{project}");
        let pipeline = Pipeline { id: self.batch, jobs: vec![self] }.entity(gitlab, url);
        let mut entity = json!({
            "id": self.id,
            "status": self.status.as_str(),
            "stage": "test",
            "name": self.name(),
            "ref": "main",
            "tag": false,
            "coverage": null,
            "allow_failure": false,
            "created_at": time(self.queued_at),
            "started_at": self.started_at.map(time),
            "finished_at": self.finished_at.map(time),
            "erased_at": null,
            "duration": duration,
            "queued_duration": queued,
            "user": {"id": 1, "username": "lightsout", "name": "lightsout", "state": "active", "locked": false},
            "commit": {"id": sha, "short_id": &sha[..sha.len().min(8)], "title": "lightsout", "parent_ids": []},
            "pipeline": pipeline,
            "web_url": format!("{web}/-/jobs/{}", self.id),
            "project": {"ci_job_token_scope_enabled": false},
            "artifacts": [],
            "runner": runner.map(|runner| runner.entity(now)),
            "runner_manager": manager.map(|manager| manager.entity(now)),
            "artifacts_expire_at": null,
            "archived": false,
            "tag_list": self.tags,
        });
        if let Some(reason) = &self.failure_reason {
            entity["failure_reason"] = json!(reason);
        }
        entity
    }

    /// The job as a webhook shows it (GitLab documentation, "Job events").
    pub(super) fn event(&self, gitlab: &GitLab) -> Value {
        let path = gitlab.projects.get(&PROJECT_ID).map_or("", |project| project.path.as_str());
        let sha = sha(gitlab);
        let runner = self.runner.and_then(|id| gitlab.runners.get(&id));
        let until = |to: Option<Timestamp>| to.map(|to| seconds(self.queued_at, to));
        json!({
            "object_kind": "build",
            "ref": "main",
            "tag": false,
            "before_sha": "0".repeat(40),
            "sha": sha,
            "build_id": self.id,
            "build_name": self.name(),
            "build_stage": "test",
            "build_status": self.status.as_str(),
            "build_created_at": time(self.queued_at),
            "build_started_at": self.started_at.map(time),
            "build_finished_at": self.finished_at.map(time),
            "build_duration": self.started_at.zip(self.finished_at).map(|(from, to)| seconds(from, to)),
            "build_queued_duration": until(self.started_at),
            "build_allow_failure": false,
            "build_failure_reason": self.failure_reason.as_deref().unwrap_or("unknown_failure"),
            "retries_count": 0,
            "pipeline_id": self.batch,
            "project_id": PROJECT_ID,
            "project_name": path,
            "runner": runner.map(|runner| json!({
                "id": runner.id, "description": runner.description, "runner_type": runner.kind,
                "active": !runner.paused, "is_shared": runner.kind == "instance_type", "tags": runner.tags,
            })),
            "project": {"id": PROJECT_ID, "path_with_namespace": path},
            "user": {"id": 1, "name": "lightsout", "username": "lightsout"},
        })
    }
}

/// Jobs that were queued together, without those that another one repeats.
pub(super) struct Pipeline<'a> {
    pub(super) id: u64,
    /// One at least.
    pub(super) jobs: Vec<&'a Job>,
}

impl Pipeline<'_> {
    /// What its jobs come to together (GitLab documentation, "Pipeline status").
    pub(super) fn status(&self) -> &'static str {
        let any = |status| self.jobs.iter().any(|job| job.status == status);
        if any(Status::Running) || any(Status::Pending) && self.jobs.iter().any(|job| job.status.is_over()) {
            return Status::Running.as_str();
        }
        let worst = [Status::Pending, Status::Failed, Status::Canceled].into_iter().find(|status| any(*status));
        worst.unwrap_or(Status::Success).as_str()
    }

    /// The pipeline as the API shows it.
    pub(super) fn entity(&self, gitlab: &GitLab, url: &str) -> Value {
        let project = gitlab.projects.get(&PROJECT_ID).map_or("", |project| project.path.as_str());
        let created = self.jobs.iter().map(|job| job.queued_at).min().unwrap_or(Timestamp(0));
        let updated = self.jobs.iter().map(|job| job.updated_at).max().unwrap_or(created);
        json!({
            "id": self.id, "iid": self.id, "project_id": PROJECT_ID, "sha": sha(gitlab), "ref": BRANCH, "source": "api",
            "status": self.status(), "created_at": time(created), "updated_at": time(updated),
            "web_url": format!("{url}/{project}/-/pipelines/{}", self.id),
        })
    }
}

/// The states that are asked for; none: all.
pub(super) fn scopes(request: &Request) -> Result<Vec<String>, Response> {
    let scopes = super::list(request.params().get("scope").unwrap_or(&Value::Null));
    if scopes.iter().all(|scope| SCOPES.contains(&scope.as_str())) {
        Ok(scopes)
    } else {
        Err(invalid("scope does not have a valid value"))
    }
}

pub(super) fn job(project: u64, id: u64, jobs: &Jobs) -> Result<&Job, Response> {
    let found = jobs.get(id).filter(|_| project == PROJECT_ID);
    found.ok_or_else(|| refuse(404, "404 Job Not Found"))
}
