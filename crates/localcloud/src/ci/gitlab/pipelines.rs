//! Pipelines: the jobs that were queued together, and what people do with them and with one of their jobs.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{
    GitLab, PROJECT_ID, invalid,
    jobs::{BRANCH, Pipeline, SCOPES, job, scopes},
    page::{Total, page},
    refuse,
};
use crate::{
    ci::{
        contract::CiState,
        jobs::{Cause, Job, JobOutcome, Jobs, Status, plain},
    },
    fleet::NewJobs,
    http::{Request, Response},
    time::Timestamp,
};

/// The project's pipeline of this number.
pub(super) fn pipeline(project: u64, id: u64, jobs: &Jobs) -> Result<Pipeline<'_>, Response> {
    let of_it = if project == PROJECT_ID { jobs.batch(id) } else { Vec::new() };
    let pipeline = Pipeline { id, jobs: of_it };
    if pipeline.jobs.is_empty() { Err(refuse(404, "404 Not found")) } else { Ok(pipeline) }
}

impl GitLab {
    /// Newest first, and of one status where that is asked for.
    pub(super) fn pipelines(&self, project: u64, request: &Request, state: &CiState) -> Result<Response, Response> {
        let status = request.query("status");
        if status.is_some_and(|status| !SCOPES.contains(&status)) {
            return Err(invalid("status does not have a valid value"));
        }
        let all = state.jobs.batches().into_iter().filter_map(|id| pipeline(project, id, &state.jobs).ok());
        let shown: Vec<Pipeline<'_>> = all.filter(|it| status.is_none_or(|status| it.status() == status)).collect();
        Ok(page(request, &state.url, &shown, Total::Told, |it| it.entity(self, &state.url)))
    }

    pub(super) fn pipeline_jobs(
        &self,
        project: u64,
        id: u64,
        request: &Request,
        state: &CiState,
        now: Timestamp,
    ) -> Result<Response, Response> {
        let scopes = scopes(request)?;
        let jobs = pipeline(project, id, &state.jobs)?.jobs.into_iter().rev();
        let jobs = jobs.filter(|job| scopes.is_empty() || scopes.iter().any(|scope| scope == job.status.as_str()));
        let jobs: Vec<&Job> = jobs.collect();
        Ok(page(request, &state.url, &jobs, Total::Told, |job| job.entity(self, &state.url, now)))
    }

    /// Starts one of a single job that sleeps a little: there is no repository with a `.gitlab-ci.yml` that says more.
    pub(super) fn create_pipeline(
        &self,
        project: u64,
        request: &Request,
        state: &mut CiState,
        now: Timestamp,
    ) -> Result<Response, Response> {
        match request.params().get("ref").and_then(Value::as_str) {
            None => return Err(invalid("ref is missing")),
            Some(BRANCH) => {}
            Some(_) => return Err(Response::json(400, &json!({"message": {"base": ["Reference not found"]}}))),
        }
        let variables = variables(&request.params())?;
        let id = state.jobs.enqueue(&NewJobs { variables, ..NewJobs::default() }, now)[0];
        Ok(Response::json(201, &pipeline(project, id, &state.jobs)?.entity(self, &state.url)))
    }

    /// Queues a job again that has ended; one that was repeated already is not.
    pub(super) fn retry(
        &self,
        project: u64,
        id: u64,
        state: &mut CiState,
        now: Timestamp,
    ) -> Result<Response, Response> {
        if state.jobs.is_repeated(job(project, id, &state.jobs)?) {
            return Err(refuse(403, "403 Forbidden - Job is not retryable"));
        }
        let again = state.jobs.repeat(id, now).ok_or_else(|| refuse(403, "403 Forbidden - Job is not retryable"))?;
        Ok(Response::json(201, &job(project, again, &state.jobs)?.entity(self, &state.url, now)))
    }

    /// Queues those of its jobs again that failed or were cancelled.
    pub(super) fn retry_pipeline(
        &self,
        project: u64,
        id: u64,
        state: &mut CiState,
        now: Timestamp,
    ) -> Result<Response, Response> {
        for job in of_status(project, id, state, &[Status::Failed, Status::Canceled])? {
            state.jobs.repeat(job, now);
        }
        Ok(Response::json(201, &pipeline(project, id, &state.jobs)?.entity(self, &state.url)))
    }

    /// Cancels those of its jobs that wait or run.
    pub(super) fn cancel_pipeline(
        &self,
        project: u64,
        id: u64,
        state: &mut CiState,
        now: Timestamp,
    ) -> Result<Response, Response> {
        for job in of_status(project, id, state, &[Status::Pending, Status::Running])? {
            state.jobs.finish(job, JobOutcome::Canceled(Cause::Job), now);
        }
        Ok(Response::json(200, &pipeline(project, id, &state.jobs)?.entity(self, &state.url)))
    }
}

/// A pipeline's own variables, as they are given in a JSON body. Files among them are refused: jobs here have an environment and no more.
fn variables(params: &Map<String, Value>) -> Result<BTreeMap<String, String>, Response> {
    let variable = |variable: &Value| {
        let kind = variable.get("variable_type").map_or(Some("env_var"), Value::as_str);
        let key = variable.get("key").and_then(Value::as_str).filter(|key| !key.is_empty());
        let value = variable.get("value").and_then(plain);
        key.zip(value).filter(|_| kind == Some("env_var")).map(|(key, value)| (key.to_owned(), value))
    };
    if params.keys().any(|key| key.starts_with("variables[")) {
        return Err(invalid("variables is invalid: they are taken from a JSON body alone"));
    }
    let given = match params.get("variables") {
        None | Some(Value::Null) => return Ok(BTreeMap::new()),
        Some(given) => given.as_array().and_then(|given| given.iter().map(variable).collect()),
    };
    given.ok_or_else(|| invalid("variables is invalid: each has a key, a value and, if any, the variable_type env_var"))
}

/// The numbers of a pipeline's jobs with one of these states.
fn of_status(project: u64, id: u64, state: &CiState, statuses: &[Status]) -> Result<Vec<u64>, Response> {
    let jobs = pipeline(project, id, &state.jobs)?.jobs;
    Ok(jobs.into_iter().filter(|job| statuses.contains(&job.status)).map(|job| job.id).collect())
}
