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

use super::{Ci, Floor, PlatformKind, Refused, Standing, Worker, workers::instance_in};
use crate::{
    aws::model::Stamp,
    ci::jobs::{Blame, End, Job, TRACE_CAP},
    http::{Answer, Request},
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
pub(super) fn machine_of(floor: &Floor, request: &Request) -> Option<String> {
    match Route::of(request)? {
        Route::Connect => host(&serde_json::from_slice(&request.body).ok()?),
        Route::Claim(id) | Route::Report(id, _) | Route::Disconnect(id) => floor.workers.get(id)?.instance.clone(),
        Route::Unknown => None,
    }
}

/// Answers the request when it is for this API.
pub(super) fn answer(ci: &mut Ci, request: &Request, now: Stamp) -> Option<Answer> {
    let answered = match Route::of(request)? {
        Route::Connect => connect(ci, request, now),
        Route::Claim(id) => claim(ci, id, now),
        Route::Report(id, job) => report(ci, id, job, request, now),
        Route::Disconnect(id) => worker(ci, id).map(|_| ()).map(|()| {
            ci.worker_gone(id, now);
            Answer::json(200, &json!({}))
        }),
        Route::Unknown => Err(Refused(404, "there is no such path in the runner API".into())),
    };
    Some(answered.unwrap_or_else(|Refused(status, why)| Answer::json(status, &json!({"error": why}))))
}

fn connect(ci: &mut Ci, request: &Request, now: Stamp) -> Result<Answer, Refused> {
    let ask: Connect = body(request)?;
    if ask.platform != ci.kind {
        return Err(Refused(403, format!("this fleet's platform is {}, not {}", ci.kind, ask.platform)));
    }
    if ask.slots == 0 {
        return Err(Refused(400, "slots is 0: a runner takes at least one job at once".into()));
    }
    let id = ci.platform.connect(&ask, &mut ci.floor, now)?;
    // A runner that comes back after a crash has lost what it had.
    ci.fail_held(id, now);
    if let Some(worker) = ci.floor.workers.get_mut(id) {
        worker.connected = true;
        worker.heard_at = now;
        worker.instance = host(&ask).or(worker.instance.take());
        worker.slots = ask.slots;
        worker.single |= ask.mode == Mode::Single;
    }
    Ok(Answer::json(200, &json!({"runner": id.to_string()})))
}

fn host(ask: &Connect) -> Option<String> {
    let told = ask.instance_id.as_ref().or_else(|| ask.metadata.get("instance_id")).filter(|id| !id.is_empty());
    told.cloned().or_else(|| instance_in(&ask.name))
}

fn claim(ci: &mut Ci, id: u64, now: Stamp) -> Result<Answer, Refused> {
    let worker = worker(ci, id)?;
    worker.heard_at = now;
    let (standing, takes) = (worker.standing, worker.takes.clone());
    let (slots, used_up) = (worker.slots, worker.single && worker.used_at.is_some());
    match standing {
        Standing::Serving => {}
        Standing::Drained => return Ok(Answer::empty(204)),
        Standing::Stopped => return Err(Refused(409, "this runner was told to stop".into())),
    }
    let held: Vec<&Job> = ci.floor.jobs.held_by(id).collect();
    let chosen = if held.len() >= usize::try_from(slots).unwrap_or(usize::MAX) {
        held.iter().rev().find(|job| job.started_at == Some(job.updated_at)).map(|job| job.id)
    } else if used_up {
        return Err(Refused(409, "this runner has taken its only job".into()));
    } else {
        let next = ci.floor.jobs.waiting().find(|job| takes.fits(&ci.platform.tags_of(job))).map(|job| job.id);
        if let Some(job) = next {
            hand_out(&mut ci.floor, job, id, now);
        }
        next
    };
    let found = chosen.and_then(|job| ci.floor.jobs.get(job)).zip(ci.floor.workers.get(id));
    Ok(found.map_or_else(|| Answer::empty(204), |(job, worker)| ticket(ci, job, worker)))
}

fn hand_out(floor: &mut Floor, job: u64, id: u64, now: Stamp) {
    let Some(worker) = floor.workers.get_mut(id) else { return };
    worker.used_at = Some(now);
    floor.jobs.hand_out(job, id, worker.instance.as_deref(), now);
}

fn ticket(ci: &Ci, job: &Job, worker: &Worker) -> Answer {
    let job = json!({
        "id": job.id,
        "name": job.name(),
        "argv": job.command(),
        "image": job.image,
        "seconds": job.seconds,
        "tags": ci.platform.tags_of(job),
        "env": ci.platform.environment(job, worker),
    });
    Answer::json(200, &json!({"job": job}))
}

fn report(ci: &mut Ci, id: u64, job_id: u64, request: &Request, now: Stamp) -> Result<Answer, Refused> {
    let report: Report = body(request)?;
    if let Some(worker) = ci.floor.workers.get_mut(id) {
        worker.heard_at = now;
    }
    let job = ci.floor.jobs.get_mut(job_id).filter(|job| job.runner == Some(id));
    let job = job.ok_or_else(|| Refused(404, format!("runner {id} does not have job {job_id}")))?;
    if !job.status.is_over() {
        job.updated_at = Stamp(now.0.max(job.updated_at.0 + 1));
        job.exit_code = report.exit_code.or(job.exit_code);
        let room = TRACE_CAP.saturating_sub(job.trace.len());
        job.trace.extend(report.trace.bytes().take(room));
        if let Some(end) = end(ci, report.state) {
            ci.floor.jobs.finish(job_id, end, now);
            free(ci, id, now);
        }
    }
    let state = ci.floor.jobs.get(job_id).map(Job::state);
    Ok(Answer::json(200, &json!({"state": state})))
}

fn end(ci: &Ci, state: ReportState) -> Option<End> {
    let words = ci.platform.words();
    match state {
        ReportState::Running => None,
        ReportState::Success => Some(End::Success),
        ReportState::Failed => Some(End::Failed { reason: words.failed.to_owned(), blame: Blame::Job }),
        ReportState::SystemFailure => {
            Some(End::Failed { reason: words.system_failure.to_owned(), blame: Blame::Machine })
        }
        // Nobody can cancel a job here but the runner itself.
        ReportState::Canceled => Some(End::Canceled(Blame::Machine)),
    }
}

/// A job of this runner has ended.
fn free(ci: &mut Ci, id: u64, now: Stamp) {
    let Some(worker) = ci.floor.workers.get_mut(id) else { return };
    worker.free_since = now;
    if worker.single && ci.platform.habits().forgets_used {
        ci.floor.workers.remove(id);
    }
}

fn worker(ci: &mut Ci, id: u64) -> Result<&mut Worker, Refused> {
    let found = ci.floor.workers.get_mut(id).filter(|worker| worker.connected);
    found.ok_or_else(|| Refused(404, "this runner is not connected, or the platform removed it".into()))
}

fn body<T: for<'de> Deserialize<'de>>(request: &Request) -> Result<T, Refused> {
    let parsed: Result<T, _> = serde_json::from_slice(&request.body);
    parsed.map_err(|error| Refused(400, format!("the body is not understood: {error}")))
}
