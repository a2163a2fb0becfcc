//! The part of StackGuardian that runners and scalers use: a runner group with its container instances.
//!
//! Source: StackGuardian's public autoscaler and registration script.

pub mod demo;
mod options;
mod route;

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

pub use self::options::StackGuardianOptions;
use self::route::Route;
use super::{
    contract::{CiState, FailureTexts, Platform, PlatformKind, RetentionRules, RunnerApiError, VendorOptions},
    jobs::{Cause, Job},
    protocol::Connect,
    workers::{DrainState, Worker},
};
use crate::{
    http::{Request, Response, reason_phrase},
    refusal::Refusal,
    time::Timestamp,
};

pub const KIND: PlatformKind =
    PlatformKind::new("stackguardian", "StackGuardian", || StackGuardianOptions::default().into());

impl VendorOptions for StackGuardianOptions {
    fn open(&self) -> Box<dyn Platform> {
        Box::new(StackGuardian::new(self.clone()))
    }
}

pub(super) struct StackGuardian {
    options: StackGuardianOptions,
}

/// The key in a runner's metadata that says that a machine was behind it once.
const SEEN: &str = "seen";

impl StackGuardian {
    pub(super) fn new(options: StackGuardianOptions) -> Self {
        Self { options }
    }

    fn respond(&self, request: &Request, state: &mut CiState, now: Timestamp) -> Result<Response, Response> {
        let (organization, group, route) = Route::of(request).ok_or_else(|| refuse(404, "Not found."))?;
        self.authorize(request, route)?;
        if organization != self.options.organization || group != self.options.runner_group {
            return Err(refuse(404, "Not found."));
        }
        match route {
            Route::Group => Ok(self.group(request, state)),
            Route::ChangeGroup => Ok(Response::json(200, &json!({"msg": "Runner group updated"}))),
            Route::Register => self.register(state, now),
            Route::Status => set_status(request, state),
            Route::Deregister => {
                let id = runner_of(request, state)?;
                // Whoever takes a machine away with its tasks loses them.
                state.fail_held(id, GONE, Cause::Runner, now);
                state.workers.remove(id);
                Ok(Response::json(200, &json!({"msg": "Runner deregistered"})))
            }
        }
    }

    fn authorize(&self, request: &Request, route: Route) -> Result<(), Response> {
        let header = request.header("authorization");
        let header = header.ok_or_else(|| refuse(401, "Authentication credentials were not provided."))?;
        let key = header.strip_prefix("apikey ").unwrap_or_default();
        let by_token = match route {
            Route::Register | Route::Deregister | Route::ChangeGroup => true,
            Route::Group | Route::Status => self.options.token_reads,
        };
        if key == self.options.api_key || (key == self.options.token && by_token) {
            Ok(())
        } else if key == self.options.token {
            Err(refuse(403, "You do not have permission to perform this action."))
        } else {
            Err(refuse(401, "Invalid token."))
        }
    }

    fn group(&self, request: &Request, state: &CiState) -> Response {
        let mut group = json!({
            "ResourceName": self.options.runner_group,
            "MaxNumberOfRunners": self.options.most_runners,
            "DocVersion": "V4",
        });
        if request.query("getActiveWorkflows") == Some("true") {
            group["QueuedWorkflowsCount"] = json!(state.jobs.waiting().count());
            group["ContainerInstances"] = state.workers.iter().map(|worker| show(state, worker)).collect();
        }
        Response::json(200, &json!({"msg": group}))
    }

    fn register(&self, state: &mut CiState, now: Timestamp) -> Result<Response, Response> {
        if state.workers.iter().count() >= self.options.most_runners {
            return Err(refuse(400, "Maximum number of runners reached for this runner group"));
        }
        let id = state.workers.add(Worker::new("", now));
        let name = format!("r-{}", &hex::encode(Sha256::digest(format!("{}/{id}", self.options.runner_group)))[..12]);
        if let Some(worker) = state.workers.get_mut(id) {
            worker.name.clone_from(&name);
        }
        let data = json!({
            "OrgName": self.options.organization,
            "OrgId": "org-lightsout",
            "RunnerId": name,
            "RunnerGroupId": self.options.runner_group,
            "RunnerGroup": {
                "DocVersion": "V4",
                "RunnerGroupSignature": "0000",
                "StorageBackendConfig": {"type": "aws_s3", "s3BucketName": "lightsout", "awsRegion": "eu-central-1"},
            },
            "RegistrationMetadata": [{
                "ECSCluster": "lightsout",
                "AWSDefaultRegion": "eu-central-1",
                "SSMActivationId": "00000000-0000-4000-8000-000000000000",
                "SSMActivationCode": "lightsout-local",
            }],
        });
        Ok(Response::json(200, &json!({"msg": "Runner registered", "data": data})))
    }
}

const GONE: &str = "RUNNER_DISCONNECTED";

impl Platform for StackGuardian {
    fn kind(&self) -> PlatformKind {
        KIND
    }

    fn route(&self, request: &Request) -> &'static str {
        Route::of(request).map_or("other", |(_, _, route)| route.name())
    }

    fn handle(&mut self, request: &Request, state: &mut CiState, now: Timestamp) -> Response {
        self.respond(request, state, now).unwrap_or_else(|refusal| refusal)
    }

    fn refuse(&self, why: Refusal, _: Timestamp) -> Response {
        match why {
            Refusal::Status(status) => refuse(status, reason_phrase(status)),
            Refusal::Throttled | Refusal::Expired => {
                refuse(429, "Request was throttled. Expected available in 10 seconds.").header("retry-after", "10")
            }
        }
    }

    fn machine_of(&self, request: &Request, state: &CiState) -> Option<String> {
        let params = request.params();
        let name = params.get("RunnerId").or_else(|| params.get("runner_id"))?.as_str()?.to_owned();
        state.workers.named(&name)?.instance.clone()
    }

    fn connect(&mut self, connect: &Connect, state: &mut CiState, _: Timestamp) -> Result<u64, RunnerApiError> {
        if connect.token != self.options.token {
            return Err(RunnerApiError(401, "the token is not that of the runner group".into()));
        }
        let name = connect.metadata.get("runner_id").unwrap_or(&connect.name);
        let id = state.workers.named(name).map(|worker| worker.id);
        let worker = id.and_then(|id| state.workers.get_mut(id));
        let worker = worker.ok_or_else(|| {
            RunnerApiError(403, format!("there is no runner {name}: register first, and give its RunnerId as the name"))
        })?;
        worker.metadata.insert(SEEN.to_owned(), "true".to_owned());
        Ok(worker.id)
    }

    fn tags_of(&self, _: &Job) -> Vec<String> {
        Vec::new()
    }

    fn environment(&self, job: &Job, worker: &Worker) -> BTreeMap<String, String> {
        let variables = [
            ("SG_WORKFLOW_RUN_ID", job.id.to_string()),
            ("SG_ORG", self.options.organization.clone()),
            ("SG_RUNNER_ID", worker.name.clone()),
        ];
        variables.map(|(key, value)| (key.to_owned(), value)).into()
    }

    fn failure_texts(&self) -> FailureTexts {
        FailureTexts { failed: "ERRORED", system_failure: "RUNNER_ERROR", gone: GONE }
    }

    fn retention(&self) -> RetentionRules {
        // How long StackGuardian really waits is not documented.
        RetentionRules { keeps: true, forgets_used: false, lost_after: Duration::from_secs(180) }
    }
}

fn set_status(request: &Request, state: &mut CiState) -> Result<Response, Response> {
    let id = runner_of(request, state)?;
    let params = request.params();
    let drain = match params.get("Status").and_then(Value::as_str) {
        Some("DRAINING") => DrainState::Drained,
        Some("ACTIVE") => DrainState::Serving,
        _ => return Err(refuse(400, "Status must be ACTIVE or DRAINING")),
    };
    let worker = state.workers.get_mut(id).ok_or_else(|| refuse(404, "Runner not found"))?;
    // An instance of ECS can be drained only once it was active.
    if !worker.metadata.contains_key(SEEN) {
        return Err(refuse(400, "The runner is not ACTIVE"));
    }
    worker.drain = drain;
    let status = status(worker);
    Ok(Response::json(200, &json!({"msg": format!("Runner status set to {status}")})))
}

/// The runner that a JSON or form body names.
fn runner_of(request: &Request, state: &CiState) -> Result<u64, Response> {
    let params = request.params();
    let name = params.get("RunnerId").and_then(Value::as_str).unwrap_or_default();
    if name.is_empty() {
        return Err(refuse(400, "RunnerId is required"));
    }
    state.workers.named(name).map(|worker| worker.id).ok_or_else(|| refuse(404, "Runner not found"))
}

fn status(worker: &Worker) -> &'static str {
    match worker.drain {
        DrainState::Serving if worker.metadata.contains_key(SEEN) => "ACTIVE",
        DrainState::Serving => "REGISTERING",
        DrainState::Drained | DrainState::Stopped => "DRAINING",
    }
}

/// A task that was placed counts as pending until its runner says something about it.
fn show(state: &CiState, worker: &Worker) -> Value {
    let (mut pending, mut running) = (0, 0);
    for job in state.jobs.held_by(worker.id) {
        *(if job.started_at == Some(job.updated_at) { &mut pending } else { &mut running }) += 1;
    }
    let arn = format!("arn:aws:ecs:eu-central-1:111122223333:container-instance/lightsout/{}", worker.name);
    let computer = worker.instance.as_ref().unwrap_or(&worker.name);
    json!({
        "runnerId": worker.name,
        "status": status(worker),
        "agentConnected": worker.connected,
        "runningTasksCount": running,
        "pendingTasksCount": pending,
        "containerInstanceArn": arn,
        "registeredAt": worker.created_at.to_string(),
        "instanceDetails": [{"IPAddress": "127.0.0.1", "ComputerName": computer}],
    })
}

fn refuse(status: u16, detail: &str) -> Response {
    Response::json(status, &json!({"detail": detail}))
}

#[cfg(test)]
mod tests;
