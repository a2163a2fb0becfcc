//! Settings from text to values: what is read, what is refused, and in which words.

mod agent;
mod buildkite;
mod circleci;
mod github;
mod merging;
mod scaler;
mod spacelift;
mod stackguardian;

use std::{any::Any, sync::Arc};

use lightsout_core::{
    platform::{self, QueueConfig, RunnerConfig},
    settings::*,
};

/// The problems of one file `f.toml`, one a line.
fn problems<T>(parsed: Result<T, Problems>) -> Vec<String> {
    match parsed {
        Ok(_) => Vec::new(),
        Err(Problems(problems)) => problems.iter().map(ToString::to_string).collect(),
    }
}

fn one(text: &str) -> Vec<Fragment> {
    vec![Fragment::new("f.toml", text)]
}

/// A vendor's own settings.
fn queue_of<T: 'static>(platform: &dyn QueueConfig) -> &T {
    (platform as &dyn Any).downcast_ref().unwrap_or_else(|| panic!("another platform: {platform:?}"))
}

/// A vendor's own settings.
fn runner_of<T: 'static>(platform: &dyn RunnerConfig) -> &T {
    (platform as &dyn Any).downcast_ref().unwrap_or_else(|| panic!("another platform: {platform:?}"))
}
