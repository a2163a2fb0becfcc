//! Who may ask: access tokens with their scopes, runner tokens, job tokens, and how often.

use serde_json::{Map, Value, json};

use super::{GitLab, Runner, refuse};
use crate::ci::jobs::{Job, Status};
use crate::{
    ci::jobs::Jobs,
    http::{Request, Response},
    time::Timestamp,
};

/// A personal access token.
pub(super) struct Pat {
    pub token: String,
    pub scopes: Vec<String>,
}

impl GitLab {
    /// Lets a user's request pass when its token is known, has one of these scopes, and did not ask too often.
    pub(super) fn authorize(&mut self, request: &Request, scopes: &[&str], now: Timestamp) -> Result<(), Response> {
        let bearer = request.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
        let token = request.header("private-token").or(bearer).or_else(|| request.query("private_token"));
        let pat = self.pats.iter().find(|pat| Some(pat.token.as_str()) == token);
        let Some(pat) = pat else { return Err(refuse(401, "401 Unauthorized")) };
        self.limiter.pass(&pat.token, now)?;
        if pat.scopes.iter().any(|scope| scope == "api" || scopes.contains(&scope.as_str())) {
            return Ok(());
        }
        let body = json!({
            "error": "insufficient_scope",
            "error_description": "The request requires higher privileges than provided by the access token.",
            "scope": format!("api {}", scopes.join(" ")),
        });
        Err(Response::json(403, &body))
    }

    /// The runner record whose token this is.
    pub(super) fn runner_of(&self, request: &Request, params: &Map<String, Value>) -> Result<u64, Response> {
        let token = params.get("token").and_then(Value::as_str).or_else(|| request.header("runner-token"));
        let Some(token) = token else { return Err(super::invalid("token is missing")) };
        let runner = self.runners.values().find(|runner: &&Runner| runner.token == token);
        runner.map(|runner| runner.id).ok_or_else(|| refuse(403, "403 Forbidden"))
    }

    /// The job, when the request carries its token and the job still runs.
    pub(super) fn running_job<'a>(
        &self,
        id: u64,
        request: &Request,
        params: &Map<String, Value>,
        jobs: &'a mut Jobs,
    ) -> Result<&'a mut Job, Response> {
        let token = request.header("job-token").or_else(|| params.get("token").and_then(Value::as_str));
        let job = jobs.get_mut(id).filter(|_| token == Some(self.job_token(id).as_str()));
        let Some(job) = job else { return Err(refuse(403, "403 Forbidden")) };
        if job.status == Status::Running {
            return Ok(job);
        }
        let status = job.status.as_str();
        Err(refuse(403, "403 Forbidden  - Job is not running").header("job-status", status))
    }
}

/// Counts requests by token in windows of one minute.
pub(super) struct Limiter {
    per_minute: Option<u32>,
    window: i64,
    seen: std::collections::BTreeMap<String, u32>,
}

impl Limiter {
    pub(super) fn new(per_minute: Option<u32>) -> Self {
        Self { per_minute, window: 0, seen: std::collections::BTreeMap::new() }
    }

    fn pass(&mut self, token: &str, now: Timestamp) -> Result<(), Response> {
        let Some(limit) = self.per_minute else { return Ok(()) };
        let window = now.0.div_euclid(60_000);
        if window != self.window {
            self.window = window;
            self.seen.clear();
        }
        let seen = self.seen.entry(token.to_owned()).or_default();
        *seen += 1;
        if *seen <= limit { Ok(()) } else { Err(throttled(limit, *seen, now)) }
    }
}

/// GitLab's answer to too many requests.
pub(crate) fn throttled(limit: u32, observed: u32, now: Timestamp) -> Response {
    let reset = (now.0.div_euclid(60_000) + 1) * 60;
    let wait = (reset - now.0.div_euclid(1000)).max(1);
    let reset_time = jiff::Timestamp::from_second(reset).unwrap_or_default();
    Response::new(429, "text/plain", "Retry later\n")
        .header("ratelimit-limit", limit.to_string())
        .header("ratelimit-name", "throttle_authenticated_api")
        .header("ratelimit-observed", observed.to_string())
        .header("ratelimit-remaining", "0")
        .header("ratelimit-reset", reset.to_string())
        .header("ratelimit-resettime", reset_time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string())
        .header("retry-after", wait.to_string())
}
