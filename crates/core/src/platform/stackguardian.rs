//! StackGuardian: the queue through its API, the machine's runner through the vendor's `sg-runner`.
//!
//! A private runner is an external instance of an Amazon ECS cluster that StackGuardian owns; a workflow is one or more
//! ECS tasks.
//!
//! # The queue
//! One call tells all (`GET /orgs/:org/runnergroups/:group/?getActiveWorkflows=true`).
//! - Waiting: `QueuedWorkflowsCount`. When it is absent or `null` the reading fails; it is never taken for zero.
//! - Running: the sum of `runningTasksCount` and `pendingTasksCount` of the group's instances, draining ones included;
//!   unknown when the list or a count is missing.
//! - There is no paging and no webhook. The API key needs read access to the runner group.
//!
//! # The runner
//! `sg-runner register` installs the ECS agent as containers and exits, so it is not the long-lived process that the
//! agent watches. [`StackGuardianRunner`] writes a small shell script beside the runner's files and runs that: it
//! registers, keeps a journal of it, and lives as long as the container `ecs-agent` does. `SIGTERM` makes it end the
//! tasks that still run (the ECS agent tells StackGuardian that they stopped), then the ECS agent.
//! - The token reaches `sg-runner` without standing in any process's arguments, which every user of the machine can
//!   read.
//! - Who we are: the journal holds the runner id that `sg-runner` wrote to `/etc/ecs/ecs.config`, together with the
//!   instance's id. An id from an image that was made of a used machine is so told from our own. Matching host names or
//!   addresses in the group (`instanceDetails`) is not used: they differ between networks, and two machines may share
//!   them.
//! - Drain: the runner's status is set to `DRAINING`; the proof is that it is shown as such with no running and no
//!   pending task, twice. A runner that StackGuardian no longer knows takes no task either. Undrain: `ACTIVE`.
//! - Busy: containers with the label `com.amazonaws.ecs.task-arn`, the ECS agent's introspection, and StackGuardian's
//!   own counts, which also see a task whose image is still pulled. While the registration is under way everything is
//!   unknown, hence busy.
//! - A spot deadline: `SIGTERM` stops the tasks. Whether StackGuardian shows the workflow as failed at once is not
//!   documented.
//! - Deregister: by runner id. Three registrations in a row that fail are the end: the agent then gives the instance
//!   up.
//! - Draining needs an API key (`api_key`) unless the runner group's token may do it, which is not documented.
//!
//! Sources: the vendor's sg-runner and sg-runner-autoscaler; Amazon ECS documentation (container instance draining,
//! introspection).

mod api;
mod introspection;
mod queue;
mod registration;
mod runner;
mod settings;
pub(super) mod tokens;
mod variables;

pub use queue::StackGuardianQueue;
pub use runner::StackGuardianRunner;
pub use settings::{
    OrganizationName, RunnerGroupName, StackGuardianQueueSettings, StackGuardianRunnerSettings, base_url,
    introspection_url,
};

use super::{Kind, answer::excerpt};
/// The API's address in the EU, which the vendor's script takes by default too.
pub const EU: &str = "https://api.app.stackguardian.io";

/// The platform's name in settings and logs.
const NAME: &str = "stackguardian";

pub static KIND: Kind = Kind {
    name: NAME,
    title: "StackGuardian",
    keys: settings::KEYS,
    variables: variables::VARIABLES,
    webhook: None,
    queue: settings::queue,
    runner: settings::runner,
};
