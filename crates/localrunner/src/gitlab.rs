//! The runner's side of the GitLab API: ask for a job, send its log, report its end.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use hyper::{Method, StatusCode};
use serde::Deserialize;
use serde_json::json;

use super::{config::Config, job::Outcome};
use crate::http::Http;

/// A connection to GitLab as this runner manager.
#[derive(Clone, Debug)]
pub struct GitLab {
    http: Http,
    api: String,
    token: String,
    system_id: String,
    executor: &'static str,
}

/// What came of asking for a job.
pub enum Asked {
    Job(Box<JobTicket>),
    Nothing,
    Failed(anyhow::Error),
}

/// A job as GitLab hands it out.
#[derive(Clone, Debug, Deserialize)]
pub struct JobTicket {
    pub id: u64,
    pub token: String,
    #[serde(default)]
    pub job_info: JobInfo,
    #[serde(default)]
    pub runner_info: RunnerInfo,
    #[serde(default)]
    pub variables: Vec<Variable>,
    #[serde(default)]
    pub steps: Vec<Step>,
    #[serde(default)]
    pub image: Option<Image>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct JobInfo {
    pub name: String,
    pub project_id: u64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct RunnerInfo {
    /// How long the job may run, in seconds.
    pub timeout: u64,
}

impl Default for RunnerInfo {
    fn default() -> Self {
        Self { timeout: 3600 }
    }
}

#[derive(Clone, Debug, Deserialize)]
pub struct Variable {
    pub key: String,
    #[serde(default)]
    pub value: String,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Step {
    pub script: Vec<String>,
    #[serde(default)]
    pub when: String,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Image {
    #[serde(default)]
    pub name: String,
    #[serde(default)]
    pub entrypoint: Option<Vec<String>>,
}

impl JobTicket {
    /// The steps as one shell script that stops at the first failure.
    pub fn script(&self) -> String {
        let lines = self.steps.iter().filter(|step| matches!(step.when.as_str(), "" | "on_success" | "always"));
        std::iter::once("set -e")
            .chain(lines.flat_map(|step| step.script.iter().map(String::as_str)))
            .collect::<Vec<_>>()
            .join("\n")
    }

    /// The variables as `KEY=value`.
    pub fn environment(&self) -> Vec<String> {
        self.variables.iter().map(|variable| format!("{}={}", variable.key, variable.value)).collect()
    }

    /// The image, when the job names one.
    pub fn image(&self) -> Option<&str> {
        self.image.as_ref().map(|image| image.name.as_str()).filter(|name| !name.is_empty())
    }
}

impl GitLab {
    pub fn new(config: &Config) -> Self {
        Self {
            http: Http::new(Duration::from_secs(10)),
            api: format!("{}/api/v4", config.url),
            token: config.token.clone(),
            system_id: config.system_id.clone(),
            executor: if config.docker.is_some() { "docker" } else { "shell" },
        }
    }

    /// Asks for one job.
    pub async fn request(&self) -> Asked {
        match self.try_request().await {
            Ok(Some(ticket)) => Asked::Job(Box::new(ticket)),
            Ok(None) => Asked::Nothing,
            Err(error) => Asked::Failed(error),
        }
    }

    async fn try_request(&self) -> Result<Option<JobTicket>> {
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
                "features": { "variables": true, "image": true, "cancelable": true, "return_exit_code": true, "trace_reset": false },
            },
        });
        let reply = self.http.json(Method::POST, &format!("{}/jobs/request", self.api), &body).await?;
        match reply.status {
            StatusCode::CREATED => {
                Ok(Some(serde_json::from_slice(&reply.body).context("GitLab's job cannot be understood")?))
            }
            StatusCode::NO_CONTENT | StatusCode::CONFLICT => Ok(None),
            StatusCode::FORBIDDEN => bail!("GitLab refuses the runner's token (HTTP 403)"),
            status => bail!("GitLab answers HTTP {status}: {}", reply.text()),
        }
    }

    /// Appends to the job's log, of which `sent` bytes are there already. False when GitLab no longer wants the job to run.
    pub async fn append(&self, ticket: &JobTicket, sent: usize, piece: Bytes) -> Result<bool> {
        let range = format!("{sent}-{}", (sent + piece.len()).saturating_sub(1));
        let headers =
            [("job-token", ticket.token.as_str()), ("content-range", range.as_str()), ("content-type", "text/plain")];
        let reply =
            self.http.send(Method::PATCH, &format!("{}/jobs/{}/trace", self.api, ticket.id), &headers, piece).await?;
        match reply.status {
            StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => Ok(false),
            status if status.is_success() => {
                Ok(!matches!(reply.header("job-status"), Some("canceled" | "canceling" | "failed")))
            }
            status => bail!("GitLab answers HTTP {status} to the log of job {}", ticket.id),
        }
    }

    /// Reports how the job ended; tries for about `patience` when GitLab does not take it.
    pub async fn report(&self, ticket: &JobTicket, outcome: &Outcome, patience: Duration) -> Result<()> {
        let (state, failure_reason, exit_code) = match outcome {
            Outcome::Success => ("success", None, Some(0)),
            Outcome::ScriptFailed(code) => ("failed", Some("script_failure"), Some(*code)),
            Outcome::NoImage(_) => ("failed", Some("image_pull_failure"), None),
            Outcome::TimedOut => ("failed", Some("job_execution_timeout"), None),
            Outcome::System(_) => ("failed", Some("runner_system_failure"), None),
            Outcome::Cancelled => return Ok(()),
        };
        let mut body = json!({ "token": ticket.token, "state": state });
        if let Some(reason) = failure_reason {
            body["failure_reason"] = reason.into();
        }
        if let Some(code) = exit_code {
            body["exit_code"] = code.into();
        }
        let url = format!("{}/jobs/{}", self.api, ticket.id);
        let give_up = tokio::time::Instant::now() + patience;
        loop {
            let problem = match self.http.json(Method::PUT, &url, &body).await {
                // 202: GitLab still works through the log and wants the same report again.
                Ok(reply) if reply.status == StatusCode::ACCEPTED => anyhow::anyhow!("GitLab has not taken in the log"),
                Ok(reply) if reply.status.is_success() => return Ok(()),
                Ok(reply) if reply.status.is_client_error() && reply.status != StatusCode::TOO_MANY_REQUESTS => {
                    bail!("GitLab refuses the end of job {}: HTTP {}", ticket.id, reply.status)
                }
                Ok(reply) => anyhow::anyhow!("HTTP {}", reply.status),
                Err(error) => error,
            };
            if tokio::time::Instant::now() >= give_up {
                return Err(problem.context(format!("GitLab did not take the end of job {}", ticket.id)));
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_read_from_what_gitlab_sends() {
        let ticket: JobTicket = serde_json::from_value(json!({
            "id": 17, "token": "t", "allow_git_fetch": true,
            "job_info": { "id": 17, "name": "unit", "stage": "test", "project_id": 12, "project_name": "demo" },
            "runner_info": { "timeout": 60 },
            "variables": [{ "key": "CI", "value": "true", "public": true, "masked": false }],
            "steps": [
                { "name": "script", "script": ["echo one", "echo two"], "timeout": 60, "when": "on_success", "allow_failure": false },
                { "name": "after_script", "script": ["echo clean"], "timeout": 60, "when": "on_failure", "allow_failure": true }
            ],
            "image": { "name": "busybox", "entrypoint": null },
        }))
        .unwrap();
        assert_eq!(ticket.script(), "set -e\necho one\necho two");
        assert_eq!(ticket.environment(), ["CI=true"]);
        assert_eq!(ticket.image(), Some("busybox"));
        assert_eq!(ticket.runner_info.timeout, 60);
    }

    #[test]
    fn a_job_may_leave_almost_everything_out() {
        let ticket: JobTicket = serde_json::from_value(json!({ "id": 1, "token": "t", "image": null })).unwrap();
        assert_eq!((ticket.script().as_str(), ticket.image(), ticket.runner_info.timeout), ("set -e", None, 3600));
    }
}
