//! What can be used of settings that cannot work.

use std::{slice, sync::Arc};

use super::{AgentSettings, read};
use crate::{
    agent::policy::AgentPolicy,
    platform::{Config, NoPlatform, RunnerConfig},
    settings::{Fragment, reader::Report, tree::merged},
    space::SpaceNeeds,
};

impl AgentSettings {
    /// What can be used of settings that cannot work, because of `why`: what is right of them, and defaults for the rest. They are for an agent that
    /// starts no runner and only ends its instance: no program of the operator's runs, and nothing is removed to make room.
    pub fn salvaged(fragments: &[Fragment], why: &str) -> Self {
        let readable = |fragment: &&Fragment| merged(slice::from_ref(*fragment)).is_ok();
        let fragments: Vec<Fragment> = fragments.iter().filter(readable).cloned().collect();
        let table = merged(&fragments).unwrap_or_default();
        let settings = read(&Report::default(), &table, &fragments);
        Self {
            policy: AgentPolicy { before_register: None, ..settings.policy },
            before_register: None,
            space: SpaceNeeds { disk: None, inodes: None, memory: None },
            clean: None,
            platform: no_platform(),
            unusable: Some(why.to_owned()),
            ..settings
        }
    }
}

/// In place of a platform that the settings do not name.
pub(super) fn no_platform() -> Arc<dyn RunnerConfig> {
    Arc::new(Config { settings: NoPlatform, secrets: Vec::new() })
}
