//! Spacelift's launcher: what `spacelift-launcher` is to Spacelift and to the agent. It reads its environment, takes one run at a time,
//! each in a container, and ends after it when it is told to by `SIGTERM` or `SIGINT`.

use std::{collections::BTreeMap, env, process::ExitCode, sync::Arc};

use anyhow::{Context, Result};
use futures_util::future::BoxFuture;

use super::{
    Stop,
    desk::{self, Desk, Hello, Job, Mode},
    shift::{self, Manners, Trade, Work},
    shop::Shop,
};

/// The vendor's name for the program.
pub const PROGRAM: &str = "spacelift-launcher";

const METADATA: &str = "SPACELIFT_METADATA_";
const OURS: [&str; 2] = ["SPACELIFT_TOKEN", "SPACELIFT_POOL_PRIVATE_KEY"];

/// Runs the launcher; it has no arguments.
pub fn main() -> ExitCode {
    super::ended(crate::block_on(run()))
}

async fn run() -> Result<()> {
    let [token, key] = OURS.map(|name| env::var(name).ok().filter(|value| !value.trim().is_empty()));
    let token = token.context("SPACELIFT_TOKEN is not set")?;
    key.context("SPACELIFT_POOL_PRIVATE_KEY is not set")?;
    let shop = Shop::open().await?;
    let hello = Hello {
        platform: "spacelift",
        token,
        name: desk::instance().unwrap_or_else(|| "spacelift-launcher".to_owned()),
        instance_id: desk::instance(),
        metadata: metadata(env::vars()),
        slots: 1,
        mode: Mode::Continuous,
    };
    let manners = Manners { slots: 1, single: false, signalled: |_, _| Stop::Finish };
    shift::serve(Desk::new(&desk::embedded()?, hello, true), manners, Arc::new(Launcher { shop })).await
}

/// What the environment says about the worker.
fn metadata(variables: impl Iterator<Item = (String, String)>) -> BTreeMap<String, String> {
    variables.filter_map(|(name, value)| Some((name.strip_prefix(METADATA)?.to_owned(), value))).collect()
}

struct Launcher {
    shop: Shop,
}

impl Trade for Launcher {
    fn begin(&self, job: &Job) -> BoxFuture<'_, Result<Work>> {
        let job = job.clone();
        Box::pin(async move {
            let name = format!("spacelift-run-{}-{}", job.id, super::container::unique());
            // A run must not see what the launcher was given.
            self.shop.run(&job, name, BTreeMap::new(), &OURS).await
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_comes_from_the_environment() {
        let variables =
            [("PATH", "/bin"), ("SPACELIFT_METADATA_instance_id", "i-1"), ("SPACELIFT_METADATA_asg_id", "g")];
        let found = metadata(variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into_iter());
        assert_eq!(found, [("asg_id".to_owned(), "g".to_owned()), ("instance_id".to_owned(), "i-1".to_owned())].into());
    }
}
