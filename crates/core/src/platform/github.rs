//! GitHub Actions: the queue through the REST API or a scale set's session, the machine's runner by a just-in-time
//! configuration.
//!
//! # Who we are
//! A personal access token, or a GitHub App ([`GitHubAuth`]). The App's key signs a JSON Web Token of nine minutes,
//! which buys an installation token of an hour; it is renewed five minutes before its end, and once when GitHub refuses
//! it. The codec stays pure: it asks the shell for the time ([`crate::exchange::Effect::Clock`]) and for the RSA
//! signature ([`crate::exchange::Effect::Sign`]). The shell has both already (the signature by the cryptography that
//! TLS uses), so that no other implementation of RSA is linked.
//!
//! # The queue, by listing
//! GitHub has no call that tells how many jobs wait for a runner. [`queue()`] lists the workflow runs of each
//! repository that are not completed, in whatever state (one that waits for an approval can have jobs that wait for a
//! runner), and then the jobs of each run; a job counts by its own state. A job is ours when each of its labels is, in
//! any case, one of ours; `self-hosted` always is. GraphQL knows no list of a repository's runs, and no labels of jobs.
//! - Lists that did not change cost a 304 (entity tags), which GitHub does not charge. What is charged is spread over
//!   what is left of the hour, and 800 requests are made in a minute, of which GitHub allows 900.
//! - A job that names only a runner group (`runs-on: {group: ...}`) has no labels. It is counted when
//!   [`GitHubQueueSettings::runner_group_id`] is set.
//! - The API does not tell which group a waiting job asks for; give each pool labels of its own.
//! - 32 lists are read at a time. One that cannot be read is never counted as zero: the reading says that it is missing.
//!   Where there are too many for one reading or for GitHub's limits, they are read in parts (see `platform/paged_queue.rs`). A
//!   run that is gone by the time its jobs are read was deleted, and its jobs with it.
//! - The token needs `actions: read` (classic: `repo`).
//!
//! # The queue, by a scale set (preview)
//! [`scale_set_queue`] holds the message session of a runner scale set and reads `totalAssignedJobs` from its
//! statistics: one call a reading, exact, for the whole organisation. One session exists at a time; it is given back when
//! the scaler ends, and until then a second one waits for it and asks again. Jobs that a message offers, as an Enterprise
//! Server's do, are taken before the message is deleted; where that fails it is kept, and offers them again.
//!
//! # The runner
//! [`GitHubRunner`] asks for a just-in-time configuration under the instance's id as name and runs `run.sh` with it.
//! Such a runner takes one job, then it removes itself and exits, and the agent registers the next one.
//! - A runner of a scale set ([`GitHubRunnerSettings::scale_set`]) is registered by the scale set's own call, behind the
//!   same way to the Actions service as the queue's: the set's jobs go to its own runners only. It is listed and removed
//!   as any other.
//! - The configuration goes through the environment (`ACTIONS_RUNNER_INPUT_JITCONFIG`), which the runner reads and
//!   clears, not through the arguments, which every user of the machine could read.
//! - Drain: `DELETE` of the registration. 204 is the proof that no job runs and none can come; 422 means that a job
//!   runs. The runner's process is *never* signalled for it: it would cancel its job.
//! - Undrain: a new configuration and a new process, after the agent has ended the old one.
//! - A spot deadline: `SIGINT` cancels the job, visibly.
//! - A name that is taken (409): the registration that is offline and idle is a leftover of this very instance and is
//!   deleted; any other is left alone.
//! - Busy: the process `Runner.Worker` below the runner lives exactly as long as a job. The hook
//!   `ACTIONS_RUNNER_HOOK_JOB_STARTED` writes its PID file as well (see [`super::job_pid_file`]), so that a job is seen
//!   even when its runner crashed. There is no hook when [`GitHubRunnerSettings::program`] has arguments, which may
//!   change the user to one that cannot read it; a hook in the runner's own `.env` file wins.
//!
//! ## What the instance must hold
//! Never the App's key for a whole organisation, if it can be avoided: a job could read it. In order of preference:
//! - a fine-grained token with nothing but `organization_self_hosted_runners: write` (or `administration: write` for
//!   one repository);
//! - an App of its own with nothing but this permission;
//! - a ready configuration ([`GitHubRegistration::Jit`]), made for this instance by something else. Such an instance
//!   holds no right at all, so it cannot remove its registration: it leaves after its one job (`jobs_per_instance =
//!   1`), and an idle one stays.
//!
//! Sources: GitHub REST API (actions: workflow runs, jobs, self-hosted runners; apps; rate limits), GitHub
//! documentation on self-hosted runners, and the source of actions/runner and actions/scaleset.

mod access;
mod auth;
mod jobs;
mod owner;
mod queue;
mod quota;
mod refusal;
mod runner;
mod scale_set;
mod settings;
pub(super) mod tokens;
mod webhook;

use crate::settings::BaseUrl;
use secrecy::SecretString;

pub use access::{AppId, GitHubApp, GitHubAuth, GitHubIdentity};
pub use owner::{GitHubOwner, OrganizationName, RepositoryName};
pub use queue::queue;
pub use runner::GitHubRunner;
pub use scale_set::scale_set_queue;
pub use settings::{
    GitHubQueueSettings, GitHubRegistration, GitHubRegistrationBy, GitHubRunnerSettings, GitHubScaleSetSettings,
    GitHubScope, Label, RunnerProgram, base_url,
};
pub use webhook::WEBHOOK;

use super::answer::{Remedies, RequestContext};

use super::Kind;

/// The platform's name in settings and logs.
const NAME: &str = "github";

pub static KIND: Kind = Kind {
    name: NAME,
    title: "GitHub Actions",
    keys: settings::KEYS,
    variables: &[],
    webhook: Some(&WEBHOOK),
    queue: settings::queue,
    runner: settings::runner,
};

/// The address of GitHub's API.
pub const CLOUD: &str = "https://api.github.com";

const UNAUTHORIZED: &str = "the token is wrong, expired or revoked; put a valid one into the secret";

fn context(url: &BaseUrl, secret: &SecretString, what: impl Into<String>, remedies: Remedies) -> RequestContext {
    RequestContext { platform: format!("GitHub at {url}"), what: what.into(), remedies, secret: secret.clone() }
}
