//! A platform on the bench: requests in, answers out, no sockets.

use serde_json::{Value, json};

use super::{
    Ci,
    contract::{PlatformKind, PlatformOptions},
    webhook::Webhook,
};
use crate::{
    ci::jobs::Job,
    fleet::{JobState, NewJobs},
    http::{self, Request, Response},
    time::Timestamp,
};

pub(crate) const NOW: Timestamp = Timestamp(1_790_000_000_000);
pub(crate) const URL: &str = "http://127.0.0.1:8080";

/// An instance, and its runner's usual name.
pub(crate) const INSTANCE: &str = "i-0123456789abcdef0";

pub(crate) fn later(seconds: i64) -> Timestamp {
    Timestamp(NOW.0 + seconds * 1000)
}

pub(crate) struct Bench {
    pub ci: Ci,
    pub now: Timestamp,
}

impl Bench {
    pub(super) fn new(kind: PlatformKind) -> Self {
        Self::with(kind.options())
    }

    pub(super) fn with(options: impl Into<PlatformOptions>) -> Self {
        Self { ci: Ci::new(options.into().open(), URL, None, None), now: NOW }
    }

    /// A platform that posts its job events.
    pub(super) fn posting(kind: PlatformKind, to: Webhook) -> Self {
        let mut bench = Self::new(kind);
        bench.ci.post_events(Some(to));
        bench
    }

    pub(super) fn call(&mut self, method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> Response {
        self.ci.handle(&request(method, target, headers, body), self.now)
    }

    pub(super) fn json(&mut self, method: &str, target: &str, headers: &[(&str, &str)], body: &Value) -> Response {
        let headers: Vec<_> = headers.iter().copied().chain([("content-type", "application/json")]).collect();
        self.call(method, target, &headers, &body.to_string())
    }

    pub(super) fn enqueue(&mut self, count: u32, tags: &[&str]) -> Vec<u64> {
        let tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
        self.ci.enqueue(&NewJobs { count, tags, ..NewJobs::default() }, self.now)
    }

    /// Connects a runner that goes by the instance's id, with what is special about it.
    pub(super) fn try_connect(&mut self, token: &str, special: &Value) -> Response {
        let mut body = json!({"platform": self.ci.platform.kind(), "token": token, "name": INSTANCE});
        for (key, value) in special.as_object().into_iter().flatten() {
            body[key] = value.clone();
        }
        self.json("POST", "/_lightsout/runner/connect", &[], &body)
    }

    pub(super) fn connect(&mut self, token: &str, special: &Value) -> String {
        let response = self.try_connect(token, special);
        assert_eq!(response.status, 200, "{}", response.text());
        body(&response)["runner"].as_str().expect("an id").to_owned()
    }

    pub(super) fn claim(&mut self, runner: &str) -> Response {
        self.call("POST", &format!("/_lightsout/runner/{runner}/claim"), &[], "")
    }

    /// Claims a job that must be there.
    pub(super) fn take(&mut self, runner: &str) -> u64 {
        let response = self.claim(runner);
        assert_eq!(response.status, 200, "{}", response.text());
        body(&response)["job"]["id"].as_u64().expect("an id")
    }

    pub(super) fn report(&mut self, runner: &str, job: u64, state: &str) -> Response {
        self.json("POST", &format!("/_lightsout/runner/{runner}/jobs/{job}"), &[], &json!({"state": state}))
    }

    pub(super) fn disconnect(&mut self, runner: &str) -> Response {
        self.call("POST", &format!("/_lightsout/runner/{runner}/disconnect"), &[], "")
    }

    pub(super) fn states(&self) -> Vec<JobState> {
        self.ci.jobs().map(Job::state).collect()
    }
}

pub(crate) fn request(method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> Request {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    Request {
        method: method.to_owned(),
        path: path.to_owned(),
        query: http::pairs(query.as_bytes()),
        headers: headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        body: body.to_owned().into(),
    }
}

pub(crate) fn body(response: &Response) -> Value {
    serde_json::from_slice(&response.body).unwrap_or_else(|_| panic!("not JSON: {}", response.text()))
}
