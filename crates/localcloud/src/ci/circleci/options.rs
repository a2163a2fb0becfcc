//! What the embedded CircleCI holds when it starts.

/// What CircleCI holds when it starts.
#[derive(Clone, Debug)]
pub struct CircleCiOptions {
    /// The personal API token that reads the queue.
    pub token: String,
    /// The resource classes. Jobs without a tag that names one want the first.
    pub resource_classes: Vec<ResourceClass>,
    /// Whether the paths below `/api/v3/runner` are there; a CircleCI server that is not new has those of `/api/v2` only.
    pub v3: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceClass {
    /// Its name, as `namespace/class`.
    pub name: String,
    /// The token with which its runners connect.
    pub token: String,
}

impl Default for CircleCiOptions {
    fn default() -> Self {
        let class = ResourceClass { name: "lightsout/demo".into(), token: "lightsout-local-resource-class".into() };
        Self { token: "CCIPAT_lightsout_local".into(), resource_classes: vec![class], v3: true }
    }
}
