//! Builds in the REST API, of the one pipeline that there is: what was queued together, and what people do with it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Buildkite, JOB, agent_uuid, job_uuid, number, refuse};
use crate::{
    ci::{
        contract::{CiState, Platform},
        jobs::{Cause, Job, JobOutcome, Status, plain},
        page,
    },
    fleet::NewJobs,
    http::{Request, Response},
    time::Timestamp,
};

/// The pipeline's slug.
const PIPELINE: &str = "demo";

pub(super) enum Route {
    Pipelines,
    Pipeline,
    List,
    Create,
    Get(u64),
    Rebuild(u64),
    Cancel(u64),
    RetryJob(u64, u64),
}

impl Route {
    /// `path` is what follows the organization, or `/v2` where none is named.
    pub(super) fn of(method: &str, path: &[&str]) -> Option<Self> {
        Some(match (method, path) {
            ("GET", ["pipelines"]) => Self::Pipelines,
            ("GET", ["pipelines", PIPELINE]) => Self::Pipeline,
            ("GET", ["builds"] | ["pipelines", PIPELINE, "builds"]) => Self::List,
            ("POST", ["pipelines", PIPELINE, "builds"]) => Self::Create,
            ("GET", ["pipelines", PIPELINE, "builds", build]) => Self::Get(build.parse().ok()?),
            ("PUT", ["pipelines", PIPELINE, "builds", build, "rebuild"]) => Self::Rebuild(build.parse().ok()?),
            ("PUT", ["pipelines", PIPELINE, "builds", build, "cancel"]) => Self::Cancel(build.parse().ok()?),
            ("PUT", ["pipelines", PIPELINE, "builds", build, "jobs", job, "retry"]) => {
                Self::RetryJob(build.parse().ok()?, number(job, JOB))
            }
            _ => return None,
        })
    }

    pub(super) fn is_list(&self) -> bool {
        matches!(self, Self::List)
    }

    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Pipelines => "GET /v2/organizations/:org/pipelines",
            Self::Pipeline => "GET /v2/organizations/:org/pipelines/:slug",
            Self::List => "GET /v2/organizations/:org/pipelines/:slug/builds",
            Self::Create => "POST /v2/organizations/:org/pipelines/:slug/builds",
            Self::Get(_) => "GET /v2/organizations/:org/pipelines/:slug/builds/:number",
            Self::Rebuild(_) => "PUT /v2/organizations/:org/pipelines/:slug/builds/:number/rebuild",
            Self::Cancel(_) => "PUT /v2/organizations/:org/pipelines/:slug/builds/:number/cancel",
            Self::RetryJob(..) => "PUT /v2/organizations/:org/pipelines/:slug/builds/:number/jobs/:id/retry",
        }
    }
}

impl Buildkite {
    pub(super) fn answer_builds(
        &self,
        route: &Route,
        request: &Request,
        state: &mut CiState,
        now: Timestamp,
    ) -> Result<Response, Response> {
        match *route {
            Route::Pipelines => Ok(page::bare(request, &state.url, &[()], |()| self.pipeline(state))),
            Route::Pipeline => Ok(Response::json(200, &self.pipeline(state))),
            Route::List => {
                let wanted = request.query("state").or(request.query("state[]"));
                let all = state.jobs.batches().into_iter().filter_map(|build| jobs_of(build, state).ok());
                let shown: Vec<_> = all.filter(|jobs| wanted.is_none_or(|wanted| state_of(jobs) == wanted)).collect();
                Ok(page::bare(request, &state.url, &shown, |jobs| self.build(jobs, state)))
            }
            // There is no repository whose steps say more: one job that sleeps a little.
            Route::Create => {
                let params = request.params();
                let missing =
                    ["commit", "branch"].into_iter().find(|name| !params.get(*name).is_some_and(Value::is_string));
                if let Some(missing) = missing {
                    return Err(refuse(422, &format!("Validation failed: {missing} can't be blank")));
                }
                let variables = match params.get("env") {
                    None | Some(Value::Null) => Some(BTreeMap::new()),
                    Some(env) => env
                        .as_object()
                        .and_then(|env| env.iter().map(|(name, value)| Some((name.clone(), plain(value)?))).collect()),
                };
                let variables =
                    variables.ok_or_else(|| refuse(422, "Validation failed: env must be a map of strings"))?;
                let build = state.jobs.enqueue(&NewJobs { variables, ..NewJobs::default() }, now)[0];
                self.show(201, build, state)
            }
            Route::Get(build) => self.show(200, build, state),
            Route::Rebuild(build) => {
                let again = state.jobs.repeat_batch(build, now).ok_or_else(no_build)?;
                self.show(200, again, state)
            }
            Route::Cancel(build) => {
                let open = jobs_of(build, state)?.into_iter().filter(|job| !job.status.is_over());
                let open: Vec<u64> = open.map(|job| job.id).collect();
                if open.is_empty() {
                    return Err(refuse(422, "Build can't be canceled because it's already finished."));
                }
                for job in open {
                    state.jobs.finish(job, JobOutcome::Canceled(Cause::Job), now);
                }
                self.show(200, build, state)
            }
            Route::RetryJob(build, job) => {
                let found = state.jobs.get(job).filter(|found| found.batch == build);
                let found = found.ok_or_else(|| refuse(404, "No job found"))?;
                if state.jobs.is_repeated(found) {
                    return Err(refuse(400, "Job has already been retried"));
                }
                if !matches!(found.status, Status::Failed | Status::Canceled) {
                    return Err(refuse(400, "Only failed, timed out or canceled jobs can be retried"));
                }
                let again = state.jobs.repeat(job, now).and_then(|again| state.jobs.get(again));
                Ok(Response::json(200, &self.job(again.ok_or_else(no_build)?, state)))
            }
        }
    }

    fn show(&self, status: u16, build: u64, state: &CiState) -> Result<Response, Response> {
        Ok(Response::json(status, &self.build(&jobs_of(build, state)?, state)))
    }

    fn pipeline(&self, state: &CiState) -> Value {
        let organization = &self.options.organization;
        let url = format!("{}/v2/organizations/{organization}/pipelines/{PIPELINE}", state.url);
        json!({
            "id": job_uuid(0), "url": url, "builds_url": format!("{url}/builds"), "name": PIPELINE, "slug": PIPELINE,
            "web_url": format!("{}/{organization}/{PIPELINE}", state.url), "default_branch": "main",
            "scheduled_jobs_count": state.jobs.waiting().count(), "running_jobs_count": state.jobs.running().count(),
        })
    }

    /// A build of these jobs, one at least.
    fn build(&self, jobs: &[&Job], state: &CiState) -> Value {
        let number = jobs[0].batch;
        let over = jobs.iter().all(|job| job.status.is_over());
        let created = jobs.iter().map(|job| job.queued_at).min();
        let web = format!("{}/{}/{PIPELINE}/builds/{number}", state.url, self.options.organization);
        let pipeline = self.pipeline(state);
        json!({
            "id": job_uuid(number),
            "url": format!("{}/builds/{number}", pipeline["url"].as_str().unwrap_or_default()),
            "web_url": web,
            "number": number,
            "state": state_of(jobs),
            "blocked": false,
            "message": null,
            "commit": "HEAD",
            "branch": "main",
            "source": "api",
            "env": jobs[0].variables,
            "created_at": created.map(|at| at.to_string()),
            "scheduled_at": created.map(|at| at.to_string()),
            "started_at": jobs.iter().filter_map(|job| job.started_at).min().map(|at| at.to_string()),
            "finished_at": jobs.iter().filter_map(|job| job.finished_at).max().filter(|_| over).map(|at| at.to_string()),
            "jobs": jobs.iter().map(|job| self.job(job, state)).collect::<Vec<_>>(),
            "pipeline": pipeline,
        })
    }

    fn job(&self, job: &Job, state: &CiState) -> Value {
        let agent = job.runner.and_then(|id| state.workers.get(id));
        json!({
            "id": job_uuid(job.id),
            "type": "script",
            "name": job.name(),
            "agent_query_rules": self.tags_of(job),
            "state": word(job.status),
            "command": job.script(),
            "exit_status": job.exit_code,
            "soft_failed": false,
            "agent": agent.map(|agent| json!({"id": agent_uuid(agent.id), "name": agent.name})),
            "created_at": job.queued_at.to_string(),
            "scheduled_at": job.queued_at.to_string(),
            "runnable_at": job.queued_at.to_string(),
            "started_at": job.started_at.map(|at| at.to_string()),
            "finished_at": job.finished_at.map(|at| at.to_string()),
            "retried": state.jobs.is_repeated(job),
        })
    }
}

fn jobs_of(build: u64, state: &CiState) -> Result<Vec<&Job>, Response> {
    let jobs = state.jobs.batch(build);
    if jobs.is_empty() { Err(no_build()) } else { Ok(jobs) }
}

fn no_build() -> Response {
    refuse(404, "No build found")
}

/// What the jobs of a build come to together (Buildkite documentation, "Build states").
fn state_of(jobs: &[&Job]) -> &'static str {
    let any = |status| jobs.iter().any(|job| job.status == status);
    if jobs.iter().all(|job| job.status == Status::Pending) {
        word(Status::Pending)
    } else if any(Status::Pending) || any(Status::Running) {
        if any(Status::Failed) { "failing" } else { word(Status::Running) }
    } else {
        word([Status::Failed, Status::Canceled].into_iter().find(|status| any(*status)).unwrap_or(Status::Success))
    }
}

fn word(status: Status) -> &'static str {
    match status {
        Status::Pending => "scheduled",
        Status::Running => "running",
        Status::Success => "passed",
        Status::Failed => "failed",
        Status::Canceled => "canceled",
    }
}
