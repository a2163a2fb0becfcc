//! The agents in the REST API: list, get, stop, pause, resume.

use serde_json::{Value, json};

use super::{BuildkiteOptions, Floor, Standing, Worker, job_uuid, refuse};
use crate::{
    aws::model::Stamp,
    ci::jobs::{Blame, End},
    http::{Answer, Request},
};

pub(super) struct Route {
    organization: String,
    what: What,
}

enum What {
    List,
    Get(u64),
    Stop(u64),
    Pause(u64),
    Resume(u64),
}

impl Route {
    /// `rest` is what follows `/agents`.
    pub fn of(method: &str, organization: &str, rest: &[&str]) -> Option<Self> {
        let what = match (method, rest) {
            ("GET", []) => What::List,
            ("GET", [id]) => What::Get(number(id)),
            ("PUT", [id, "stop"]) => What::Stop(number(id)),
            ("PUT", [id, "pause"]) => What::Pause(number(id)),
            ("PUT", [id, "resume"]) => What::Resume(number(id)),
            _ => return None,
        };
        Some(Self { organization: organization.to_owned(), what })
    }

    pub fn name(&self) -> &'static str {
        match self.what {
            What::List => "GET /v2/organizations/:org/agents",
            What::Get(_) => "GET /v2/organizations/:org/agents/:id",
            What::Stop(_) => "PUT /v2/organizations/:org/agents/:id/stop",
            What::Pause(_) => "PUT /v2/organizations/:org/agents/:id/pause",
            What::Resume(_) => "PUT /v2/organizations/:org/agents/:id/resume",
        }
    }
}

/// Answers a request; an `Err` is an answer too: the refusal.
pub(super) fn answer(
    options: &BuildkiteOptions,
    route: &Route,
    request: &Request,
    floor: &mut Floor,
    now: Stamp,
) -> Result<Answer, Answer> {
    let bearer = request.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
    if bearer != Some(&options.api_token) {
        return Err(refuse(401, "Authentication required. Please supply a valid API Access Token."));
    }
    if route.organization != options.organization {
        return Err(refuse(404, "No organization found"));
    }
    match route.what {
        What::List => {
            let named = |worker: &&Worker| request.query("name").is_none_or(|name| worker.name == name);
            let agents = floor.workers.iter().rev().filter(named).map(|worker| show(floor, worker));
            Ok(Answer::json(200, &agents.collect()))
        }
        What::Get(id) => Ok(Answer::json(200, &show(floor, agent(floor, id)?))),
        What::Stop(id) => {
            agent(floor, id)?;
            if request.params().get("force") == Some(&json!(true)) {
                let held: Vec<u64> = floor.jobs.held_by(id).map(|job| job.id).collect();
                for job in held {
                    floor.jobs.finish(job, End::Canceled(Blame::Job), now);
                }
            }
            stand(floor, id, Standing::Stopped);
            Ok(Answer::empty(204))
        }
        What::Pause(id) => {
            if agent(floor, id)?.standing != Standing::Serving {
                return Err(refuse(422, "Agent is already paused or stopping"));
            }
            stand(floor, id, Standing::Drained);
            Ok(Answer::empty(204))
        }
        What::Resume(id) => {
            if agent(floor, id)?.standing != Standing::Drained {
                return Err(refuse(422, "Agent is not paused"));
            }
            stand(floor, id, Standing::Serving);
            Ok(Answer::empty(204))
        }
    }
}

fn agent(floor: &Floor, id: u64) -> Result<&Worker, Answer> {
    floor.workers.get(id).ok_or_else(|| refuse(404, "No agent found"))
}

fn stand(floor: &mut Floor, id: u64, standing: Standing) {
    if let Some(worker) = floor.workers.get_mut(id) {
        worker.standing = standing;
    }
}

fn show(floor: &Floor, worker: &Worker) -> Value {
    let tags: Vec<String> = worker.takes.tags();
    json!({
        "id": uuid(worker.id),
        "name": worker.name,
        "connection_state": if worker.standing == Standing::Stopped { "stopping" } else { "connected" },
        "paused": worker.standing == Standing::Drained,
        "created_at": worker.created_at.to_string(),
        "last_job_finished_at": worker.used_at.map(|_| worker.free_since.to_string()),
        "meta_data": tags,
        "job": floor.jobs.held_by(worker.id).next().map(|job| json!({"id": job_uuid(job.id), "name": job.name()})),
    })
}

fn uuid(id: u64) -> String {
    format!("01910000-0000-4000-8000-{id:012x}")
}

/// The number in an agent's id; none that exists when it is not one of ours.
fn number(id: &str) -> u64 {
    let digits = id.strip_prefix("01910000-0000-4000-8000-");
    digits.and_then(|digits| u64::from_str_radix(digits, 16).ok()).unwrap_or(0)
}
