//! The agent API as Buildkite's own agent speaks it: register, ping for jobs, accept and finish them. A job that an
//! agent was offered and did not accept in time, or before it left, is offered to the next one. The streaming pings of
//! newer agents are not there; they fall back to asking.
//!
//! Source: the `api` package of the Buildkite agent, and Buildkite documentation (agent lifecycle, job states).

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Map, Value, json};

use super::{Buildkite, agent_uuid, job_uuid, refuse};
use crate::{
    ci::{
        contract::{CiState, Platform},
        jobs::{Cause, Job, JobOutcome, Status},
        protocol::Connect,
        workers::{DrainState, instance_in},
    },
    http::{Request, Response},
    time::Timestamp,
};

/// How long an agent has to accept a job that it was offered.
const OFFER: Duration = Duration::from_secs(60);
/// Seconds between two pings, and between two looks at a running job.
const INTERVAL: u32 = 1;
/// Seconds between two heartbeats.
const HEARTBEAT: u32 = 60;

/// Jobs that were offered and not accepted: to which agent, and when.
pub(super) type Offers = BTreeMap<u64, (u64, Timestamp)>;

/// A call of an agent.
#[derive(Clone, Copy)]
pub(super) enum Route {
    Register,
    Connect,
    Disconnect,
    Ping,
    Heartbeat,
    Job(u64),
    Accept(u64),
    Start(u64),
    Finish(u64),
    Chunks(u64),
}

impl Route {
    /// `rest` is what follows `/v3`.
    pub(super) fn of(method: &str, rest: &[&str]) -> Option<Self> {
        Some(match (method, rest) {
            ("POST", ["register"]) => Self::Register,
            ("POST", ["connect"]) => Self::Connect,
            ("POST", ["disconnect"]) => Self::Disconnect,
            ("GET", ["ping"]) => Self::Ping,
            ("POST", ["heartbeat"]) => Self::Heartbeat,
            ("GET", ["jobs", id]) => Self::Job(job_number(id)),
            ("PUT", ["jobs", id, "accept"]) => Self::Accept(job_number(id)),
            ("PUT", ["jobs", id, "start"]) => Self::Start(job_number(id)),
            ("PUT", ["jobs", id, "finish"]) => Self::Finish(job_number(id)),
            ("POST", ["jobs", id, "chunks"]) => Self::Chunks(job_number(id)),
            _ => return None,
        })
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Register => "POST /v3/register",
            Self::Connect => "POST /v3/connect",
            Self::Disconnect => "POST /v3/disconnect",
            Self::Ping => "GET /v3/ping",
            Self::Heartbeat => "POST /v3/heartbeat",
            Self::Job(_) => "GET /v3/jobs/:id",
            Self::Accept(_) => "PUT /v3/jobs/:id/accept",
            Self::Start(_) => "PUT /v3/jobs/:id/start",
            Self::Finish(_) => "PUT /v3/jobs/:id/finish",
            Self::Chunks(_) => "POST /v3/jobs/:id/chunks",
        }
    }
}

impl Buildkite {
    /// Answers an agent; an `Err` is an answer too: the refusal.
    pub(super) fn answer_agent(
        &mut self,
        route: Route,
        request: &Request,
        state: &mut CiState,
        now: Timestamp,
    ) -> Result<Response, Response> {
        if let Route::Register = route {
            return self.register(request, state, now);
        }
        let agent = agent_of(request, state).ok_or_else(|| refuse(401, "Invalid access token"))?;
        if let Some(worker) = state.workers.get_mut(agent) {
            worker.heard_at = now;
            worker.connected |= matches!(route, Route::Connect);
        }
        match route {
            Route::Register | Route::Connect => Ok(Response::json(200, &json!({"connection_state": "connected"}))),
            Route::Disconnect => {
                state.worker_gone(agent, self, Cause::Runner, now);
                Ok(Response::json(200, &json!({"connection_state": "disconnected"})))
            }
            Route::Heartbeat => {
                let sent = request.params().get("sent_at").cloned();
                Ok(Response::json(200, &json!({"sent_at": sent, "received_at": now.to_string()})))
            }
            Route::Ping => Ok(self.ping(agent, state, now)),
            Route::Accept(job) => self.accept(job, agent, state, now),
            Route::Job(job) => {
                let job = state.jobs.get(job).ok_or_else(no_job)?;
                Ok(Response::json(200, &json!({"id": job_uuid(job.id), "state": state_of(job)})))
            }
            // The log is taken and not kept: it comes compressed.
            Route::Start(job) | Route::Chunks(job) => {
                held(job, agent, state)?.updated_at = now;
                Ok(Response::json(200, &json!({})))
            }
            Route::Finish(job) => finish(job, agent, &request.params(), state, now),
        }
    }

    fn register(&mut self, request: &Request, state: &mut CiState, now: Timestamp) -> Result<Response, Response> {
        if request.header("authorization").and_then(|value| value.strip_prefix("Token ")) != Some(&self.options.token) {
            return Err(refuse(401, "Invalid agent token"));
        }
        let params = request.params();
        let name = params.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
        let tags: Vec<String> = params
            .get("meta_data")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(|tag| tag.as_str().map(str::to_owned))
            .collect();
        let metadata = tags.iter().filter_map(|tag| tag.split_once('='));
        let connect = Connect {
            metadata: metadata.map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
            ..Connect::new(super::KIND.as_str(), self.options.token.clone(), name.clone())
        };
        let id = self.connect(&connect, state, now).map_err(|refusal| refuse(refusal.0, &refusal.1))?;
        if let Some(worker) = state.workers.get_mut(id) {
            // As our own agent names them: the instance's id and a number.
            worker.instance = instance_in(&name).or_else(|| Some(name.rsplit_once('-')?.0.to_owned()));
        }
        Ok(Response::json(
            200,
            &json!({
                "id": agent_uuid(id),
                "name": name,
                "access_token": access_token(id),
                "endpoint": format!("{}/v3", state.url),
                "ping_interval": INTERVAL,
                "job_status_interval": INTERVAL,
                "heartbeat_interval": HEARTBEAT,
                "meta_data": tags,
            }),
        ))
    }

    /// What the agent is to do: the same job again as long as it has not accepted it.
    fn ping(&mut self, agent: u64, state: &CiState, now: Timestamp) -> Response {
        let Some(worker) = state.workers.get(agent) else { return refuse(401, "Invalid access token") };
        match worker.drain {
            DrainState::Serving => {}
            DrainState::Drained => return Response::json(200, &json!({"action": "pause"})),
            DrainState::Stopped => return Response::json(200, &json!({"action": "disconnect"})),
        }
        self.offers.retain(|_, (to, since)| now.since(*since) < OFFER && state.workers.get(*to).is_some());
        let free = |job: &&Job| self.offers.get(&job.id).is_none_or(|(to, _)| *to == agent);
        let fits = |job: &&Job| worker.filter.fits(&self.tags_of(job));
        let busy = state.load(agent) > 0;
        let Some(job) = state.jobs.waiting().filter(free).find(fits).filter(|_| !busy) else {
            return Response::json(200, &json!({"action": "idle"}));
        };
        self.offers.entry(job.id).or_insert((agent, now));
        Response::json(200, &json!({"job": self.payload(job, worker.name.as_str(), state)}))
    }

    fn accept(&mut self, id: u64, agent: u64, state: &mut CiState, now: Timestamp) -> Result<Response, Response> {
        let job = state.jobs.get(id).ok_or_else(no_job)?;
        let offered = self.offers.get(&id).is_some_and(|(to, _)| *to == agent);
        if job.status == Status::Pending && offered {
            self.offers.remove(&id);
            let worker = state.workers.get_mut(agent).ok_or_else(no_job)?;
            worker.used_at = Some(now);
            let instance = worker.instance.clone();
            state.jobs.hand_out(id, agent, instance.as_deref(), now);
        } else if job.runner != Some(agent) || job.status != Status::Running {
            return Err(refuse(422, "The job is no longer for this agent"));
        }
        let (job, worker) = state.jobs.get(id).zip(state.workers.get(agent)).ok_or_else(no_job)?;
        Ok(Response::json(200, &self.payload(job, &worker.name, state)))
    }

    fn payload(&self, job: &Job, agent: &str, state: &CiState) -> Value {
        let text = |value: &str| value.to_owned();
        let own: BTreeMap<&str, String> = [
            ("CI", text("true")),
            ("BUILDKITE", text("true")),
            ("BUILDKITE_COMMAND", job.script()),
            ("BUILDKITE_JOB_ID", job_uuid(job.id)),
            ("BUILDKITE_BUILD_ID", job_uuid(job.batch)),
            ("BUILDKITE_BUILD_NUMBER", job.batch.to_string()),
            ("BUILDKITE_BUILD_URL", format!("{}/{}/demo/builds/{}", state.url, self.options.organization, job.batch)),
            ("BUILDKITE_LABEL", job.name()),
            ("BUILDKITE_ORGANIZATION_SLUG", self.options.organization.clone()),
            ("BUILDKITE_PIPELINE_SLUG", text("demo")),
            ("BUILDKITE_PIPELINE_PROVIDER", text("git")),
            // The agent wants a repository and is told to leave it alone.
            ("BUILDKITE_REPO", text("none")),
            ("BUILDKITE_SKIP_CHECKOUT", text("true")),
            ("BUILDKITE_COMMIT", text("HEAD")),
            ("BUILDKITE_BRANCH", text("main")),
            ("BUILDKITE_AGENT_NAME", text(agent)),
            ("BUILDKITE_AGENT_META_DATA_QUEUE", text(self.queue_of(job))),
        ]
        .into();
        // The build's own ones replace none of Buildkite's.
        let given = job.variables.iter().map(|(name, value)| (name.as_str(), value.clone()));
        let env: BTreeMap<&str, String> = given.chain(own).collect();
        json!({
            "id": job_uuid(job.id),
            "endpoint": format!("{}/v3", state.url),
            "state": state_of(job),
            "env": env,
            "step": {},
            "chunks_max_size_bytes": 102_400,
            "chunks_interval_seconds": 1,
            "log_max_size_bytes": 1_048_576,
            "token": "",
        })
    }
}

fn finish(
    id: u64,
    agent: u64,
    params: &Map<String, Value>,
    state: &mut CiState,
    now: Timestamp,
) -> Result<Response, Response> {
    let job = held(id, agent, state)?;
    let text = |key: &str| params.get(key).and_then(Value::as_str).unwrap_or_default();
    let status = text("exit_status");
    job.exit_code = status.parse().ok();
    let cause = match text("signal_reason") {
        "agent_stop" | "agent_refused" | "process_run_error" | "stack_error" => Cause::Runner,
        _ => Cause::Job,
    };
    let reason = match text("signal_reason") {
        "" => format!("exit status {status}"),
        reason => format!("exit status {status}: {}", reason.replace('_', " ")),
    };
    let outcome = if status == "0" { JobOutcome::Success } else { JobOutcome::Failed { reason, cause } };
    state.jobs.finish(id, outcome, now);
    if let Some(worker) = state.workers.get_mut(agent) {
        worker.free_since = now;
    }
    Ok(Response::json(200, &json!({})))
}

fn held(id: u64, agent: u64, state: &mut CiState) -> Result<&mut Job, Response> {
    state.jobs.get_mut(id).filter(|job| job.runner == Some(agent)).ok_or_else(no_job)
}

fn no_job() -> Response {
    refuse(404, "No job found")
}

/// The job's state in Buildkite's words. One that was canceled while it ran is still being canceled for its agent.
fn state_of(job: &Job) -> &'static str {
    match job.status {
        Status::Pending => "scheduled",
        Status::Running => "running",
        Status::Canceled => "canceled",
        Status::Success | Status::Failed => "finished",
    }
}

/// The agent whose access token it is.
pub(super) fn agent_of(request: &Request, state: &CiState) -> Option<u64> {
    let token = request.header("authorization")?.strip_prefix("Token ")?;
    let id = token.strip_prefix(ACCESS)?.parse().ok()?;
    state.workers.get(id).map(|worker| worker.id)
}

const ACCESS: &str = "bkaa_lightsout-local-";

fn access_token(agent: u64) -> String {
    format!("{ACCESS}{agent}")
}

/// The number in a job's id; none that exists when it is not one of ours.
fn job_number(id: &str) -> u64 {
    let digits = id.strip_prefix("01900000-0000-4000-8000-");
    digits.and_then(|digits| u64::from_str_radix(digits, 16).ok()).unwrap_or(0)
}
