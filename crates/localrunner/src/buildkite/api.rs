//! The agent's side of Buildkite's Agent API: register, ping for a job, accept it, say how it goes and how it ended.
//!
//! A ping that offers a job gives nothing away: until the agent has accepted it, the job is offered again. An agent that is
//! told to stop may drop a ping, and carries an acceptance through, which it repeats until it is answered.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail, ensure};
use bytes::Bytes;
use hyper::{Method, StatusCode};
use lightsout_localcloud::FaultEffect;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Config;
use crate::{
    faults::{Faults, LOST},
    http::{Http, Reply},
    job::{Job, Outcome},
    worker::{Claim, Finish, JobSource, PAUSE},
};

/// How often an acceptance is tried that is not answered.
const ACCEPTANCES: u32 = 60;

/// How often a registration is tried that is not answered.
const REGISTRATIONS: u32 = 30;

/// The connection of one agent.
#[derive(Debug)]
pub(super) struct Buildkite {
    http: Http,
    api: String,
    token: String,
    name: String,
    tags: Vec<String>,
    /// What it goes by once it is registered.
    access: Mutex<Option<String>>,
    /// Whether it accepts a job.
    accepting: AtomicBool,
    /// Pieces of output that were sent.
    chunks: AtomicUsize,
}

/// A job as Buildkite hands it out.
#[derive(Debug)]
pub(super) struct Ticket {
    pub job: Job,
    id: String,
}

#[derive(Deserialize)]
struct TicketJson {
    id: String,
    env: BTreeMap<String, String>,
}

/// Says that a job is accepted for as long as it lives.
struct Accepting<'a>(&'a AtomicBool);

impl<'a> Accepting<'a> {
    fn begin(flag: &'a AtomicBool) -> Self {
        flag.store(true, Ordering::SeqCst);
        Self(flag)
    }
}

impl Drop for Accepting<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

impl AsRef<Job> for Ticket {
    fn as_ref(&self) -> &Job {
        &self.job
    }
}

impl From<TicketJson> for Ticket {
    fn from(TicketJson { id, env }: TicketJson) -> Self {
        // For people: the last group of the id holds a number in the embedded Buildkite.
        let number = id.rsplit('-').next().and_then(|last| u64::from_str_radix(last, 16).ok()).unwrap_or_default();
        Self { job: Job { id: number, env, ..Job::default() }, id }
    }
}

impl Buildkite {
    pub(super) fn new(config: &Config, name: &str) -> Self {
        Self {
            http: Http::new(Duration::from_secs(10)),
            api: format!("{}/v3", config.endpoint),
            token: config.token.clone(),
            name: name.to_owned(),
            tags: config.tags.iter().map(|(key, value)| format!("{key}={value}")).collect(),
            access: Mutex::default(),
            accepting: AtomicBool::new(false),
            chunks: AtomicUsize::new(0),
        }
    }

    /// Registers for the first time.
    pub(super) async fn begin(&self) -> Result<()> {
        let mut tries = 0;
        loop {
            match self.register().await {
                Ok(registered) => return registered.map_err(|refused| anyhow!("cannot register: {refused}")),
                Err(error) if tries >= REGISTRATIONS => return Err(error.context("cannot register")),
                Err(error) => eprintln!("cannot register, and tries again: {error:#}"),
            }
            tries += 1;
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn try_claim(&self, faults: &Faults) -> Result<Claim<Ticket>> {
        if self.access().is_none()
            && let Err(refused) = self.register().await?
        {
            return Ok(Claim::Over(refused));
        }
        let reply = self.call(Method::GET, "ping", &Value::Null).await?;
        if reply.status == StatusCode::UNAUTHORIZED {
            self.set_access(None);
            return Ok(Claim::Nothing);
        }
        let mut answer = answered(&reply)?;
        if answer["action"] == "disconnect" {
            return Ok(Claim::Over("this agent was told to stop".into()));
        }
        let Some(offered) = answer["job"]["id"].as_str().map(str::to_owned) else { return Ok(Claim::Nothing) };
        ensure!(!faults.hit(FaultEffect::LoseClaim).await, LOST);
        let _accepting = Accepting::begin(&self.accepting);
        answer = match self.accept(&offered, faults).await? {
            Some(accepted) => accepted,
            None => return Ok(Claim::Nothing),
        };
        let ticket: TicketJson = serde_json::from_value(answer).context("Buildkite's job cannot be understood")?;
        Ok(Claim::Job(Box::new(ticket.into())))
    }

    /// Accepts a job; `None` when it is no longer this agent's to accept.
    async fn accept(&self, job: &str, faults: &Faults) -> Result<Option<Value>> {
        let mut last = anyhow!(LOST);
        for _ in 0..ACCEPTANCES {
            match self.call(Method::PUT, &format!("jobs/{job}/accept"), &json!({})).await {
                Ok(reply) if reply.status.is_success() => {
                    if !faults.hit(FaultEffect::LoseClaim).await {
                        return reply.value().map(Some);
                    }
                    last = anyhow!(LOST);
                }
                Ok(Reply { status: StatusCode::UNAUTHORIZED | StatusCode::NOT_FOUND, .. }) => return Ok(None),
                Ok(reply) if reply.status == StatusCode::UNPROCESSABLE_ENTITY => return Ok(None),
                Ok(reply) => last = anyhow!("HTTP {}: {}", reply.status, reply.text()),
                Err(error) => last = error,
            }
            tokio::time::sleep(PAUSE).await;
        }
        Err(last.context(format!("job {job} cannot be accepted")))
    }

    /// Registers and connects: why it may not.
    async fn register(&self) -> Result<Result<(), String>> {
        let url = format!("{}/register", self.api);
        let body = json!({
            "name": self.name,
            "hostname": self.name,
            "os": std::env::consts::OS,
            "arch": std::env::consts::ARCH,
            "version": env!("CARGO_PKG_VERSION"),
            "meta_data": self.tags,
        });
        let (key, body) = (format!("Token {}", self.token), Bytes::from(body.to_string()));
        let headers = [("authorization", key.as_str()), ("content-type", "application/json")];
        let reply = self.http.send(Method::POST, &url, &headers, body).await?;
        match reply.status {
            StatusCode::OK => {
                let access = reply.value()?["access_token"].as_str().context("no access token")?.to_owned();
                self.set_access(Some(access));
                answered(&self.call(Method::POST, "connect", &json!({})).await?)?;
                println!("connected as {}", self.name);
                Ok(Ok(()))
            }
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::UNPROCESSABLE_ENTITY => {
                Ok(Err(format!("HTTP {}: {}", reply.status, reply.text())))
            }
            _ => bail!("HTTP {}: {}", reply.status, reply.text()),
        }
    }

    /// The job's part of the API.
    async fn about(&self, ticket: &Ticket, method: Method, what: &str, body: &Value) -> Result<Reply> {
        self.call(method, &format!("jobs/{}{what}", ticket.id), body).await
    }

    async fn call(&self, method: Method, path: &str, body: &Value) -> Result<Reply> {
        let access = format!("Token {}", self.access().context("not registered")?);
        let headers = [("authorization", access.as_str()), ("content-type", "application/json")];
        let body = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
        self.http.send(method, &format!("{}/{path}", self.api), &headers, body).await
    }

    fn access(&self) -> Option<String> {
        self.access.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_access(&self, access: Option<String>) {
        *self.access.lock().unwrap_or_else(PoisonError::into_inner) = access;
    }
}

impl JobSource for Buildkite {
    type Job = Ticket;

    async fn claim(&self, faults: &Faults) -> Claim<Ticket> {
        self.try_claim(faults).await.unwrap_or_else(Claim::Failed)
    }

    fn carries_through(&self) -> bool {
        self.accepting.load(Ordering::SeqCst)
    }

    async fn append(&self, ticket: &Ticket, sent: usize, output: &Bytes) -> Result<bool> {
        if !output.is_empty() {
            let sequence = self.chunks.fetch_add(1, Ordering::SeqCst) + 1;
            let place = format!("/chunks?sequence={sequence}&offset={sent}&size={}", output.len());
            let text = Value::String(String::from_utf8_lossy(output).into_owned());
            answered(&self.about(ticket, Method::POST, &place, &text).await?)?;
        }
        let reply = self.about(ticket, Method::GET, "", &Value::Null).await?;
        Ok(!matches!(answered(&reply)?["state"].as_str(), Some("canceling" | "canceled" | "finished")))
    }

    async fn finish(&self, ticket: &Ticket, outcome: &Outcome) -> Finish {
        let (status, reason) = match outcome {
            Outcome::Success => (0, ""),
            Outcome::Failed(code) => (*code, ""),
            Outcome::TimedOut | Outcome::Canceled => (-1, "cancel"),
            Outcome::NoImage(_) | Outcome::SystemFailure(_) => (-1, "process_run_error"),
            Outcome::Aborted => (-1, "agent_stop"),
        };
        let body = json!({ "exit_status": status.to_string(), "signal_reason": reason });
        match self.about(ticket, Method::PUT, "/finish", &body).await {
            Ok(reply) if reply.status.is_success() => Finish::Taken,
            Ok(reply) if reply.status.is_client_error() && reply.status != StatusCode::TOO_MANY_REQUESTS => {
                Finish::Refused(anyhow!("HTTP {}: {}", reply.status, reply.text()))
            }
            Ok(reply) => Finish::Failed(anyhow!("HTTP {}", reply.status)),
            Err(error) => Finish::Failed(error),
        }
    }

    async fn disconnect(&self) {
        if self.access().is_some()
            && let Err(error) = self.call(Method::POST, "disconnect", &json!({})).await
        {
            eprintln!("Buildkite was not told that the agent leaves: {error:#}");
        }
        self.set_access(None);
    }
}

/// The body of a reply that is no refusal.
fn answered(reply: &Reply) -> Result<Value> {
    ensure!(reply.status.is_success(), "HTTP {}: {}", reply.status, reply.text());
    reply.value()
}
