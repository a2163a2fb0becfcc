//! The runner's side of the GitLab API: ask for a job, send its log, report its end.

use std::{
    path::PathBuf,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail, ensure};
use bytes::Bytes;
use hyper::{Method, StatusCode};
use lightsout_localcloud::FaultEffect;
use serde_json::json;

use super::{Counts, config::Config, ticket::Ticket};
use crate::{
    faults::{Faults, LOST},
    http::Http,
    job::Outcome,
    worker::{Claim, Finish, JobSource},
};

/// A connection to GitLab as this runner manager.
#[derive(Clone, Debug)]
pub(super) struct GitLab {
    http: Http,
    api: String,
    token: String,
    system_id: String,
    executor: &'static str,
    /// The configuration's file.
    file: PathBuf,
    counts: Arc<Counts>,
}

/// Counts a request for as long as it is on its way, also when it is cancelled.
struct OnItsWay<'a>(&'a Counts);

impl Drop for OnItsWay<'_> {
    fn drop(&mut self) {
        self.0.asking.fetch_sub(1, Ordering::SeqCst);
    }
}

impl GitLab {
    pub(super) fn new(config: &Config, file: PathBuf, counts: Arc<Counts>) -> Self {
        Self {
            http: Http::new(Duration::from_secs(10)),
            api: format!("{}/api/v4", config.url),
            token: config.token.clone(),
            system_id: config.system_id.clone(),
            executor: if config.docker.is_some() { "docker" } else { "shell" },
            file,
            counts,
        }
    }

    async fn try_claim(&self, faults: &Faults) -> Result<Claim<Ticket>> {
        let body = json!({
            "token": self.token,
            "system_id": self.system_id,
            "info": {
                "name": "lightsout",
                "version": env!("CARGO_PKG_VERSION"),
                "platform": std::env::consts::OS,
                "architecture": std::env::consts::ARCH,
                "executor": self.executor,
                "shell": "sh",
                "features": {
                    "variables": true,
                    "image": true,
                    "cancelable": true,
                    "return_exit_code": true,
                    "trace_reset": false,
                },
            },
        });
        let reply = self.http.json(Method::POST, &format!("{}/jobs/request", self.api), &body).await?;
        match reply.status {
            StatusCode::CREATED => {
                ensure!(!faults.hit(FaultEffect::LoseClaim).await, LOST);
                let ticket = serde_json::from_slice(&reply.body).context("GitLab's job cannot be understood")?;
                Ok(Claim::Job(Box::new(ticket)))
            }
            StatusCode::NO_CONTENT | StatusCode::CONFLICT => Ok(Claim::Nothing),
            StatusCode::FORBIDDEN => bail!("GitLab refuses the runner's token (HTTP 403)"),
            status => bail!("GitLab answers HTTP {status}: {}", reply.text()),
        }
    }
}

impl JobSource for GitLab {
    type Job = Ticket;

    async fn claim(&self, faults: &Faults) -> Claim<Ticket> {
        self.counts.asking.fetch_add(1, Ordering::SeqCst);
        let _on_its_way = OnItsWay(&self.counts);
        self.try_claim(faults).await.unwrap_or_else(Claim::Failed)
    }

    const RELOADS: bool = true;

    fn reload(&self) -> bool {
        self.counts.loads.fetch_add(1, Ordering::SeqCst);
        Config::takes_jobs(&self.file)
    }

    async fn append(&self, ticket: &Ticket, sent: usize, output: &Bytes) -> Result<bool> {
        let id = ticket.job.id;
        let range = format!("{sent}-{}", (sent + output.len()).saturating_sub(1));
        let headers =
            [("job-token", ticket.token.as_str()), ("content-range", range.as_str()), ("content-type", "text/plain")];
        let url = format!("{}/jobs/{id}/trace", self.api);
        let reply = self.http.send(Method::PATCH, &url, &headers, output.clone()).await?;
        match reply.status {
            StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => Ok(false),
            status if status.is_success() => {
                Ok(!matches!(reply.header("job-status"), Some("canceled" | "canceling" | "failed")))
            }
            status => bail!("GitLab answers HTTP {status} to the log of job {id}"),
        }
    }

    async fn finish(&self, ticket: &Ticket, outcome: &Outcome) -> Finish {
        let (state, failure_reason) = match outcome {
            Outcome::Success => ("success", None),
            Outcome::Failed(_) => ("failed", Some("script_failure")),
            Outcome::NoImage(_) => ("failed", Some("image_pull_failure")),
            Outcome::TimedOut => ("failed", Some("job_execution_timeout")),
            Outcome::SystemFailure(_) | Outcome::Aborted => ("failed", Some("runner_system_failure")),
            // GitLab said so itself.
            Outcome::Canceled => return Finish::Taken,
        };
        let mut body = json!({ "token": ticket.token, "state": state });
        if let Some(reason) = failure_reason {
            body["failure_reason"] = reason.into();
        }
        if let Some(code) = outcome.exit_code() {
            body["exit_code"] = code.into();
        }
        match self.http.json(Method::PUT, &format!("{}/jobs/{}", self.api, ticket.job.id), &body).await {
            // 202: GitLab still works through the log and wants the same report again.
            Ok(reply) if reply.status == StatusCode::ACCEPTED => {
                Finish::Failed(anyhow!("GitLab has not taken in the log"))
            }
            Ok(reply) if reply.status.is_success() => Finish::Taken,
            Ok(reply) if reply.status.is_client_error() && reply.status != StatusCode::TOO_MANY_REQUESTS => {
                Finish::Refused(anyhow!("GitLab refuses it: HTTP {}", reply.status))
            }
            Ok(reply) => Finish::Failed(anyhow!("HTTP {}", reply.status)),
            Err(error) => Finish::Failed(error),
        }
    }
}
