//! The REST API: whose token opens it, and the agents: list, get, stop, pause, resume.

use serde_json::{Value, json};

use super::{AGENT, Buildkite, agent_uuid, builds, job_uuid, number, refuse};
use crate::ci::contract::CiState;
use crate::ci::workers::{DrainState, Worker};
use crate::{
    ci::jobs::{Cause, JobOutcome},
    http::{Request, Response},
    time::Timestamp,
};

pub(super) struct Route {
    /// None: of whatever the token sees.
    organization: Option<String>,
    what: What,
}

enum What {
    Agents(Agents),
    Builds(builds::Route),
}

enum Agents {
    List,
    Get(u64),
    Stop(u64),
    Pause(u64),
    Resume(u64),
}

impl Route {
    /// `path` is what follows `/v2`.
    pub(super) fn of(method: &str, path: &[&str]) -> Option<Self> {
        let (organization, what) = match path {
            ["organizations", organization, "agents", rest @ ..] => {
                (Some((*organization).to_owned()), What::Agents(Agents::of(method, rest)?))
            }
            ["organizations", organization, rest @ ..] => {
                (Some((*organization).to_owned()), What::Builds(builds::Route::of(method, rest)?))
            }
            rest => (None, What::Builds(builds::Route::of(method, rest).filter(builds::Route::is_list)?)),
        };
        Some(Self { organization, what })
    }

    pub(super) fn name(&self) -> &'static str {
        match &self.what {
            What::Agents(agents) => agents.name(),
            What::Builds(builds) => builds.name(),
        }
    }
}

impl Agents {
    fn of(method: &str, rest: &[&str]) -> Option<Self> {
        Some(match (method, rest) {
            ("GET", []) => Self::List,
            ("GET", [id]) => Self::Get(number(id, AGENT)),
            ("PUT", [id, "stop"]) => Self::Stop(number(id, AGENT)),
            ("PUT", [id, "pause"]) => Self::Pause(number(id, AGENT)),
            ("PUT", [id, "resume"]) => Self::Resume(number(id, AGENT)),
            _ => return None,
        })
    }

    fn name(&self) -> &'static str {
        match self {
            Self::List => "GET /v2/organizations/:org/agents",
            Self::Get(_) => "GET /v2/organizations/:org/agents/:id",
            Self::Stop(_) => "PUT /v2/organizations/:org/agents/:id/stop",
            Self::Pause(_) => "PUT /v2/organizations/:org/agents/:id/pause",
            Self::Resume(_) => "PUT /v2/organizations/:org/agents/:id/resume",
        }
    }
}

impl Buildkite {
    /// Answers a request; an `Err` is an answer too: the refusal.
    pub(super) fn answer_rest(
        &self,
        route: &Route,
        request: &Request,
        state: &mut CiState,
        now: Timestamp,
    ) -> Result<Response, Response> {
        let bearer = request.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
        if bearer != Some(&self.options.api_token) {
            return Err(refuse(401, "Authentication required. Please supply a valid API Access Token."));
        }
        if route.organization.as_ref().is_some_and(|organization| *organization != self.options.organization) {
            return Err(refuse(404, "No organization found"));
        }
        match &route.what {
            What::Agents(agents) => answer_agents(agents, request, state, now),
            What::Builds(builds) => self.answer_builds(builds, request, state, now),
        }
    }
}

fn answer_agents(
    agents: &Agents,
    request: &Request,
    state: &mut CiState,
    now: Timestamp,
) -> Result<Response, Response> {
    match *agents {
        Agents::List => {
            let named = |worker: &&Worker| request.query("name").is_none_or(|name| worker.name == name);
            let agents = state.workers.iter().rev().filter(named).map(|worker| show(state, worker));
            Ok(Response::json(200, &agents.collect()))
        }
        Agents::Get(id) => Ok(Response::json(200, &show(state, agent(state, id)?))),
        Agents::Stop(id) => {
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
        Agents::Pause(id) => {
            if agent(state, id)?.drain != DrainState::Serving {
                return Err(refuse(422, "Agent is already paused or stopping"));
            }
            stand(state, id, DrainState::Drained);
            Ok(Response::empty(204))
        }
        Agents::Resume(id) => {
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
        "id": agent_uuid(worker.id),
        "name": worker.name,
        "connection_state": if worker.drain == DrainState::Stopped { "stopping" } else { "connected" },
        "paused": worker.drain == DrainState::Drained,
        "created_at": worker.created_at.to_string(),
        "last_job_finished_at": worker.used_at.map(|_| worker.free_since.to_string()),
        "meta_data": tags,
        "job": state.jobs.held_by(worker.id).next().map(|job| json!({"id": job_uuid(job.id), "name": job.name()})),
    })
}
