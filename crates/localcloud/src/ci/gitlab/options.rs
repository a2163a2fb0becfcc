//! What the embedded GitLab holds when it starts.

use std::time::Duration;

/// What the GitLab holds when it starts: one group with one project, one runner record and one access token.
#[derive(Clone, Debug)]
pub struct GitLabOptions {
    /// The group's full path.
    pub group: String,
    /// The project's full path, below the group.
    pub project: String,
    /// The personal access token that the API accepts.
    pub token: String,
    /// What that token may do, in GitLab's words, such as `read_api`.
    pub scopes: Vec<String>,
    /// The authentication token of the runner record; it starts with `glrt-`.
    pub runner_token: String,
    /// The tags of the runner record.
    pub runner_tags: Vec<String>,
    /// Whether the runner record takes jobs without tags.
    pub run_untagged: bool,
    /// A running job that nobody updated for this long is failed with `stuck_or_timeout_failure`; GitLab takes an hour.
    pub stuck_after: Duration,
    /// API requests that one access token may make in a minute; none: any number. GitLab.com allows 2,000.
    pub requests_per_minute: Option<u32>,
    /// A repository for runners that insist on a clone; without one jobs say `GIT_STRATEGY=none`.
    pub repository: Option<Repository>,
}

/// A git repository that jobs are told to clone.
#[derive(Clone, Debug)]
pub struct Repository {
    /// What `git clone` is given.
    pub url: String,
    /// The commit to check out.
    pub sha: String,
}

impl Default for GitLabOptions {
    fn default() -> Self {
        Self {
            group: "lightsout".into(),
            project: "lightsout/demo".into(),
            token: "glpat-lightsout-local".into(),
            scopes: ["read_api", "create_runner", "manage_runner"].map(String::from).to_vec(),
            runner_token: "glrt-lightsout-local".into(),
            runner_tags: Vec::new(),
            run_untagged: true,
            stuck_after: Duration::from_secs(3600),
            requests_per_minute: None,
            repository: None,
        }
    }
}
