//! A job as GitLab hands it out.

use std::time::Duration;

use serde::Deserialize;

use crate::job::Job;

/// A job, and what GitLab wants to hear when it is told of it.
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "TicketJson")]
pub(super) struct Ticket {
    pub job: Job,
    /// Opens the job's own part of the API.
    pub token: String,
    pub project_id: u64,
    /// The container's, instead of the image's.
    pub entrypoint: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct TicketJson {
    id: u64,
    token: String,
    #[serde(default)]
    job_info: JobInfo,
    #[serde(default)]
    runner_info: RunnerInfo,
    #[serde(default)]
    variables: Vec<Variable>,
    #[serde(default)]
    steps: Vec<Step>,
    #[serde(default)]
    image: Option<Image>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct JobInfo {
    project_id: u64,
}

#[derive(Deserialize)]
#[serde(default)]
struct RunnerInfo {
    /// How long the job may run, in seconds.
    timeout: u64,
}

impl Default for RunnerInfo {
    fn default() -> Self {
        Self { timeout: 3600 }
    }
}

#[derive(Deserialize)]
struct Variable {
    key: String,
    #[serde(default)]
    value: String,
}

#[derive(Deserialize)]
struct Step {
    script: Vec<String>,
    #[serde(default)]
    when: String,
}

#[derive(Deserialize)]
struct Image {
    #[serde(default)]
    name: String,
    #[serde(default)]
    entrypoint: Option<Vec<String>>,
}

impl AsRef<Job> for Ticket {
    fn as_ref(&self) -> &Job {
        &self.job
    }
}

impl From<TicketJson> for Ticket {
    fn from(ticket: TicketJson) -> Self {
        let (image, entrypoint) = ticket.image.map(|image| (image.name, image.entrypoint)).unzip();
        Self {
            job: Job {
                id: ticket.id,
                argv: vec!["sh".to_owned(), "-c".to_owned(), script(&ticket.steps)],
                image: image.filter(|name| !name.is_empty()),
                env: ticket.variables.into_iter().map(|variable| (variable.key, variable.value)).collect(),
                timeout: Some(Duration::from_secs(ticket.runner_info.timeout)),
            },
            token: ticket.token,
            project_id: ticket.job_info.project_id,
            entrypoint: entrypoint.flatten(),
        }
    }
}

/// The steps as one shell script that stops at the first failure.
fn script(steps: &[Step]) -> String {
    let steps = steps.iter().filter(|step| matches!(step.when.as_str(), "" | "on_success" | "always"));
    let lines = steps.flat_map(|step| step.script.iter().map(String::as_str));
    std::iter::once("set -e").chain(lines).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_job_is_read_from_what_gitlab_sends() {
        let ticket: Ticket = serde_json::from_value(json!({
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
        let expected = Job {
            id: 17,
            argv: vec!["sh".into(), "-c".into(), "set -e\necho one\necho two".into()],
            image: Some("busybox".into()),
            env: [("CI".to_owned(), "true".to_owned())].into(),
            timeout: Some(Duration::from_secs(60)),
        };
        assert_eq!(ticket.job, expected);
        assert_eq!((ticket.token.as_str(), ticket.project_id), ("t", 12));
    }

    #[test]
    fn a_job_may_leave_almost_everything_out() {
        let ticket: Ticket = serde_json::from_value(json!({ "id": 1, "token": "t", "image": null })).unwrap();
        assert_eq!(ticket.job.argv, ["sh", "-c", "set -e"]);
        assert_eq!((ticket.job.image, ticket.job.timeout), (None, Some(Duration::from_secs(3600))));
    }
}
