//! The private runner API on the platform's side: [`protocol`](super::protocol) says what it is.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    contract::{CiState, Platform, PlatformKind, RunnerApiError},
    jobs::{Cause, Job, JobOutcome, TRACE_CAP},
    protocol::{Claim, Claimed, ClaimedJob, Connect, Connected, Mode, Report, ReportState, Reported},
    workers::{DrainState, Worker, instance_in},
};
use crate::{
    http::{Request, Response},
    time::Timestamp,
};

/// The API over one vendor's platform.
pub(super) struct RunnerApi<'a> {
    pub platform: &'a mut dyn Platform,
    pub state: &'a mut CiState,
    /// All platforms that there are, for whoever takes this one for another.
    pub kinds: &'a [PlatformKind],
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
pub(super) fn respond(api: &mut RunnerApi<'_>, request: &Request, now: Timestamp) -> Option<Response> {
    let response = match Route::of(request)? {
        Route::Connect => connect(api, request, now),
        Route::Claim(id) => claim(api, id, request, now),
        Route::Report(id, job) => report(api, id, job, request, now),
        Route::Disconnect(id) => worker(api, id).map(|_| ()).map(|()| {
            api.state.worker_gone(id, api.platform, Cause::Runner, now);
            Response::json(200, &json!({}))
        }),
        Route::Unknown => Err(RunnerApiError(404, "there is no such path in the runner API".into())),
    };
    Some(response.unwrap_or_else(|RunnerApiError(status, why)| Response::json(status, &json!({"error": why}))))
}

fn connect(api: &mut RunnerApi<'_>, request: &Request, now: Timestamp) -> Result<Response, RunnerApiError> {
    let connect: Connect = body(request)?;
    let kind = api.platform.kind();
    if connect.platform != kind.as_str() {
        let known = api.kinds.iter().any(|kind| kind.as_str() == connect.platform);
        let status = if known { 403 } else { 400 };
        return Err(RunnerApiError(status, format!("this fleet's platform is {kind}, not {}", connect.platform)));
    }
    if connect.slots == 0 {
        return Err(RunnerApiError(400, "slots is 0: a runner takes at least one job at once".into()));
    }
    let id = api.platform.connect(&connect, api.state, now)?;
    // A runner that comes back after a crash has lost what it had.
    api.state.fail_held(id, api.platform.failure_texts().gone, Cause::Machine, now);
    if let Some(worker) = api.state.workers.get_mut(id) {
        worker.connected = true;
        worker.heard_at = now;
        worker.instance = host(&connect).or(worker.instance.take());
        worker.slots = connect.slots;
        worker.single |= connect.mode == Mode::Single;
    }
    Ok(ok(&Connected { runner: id.to_string() }))
}

fn host(connect: &Connect) -> Option<String> {
    let told = connect.instance_id.as_ref().or_else(|| connect.metadata.get("instance_id")).filter(|id| !id.is_empty());
    told.cloned().or_else(|| instance_in(&connect.name))
}

fn claim(api: &mut RunnerApi<'_>, id: u64, request: &Request, now: Timestamp) -> Result<Response, RunnerApiError> {
    let Claim { has } = if request.body.is_empty() { Claim::default() } else { body(request)? };
    let worker = worker(api, id)?;
    worker.heard_at = now;
    let (drain, filter) = (worker.drain, worker.filter.clone());
    let (slots, used_up) = (worker.slots, worker.single && worker.used_at.is_some());
    let never_heard = |job: &&Job| has.as_ref().is_some_and(|has| !has.contains(&job.id));
    if let Some(job) = api.state.jobs.held_by(id).find(never_heard)
        && let Some(worker) = api.state.workers.get(id)
    {
        return Ok(claimed(api, job, worker));
    }
    match drain {
        DrainState::Serving => {}
        DrainState::Drained => return Ok(Response::empty(204)),
        DrainState::Stopped => return Err(RunnerApiError(409, "this runner was told to stop".into())),
    }
    let held: Vec<&Job> = api.state.jobs.held_by(id).collect();
    let chosen = if held.len() >= usize::try_from(slots).unwrap_or(usize::MAX) {
        held.iter().rev().find(|job| job.started_at == Some(job.updated_at)).map(|job| job.id)
    } else if used_up {
        return Err(RunnerApiError(409, "this runner has taken its only job".into()));
    } else {
        let next = api.state.jobs.waiting().find(|job| filter.fits(&api.platform.tags_of(job))).map(|job| job.id);
        if let Some(job) = next {
            hand_out(api.state, job, id, now);
        }
        next
    };
    let found = chosen.and_then(|job| api.state.jobs.get(job)).zip(api.state.workers.get(id));
    Ok(found.map_or_else(|| Response::empty(204), |(job, worker)| claimed(api, job, worker)))
}

fn hand_out(state: &mut CiState, job: u64, id: u64, now: Timestamp) {
    let Some(worker) = state.workers.get_mut(id) else { return };
    worker.used_at = Some(now);
    state.jobs.hand_out(job, id, worker.instance.as_deref(), now);
}

fn claimed(api: &RunnerApi<'_>, job: &Job, worker: &Worker) -> Response {
    let job = ClaimedJob {
        id: job.id,
        name: job.name(),
        argv: job.command(),
        image: job.image.clone(),
        seconds: job.seconds,
        tags: api.platform.tags_of(job),
        env: job.variables.clone().into_iter().chain(api.platform.environment(job, worker)).collect(),
    };
    ok(&Claimed { job })
}

fn report(
    api: &mut RunnerApi<'_>,
    id: u64,
    job_id: u64,
    request: &Request,
    now: Timestamp,
) -> Result<Response, RunnerApiError> {
    let report: Report = body(request)?;
    if let Some(worker) = api.state.workers.get_mut(id) {
        worker.heard_at = now;
    }
    let job = api.state.jobs.get_mut(job_id).filter(|job| job.runner == Some(id));
    let unknown = || RunnerApiError(404, format!("runner {id} does not have job {job_id}"));
    let job = job.ok_or_else(unknown)?;
    if !job.status.is_over() {
        job.updated_at = Timestamp(now.0.max(job.updated_at.0 + 1));
        job.exit_code = report.exit_code.or(job.exit_code);
        let room = TRACE_CAP.saturating_sub(job.trace.len());
        job.trace.extend(report.trace.bytes().take(room));
        if let Some(outcome) = outcome(api, report.state) {
            api.state.jobs.finish(job_id, outcome, now);
            free(api, id, now);
        }
    }
    let state = api.state.jobs.get(job_id).ok_or_else(unknown)?.state();
    Ok(ok(&Reported { state }))
}

fn outcome(api: &RunnerApi<'_>, state: ReportState) -> Option<JobOutcome> {
    let texts = api.platform.failure_texts();
    match state {
        ReportState::Running => None,
        ReportState::Success => Some(JobOutcome::Success),
        ReportState::Failed => Some(JobOutcome::Failed { reason: texts.failed.to_owned(), cause: Cause::Job }),
        ReportState::SystemFailure => {
            Some(JobOutcome::Failed { reason: texts.system_failure.to_owned(), cause: Cause::Runner })
        }
        // Nobody can cancel a job here but the runner itself.
        ReportState::Canceled => Some(JobOutcome::Canceled(Cause::Runner)),
    }
}

/// A job of this runner has ended.
fn free(api: &mut RunnerApi<'_>, id: u64, now: Timestamp) {
    let Some(worker) = api.state.workers.get_mut(id) else { return };
    worker.free_since = now;
    if worker.single && api.platform.retention().forgets_used {
        api.state.workers.remove(id);
    }
}

fn worker<'a>(api: &'a mut RunnerApi<'_>, id: u64) -> Result<&'a mut Worker, RunnerApiError> {
    let found = api.state.workers.get_mut(id).filter(|worker| worker.connected);
    found.ok_or_else(|| RunnerApiError(404, "this runner is not connected, or the platform removed it".into()))
}

fn body<T: for<'de> Deserialize<'de>>(request: &Request) -> Result<T, RunnerApiError> {
    let parsed: Result<T, _> = serde_json::from_slice(&request.body);
    parsed.map_err(|error| RunnerApiError(400, format!("the body is not understood: {error}")))
}

fn ok(body: &impl Serialize) -> Response {
    // None of these types can fail to be JSON.
    Response::json(200, &serde_json::to_value(body).unwrap_or(Value::Null))
}
