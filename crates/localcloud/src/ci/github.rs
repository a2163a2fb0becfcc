//! The part of GitHub that runners and scalers use: workflow runs and jobs, self-hosted runners, App tokens, and scale sets.
//!
//! It answers at the paths of `api.github.com` and, below `/api/v3`, at those of GitHub Enterprise Server.
//! Source: GitHub REST API documentation (2022-11-28) and GitHub's public scale set client.

mod auth;
pub mod demo;
mod options;
mod route;
mod runners;
mod runs;
mod scale_set;
mod webhook;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde_json::{Value, json};

pub use self::options::GitHubOptions;
use self::{
    auth::{Issued, Limiter},
    route::{RestRoute, Route, Scope},
    scale_set::ScaleSet,
};
use super::{
    contract::{
        CiState, FailureTexts, Platform, PlatformKind, RetentionRules, RunnerApiError, VendorOptions, one_slot,
    },
    etag::conditional,
    jobs::{Job, JobEvent},
    protocol::Connect,
    webhook::{Webhook, WebhookDelivery},
    workers::{JobFilter, Worker},
};
use crate::{
    digest::hmac_sha256,
    http::{Request, Response, reason_phrase},
    refusal::Refusal,
    time::Timestamp,
};

pub const KIND: PlatformKind = PlatformKind::new("github", "GitHub Actions", || GitHubOptions::default().into());

impl VendorOptions for GitHubOptions {
    fn open(&self) -> Box<dyn Platform> {
        Box::new(GitHub::new(self.clone()))
    }
}

/// The whole GitHub, but for its jobs and runners.
pub(super) struct GitHub {
    options: GitHubOptions,
    limiter: Limiter,
    /// Tokens that were given out, and what they are good for.
    issued: BTreeMap<String, Issued>,
    /// JIT configurations that were given out, with their runner's number.
    jit: BTreeMap<String, u64>,
    scale_sets: BTreeMap<u64, ScaleSet>,
    /// Ids and tokens that were made up.
    made: u64,
}

/// A runner counts as offline when it was not heard of for this long.
const ONLINE_FOR: Duration = Duration::from_secs(60);

impl GitHub {
    pub(super) fn new(options: GitHubOptions) -> Self {
        Self {
            limiter: Limiter::default(),
            issued: BTreeMap::new(),
            jit: BTreeMap::new(),
            scale_sets: ScaleSet::preset(&options),
            made: 0,
            options,
        }
    }

    fn respond(&mut self, request: &Request, state: &mut CiState, now: Timestamp) -> Result<Response, Response> {
        let route = Route::of(request).ok_or_else(not_found)?;
        if request.header("user-agent").is_none() {
            let text =
                "Request forbidden by administrative rules. Please make sure your request has a User-Agent header.";
            return Err(Response::new(403, "text/plain", text));
        }
        match route {
            Route::AccessToken(installation) => self.access_token(installation, request, now),
            Route::RunnerRegistration => self.runner_registration(request, state, now),
            Route::ScaleSet(route) => self.scale_set(&route, request, state, now),
            Route::Rest(scope, route) => {
                let token = self.user(request, now)?;
                self.known(&scope)?;
                let response = self.rest(route, request, state, now).unwrap_or_else(|refusal| refusal);
                let response = conditional(request, response);
                Ok(self.limiter.charge(&token, response, self.options.requests_per_hour, now))
            }
        }
    }

    fn rest(
        &mut self,
        route: RestRoute,
        request: &Request,
        state: &mut CiState,
        now: Timestamp,
    ) -> Result<Response, Response> {
        match route {
            RestRoute::Repositories => Ok(self.repositories(request, state)),
            RestRoute::Runs => Ok(self.runs(request, state)),
            RestRoute::RunJobs(run) => self.run_jobs(run, request, state),
            RestRoute::Job(id) => self.job(id, state),
            RestRoute::Runners => Ok(runners::list(request, state, now)),
            RestRoute::Runner(id) => runners::runner(id, state, now),
            RestRoute::DeleteRunner(id) => runners::delete(id, state),
            RestRoute::JitConfig => self.jit_config(request, state, now),
            RestRoute::RegistrationToken => Ok(self.short_token(auth::Right::Register, now)),
            RestRoute::RemoveToken => Ok(self.short_token(auth::Right::Remove, now)),
        }
    }

    /// GitHub hides what a token may not see.
    fn known(&self, scope: &Scope) -> Result<(), Response> {
        let same = |a: &str, b: &str| a.eq_ignore_ascii_case(b);
        let known = match scope {
            Scope::Organization(name) => same(name, &self.options.organization),
            Scope::Repository(owner, name) => {
                same(owner, &self.options.organization) && same(name, &self.options.repository)
            }
            Scope::None => true,
        };
        if known { Ok(()) } else { Err(not_found()) }
    }

    fn full_name(&self) -> String {
        format!("{}/{}", self.options.organization, self.options.repository)
    }

    /// A token that nobody has guessed by accident.
    fn make(&mut self, prefix: &str) -> String {
        self.made += 1;
        format!("{prefix}{}", &hmac_sha256(self.options.token.as_bytes(), self.made.to_string().as_bytes())[..32])
    }

    fn labels_of(&self, job: &Job) -> Vec<String> {
        let own = job.tags.iter().filter(|tag| !self.options.job_labels.contains(tag));
        self.options.job_labels.iter().chain(own).cloned().collect()
    }
}

impl Platform for GitHub {
    fn kind(&self) -> PlatformKind {
        KIND
    }

    fn route(&self, request: &Request) -> &'static str {
        Route::of(request).map_or("other", |route| route.name())
    }

    fn handle(&mut self, request: &Request, state: &mut CiState, now: Timestamp) -> Response {
        self.respond(request, state, now).unwrap_or_else(|refusal| refusal)
    }

    fn refuse(&self, why: Refusal, now: Timestamp) -> Response {
        match why {
            Refusal::Status(status) => refuse(status, reason_phrase(status)),
            Refusal::Throttled | Refusal::Expired => auth::secondary_limit(now),
        }
    }

    fn machine_of(&self, request: &Request, state: &CiState) -> Option<String> {
        let Route::Rest(_, route) = Route::of(request)? else { return None };
        match route {
            RestRoute::Runner(id) | RestRoute::DeleteRunner(id) => state.workers.get(id)?.instance.clone(),
            RestRoute::JitConfig => {
                let params = request.params();
                super::workers::instance_in(params.get("name")?.as_str()?)
            }
            RestRoute::Repositories
            | RestRoute::Runs
            | RestRoute::RunJobs(_)
            | RestRoute::Job(_)
            | RestRoute::Runners
            | RestRoute::RegistrationToken
            | RestRoute::RemoveToken => None,
        }
    }

    fn connect(&mut self, connect: &Connect, state: &mut CiState, now: Timestamp) -> Result<u64, RunnerApiError> {
        one_slot(connect, "a runner")?;
        if let Some(id) = self.jit.get(&connect.token) {
            let worker = state.workers.get(*id);
            let worker =
                worker.ok_or_else(|| RunnerApiError(403, "the JIT configuration's runner was removed".into()))?;
            if worker.connected && now.since(worker.heard_at) < ONLINE_FOR {
                return Err(RunnerApiError(409, "a session for this runner already exists".into()));
            }
            return Ok(worker.id);
        }
        if !self.allows(&connect.token, auth::Right::Register, now) {
            return Err(RunnerApiError(
                401,
                "the token is neither a JIT configuration nor a registration token".into(),
            ));
        }
        let own = connect.metadata.get("labels").map_or("", String::as_str).split(',').map(str::trim);
        let labels: BTreeSet<String> =
            ["self-hosted", "linux", "x64"].into_iter().chain(own).map(str::to_owned).collect();
        let filter = JobFilter::Tagged(labels.into_iter().filter(|label| !label.is_empty()).collect());
        let known = state.workers.named(&connect.name).map(|worker| worker.id);
        if let Some(worker) = known.and_then(|id| state.workers.get_mut(id)) {
            // As with `config.sh --replace`.
            (worker.filter, worker.used_at, worker.single) = (filter, None, false);
            return Ok(worker.id);
        }
        Ok(state.workers.add(Worker { filter, ..Worker::new(connect.name.clone(), now) }))
    }

    fn tags_of(&self, job: &Job) -> Vec<String> {
        self.labels_of(job)
    }

    fn environment(&self, job: &Job, worker: &Worker) -> BTreeMap<String, String> {
        let variables = [
            ("CI", "true".to_owned()),
            ("GITHUB_ACTIONS", "true".to_owned()),
            ("GITHUB_JOB", job.name()),
            ("GITHUB_REPOSITORY", self.full_name()),
            ("GITHUB_RUN_ID", runs::run_id(job).to_string()),
            ("GITHUB_RUN_ATTEMPT", "1".to_owned()),
            ("RUNNER_NAME", worker.name.clone()),
        ];
        variables.map(|(key, value)| (key.to_owned(), value)).into()
    }

    fn failure_texts(&self) -> FailureTexts {
        FailureTexts {
            failed: "failure",
            system_failure: "failure: the runner could not run the job",
            gone: "failure: the self-hosted runner lost communication with the server",
        }
    }

    fn retention(&self) -> RetentionRules {
        // The lock on a job expires after about ten minutes.
        RetentionRules { keeps: true, forgets_used: true, lost_after: Duration::from_secs(600) }
    }

    fn webhook_delivery(
        &self,
        job_event: &JobEvent,
        state: &CiState,
        to: &Webhook,
        _: Timestamp,
    ) -> Option<WebhookDelivery> {
        self.workflow_job(job_event, state, to)
    }
}

fn refuse(status: u16, message: &str) -> Response {
    Response::json(status, &json!({"message": message, "documentation_url": "https://docs.github.com/rest"}))
}

fn not_found() -> Response {
    refuse(404, "Not Found")
}

/// The value of a parameter that is a number, as JSON or as text.
fn number(value: Option<&Value>) -> Option<u64> {
    value.and_then(|value| value.as_u64().or_else(|| value.as_str()?.parse().ok()))
}

#[cfg(test)]
pub(super) mod testing;
#[cfg(test)]
mod tests;
