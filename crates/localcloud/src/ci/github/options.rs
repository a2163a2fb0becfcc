//! What the embedded GitHub holds when it starts.

/// What GitHub holds when it starts: one organization with one repository, and one App that is installed there.
#[derive(Clone, Debug)]
pub struct GitHubOptions {
    pub organization: String,
    /// The repository, without the organization.
    pub repository: String,
    /// A personal access token with all rights that this needs.
    pub token: String,
    /// The App's id, which signs its requests as `iss`.
    pub app_id: u64,
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
