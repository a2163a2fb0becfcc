//! What a [`LocalCloud`](crate::LocalCloud) starts with.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    aws::model::CloudOptions,
    azure::model::AzureOptions,
    ci::{contract::PlatformOptions, webhook::Webhook},
};

/// What a [`LocalCloud`](crate::LocalCloud) starts with.
#[derive(Clone, Debug)]
pub struct LocalCloudOptions {
    /// How AWS behaves.
    pub cloud: CloudOptions,
    /// How Azure behaves, which is there beside it.
    pub azure: AzureOptions,
    /// The port on 127.0.0.1; 0 takes a free one.
    pub port: u16,
    /// The CI platform that the fleet uses, and what it holds.
    pub platform: PlatformOptions,
    /// A connected runner that says nothing for this long is lost to the platform; none: as long as the platform itself
    /// waits. Where runners do not connect, the platform goes by its jobs instead.
    pub lost_after: Option<Duration>,
    /// Where the platform posts its job events.
    pub webhook: Option<Webhook>,
    /// Parameters of SSM and secrets of Secrets Manager, by name; of Key Vault, with dashes in the place of what its names
    /// cannot have.
    pub secrets: BTreeMap<String, String>,
    /// How many instances that have ended are remembered; of those that ended before them sums are left. Default 200.
    pub ended_kept: usize,
}

impl Default for LocalCloudOptions {
    fn default() -> Self {
        Self {
            cloud: CloudOptions::default(),
            azure: AzureOptions::default(),
            port: 0,
            platform: PlatformOptions::default(),
            lost_after: None,
            webhook: None,
            secrets: BTreeMap::new(),
            ended_kept: 200,
        }
    }
}
