//! A whole fleet on the embedded Spacelift.

use super::SpaceliftOptions;
use crate::ci::demo::{DRAIN_TOKEN, Demo, DemoMachine, JobContainers, READ_TOKEN, RUNNER_TOKEN, quoted, secret};

/// The parameter that holds the private key of the worker pool.
const POOL_KEY: &str = "/lightsout/demo/pool-key";

impl Demo for SpaceliftOptions {
    fn secrets(&self) -> Vec<(&'static str, String)> {
        vec![
            (RUNNER_TOKEN, self.pool_token.clone()),
            (READ_TOKEN, self.key_secret.clone()),
            (DRAIN_TOKEN, self.key_secret.clone()),
            // Base64 of "not a key": the embedded pool asks for none.
            (POOL_KEY, "bm90IGEga2V5".to_owned()),
        ]
    }

    fn agent_settings(&self, machine: &DemoMachine<'_>) -> String {
        [
            secret("token", RUNNER_TOKEN),
            machine.program(),
            secret("private_key", POOL_KEY),
            format!("api_key_id = {}\n", quoted(&self.key_id)),
            secret("api_key_secret", DRAIN_TOKEN),
            format!("worker_pool = {}\n", quoted(&self.pool)),
        ]
        .concat()
    }

    fn queue_settings(&self) -> String {
        let (id, pool) = (quoted(&self.key_id), quoted(&self.pool));
        format!("api_key_id = {id}\n{}worker_pool = {pool}\n", secret("api_key_secret", READ_TOKEN))
    }

    fn containers(&self) -> JobContainers {
        JobContainers::Unnamed
    }

    fn one_job_at_a_time(&self) -> bool {
        true
    }
}
