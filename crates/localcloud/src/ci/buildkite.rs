//! The part of Buildkite that agents and scalers use: the agent API with its metrics, and agents and builds of the REST API.
//!
//! Source: Buildkite documentation (agent metrics, REST API "Agents", "Pipelines", "Builds" and "Jobs", webhooks, agent lifecycle).

mod agent_api;
mod builds;
pub mod demo;
mod options;
mod rest;
mod webhook;

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Value, json};

pub use self::options::BuildkiteOptions;
use super::{
    contract::{CiState, FailureTexts, Platform, PlatformKind, RetentionRules, RunnerApiError, VendorOptions},
    jobs::{Job, JobEvent},
    protocol::Connect,
    webhook::{Webhook, WebhookDelivery},
    workers::{JobFilter, Worker},
};
use crate::{
    http::{Request, Response, reason_phrase},
    refusal::Refusal,
    time::Timestamp,
};

pub const KIND: PlatformKind = PlatformKind::new("buildkite", "Buildkite", || BuildkiteOptions::default().into());

impl VendorOptions for BuildkiteOptions {
    fn open(&self) -> Box<dyn Platform> {
        Box::new(Buildkite::new(self.clone()))
    }
}

pub(super) struct Buildkite {
    options: BuildkiteOptions,
    offers: agent_api::Offers,
}

enum Route {
    Agent(agent_api::Route),
    Metrics,
    QueueMetrics,
    Rest(rest::Route),
}

impl Route {
    fn of(request: &Request) -> Option<Self> {
        let segments = request.segments();
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        match (request.method.as_str(), segments.as_slice()) {
            ("GET", ["v3", "metrics"]) => Some(Self::Metrics),
            ("GET", ["v3", "metrics", "queue"]) => Some(Self::QueueMetrics),
            (method, ["v3", rest @ ..]) => agent_api::Route::of(method, rest).map(Self::Agent),
            (method, ["v2", rest @ ..]) => rest::Route::of(method, rest).map(Self::Rest),
            _ => None,
        }
    }
}

impl Buildkite {
    pub(super) fn new(options: BuildkiteOptions) -> Self {
        Self { options, offers: agent_api::Offers::new() }
    }

    fn metrics(&self, request: &Request, state: &CiState) -> Response {
        if request.header("authorization").and_then(|value| value.strip_prefix("Token ")) != Some(&self.options.token) {
            return refuse(401, "Unauthorized");
        }
        let mut body = json!({"organization": {"slug": self.options.organization}});
        let only = request.query("name");
        match (request.path.trim_end_matches('/').ends_with("/queue"), only) {
            (true, None | Some("")) => return refuse(422, "name is missing"),
            (true, Some(name)) if !self.options.queues.iter().any(|queue| queue == name) => {
                return refuse(404, "No queue found with that key");
            }
            (true, Some(name)) => {
                body["agents"] = agents(state, Some(name));
                body["jobs"] = self.jobs(state, Some(name));
            }
            (false, _) => {
                body["agents"] = agents(state, None);
                body["jobs"] = self.jobs(state, None);
                for queue in &self.options.queues {
                    body["agents"]["queues"][queue] = agents(state, Some(queue));
                    body["jobs"]["queues"][queue] = self.jobs(state, Some(queue));
                }
            }
        }
        let response = Response::json(200, &body);
        match self.options.poll_duration {
            Some(wish) => response.header("buildkite-agent-metrics-poll-duration", wish.as_secs().to_string()),
            None => response,
        }
    }

    fn jobs(&self, state: &CiState, queue: Option<&str>) -> Value {
        let here = |job: &&Job| queue.is_none_or(|queue| self.queue_of(job) == queue);
        let (scheduled, running) =
            (state.jobs.waiting().filter(here).count(), state.jobs.running().filter(here).count());
        json!({"scheduled": scheduled, "running": running, "waiting": 0, "total": scheduled + running})
    }

    fn queue_of<'a>(&'a self, job: &'a Job) -> &'a str {
        let named = job.tags.iter().find_map(|tag| tag.strip_prefix("queue="));
        named.or(self.options.queues.first().map(String::as_str)).unwrap_or("default")
    }
}

/// The agents that are connected, and those of a queue only. One that was told to spawn several counts as several.
fn agents(state: &CiState, queue: Option<&str>) -> Value {
    let wanted = queue.map(|queue| format!("queue={queue}"));
    let here = |worker: &&Worker| match (&wanted, &worker.filter) {
        (Some(wanted), JobFilter::Tagged(held)) => held.contains(wanted),
        (None, _) | (Some(_), JobFilter::Everything) => true,
    };
    let (mut total, mut busy) = (0, 0);
    for worker in state.workers.iter().filter(here) {
        total += usize::try_from(worker.slots).unwrap_or(usize::MAX);
        busy += state.load(worker.id);
    }
    json!({"idle": total.saturating_sub(busy), "busy": busy, "total": total})
}

impl Platform for Buildkite {
    fn kind(&self) -> PlatformKind {
        KIND
    }

    fn route(&self, request: &Request) -> &'static str {
        Route::of(request).map_or("other", |route| match route {
            Route::Metrics => "GET /v3/metrics",
            Route::QueueMetrics => "GET /v3/metrics/queue",
            Route::Agent(route) => route.name(),
            Route::Rest(route) => route.name(),
        })
    }

    fn handle(&mut self, request: &Request, state: &mut CiState, now: Timestamp) -> Response {
        match Route::of(request) {
            Some(Route::Metrics | Route::QueueMetrics) => self.metrics(request, state),
            Some(Route::Agent(route)) => {
                self.answer_agent(route, request, state, now).unwrap_or_else(|refusal| refusal)
            }
            Some(Route::Rest(route)) => self.answer_rest(&route, request, state, now).unwrap_or_else(|refusal| refusal),
            None => refuse(404, "Not Found"),
        }
    }

    fn machine_of(&self, request: &Request, state: &CiState) -> Option<String> {
        state.workers.get(agent_api::agent_of(request, state)?)?.instance.clone()
    }

    fn refuse(&self, why: Refusal, _: Timestamp) -> Response {
        match why {
            Refusal::Status(status) => refuse(status, reason_phrase(status)),
            Refusal::Throttled | Refusal::Expired => refuse(429, "You have exceeded your API rate limit. Please wait.")
                .header("ratelimit-remaining", "0")
                .header("ratelimit-limit", "200")
                .header("ratelimit-reset", "30")
                .header("retry-after", "30"),
        }
    }

    fn connect(&mut self, connect: &Connect, state: &mut CiState, now: Timestamp) -> Result<u64, RunnerApiError> {
        if connect.token != self.options.token {
            return Err(RunnerApiError(401, "the agent token is not one of this cluster".into()));
        }
        let mut tags = connect.metadata.clone();
        let queue = tags.entry("queue".to_owned()).or_insert_with(|| "default".to_owned());
        if !self.options.queues.contains(queue) {
            return Err(RunnerApiError(403, format!("the cluster has no queue {queue}")));
        }
        let filter = tags.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let worker =
            Worker { metadata: tags, filter: JobFilter::Tagged(filter), ..Worker::new(connect.name.clone(), now) };
        Ok(state.workers.add(worker))
    }

    fn tags_of(&self, job: &Job) -> Vec<String> {
        let others = job.tags.iter().filter(|tag| !tag.starts_with("queue=")).cloned();
        std::iter::once(format!("queue={}", self.queue_of(job))).chain(others).collect()
    }

    fn environment(&self, job: &Job, worker: &Worker) -> BTreeMap<String, String> {
        let variables = [
            ("BUILDKITE", "true".to_owned()),
            ("BUILDKITE_JOB_ID", job_uuid(job.id)),
            ("BUILDKITE_BUILD_NUMBER", job.batch.to_string()),
            ("BUILDKITE_LABEL", job.name()),
            ("BUILDKITE_ORGANIZATION_SLUG", self.options.organization.clone()),
            ("BUILDKITE_AGENT_NAME", worker.name.clone()),
            ("BUILDKITE_AGENT_META_DATA_QUEUE", self.queue_of(job).to_owned()),
        ];
        variables.map(|(key, value)| (key.to_owned(), value)).into()
    }

    fn failure_texts(&self) -> FailureTexts {
        FailureTexts {
            failed: "exit status 1",
            system_failure: "exit status -1: agent refused",
            gone: "exit status -1: agent lost",
        }
    }

    fn retention(&self) -> RetentionRules {
        // No heartbeat for 3 min, and another minute until an agent is lost.
        RetentionRules { keeps: false, forgets_used: false, lost_after: Duration::from_secs(240) }
    }

    fn webhook_delivery(
        &self,
        event: &JobEvent,
        state: &CiState,
        to: &Webhook,
        now: Timestamp,
    ) -> Option<WebhookDelivery> {
        self.job_webhook(event, state, to, now)
    }
}

const JOB: &str = "01900000-0000-4000-8000-";
const AGENT: &str = "01910000-0000-4000-8000-";

fn job_uuid(id: u64) -> String {
    format!("{JOB}{id:012x}")
}

fn agent_uuid(id: u64) -> String {
    format!("{AGENT}{id:012x}")
}

/// The number in an id that begins so; none that exists when it is not one of ours.
fn number(id: &str, prefix: &str) -> u64 {
    id.strip_prefix(prefix).and_then(|digits| u64::from_str_radix(digits, 16).ok()).unwrap_or(0)
}

fn refuse(status: u16, message: &str) -> Response {
    Response::json(status, &json!({"message": message}))
}

#[cfg(test)]
mod tests;
