//! The part of StackGuardian that runners and scalers use: a runner group with its container instances.
//!
//! Source: StackGuardian's public autoscaler and registration script.

mod route;

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use self::route::Route;
use super::{Connect, Floor, Habits, Platform, Refused, Standing, Words, Worker};
use crate::{
    aws::model::Stamp,
    ci::jobs::Job,
    hex::hex,
    http::{Answer, Request, reason_phrase},
    server::Refusal,
};

/// What StackGuardian holds when it starts: one runner group.
#[derive(Clone, Debug)]
pub struct StackGuardianOptions {
    /// The organization's name.
    pub organization: String,
    /// The runner group's name.
    pub runner_group: String,
    /// An API key of a user (`sgu_...`) or of the organization (`sgo_...`).
    pub api_key: String,
    /// The runner group's token, with which machines register.
    pub token: String,
    /// Whether the runner group's token may read the group and drain, which the vendor does not document.
    pub token_reads: bool,
    /// How many runners may be registered (`max_number_of_runners`).
    pub most_runners: usize,
}

impl Default for StackGuardianOptions {
    fn default() -> Self {
        Self {
            organization: "lightsout".into(),
            runner_group: "demo".into(),
            api_key: "sgu_lightsoutlocal".into(),
            token: "lightsout-local-node-token".into(),
            token_reads: false,
            most_runners: 100,
        }
    }
}

pub(super) struct StackGuardian {
    options: StackGuardianOptions,
}

/// The key in a runner's metadata that says that a machine was behind it once.
const SEEN: &str = "seen";

impl StackGuardian {
    pub fn new(options: StackGuardianOptions) -> Self {
        Self { options }
    }

    fn answer(&self, request: &Request, floor: &mut Floor, now: Stamp) -> Result<Answer, Answer> {
        let (organization, group, route) = Route::of(request).ok_or_else(|| refuse(404, "Not found."))?;
        self.authorize(request, route)?;
        if organization != self.options.organization || group != self.options.runner_group {
            return Err(refuse(404, "Not found."));
        }
        match route {
            Route::Group => Ok(self.group(request, floor)),
            Route::ChangeGroup => Ok(Answer::json(200, &json!({"msg": "Runner group updated"}))),
            Route::Register => self.register(floor, now),
            Route::Status => set_status(request, floor),
            Route::Deregister => {
                let id = runner_of(request, floor)?;
                // Whoever takes a machine away with its tasks loses them.
                floor.fail_held(id, GONE, now);
                floor.workers.remove(id);
                Ok(Answer::json(200, &json!({"msg": "Runner deregistered"})))
            }
        }
    }

    fn authorize(&self, request: &Request, route: Route) -> Result<(), Answer> {
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

    fn group(&self, request: &Request, floor: &Floor) -> Answer {
        let mut group = json!({
            "ResourceName": self.options.runner_group,
            "MaxNumberOfRunners": self.options.most_runners,
            "DocVersion": "V4",
        });
        if request.query("getActiveWorkflows") == Some("true") {
            group["QueuedWorkflowsCount"] = json!(floor.jobs.waiting().count());
            group["ContainerInstances"] = floor.workers.iter().map(|worker| show(floor, worker)).collect();
        }
        Answer::json(200, &json!({"msg": group}))
    }

    fn register(&self, floor: &mut Floor, now: Stamp) -> Result<Answer, Answer> {
        if floor.workers.iter().count() >= self.options.most_runners {
            return Err(refuse(400, "Maximum number of runners reached for this runner group"));
        }
        let id = floor.workers.add(Worker::new("", now));
        let name = format!("r-{}", &hex(&Sha256::digest(format!("{}/{id}", self.options.runner_group)))[..12]);
        if let Some(worker) = floor.workers.get_mut(id) {
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
        Ok(Answer::json(200, &json!({"msg": "Runner registered", "data": data})))
    }
}

const GONE: &str = "RUNNER_DISCONNECTED";

impl Platform for StackGuardian {
    fn route(&self, request: &Request) -> &'static str {
        Route::of(request).map_or("other", |(_, _, route)| route.name())
    }

    fn handle(&mut self, request: &Request, floor: &mut Floor, now: Stamp) -> Answer {
        self.answer(request, floor, now).unwrap_or_else(|refusal| refusal)
    }

    fn refuse(&self, why: Refusal, _: Stamp) -> Answer {
        match why {
            Refusal::Status(status) => refuse(status, reason_phrase(status)),
            Refusal::Throttled | Refusal::Expired => {
                refuse(429, "Request was throttled. Expected available in 10 seconds.").header("retry-after", "10")
            }
        }
    }

    fn machine_of(&self, request: &Request, floor: &Floor) -> Option<String> {
        let params = request.params();
        let name = params.get("RunnerId").or_else(|| params.get("runner_id"))?.as_str()?.to_owned();
        floor.workers.named(&name)?.instance.clone()
    }

    fn connect(&mut self, ask: &Connect, floor: &mut Floor, _: Stamp) -> Result<u64, Refused> {
        if ask.token != self.options.token {
            return Err(Refused(401, "the token is not that of the runner group".into()));
        }
        let name = ask.metadata.get("runner_id").unwrap_or(&ask.name);
        let id = floor.workers.named(name).map(|worker| worker.id);
        let worker = id.and_then(|id| floor.workers.get_mut(id));
        let worker = worker.ok_or_else(|| {
            Refused(403, format!("there is no runner {name}: register first, and give its RunnerId as the name"))
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

    fn words(&self) -> Words {
        Words { failed: "ERRORED", system_failure: "RUNNER_ERROR", gone: GONE }
    }

    fn habits(&self) -> Habits {
        // How long StackGuardian really waits is not documented.
        Habits { keeps: true, forgets_used: false, lost_after: Duration::from_secs(180) }
    }
}

fn set_status(request: &Request, floor: &mut Floor) -> Result<Answer, Answer> {
    let id = runner_of(request, floor)?;
    let params = request.params();
    let standing = match params.get("Status").and_then(Value::as_str) {
        Some("DRAINING") => Standing::Drained,
        Some("ACTIVE") => Standing::Serving,
        _ => return Err(refuse(400, "Status must be ACTIVE or DRAINING")),
    };
    let worker = floor.workers.get_mut(id).ok_or_else(|| refuse(404, "Runner not found"))?;
    // An instance of ECS can be drained only once it was active.
    if !worker.metadata.contains_key(SEEN) {
        return Err(refuse(400, "The runner is not ACTIVE"));
    }
    worker.standing = standing;
    let status = status(worker);
    Ok(Answer::json(200, &json!({"msg": format!("Runner status set to {status}")})))
}

/// The runner that a JSON or form body names.
fn runner_of(request: &Request, floor: &Floor) -> Result<u64, Answer> {
    let params = request.params();
    let name = params.get("RunnerId").and_then(Value::as_str).unwrap_or_default();
    if name.is_empty() {
        return Err(refuse(400, "RunnerId is required"));
    }
    floor.workers.named(name).map(|worker| worker.id).ok_or_else(|| refuse(404, "Runner not found"))
}

fn status(worker: &Worker) -> &'static str {
    match worker.standing {
        Standing::Serving if worker.metadata.contains_key(SEEN) => "ACTIVE",
        Standing::Serving => "REGISTERING",
        Standing::Drained | Standing::Stopped => "DRAINING",
    }
}

/// A task that was placed counts as pending until its runner says something about it.
fn show(floor: &Floor, worker: &Worker) -> Value {
    let (mut pending, mut running) = (0, 0);
    for job in floor.jobs.held_by(worker.id) {
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

fn refuse(status: u16, detail: &str) -> Answer {
    Answer::json(status, &json!({"detail": detail}))
}

#[cfg(test)]
mod tests;
