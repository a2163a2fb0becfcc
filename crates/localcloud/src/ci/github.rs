//! The part of GitHub that runners and scalers use: workflow runs and jobs, self-hosted runners, App tokens, and scale sets.
//!
//! It answers at the paths of `api.github.com` and, below `/api/v3`, at those of GitHub Enterprise Server.
//! Source: GitHub REST API documentation (2022-11-28) and GitHub's public scale set client.

mod auth;
mod page;
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

use self::{
    auth::{Issued, Limiter},
    route::{RestRoute, Route, Scope},
    scale_set::ScaleSet,
};
use super::{
    Connect, Floor, Habits, Hook, Platform, Refused, Takes, Webhook, Words, Worker, etag::conditional,
    hmac::hmac_sha256, one_slot,
};
use crate::{
    aws::model::Stamp,
    ci::jobs::{Job, News},
    http::{Answer, Request, reason_phrase},
    server::Refusal,
};

/// What GitHub holds when it starts: one organization with one repository, and one App that is installed there.
#[derive(Clone, Debug)]
pub struct GitHubOptions {
    /// The organization.
    pub organization: String,
    /// The repository, without the organization.
    pub repository: String,
    /// A personal access token with all rights that this needs.
    pub token: String,
    /// The App's id, which signs its requests as `iss`.
    pub app_id: u64,
    /// Its installation.
    pub installation_id: u64,
    /// The labels of each job, before those that it is queued with.
    pub job_labels: Vec<String>,
    /// The id of the runner group.
    pub runner_group: u64,
    /// The names of the runner scale sets that are there from the start; jobs without labels of their own fit each.
    pub scale_sets: Vec<String>,
    /// Requests that one token may make in an hour.
    pub requests_per_hour: u32,
}

impl Default for GitHubOptions {
    fn default() -> Self {
        Self {
            organization: "lightsout".into(),
            repository: "demo".into(),
            token: "ghp_lightsoutlocal".into(),
            app_id: 4711,
            installation_id: 815,
            job_labels: vec!["self-hosted".into()],
            runner_group: 1,
            scale_sets: vec!["lightsout".into()],
            requests_per_hour: 15_000,
        }
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
    pub fn new(options: GitHubOptions) -> Self {
        Self {
            limiter: Limiter::default(),
            issued: BTreeMap::new(),
            jit: BTreeMap::new(),
            scale_sets: ScaleSet::preset(&options),
            made: 0,
            options,
        }
    }

    fn answer(&mut self, request: &Request, floor: &mut Floor, now: Stamp) -> Result<Answer, Answer> {
        let route = Route::of(request).ok_or_else(not_found)?;
        if request.header("user-agent").is_none() {
            let text =
                "Request forbidden by administrative rules. Please make sure your request has a User-Agent header.";
            return Err(Answer::new(403, "text/plain", text));
        }
        match route {
            Route::AccessToken(installation) => self.access_token(installation, request, now),
            Route::RunnerRegistration => self.runner_registration(request, floor, now),
            Route::ScaleSet(route) => self.scale_set(&route, request, floor, now),
            Route::Rest(scope, route) => {
                let token = self.user(request, now)?;
                self.known(&scope)?;
                let answer = self.rest(route, request, floor, now).unwrap_or_else(|refusal| refusal);
                let answer = conditional(request, answer);
                Ok(self.limiter.charge(&token, answer, self.options.requests_per_hour, now))
            }
        }
    }

    fn rest(&mut self, route: RestRoute, request: &Request, floor: &mut Floor, now: Stamp) -> Result<Answer, Answer> {
        match route {
            RestRoute::Repositories => Ok(self.repositories(request, floor)),
            RestRoute::Runs => Ok(self.runs(request, floor)),
            RestRoute::RunJobs(run) => self.run_jobs(run, request, floor),
            RestRoute::Job(id) => self.job(id, floor),
            RestRoute::Runners => Ok(runners::list(request, floor, now)),
            RestRoute::Runner(id) => runners::runner(id, floor, now),
            RestRoute::DeleteRunner(id) => runners::delete(id, floor),
            RestRoute::JitConfig => self.jit_config(request, floor, now),
            RestRoute::RegistrationToken => Ok(self.short_token(auth::Right::Register, now)),
            RestRoute::RemoveToken => Ok(self.short_token(auth::Right::Remove, now)),
        }
    }

    /// GitHub hides what a token may not see.
    fn known(&self, scope: &Scope) -> Result<(), Answer> {
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
    fn route(&self, request: &Request) -> &'static str {
        Route::of(request).map_or("other", |route| route.name())
    }

    fn handle(&mut self, request: &Request, floor: &mut Floor, now: Stamp) -> Answer {
        self.answer(request, floor, now).unwrap_or_else(|refusal| refusal)
    }

    fn refuse(&self, why: Refusal, now: Stamp) -> Answer {
        match why {
            Refusal::Status(status) => refuse(status, reason_phrase(status)),
            Refusal::Throttled | Refusal::Expired => auth::secondary_limit(now),
        }
    }

    fn machine_of(&self, request: &Request, floor: &Floor) -> Option<String> {
        let Route::Rest(_, route) = Route::of(request)? else { return None };
        match route {
            RestRoute::Runner(id) | RestRoute::DeleteRunner(id) => floor.workers.get(id)?.instance.clone(),
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

    fn connect(&mut self, ask: &Connect, floor: &mut Floor, now: Stamp) -> Result<u64, Refused> {
        one_slot(ask, "a runner")?;
        if let Some(id) = self.jit.get(&ask.token) {
            let worker = floor.workers.get(*id);
            let worker = worker.ok_or_else(|| Refused(403, "the JIT configuration's runner was removed".into()))?;
            if worker.connected && now.since(worker.heard_at) < ONLINE_FOR {
                return Err(Refused(409, "a session for this runner already exists".into()));
            }
            return Ok(worker.id);
        }
        if !self.allows(&ask.token, auth::Right::Register, now) {
            return Err(Refused(401, "the token is neither a JIT configuration nor a registration token".into()));
        }
        let own = ask.metadata.get("labels").map_or("", String::as_str).split(',').map(str::trim);
        let labels: BTreeSet<String> =
            ["self-hosted", "linux", "x64"].into_iter().chain(own).map(str::to_owned).collect();
        let takes = Takes::Tagged(labels.into_iter().filter(|label| !label.is_empty()).collect());
        let known = floor.workers.named(&ask.name).map(|worker| worker.id);
        if let Some(worker) = known.and_then(|id| floor.workers.get_mut(id)) {
            // As with `config.sh --replace`.
            (worker.takes, worker.used_at, worker.single) = (takes, None, false);
            return Ok(worker.id);
        }
        Ok(floor.workers.add(Worker { takes, ..Worker::new(ask.name.clone(), now) }))
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

    fn words(&self) -> Words {
        Words {
            failed: "failure",
            system_failure: "failure: the runner could not run the job",
            gone: "failure: the self-hosted runner lost communication with the server",
        }
    }

    fn habits(&self) -> Habits {
        // The lock on a job expires after about ten minutes.
        Habits { keeps: true, forgets_used: true, lost_after: Duration::from_secs(600) }
    }

    fn hook(&self, news: &News, floor: &Floor, to: &Webhook, _: Stamp) -> Option<Hook> {
        self.workflow_job(news, floor, to)
    }
}

fn refuse(status: u16, message: &str) -> Answer {
    Answer::json(status, &json!({"message": message, "documentation_url": "https://docs.github.com/rest"}))
}

fn not_found() -> Answer {
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
