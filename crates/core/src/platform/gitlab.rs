//! GitLab CI: the queue through the REST API, the machine's runner through GitLab Runner itself.
//!
//! # The queue
//! GitLab has no call that tells how many jobs wait for a runner. [`queue()`] lists the pending and running jobs of
//! each project (`GET /projects/:id/jobs`) and matches their tags as GitLab does: a job is ours when each of its tags
//! is, letter by letter and case by case, one of ours, or when it has none and the runner takes untagged jobs.
//! - Every page is read; pages that did not change cost a 304 (entity tags), and a job that moves between two pages is
//!   counted once.
//! - Not visible in the API, so not considered: protected runners (`ref_protected`), locks of a runner to projects,
//!   compute quotas. Jobs that the runner may not take are counted as waiting, so give each pool tags of its own.
//! - Jobs that run are counted exactly with [`GitLabQueueSettings::runner_id`]. Without it they are those that match by
//!   tag; they may run on another fleet's runner with the same tags, and then a few instances too many are started,
//!   never too few.
//! - Sixteen projects are read at a time. One that cannot be read is never counted as zero: the reading says that it is
//!   missing. A group that is too large for one reading is read in parts (see `platform/paged_queue.rs`). Projects of a
//!   group whose CI is switched off are left out.
//! - GraphQL would not do: it answers for the jobs of one project at a time as well, and nests no jobs below a group's
//!   projects (`ProjectJobsResolver` in GitLab's source); its `jobs` at the root are the administrator's.
//! - The token needs the scope `read_api` and the role Reporter (Developer where job logs are private).
//!
//! # The runner
//! All instances share one runner authentication token (`glrt-...`); each is a *runner manager* of its own by its
//! system id ([`system_id`]). [`GitLabRunner`] verifies the token, writes `config.toml` and `.runner_system_id`, and
//! runs `gitlab-runner run`.
//! - Drain: `SIGQUIT`. GitLab Runner asks for no more jobs, ends those that it has, and exits: the exit is the proof.
//!   Pausing on the server is never used: it would pause every machine that shares the token.
//! - Undrain: the runner is launched anew.
//! - A spot deadline: `SIGTERM`. The runner fails its jobs at once; a job whose machine only vanishes is failed by
//!   GitLab an hour later.
//! - Deregister: only this machine's manager (`DELETE /runners/managers`). `DELETE /runners` with a shared token would
//!   delete the fleet's runner; it is never sent.
//! - Busy: the runner's metrics (they also see a job whose image is still pulled), containers with our system id as
//!   label, and for the shell executor the runner's child processes. Set [`crate::platform::HostContext::metrics`]:
//!   without it the docker executor's containers are the only sign of a job, and old versions of GitLab Runner do not
//!   label them with the system id.
//! - With the shell executor jobs run as the runner's own user and can read its token; prefer docker.
//!
//! Sources: GitLab REST API (jobs, projects, runners), GitLab Runner documentation (configuration, commands,
//! monitoring), and the source of GitLab and GitLab Runner.

mod config;
mod jobs;
mod metrics;
mod queue;
mod quota;
mod runner;
mod settings;
pub(super) mod tokens;
mod webhook;

use crate::settings::BaseUrl;
use secrecy::SecretString;

pub use config::Extra;
pub use queue::queue;
pub use runner::{GitLabRunner, system_id};
pub use settings::{Executor, GitLabQueueSettings, GitLabRunnerSettings, Scope, base_url};
pub use webhook::WEBHOOK;

use super::answer::{Remedies, RequestContext};

use super::Kind;

/// The platform's name in settings and logs.
const NAME: &str = "gitlab";

pub static KIND: Kind = Kind {
    name: NAME,
    title: "GitLab CI",
    keys: settings::KEYS,
    variables: &[],
    webhook: Some(&WEBHOOK),
    queue: settings::queue,
    runner: settings::runner,
};

fn context(url: &BaseUrl, token: &SecretString, what: String, remedies: Remedies) -> RequestContext {
    RequestContext { platform: format!("GitLab at {url}"), what, remedies, secret: token.clone() }
}
