//! The agents in the REST API: list, get, stop, pause, resume.

use serde_json::{Value, json};

use super::{BuildkiteOptions, job_uuid, refuse};
use crate::ci::contract::CiState;
use crate::ci::workers::{DrainState, Worker};
use crate::{
    ci::jobs::{Cause, JobOutcome},
    http::{Request, Response},
    time::Timestamp,
};

pub(super) struct Route {
    organization: String,
    what: JobEventKind,
}

enum JobEventKind {
    List,
    Get(u64),
    Stop(u64),
    Pause(u64),
    Resume(u64),
}

impl Route {
    /// `rest` is what follows `/agents`.
    pub(super) fn of(method: &str, organization: &str, rest: &[&str]) -> Option<Self> {
        let what = match (method, rest) {
            ("GET", []) => JobEventKind::List,
            ("GET", [id]) => JobEventKind::Get(number(id)),
            ("PUT", [id, "stop"]) => JobEventKind::Stop(number(id)),
            ("PUT", [id, "pause"]) => JobEventKind::Pause(number(id)),
            ("PUT", [id, "resume"]) => JobEventKind::Resume(number(id)),
            _ => return None,
        };
        Some(Self { organization: organization.to_owned(), what })
    }

    pub(super) fn name(&self) -> &'static str {
        match self.what {
            JobEventKind::List => "GET /v2/organizations/:org/agents",
            JobEventKind::Get(_) => "GET /v2/organizations/:org/agents/:id",
            JobEventKind::Stop(_) => "PUT /v2/organizations/:org/agents/:id/stop",
            JobEventKind::Pause(_) => "PUT /v2/organizations/:org/agents/:id/pause",
            JobEventKind::Resume(_) => "PUT /v2/organizations/:org/agents/:id/resume",
        }
    }
}

/// Answers a request; an `Err` is an answer too: the refusal.
pub(super) fn respond(
    options: &BuildkiteOptions,
    route: &Route,
    request: &Request,
    state: &mut CiState,
    now: Timestamp,
) -> Result<Response, Response> {
    let bearer = request.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
    if bearer != Some(&options.api_token) {
        return Err(refuse(401, "Authentication required. Please supply a valid API Access Token."));
    }
    if route.organization != options.organization {
        return Err(refuse(404, "No organization found"));
    }
    match route.what {
        JobEventKind::List => {
            let named = |worker: &&Worker| request.query("name").is_none_or(|name| worker.name == name);
            let agents = state.workers.iter().rev().filter(named).map(|worker| show(state, worker));
            Ok(Response::json(200, &agents.collect()))
        }
        JobEventKind::Get(id) => Ok(Response::json(200, &show(state, agent(state, id)?))),
        JobEventKind::Stop(id) => {
            agent(state, id)?;
            if request.params().get("force") == Some(&json!(true)) {
                let held: Vec<u64> = state.jobs.held_by(id).map(|job| job.id).collect();
                for job in held {
                    state.jobs.finish(job, JobOutcome::Canceled(Cause::Job), now);
                }
            }
            stand(state, id, DrainState::Stopped);
            Ok(Response::empty(204))
        }
        JobEventKind::Pause(id) => {
            if agent(state, id)?.drain != DrainState::Serving {
                return Err(refuse(422, "Agent is already paused or stopping"));
            }
            stand(state, id, DrainState::Drained);
            Ok(Response::empty(204))
        }
        JobEventKind::Resume(id) => {
            if agent(state, id)?.drain != DrainState::Drained {
                return Err(refuse(422, "Agent is not paused"));
            }
            stand(state, id, DrainState::Serving);
            Ok(Response::empty(204))
        }
    }
}

fn agent(state: &CiState, id: u64) -> Result<&Worker, Response> {
    state.workers.get(id).ok_or_else(|| refuse(404, "No agent found"))
}

fn stand(state: &mut CiState, id: u64, drain: DrainState) {
    if let Some(worker) = state.workers.get_mut(id) {
        worker.drain = drain;
    }
}

fn show(state: &CiState, worker: &Worker) -> Value {
    let tags: Vec<String> = worker.filter.tags();
    json!({
        "id": uuid(worker.id),
        "name": worker.name,
        "connection_state": if worker.drain == DrainState::Stopped { "stopping" } else { "connected" },
        "paused": worker.drain == DrainState::Drained,
        "created_at": worker.created_at.to_string(),
        "last_job_finished_at": worker.used_at.map(|_| worker.free_since.to_string()),
        "meta_data": tags,
        "job": state.jobs.held_by(worker.id).next().map(|job| json!({"id": job_uuid(job.id), "name": job.name()})),
    })
}

pub(super) fn uuid(id: u64) -> String {
    format!("01910000-0000-4000-8000-{id:012x}")
}

/// The number in an agent's id; none that exists when it is not one of ours.
fn number(id: &str) -> u64 {
    let digits = id.strip_prefix("01910000-0000-4000-8000-");
    digits.and_then(|digits| u64::from_str_radix(digits, 16).ok()).unwrap_or(0)
}
