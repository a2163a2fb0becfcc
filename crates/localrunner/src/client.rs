//! The platform's side that most vendors' runners talk to: the embedded platform's private API, below
//! `/_lightsout/runner/`. The vendors' own protocols are not open; their rules hold behind it.

use std::{
    collections::BTreeSet,
    env,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use hyper::{Method, StatusCode};
use lightsout_localcloud::{
    FaultEffect,
    fleet::JobState,
    runner_protocol::{self, Claimed, Connect, Connected, Mode, PATH, Report, ReportState, Reported},
};
use serde_json::json;

use crate::{
    faults::{Faults, LOST},
    http::{Http, Reply},
    job::{Job, Outcome},
    machine,
    worker::{self, Claim, Finish, JobSource, JobStarter, PAUSE, Stop, WorkerOptions},
};

/// The connection of one runner.
#[derive(Debug)]
pub(crate) struct PlatformClient {
    http: Http,
    url: String,
    connect: Connect,
    /// Whether it connects anew when the platform has forgotten it.
    reconnects: bool,
    runner: Mutex<Option<String>>,
    /// The jobs that it has heard of and not reported the end of.
    jobs: Mutex<BTreeSet<u64>>,
}

/// Where the embedded platform answers: where everything embedded does.
pub(crate) fn embedded_url() -> Result<String> {
    env::var("AWS_ENDPOINT_URL")
        .context("AWS_ENDPOINT_URL is not set: the built-in runner works within `lightsout up` only")
}

impl PlatformClient {
    /// A connection to the platform at `url`, made with the first claim. With `reconnects` the runner connects anew
    /// when the platform has forgotten it.
    pub(crate) fn new(url: &str, connect: Connect, reconnects: bool) -> Self {
        let url = url.trim_end_matches('/').to_owned();
        let connect = Connect { instance_id: machine::instance_id(), ..connect };
        let (runner, jobs) = (Mutex::default(), Mutex::default());
        Self { http: Http::new(Duration::from_secs(10)), url, connect, reconnects, runner, jobs }
    }

    /// Takes jobs and runs them until a signal, or the platform, ends it.
    pub(crate) async fn work(self, starter: impl JobStarter<Job>, on_signal: fn(i32, Stop) -> Stop) -> Result<()> {
        let options = WorkerOptions {
            slots: usize::try_from(self.connect.slots).unwrap_or(usize::MAX),
            single: self.connect.mode == Mode::Single,
            interval: PAUSE,
            on_signal,
        };
        let faults = Faults::at(&self.url);
        worker::work(self, starter, faults, options).await
    }

    async fn try_claim(&self, faults: &Faults) -> Result<Claim<Job>> {
        let runner = match self.runner() {
            Some(runner) => runner,
            None => match self.connect().await? {
                Ok(runner) => runner,
                Err(refused) => return Ok(Claim::Over(refused)),
            },
        };
        let has = Some(self.jobs().iter().copied().collect());
        let asked = serde_json::to_value(runner_protocol::Claim { has })?;
        let reply = self.post(&format!("{runner}/claim"), &asked).await?;
        Ok(match reply.status {
            StatusCode::OK => {
                ensure!(!faults.hit(FaultEffect::LoseClaim).await, LOST);
                let Claimed { job } = serde_json::from_slice(&reply.body).context("the job cannot be understood")?;
                self.jobs().insert(job.id);
                Claim::Job(Box::new(job.into()))
            }
            StatusCode::NO_CONTENT => Claim::Nothing,
            StatusCode::NOT_FOUND if self.reconnects => {
                self.set_runner(None);
                Claim::Nothing
            }
            StatusCode::CONFLICT | StatusCode::NOT_FOUND => Claim::Over(reason(&reply)),
            _ => bail!("HTTP {}: {}", reply.status, reason(&reply)),
        })
    }

    /// Connects: the runner's number, or why it may not.
    async fn connect(&self) -> Result<Result<String, String>> {
        let reply = self.post("connect", &serde_json::to_value(&self.connect)?).await?;
        match reply.status {
            StatusCode::OK => {
                let Connected { runner } = serde_json::from_slice(&reply.body).context("the answer is no number")?;
                println!("connected as {} ({})", self.connect.name, runner);
                self.set_runner(Some(runner.clone()));
                Ok(Ok(runner))
            }
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::BAD_REQUEST => Ok(Err(reason(&reply))),
            _ => bail!("HTTP {}: {}", reply.status, reason(&reply)),
        }
    }

    /// Says how a job stands, with more of its output. False when the platform no longer wants it.
    async fn report(&self, job: u64, state: ReportState, output: &[u8], exit_code: Option<i64>) -> Result<bool> {
        let runner = self.runner().context("not connected")?;
        let report = Report { state, trace: String::from_utf8_lossy(output).into_owned(), exit_code };
        let reply = self.post(&format!("{runner}/jobs/{job}"), &serde_json::to_value(report)?).await?;
        match reply.status {
            StatusCode::OK => {
                let Reported { state } = serde_json::from_slice(&reply.body).context("the answer is no state")?;
                Ok(state == JobState::Running)
            }
            StatusCode::NOT_FOUND => Ok(false),
            _ => bail!("HTTP {}: {}", reply.status, reason(&reply)),
        }
    }

    async fn post(&self, path: &str, body: &serde_json::Value) -> Result<Reply> {
        self.http.json(Method::POST, &format!("{}{PATH}/{path}", self.url), body).await
    }

    fn jobs(&self) -> MutexGuard<'_, BTreeSet<u64>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn runner(&self) -> Option<String> {
        self.runner.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_runner(&self, runner: Option<String>) {
        *self.runner.lock().unwrap_or_else(PoisonError::into_inner) = runner;
    }
}

impl JobSource for PlatformClient {
    type Job = Job;

    async fn claim(&self, faults: &Faults) -> Claim<Job> {
        self.try_claim(faults).await.unwrap_or_else(Claim::Failed)
    }

    async fn append(&self, job: &Job, _: usize, output: &Bytes) -> Result<bool> {
        self.report(job.id, ReportState::Running, output, None).await
    }

    async fn finish(&self, job: &Job, outcome: &Outcome) -> Finish {
        let state = match outcome {
            Outcome::Success => ReportState::Success,
            Outcome::Failed(_) | Outcome::TimedOut => ReportState::Failed,
            Outcome::NoImage(_) | Outcome::SystemFailure(_) => ReportState::SystemFailure,
            Outcome::Aborted | Outcome::Canceled => ReportState::Canceled,
        };
        match self.report(job.id, state, &[], outcome.exit_code()).await {
            Ok(_) => {
                self.jobs().remove(&job.id);
                Finish::Taken
            }
            Err(error) => Finish::Failed(error),
        }
    }

    async fn disconnect(&self) {
        if let Some(runner) = self.runner()
            && let Err(error) = self.post(&format!("{runner}/disconnect"), &json!({})).await
        {
            eprintln!("the platform was not told that the runner leaves: {error:#}");
        }
        self.set_runner(None);
    }
}

fn reason(reply: &Reply) -> String {
    let error = reply.value().ok().and_then(|body| Some(body.get("error")?.as_str()?.to_owned()));
    error.unwrap_or_else(|| reply.text())
}
