//! The side that runners use: verify, request a job, report on it, unregister.

use serde_json::{Map, Value, json};

use super::{GitLab, Runner, invalid, payload, refuse, route::RunnerRoute};
use crate::ci::contract::CiState;
use crate::ci::jobs::{Cause, JobOutcome, Status};
use crate::{
    ci::jobs::{Jobs, TRACE_CAP},
    http::{Request, Response},
    time::Timestamp,
};

/// How often a runner should send its trace, in seconds.
const TRACE_INTERVAL: &str = "3";

impl GitLab {
    /// Answers a request that carries a runner's or a job's token. An `Err` is an answer too: the refusal.
    pub(super) fn runner_side(
        &mut self,
        route: &RunnerRoute,
        request: &Request,
        state: &mut CiState,
        now: Timestamp,
    ) -> Result<Response, Response> {
        let params = request.params();
        match route {
            RunnerRoute::RequestJob => self.request_job(request, &params, state, now),
            RunnerRoute::UpdateJob(id) => self.update_job(*id, request, &params, &mut state.jobs, now),
            RunnerRoute::PatchTrace(id) => self.patch_trace(*id, request, &mut state.jobs, now),
            RunnerRoute::Artifacts(_) => Err(refuse(404, "404 Not Found")),
            RunnerRoute::Verify => {
                let id = self.runner_of(request, &params)?;
                self.hear(id, &params, now);
                let token = self.runners.get(&id).map(|runner| runner.token.clone());
                Ok(Response::json(200, &json!({"id": id, "token": token, "token_expires_at": null})))
            }
            RunnerRoute::Register => Err(refuse(410, "410 Gone - Runner registration token is disallowed")),
            RunnerRoute::Unregister => {
                let id = self.runner_of(request, &params)?;
                self.runners.remove(&id);
                Ok(Response::empty(204))
            }
            RunnerRoute::UnregisterManager => {
                let id = self.runner_of(request, &params)?;
                let system_id = system_id(&params).ok_or_else(|| invalid("system_id is missing"))?;
                let removed = self.runners.get_mut(&id).and_then(|runner| runner.managers.remove(&system_id));
                match removed {
                    Some(_) => Ok(Response::empty(204)),
                    None => Err(refuse(404, "404 Runner manager not found Not Found")),
                }
            }
        }
    }

    fn request_job(
        &mut self,
        request: &Request,
        params: &Map<String, Value>,
        state: &mut CiState,
        now: Timestamp,
    ) -> Result<Response, Response> {
        let runner_id = self.runner_of(request, params)?;
        self.hear(runner_id, params, now);
        let nothing = Response::empty(204).header("x-gitlab-last-update", format!("{:x}", now.0));
        let Some(runner) = self.runners.get(&runner_id).filter(|runner| !runner.paused) else { return Ok(nothing) };
        let fits = |job: &&super::Job| job.matches(&runner.tags, runner.run_untagged);
        let Some(id) = state.jobs.waiting().find(fits).map(|job| job.id) else { return Ok(nothing) };
        state.jobs.hand_out(id, runner_id, system_id(params).as_deref(), now);
        self.note_busy(id, &state.jobs);
        Ok(Response::json(201, &payload::of(self, state, id)))
    }

    fn update_job(
        &mut self,
        id: u64,
        request: &Request,
        params: &Map<String, Value>,
        jobs: &mut Jobs,
        now: Timestamp,
    ) -> Result<Response, Response> {
        let job = self.running_job(id, request, params, jobs)?;
        job.updated_at = now;
        job.exit_code = params.get("exit_code").and_then(Value::as_i64);
        let reason = params.get("failure_reason").and_then(Value::as_str).filter(|reason| !reason.is_empty());
        let status = match params.get("state").and_then(Value::as_str) {
            Some("success") => Status::Success,
            Some("failed") => Status::Failed,
            Some("running") | None => Status::Running,
            Some(_) => return Err(invalid("state does not have a valid value")),
        };
        match status {
            Status::Success => jobs.finish(id, JobOutcome::Success, now),
            Status::Failed => {
                let reason = reason.unwrap_or("script_failure").to_owned();
                let cause = if reason == "runner_system_failure" { Cause::Runner } else { Cause::Job };
                jobs.finish(id, JobOutcome::Failed { reason, cause }, now);
            }
            Status::Running | Status::Pending | Status::Canceled => {}
        }
        self.note_busy(id, jobs);
        Ok(Response::json(200, &json!(200))
            .header("job-status", status.as_str())
            .header("x-gitlab-trace-update-interval", TRACE_INTERVAL))
    }

    fn patch_trace(&self, id: u64, request: &Request, jobs: &mut Jobs, now: Timestamp) -> Result<Response, Response> {
        // The body is the trace itself, so the token can only stand in the header or the query.
        let query: Map<String, Value> = request.query.iter().map(|(key, value)| (key.clone(), json!(value))).collect();
        let job = self.running_job(id, request, &query, jobs)?;
        let range = request.header("content-range").ok_or_else(|| refuse(400, "400 Missing header Content-Range"))?;
        let start = range.split('-').next().and_then(|start| start.trim().parse::<usize>().ok());
        job.updated_at = now;
        if start != Some(job.trace.len()) {
            let held = format!("0-{}", job.trace.len());
            return Err(refuse(416, "416 Range Not Satisfiable").header("range", held));
        }
        if job.trace.len() + request.body.len() > TRACE_CAP {
            let reason = "trace_size_exceeded".to_owned();
            jobs.finish(id, JobOutcome::Failed { reason, cause: Cause::Job }, now);
            return Err(refuse(403, "403 Forbidden"));
        }
        job.trace.extend_from_slice(&request.body);
        Ok(Response::empty(202)
            .header("job-status", job.status.as_str())
            .header("range", format!("0-{}", job.trace.len()))
            .header("x-gitlab-trace-update-interval", TRACE_INTERVAL))
    }

    /// Notes that the machine behind this request called; one that names no `system_id` has no manager.
    fn hear(&mut self, runner: u64, params: &Map<String, Value>, now: Timestamp) {
        let managers = self.runners.values().flat_map(|runner| runner.managers.values());
        let next = managers.map(|manager| manager.id).max().unwrap_or(0) + 1;
        let Some(runner) = self.runners.get_mut(&runner) else { return };
        match system_id(params) {
            Some(system_id) => runner.heard(&system_id, params.get("info").and_then(Value::as_object), next, now),
            None => runner.contacted_at = Some(now),
        }
    }

    /// Brings the manager that has this job up to date: busy while any job of its runs.
    fn note_busy(&mut self, job: u64, jobs: &Jobs) {
        let Some(job) = jobs.get(job) else { return };
        let Some((runner, system_id)) = job.runner.zip(job.machine.clone()) else { return };
        let busy = jobs.iter().any(|job| job.runner == Some(runner) && job.runs_on(&system_id));
        let manager = self.runners.get_mut(&runner).and_then(|runner: &mut Runner| runner.managers.get_mut(&system_id));
        if let Some(manager) = manager {
            manager.busy = busy;
        }
    }
}

fn system_id(params: &Map<String, Value>) -> Option<String> {
    params.get("system_id").and_then(Value::as_str).filter(|id| !id.is_empty()).map(str::to_owned)
}
