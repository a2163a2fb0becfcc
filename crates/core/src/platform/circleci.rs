//! CircleCI: the queue through the runner API, the machine's runner through machine runner 3.
//!
//! # The queue
//! [`CircleCiQueue`] asks, for each resource class, how many tasks wait and how many run. A task is a job, or one of
//! the parts of a job with `parallelism`.
//! - The paths of v3 are asked first; where they answer 404 those of v2 (older CircleCI servers), which is remembered.
//! - Needed is a *personal API token* (or one of a machine user) of somebody who may see the namespace. The resource
//!   class token that the runners hold only claims tasks; it cannot read the queue.
//! - Tasks that wait because the plan's concurrency is used up count as waiting too;
//!   [`CircleCiQueueSettings::max_concurrency`] keeps instances from being started for them.
//! - Tasks of the same resource class that run on another fleet count as running here: then a few instances too many
//!   are started, never too few. Give each pool resource classes of its own.
//! - A class that cannot be read fails the whole reading: it is never counted as zero.
//!
//! # The runner
//! [`CircleCiRunner`] writes `circleci-runner-config.yaml` and runs `circleci-runner machine`; connecting with the
//! resource class token is all the registration there is. Its name is the instance's id.
//! - Drain: one `SIGTERM`. The runner claims no more tasks, ends the one that it has, and exits: the exit is the proof.
//!   CircleCI cannot be asked to stop sending tasks to one runner, nor whether a runner has one.
//! - A spot deadline: the second `SIGTERM` cancels the task.
//! - Undrain: the runner is launched anew.
//! - Deregister: there is nothing to call. CircleCI forgets a runner that it has not seen for 12 hours.
//! - Busy: each task is started through `command_prefix`, by a script that writes its PID file (see
//!   [`super::job_pid_file`]), and any child process of the runner counts too.
//! - One task at a time: a pool of this platform has one slot an instance.
//! - A task whose machine vanishes looks as if it ran until CircleCI's time-out and then fails; nothing reruns it by
//!   itself.
//! - Without [`CircleCiRunnerSettings::command_prefix`] tasks run as the agent's user and can read its token. `["sudo",
//!   "-niHu", "circleci", "--"]` makes them run as another.
//!
//! Sources: CircleCI documentation (runner API, machine runner 3 configuration reference, runner scaling, runner FAQ).

mod config;
mod queue;
mod runner;
mod settings;
pub(super) mod tokens;
mod variables;

pub use queue::CircleCiQueue;
pub use runner::CircleCiRunner;
pub use settings::{CircleCiQueueSettings, CircleCiRunnerSettings, PrefixWord, ResourceClass, base_url};

use super::Kind;

/// The platform's name in settings and logs.
const NAME: &str = "circleci";

pub static KIND: Kind = Kind {
    name: NAME,
    title: "CircleCI",
    keys: settings::KEYS,
    variables: variables::VARIABLES,
    webhook: None,
    queue: settings::queue,
    runner: settings::runner,
};

/// The address of CircleCI's cloud; a CircleCI server has its own.
pub const CLOUD: &str = "https://runner.circleci.com";
