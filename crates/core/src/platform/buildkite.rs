//! Buildkite: the queue through the agent API's metrics, the machine's runner through `buildkite-agent`.
//!
//! # The queue
//! [`BuildkiteQueue`] reads one queue's metrics in one call.
//! - The token is an agent token of the cluster that the queue belongs to, the same that the instances hold. It sees no
//!   queue of another cluster: a pool is one queue, so pools of several clusters have a token each.
//! - `scheduled` jobs wait for an agent now. `waiting` ones are blocked by a step before them; they count only with
//!   [`BuildkiteQueueSettings::include_waiting`], to start instances ahead.
//! - Jobs of the same queue that run on another fleet count as running here: then a few instances too many are started,
//!   never too few.
//! - Buildkite tells how often it wants to be asked (`Buildkite-Agent-Metrics-Poll-Duration`); each reading passes on
//!   what it was told last.
//! - A paused agent does not take jobs, but Buildkite does not tell this call.
//!
//! # The runner
//! [`BuildkiteRunner`] writes `buildkite-agent.cfg` and runs `buildkite-agent start` with one worker a slot (`spawn`),
//! which register themselves; the names are the instance's id and the worker's number.
//! - Drain: one `SIGTERM`. The agent takes no more jobs, ends those that it has, and exits: the exit is the proof. (A
//!   second one would cancel them; it is never sent to a busy runner.)
//! - A spot deadline: `SIGQUIT` cancels the jobs and disconnects at once. A job whose machine only vanishes is lost
//!   after some four minutes.
//! - Undrain: the runner is launched anew.
//! - Deregister: there is nothing to call; the agent disconnects when it exits.
//! - Busy: each job is started through `bootstrap-script`, by a script that writes its PID file (see
//!   [`super::job_pid_file`]), and any child process of the agent counts too. Not by the hooks `environment` and
//!   `pre-exit`: the agent's own `pre-exit` hook runs *before* those of the repository and the plugins, so a PID file
//!   removed there would say idle too early; a bootstrap that is killed runs none; and the user's hooks stay where they
//!   are.
//! - Jobs run as the agent's user. The file with its token is removed before the first of them begins: the agent has
//!   read it, and keeps the token in memory.
//!
//! Sources: Buildkite documentation (metrics API, agent configuration, agent lifecycle, agent tokens), and the source
//! of the Buildkite agent.

mod config;
mod queue;
mod runner;
mod settings;
pub(super) mod tokens;
mod variables;
mod webhook;

pub use queue::BuildkiteQueue;
pub use runner::BuildkiteRunner;
pub use settings::{
    AgentFolder, AgentProgram, AgentTag, BuildkiteQueueSettings, BuildkiteRunnerSettings, QueueKey, base_url,
};
pub use webhook::WEBHOOK;

use super::Kind;

/// The platform's name in settings and logs.
const NAME: &str = "buildkite";

pub static KIND: Kind = Kind {
    name: NAME,
    title: "Buildkite",
    keys: settings::KEYS,
    variables: variables::VARIABLES,
    webhook: Some(&WEBHOOK),
    queue: settings::queue,
    runner: settings::runner,
};

/// The address of Buildkite's agent API.
pub const CLOUD: &str = "https://agent.buildkite.com";
