//! The private runner API, below `/_lightsout/runner/`: through it the built-in runner takes jobs on every platform but
//! GitLab, whose own runner API is open. The vendor's rules hold behind it.
//!
//! | Request | Body | Answer |
//! | --- | --- | --- |
//! | `POST connect` | [`Connect`] | 200 `{"runner": "ID"}`; 401 wrong token, 403 not allowed, 409 not now |
//! | `POST ID/claim` | | 200 `{"job": {..}}`; 204 nothing, or drained; 409 stopped: never again; 404 unknown or removed |
//! | `POST ID/jobs/JOB` | [`Report`] | 200 `{"state": ".."}`, as the platform sees the job now; 404 not this runner's |
//! | `POST ID/disconnect` | | 200 `{}`; jobs that it still has fail |
//!
//! A claim by a runner whose slots are all taken repeats the job that it never reported on, for the answer may have been
//! lost. Each request is a sign of life; a runner with a long job reports `running` now and then.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::json;

use super::{Ci, CiState, DrainState, PlatformKind, RunnerApiError, Worker, workers::instance_in};
use crate::{
    ci::jobs::{Cause, Job, JobOutcome, TRACE_CAP},
    http::{Request, Response},
    time::Timestamp,
};

/// What a runner says when it connects.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Connect {
    /// The platform that it believes in.
    pub platform: PlatformKind,
    /// The token that the vendor's runner would be given.
    pub token: String,
    /// Its name.
    pub name: String,
    /// The instance that it runs on; when left out, that of the metadata or in the name.
    #[serde(default)]
    pub instance_id: Option<String>,
    /// What the vendor's runner tells about itself: Spacelift's worker metadata, Buildkite's tags.
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
    /// Jobs at once; where a runner of the platform takes one job at once, more is refused.
    #[serde(default = "one")]
    pub slots: u32,
    #[serde(default)]
    pub mode: Mode,
}

/// Whether a runner goes on after a job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Mode {
    #[default]
    Continuous,
    Single,
}

/// What a runner says about a job of its.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Report {
    state: ReportState,
    /// More of its output.
    #[serde(default)]
    trace: String,
    #[serde(default)]
    exit_code: Option<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ReportState {
    Running,
    Success,
    Failed,
    /// The runner could not run it, or lost it.
    SystemFailure,
    /// The runner was told to end and cut it.
    Canceled,
}

fn one() -> u32 {
    1
}

enum Route {
    Connect,
    Claim(u64),
    Report(u64, u64),
    Disconnect(u64),
    /// Below the right path, but nothing there.
    Unknown,
}

impl Route {
    fn of(request: &Request) -> Option<Self> {
        let segments = request.segments();
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        let ["_lightsout", "runner", rest @ ..] = segments.as_slice() else { return None };
        // An id that is no number is one that nobody has.
        let number = |text: &str| text.parse().unwrap_or(0);
        Some(match (request.method.as_str(), rest) {
            ("POST", ["connect"]) => Self::Connect,
            ("POST", [id, "claim"]) => Self::Claim(number(id)),
            ("POST", [id, "jobs", job]) => Self::Report(number(id), number(job)),
            ("POST", [id, "disconnect"]) => Self::Disconnect(number(id)),
            _ => Self::Unknown,
        })
    }
}

/// The route's name, when the request is for this API.
pub(super) fn route(request: &Request) -> Option<&'static str> {
    Some(match Route::of(request)? {
        Route::Connect => "POST /runner/connect",
        Route::Claim(_) => "POST /runner/:id/claim",
        Route::Report(..) => "POST /runner/:id/jobs/:job",
        Route::Disconnect(_) => "POST /runner/:id/disconnect",
        Route::Unknown => "other",
    })
}

/// The instance whose runner makes the request.
pub(super) fn machine_of(state: &CiState, request: &Request) -> Option<String> {
    match Route::of(request)? {
        Route::Connect => host(&serde_json::from_slice(&request.body).ok()?),
        Route::Claim(id) | Route::Report(id, _) | Route::Disconnect(id) => state.workers.get(id)?.instance.clone(),
        Route::Unknown => None,
    }
}

/// Answers the request when it is for this API.
pub(super) fn respond(ci: &mut Ci, request: &Request, now: Timestamp) -> Option<Response> {
    let response = match Route::of(request)? {
        Route::Connect => connect(ci, request, now),
        Route::Claim(id) => claim(ci, id, now),
        Route::Report(id, job) => report(ci, id, job, request, now),
        Route::Disconnect(id) => worker(ci, id).map(|_| ()).map(|()| {
            ci.worker_gone(id, now);
            Response::json(200, &json!({}))
        }),
        Route::Unknown => Err(RunnerApiError(404, "there is no such path in the runner API".into())),
    };
    Some(response.unwrap_or_else(|RunnerApiError(status, why)| Response::json(status, &json!({"error": why}))))
}

fn connect(ci: &mut Ci, request: &Request, now: Timestamp) -> Result<Response, RunnerApiError> {
    let connect: Connect = body(request)?;
    if connect.platform != ci.kind {
        return Err(RunnerApiError(403, format!("this fleet's platform is {}, not {}", ci.kind, connect.platform)));
    }
    if connect.slots == 0 {
        return Err(RunnerApiError(400, "slots is 0: a runner takes at least one job at once".into()));
    }
    let id = ci.platform.connect(&connect, &mut ci.state, now)?;
    // A runner that comes back after a crash has lost what it had.
    ci.fail_held(id, now);
    if let Some(worker) = ci.state.workers.get_mut(id) {
        worker.connected = true;
        worker.heard_at = now;
        worker.instance = host(&connect).or(worker.instance.take());
        worker.slots = connect.slots;
        worker.single |= connect.mode == Mode::Single;
    }
    Ok(Response::json(200, &json!({"runner": id.to_string()})))
}

fn host(connect: &Connect) -> Option<String> {
    let told = connect.instance_id.as_ref().or_else(|| connect.metadata.get("instance_id")).filter(|id| !id.is_empty());
    told.cloned().or_else(|| instance_in(&connect.name))
}

fn claim(ci: &mut Ci, id: u64, now: Timestamp) -> Result<Response, RunnerApiError> {
    let worker = worker(ci, id)?;
    worker.heard_at = now;
    let (drain, filter) = (worker.drain, worker.filter.clone());
    let (slots, used_up) = (worker.slots, worker.single && worker.used_at.is_some());
    match drain {
        DrainState::Serving => {}
        DrainState::Drained => return Ok(Response::empty(204)),
        DrainState::Stopped => return Err(RunnerApiError(409, "this runner was told to stop".into())),
    }
    let held: Vec<&Job> = ci.state.jobs.held_by(id).collect();
    let chosen = if held.len() >= usize::try_from(slots).unwrap_or(usize::MAX) {
        held.iter().rev().find(|job| job.started_at == Some(job.updated_at)).map(|job| job.id)
    } else if used_up {
        return Err(RunnerApiError(409, "this runner has taken its only job".into()));
    } else {
        let next = ci.state.jobs.waiting().find(|job| filter.fits(&ci.platform.tags_of(job))).map(|job| job.id);
        if let Some(job) = next {
            hand_out(&mut ci.state, job, id, now);
        }
        next
    };
    let found = chosen.and_then(|job| ci.state.jobs.get(job)).zip(ci.state.workers.get(id));
    Ok(found.map_or_else(|| Response::empty(204), |(job, worker)| ticket(ci, job, worker)))
}

fn hand_out(state: &mut CiState, job: u64, id: u64, now: Timestamp) {
    let Some(worker) = state.workers.get_mut(id) else { return };
    worker.used_at = Some(now);
    state.jobs.hand_out(job, id, worker.instance.as_deref(), now);
}

fn ticket(ci: &Ci, job: &Job, worker: &Worker) -> Response {
    let job = json!({
        "id": job.id,
        "name": job.name(),
        "argv": job.command(),
        "image": job.image,
        "seconds": job.seconds,
        "tags": ci.platform.tags_of(job),
        "env": ci.platform.environment(job, worker),
    });
    Response::json(200, &json!({"job": job}))
}

fn report(ci: &mut Ci, id: u64, job_id: u64, request: &Request, now: Timestamp) -> Result<Response, RunnerApiError> {
    let report: Report = body(request)?;
    if let Some(worker) = ci.state.workers.get_mut(id) {
        worker.heard_at = now;
    }
    let job = ci.state.jobs.get_mut(job_id).filter(|job| job.runner == Some(id));
    let job = job.ok_or_else(|| RunnerApiError(404, format!("runner {id} does not have job {job_id}")))?;
    if !job.status.is_over() {
        job.updated_at = Timestamp(now.0.max(job.updated_at.0 + 1));
        job.exit_code = report.exit_code.or(job.exit_code);
        let room = TRACE_CAP.saturating_sub(job.trace.len());
        job.trace.extend(report.trace.bytes().take(room));
        if let Some(end) = end(ci, report.state) {
            ci.state.jobs.finish(job_id, end, now);
            free(ci, id, now);
        }
    }
    let state = ci.state.jobs.get(job_id).map(Job::state);
    Ok(Response::json(200, &json!({"state": state})))
}

fn end(ci: &Ci, state: ReportState) -> Option<JobOutcome> {
    let texts = ci.platform.failure_texts();
    match state {
        ReportState::Running => None,
        ReportState::Success => Some(JobOutcome::Success),
        ReportState::Failed => Some(JobOutcome::Failed { reason: texts.failed.to_owned(), cause: Cause::Job }),
        ReportState::SystemFailure => {
            Some(JobOutcome::Failed { reason: texts.system_failure.to_owned(), cause: Cause::Machine })
        }
        // Nobody can cancel a job here but the runner itself.
        ReportState::Canceled => Some(JobOutcome::Canceled(Cause::Machine)),
    }
}

/// A job of this runner has ended.
fn free(ci: &mut Ci, id: u64, now: Timestamp) {
    let Some(worker) = ci.state.workers.get_mut(id) else { return };
    worker.free_since = now;
    if worker.single && ci.platform.retention().forgets_used {
        ci.state.workers.remove(id);
    }
}

fn worker(ci: &mut Ci, id: u64) -> Result<&mut Worker, RunnerApiError> {
    let found = ci.state.workers.get_mut(id).filter(|worker| worker.connected);
    found.ok_or_else(|| RunnerApiError(404, "this runner is not connected, or the platform removed it".into()))
}

fn body<T: for<'de> Deserialize<'de>>(request: &Request) -> Result<T, RunnerApiError> {
    let parsed: Result<T, _> = serde_json::from_slice(&request.body);
    parsed.map_err(|error| RunnerApiError(400, format!("the body is not understood: {error}")))
}
