//! Spacelift: the queue through its GraphQL API, the machine's worker through the vendor's `spacelift-launcher`.
//!
//! # The queue
//! One query tells all of a worker pool. Waiting: `pendingRuns`. Running: the busy workers, those that are drained but
//! still busy among them. A pool that is `null` is an error (wrong id, or a key without access), never an empty one.
//! - An API key is exchanged for a token (`apiKeyUser`), which is used until shortly before its `validUntil`, by
//!   Spacelift's own clock, or until it is refused.
//! - Errors come with HTTP 200 too; an answer with errors is no answer, even when it holds data.
//! - `availableAt` is never asked for: older self-hosted servers do not know it, and nothing here needs it.
//! - There is no webhook and no paging. Each key counts as a billed user, so use one for scaler and fleet. It needs the
//!   rights `Space: Read` on the pool's space and, on the instances, `Worker Pool: Drain Worker`.
//!
//! # The worker
//! [`SpaceliftRunner`] runs `spacelift-launcher`, which takes one run at a time, so `slots` must be 1. The worker is
//! found again in the pool by its metadata `instance_id`; a name that instance metadata could not tell is never sent.
//! - Drain with an API key: `workerDrainSet(true)`. Its `busy` is evaluated after the drain took effect, so `false` is
//!   the proof. Undrain: `workerDrainSet(false)`.
//! - Drain without a key, or when 60 drains in a row did not find the worker in the pool: `SIGTERM`; the launcher's
//!   exit is the proof, and undrain starts it anew. Doubt: that the launcher ends a run before it exits is documented
//!   for spot notices only.
//! - Busy: any container that is not in `ignore_containers` (runs have no documented names or labels, so give the
//!   machine to Spacelift alone), and with a key the worker's own `busy`.
//! - A spot deadline: the launcher watches for the notice itself; it exits when idle and else lets the run go on. At
//!   the deadline it gets `SIGTERM` and is killed when it does not exit; Spacelift then fails the run because the
//!   worker is gone. It is not started again while a notice is there.
//! - Deregister: nothing to call. A launcher that exits cleanly removes its worker.
//!
//! Sources: Spacelift's documentation (API, worker pools), its autoscaler and spacectl.

mod client;
mod graphql;
mod pool;
mod queue;
mod runner;
mod settings;
mod variables;

pub use queue::SpaceliftQueue;
pub use runner::SpaceliftRunner;
pub use settings::{
    ApiKeyId, PoolSecrets, SpaceliftQueueSettings, SpaceliftRunnerSettings, VariableName, WorkerPoolId, base_url,
};

use super::Kind;

/// The platform's name in settings and logs.
const NAME: &str = "spacelift";

pub static KIND: Kind = Kind {
    name: NAME,
    title: "Spacelift",
    keys: settings::KEYS,
    variables: variables::VARIABLES,
    webhook: None,
    queue: settings::queue,
    runner: settings::runner,
};
