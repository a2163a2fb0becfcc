//! Self-hosted runners: list, get, remove, and just-in-time configurations.

use std::collections::BTreeSet;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{GitHub, ONLINE_FOR, not_found, number, refuse};
use crate::{
    ci::contract::CiState,
    ci::page,
    ci::workers::{JobFilter, Worker},
    http::{Request, Response},
    time::Timestamp,
};

impl GitHub {
    pub(super) fn jit_config(
        &mut self,
        request: &Request,
        state: &mut CiState,
        now: Timestamp,
    ) -> Result<Response, Response> {
        let params = request.params();
        let invalid = |what: &str| refuse(422, &format!("Invalid request.\n\n{what}"));
        let name = params.get("name").and_then(Value::as_str).filter(|name| !name.is_empty());
        let name = name.ok_or_else(|| invalid("\"name\" wasn't supplied."))?;
        let group = number(params.get("runner_group_id"));
        let group = group.ok_or_else(|| invalid("\"runner_group_id\" wasn't supplied."))?;
        if group != self.options.runner_group {
            return Err(not_found());
        }
        let labels = params.get("labels").and_then(Value::as_array);
        let labels: BTreeSet<String> =
            labels.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
        if labels.is_empty() || labels.len() > 100 {
            return Err(invalid("\"labels\" must hold 1 to 100 labels."));
        }
        let (id, blob) = self.new_jit(name, labels, state, now)?;
        let runner = state.workers.get(id).map(|worker| show(worker, state, now));
        Ok(Response::json(201, &json!({"runner": runner, "encoded_jit_config": blob})))
    }

    /// A runner that takes one job, and the blob with which it connects.
    pub(super) fn new_jit(
        &mut self,
        name: &str,
        labels: BTreeSet<String>,
        state: &mut CiState,
        now: Timestamp,
    ) -> Result<(u64, String), Response> {
        if state.workers.named(name).is_some() {
            return Err(refuse(409, &format!("Already exists - A runner with the name {name} already exists.")));
        }
        let worker = Worker { single: true, filter: JobFilter::Tagged(labels), ..Worker::new(name, now) };
        let id = state.workers.add(worker);
        let blob = STANDARD
            .encode(json!({".runner": {"AgentId": id, "AgentName": name}, ".credentials": self.make("")}).to_string());
        self.jit.insert(blob.clone(), id);
        Ok((id, blob))
    }
}

pub(super) fn list(request: &Request, state: &CiState, now: Timestamp) -> Response {
    let named = |worker: &&Worker| request.query("name").is_none_or(|name| worker.name == name);
    let workers: Vec<&Worker> = state.workers.iter().filter(named).collect();
    page::page(request, &state.url, "runners", &workers, |worker| show(worker, state, now))
}

pub(super) fn runner(id: u64, state: &CiState, now: Timestamp) -> Result<Response, Response> {
    let worker = state.workers.get(id).ok_or_else(not_found)?;
    Ok(Response::json(200, &show(worker, state, now)))
}

/// Removes a runner, unless it has a job: after the answer 204 it gets none.
pub(super) fn delete(id: u64, state: &mut CiState) -> Result<Response, Response> {
    let worker = state.workers.get(id).ok_or_else(not_found)?;
    if state.load(id) > 0 {
        return Err(refuse(422, &format!("Bad request - Runner \"{}\" is still running a job", worker.name)));
    }
    state.workers.remove(id);
    Ok(Response::empty(204))
}

fn show(worker: &Worker, state: &CiState, now: Timestamp) -> Value {
    let online = worker.connected && now.since(worker.heard_at) < ONLINE_FOR;
    let labels = worker.filter.tags().into_iter().enumerate();
    let labels = labels.map(|(at, name)| {
        let kind = if ["self-hosted", "linux", "x64"].contains(&name.as_str()) { "read-only" } else { "custom" };
        json!({"id": at + 1, "name": name, "type": kind})
    });
    json!({
        "id": worker.id,
        "name": worker.name,
        "os": "linux",
        "status": if online { "online" } else { "offline" },
        "busy": state.load(worker.id) > 0,
        "ephemeral": worker.single,
        "runner_group_id": 1,
        "labels": labels.collect::<Vec<_>>(),
    })
}
