//! What the embedded Buildkite holds when it starts.

use std::time::Duration;

/// What Buildkite holds when it starts: one cluster with some queues.
#[derive(Clone, Debug)]
pub struct BuildkiteOptions {
    /// The organization's slug.
    pub organization: String,
    /// The cluster's agent token.
    pub token: String,
    /// An API access token for the REST API below `/v2`.
    pub api_token: String,
    /// The keys of the cluster's queues. Jobs without a tag `queue=...` go to the first.
    pub queues: Vec<String>,
    /// How often the metrics want to be asked for: `Buildkite-Agent-Metrics-Poll-Duration`, whole seconds.
    pub poll_duration: Option<Duration>,
}

impl Default for BuildkiteOptions {
    fn default() -> Self {
        Self {
            organization: "lightsout".into(),
            token: "bkct_lightsout-local".into(),
            api_token: "bkua_lightsout-local".into(),
            queues: vec!["default".into()],
            poll_duration: None,
        }
    }
}
