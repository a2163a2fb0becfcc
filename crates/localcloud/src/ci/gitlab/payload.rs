//! What a runner is handed with a job.

use serde_json::{Value, json};

use super::{GitLab, PROJECT_ID, jobs::sha};
use crate::ci::contract::CiState;
use crate::ci::jobs::Job;

/// The payload of the job with this id; it must be there.
pub(super) fn of(gitlab: &GitLab, state: &CiState, id: u64) -> Value {
    let Some(job) = state.jobs.get(id) else { return Value::Null };
    let project = gitlab.projects.get(&PROJECT_ID).map_or("", |project| project.path.as_str());
    let name = project.rsplit('/').next().unwrap_or_default();
    let runner = job.runner.and_then(|id| gitlab.runners.get(&id));
    let sha = sha(gitlab);
    let repository = gitlab.options.repository.as_ref();
    let clone = repository.map_or_else(|| format!("{}/{project}.git", state.url), |repository| repository.url.clone());
    let timeout = runner.and_then(|runner| runner.maximum_timeout).unwrap_or(3600);
    json!({
        "id": job.id,
        "token": gitlab.job_token(job.id),
        "allow_git_fetch": true,
        "job_info": {
            "id": job.id,
            "name": job.name(),
            "stage": "test",
            "project_id": PROJECT_ID,
            "project_name": name,
            "project_full_path": project,
            "namespace_id": 10,
            "root_namespace_id": 10,
            "time_in_queue_seconds": job.started_at.map_or(0, |at| (at.0 - job.queued_at.0) / 1000),
            "project_jobs_running_on_instance_runners_count": "0",
        },
        "git_info": {
            "repo_url": clone,
            "repo_object_format": "sha1",
            "ref": "main",
            "ref_type": "branch",
            "sha": sha,
            "before_sha": "0".repeat(40),
            "refspecs": ["+refs/heads/main:refs/remotes/origin/main"],
            "depth": 20,
            "protected": false,
        },
        "runner_info": {"timeout": timeout, "runner_session_url": null},
        "variables": variables(gitlab, state, job, project, &clone, &sha),
        "steps": [
            {"name": "script", "script": [job.script()], "timeout": timeout, "when": "on_success", "allow_failure": false},
        ],
        "image": job.image.as_ref().map(|image| json!({
            "name": image, "entrypoint": null, "executor_opts": {}, "ports": [], "pull_policy": null,
        })),
        "services": [],
        "artifacts": null,
        "cache": [],
        "credentials": [],
        "dependencies": [],
        "hooks": [],
        "features": {
            "trace_sections": true,
            "token_mask_prefixes": [],
            "failure_reasons": [
                "unknown_failure", "script_failure", "api_failure", "stuck_or_timeout_failure", "runner_system_failure",
                "runner_unsupported", "job_execution_timeout", "image_pull_failure",
            ],
        },
        "run": "",
    })
}

fn variables(gitlab: &GitLab, state: &CiState, job: &Job, project: &str, clone: &str, sha: &str) -> Vec<Value> {
    let (namespace, name) = project.rsplit_once('/').unwrap_or(("", project));
    let server = state.url.as_str();
    let host = server.trim_start_matches("http://").split(':').next().unwrap_or_default();
    let plain = |key: &str, value: String| json!({"key": key, "value": value, "public": true, "masked": false});
    let mut variables = vec![
        plain("CI", "true".into()),
        plain("GITLAB_CI", "true".into()),
        plain("CI_JOB_ID", job.id.to_string()),
        plain("CI_JOB_NAME", job.name()),
        plain("CI_JOB_STAGE", "test".into()),
        plain("CI_JOB_URL", format!("{server}/{project}/-/jobs/{}", job.id)),
        plain("CI_PIPELINE_ID", job.id.to_string()),
        plain("CI_PIPELINE_IID", job.id.to_string()),
        plain("CI_PIPELINE_SOURCE", "api".into()),
        plain("CI_PROJECT_ID", PROJECT_ID.to_string()),
        plain("CI_PROJECT_NAME", name.into()),
        plain("CI_PROJECT_NAMESPACE", namespace.into()),
        plain("CI_PROJECT_PATH", project.into()),
        plain("CI_PROJECT_URL", format!("{server}/{project}")),
        plain("CI_CONFIG_PATH", ".gitlab-ci.yml".into()),
        plain("CI_COMMIT_SHA", sha.into()),
        plain("CI_COMMIT_REF_NAME", "main".into()),
        plain("CI_COMMIT_BRANCH", "main".into()),
        plain("CI_DEFAULT_BRANCH", "main".into()),
        plain("CI_SERVER", "yes".into()),
        plain("CI_SERVER_NAME", "GitLab".into()),
        plain("CI_SERVER_HOST", host.into()),
        plain("CI_SERVER_URL", server.into()),
        plain("CI_API_V4_URL", format!("{server}/api/v4")),
        plain("CI_RUNNER_ID", job.runner.map_or_else(String::new, |id| id.to_string())),
        json!({"key": "CI_JOB_TOKEN", "value": gitlab.job_token(job.id), "public": false, "masked": true}),
        json!({"key": "CI_REPOSITORY_URL", "value": clone, "public": false, "masked": false}),
    ];
    // The last of one name counts: the pipeline's own come after those that GitLab makes.
    variables.extend(
        job.variables.iter().map(|(key, value)| json!({"key": key, "value": value, "public": false, "masked": false})),
    );
    // Without a repository there is nothing to clone.
    if gitlab.options.repository.is_none() {
        variables.push(plain("GIT_STRATEGY", "none".into()));
        variables.push(plain("GIT_SUBMODULE_STRATEGY", "none".into()));
    }
    variables
}
