//! What the embedded StackGuardian holds when it starts.

/// What StackGuardian holds when it starts: one runner group.
#[derive(Clone, Debug)]
pub struct StackGuardianOptions {
    /// The organization's name.
    pub organization: String,
    /// The runner group's name.
    pub runner_group: String,
    /// An API key of a user (`sgu_...`) or of the organization (`sgo_...`).
    pub api_key: String,
    /// The runner group's token, with which machines register.
    pub token: String,
    /// Whether the runner group's token may read the group and drain, which the vendor does not document.
    pub token_reads: bool,
    /// How many runners may be registered (`max_number_of_runners`).
    pub most_runners: usize,
}

impl Default for StackGuardianOptions {
    fn default() -> Self {
        Self {
            organization: "lightsout".into(),
            runner_group: "demo".into(),
            api_key: "sgu_lightsoutlocal".into(),
            token: "lightsout-local-node-token".into(),
            token_reads: false,
            most_runners: 100,
        }
    }
}
