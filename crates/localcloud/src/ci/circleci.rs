//! The part of CircleCI's runner API that scalers use: waiting and running tasks, and the inventory of runners.
//!
//! Source: CircleCI documentation (runner API, machine runner 3).

pub mod demo;
mod options;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

pub use self::options::{CircleCiOptions, ResourceClass};
use super::{
    contract::{
        CiState, FailureTexts, Platform, PlatformKind, RetentionRules, RunnerApiError, VendorOptions, one_slot,
    },
    jobs::Job,
    protocol::Connect,
    workers::{JobFilter, Worker},
};
use crate::{
    http::{Request, Response, reason_phrase},
    refusal::Refusal,
    time::Timestamp,
};

/// Runners that were not seen for this long leave the inventory.
const LISTED_FOR: Duration = Duration::from_secs(12 * 3600);

pub const KIND: PlatformKind = PlatformKind::new("circleci", "CircleCI", || CircleCiOptions::default().into());

impl VendorOptions for CircleCiOptions {
    fn open(&self) -> Box<dyn Platform> {
        Box::new(CircleCi::new(self.clone()))
    }
}

pub(super) struct CircleCi {
    options: CircleCiOptions,
}

#[derive(Clone, Copy)]
enum Version {
    V2,
    V3,
}

#[derive(Clone, Copy)]
enum Route {
    Waiting(Version),
    Running(Version),
    Runners(Version),
}

impl Route {
    fn of(request: &Request) -> Option<Self> {
        let segments = request.segments();
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        if request.method != "GET" {
            return None;
        }
        Some(match segments.as_slice() {
            ["api", "v3", "runner", "tasks"] => Self::Waiting(Version::V3),
            ["api", "v3", "runner", "tasks", "running"] => Self::Running(Version::V3),
            ["api", "v3", "runner"] => Self::Runners(Version::V3),
            ["api", "v2", "tasks"] => Self::Waiting(Version::V2),
            ["api", "v2", "tasks", "running"] => Self::Running(Version::V2),
            ["api", "v2", "runner"] => Self::Runners(Version::V2),
            _ => return None,
        })
    }

    fn name(self) -> &'static str {
        match self {
            Self::Waiting(Version::V3) => "GET /api/v3/runner/tasks",
            Self::Running(Version::V3) => "GET /api/v3/runner/tasks/running",
            Self::Runners(Version::V3) => "GET /api/v3/runner",
            Self::Waiting(Version::V2) => "GET /api/v2/tasks",
            Self::Running(Version::V2) => "GET /api/v2/tasks/running",
            Self::Runners(Version::V2) => "GET /api/v2/runner",
        }
    }

    fn version(self) -> Version {
        match self {
            Self::Waiting(version) | Self::Running(version) | Self::Runners(version) => version,
        }
    }
}

impl CircleCi {
    pub(super) fn new(options: CircleCiOptions) -> Self {
        Self { options }
    }

    fn respond(&self, request: &Request, state: &CiState, now: Timestamp) -> Result<Response, Response> {
        let route = Route::of(request).ok_or_else(|| refuse(404, "Not found"))?;
        if matches!(route.version(), Version::V3) && !self.options.v3 {
            return Err(refuse(404, "Not found"));
        }
        if token_of(request).as_deref() != Some(&self.options.token) {
            return Err(refuse(401, "You must log in first."));
        }
        let class = request.query("resource-class").filter(|class| !class.is_empty());
        let body = match route {
            Route::Waiting(_) => {
                let class = self.known(class)?;
                let waiting = state.jobs.waiting().filter(|job| self.class_of(job) == class).count();
                json!({"unclaimed_task_count": waiting})
            }
            Route::Running(_) => {
                let class = self.known(class)?;
                let running = state.jobs.running().filter(|job| self.class_of(job) == class).count();
                json!({"running_runner_tasks": running})
            }
            Route::Runners(_) => {
                let namespace = request.query("namespace").filter(|namespace| !namespace.is_empty());
                if class.is_none() && namespace.is_none() {
                    return Err(refuse(400, "either resource-class or namespace is required"));
                }
                let listed = |worker: &&Worker| {
                    let own = class_name(worker);
                    now.since(worker.heard_at) < LISTED_FOR
                        && class.is_none_or(|class| class == own)
                        && namespace.is_none_or(|namespace| own.split('/').next() == Some(namespace))
                };
                json!({"items": state.workers.iter().filter(listed).map(show).collect::<Vec<_>>()})
            }
        };
        Ok(Response::json(200, &body))
    }

    fn known<'a>(&self, class: Option<&'a str>) -> Result<&'a str, Response> {
        let class = class.ok_or_else(|| refuse(400, "resource-class is required"))?;
        let known = self.options.resource_classes.iter().any(|known| known.name == class);
        if known { Ok(class) } else { Err(refuse(404, "resource class not found")) }
    }

    fn class_of<'a>(&'a self, job: &'a Job) -> &'a str {
        let named = job.tags.iter().find(|tag| tag.contains('/'));
        named.or(self.options.resource_classes.first().map(|class| &class.name)).map_or("", String::as_str)
    }
}

impl Platform for CircleCi {
    fn kind(&self) -> PlatformKind {
        KIND
    }

    fn route(&self, request: &Request) -> &'static str {
        Route::of(request).map_or("other", Route::name)
    }

    fn handle(&mut self, request: &Request, state: &mut CiState, now: Timestamp) -> Response {
        self.respond(request, state, now).unwrap_or_else(|refusal| refusal)
    }

    fn refuse(&self, why: Refusal, _: Timestamp) -> Response {
        match why {
            Refusal::Status(status) => refuse(status, reason_phrase(status)),
            Refusal::Throttled | Refusal::Expired => refuse(429, "Rate Limit Exceeded")
                .header("retry-after", "30")
                .header("x-ratelimit-limit", "100")
                .header("x-ratelimit-remaining", "0")
                .header("x-ratelimit-reset", "30"),
        }
    }

    fn connect(&mut self, connect: &Connect, state: &mut CiState, now: Timestamp) -> Result<u64, RunnerApiError> {
        one_slot(connect, "a machine runner")?;
        let class = self.options.resource_classes.iter().find(|class| class.token == connect.token);
        let class = class.ok_or_else(|| RunnerApiError(401, "the token belongs to no resource class".into()))?;
        let filter = JobFilter::Tagged(BTreeSet::from([class.name.clone()]));
        let known = state.workers.named(&connect.name).filter(|worker| worker.filter == filter).map(|worker| worker.id);
        if let Some(worker) = known.and_then(|id| state.workers.get_mut(id)) {
            worker.used_at = None;
            return Ok(worker.id);
        }
        let worker = Worker { metadata: connect.metadata.clone(), filter, ..Worker::new(connect.name.clone(), now) };
        Ok(state.workers.add(worker))
    }

    fn tags_of(&self, job: &Job) -> Vec<String> {
        vec![self.class_of(job).to_owned()]
    }

    fn environment(&self, job: &Job, worker: &Worker) -> BTreeMap<String, String> {
        let variables = [
            ("CI", "true".to_owned()),
            ("CIRCLECI", "true".to_owned()),
            ("CIRCLE_BUILD_NUM", job.id.to_string()),
            ("CIRCLE_JOB", job.name()),
            ("CIRCLE_WORKFLOW_ID", format!("01900000-0000-4000-8000-{:012x}", job.batch)),
            ("CIRCLECI_RUNNER_NAME", worker.name.clone()),
        ];
        variables.map(|(key, value)| (key.to_owned(), value)).into()
    }

    fn failure_texts(&self) -> FailureTexts {
        FailureTexts { failed: "failed", system_failure: "infrastructure_fail", gone: "infrastructure_fail" }
    }

    fn retention(&self) -> RetentionRules {
        // How long CircleCI really waits is not documented.
        RetentionRules { keeps: true, forgets_used: false, lost_after: Duration::from_secs(300) }
    }
}

/// The token of a user: a header of its own, or the user's name of HTTP Basic.
fn token_of(request: &Request) -> Option<String> {
    if let Some(token) = request.header("circle-token") {
        return Some(token.to_owned());
    }
    let basic = request.header("authorization")?.strip_prefix("Basic ")?;
    let pair = String::from_utf8(STANDARD.decode(basic).ok()?).ok()?;
    pair.split(':').next().map(str::to_owned)
}

fn class_name(worker: &Worker) -> String {
    worker.filter.tags().into_iter().next().unwrap_or_default()
}

fn show(worker: &Worker) -> Value {
    json!({
        "resource_class": class_name(worker),
        "hostname": worker.instance.as_ref().unwrap_or(&worker.name),
        "name": worker.name,
        "first_connected": worker.created_at.to_string(),
        "last_connected": worker.heard_at.to_string(),
        "last_used": worker.used_at.map(|at| at.to_string()),
        "version": "3.1.4",
    })
}

fn refuse(status: u16, message: &str) -> Response {
    Response::json(status, &json!({"message": message}))
}

#[cfg(test)]
mod tests;
