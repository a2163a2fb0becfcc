//! The part of GitLab that runners and scalers use, as a pure model: requests and time go in, answers come out.
//!
//! Routes, status codes and bodies are those of GitLab 17 and later (`doc/api` and `lib/api/ci` of GitLab itself).

mod auth;
pub mod demo;
mod jobs;
mod options;
mod page;
mod payload;
mod pipelines;
mod project_api;
mod route;
mod runner_api;
mod runners;
mod webhook;

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

pub use self::options::{GitLabOptions, Repository};
use self::{
    auth::{Limiter, Pat},
    route::{Route, RunnerRoute},
    runners::Runner,
};
use super::{
    contract::{CiState, FailureTexts, Platform, PlatformKind, RetentionRules, RunnerApiError, VendorOptions},
    etag::conditional,
    jobs::{Cause, Job, JobEvent, JobOutcome},
    protocol::Connect,
    webhook::{Webhook, WebhookDelivery},
    workers::Worker,
};
use crate::{
    http::{Request, Response, reason_phrase},
    refusal::Refusal,
    time::Timestamp,
};

/// The `system_id` that the runner on an instance goes by: `r_` and the first 12 hexadecimal digits of the SHA-256 of the
/// instance id. The agent writes it to `.runner_system_id`, so that a job can be traced to its machine.
pub fn system_id(instance_id: &str) -> String {
    format!("r_{}", hex::encode(&Sha256::digest(instance_id)[..6]))
}

pub const KIND: PlatformKind = PlatformKind::new("gitlab", "GitLab", || GitLabOptions::default().into());

impl VendorOptions for GitLabOptions {
    fn open(&self) -> Box<dyn Platform> {
        Box::new(GitLab::new(self.clone()))
    }
}

/// The whole GitLab, but for its jobs.
pub(crate) struct GitLab {
    options: GitLabOptions,
    groups: BTreeMap<u64, String>,
    projects: BTreeMap<u64, Project>,
    runners: BTreeMap<u64, Runner>,
    pats: Vec<Pat>,
    limiter: Limiter,
    /// How many were made up.
    tokens: u64,
}

pub(crate) struct Project {
    pub id: u64,
    pub path: String,
    pub group: u64,
}

const GROUP_ID: u64 = 10;
const PROJECT_ID: u64 = 20;
const RUNNER_ID: u64 = 1;

impl GitLab {
    pub(crate) fn new(options: GitLabOptions) -> Self {
        let project = Project { id: PROJECT_ID, path: options.project.clone(), group: GROUP_ID };
        let runner = Runner {
            description: "lightsout".into(),
            tags: options.runner_tags.clone(),
            run_untagged: options.run_untagged,
            ..Runner::new(RUNNER_ID, options.runner_token.clone())
        };
        let pat = Pat { token: options.token.clone(), scopes: options.scopes.clone() };
        Self {
            groups: BTreeMap::from([(GROUP_ID, options.group.clone())]),
            projects: BTreeMap::from([(PROJECT_ID, project)]),
            runners: BTreeMap::from([(RUNNER_ID, runner)]),
            pats: vec![pat],
            limiter: Limiter::new(options.requests_per_minute),
            tokens: 0,
            options,
        }
    }

    /// A job's own token, with which its runner reports on it.
    fn job_token(&self, job: u64) -> String {
        self.derived("glcbt-", &format!("job {job}"))
    }

    /// A token that nobody has guessed by accident; this is an emulator on loopback, not a vault.
    fn secret(&mut self, prefix: &str, salt: u64) -> String {
        self.tokens += 1;
        self.derived(prefix, &format!("{salt}/{}", self.tokens))
    }

    fn derived(&self, prefix: &str, salt: &str) -> String {
        let digest = Sha256::digest(format!("{}/{salt}", self.options.runner_token));
        format!("{prefix}{}", hex::encode(&digest[..10]))
    }
}

impl Platform for GitLab {
    fn kind(&self) -> PlatformKind {
        KIND
    }

    fn route(&self, request: &Request) -> &'static str {
        Route::of(request).map_or("other", |route| route.name())
    }

    fn handle(&mut self, request: &Request, state: &mut CiState, now: Timestamp) -> Response {
        let Some(route) = Route::of(request) else {
            return Response::json(404, &json!({"error": "404 Not Found"}));
        };
        let response = match &route {
            Route::User(route) => self.user_side(route, request, state, now),
            Route::Runner(route) => self.runner_side(route, request, state, now),
        };
        conditional(request, response.unwrap_or_else(|refusal| refusal))
    }

    fn refuse(&self, why: Refusal, now: Timestamp) -> Response {
        match why {
            Refusal::Status(status) => refuse(status, &format!("{status} {}", reason_phrase(status))),
            Refusal::Throttled | Refusal::Expired => auth::throttled(2000, 2001, now),
        }
    }

    fn machine_id(&self, instance: &str) -> String {
        system_id(instance)
    }

    fn machine_of(&self, request: &Request, state: &CiState) -> Option<String> {
        let named = || request.params().get("system_id").and_then(Value::as_str).map(str::to_owned);
        match Route::of(request)? {
            Route::Runner(RunnerRoute::UpdateJob(id) | RunnerRoute::PatchTrace(id) | RunnerRoute::Artifacts(id)) => {
                state.jobs.get(id)?.machine.clone()
            }
            Route::Runner(_) => named(),
            Route::User(_) => None,
        }
    }

    fn connect(&mut self, _: &Connect, _: &mut CiState, _: Timestamp) -> Result<u64, RunnerApiError> {
        Err(RunnerApiError(
            409,
            "GitLab's runners take their jobs through GitLab's own API: POST /api/v4/jobs/request".into(),
        ))
    }

    fn tags_of(&self, job: &Job) -> Vec<String> {
        job.tags.clone()
    }

    fn environment(&self, _: &Job, _: &Worker) -> BTreeMap<String, String> {
        BTreeMap::new()
    }

    fn failure_texts(&self) -> FailureTexts {
        FailureTexts {
            failed: "script_failure",
            system_failure: "runner_system_failure",
            gone: "stuck_or_timeout_failure",
        }
    }

    fn retention(&self) -> RetentionRules {
        RetentionRules { keeps: true, forgets_used: false, lost_after: self.options.stuck_after }
    }

    fn webhook_delivery(
        &self,
        event: &JobEvent,
        state: &CiState,
        to: &Webhook,
        _: Timestamp,
    ) -> Option<WebhookDelivery> {
        self.job_hook(event, state, to)
    }

    /// Fails the jobs that nobody updated for too long.
    fn advance(&mut self, state: &mut CiState, now: Timestamp) {
        let limit = self.options.stuck_after;
        let stuck: Vec<u64> =
            state.jobs.running().filter(|job| now.since(job.updated_at) >= limit).map(|job| job.id).collect();
        for id in stuck {
            let reason = "stuck_or_timeout_failure".to_owned();
            state.jobs.finish(id, JobOutcome::Failed { reason, cause: Cause::Machine }, now);
        }
    }

    fn next_timer(&self, state: &CiState) -> Option<Timestamp> {
        state.jobs.running().map(|job| job.updated_at + self.options.stuck_after).min()
    }
}

/// A flag, as JSON or as the text that a form carries.
fn flag(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(flag) => Some(*flag),
        Value::String(text) => match text.as_str() {
            "true" | "1" | "t" | "on" | "yes" => Some(true),
            "false" | "0" | "f" | "off" | "no" => Some(false),
            _ => None,
        },
        Value::Null | Value::Number(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// A list, as JSON or separated by commas.
fn list(value: &Value) -> Vec<String> {
    match value {
        Value::Array(values) => values.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        Value::String(text) => {
            text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => Vec::new(),
    }
}

fn refuse(status: u16, message: &str) -> Response {
    Response::json(status, &json!({"message": message}))
}

fn invalid(what: &str) -> Response {
    Response::json(400, &json!({"error": what}))
}

/// A time as GitLab writes it: RFC 3339 with milliseconds.
fn time(at: Timestamp) -> String {
    at.to_string()
}

#[cfg(test)]
mod tests;
